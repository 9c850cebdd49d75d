"""One photo back: what is refused before anything runs, what is asked of the engine and of a cluster, and its end."""

from __future__ import annotations

import json
import struct
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from components.settings.model import Settings
from components.settings.reader import read_settings
from tests.harness.engine import ROOT
from toolchain import restore, restore_docker, restore_kubernetes, restore_request
from toolchain.failure import ToolchainError
from toolchain.offline.plugins.docker.connection import Engine, RefusedError
from toolchain.offline.plugins.kubernetes.client import Client
from toolchain.offline.plugins.values import Object
from toolchain.restore_request import Request
from toolchain.tasks_kubernetes import Cluster

WANTED = Request(stack="home", file="a $(HOME) photo.jpg", media=frozenset({"/data", "/data/thumbs"}))


def settings(*targets: str, backup: bool = True) -> Settings:
    config = yaml.safe_load((ROOT / "Pulumi.home.yaml").read_text())["config"]
    sections: dict[str, Any] = {key.removeprefix("immich:"): value for key, value in config.items()}
    local = [
        {"name": name, "kind": "local", "source": {"kind": "hostPath", "path": f"/mnt/{name}"}}
        for name in targets
    ]
    sections["backup"] = {"targets": local}
    if not backup:
        del sections["backup"]
    return read_settings("home", {key: json.dumps(value) for key, value in sections.items()})


# What is asked


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("latest", "latest"),
        ("1f0c24ab", "1f0c24ab"),
        ("2026-11", "2026-11"),
        ("2026-11-20", "2026-11-20"),
        ("2026-11-20T18:00:00Z", "2026-11-20T18:00:00Z"),
        ("2026-11-20 18:00", "2026-11-20T18:00:00Z"),
        ("2026-11-20T01:00:00+02:00", "2026-11-19T23:00:00Z"),
    ],
)
def test_a_time_is_given_on_in_utc(given: str, taken: str) -> None:
    assert restore_request.moment(given) == taken


@pytest.mark.parametrize("given", ["", "yesterday", "20.11.2026", "2026-13-01T00:00", "LATEST", "xyz12345"])
def test_what_is_neither_snapshot_nor_time_is_refused_with_examples(given: str) -> None:
    with pytest.raises(ToolchainError, match="give latest, a snapshot's id such as 1f0c24ab, or a time"):
        restore_request.moment(given)


def test_the_arguments_of_the_script_are_path_time_and_target() -> None:
    found = restore_request.request("home", settings("disk", "nas"), "x.jpg", "2026-11-20 18:00", "nas")
    assert found.arguments == ["x.jpg", "2026-11-20T18:00:00Z", "nas"]
    assert found.media == {"/data"}
    assert restore_request.request("home", settings("disk"), "x.jpg", "latest", None).arguments == [
        "x.jpg",
        "latest",
    ]


@pytest.mark.parametrize(
    ("given", "file", "target", "reason"),
    [
        (
            settings(backup=False),
            "x.jpg",
            None,
            r"home has no copies .* immich:backup.targets of Pulumi.home",
        ),
        (settings(), "x.jpg", None, r"home has no copies of its files"),
        (settings("disk", "nas"), "x.jpg", "cloud", r"no target 'cloud': give one of disk, nas"),
        (settings("disk"), "//", None, r"--file \(FILE=...\): give a path"),
        (settings("disk"), "", None, r"--file \(FILE=...\): give a path"),
    ],
)
def test_a_wish_that_cannot_be_met_is_told_why(
    given: Settings, file: str, target: str | None, reason: str
) -> None:
    with pytest.raises(ToolchainError, match=reason):
        restore_request.request("home", given, file, "latest", target)


@pytest.mark.parametrize("arguments", [[], ["home"], ["--file", "x"], ["home", "--file", "x", "more"]])
def test_a_wrong_call_ends_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["restore", *arguments])
    with pytest.raises(SystemExit) as ended:
        restore.main()
    assert ended.value.code == 2
    assert "usage: python -m toolchain.restore" in capsys.readouterr().err


def test_a_line_of_the_script_is_told_without_its_time() -> None:
    assert restore_request.said("2026-11-21T02:00:00Z snapshot 1 has:") == "snapshot 1 has:"
    assert restore_request.said("plain") == "plain"


@pytest.mark.parametrize(("code", "fine"), [(0, True), (1, True), (2, True), (3, True), (137, False)])
def test_only_the_scripts_own_exit_codes_are_given_on(
    monkeypatch: pytest.MonkeyPatch, code: int, fine: bool
) -> None:
    def run(*_: object) -> int:
        return code

    monkeypatch.setattr(restore_docker, "run", run)
    if fine:
        assert restore.restore(WANTED, settings("disk"), print) == code
    else:
        with pytest.raises(ToolchainError, match="exit code 137"):
            restore.restore(WANTED, settings("disk"), print)


