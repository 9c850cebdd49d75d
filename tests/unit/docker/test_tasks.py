"""What a host makes of a task: hardened containers that wait or run once, in order, with nothing secret in the open."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.model.secret_text import SecretText
from components.model.specs import PublishedSecret
from components.model.task import Task
from components.model.values import Quantity
from components.model.workload import (
    CommandCheck,
    ConfigFiles,
    Egress,
    Link,
    Port,
    SecretFiles,
    Storage,
    VolumeRequest,
    Workload,
)
from components.platform.docker import networks, tasks
from components.platform.docker.platform import DockerPlatform
from components.settings.docker import NETWORKS
from tests.harness import mocks
from tests.unit.docker.parts import OPTIONS, labels_of, options, workload

CONTAINER = "docker:index/container:Container"
STASH = "pulumi:index:Stash"
SECRET = "hunter2-and-more"


def step(name: str, **more: Any) -> Workload:
    """A step that copies."""
    given: dict[str, Any] = {
        "command": ("/bin/sh", "/scripts/run.sh"),
        "mounts": (
            Storage(volume="backup", path="/backup"),
            ConfigFiles(name=name, path="/scripts", files={"run.sh": "true"}),
            SecretFiles(secret="backup", path="/run/secrets/backup", items={"password": "password"}),
        ),
        "termination_grace": 60,
    }
    return workload(name=name, **{**given, **more})


DUMP, COPY = step("backup-dump"), step("backup-copy")
NIGHTLY = Task(name="backup", steps=(DUMP, COPY), schedule="30 2 * * *", timezone="Europe/Vienna")
ONCE = replace(NIGHTLY, name="restore", schedule=None)


def made(
    task: Task,
    *,
    codes: Mapping[str, object] | None = None,
    preview: bool = False,
    waiting: bool = False,
    registered: set[str] | None = None,
) -> mocks.Run:
    """What the platform registers; `codes` are the exit codes of containers by their name's end, else 0.

    `registered` gets the names of containers also where the program fails.
    """

    def computed(one: mocks.Recorded) -> Mapping[str, Any]:
        if one.type == CONTAINER:
            if registered is not None and not one.name.endswith("-files"):
                registered.add(one.name.removeprefix("immich-home-"))
            ends = [code for name, code in (codes or {}).items() if one.name.endswith(name)]
            return {"exitCode": ends[0] if ends else 0}
        return {"imageId": "sha256:1"} if one.type.endswith("RemoteImage") else {}

    def program() -> None:
        platform = DockerPlatform("platform", OPTIONS)
        platform.volume(VolumeRequest(name="backup", size=Quantity("1Gi")), parent=platform)
        platform.publish(
            PublishedSecret(name="backup", items={"password": SecretText.of("backupPassword")}),
            lambda keys: pulumi.Output.secret(dict.fromkeys(keys, SECRET)),
            parent=platform,
        )
        ready = platform.task(task, parent=platform)
        if waiting:
            platform.workload(workload(name="server"), parent=platform, after=[ready])
        platform.finish()

    return mocks.run(program, computed=computed, preview=preview)


def containers(run: mocks.Run) -> dict[str, mocks.Recorded]:
    """Containers by name, loaders left out."""
    return {
        one.name.removeprefix("immich-home-"): one
        for one in run.of_type(CONTAINER)
        if not one.name.endswith("-files")
    }


@pytest.mark.parametrize("task", [NIGHTLY, ONCE], ids=["scheduled", "once"])
def test_a_step_is_hardened_like_every_container_and_holds_no_secret(task: Task) -> None:
    run = made(task)
    found = containers(run)
    assert set(found) == {"backup-dump", "backup-copy"}
    for one in found.values():
        props = one.props
        assert props["user"] == "1000:1001"
        assert props["readOnly"] is True
        assert props["capabilities"] == {"drops": ["ALL"]}
        assert props["securityOpts"] == ["no-new-privileges:true"]
        assert props["networkMode"] == "none"
        assert SECRET not in json.dumps(props, default=repr)
        assert props["stopTimeout"] == 60
        assert "wait" not in props
        assert "ports" not in props


def test_a_step_of_a_schedule_waits_for_ever_and_its_health_is_asked() -> None:
    found_containers = containers(made(NIGHTLY))
    for number, name in enumerate(("backup-dump", "backup-copy"), start=1):
        props = found_containers[name].props
        assert (props["restart"], props["mustRun"]) == ("always", True)
        assert "attach" not in props
        assert props["entrypoints"] == ["/bin/sh", "/etc/immich-task/schedule.sh", "run"]
        assert props["command"] == ["/bin/sh", "/scripts/run.sh"]
        assert props["healthcheck"]["tests"] == ["CMD", "/bin/sh", "/etc/immich-task/schedule.sh", "healthy"]
        assert props["healthcheck"]["retries"] == 1
        assert props["tmpfs"]["/run/immich-task"].endswith("size=65536,uid=1000,gid=1001")
        found = labels_of(props)
        assert (found["immich.task"], found["immich.step"]) == ("backup", str(number))
        assert "immich.once" not in found
        assert "immich.revision-schedule" in found, "a changed schedule makes the container anew"


def test_a_step_that_runs_once_is_waited_for_and_not_started_again() -> None:
    for one in containers(made(ONCE)).values():
        props = one.props
        assert (props["restart"], props["mustRun"], props["attach"]) == ("no", False, True)
        assert props["entrypoints"][-1] == "once"
        assert "healthcheck" not in props
        assert labels_of(props)["immich.once"] == "true"


def test_steps_that_run_once_come_one_after_the_other_and_then_what_waits_for_them() -> None:
    run = made(ONCE, waiting=True)
    found = containers(run)
    assert found["backup-dump"].urn in found["backup-copy"].dependencies
    assert labels_of(found["backup-copy"].props)["immich.previous"] == f"{found['backup-dump'].name}-id"
    (done,) = run.of_type(STASH)
    assert done.name == "immich-home-restore-done"
    assert found["backup-copy"].urn in done.dependencies
    assert done.props == {"input": "immich-home-backup-copy-id"}, (
        "it is there only when the last step succeeded"
    )
    assert done.urn in found["server"].dependencies


def test_steps_of_a_schedule_do_not_wait_for_each_other_to_be_made() -> None:
    run = made(NIGHTLY)
    found = containers(run)
    assert found["backup-dump"].urn not in found["backup-copy"].dependencies
    assert run.of_type(STASH) == []


@pytest.mark.parametrize(
    ("failing", "code", "there"),
    [("backup-dump", 4, {"backup-dump"}), ("backup-copy", 137, {"backup-dump", "backup-copy"})],
)
def test_a_step_that_fails_is_told_by_name_and_nothing_comes_after_it(
    failing: str, code: int, there: set[str]
) -> None:
    registered: set[str] = set()
    with pytest.raises(pulumi.RunError) as told:
        made(ONCE, codes={failing: code}, waiting=True, registered=registered)
    message = str(told.value)
    assert "the task restore failed" in message
    assert f"its step immich-home-{failing} ended with exit code {code}" in message
    assert f"`docker logs immich-home-{failing}` says why" in message
    assert "`make up` again" in message
    assert registered == there


def test_a_step_that_goes_on_after_a_killed_run_is_waited_for() -> None:
    with pytest.raises(pulumi.RunError, match="immich-home-backup-dump has not ended"):
        made(ONCE, codes={"backup-dump": None})


def test_a_preview_of_steps_that_were_not_run_yet_fails_for_none_of_them() -> None:
    found = containers(made(ONCE, preview=True, waiting=True))
    assert set(found) == {"backup-dump", "backup-copy", "server"}


def test_the_volume_that_steps_write_to_is_given_to_their_user() -> None:
    run = made(NIGHTLY)
    loaders = [one for one in run.of_type(CONTAINER) if one.name.endswith("-files")]
    assert {one.name for one in loaders} == {"immich-home-backup-dump-files", "immich-home-backup-copy-files"}
    for one in loaders:
        assert "immich-home-backup" in {mount["source"] for mount in one.props["mounts"]}
        assert "chown 1000:1001 /data/0" in one.props["command"][0]
        contents = [upload["content"] for upload in one.props["uploads"]]
        assert mocks.Secret(SECRET) in contents, "a secret goes in an envelope"


def test_steps_are_in_the_networks_of_their_links_and_share_one_way_out() -> None:
    linked = options(joined=frozenset({"database", "backup-rclone"}))
    out = (Egress(reason="copies", names=("s3.example.com",)),)
    dump = step("backup-dump", links=(Link(to="database", port=5432),))
    copy = step("backup-copy", links=(Link(to="backup-rclone", port=8080),), egress=out)
    assert networks.joined_by(dump, linked, tasks.way_out()) == ["database"]
    assert networks.joined_by(copy, linked, tasks.way_out()) == ["backup-rclone", "tasks-outside"]
    assert {"backup-rclone", "backup-rclone-outside", tasks.way_out()} <= set(NETWORKS)
    assert networks.network("tasks-outside", OPTIONS)["internal"] is False
    assert networks.network("backup-rclone", OPTIONS)["internal"] is True


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"command": ()}, "backup-dump has no command"),
        ({"replicas": 2}, "one copy"),
        ({"ports": (Port(name="x", number=8080),)}, "no ports"),
    ],
)
def test_what_no_step_can_be_is_an_error_of_this_program(more: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        tasks.step(Task(name="backup", steps=(step("backup-dump", **more),)), 1)


@pytest.mark.parametrize(
    ("more", "reason"),
    [({"schedule": "0 25 * * *"}, "'25' is not a hour"), ({"timezone": "Mars/Base"}, "is no time zone")],
)
def test_a_schedule_that_is_none_is_refused(more: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        tasks.script(replace(NIGHTLY, **more), 1)


def test_health_is_asked_of_the_script_that_runs() -> None:
    one = tasks.step(NIGHTLY, 2)
    assert one.liveness is not None
    assert one.liveness.check == CommandCheck(command=("/bin/sh", "/etc/immich-task/schedule.sh", "healthy"))
    (config,) = [mount for mount in one.mounts if isinstance(mount, ConfigFiles) and mount.name == "schedule"]
    assert f"{config.path}/{next(iter(config.files))}" == one.command[1]


SCRIPTS: dict[str, Callable[[], str]] = {
    "first": lambda: tasks.script(NIGHTLY, 1),
    "second": lambda: tasks.script(NIGHTLY, 2),
    "hourly-either": lambda: tasks.script(replace(NIGHTLY, schedule="0 * 1 * 1", timezone="UTC"), 1),
    "once": lambda: tasks.script(ONCE, 1),
    "once-last": lambda: tasks.script(ONCE, 2),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_script_is_what_shellcheck_wants(name: str, tmp_path: Path) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    path = tmp_path / "schedule.sh"
    path.write_text(SCRIPTS[name]())
    found = subprocess.run(
        ["shellcheck", "-s", "sh", "-S", "warning", str(path)], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout
