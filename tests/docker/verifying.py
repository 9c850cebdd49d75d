"""`make verify` of the stack with everything: a way to ask it, and ways to break what it looks at and to mend that."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from docker.models.containers import Container

from tests.docker import host
from tests.docker.stacks import HostStack
from toolchain.stack_settings import settings_without_secrets, stack_texts
from toolchain.verify.docker_host import DockerHost
from toolchain.verify.model import Check
from toolchain.verify.runner import verify
from toolchain.verify.target import Options, Target, chosen_doors, ends_tls
from toolchain.verify.wire import Wire

PASSWORD: Final = "a long way to the admin"
EMAIL: Final = "admin@example.com"
LIBRARY: Final = "srv/immich/import"


@dataclass
class Verified:
    """The stack and how it is asked."""

    stack: HostStack
    target: Target
    certificate: Path
    """Which the machine of whoever asks trusts."""

    def ask(self, *only: str, target: Target | None = None) -> list[Check]:
        """Every check, or those of some groups."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SSL_CERT_FILE", str(self.certificate))
            return verify(target or self.target, only)

    def failures(self, *only: str, target: Target | None = None) -> list[tuple[str, str]]:
        """Subject and name of what failed; subjects of doors without their address."""
        return sorted(short(check) for check in self.ask(*only, target=target) if check.outcome == "fail")

    def container(self, workload: str) -> Container:
        """The container of a workload."""
        return self.stack.container(workload)

    def volume(self, container: str, path: str) -> Path:
        """The host's folder of what a container has mounted at `path`."""
        mounts = self.container(container).attrs["Mounts"]
        return next(Path(one["Source"]) for one in mounts if one["Destination"] == path)

    @contextmanager
    def file(self, path: Path, old: str, new: str, *, count: int = -1) -> Generator[None]:
        """Another text in a file meanwhile. AssertionError where the old one is not in it."""
        before = path.read_text(encoding="utf-8")
        assert old in before, f"{path} has no {old!r}"
        path.write_text(before.replace(old, new, count), encoding="utf-8")
        try:
            yield
        finally:
            path.write_text(before, encoding="utf-8")

    @contextmanager
    def nginx(self, file: str, old: str, new: str, *, count: int = -1) -> Generator[None]:
        """nginx with another configuration meanwhile, as somebody with an editor would have it."""
        try:
            with self.file(self.volume("proxy", "/etc/immich") / file, old, new, count=count):
                self.reload_nginx()
                yield
        finally:
            self.reload_nginx()

    def reload_nginx(self) -> None:
        """Take up what is in its files. Returns when no worker of before takes connections."""
        pid = host.host_pid(self.container("proxy"))
        before = workers(pid)
        self.container("proxy").kill("HUP")

        def renewed() -> bool:
            now = workers(pid)
            return bool(now) and not now & before

        host.until(renewed, "nginx has new workers", 30)

    @contextmanager
    def stopped(self, workload: str) -> Generator[None]:
        """A container that was killed by command, which the engine does not start again."""
        container = self.container(workload)
        container.kill()
        host.until(lambda: not _running(container), f"{workload} has ended", 20)
        try:
            yield
        finally:
            container.start()
            host.wait_healthy(container)

    @contextmanager
    def statuses(self, **given: dict[str, object]) -> Generator[None]:
        """These status files, as runs of backups leave them, and no other; `_` of a name is a hyphen in the file's."""
        folder = self.volume("backup-dump", "/backup") / "status"
        before = {path: path.read_text() for path in folder.glob("*.json")}
        for path in before:
            path.unlink()
        written = {folder / f"{name.replace('_', '-')}.json": content for name, content in given.items()}
        for path, content in written.items():
            path.write_text(json.dumps(content), encoding="utf-8")
        try:
            yield
        finally:
            for path in written:
                path.unlink()
            for path, text in before.items():
                path.write_text(text)


def short(check: Check) -> tuple[str, str]:
    """Subject and name; of a door only its name."""
    return " ".join(check.subject.split()[:2]), check.name


def success(seconds_ago: float = 600, **more: object) -> dict[str, object]:
    """What a run that went well leaves."""
    ended = int(time.time() - seconds_ago)
    return {
        "version": 1, "started": ended - 60, "finished": ended, "result": "success", "verdict": "ok",
        "message": "all is well", "lastSuccess": ended, **more,
    }  # fmt: skip


def workers(pid: int) -> set[int]:
    """nginx's workers that still take connections."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    titles = {int(child): Path(f"/proc/{child}/cmdline").read_bytes() for child in children}
    return {child for child, title in titles.items() if b"shutting down" not in title}


def _running(container: Container) -> bool:
    container.reload()
    return bool(container.attrs["State"]["Running"])


def sign_up(stack: HostStack) -> str:
    """The first admin, made on the host itself, and a key of the API."""
    door = stack.door()
    headers = {"Content-Type": "application/json"}
    given = json.dumps({"email": EMAIL, "password": PASSWORD, "name": "Admin"}).encode()
    made = door.request("POST", "/api/auth/admin-sign-up", given, headers)
    assert made.status == 201, made
    session = door.request("POST", "/api/auth/login", given, headers)
    assert session.status == 201, session
    bearer = {"Authorization": f"Bearer {session.json()['accessToken']}", **headers}
    key = door.request("POST", "/api/api-keys", b'{"name": "verify", "permissions": ["all"]}', bearer)
    assert key.status == 201, key
    return str(key.json()["secret"])


def target_of(stack: HostStack, key: str | None) -> Target:
    """The stack as `make verify` sees it, from a client's address."""
    settings, missing = settings_without_secrets(stack.name, *stack_texts(stack.deployment.settings_file))
    assert not missing
    assert settings.docker is not None
    (_, port, redirect), *_ = stack.ways()
    assert redirect is not None
    name, there = str(settings.host.name), stack.place.network.address
    connect = {f"{name}:{one}": (there, one) for one in (port, redirect)}
    return Target(
        stack=stack.name,
        settings=settings,
        running=DockerHost.connect(stack.name, settings.docker, os.environ),
        wire=Wire(connect=connect),
        options=Options(api_key=key),
        # The tunnel's other end is nowhere, and the way in for neighbours is on the host's own address.
        doors=tuple(door for door in chosen_doors(settings, None) if ends_tls(door)),
    )
