"""`make restart` and `make shell`: what they ask of a platform, and what they say where they cannot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.verify.parts import ON_A_CLUSTER, Recorded, settings, unit
from toolchain.failure import ToolchainError
from toolchain.restart import restart
from toolchain.shell import command_line, variables
from toolchain.verify.running import Unit


def restarted(running: Recorded, *parts: str, patience: float = 60) -> list[str]:
    lines: list[str] = []
    restart(running, "unit", parts, patience=patience, tell=lines.append, pause=lambda _: None)
    return lines


def test_without_a_part_immich_alone_is_restarted() -> None:
    running = Recorded()
    lines = restarted(running)
    assert running.restarted == ["immich-unit-server", "immich-unit-machine-learning"]
    assert lines[1] == "immich-unit-server: healthy after 0 s"


def test_nothing_that_runs_is_no_success() -> None:
    with pytest.raises(ToolchainError, match="no part 'server' that runs"):
        restarted(Recorded(found=[]))


def test_each_copy_of_a_part_comes_after_the_one_before() -> None:
    running = Recorded(found=[unit("server"), replace(unit("server"), name="second"), unit("cache")])
    restarted(running, "server")
    assert running.restarted == ["immich-unit-server", "second"]


def test_a_part_that_does_not_come_back_is_told_with_its_state() -> None:
    class Broken(Recorded):
        def restart(self, unit: Unit) -> None:
            super().restart(unit)
            self.found = [replace(one, health="unhealthy") for one in self.found]

    with pytest.raises(ToolchainError, match=r"cache is not healthy .*immich-unit-cache unhealthy"):
        restarted(Broken(), "cache", patience=0)


def test_the_old_process_is_not_taken_for_the_new_one() -> None:
    class Deaf(Recorded):
        def restart(self, unit: Unit) -> None:
            self.restarted.append(unit.name)

    with pytest.raises(ToolchainError, match="not healthy"):
        restarted(Deaf(), "cache", patience=0)


def test_an_unknown_part_is_told_with_those_there_are() -> None:
    running = Recorded(found=[unit("server"), replace(unit("backup-copy"), task=True)])
    with pytest.raises(ToolchainError, match=r"no part 'databse' that runs\. Parts there: server\."):
        restarted(running, "databse")
    assert running.restarted == []


@pytest.mark.parametrize(
    ("docker", "line"),
    [
        ({}, "docker exec -it c sh"),
        ({"engine": "podman"}, "podman exec -it c sh"),
        (
            {"host": "tcp://nas.lan:2376", "tlsFolder": "/etc/certs"},
            "docker -H tcp://nas.lan:2376 exec -it c sh",
        ),
        (
            {"host": "ssh://me@nas.lan:2222", "sshOptions": ["-i", "/k"]},
            "ssh -t -i /k -p 2222 me@nas.lan docker exec -it c sh",
        ),
    ],
)
def test_a_shell_on_a_host_is_the_engines_own(docker: dict[str, Any], line: str) -> None:
    assert " ".join(command_line(settings(docker=docker), "c", ["sh"], terminal=True)) == line


def test_a_shell_on_a_cluster_names_context_and_namespace() -> None:
    found = settings(cluster=True, **ON_A_CLUSTER, kubernetes={"context": "home", "namespace": "photos"})
    assert command_line(found, "pod-0", ["psql", "-l"], terminal=False) == [
        *("kubectl", "--context", "home", "-n", "photos", "exec", "-i", "pod-0", "--", "psql", "-l")
    ]


def test_words_of_a_command_stay_words_through_ssh() -> None:
    found = settings(docker={"host": "ssh://me@nas.lan"})
    assert command_line(found, "c", ["sh", "-c", "ls /data"], terminal=False) == [
        *("ssh", "me@nas.lan", "docker exec -i c sh -c 'ls /data'")
    ]


def test_certificates_of_the_settings_are_the_clients() -> None:
    found = settings(docker={"host": "tcp://nas.lan:2376", "tlsFolder": "/etc/certs"})
    assert variables(found, {"A": "b"}) == {
        "A": "b",
        "DOCKER_TLS_VERIFY": "1",
        "DOCKER_CERT_PATH": "/etc/certs",
    }
    assert variables(settings(), {"A": "b"}) == {"A": "b"}
