"""What tests ask of a Docker host: health, processes, secrets in `inspect`, ports, and who reaches whom."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from docker.client import DockerClient
from docker.errors import APIError, NotFound
from docker.models.containers import Container

Found = TypeVar("Found")


@dataclass(frozen=True)
class State:
    """A container as `docker ps` shows it."""

    name: str
    workload: str
    """Its label `immich.workload`; empty without."""
    status: str
    """created, running, restarting, exited, paused or dead."""
    health: str
    """starting, healthy or unhealthy; empty without a health check."""
    exit_code: int
    restarts: int


def until(ask: Callable[[], Found | None], what: str, seconds: float = 60, pause: float = 0.1) -> Found:
    """Ask until there is an answer that is neither None nor False. AssertionError with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        found = ask()
        if found is not None and found is not False:
            return found
        assert time.monotonic() < deadline, f"after {seconds:.0f} s still not: {what}"
        time.sleep(pause)


def stack_containers(client: DockerClient, stack: str) -> list[State]:
    """The containers of a stack (label `immich.stack`), also those that have ended, by name."""
    listed = client.containers.list(all=True, filters={"label": f"immich.stack={stack}"}, ignore_removed=True)
    return sorted((state(one) for one in listed), key=lambda one: one.name)


def state(container: Container) -> State:
    """Read it anew."""
    container.reload()
    found: Mapping[str, Any] = container.attrs["State"]
    return State(
        name=container.name or "",
        workload=container.labels.get("immich.workload", ""),
        status=str(found["Status"]),
        health=str((found.get("Health") or {}).get("Status", "")),
        exit_code=int(found["ExitCode"]),
        restarts=int(container.attrs["RestartCount"]),
    )


def wait_healthy(container: Container, seconds: float = 60) -> None:
    """Until its health check passes, or, without one, it runs. AssertionError with its log when it does not."""
    deadline = time.monotonic() + seconds
    while True:
        now = state(container)
        if now.status == "running" and now.health in {"", "healthy"}:
            return
        if time.monotonic() > deadline or now.status in {"exited", "dead"}:
            log = container.logs(tail=30).decode(errors="replace")
            raise AssertionError(f"{now}\n{log}")
        time.sleep(0.1)


def host_pid(container: Container) -> int:
    """The pid, on this machine, of the container's first process. AssertionError when it does not run."""
    container.reload()
    pid = int(container.attrs["State"]["Pid"])
    assert pid > 0, f"{container.name} does not run"
    return pid


def kill_process(container: Container) -> int:
    """SIGKILL to the first process from outside, as the kernel does when memory runs out; gives its pid.

    Not `docker kill`: a container that was stopped by command stays down whatever its restart policy says.
    """
    pid = host_pid(container)
    os.kill(pid, signal.SIGKILL)
    return pid


def wait_longer_than_without_an_upload(server: Container) -> None:
    """Until a server that was told to end has looked for uploads more often than it would where there is none.

    It sleeps after each look.
    """
    sleeps: set[str] = set()

    def waited() -> bool:
        running = server.top(ps_args="-o pid,comm")["Processes"] or []
        sleeps.update(pid for pid, name in running if name == "sleep")
        return len(sleeps) > 4

    until(waited, "the server waits for an upload", pause=0.05)


def wait_restarted(container: Container, old_pid: int, seconds: float = 60) -> None:
    """Until the engine has started it again after its process `old_pid` ended."""

    def again() -> bool:
        container.reload()
        return int(container.attrs["State"]["Pid"]) not in {0, old_pid}

    until(again, f"{container.name} runs again", seconds)


def inspect_text(client: DockerClient, stack: str | None = None) -> str:
    """Everything that inspect shows of containers, networks, volumes and images, as one text to search for secrets.

    Escapes of JSON are undone, so a secret with a quotation mark is found as it is.
    """
    filters = _of(stack)
    shown: list[object] = []
    for container in client.containers.list(all=True, filters=filters, ignore_removed=True):
        shown += [
            client.api.inspect_container(str(container.id)),
            client.api.inspect_image(container.attrs["Image"]),
        ]
    shown += [one.attrs for one in client.networks.list(filters=filters)]
    shown += [one.attrs for one in client.volumes.list(filters=filters)]
    return "\n".join(_texts(shown)) + json.dumps(shown)


