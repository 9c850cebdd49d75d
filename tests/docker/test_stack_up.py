"""`pulumi up` of each stack of one host: healthy in order, the second changes nothing, no secret can be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from components.settings.docker import Docker
from tests.docker import host
from tests.docker.standing import Standing, watched
from tests.harness.stacks import changes, steps

pytestmark = [pytest.mark.docker, pytest.mark.engine]

DUMP = {"backup-dump"}
SCHEDULED = {*DUMP, "backup-copy", "drill-fetch", "drill-database", "drill-originals"}
"""Steps that wait for their time; the engine looks at their health each minute only, so `up` waits for none of them."""
SERVED = {*SCHEDULED, "backup-rclone"}
WATCHING = {
    *("prometheus", "alertmanager", "grafana", "volume-exporter"),
    *("postgres-exporter", "valkey-exporter", "proxy-exporter", "proxy-access-log"),
}
UNASKED = {"proxy-exporter", "proxy-access-log", "valkey-exporter"}
"""Their images have nothing to ask with."""
PARTS = {
    "everything": {
        *(
            "database",
            "cache",
            "machine-learning",
            "server",
            "proxy",
            "certificates",
            "cloudflared",
            "cloudflared-2",
        ),
        *(SERVED | WATCHING),
    },
    "home": {"database", "cache", "machine-learning", "server", "proxy", *DUMP},
    "skylab": {
        *("database", "cache", "machine-learning", "server", "proxy", "cloudflared", "cloudflared-2"),
        *SCHEDULED,
    },
    "hwc": {"database", "cache", "machine-learning", "server", "proxy", *SERVED},
    "heartbeat": {"database", "cache", "machine-learning", "server", "proxy", "certificates", *SERVED},
    "heartbeat-dev": {"database", "cache", "machine-learning", "server", "proxy", "certificates", *DUMP},
    "homelab": {"database", "cache", "machine-learning", "server", "microservices", *SCHEDULED},
}
AFTER = {
    "server": ("database", "cache"),
    "microservices": ("server",),
    "proxy": ("server", "certificates"),
    "cloudflared": ("proxy",),
    "cloudflared-2": ("proxy",),
    "backup-dump": ("database",),
    "backup-copy": ("database", "backup-rclone"),
    "drill-fetch": ("database", "backup-rclone"),
}
"""Whose health each waits for, where there are both."""
MOST_MEMORY = 600 << 20
"""Bytes of a whole stack of stand-ins; real Immich needs more."""


def test_everything_comes_up_healthy_in_its_order(
    standing: Standing, record_property: Callable[[str, object], None]
) -> None:
    stack, parts = standing.stack, PARTS[standing.stack.system]
    assert {step.op for step in steps(standing.first)} == {"create"}
    assert set(standing.states) == parts
    for name, then in standing.states.items():
        assert (then.status, then.restarts) == ("running", 0), name
        if name in SCHEDULED:
            assert then.health in {"starting", "healthy"}, name
            assert host.passes_its_check(stack.container(name)), name
        elif name in UNASKED:
            assert not then.health, name
        else:
            assert then.health == "healthy", name
            standing.when(name, "health_status: healthy")
    for name, others in AFTER.items():
        for other in {*others} & parts if name in parts else ():
            began = standing.when(name, "start")
            assert standing.when(other, "health_status: healthy") <= began, (
                f"{name} began before {other} was well"
            )
    # Each start follows the end of what fills its volumes; nothing else ended.
    for one in standing.history:
        if one.what == "die":
            if one.workload == "metrics-role":  # a step that runs once
                continue
            assert one.workload.endswith("-files"), one
            assert one.time <= standing.when(one.workload.removesuffix("-files"), "start")
    used = standing.memory
    record_property("seconds_to_all_healthy", round(standing.seconds, 1))
    record_property("memory_mib", {name: round(amount / (1 << 20)) for name, amount in used.items()})
    print(
        f"{stack.name}: {standing.seconds:.1f} s to all healthy, {sum(used.values()) >> 20} MiB of stand-ins"
    )
    assert sum(used.values()) < MOST_MEMORY * (2 if WATCHING & parts else 1)


def test_the_second_up_changes_nothing_and_restarts_nothing(standing: Standing) -> None:
    stack = standing.stack
    before = {name: (one.id, one.attrs["State"]["StartedAt"]) for name, one in stack.workloads().items()}
    with watched(stack) as history:
        again = stack.up("--expect-no-changes")
    assert changes(again) == {}
    assert [one for one in history if not one.what.startswith("health_status")] == []
    after = {name: (one.id, one.attrs["State"]["StartedAt"]) for name, one in stack.workloads().items()}
    assert after == before


def test_no_secret_is_in_what_the_engine_shows_or_the_command_prints_or_the_state_keeps(
    standing: Standing,
) -> None:
    stack = standing.stack
    secrets = stack.secrets()
    wanted = {"homelab": "oauthClientSecret", "skylab": "TunnelSecret", "everything": "TunnelSecret"}
    assert {wanted.get(stack.system, "database-password")} <= set(secrets)
    shown = host.inspect_text(stack.place.client)
    kept = [path.read_text(encoding="utf-8", errors="replace") for path in stack.deployment.state_files]
    logs = [one.logs().decode(errors="replace") for one in stack.containers().values()]
    for name, value in secrets.items():
        assert len(value) >= 12, name
        for where, texts in (
            ("inspect", [shown]),
            ("output", stack.deployment.said),
            ("state", kept),
            ("log", logs),
        ):
            assert not any(value in text for text in texts), f"{name} is in {where}"

    # They are the ones in use: the same values are in the files that the containers read.
    root = Path(f"/proc/{host.host_pid(stack.container('server'))}/root/run/secrets")
    files = [path.read_text(encoding="utf-8") for path in root.rglob("*") if path.is_file()]
    assert sum(any(value in text for text in files) for value in secrets.values()) >= 2


def test_containers_have_no_right_that_they_do_not_need(standing: Standing) -> None:
    restart = Docker.model_validate(standing.stack.settings()["docker"]).restart
    for name, container in standing.stack.workloads().items():
        given = container.attrs["HostConfig"]
        assert given["ReadonlyRootfs"], name
        assert given["CapDrop"] == ["ALL"], name
        assert not given["CapAdd"], name
        assert not given["Privileged"], name
        assert "no-new-privileges:true" in given["SecurityOpt"], name
        assert 0 < given["Memory"] == given["MemorySwap"], name
        assert given["RestartPolicy"]["Name"] == restart, name
        # What the kernel says, not what was asked for.
        status = Path(f"/proc/{host.host_pid(container)}/status").read_text(encoding="utf-8")
        fields = dict(line.split(":\t", 1) for line in status.splitlines())
        assert fields["Uid"].split()[0] != "0", name
        assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0, name
        assert fields["NoNewPrivs"] == "1", name
        mounts = Path(f"/proc/{host.host_pid(container)}/mountinfo").read_text(encoding="utf-8").splitlines()
        (root,) = [line.split()[5] for line in mounts if line.split()[4] == "/"]
        assert "ro" in root.split(","), name
