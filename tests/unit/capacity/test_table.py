"""The table of a whole stack: every volume that it makes, with its real name and the setting to change."""

from __future__ import annotations

import pytest

from components.backup.settings import Keep
from components.model.values import Quantity
from components.recovery.capacity import Row
from components.recovery.capacity_layout import capacity, kept_dumps, layout
from components.recovery.capacity_settings import Capacity
from components.recovery.locations import places
from components.recovery.outputs import capacity_warnings, recovery_outputs
from components.settings.model import SECTIONS
from tests.unit.capacity.stacks import AWAY, BUCKET, STACKS, USB, cluster, host, of_stack

FAMILY = Capacity(photos=100_000, videos=5_000)
OPERATED = {"kind": "cloudnative-pg", "walSize": "16Gi", "size": "50Gi"}
ARCHIVE = {
    "objectStore": {"destinationPath": "s3://bucket/database", "endpointUrl": "https://s3.example.net"}
}


def by_name(rows: list[Row]) -> dict[str, Row]:
    return {row.need.name: row for row in rows}


@pytest.mark.parametrize("stack", STACKS)
def test_every_volume_of_a_stack_is_in_its_table(stack: str) -> None:
    settings = of_stack(stack)
    found = by_name(capacity(settings, stack, FAMILY))
    made = {name for name in places(settings, stack) if not name.startswith("library-")}
    assert made <= found.keys()
    for name in made:
        assert found[name].given.where == places(settings, stack)[name].where


@pytest.mark.parametrize("stack", STACKS)
def test_the_key_of_a_volume_is_a_setting_and_setting_it_is_enough(stack: str) -> None:
    rows = capacity(of_stack(stack), stack, FAMILY)
    for row in rows:
        assert (row.given.size is None) == (row.given.key == "")
        if row.given.key:
            section, *rest = row.given.key.removeprefix("immich:").split(".")
            assert section in SECTIONS
            assert rest[-1] in {"size", "walSize"}


def test_a_volume_that_is_too_small_is_warned_of_with_a_size_that_then_is_enough() -> None:
    settings = cluster(storage={"media": {"kind": "volume", "size": "100Gi"}})
    (warning,) = capacity_warnings(settings, "some", FAMILY)
    assert "immich-media" in warning
    assert "immich:storage.media.size" in warning
    wanted = warning.rsplit(" to ", 1)[1].removesuffix(" or more")
    assert (
        capacity_warnings(cluster(storage={"media": {"kind": "volume", "size": wanted}}), "some", FAMILY)
        == []
    )


def test_nothing_is_warned_of_where_nothing_is_expected() -> None:
    assert capacity_warnings(cluster(storage={"media": {"kind": "volume", "size": "1Gi"}}), "some") == []
    assert "capacity" not in recovery_outputs(cluster(), "some")


def test_the_older_setting_makes_a_table_too() -> None:
    settings = cluster(storage={"expectedPhotos": "200Gi"})
    assert "immich-media" in capacity_warnings(settings, "some")[0]
    assert "capacity" in recovery_outputs(settings, "some")


def test_volumes_of_an_engine_share_a_disk() -> None:
    found = by_name(capacity(host({"targets": [USB]}), "some", FAMILY))
    disk = found["engine-disk"].need
    inside = [found[name].need for name in ("media", "database", "machine-learning-cache", "cache", "backup")]
    assert disk.stored == sum(need.stored for need in inside)
    assert disk.needed >= 2 * disk.stored
    assert "df -h" in found["engine-disk"].verdict
    assert found["target-usb"].given.where == "/mnt/usb/immich"


def test_targets_are_told_as_restic_takes_them() -> None:
    found = by_name(capacity(host({"targets": [AWAY, BUCKET]}), "some", FAMILY))
    assert found["target-away"].given.where == "sftp://backup@backup.example.net:2222//srv/immich"
    assert found["target-bucket"].given.where == "s3:https://s3.example.net/photos/files"


def test_what_is_copied_as_well_needs_room() -> None:
    library = {
        "name": "old",
        "mountPath": "/mnt/old",
        "source": {"kind": "nfs", "server": "10.0.0.9", "path": "/old", "size": "3T"},
    }
    storage = {"externalLibraries": [library]}
    plain = by_name(capacity(host({"targets": [BUCKET]}, storage=storage), "some", FAMILY))
    files = {"thumbs": True, "encodedVideo": True, "externalLibraries": ["old"]}
    whole = by_name(capacity(host({"targets": [BUCKET], "files": files}, storage=storage), "some", FAMILY))
    more = whole["target-bucket"].need.stored - plain["target-bucket"].need.stored
    assert more > int(Quantity("3T").amount)


def test_an_operated_database_has_its_log_and_its_archive() -> None:
    settings = cluster({"archive": ARCHIVE, "targets": [BUCKET]}, database=OPERATED)
    found = by_name(capacity(settings, "some", FAMILY))
    assert found["wal"].given.key == "immich:database.walSize"
    assert found["database"].verdict == "ok"
    month = found["archive"].need.stored
    short = cluster({"archive": {**ARCHIVE, "retention": "1w"}, "targets": [BUCKET]}, database=OPERATED)
    assert by_name(capacity(short, "some", FAMILY))["archive"].need.stored < month / 3


def test_a_stack_with_an_archive_alone_has_no_dumps() -> None:
    found = layout(cluster({"archive": ARCHIVE}, database=OPERATED))
    assert found.dumps is None
    assert "backup" not in places(cluster({"archive": ARCHIVE}, database=OPERATED), "some")


def test_snapshots_share_the_dumps_of_the_same_days() -> None:
    week = Keep(daily=7, weekly=0, monthly=0, yearly=0)
    # The oldest of seven daily snapshots has the dumps of the 14 days before it.
    assert kept_dumps(week, 14, 1.0) == 20
    assert kept_dumps(week, 1, 1.0) == 7
    assert kept_dumps(Keep(daily=1, weekly=0, monthly=0, yearly=2), 14, 1.0) == 28
    assert kept_dumps(Keep(), 14, 1.0) >= kept_dumps(week, 14, 1.0)
