"""What each loss costs: from the schedules, from sizes and speeds that runs measured, or estimated and said to be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.recovery.capacity_settings import Capacity
from components.recovery.objectives import LOSSES, Loss, Recovery, recoveries
from components.recovery.outputs import recovery_outputs
from components.recovery.status import Statuses, run, succeeded
from components.settings.model import Settings
from tests.harness.examples import examples
from tests.unit.capacity.stacks import AWAY, BUCKET, STACKS, USB, cluster, host, of_stack

DAY = 86_400
FAMILY = Capacity(photos=100_000, videos=5_000)
FAST = settings(max_examples=examples(100), deadline=None, derandomize=True)
BOTH = {"targets": [USB, AWAY]}
MEASURED: Statuses = {
    "dump": {"verdict": "ok", "result": "success", "seconds": 60, "bytes": 10**9, "lastSuccess": 1},
    "copy-usb": {"verdict": "ok", "result": "success", "seconds": 600, "bytes": 10**12, "lastSuccess": 1},
    "copy-away": {"verdict": "ok", "result": "success", "seconds": 1200, "bytes": 10**12, "lastSuccess": 1},
    "restore": {"verdict": "ok", "result": "success", "seconds": 10, "bytes": 10**9, "lastSuccess": 1},
}


def by_loss(
    stack: Settings, *, expected: Capacity | None = None, statuses: Statuses | None = None
) -> dict[Loss, Recovery]:
    return {one.loss: one for one in recoveries(stack, "some", expected=expected, statuses=statuses)}


@pytest.mark.parametrize("stack", STACKS)
def test_every_stack_is_told_what_each_loss_costs(stack: str) -> None:
    told = recovery_outputs(of_stack(stack), stack, capacity=FAMILY)
    assert [one.loss for one in recoveries(of_stack(stack), stack)] == list(LOSSES)
    assert json.loads(json.dumps(told)) == told
    assert {"copies", "rule321", "recovery", "runbooks", "capacity"} == told.keys()
    assert recovery_outputs(of_stack(stack), stack, capacity=FAMILY) == told


def test_a_copied_library_is_lost_with_its_machine_and_comes_back_from_its_copy() -> None:
    scans = {"name": "scans", "mountPath": "/mnt/scans", "source": {"kind": "hostPath", "path": "/srv/scans"}}
    storage = {
        "media": {"kind": "nfs", "server": "10.0.0.9", "path": "/photos"},
        "externalLibraries": [scans],
    }
    elsewhere = {"storage": storage, "database": {"kind": "external", "host": "10.0.0.8", "postgres": 18}}
    assert by_loss(host({"targets": [AWAY]}, **elsewhere))["host"].rpo == 0
    backup = {"targets": [AWAY], "files": {"externalLibraries": ["scans"]}}
    lost = by_loss(host(backup, **elsewhere), statuses=MEASURED)["host"]
    assert (lost.source, lost.rpo) == ("away", DAY + 60 + 1200)


def test_without_backups_everything_is_lost_and_it_says_what_to_give() -> None:
    for loss, found in by_loss(host()).items():
        assert found.rpo is None, loss
        told = found.told()
        assert (told["lostAtMost"], told["backIn"], told["from"]) == ("everything", "never", "nothing")
        assert "immich:backup.targets" in told["note"]


def test_a_day_and_a_run_are_lost_at_most_with_a_copy_a_day() -> None:
    found = by_loss(host(BOTH), statuses=MEASURED)
    assert found["photo"].rpo == DAY + 60 + 600
    assert found["database"].rpo == DAY + 60
    assert found["host"].rpo == DAY + 60 + 1200
    twice = by_loss(host({**BOTH, "schedule": "0 2,14 * * *"}), statuses=MEASURED)
    assert twice["photo"].rpo == DAY // 2 + 60 + 600


def test_times_follow_from_measured_sizes_and_speeds() -> None:
    found = by_loss(host(BOTH), statuses=MEASURED)
    # 10^12 bytes at 10^8 a second, then the dump: fetched, and loaded at 5 MB/s; three minutes to start.
    assert found["disk"].rto == 10_000 + 10 + 200 + 180
    assert found["disk"].measured
    assert found["disk"].told()["basis"] == "measured"
    assert not found["host"].measured


def test_what_no_run_measured_is_an_estimate_and_says_so() -> None:
    plain = by_loss(host(BOTH))
    assert plain["disk"].rto is None
    assert plain["disk"].told()["backIn"] == "unknown"
    assert "immich:capacity" in plain["disk"].note
    guessed = by_loss(host(BOTH), expected=FAMILY)
    assert guessed["disk"].rto is not None
    assert {one.told()["basis"] for one in guessed.values()} == {"estimate"}


def test_numbers_of_a_run_that_failed_measure_nothing() -> None:
    failed = {name: {**status, "verdict": "target-gone"} for name, status in MEASURED.items()}
    assert by_loss(host(BOTH), statuses=failed) == by_loss(host(BOTH))


def test_a_limit_of_the_download_makes_it_slower() -> None:
    fast = by_loss(host({"targets": [AWAY]}), expected=FAMILY)["host"].rto
    slow = by_loss(host({"targets": [AWAY], "limits": {"download": 100}}), expected=FAMILY)["host"].rto
    assert fast is not None
    assert slow is not None
    assert slow > 10 * fast


def test_a_disk_of_this_machine_does_not_survive_it() -> None:
    found = by_loss(host({"targets": [USB]}))
    assert found["disk"].source == "usb"
    assert found["host"].rpo is None
    assert "another machine" in found["host"].note


def test_a_target_on_the_disk_of_the_photos_does_not_survive_that() -> None:
    inside = {"name": "inside", "kind": "local", "source": {"kind": "volume"}}
    found = by_loss(host({"targets": [inside]}))
    assert found["photo"].source == "inside"
    assert found["disk"].rpo is None
    assert "another disk" in found["disk"].note


def test_an_archive_loses_five_minutes_of_the_database_and_photos_a_day() -> None:
    store = {"objectStore": {"destinationPath": "s3://b-b/d", "endpointUrl": "https://s3.example.net"}}
    backup = {"archive": store, "targets": [BUCKET]}
    found = by_loss(cluster(backup, database={"kind": "cloudnative-pg"}), expected=FAMILY)
    assert (found["database"].source, found["database"].rpo) == ("archive", 300)
    assert found["host"].source == "bucket, archive"
    assert found["host"].rpo == DAY + 3600


def test_what_is_not_on_the_lost_machine_is_not_lost_with_it() -> None:
    nas = {"kind": "nfs", "server": "10.0.0.9", "path": "/photos"}
    external = {"kind": "external", "host": "10.0.0.8", "vectorExtension": "vectorchord", "postgres": 16}
    found = by_loss(cluster({"targets": [BUCKET]}, storage={"media": nas}, database=external))
    assert found["host"].rpo == 0
    assert found["host"].told()["lostAtMost"] == "nothing"
    assert found["disk"].source == "bucket"


@pytest.mark.parametrize(
    ("app", "words"),
    [(None, "30 days"), ({"trash": {"days": 7}}, "7 days"), ({"trash": {"enabled": False}}, "")],
)
def test_the_trash_comes_before_the_copies(app: dict[str, Any] | None, words: str) -> None:
    found = by_loss(host(BOTH, **({"app": app} if app is not None else {})))["photo"]
    assert words in found.note
    assert bool(found.note) == bool(words)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from(["verdict", "seconds", "bytes", "started", "finished", "lastSuccess", "result"])
names = st.sampled_from(["dump", "copy-usb", "copy-away", "drill", "restore", "other"])


@given(
    st.dictionaries(names, st.dictionaries(keys, json_values, max_size=7), max_size=6), st.integers(0, 2**40)
)
@FAST
def test_no_status_file_breaks_what_is_told(statuses: dict[str, dict[str, Any]], now: int) -> None:
    told = recovery_outputs(host(BOTH), "some", capacity=FAMILY, statuses=statuses, now=now)
    assert json.loads(json.dumps(told)) == told
    for name in statuses:
        found = run(statuses, name)
        assert found is not None
        assert found.speed is None or found.speed >= 1
        assert succeeded(statuses, name) is None or found.verdict == "ok"


def test_a_run_without_its_duration_has_it_from_its_times() -> None:
    found = run({"drill": {"started": 100, "finished": 160, "bytes": 600}}, "drill")
    assert found is not None
    assert (found.seconds, found.speed, found.verdict) == (60, 10, "unknown")
    assert run({}, "drill") is None
