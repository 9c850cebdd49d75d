"""A stack on one host, by the API of its engine."""

from __future__ import annotations

import datetime
import io
import ipaddress
import json
import tarfile
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from docker import APIClient
from docker.errors import APIError, DockerException, NotFound
from docker.tls import TLSConfig
from requests import RequestException

from components.model.task import BACKUP_FOLDER
from components.platform.docker.reach import address
from toolchain.offline.plugins.docker.ssh import Tunnel
from toolchain.offline.plugins.provider import ProviderError
from toolchain.verify.running import Opening, RunningError, Unit

if TYPE_CHECKING:
    from components.settings.docker import Docker

_SECONDS: Final = 20
_STOP: Final = 10
"""Seconds that an engine gives a process to end where its container says none."""
_STACK: Final = "immich.stack"
_WORKLOAD: Final = "immich.workload"
_LOADER: Final = "-files"
_VERSION: Final = "1.41"
"""Of the API: Docker 20.10 and Podman 4."""

Json = dict[str, Any]
Found = TypeVar("Found")


class DockerHost:
    """See `Running`."""

    def __init__(self, stack: str, client: APIClient, joined: Collection[str] = ()) -> None:
        self._stack, self._client, self._joined = stack, client, joined
        self._prefix = f"immich-{stack}-"

    @classmethod
    def connect(
        cls, stack: str, settings: Docker, environ: Mapping[str, str], joined: Collection[str] = ()
    ) -> DockerHost:
        """The engine that the settings name, or else the environment. `RunningError` when it does not answer.

        `joined` are short names of networks that the settings let others join.
        """
        host = address(str(settings.host) if settings.host else None, environ)
        folder = str(settings.tls_folder) if settings.tls_folder else environ.get("DOCKER_CERT_PATH")
        try:
            tls: TLSConfig | bool = False
            if host.startswith("ssh://"):
                host = Tunnel(host, settings.ssh_options).url
            elif host.startswith("tcp://") and folder:
                pair = (f"{folder}/cert.pem", f"{folder}/key.pem")
                tls = TLSConfig(client_cert=pair, ca_cert=f"{folder}/ca.pem", verify=True)
                host = host.replace("tcp://", "https://", 1)
            client = APIClient(base_url=host, version=_VERSION, timeout=_SECONDS, tls=tls)
            client.ping()
        except (DockerException, RequestException, ProviderError, OSError) as error:
            raise RunningError(f"the container engine at {host} does not answer: {error}") from None
        return cls(stack, client, joined)

    # What there is

    def units(self) -> Sequence[Unit]:
        found: list[Unit] = []
        for one in self._mine():
            inspected = self._inspected(str(one["Id"]))
            if inspected is not None:
                found.append(self._unit(inspected))
        return sorted(found, key=lambda unit: unit.name)

    def openings(self) -> Sequence[Opening]:
        found: list[Opening] = []
        for one in self._mine_and_strangers():
            inspected = self._inspected(str(one["Id"]))
            if inspected is None or not inspected["State"]["Running"]:
                continue
            name = str(inspected["Name"]).lstrip("/")
            if inspected["HostConfig"].get("NetworkMode") == "host":
                found.append(Opening(owner=name, kind="hostNetwork", address="", port=0))
            ports = cast("dict[str, list[Json] | None]", inspected["NetworkSettings"].get("Ports") or {})
            bound = [binding for bindings in ports.values() for binding in bindings or []]
            found += [
                Opening(
                    owner=name, kind="port", address=_plain(binding["HostIp"]), port=int(binding["HostPort"])
                )
                for binding in bound
            ]
        return sorted(set(found), key=lambda one: (one.owner, one.address, one.port))

    def strangers(self) -> Sequence[str]:
        mine = {str(one["Id"]) for one in self._mine()}
        others = [one for one in self._mine_and_strangers() if str(one["Id"]) not in mine]
        return sorted(str(one["Names"][0]).lstrip("/") for one in others)

    def networks(self) -> Sequence[str]:
        return [str(pool["Subnet"]) for pool in self._pools() if pool.get("Subnet")]

    def gateways(self) -> Sequence[str]:
        """Where a network has none written down, the engine has taken its first address."""
        first = [str(next(ipaddress.ip_network(network).hosts())) for network in self.networks()]
        given = [str(pool["Gateway"]).partition("/")[0] for pool in self._pools() if pool.get("Gateway")]
        return sorted({*first, *given})

    # What is asked of containers

    def run(self, unit: Unit, command: Sequence[str], seconds: float = 15) -> tuple[int, str]:
        if unit.state != "running":
            raise RunningError(f"{unit.name} does not run ({unit.state})")
        line = ["timeout", str(int(seconds)), *command]
        try:
            made = self._client.exec_create(unit.name, line, stdin=False, tty=False)
            output = self._client.exec_start(made["Id"])
            code = self._client.exec_inspect(made["Id"])["ExitCode"]
        except (DockerException, RequestException) as error:
            raise RunningError(f"no command can be run in {unit.name}: {_said(error)}") from None
        return int(-1 if code is None else code), output.decode(errors="replace")

    def restart(self, unit: Unit) -> None:
        inspected = self._inspected(unit.name)
        grace = int((inspected or {}).get("Config", {}).get("StopTimeout") or _STOP)
        try:
            self._client.restart(unit.name, timeout=grace)
        except (DockerException, RequestException) as error:
            raise RunningError(f"{unit.name} cannot be restarted: {_said(error)}") from None

    def logs(self, unit: Unit, *, lines: int = 2000) -> str:
        try:
            text = self._client.logs(unit.name, stdout=True, stderr=True, tail=lines)
        except (DockerException, RequestException) as error:
            raise RunningError(f"the log of {unit.name} cannot be read: {_said(error)}") from None
        return text.decode(errors="replace")

    def statuses(self) -> Mapping[str, Mapping[str, object]]:
        for one in self._mine():
            mounts = cast("list[Json]", one.get("Mounts") or [])
            if not any(mount.get("Destination") == BACKUP_FOLDER for mount in mounts):
                continue
            try:
                pieces, _ = self._client.get_archive(str(one["Id"]), f"{BACKUP_FOLDER}/status")
                packed = b"".join(cast("Sequence[bytes]", pieces))
            except NotFound:
                return {}
            except (DockerException, RequestException) as error:
                raise RunningError(f"{BACKUP_FOLDER}/status cannot be read: {_said(error)}") from None
            return unpack(packed)
        raise RunningError(f"no container of the stack has the volume with {BACKUP_FOLDER}/status")

    def ask(self, workload: str, port: int, path: str) -> tuple[int, str]:
        raise RunningError(f"the engine itself asks nobody ({workload}:{port}{path})")

    # The engine's own

    def _mine(self) -> list[Json]:
        return self._listed({"label": f"{_STACK}={self._stack}"})

    def _mine_and_strangers(self) -> list[Json]:
        """Also what is in a network of the stack without its label, and was not let in."""
        found = {str(one["Id"]): one for one in self._mine()}
        open_ = {f"{self._prefix}{name}" for name in self._joined}
        for network in self._own_networks():
            if str(network["Name"]) in open_:
                continue
            found |= {str(one["Id"]): one for one in self._listed({"network": str(network["Id"])})}
        return list(found.values())

    def _own_networks(self) -> list[Json]:
        wanted = {"label": f"{_STACK}={self._stack}"}

        def ask() -> list[Json]:
            return cast("list[Json]", self._client.networks(filters=wanted))

        return self._try(ask)

    def _pools(self) -> list[Json]:
        found: list[Json] = []
        for network in self._own_networks():
            found += cast("list[Json]", network["IPAM"].get("Config") or [])
        return found

    def _listed(self, filters: Mapping[str, str]) -> list[Json]:
        def ask() -> list[Json]:
            return cast("list[Json]", self._client.containers(all=True, filters=dict(filters)))

        return self._try(ask)

    def _inspected(self, identifier: str) -> Json | None:
        def ask() -> Json:
            return cast("Json", self._client.inspect_container(identifier))

        try:
            return self._try(ask)
        except NotFound:
            return None  # removed since it was listed

    def _unit(self, found: Json) -> Unit:
        state, labels = (
            cast("Json", found["State"]),
            cast("dict[str, str]", found["Config"].get("Labels") or {}),
        )
        workload = labels.get(_WORKLOAD, "")
        return Unit(
            name=str(found["Name"]).lstrip("/"),
            workload=workload,
            state=str(state["Status"]),
            health=_health(state),
            restarts=int(found.get("RestartCount") or 0),
            since=_epoch(str(state.get("StartedAt", ""))),
            killed_for_memory=bool(state.get("OOMKilled")),
            images=self._references(str(found["Image"]), str(found["Config"].get("Image", ""))),
            # A step that waits for its turn has a health check and runs; one that runs once ends.
            task=workload.endswith(_LOADER) or labels.get("immich.once") == "true",
            exit_code=None if state["Running"] else int(state["ExitCode"]),
        )

    def _references(self, identifier: str, given: str) -> tuple[str, ...]:
        try:
            image = cast("Json", self._client.inspect_image(identifier))
        except (DockerException, RequestException):
            return (given,)
        tags, digests = (cast("list[str]", image.get(name) or []) for name in ("RepoTags", "RepoDigests"))
        return tuple(dict.fromkeys([*tags, *digests, given]))

    def _try(self, ask: Callable[[], Found]) -> Found:
        try:
            return ask()
        except NotFound:
            raise
        except (DockerException, RequestException) as error:
            raise RunningError(f"the container engine does not answer: {_said(error)}") from None


