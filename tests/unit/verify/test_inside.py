"""Checks of containers, machine learning, volumes, backups and openings, against recorded answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.verify.parts import NOW, WORKLOADS, Recorded, target, unit
from toolchain.verify.checks import containers, exposure, machine_learning, media
from toolchain.verify.checks.backups import backups, judge, wanted
from toolchain.verify.model import Check
from toolchain.verify.running import Opening

DAY = 86_400
CUDA = """[09/13/25 13:50:32] INFO     Setting execution providers to
                             ['CUDAExecutionProvider', 'CPUExecutionProvider'],
                             in descending order of preference
"""
FELL_BACK = CUDA + (
    "EP Error /onnxruntime_src/cuda_execution_provider_info.cc:59 when using ['CUDAExecutionProvider',"
    " 'CPUExecutionProvider']\nFalling back to ['CPUExecutionProvider'] and retrying.\n"
)
CPU = "\x1b[32mINFO\x1b[0m Setting execution providers to ['CPUExecutionProvider'], in descending order of preference\n"
OPENVINO = CPU.replace("CPUExecutionProvider'", "OpenVINOExecutionProvider', 'CPUExecutionProvider'")


def outcomes(checks: Sequence[Check]) -> dict[tuple[str, str], str]:
    return {(check.subject, check.name): check.outcome for check in checks}


def with_unit(workload: str, **more: Any) -> Recorded:
    return Recorded([unit(name, **(more if name == workload else {})) for name in WORKLOADS])


def test_a_stack_whose_containers_are_well_passes() -> None:
    assert set(outcomes(containers.containers(target())).values()) == {"pass"}


@pytest.mark.parametrize(
    ("more", "name", "outcome"),
    [
        ({"state": "exited", "exit_code": 1}, "health", "fail"),
        ({"state": "CrashLoopBackOff", "health": ""}, "health", "fail"),
        ({"health": "unhealthy"}, "health", "fail"),
        ({"health": "starting"}, "health", "not-checked"),
        ({"health": ""}, "health", "pass"),
        ({"restarts": 3, "since": NOW - 60}, "restarts", "fail"),
        ({"restarts": 3, "since": NOW - DAY}, "restarts", "pass"),
    ],
)
def test_a_container_that_is_not_well_is_told_by_name(more: dict[str, Any], name: str, outcome: str) -> None:
    found = outcomes(containers.containers(target(with_unit("cache", **more))))
    assert found["container cache", name] == outcome
    others = {value for (about, _), value in found.items() if about != "container cache"}
    assert others == {"pass"}


@pytest.mark.parametrize(("name", "kind"), [("database", "statefulset"), ("proxy", "deployment")])
def test_the_log_is_asked_of_the_controller_that_there_is(name: str, kind: str) -> None:
    found = containers.containers(target(with_unit(name, restarts=3, since=NOW - 60), cluster=True))
    assert [one.fix for one in found if one.name == "restarts" and one.outcome == "fail"] == [
        f"kubectl -n immich logs {kind}/immich-{name}"
    ]


def test_a_container_that_is_not_there_is_told() -> None:
    found = containers.containers(target(Recorded([unit(name) for name in WORKLOADS if name != "database"])))
    assert [(one.subject, one.found) for one in found if one.outcome == "fail"] == [
        ("container database", "it is not there")
    ]


def test_an_end_for_want_of_memory_is_told_with_the_limit() -> None:
    running = with_unit("server", restarts=1, since=NOW - 60, killed_for_memory=True)
    (check,) = [one for one in containers.containers(target(running)) if one.outcome == "fail"]
    assert "for want of memory" in check.found
    assert "resources.limits.memory" in check.fix


def test_loaders_and_steps_that_have_ended_well_are_nothing_to_tell() -> None:
    loader = unit("proxy-files", state="exited", health="", task=True, exit_code=0)
    running = Recorded([*(unit(name) for name in WORKLOADS), loader])
    assert "container proxy-files" not in {one.subject for one in containers.containers(target(running))}
    broken = Recorded([unit("x-files", state="exited", task=True, exit_code=1)])
    assert outcomes(containers.containers(target(broken)))["container x-files", "ended"] == "fail"


@pytest.mark.parametrize(
    ("images", "outcome"),
    [
        (("ghcr.io/immich-app/x:v3.3.1-cuda",), "pass"),
        (("ghcr.io/immich-app/x:v3.3.1", "ghcr.io/immich-app/x@sha256:ab"), "pass"),
        (("ghcr.io/immich-app/x:v3.3.10",), "fail"),
        (("ghcr.io/immich-app/x:v3.3.0",), "fail"),
        (("ghcr.io:443/immich-app/x@sha256:ab", "sha256:ab"), "not-checked"),
    ],
)
def test_images_are_of_the_release_of_the_settings(images: tuple[str, ...], outcome: str) -> None:
    found = outcomes(containers.versions(target(with_unit("machine-learning", images=images))))
    assert found["container machine-learning", "image"] == outcome
    assert found["container server", "image"] == "pass"


# Machine learning


def answering(output: str, code: int = 0) -> Callable[[str, Sequence[str]], tuple[int, str]]:
    return lambda _workload, _command: (code, output)


@pytest.mark.parametrize(
    ("code", "output", "outcome"),
    [
        (0, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong", "pass"),
        (0, "HTTP/1.1 503 Service Unavailable\r\n\r\n", "fail"),
        (1, "bash: connect: Connection refused", "fail"),
        (124, "", "fail"),
    ],
)
def test_machine_learning_is_asked_from_the_servers_container(code: int, output: str, outcome: str) -> None:
    running = Recorded(commands=answering(output, code))
    (check,) = machine_learning.answers(target(running))
    assert check.outcome == outcome
    ((workload, command),) = running.ran
    assert (workload, command[-2:]) == ("server", ("immich-machine-learning", "3003"))


def test_background_workers_ask_where_they_are_apart() -> None:
    running = Recorded([unit("microservices")], commands=answering("pong"))
    machine_learning.answers(target(running, server={"workers": {"kind": "split"}}))
    assert running.ran[0][0] == "microservices"


def test_machine_learning_elsewhere_and_none_at_all() -> None:
    running = Recorded(commands=answering("pong"))
    urls = ["http://10.0.0.9:3003", "https://ml.example.com"]
    found = machine_learning.answers(target(running, machineLearning={"kind": "external", "urls": urls}))
    assert [one.outcome for one in found] == ["pass", "not-checked"]
    assert machine_learning.answers(target(running, machineLearning={"kind": "off"})) == []
    assert machine_learning.backend(target(running, machineLearning={"kind": "off"})) == []


def test_where_no_command_can_be_run_the_api_server_asks() -> None:
    (check,) = machine_learning.answers(target(Recorded(asked=(200, "pong")), cluster=True))
    assert check.outcome == "pass"
    (check,) = machine_learning.answers(target(Recorded(), cluster=True))
    assert check.outcome == "not-checked"


@pytest.mark.parametrize(
    ("backend", "log", "outcome"),
    [
        ("cuda", CUDA, "pass"),
        ("cuda", FELL_BACK, "fail"),
        ("cuda", CPU, "fail"),
        ("cuda", CPU + CUDA, "pass"),
        ("cuda", CUDA + CPU, "fail"),
        ("cuda", "Application startup complete.", "not-checked"),
        ("rocm", CUDA.replace("CUDA", "MIGraphX"), "pass"),
        ("openvino", OPENVINO, "pass"),
        ("openvino", CPU, "fail"),
        ("armnn", "Loading ANN model /cache/clip/x/textual/model.armnn ...", "pass"),
        ("armnn", CPU, "fail"),
        ("rknn", "Loading RKNN model from /cache/x with 2 threads.", "pass"),
        ("rknn", "Loading RKNN model from /cache/x with 2 threads.\n" + CPU, "fail"),
        ("cpu", CPU, "pass"),
        ("cpu", "", "pass"),
    ],
)
def test_the_backend_is_what_the_last_loaded_model_says(backend: str, log: str, outcome: str) -> None:
    check = machine_learning.judge_backend(backend, log, "docker logs x")
    assert check.outcome == outcome, check
    assert (
        outcome == "not-checked"
        or backend == "cpu"
        or "docker logs x" in check.found + check.expected
        or "log" in check.found
    )


# Devices and libraries


@pytest.mark.parametrize(
    ("output", "outcome"),
    [("/dev/dri/renderD128 open\n", "pass"), ("/dev/dri/renderD128 closed\n", "fail"), ("", "fail")],
)
def test_the_transcoding_device_is_there_and_open(output: str, outcome: str) -> None:
    running = Recorded(commands=answering(output))
    (check,) = media.device(target(running, server={"acceleration": "vaapi"}))
    assert check.outcome == outcome
    assert media.device(target(running)) == []


MOUNTS = "overlay / overlay rw 0 0\n/dev/sda1 /data ext4 rw 0 0\nnas:/p /mnt/nas nfs4 {how},relatime,vers=4.2 0 0\n"
LIBRARY = {
    "externalLibraries": [
        {"name": "nas", "mountPath": "/mnt/nas", "source": {"kind": "hostPath", "path": "/srv/nas"}}
    ]
}


def library(
    how: str = "ro", listing: tuple[int, str] = (0, "2020\n"), mounts: str = MOUNTS
) -> dict[str, str]:
    def commands(_: str, command: Sequence[str]) -> tuple[int, str]:
        return (0, mounts.format(how=how)) if command[0] == "cat" else listing

    found = media.libraries(target(Recorded(commands=commands), storage=LIBRARY))
    return {check.name: check.outcome for check in found}


def test_a_library_is_mounted_read_only_and_not_empty() -> None:
    assert library() == {"mounted": "pass", "read-only": "pass", "not-empty": "pass"}
    assert library(how="rw")["read-only"] == "fail"
    assert library(listing=(0, ""))["not-empty"] == "fail"
    assert library(listing=(124, ""))["not-empty"] == "fail"
    assert (
        library(listing=(1, "ls: cannot open directory '/mnt/nas': Permission denied"))["not-empty"] == "fail"
    )
    assert library(mounts="overlay / overlay rw 0 0\n") == {"mounted": "fail"}


def test_of_mounts_over_one_another_the_last_counts() -> None:
    text = "a /mnt/my\\040nas ext4 rw 0 0\nb /mnt/my\\040nas nfs ro,x 0 0\n"
    assert media.mounted(text) == {"/mnt/my nas": {"ro", "x"}}


# Openings

PUBLISHED = Opening(owner="immich-unit-proxy", kind="port", address="", port=2283)


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        ([PUBLISHED], "pass"),
        ([], "fail"),
        ([PUBLISHED, Opening(owner="immich-unit-database", kind="port", address="", port=5432)], "fail"),
        (
            [PUBLISHED, Opening(owner="immich-unit-proxy", kind="port", address="127.0.0.1", port=2283)],
            "fail",
        ),
        ([PUBLISHED, Opening(owner="immich-unit-x", kind="hostNetwork", address="", port=0)], "fail"),
    ],
)
def test_what_is_open_is_what_the_settings_open(found: list[Opening], outcome: str) -> None:
    (check,) = exposure.openings(target(Recorded(open=found)))
    assert check.outcome == outcome


@pytest.mark.parametrize(
    ("monitoring", "opened"),
    [
        ({"kind": "bundled", "grafana": {"port": 3001}}, ("grafana", "127.0.0.1", 3001)),
        ({"kind": "scrape-only", "address": "10.0.0.5"}, ("server", "10.0.0.5", 8081)),
    ],
)
def test_grafana_and_published_numbers_are_what_the_settings_open(
    monitoring: dict[str, Any], opened: tuple[str, str, int]
) -> None:
    workload, address, port = opened
    asked = target(monitoring=monitoring)
    wanted = exposure.published(asked)
    assert Opening(owner=f"immich-unit-{workload}", kind="port", address=address, port=port) in wanted
    (check,) = exposure.openings(replace(asked, running=Recorded(open=wanted)))
    assert check.outcome == "pass"
    (missing,) = exposure.openings(replace(asked, running=Recorded(open=[PUBLISHED])))
    assert missing.outcome == "fail"


def test_services_of_a_cluster_are_those_of_the_settings() -> None:
    def outcome(*found: Opening, **sections: Any) -> str:
        (check,) = exposure.openings(target(Recorded(open=list(found)), cluster=True, **sections))
        return check.outcome

    assert outcome() == "pass"
    assert outcome(Opening(owner="immich-server", kind="NodePort", address="", port=30083)) == "fail"
    assert outcome(Opening(owner="immich-database", kind="LoadBalancer", address="", port=5432)) == "fail"


def test_strangers_in_the_networks_are_named() -> None:
    (check,) = exposure.strangers(target(Recorded(others=["watchtower"])))
    assert (check.outcome, "watchtower" in check.found) == ("fail", True)
    assert outcomes(exposure.strangers(target())) == {("exposure", "networks"): "pass"}


# Backups

NIGHTLY = "0 2 * * *"


def status(age: float, **more: object) -> dict[str, object]:
    return {"result": "success", "verdict": "ok", "message": "", "lastSuccess": NOW - age, **more}


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        (status(3600), "pass"),
        (status(47 * 3600), "pass"),
        (status(49 * 3600), "fail"),
        (status(3600, result="failed", verdict="target-full"), "fail"),
        (status(3600, result="running"), "pass"),
        (status(3600, lastSuccess=0), "fail"),
        (None, "fail"),
    ],
)
def test_a_backup_is_fresh_by_its_schedule(found: dict[str, object] | None, outcome: str) -> None:
    assert judge("unit", "dump", NIGHTLY, found, NOW).outcome == outcome


def test_a_weekly_drill_is_proven_for_eight_days() -> None:
    weekly = "30 4 * * 0"
    assert judge("unit", "drill", weekly, status(7.9 * DAY), NOW).outcome == "pass"
    check = judge("unit", "drill", weekly, status(8.1 * DAY), NOW)
    assert (check.outcome, check.name) == ("fail", "proven")
    assert "make drill STACK=unit" in check.fix


def test_each_target_has_a_copy_and_a_check_that_failed_is_told() -> None:
    disk = {"name": "disk", "kind": "local", "source": {"kind": "hostPath", "path": "/mnt/disk"}}
    sections: dict[str, Any] = {"backup": {"targets": [disk]}}
    states = {
        "dump": status(60), "copy-disk": status(60), "drill": status(60),
        "check-disk": status(60, result="failed", verdict="damaged", message="pack ab is damaged"),
    }  # fmt: skip
    there = target(Recorded(states=states), **sections)
    assert [name for name, _ in wanted(there.settings)] == ["dump", "copy-disk", "drill"]
    found = backups(there)
    assert [(one.subject, one.outcome) for one in found] == [
        ("backup dump", "pass"), ("backup copy-disk", "pass"), ("backup drill", "pass"), ("backup check-disk", "fail"),
    ]  # fmt: skip
    assert "pack ab is damaged" in found[-1].found


def test_without_backups_nothing_is_said_to_be_well() -> None:
    (check,) = backups(target())
    assert check.outcome == "not-checked"
