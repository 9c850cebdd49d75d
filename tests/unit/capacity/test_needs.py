"""Sizes of volumes and targets: they grow with every input, hold what is stored, and have the headroom."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from components.model.values import Bytes, Quantity
from components.recovery.capacity import (
    GIB,
    HEADROOM,
    Archive,
    Given,
    Layout,
    Need,
    Row,
    Target,
    amounts,
    needs,
    readable,
    whole_gibibytes,
)
from components.recovery.capacity_settings import Capacity, expected
from tests.harness.examples import examples

FAST = settings(max_examples=examples(120), deadline=None, derandomize=True)
counts = st.integers(0, 10**9)
sizes = st.integers(1, 10**7).map(lambda size: Bytes(f"{size}k"))
numbers = {
    "photo_size": sizes,
    "video_size": sizes,
    "growth": st.integers(0, 1000),
    "years": st.integers(0, 20),
    "thumbs": st.integers(1, 100),
    "encoded_video": st.integers(0, 200),
}
counted = st.builds(Capacity, photos=counts, videos=counts, **numbers)
totals = st.integers(1, 10**11).map(lambda size: Bytes(f"{size}k"))
total = st.builds(Capacity, total=totals, video_share=st.integers(0, 100), **numbers)
targets = st.builds(
    Target,
    name=st.sampled_from(["a", "b", "c"]),
    dumps=st.integers(0, 1000),
    thumbs=st.booleans(),
    encoded_video=st.booleans(),
    libraries=st.integers(0, 10**13),
)
layouts = st.builds(
    Layout,
    folders=st.frozensets(st.sampled_from(["thumbs", "encoded-video", "profile", "backups"])),
    database=st.sampled_from(["bundled", "cloudnative-pg", "external"]),
    own_log=st.booleans(),
    models=st.booleans(),
    cache_memory=st.none() | st.integers(1, 10**10),
    dumps=st.none() | st.integers(1, 1000),
    targets=st.lists(targets, max_size=3, unique_by=lambda target: target.name).map(tuple),
    archive=st.none() | st.builds(Archive, base_backups=st.integers(1, 1000), days=st.integers(1, 4000)),
)


def by_name(capacity: Capacity, layout: Layout) -> dict[str, Need]:
    return {need.name: need for need in needs(capacity, layout)}


def more(capacity: Capacity, name: str, by: int) -> Capacity:
    """The same with one input larger, as far as it may be."""
    value = getattr(capacity, name)
    largest = {"growth": 1000, "years": 20, "thumbs": 100, "encoded_video": 200, "video_share": 100}
    larger: Any = (
        Quantity(str(int(value.amount) + by))
        if isinstance(value, Quantity)
        else min(value + by, largest.get(name, 10**9))
    )
    return capacity.model_copy(update={name: larger})


@given(
    counted,
    layouts,
    st.sampled_from(
        ["photos", "videos", "photo_size", "video_size", "growth", "years", "thumbs", "encoded_video"]
    ),
    st.integers(1, 10**6),
)
@FAST
def test_no_volume_needs_less_when_there_is_more(
    capacity: Capacity, layout: Layout, name: str, by: int
) -> None:
    before, after = by_name(capacity, layout), by_name(more(capacity, name, by), layout)
    assert before.keys() == after.keys()
    for volume, need in before.items():
        assert after[volume].needed >= need.needed, volume
        assert after[volume].stored >= need.stored, volume


@given(total, layouts, st.sampled_from(["total", "video_share", "growth", "years"]), st.integers(1, 10**9))
@FAST
def test_nor_when_the_whole_is_larger(capacity: Capacity, layout: Layout, name: str, by: int) -> None:
    before, after = by_name(capacity, layout), by_name(more(capacity, name, by), layout)
    assert all(after[volume].needed >= need.needed for volume, need in before.items())


@given(counted | total, layouts)
@FAST
def test_nor_when_more_is_kept_or_copied(capacity: Capacity, layout: Layout) -> None:
    wider = replace(
        layout,
        dumps=None if layout.dumps is None else layout.dumps + 1,
        targets=tuple(
            replace(
                target,
                dumps=target.dumps + 1,
                thumbs=True,
                encoded_video=True,
                libraries=target.libraries + 10**9,
            )
            for target in layout.targets
        ),
        archive=None
        if layout.archive is None
        else replace(
            layout.archive, base_backups=layout.archive.base_backups + 1, days=layout.archive.days + 1
        ),
    )
    before, after = by_name(capacity, layout), by_name(capacity, wider)
    assert all(after[volume].needed >= need.needed for volume, need in before.items())
    for name in (f"target-{target.name}" for target in layout.targets):
        assert after[name].needed > before[name].needed


@given(counted | total, layouts)
@FAST
def test_every_volume_holds_what_is_stored_with_headroom(capacity: Capacity, layout: Layout) -> None:
    there = amounts(capacity)
    found = by_name(capacity, layout)
    for need in found.values():
        assert need.stored > 0 or need.name in {"media", "thumbs", "encoded-video", "backups"}
        assert need.needed >= need.later >= need.stored
        assert need.needed >= HEADROOM * need.stored
    assert found["media"].stored >= capacity.original_bytes == there.originals
    # Every byte of the media root is somewhere: on its own volume or below the root.
    media = [found[name].stored for name in ("media", "thumbs", "encoded-video") if name in found]
    assert sum(media) >= there.originals + there.thumbs + there.encoded_video
    for target in layout.targets:
        assert found[f"target-{target.name}"].stored >= there.originals + target.libraries
    if layout.dumps is not None:
        assert found["backup"].stored >= layout.dumps * there.dump


@given(counted | total, layouts)
@FAST
def test_each_volume_is_there_when_the_layout_has_it(capacity: Capacity, layout: Layout) -> None:
    found = set(by_name(capacity, layout))
    assert found == {
        "media",
        *layout.folders,
        *({"database"} if layout.database != "external" else ()),
        *({"wal"} if layout.database == "cloudnative-pg" and layout.own_log else ()),
        *({"machine-learning-cache"} if layout.models else ()),
        *({"cache"} if layout.cache_memory is not None else ()),
        *({"backup"} if layout.dumps is not None else ()),
        *(f"target-{target.name}" for target in layout.targets),
        *({"archive"} if layout.archive is not None else ()),
    }


def test_a_family_s_photos_as_the_documents_count_them() -> None:
    capacity = Capacity(photos=100_000, videos=5_000, growth=0)
    there = amounts(capacity)
    assert there.originals == 100_000 * 4_000_000 + 5_000 * 100_000_000
    # System homelab: thumbnails are 10 to 15 % of the originals.
    assert there.originals // 10 <= there.thumbs <= there.originals * 15 // 100
    # Immich's requirements page: a database has 1 to 3 GB.
    assert 10**9 <= there.database <= 3 * 10**9
    assert there.dump < there.database


def test_growth_counts_every_year() -> None:
    capacity = Capacity(total=Bytes("1000G"), growth=50, years=2)
    need = by_name(capacity, Layout(folders=frozenset({"thumbs", "encoded-video", "profile", "backups"})))[
        "media"
    ]
    assert (need.stored, need.later) == (10**12, 2_250 * 10**9)
    assert need.needed == need.later


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ({}, "give photos and videos, or total"),
        ({"photos": 1, "total": "1T"}, "would contradict each other"),
        ({"photos": 1, "photoSize": "4"}, "with its unit"),
        ({"photos": -1}, "greater than or equal to 0"),
        ({"photos": True}, "expected a whole number"),
        ({"total": "1T", "growth": 1001}, "less than or equal to 1000"),
    ],
)
def test_what_cannot_be_counted_is_refused(given_: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Capacity.model_validate(given_)


def test_the_older_setting_still_counts_and_the_section_wins() -> None:
    assert expected(None, None) is None
    old = expected(None, Bytes("100Gi"))
    assert old is not None
    assert old.original_bytes == 100 * GIB
    section = Capacity(photos=1)
    assert expected(section, Bytes("100Gi")) is section


def test_a_small_volume_is_told_with_its_key_and_a_size_that_is_enough() -> None:
    need = Need(name="media", holds="photos", stored=3 * GIB, later=5 * GIB + 1)
    row = Row(need=need, given=Given(where="immich-media", key="immich:storage.media.size", size=6 * GIB - 1))
    assert row.is_enough is False
    assert row.verdict == "too small: set immich:storage.media.size to 6Gi or more"
    enough = Row(need=need, given=Given(where="immich-media", key="immich:storage.media.size", size=6 * GIB))
    assert (enough.is_enough, enough.verdict) == (True, "ok")
    unknown = Row(need=need, given=Given(where="/srv", key="", look="df -h /srv"))
    assert (unknown.is_enough, unknown.verdict) == (None, "cannot be seen from here: df -h /srv")


@given(st.integers(0, 10**18))
@FAST
def test_what_is_told_is_never_less(size: int) -> None:
    assert Quantity(whole_gibibytes(size)).amount >= size
    number, unit = readable(size).split()
    factor = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}[unit]
    assert float(number) * factor * 1.000001 >= size