def test_the_step_and_the_script_are_those_that_backups_have() -> None:
    text = (ROOT / "components" / "backup" / "component.py").read_text()
    name = Path(restore_request.RESTORE_ONE)
    assert f'"{restore_request.COPY_STEP}"' in text
    assert f'"{name.name}": restore_one_script' in text
    assert f'_SCRIPTS = "{name.parent}"' in text


# One host

STEP: Object = {
    "Image": "sha256:1",
    "Config": {"User": "1000:1000", "Env": ["TZ=UTC"], "Hostname": "immich-home-backup-copy"},
    "HostConfig": {
        "CapDrop": ["ALL"], "ReadonlyRootfs": True, "SecurityOpt": ["no-new-privileges:true"],
        "Memory": 1, "Tmpfs": {"/tmp": "rw"}, "RestartPolicy": {"Name": "always"}, "Privileged": False,
    },
    "Mounts": [
        {"Type": "volume", "Name": "immich-home-media", "Destination": "/data", "RW": False, "Source": "/var/x"},
        {"Type": "bind", "Source": "/mnt/thumbs", "Destination": "/data/thumbs", "RW": False},
        {"Type": "bind", "Source": "/mnt/else", "Destination": "/libraries/else", "RW": False},
        {"Type": "volume", "Name": "immich-home-backup", "Destination": "/backup", "RW": True},
        {"Type": "volume", "Name": "secret", "Destination": "/run/secrets/backup", "RW": False},
        {"Type": "tmpfs", "Destination": "/tmp", "RW": True},
    ],
    "NetworkSettings": {"Networks": {"immich-home-a": {}, "immich-home-b": {}}},
}  # fmt: skip


def test_the_container_is_that_of_the_step_with_photos_writable() -> None:
    found = restore_docker.body(STEP, WANTED, "token")
    host = cast("dict[str, Any]", found["HostConfig"])
    assert (found["Image"], found["User"]) == ("sha256:1", "1000:1000")
    assert found["Entrypoint"] == ["/bin/sh", restore_request.RESTORE_ONE]
    assert found["Cmd"] == [WANTED.file, "latest"]
    assert (host["CapDrop"], host["ReadonlyRootfs"], host["SecurityOpt"], host["Memory"], host["Tmpfs"]) == (
        ["ALL"],
        True,
        ["no-new-privileges:true"],
        1,
        {"/tmp": "rw"},
    )
    assert host["RestartPolicy"] == {"Name": "no"}
    assert host["NetworkMode"] == "immich-home-a"
    mounted = {one["Target"]: (one["Type"], one["Source"], one["ReadOnly"]) for one in host["Mounts"]}
    assert mounted == {
        "/data": ("volume", "immich-home-media", False),
        "/data/thumbs": ("bind", "/mnt/thumbs", False),
        "/libraries/else": ("bind", "/mnt/else", True),
        "/backup": ("volume", "immich-home-backup", False),
        "/run/secrets/backup": ("volume", "secret", True),
    }
    # The commands for tasks must not take it for a step.
    assert not any(key.startswith("immich.task") for key in cast("dict[str, str]", found["Labels"]))


def test_a_step_without_a_network_gives_a_container_without_one() -> None:
    alone: Object = {**STEP, "NetworkSettings": {"Networks": {"none": {}}}}
    assert cast("dict[str, Any]", restore_docker.body(alone, WANTED, "t")["HostConfig"])["NetworkMode"] == (
        "none"
    )


@dataclass
class StandInEngine:
    """As much of an engine as is asked here: the step's container, and the one that is made."""

    step: Object | None = field(default_factory=lambda: STEP)
    made: dict[str, Any] | None = None
    asked: list[str] = field(default_factory=list[str])
    lines: list[str] = field(default_factory=list[str])
    code: int = 0
    turns: int = 1
    interrupt: bool = False
    address: str = "unix:///stand-in.sock"

    def found(self, path: str) -> Object | None:
        if path == "/containers/immich-home-backup-copy/json":
            return self.step
        assert path == "/containers/immich-home-restore-one/json"
        return self.made

    def post(self, path: str, body: Any = None, **query: Any) -> None:
        self.asked.append(f"{path} {body.get('Container', '') if body else ''}".strip())
        if path == "/containers/create":
            if self.made is not None:
                raise RefusedError(409, "in use")
            assert query["name"] == "immich-home-restore-one"
            self.made = {"Config": {"Labels": body["Labels"]}, "State": {"Running": True}}
        if path.endswith("/stop"):
            assert self.made is not None
            self.made["State"] = {"Running": False, "ExitCode": 143}

    def raw(self, path: str, **_: bool) -> bytes:
        assert path == "/containers/immich-home-restore-one/logs"
        text = "".join(f"{line}\n" for line in self.lines).encode()
        return struct.pack(">BxxxI", 1, len(text)) + text

    def delete(self, path: str, **_: bool) -> None:
        assert path == "/containers/immich-home-restore-one"
        self.asked.append("delete")
        self.made = None

    def pause(self, seconds: float, what: str) -> None:
        del seconds, what
        if self.interrupt:
            raise KeyboardInterrupt
        self.turns -= 1
        if self.turns == 0:
            assert self.made is not None
            self.lines.append("2026-11-21T02:00:00Z the end")
            self.made["State"] = {"Running": False, "ExitCode": self.code}