def _of(stack: str | None) -> dict[str, str | list[str] | bool]:
    return {"label": f"immich.stack={stack}"} if stack else {}


def _texts(value: object) -> list[str]:
    if isinstance(value, Mapping):
        return [text for pair in value.items() for one in pair for text in _texts(one)]
    if isinstance(value, list):
        return [text for one in value for text in _texts(one)]
    return [str(value)]


def reaches(client: DockerClient, busybox: str, network: str, host: str, port: int) -> bool:
    """Whether a container on a network gets a TCP connection to host:port within 3 s."""
    container = client.containers.run(
        busybox, ["nc", "-w", "3", host, str(port), "-e", "/bin/true"], network=network, detach=True,
        user="65534:65534", cap_drop=["ALL"], read_only=True,
    )  # fmt: skip
    try:
        return int(container.wait(timeout=30)["StatusCode"]) == 0
    finally:
        container.remove(force=True)


def reaches_from(container: Container, host: str, port: int) -> bool:
    """The same from the network of a running container, whatever is in its image: through its own namespace."""
    import subprocess

    command = ["nsenter", f"--net=/proc/{host_pid(container)}/ns/net", "bash", "-c"]
    tried = subprocess.run(
        [*command, 'exec 3<>"/dev/tcp/$0/$1"', host, str(port)], capture_output=True, timeout=10, check=False
    )
    return tried.returncode == 0


def address_of(container: Container, network: str) -> str:
    """Its IPv4 address on a network."""
    container.reload()
    return str(container.attrs["NetworkSettings"]["Networks"][network]["IPAddress"])


def published_ports(client: DockerClient, stack: str | None = None) -> set[tuple[str, str, int, int]]:
    """(container, address of the host, port of the host, port of the container) of every published port."""
    filters = _of(stack)
    found: set[tuple[str, str, int, int]] = set()
    for container in client.containers.list(filters=filters, ignore_removed=True):
        ports: Mapping[str, Any] = container.attrs["NetworkSettings"]["Ports"] or {}
        for inner, bindings in ports.items():
            for binding in bindings or []:
                name = container.name or ""
                found.add((name, binding["HostIp"], int(binding["HostPort"]), int(inner.partition("/")[0])))
    return found


def passes_its_check(container: Container) -> bool:
    """Whether its health check passes now, for those whose check is made each minute only."""
    words: list[str] = container.attrs["Config"]["Healthcheck"]["Test"]
    assert words[0] == "CMD", words
    try:
        return container.exec_run(words[1:]).exit_code == 0
    except APIError:
        return False  # it does not run


def execute(container: Container, *command: str, user: str = "") -> str:
    """Run a command in a container; its output. AssertionError when it fails."""
    finished = container.exec_run(list(command), user=user)
    assert isinstance(finished.output, bytes)
    output = finished.output.decode(errors="replace")
    assert finished.exit_code == 0, (
        f"{container.name}: {' '.join(command)} gave {finished.exit_code}: {output}"
    )
    return output


def remove_all(client: DockerClient, filters: dict[str, str | list[str] | bool]) -> None:
    """Containers, volumes and networks, data included; several at a time, since each keeps the engine waiting."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(remove_quietly, client.containers.list(all=True, filters=filters, ignore_removed=True)))
        list(pool.map(lambda one: one.remove(force=True), client.volumes.list(filters=filters)))
        list(pool.map(lambda one: one.remove(), client.networks.list(filters=filters)))


def remove_quietly(container: Container) -> None:
    """Remove a container and its anonymous volumes; one that is gone already is fine."""
    try:
        container.remove(force=True, v=True)
    except NotFound:
        return
    except APIError as error:
        if error.status_code != 409:  # its removal is under way
            raise