def unpack(archive: bytes) -> dict[str, dict[str, object]]:
    """Name -> data of the status files in a tar archive. `RunningError` names one that is no JSON object."""
    found: dict[str, dict[str, object]] = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        for member in opened.getmembers():
            name = member.name.rpartition("/")[2]
            file = opened.extractfile(member) if member.isfile() and name.endswith(".json") else None
            if file is None:
                continue
            try:
                content: object = json.loads(file.read())
            except ValueError:
                content = None
            if not isinstance(content, dict):
                raise RunningError(f"{BACKUP_FOLDER}/status/{name} is no JSON object")
            found[name.removesuffix(".json")] = cast("dict[str, object]", content)
    return found


def _health(state: Json) -> str:
    found = cast("Json", state.get("Health") or {})
    return str(found.get("Status", "")).replace("none", "")


def _plain(host: str) -> str:
    """`0.0.0.0` and `::` both mean every address."""
    return "" if host in {"", "0.0.0.0", "::"} else host  # noqa: S104  read, not bound


def _epoch(text: str) -> float:
    """Seconds since 1970 of the engine's time, whose fractions have nine digits; 0 for its zero time."""
    if not text or text.startswith("0001"):
        return 0
    return datetime.datetime.fromisoformat(f"{text[:19]}+00:00").timestamp()


def _said(error: Exception) -> str:
    return str(error.explanation if isinstance(error, APIError) and error.explanation else error)