def on(monkeypatch: pytest.MonkeyPatch, engine: StandInEngine) -> list[str]:
    """Restore on this engine; what it said."""
    said: list[str] = []

    @contextmanager
    def connected(*_: object) -> Generator[Engine]:
        yield cast("Engine", engine)

    monkeypatch.setattr(restore_docker, "connected", connected)
    assert restore_docker.run(WANTED, cast("Any", None), {}, said.append) == engine.code
    return said


@pytest.mark.parametrize("code", [0, 3])
def test_it_is_followed_to_its_end_and_removed(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    engine = StandInEngine(lines=["2026-11-21T02:00:00Z begins"], code=code, turns=2)
    assert on(monkeypatch, engine) == ["begins", "the end"]
    assert engine.made is None
    assert "/networks/immich-home-b/connect immich-home-restore-one" in engine.asked


def test_ctrl_c_stops_it_and_removes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = StandInEngine(interrupt=True)
    with pytest.raises(KeyboardInterrupt):
        on(monkeypatch, engine)
    assert engine.asked[-2:] == ["/containers/immich-home-restore-one/stop", "delete"]


def test_without_the_steps_container_nothing_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = StandInEngine(step=None)
    with pytest.raises(ToolchainError, match=r"is not up here.*`make up STACK=home`"):
        on(monkeypatch, engine)
    assert engine.asked == []


def test_another_restore_is_left_alone_and_what_one_left_behind_is_taken_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other: dict[str, Any] = {
        "Config": {"Labels": {"immich.restore": "other"}}, "State": {"Running": True}
    }  # fmt: skip
    engine = StandInEngine(made=other)
    with pytest.raises(ToolchainError, match="another restore runs in immich-home-restore-one"):
        on(monkeypatch, engine)
    assert engine.made is other
    other["State"] = {"Running": False}
    assert on(monkeypatch, engine) == ["the end"]


# A cluster

CRON_JOB: Object = {
    "metadata": {"name": "immich-backup", "namespace": "photos", "uid": "u"},
    "spec": {
        "jobTemplate": {
            "metadata": {
                "labels": {"app.kubernetes.io/name": "immich", "app.kubernetes.io/component": "backup"}
            },
            "spec": {
                "backoffLimit": 0,
                "template": {
                    "metadata": {"labels": {"app.kubernetes.io/component": "backup"}},
                    "spec": {
                        "initContainers": [{"name": "backup-dump", "volumeMounts": [{"name": "database"}]}],
                        "containers": [
                            {
                                "name": "backup-copy",
                                "image": "restic",
                                "securityContext": {"readOnlyRootFilesystem": True},
                                "command": ["/bin/sh", "/etc/immich-scripts/run.sh"],
                                "volumeMounts": [
                                    {"name": "media", "mountPath": "/data", "readOnly": True},
                                    {"name": "library", "mountPath": "/libraries/x", "readOnly": True},
                                    {"name": "secret", "mountPath": "/run/secrets/backup", "readOnly": True},
                                ],
                            }
                        ],
                        "volumes": [
                            {"name": "media", "persistentVolumeClaim": {"claimName": "m", "readOnly": True}},
                            {
                                "name": "library",
                                "persistentVolumeClaim": {"claimName": "l", "readOnly": True},
                            },
                            {"name": "secret", "secret": {"secretName": "s"}},
                            {"name": "database", "emptyDir": {}},
                        ],
                    },
                },
            },
        }
    },
}


def test_the_job_has_the_step_alone_with_photos_writable() -> None:
    found = cast("dict[str, Any]", restore_kubernetes.job(CRON_JOB, WANTED, "t"))
    assert found["metadata"]["namespace"] == "photos"
    assert found["metadata"]["labels"]["app.kubernetes.io/component"] == "restore-one"
    (owner,) = found["metadata"]["ownerReferences"]
    assert (owner["uid"], owner.get("controller", False)) == ("u", False)
    assert found["spec"]["backoffLimit"] == 0
    # Network policies know the pods of backups by this.
    template = found["spec"]["template"]
    assert template["metadata"]["labels"] == {"app.kubernetes.io/component": "backup"}
    pod = template["spec"]
    assert pod["initContainers"] == []
    (container,) = pod["containers"]
    assert container["command"] == ["/bin/sh", restore_request.RESTORE_ONE]
    assert container["args"] == ["a $$(HOME) photo.jpg", "latest"]
    assert container["securityContext"] == {"readOnlyRootFilesystem": True}
    assert {one["name"]: one.get("readOnly", False) for one in container["volumeMounts"]} == {
        "media": False, "library": True, "secret": True,
    }  # fmt: skip
    assert pod["volumes"] == [
        {"name": "media", "persistentVolumeClaim": {"claimName": "m"}},
        {"name": "library", "persistentVolumeClaim": {"claimName": "l", "readOnly": True}},
        {"name": "secret", "secret": {"secretName": "s"}},
    ]


@dataclass
class StandInClient:
    """As much of an API server as is asked here. The pod goes through `states`, the last one stays."""

    states: list[Object]
    cron_job: Object | None = field(default_factory=lambda: CRON_JOB)
    failed: bool = False
    log: str = "2026-11-21T02:00:00Z one\n2026-11-21T02:00:01Z two\n"
    server: str = "https://stand-in"
    jobs: dict[str, Object] = field(default_factory=dict[str, Object])
    removed: list[str] = field(default_factory=list[str])
    interrupt: bool = False

    def get(self, kind: Any, namespace: str, name: str) -> Object | None:
        assert namespace == "photos"
        if kind.kind == "CronJob":
            assert name == "immich-backup"
            return self.cron_job
        if self.interrupt:
            raise KeyboardInterrupt
        return self.jobs.get(name)

    def create(self, item: Object, manager: str) -> Object:
        assert manager
        made = cast("dict[str, Any]", dict(item))
        if self.failed:
            conditions = [{"type": "Failed", "status": "True", "message": "no pod could be made"}]
            made["status"] = {"conditions": conditions}
        self.jobs[made["metadata"]["name"]] = made
        return made

    def list(self, kind: Any, namespace: str, **query: str) -> list[Object]:
        assert (kind.kind, namespace) == ("Pod", "photos")
        (name,) = self.jobs
        assert query == {"labelSelector": f"batch.kubernetes.io/job-name={name}"}
        if not self.states:
            return []
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        statuses = {"containerStatuses": [{"name": "backup-copy", "state": state}]}
        return [cast("Object", {"metadata": {"name": f"{name}-x"}, "status": statuses})]

    def path(self, *names: Any) -> str:
        return "/".join(str(one) for one in names[1:])

    def text(self, path: str, query: Mapping[str, str]) -> str:
        assert path.endswith("-x/log")
        assert query["container"] == "backup-copy"
        return self.log

    def delete(self, kind: Any, namespace: str, name: str, propagation: str) -> bool:
        assert (kind.kind, namespace, propagation) == ("Job", "photos", "Background")
        self.removed.append(name)
        return True


def in_cluster(client: StandInClient) -> tuple[int, list[str]]:
    said: list[str] = []
    cluster = Cluster(client=cast("Client", client), namespace="photos", stack="home")
    return restore_kubernetes.run(WANTED, cluster, pause=0, tell=said.append), said


@pytest.mark.parametrize("code", [0, 1, 3])
def test_the_job_is_followed_to_its_end_and_removed(code: int) -> None:
    waiting: Object = {"waiting": {"reason": "ContainerCreating"}}
    client = StandInClient([waiting, {"running": {}}, {"terminated": {"exitCode": code}}])
    assert in_cluster(client) == (code, ["starting ContainerCreating", "one", "two"])
    assert client.removed == list(client.jobs)


def test_ctrl_c_removes_the_job() -> None:
    client = StandInClient([{"running": {}}], interrupt=True)
    with pytest.raises(KeyboardInterrupt):
        in_cluster(client)
    assert client.removed == list(client.jobs)


def test_a_job_that_gets_no_pod_is_told_and_removed() -> None:
    client = StandInClient([], failed=True)
    with pytest.raises(ToolchainError, match="failed: no pod could be made"):
        in_cluster(client)
    assert client.removed == list(client.jobs)


def test_a_cluster_without_backups_or_without_copies_is_told_so() -> None:
    with pytest.raises(ToolchainError, match=r"no CronJob immich-backup in the namespace photos.*make up"):
        in_cluster(StandInClient([], cron_job=None))
    only_dump = cast("dict[str, Any]", yaml.safe_load(yaml.safe_dump(CRON_JOB)))
    pod = only_dump["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    pod["containers"], pod["initContainers"] = pod["initContainers"], []
    with pytest.raises(ToolchainError, match="has no step backup-copy"):
        in_cluster(StandInClient([], cron_job=only_dump))
