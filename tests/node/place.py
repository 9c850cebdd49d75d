"""A stack on a real node, and its pods from inside and outside.

The processes of containers are processes of this machine: their network, their files and their mounts are looked at
through /proc, whatever their images have or lack.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from tests.data.immich_library import OWNER, fill, make_tables
from tests.data.postgres_process import Database
from tests.docker.host import until
from tests.docker.host_network import ContainerNetwork, connect_in
from tests.docker.transfer import Door
from tests.harness.kube import Kube
from tests.harness.objects import Manifest, at, items
from tests.harness.stacks import Deployment
from toolchain.offline.cluster.layout import Layout
from toolchain.offline.cluster.real_node import RealNode, process_groups

_COMPONENT = "app.kubernetes.io/component"
_CLOSED = {
    errno.ECONNREFUSED,
    errno.ENETUNREACH,
    errno.EHOSTUNREACH,
    errno.ETIMEDOUT,
    errno.EACCES,
    errno.EPERM,
}
_SO_BINDTODEVICE = 25


@dataclass(frozen=True)
class Pod:
    """A running pod."""

    document: Manifest

    @property
    def name(self) -> str:
        """Its own."""
        return str(at(self.document, "metadata", "name"))

    @property
    def namespace(self) -> str:
        """Where it is."""
        return str(at(self.document, "metadata", "namespace"))

    @property
    def component(self) -> str:
        """The workload that it belongs to; its name where it belongs to none."""
        return str(at(self.document, "metadata", "labels", _COMPONENT) or self.name)

    @property
    def address(self) -> str:
        """Its address."""
        return str(at(self.document, "status", "podIP"))

    @property
    def restarts(self) -> dict[str, int]:
        """Container -> how often it was started again."""
        return {
            str(one["name"]): int(one["restartCount"])
            for one in items(self.document, "status", "containerStatuses")
        }

    @property
    def ready(self) -> bool:
        """Whether it is Ready, and stays."""
        conditions = items(self.document, "status", "conditions")
        ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
        return ready and not at(self.document, "metadata", "deletionTimestamp")


Question = tuple[str, Pod | str, str, str, int]
"""Name of who asks, who that is, name of whom it is about, their address, a port."""
Answer = tuple[str, str, int]
"""The names and the port."""


@dataclass(frozen=True)
class Place:
    """A real node with its API server."""

    kube: Kube

    @cached_property
    def node(self) -> RealNode:
        """Its network, its control groups."""
        return RealNode(Layout(self.kube.status.root))

    @property
    def lan(self) -> str:
        """The network on which this machine is its neighbour."""
        return f"{self.node.address.rpartition('.')[0]}.0/25"

    @property
    def clients(self) -> tuple[str, ...]:
        """Addresses of this machine on that network."""
        return tuple(f"{self.node.address.rpartition('.')[0]}.{last}" for last in (1, 11, 12))

    def get(self, path: str) -> Manifest:
        """An object or a list."""
        answer = self.kube.api.request("GET", path)
        assert answer.ok, answer.message
        return answer.body

    def apply(self, document: Manifest) -> None:
        """Make an object, or change it."""
        answer = self.kube.api.apply(document)
        assert answer.ok, answer.message

    def pods(self, namespace: str) -> list[Pod]:
        """Pods that run, or are to."""
        found = items(self.get(f"/api/v1/namespaces/{namespace}/pods"), "items")
        return [Pod(one) for one in found if at(one, "status", "phase") in {"Pending", "Running"}]

    def pids(self, pod: Pod, container: str | None = None) -> list[int]:
        """Processes of a container of a pod, its only one where none is named; the first is the oldest."""
        statuses = items(pod.document, "status", "containerStatuses")
        (status,) = [one for one in statuses if container in {None, one["name"]}]
        identity = str(status["containerID"]).rpartition("/")[2]
        groups = process_groups() / self.node.name
        (file,) = groups.glob(f"kubepods/**/pod{at(pod.document, 'metadata', 'uid')}/{identity}/cgroup.procs")
        return sorted(int(pid) for pid in file.read_text().split())

    def kill(self, pods: Iterable[Pod]) -> None:
        """End all containers of pods at once, as the kernel does that is out of memory."""
        pids = [pid for pod in pods for container in pod.restarts for pid in self.pids(pod, container)]
        for pid in pids:
            with suppress(ProcessLookupError):  # with its parent
                os.kill(pid, signal.SIGKILL)

    def network(self, pod: Pod) -> Path:
        """The network namespace of a pod."""
        container = str(items(pod.document, "status", "containerStatuses")[0]["name"])
        return Path(f"/proc/{self.pids(pod, container)[0]}/ns/net")

    # Who reaches whom

    def reached(self, source: Pod | str, address: str, port: int) -> bool:
        """Whether a connection is accepted. `source`: a pod, or an address of this machine.

        From this machine the addresses of pods are asked for on the link to the node, as a router of its LAN would.
        """
        try:
            if isinstance(source, Pod):
                connect_in(self.network(source), address, port, 2).close()
                return True
            with socket.socket() as tried:
                tried.settimeout(2)
                tried.setsockopt(socket.SOL_SOCKET, _SO_BINDTODEVICE, self.node.link.encode())
                tried.bind((source, 0))
                tried.connect((address, port))
                return True
        except OSError as error:
            if not isinstance(error, TimeoutError) and error.errno not in _CLOSED:
                raise  # the question was not put
            return False

    def matrix(self, questions: Sequence[Question]) -> dict[Answer, bool]:
        """What is reached."""
        with ThreadPoolExecutor(16) as pool:
            found = pool.map(lambda one: self.reached(one[1], one[3], one[4]), questions)
            return {(one[0], one[2], one[4]): yes for one, yes in zip(questions, found, strict=True)}

    @contextmanager
    def neighbours(self, *addresses: str, port: int) -> Generator[None]:
        """Servers on this machine at these addresses of the node's neighbour, which accept connections."""
        added = [one for one in addresses if one not in self.clients]
        servers: list[socket.socket] = []
        try:
            for one in added:
                subprocess.run(["ip", "address", "add", f"{one}/32", "dev", self.node.link], check=True)
            servers += [socket.create_server((one, port)) for one in addresses]
            yield
        finally:
            for server in servers:
                server.close()
            for one in added:
                subprocess.run(["ip", "address", "del", f"{one}/32", "dev", self.node.link], check=True)

    def stranger(self, namespace: str, name: str, image: str, labels: Mapping[str, str] | None = None) -> Pod:
        """A pod of nobody's that sleeps, as strict as the strictest namespace wants it."""
        hardened: dict[str, Any] = {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        container = {"name": "sleep", "image": image, "command": ["/bin/busybox", "sleep", "3600"]}
        self.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "namespace": namespace, "labels": dict(labels or {})},
                "spec": {
                    "containers": [{**container, "securityContext": hardened}],
                    "terminationGracePeriodSeconds": 0,
                    "automountServiceAccountToken": False,
                },
            }
        )

        def running() -> Pod | None:
            return next((one for one in self.pods(namespace) if one.name == name and one.ready), None)

        return until(running, f"the start of the pod {name}")


