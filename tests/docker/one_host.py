"""All of Immich's stand-ins as one small stack on the engine of the tests, and the uploads that it must not lose."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from docker.client import DockerClient
from docker.models.containers import Container

from components.platform.docker.tasks import ONCE_LABEL, TASK_LABEL
from components.settings.model import SECTIONS
from tests.docker.engine_process import Engine
from tests.docker.host import passes_its_check, remove_all, state, until
from tests.docker.images.library import Images
from tests.docker.transfer import PIECE, Answer, Door, content
from tests.harness.engine import Result
from tests.harness.stacks import Deployment, Step, require_cli, steps

WORKLOADS: Final = ("cache", "database", "machine-learning", "proxy", "server")
"""What runs with combined workers."""
ENDED: Final = "-files"
"""Ends the names of loaders: they have done their work once they have ended."""
AGAIN: Final = ("-machine-learning-cache", "-certificates")
"""End the names of volumes with what can be had again."""
ALL: Final = "0.0.0.0"  # noqa: S104  in the network of the tests there are only they
"""Every address of the host."""
_QUICK: Final = {"period": 2}
"""Seconds between two checks: a test waits for them."""


def small(images: Images, port: int = 2283, **sections: Mapping[str, Any]) -> dict[str, Any]:
    """Sections of a stack with every image overridden, on plain HTTP; `sections` are put over them, key by key."""
    given: dict[str, Any] = {
        "docker": {"filesImage": full(images["busybox"])},
        "host": {"name": "photos.example.com", "https": False, "port": port},
        "server": {"image": full(images["server"]), "health": _QUICK, "terminationGrace": "30s"},
        "machineLearning": {"image": full(images["machine-learning"]), "health": _QUICK},
        "database": {
            "image": full(images["postgres"]),
            "postgres": 14,
            "vectorchord": "0.4.3",
            "health": _QUICK,
        },
        "cache": {"image": full(images["valkey"]), "health": _QUICK},
        "proxy": {
            "image": full(images["nginx"]),
            "health": _QUICK,
            "expose": [{"kind": "publishedPort", "address": ALL, "port": port}],
        },
    }
    assert given.keys() | sections.keys() <= SECTIONS.keys()
    return {key: {**given.get(key, {}), **sections.get(key, {})} for key in {**given, **sections}}


def full(reference: str) -> str:
    """A reference with its registry, as settings want it; engines look for `docker.io/x/y` among what they have."""
    if "/" in reference:
        return reference if "." in reference.partition("/")[0] else f"docker.io/{reference}"
    return f"docker.io/library/{reference}"


@dataclass
class OneHost:
    """A stack of this program on the engine of the tests."""

    stack: Deployment
    engine: Engine
    client: DockerClient
    images: Images
    accepted: dict[str, tuple[int, str]] = field(default_factory=dict[str, tuple[int, str]])
    """Uploads that the server said it has: id -> bytes and SHA-1."""
    cut_off: set[str] = field(default_factory=set[str])
    """Names of files that a server which was killed has left of uploads."""
    folder: Path | None = None
    """Folder of the host that the media are in, as this process sees it; None where a volume has them."""
    _seed: int = 0

    @classmethod
    def create(
        cls,
        directory: Path,
        name: str,
        engine: Engine,
        client: DockerClient,
        images: Images,
        **sections: Any,
    ) -> OneHost:
        """A stack that is not up yet."""
        made = Deployment.create(directory, require_cli(), name, small(images, **sections))
        made.engine.env["DOCKER_HOST"] = engine.url
        add_docker_plugin(directory / "bin")
        return cls(made, engine, client, images)

    @property
    def name(self) -> str:
        """The stack's."""
        return self.stack.engine.stack

    @property
    def _own(self) -> dict[str, str | list[str] | bool]:
        """Filters for what the engine has of this stack."""
        return {"label": f"immich.stack={self.name}"}

    # Commands

    def up(self, *arguments: str, check: bool = True) -> Result:
        """As `make up` on one host: what is there is looked at first."""
        return self.stack.up("--refresh", *arguments, check=check)

    def steps(self, *arguments: str) -> list[Step]:
        """An up that must work; what it did."""
        return steps(self.up(*arguments))

    def planned(self) -> list[Step]:
        """What an up would do."""
        return steps(self.stack.do("preview", "--refresh"))

    def remove(self) -> None:
        """Everything of the stack on the engine, data as well."""
        remove_all(self.client, self._own)

    # What there is

    def container(self, workload: str) -> Container:
        """The container of a workload, running or not."""
        return self.client.containers.get(f"immich-{self.name}-{workload}")

    def containers(self) -> dict[str, Container]:
        """Workload -> container, of all that are meant to run: no steps that ran once, no loaders of files.

        AssertionError when a workload has two.
        """
        filters = self._own
        found: dict[str, Container] = {}
        for one in self.client.containers.list(all=True, filters=filters, ignore_removed=True):
            workload = one.labels["immich.workload"]
            if not workload.endswith(ENDED) and ONCE_LABEL not in one.labels:
                assert workload not in found, f"two containers of {workload}"
                found[workload] = one
        return found

    def ids(self) -> dict[str, str]:
        """Workload -> id of its container."""
        return {workload: str(one.id) for workload, one in self.containers().items()}

    def volumes(self) -> dict[str, str]:
        """Volumes of the stack that hold data -> which folder each is: its inode, and when that was made.

        The engine's `CreatedAt` is the time of the last change of the folder (20.10).
        """
        filters = {"label": ["immich.volume", f"immich.stack={self.name}"]}
        folders = {
            str(one.name): str(one.attrs["Mountpoint"]) for one in self.client.volumes.list(filters=filters)
        }
        return {
            name: subprocess.run(
                ["stat", "-c", "%i %W", folder], capture_output=True, text=True, check=True
            ).stdout.strip()
            for name, folder in folders.items()
            if not name.endswith(AGAIN)
        }

    def kept(self) -> dict[str, object]:
        """URN -> id of what the state protects."""
        return {one.urn: one.state.get("id") for one in self.stack.state() if one.flag("protect")}

    def media(self) -> Path:
        """The media folder as this process sees it."""
        return (
            self.folder or self.engine.directory / "data" / "volumes" / f"immich-{self.name}-media" / "_data"
        )

    def wait_healthy(self, seconds: float = 90) -> None:
        """Until all of it runs and every health check passes; that of a step by the clock is made here."""

        def well() -> bool:
            found = [(one, state(one)) for one in self.containers().values()]
            return bool(found) and all(
                now.status == "running"
                and (passes_its_check(one) if TASK_LABEL in one.labels else now.health in {"", "healthy"})
                for one, now in found
            )

        until(well, f"all of {self.name} is healthy", seconds)

    # Uploads

    def door(self, port: int = 2283, *, tls: bool = False) -> Door:
        """Where clients come in."""
        network = self.engine.network
        return Door(
            network, network.address, port, source=network.clients[0], tls=tls, name="photos.example.com"
        )

    def wait_answers(self, door: Door | None = None, seconds: float = 30) -> None:
        """Until the server answers through the proxy: a worker's connection may be one to its predecessor."""
        door = door or self.door()

        def answers() -> bool:
            try:
                return door.get("/api/server/ping").status == 200
            except OSError:
                return False

        until(answers, "the server answers through the proxy", seconds)

    def upload(self, size: int = 300_000, door: Door | None = None) -> Answer:
        """Send a new file; one that is accepted is remembered."""
        self._seed += 1
        answer, sha1 = (door or self.door()).upload(size, self._seed)
        if answer.status == 201:
            said = answer.json()
            assert (said["size"], said["checksum"]) == (size, sha1)
            self.accepted[said["id"]] = (size, sha1)
        return answer

    def upload_amid(self, do: Callable[[], None]) -> Answer:
        """The same, with `do` once half of the file is sent."""
        before, size = self.files(), 8 * PIECE

        def body() -> Iterator[bytes]:
            for number, piece in enumerate(content(size)):
                if number == 4:
                    until(lambda: (self.files() - before) or None, "the server has begun the file")
                    do()
                yield piece

        answer = self.door().request("POST", "/api/assets", body(), {"Content-Length": str(size)})
        if answer.status == 201:
            said = answer.json()
            self.accepted[said["id"]] = (size, said["checksum"])
        return answer

    def must_upload(self, size: int = 300_000, door: Door | None = None) -> None:
        """The same, and it must be accepted."""
        answer = self.upload(size, door)
        assert answer.status == 201, answer

    def check_uploads(self, door: Door | None = None) -> None:
        """Every accepted upload is in the database and comes back equal; other files are of those cut off."""
        door = door or self.door()
        assert self.accepted
        answer = door.get("/api/standin/assets")
        assert answer.status == 200, answer
        recorded = {one["id"]: (one["size"], one["checksum"]) for one in answer.json()}
        lost = self.accepted.keys() - recorded.keys()
        assert not lost, f"accepted, and not in the database: {lost}"
        assert {name: recorded[name] for name in self.accepted} == self.accepted
        for name, (size, sha1) in recorded.items():
            assert door.download(f"/api/assets/{name}/original") == (200, size, sha1), name
        assert self.files() == recorded.keys() | self.cut_off

    def files(self) -> set[str]:
        """Names of the files that uploads have, whole or not."""
        return {path.name for path in (self.media() / "upload").rglob("*") if path.is_file()} - {".immich"}


def add_docker_plugin(folder: Path) -> None:
    """The offline plugin for Docker on the PATH of a test's engine."""
    shim = folder / "pulumi-resource-docker"
    if not shim.exists():
        other = (folder / "pulumi-resource-random").read_text()
        shim.write_text(other.replace("toolchain.offline.plugins.random", "toolchain.offline.plugins.docker"))
        shim.chmod(0o755)
