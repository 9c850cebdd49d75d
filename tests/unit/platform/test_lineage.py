"""Generations of a database cluster: each writes an archive that nobody wrote before, and reads an earlier one."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from components.database.recover_settings import Lineage as LineageSettings
from components.database.recover_settings import Recover
from components.model.specs import Lineage, Recovery
from components.platform.kubernetes import cloudnative_pg
from tests.unit.platform.test_cloudnative_pg import ARCHIVE, SPEC

BASES = st.from_regex(r"[a-z][a-z0-9-]{0,20}[a-z0-9]", fullmatch=True)
TARGETS = st.one_of(
    st.just({}),
    st.datetimes(min_value=datetime(2020, 1, 1)).map(  # noqa: DTZ001 - the zone is written behind it
        lambda at: {"target_time": f"{at.replace(microsecond=0).isoformat()}+02:00"}
    ),
    st.just({"backup_id": "20261121T020000"}),
)


@st.composite
def lives(draw: st.DrawFn) -> list[Lineage]:
    """Everything that a deployment ever was: growing generations, each from any earlier number to any target."""
    found = [Lineage()]
    for _ in range(draw(st.integers(0, 6))):
        number = found[-1].generation + draw(st.integers(1, 3))
        source = draw(st.sampled_from(found)).generation
        kept = tuple(draw(st.sets(st.integers(1, number - 1))))
        found.append(Lineage(generation=number, source=source, kept=kept, **draw(TARGETS)))
    return found


def usable(base: str) -> bool:
    try:
        Lineage.named(base, 1)
    except ValueError:
        return False
    return True


@given(lives(), BASES.filter(usable), BASES.filter(usable))
def test_what_is_written_was_never_written_and_is_not_what_is_read(
    life: list[Lineage], base: str, server: str
) -> None:
    written: set[str] = set()
    clusters: set[str] = set()
    for lineage in life:
        now, name, recovery = lineage.server_name(server), lineage.cluster(base), lineage.recovery(server)
        assert now not in written
        assert name not in clusters
        assert recovery is None or recovery.server_name != now
        assert recovery is None or recovery.server_name in written
        written.add(now)
        clusters.add(name)
    assert len(written) == len(life)


@given(
    st.tuples(BASES, st.integers(1, 99)).filter(lambda one: usable(one[0])),
    st.tuples(BASES, st.integers(1, 99)).filter(lambda one: usable(one[0])),
)
def test_two_names_are_the_same_only_where_base_and_generation_are(
    one: tuple[str, int], other: tuple[str, int]
) -> None:
    assert (Lineage.named(*one) == Lineage.named(*other)) == (one == other)


@given(lives(), BASES.filter(usable))
def test_no_cluster_reads_the_archive_that_it_writes(life: list[Lineage], base: str) -> None:
    for lineage in life:
        archive = replace(ARCHIVE, server_name=lineage.server_name(base))
        spec = replace(
            SPEC,
            name=lineage.cluster(base),
            archive=archive,
            recovery=lineage.recovery(base),
            kept=lineage.kept_clusters(base),
        )
        body = cloudnative_pg.cluster(spec, "owner")["spec"]
        (plugin,) = body["plugins"]
        sources = [one["plugin"]["parameters"]["serverName"] for one in body.get("externalClusters", [])]
        assert plugin["parameters"]["serverName"] not in sources
        assert len(sources) == (lineage.source is not None)
        assert ("recovery" in body["bootstrap"]) == bool(sources)
        assert ("initdb" in body["bootstrap"]) != bool(sources)


def test_names_are_readable() -> None:
    second = Lineage(generation=2, source=1, kept=(1,))
    assert (Lineage().cluster("immich-database"), Lineage().server_name("lake")) == (
        "immich-database",
        "lake",
    )
    assert (second.cluster("immich-database"), second.server_name("lake")) == (
        "immich-database-g2",
        "lake-g2",
    )
    assert second.kept_clusters("immich-database") == ("immich-database",)
    assert Lineage(generation=4, source=2).recovery("lake") == Recovery(server_name="lake-g2")


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"generation": 0}, "the first is 1"),
        ({"generation": 2}, "every other one has"),
        ({"generation": 1, "source": 1}, "the first has no source"),
        ({"generation": 2, "source": 2}, "its source 2 is not an earlier one"),
        ({"generation": 2, "source": 0}, "its source 0 is not an earlier one"),
        ({"generation": 2, "source": 1, "kept": (1, 2)}, "none of the kept ones"),
    ],
)
def test_a_lineage_that_cannot_be_is_refused(given_: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Lineage(**given_)


def test_a_base_that_looks_like_a_later_generation_is_refused() -> None:
    with pytest.raises(ValueError, match="immich-g2 ends like that of a later generation"):
        Lineage().cluster("immich-g2")
    assert Lineage().cluster("immich-g2-database") == "immich-g2-database"
    assert Lineage().cluster("immich-g") == "immich-g"


def test_a_name_that_the_operator_would_refuse_is_refused_before() -> None:
    assert len(Lineage().cluster("a" * 50)) == 50
    with pytest.raises(ValueError, match="has 53 characters, and CloudNativePG takes 50"):
        Lineage(generation=2, source=1).cluster("a" * 50)


def test_a_cluster_that_would_write_where_it_reads_is_refused() -> None:
    with pytest.raises(ValueError, match="write into immich-database, the archive that it is recovered"):
        replace(SPEC, recovery=Recovery(server_name="immich-database"))
    with pytest.raises(ValueError, match="give the one that it is in"):
        replace(SPEC, recovery=Recovery(server_name="other"), archive=None)
    with pytest.raises(ValueError, match="none of the kept ones"):
        replace(SPEC, kept=(SPEC.name,))
    with pytest.raises(ValueError, match="one target"):
        Recovery(server_name="a", target_time="2026-11-21T02:00:00Z", backup_id="20261121T020000")


# What the operator reads


def recovered(**more: Any) -> dict[str, Any]:
    spec = replace(SPEC, name="immich-database-g2", recovery=Recovery(server_name="old", **more))
    return cloudnative_pg.cluster(spec, "owner-secret")["spec"]


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ({}, None),
        ({"target_time": "2026-11-21T02:00:00Z"}, {"targetTime": "2026-11-21T02:00:00Z"}),
        ({"backup_id": "20261121T020000"}, {"backupID": "20261121T020000", "targetImmediate": True}),
    ],
)
def test_a_recovery_says_its_source_its_target_and_the_owner_with_the_password(
    given_: dict[str, Any], expected: dict[str, Any] | None
) -> None:
    found = recovered(**given_)
    (bootstrap,) = found["bootstrap"].items()
    target = bootstrap[1].pop("recoveryTarget", None)
    assert bootstrap == (
        "recovery",
        {"source": "old", "database": "immich", "owner": "immich", "secret": {"name": "owner-secret"}},
    )
    assert target == expected
    assert found["externalClusters"] == [
        {
            "name": "old",
            "plugin": {
                "name": "barman-cloud.cloudnative-pg.io",
                "parameters": {"barmanObjectName": "immich-backup", "serverName": "old"},
            },
        }
    ]


def test_the_pieces_come_in_order_and_the_bootstrap_is_said_once() -> None:
    spec = replace(
        SPEC, name="immich-database-g2", recovery=Recovery(server_name="old"), kept=("immich-database",)
    )
    found = cloudnative_pg.pieces(spec, {"database-owner": "owner", "backup": "keys"})
    assert [(one.kind, one.name) for one in found] == [
        ("Cluster", "immich-database"),
        ("Database", "immich-database-immich"),
        ("ObjectStore", "immich-backup"),
        ("Cluster", "immich-database-g2"),
        ("Database", "immich-database-g2-immich"),
        ("ScheduledBackup", "immich-database-g2"),
        ("PodMonitor", "immich-database-g2"),
    ]
    kept, new = found[:2], found[3]
    assert all(one.must_exist and one.holds_data and one.ignore == ("metadata", "spec") for one in kept)
    assert all(one.manifest["spec"] == {} for one in kept)
    assert new.ignore == ("spec.bootstrap", "spec.externalClusters")
    assert not new.must_exist
    assert new.timeout is not None
    plain = cloudnative_pg.pieces(SPEC, {"database-owner": "owner", "backup": "keys"})
    (first,) = [one for one in plain if one.kind == "Cluster"]
    assert first.timeout is not None
    assert new.timeout > first.timeout, "a recovery copies everything"
    assert [one.holds_data for one in plain] == [True, True, True, False, False]


# Settings


def settings(text: str) -> LineageSettings:
    return LineageSettings.model_validate(json.loads(text))


def test_the_first_generation_needs_nothing_said() -> None:
    found = LineageSettings()
    assert (found.generation, found.source, found.recover, found.kept) == (1, None, None, None)


def test_a_new_generation_continues_from_the_one_before_unless_another_is_named() -> None:
    assert settings('{"generation": 3, "kept": []}').source == 2
    assert settings('{"generation": 3, "kept": [1, 2], "recover": {"sourceGeneration": 1}}').source == 1
    assert settings('{"generation": 2, "kept": [1], "recover": {"from": "latest"}}').source == 1


@pytest.mark.parametrize(
    ("text", "kind", "kept"),
    [
        ("latest", "latest", "latest"),
        ("20261121T020000", "backup", "20261121T020000"),
        ("2026-11-21T02:00:00Z", "time", "2026-11-21T02:00:00Z"),
        ("2026-11-21t02:00:00.5z", "time", "2026-11-21T02:00:00.5Z"),
        ("2026-11-21T02:00:00+01:00", "time", "2026-11-21T02:00:00+01:00"),
    ],
)
def test_from_has_three_forms(text: str, kind: str, kept: str) -> None:
    found = Recover.model_validate({"from": text})
    assert (found.kind, found.from_) == (kind, kept)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "newest",
        "2026-11-21",
        "2026-11-21T02:00:00",
        "2026-11-21 02:00:00Z",
        "2026-13-21T02:00:00Z",
        "20261340T020000",
        "20261121T0200",
        "latest ",
        "immich-20261121",
    ],
)
def test_anything_else_is_refused_with_what_is_accepted(wrong: str) -> None:
    with pytest.raises(
        ValidationError, match=r"`latest`, a time with its zone such as `2026-11-21T02:00:00Z`"
    ):
        Recover.model_validate({"from": wrong})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"generation": 0}', "greater than or equal to 1"),
        ('{"generation": true}', "expected a whole number"),
        ('{"generation": 1, "recover": {"from": "latest"}}', "generation 1 is the first one"),
        ('{"generation": 2}', r"kept: generation 2 needs to know which earlier clusters .* such as \[1\]"),
        ('{"generation": 2, "kept": [2]}', "kept: 2 is no other generation"),
        ('{"generation": 2, "kept": [0]}', "kept: 0 is no other generation"),
        ('{"generation": 3, "kept": [1, 1]}', "named twice"),
        ('{"generation": 2, "kept": [], "recover": {"sourceGeneration": 2}}', "2 is not before generation 2"),
        ('{"generation": 2, "kept": [], "recover": {"sourceGeneration": 5}}', "5 is not before generation 2"),
        ('{"generation": 2, "kept": [], "recover": {"until": "latest"}}', "Extra inputs"),
    ],
)
def test_settings_that_make_no_sense_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        settings(text)


@given(st.integers(1, 50), st.none() | st.integers(1, 50))
def test_every_accepted_setting_is_a_lineage(generation: int, source: int | None) -> None:
    given_: dict[str, Any] = {"generation": generation, "kept": []}
    if generation > 1:
        given_["recover"] = {"sourceGeneration": source}
    if source is not None and source >= generation > 1:
        with pytest.raises(ValidationError):
            LineageSettings.model_validate(given_)
        return
    found = LineageSettings.model_validate(given_)
    assert Lineage(generation=found.generation, source=found.source).generation == generation