@dataclass(frozen=True)
class PodDatabase:
    """psql in the database's container, where paths of media are those that the server sees."""

    stack: NodeStack
    media: Path

    def psql(self, sql: str) -> str:
        """What it answers. AssertionError with what it says when it fails."""
        pid = self.stack.place.pids(self.stack.pods()["database"], "database")[0]
        environment = Path(f"/proc/{pid}/environ").read_text().split("\0")
        path = next(one for one in environment if one.startswith("PATH="))
        entered = ["nsenter", f"--target={pid}", "--mount", "--root", "--net", "env", path]
        done = subprocess.run(
            [*entered, "psql", "-U", "immich", "-d", "immich", "-XqtA", "-v", "ON_ERROR_STOP=1"],
            input=sql.replace(str(self.media), "/data"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@dataclass(frozen=True)
class NodeStack:
    """A stack that runs there."""

    place: Place
    deployment: Deployment
    namespace: str
    born: dict[str, Pod] = field(default_factory=dict[str, Pod])
    """Its pods as they were when the first up ended."""

    def pods(self) -> dict[str, Pod]:
        """Workload -> its pod; tasks apart."""
        found = [
            one
            for one in self.place.pods(self.namespace)
            if not at(one.document, "metadata", "labels", "job-name")
        ]
        return {one.component: one for one in found if one.component != one.name}

    def wait_until_whole(self) -> None:
        """Return when every workload that there was at first is Ready, and the way in answers."""

        def whole() -> bool:
            found = self.pods()
            if found.keys() != self.born.keys() or not all(pod.ready for pod in found.values()):
                return False
            with suppress(OSError):
                return self.door().get("/api/server/ping").status == 200
            return False

        until(whole, "a stack that is whole", 120)

    def wait_for(self, workload: str, other_than: str = "", seconds: float = 60) -> Pod:
        """The pod of a workload once it is Ready; `other_than`: the name of one that is not meant."""

        def ready() -> Pod | None:
            return next(
                (
                    one
                    for one in self.place.pods(self.namespace)
                    if one.component == workload and one.ready and one.name != other_than
                ),
                None,
            )

        return until(ready, f"a Ready pod of {workload}", seconds)

    def volume(self, claim: str) -> Path:
        """The folder of this machine that has what is in a volume."""
        (found,) = (self.place.node.folder / "volumes").glob(f"{self.namespace}-{claim}-*")
        return found

    def furnish(self, photos: int) -> None:
        """Immich's tables and so many photos, as the stand-in does not make them."""
        media = self.volume("immich-media")
        owner = (media / "upload" / ".immich").stat()
        database = cast("Database", PodDatabase(self, media))  # the part of it that is asked for
        database.psql("DROP TABLE system_metadata")  # the stand-in's, of another shape
        make_tables(database)
        # The administrator is whom the settings name.
        database.psql(f"""UPDATE "user" SET "isAdmin" = false WHERE id = '{OWNER}'""")  # noqa: S608 - a constant
        fill(database, media, photos)
        subprocess.run(["chown", "-hR", f"{owner.st_uid}:{owner.st_gid}", str(media)], check=True)

    def balancer(self) -> str:
        """The address of the load balancer."""
        services = items(self.place.get(f"/api/v1/namespaces/{self.namespace}/services"), "items")
        (found,) = [one for one in services if at(one, "spec", "type") == "LoadBalancer"]
        return str(items(found, "status", "loadBalancer", "ingress")[0]["ip"])

    def door(self, source: int = 0) -> Door:
        """HTTP to it, from one of the addresses of this machine."""
        here = ContainerNetwork(os.getpid())
        return Door(here, self.balancer(), 80, source=self.place.clients[source], name="photos.example.com")

    def make(self, module: str, *arguments: str, seconds: float = 150) -> subprocess.CompletedProcess[str]:
        """What a target of the Makefile runs, with the settings of this stack: its output is one text."""
        root = self.deployment.engine.directory
        code = (
            f"import sys; from pathlib import Path; from toolchain import paths; root = Path({str(root)!r}); "
        )
        code += "paths.settings_file.__defaults__ = (root,); "
        code += f"import runpy; sys.argv = ['make', *sys.argv[1:]]; runpy.run_module({module!r}, run_name='__main__')"
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env={**os.environ, **self.deployment.engine.env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
