"""Small programs with tasks on one host: the platform of this repository, and nothing of Immich."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from docker.client import DockerClient
from docker.models.containers import Container

from components.settings.docker import Docker
from components.stack.host_networks import subnets
from tests.docker.engine_process import Engine
from tests.docker.host import execute, remove_all, until
from tests.docker.images.library import Images
from tests.docker.one_host import add_docker_plugin, full
from tests.harness.engine import Engine as Cli
from tests.harness.engine import Result
from tests.harness.stacks import require_cli

USER: Final = 1000
_PROGRAM: Final = """
import json, pathlib
import pulumi, pulumi_docker
from components.platform.docker.options import DockerPlatformArgs
from components.platform.docker.platform import DockerPlatform
from components.model.task import Task
from components.model.values import ImageRef, Quantity
from components.model.workload import ConfigFiles, Egress, Resources, Scratch, Storage, VolumeRequest, Workload

given = json.loads(pathlib.Path("given.json").read_text())
amounts = Resources(
    cpu_request=Quantity("10m"), memory_request=Quantity("32Mi"),
    cpu_limit=Quantity("1"), memory_limit=Quantity("128Mi"),
)
host = DockerPlatform(
    "platform",
    DockerPlatformArgs(
        stack=given["stack"], subnets=given["subnets"], joined=frozenset(), files_image=given["busybox"]
    ),
    pulumi.ResourceOptions(providers=[pulumi_docker.Provider("docker")]),
)
host.volume(VolumeRequest(name="backup", size=Quantity("1Gi")), parent=host)


def workload(name, command, image, **more):
    return Workload(
        name=name, image=ImageRef(image), resources=amounts, user=1000, group=1000, command=("/bin/sh",),
        args=("/scripts/run.sh",), termination_grace=8,
        mounts=(
            Storage(volume="backup", path="/backup"),
            ConfigFiles(name=name, path="/scripts", files={"run.sh": command}),
            Scratch(path="/tmp", size=Quantity("8Mi")),
        ),
        **more,
    )


steps = tuple(
    workload(
        one["name"], one["command"], one["image"],
        egress=(Egress(reason="test", names=("example.com",)),) if one.get("out") else (),
    )
    for one in given["steps"]
)
made = host.task(
    Task(name=given["task"], steps=steps, schedule=given["schedule"], timezone="Europe/Vienna"), parent=host
)
if given["waiting"]:
    server = workload("server", "trap 'exit 0' TERM; sleep 3600 & wait", given["busybox"])
    host.workload(server, parent=host, after=[made])
host.finish()
"""


@dataclass
class TaskStack:
    """A stack of one task."""

    cli: Cli
    engine: Engine
    client: DockerClient
    images: Images
    name: str

    @classmethod
    def create(
        cls, directory: Path, name: str, engine: Engine, client: DockerClient, images: Images
    ) -> TaskStack:
        """A stack that is not up yet and has no task."""
        cli = Cli.create(directory, require_cli())
        cli.env["DOCKER_HOST"] = engine.url
        add_docker_plugin(directory / "bin")
        cli.program(_PROGRAM)
        return cls(cli, engine, client, images, name)

    def give(
        self,
        *steps: str,
        task: str = "backup",
        schedule: str | None = "0 3 1 1 *",
        waiting: bool = False,
        image: str = "restic",
        out: Sequence[int] = (),
    ) -> None:
        """The task's steps, each the text of its script; `out` are the numbers of those that talk to the outside."""
        given: dict[str, Any] = {
            "stack": self.name,
            "subnets": subnets(self.name, Docker()),
            "busybox": full(self.images["busybox"]),
            "task": task,
            "schedule": schedule,
            "waiting": waiting,
            "steps": [
                {
                    "name": f"{task}-{number}",
                    "command": command,
                    "image": full(self.images[image]),
                    "out": number in out,
                }
                for number, command in enumerate(steps, start=1)
            ],
        }
        (self.cli.directory / "given.json").write_text(json.dumps(given))

    def up(self, *arguments: str, check: bool = True) -> Result:
        """As `make up` on one host."""
        return self.cli.up("--refresh", *arguments, check=check)

    def container(self, workload: str) -> Container:
        """The container of a step. docker.errors.NotFound without one."""
        return self.client.containers.get(f"immich-{self.name}-{workload}")

    def names(self) -> set[str]:
        """Containers that are there, without those that bring files."""
        filters: dict[str, Any] = {"label": f"immich.stack={self.name}"}
        listed = self.client.containers.list(all=True, filters=filters, ignore_removed=True)
        return {str(one.labels["immich.workload"]) for one in listed} - {
            str(one.labels["immich.workload"])
            for one in listed
            if str(one.labels["immich.workload"]).endswith("-files")
        }

    @property
    def folder(self) -> Path:
        """The backup volume, as this process sees it."""
        return self.engine.directory / "data" / "volumes" / f"immich-{self.name}-backup" / "_data"

    def request(self, token: str, task: str = "backup") -> None:
        """Ask for a run, as the command does."""
        path = f"/backup/runs/{task}/request"
        execute(self.container(f"{task}-1"), "sh", "-c", f"echo {token} >{path}")

    def result(self, task: str = "backup") -> dict[str, Any]:
        """How the last run is."""
        path = self.folder / "runs" / task / "result.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def over(self, token: str, task: str = "backup", seconds: float = 60) -> dict[str, Any]:
        """The result of the run with this request, once it has ended."""

        def found() -> dict[str, Any] | None:
            result = self.result(task)
            return result if result.get("request") == token and result["result"] != "running" else None

        return until(found, f"the run {token} has ended", seconds)

    def remove(self) -> None:
        """Everything of the stack on the engine."""
        remove_all(self.client, {"label": f"immich.stack={self.name}"})
