"""The stacks of single hosts, brought up on the engine of a test run by the real CLI and the offline plugins.

    place = Place(engine, client, images)           the host; fixture `place`, one a worker
    stack = HostStack.create(place, folder, "home")             `home` as it is in this repository, for this machine
    stack = HostStack.create(place, folder, "home", name="a")   the same under another name, subnet and ports
    stack.up()                                      `pulumi up --refresh`, as `make up` does; a Result
    stack.container("server")                       the container of a workload
    stack.door(source=...)                          HTTP to its way in; `.get`, `.upload`, `.download`
    stack.deployment.change("server", logLevel="verbose")       settings, as in tests/harness/stacks.py
    stack.secrets()                                 every secret value of the stack
    stack.remove()                                  containers, networks and volumes, data as well; not the state

The fixture `make_stack` does `create` and `remove` for one test. The fixture `standing` is a stack of SYSTEMS that is
up already and is shared by tests that only look; what changes a stack takes `make_stack` with a name of its own.

What differs from the repository's settings, so that a stack can run here (`settings_for`): the engine's address;
images (stand-ins, unless IMMICH_REAL_IMAGES=1); folders of the host, which are below `stack.folder`; addresses of
published ports other than 127.0.0.1 and 0.0.0.0, which become the test network's; GPUs, and locked memory where this
machine does not permit it, which are left out; the seconds between health checks (`_ASKED_OFTEN`), except those of
`home` under its own name; the remote of hwc's rclone, which keeps nothing; the certificate of `heartbeat` from files
instead of Let's Encrypt; who watches, and who is in Immich, which are left out; Docker without SELinux instead of
Podman with it for `homelab`. Folders of the host belong to the server's user from the start, as the stack files tell.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import yaml
from docker.client import DockerClient
from docker.models.containers import Container
from docker.types import IPAMConfig, IPAMPool

from components.platform.docker.tasks import ONCE_LABEL
from components.settings.docker import Docker
from tests.docker import host
from tests.docker.engine_process import Engine
from tests.docker.host_network import ContainerNetwork, HostNetwork
from tests.docker.images.library import Images, real_images
from tests.docker.transfer import Door
from tests.harness.engine import Result
from tests.harness.stacks import ROOT, Deployment, require_cli
from toolchain import tasks_docker

SYSTEMS: Final = ("home", "skylab", "hwc", "heartbeat", "heartbeat-dev", "homelab")
"""The stacks of this repository that are on one host."""

EVERYTHING: Final = "everything"
"""No stack of this repository: heartbeat with skylab's tunnel, hwc's way in for neighbours, and all that
tests/docker/everything.py adds."""

TRAEFIK_NETWORK: Final = ("systemd-reverse_proxy", "10.89.2.0/24")
"""The network of homelab's Traefik, which exists before Immich does."""

CERTIFICATES: Final = "/etc/letsencrypt"
"""Where heartbeat's certificate files are on its host."""

_RCLONE: Final = "[proton]\ntype = memory\n"
"""hwc's second target: a remote of rclone of that name, which keeps nothing."""

_ASKED_OFTEN: Final = """
import dataclasses
from components.platform.docker import tasks
from components.platform.docker.platform import DockerPlatform
_workload, _step = DockerPlatform.workload, tasks.step
def _asked(one):
    probes = {name: getattr(one, name) for name in ("liveness", "readiness")}
    most = 2 if one.name in {"database", "cache", "server", "proxy"} else 5
    often = {
        name: dataclasses.replace(probe, period=min(probe.period, most), timeout=20)
        for name, probe in probes.items() if probe is not None
    }
    return dataclasses.replace(one, **often)
DockerPlatform.workload = lambda self, one, **more: _workload(self, _asked(one), **more)
tasks.step = lambda task, number: _step(task, number, pause=1)
"""
"""Before the program: the engine asks more often whether containers are well, mostly those that others wait for, and
steps of tasks look each second whether it is their turn.

Not each second: a question is a process that the engine puts into the container, a tenth of a second of a core. On a
machine that is busy the answer may take its time."""

_SHIFT: Final = 1000
"""How far apart the ports of stacks with names of their own are."""
_ALL: Final = "0.0.0.0"  # noqa: S104  what a port on every address is published at
_KEPT: Final = ("127.0.0.1", _ALL)


@dataclass
class Place:
    """A host for stacks."""

    engine: Engine
    client: DockerClient
    images: Images
    others: int = 0
    """Stacks with names of their own that were made so far."""

    @property
    def network(self) -> HostNetwork:
        """Where ports are published."""
        return self.engine.network

    def image(self, name: str, tag: str | None = None) -> str:
        """A stand-in on the engine, by a full reference. `tag` replaces its usual one, as in `Images.tagged`."""
        reference = self.images[name]
        if tag is not None and not real_images():
            reference = self.images.tagged(name, f"{reference.rpartition(':')[0]}:{tag}")
        first, slash, _ = reference.partition("/")
        if not slash:
            return f"docker.io/library/{reference}"
        return reference if "." in first else f"docker.io/{reference}"


def settings_for(place: Place, system: str, folder: Path, shift: int = 0) -> dict[str, Any]:
    """The settings of a stack of this repository for this machine; ports are `shift` higher."""
    sections = _sections_of_everything() if system == EVERYTHING else _sections_of(system)
    docker_section = sections["docker"]
    docker_section["host"] = place.engine.url
    for name in ("engine", "selinux"):
        docker_section.pop(name, None)
    for name in ("server", "machineLearning", "database", "cache", "proxy"):
        sections.setdefault(name, {})
    for name, choice in (("server", "acceleration"), ("machineLearning", "backend")):
        for left_out in (choice, "gpu"):
            sections[name].pop(left_out, None)
    sections.pop("setup", None)  # test_stack_setup.py shows it; these tests make the administrator themselves
    sections.pop("monitoring", None)  # everything.py brings it up; here it would be a dozen containers more
    if not _can_lock_memory():
        sections["machineLearning"].pop("lockMemory", None)
    _folders(sections, folder)
    _ports(sections, place.network.address, shift)
    tls = sections["proxy"].get("tls")
    if tls and tls["kind"] == "acme":
        sections["proxy"]["tls"] = {
            "kind": "files",
            "folder": _moved(folder, CERTIFICATES),
            "certificate": "fullchain.pem",
            "key": "privkey.pem",
        }
    if not real_images():
        _images(place, sections)
    return sections


def _sections_of(system: str) -> dict[str, Any]:
    text = (ROOT / f"Pulumi.{system}.yaml").read_text(encoding="utf-8")
    config = cast("dict[str, Any]", yaml.safe_load(text)["config"])
    return {key.removeprefix("immich:"): value for key, value in config.items()}


def _sections_of_everything() -> dict[str, Any]:
    sections, skylab, hwc = (_sections_of(system) for system in ("heartbeat", "skylab", "hwc"))
    (internet,), (neighbours, _) = sections["proxy"]["expose"], hwc["proxy"]["expose"]
    return {
        **sections,
        "host": skylab["host"],
        "cloudflare": skylab["cloudflare"],
        # In a volume, where the engine's other data is.
        "storage": {"externalLibraries": sections["storage"]["externalLibraries"]},
        "backup": {},
        "proxy": {
            **sections["proxy"],
            "maxUpload": "100M",
            # Signing in is what tells addresses, and a test does it more often than a person.
            "loginRate": 600,
            # Not at 2283, where stacks of tests are that may come up beside it.
            "expose": [{**internet, "door": "lan"}, {**neighbours, "port": 2200}],
        },
    }


def _can_lock_memory() -> bool:
    """Whether processes may be given the right to lock all memory; containers of CI may not."""
    return (
        subprocess.run(
            ["prlimit", "--memlock=unlimited", "true"], capture_output=True, check=False
        ).returncode
        == 0
    )


def _folders(sections: dict[str, Any], folder: Path) -> None:
    storage = sections.get("storage", {})
    sources = [value for value in storage.values() if isinstance(value, dict)]
    sources += [library["source"] for library in storage.get("externalLibraries", [])]
    backup = sections.get("backup", {})
    sources += [backup["volume"]] if "volume" in backup else []
    sources += [target["source"] for target in backup.get("targets", []) if target["kind"] == "local"]
    owner = sections["server"].get("user", 1000), sections["server"].get("group", 1000)
    for source in sources:
        if source.get("kind") == "hostPath":
            source["path"] = _moved(folder, source["path"])
            # As the stack files tell: a folder that is not empty is never given another owner.
            os.chown(source["path"], *owner)
    if "hostPath" in sections["database"]:
        sections["database"]["hostPath"] = _moved(folder, sections["database"]["hostPath"])


def _moved(folder: Path, path: str) -> str:
    """The folder that stands for a folder of the host, made when it is not there."""
    moved = folder / path.lstrip("/")
    moved.mkdir(parents=True, exist_ok=True)
    return str(moved)


def _ports(sections: dict[str, Any], address: str, shift: int) -> None:
    tls = bool(sections["proxy"].get("tls"))
    for way in sections["proxy"]["expose"]:
        if way["kind"] != "publishedPort":
            continue
        if way["address"] not in _KEPT:
            way["address"] = address
        if shift:
            own_tls = tls and not way.get("trustedSources")
            way["port"] = way.get("port", 443 if own_tls else 2283) + shift
            if own_tls:
                way["redirectFrom"] = way.get("redirectFrom", 80) + shift
            sections["host"]["port"] = sections["host"].get("port", 443 if own_tls else 2283) + (
                shift if way is sections["proxy"]["expose"][0] else 0
            )


def _images(place: Place, sections: dict[str, Any]) -> None:
    sections["docker"]["filesImage"] = place.image("busybox")
    sections["server"]["image"] = place.image("server")
    sections["machineLearning"]["image"] = place.image("machine-learning")
    database = sections["database"]
    postgres, vectorchord = database.setdefault("postgres", 14), database.setdefault("vectorchord", "0.4.3")
    database["image"] = place.image("postgres", f"{postgres}-vectorchord{vectorchord}")
    sections["cache"]["image"] = place.image("valkey")
    if sections["proxy"].get("kind") != "none":
        sections["proxy"]["image"] = place.image("nginx")
    if sections["proxy"].get("tls"):
        sections["proxy"]["tls"]["image"] = place.image("certbot")
    for target in sections.get("backup", {}).get("targets", []):
        sections["backup"]["resticImage"] = place.image("restic")
        if target["kind"] in {"sftp", "rclone"}:
            sections["backup"]["rcloneImage"] = place.image("rclone")
    if "cloudflare" in sections:
        sections["cloudflare"]["tunnel"]["image"] = place.image("cloudflared")


@dataclass
class HostStack:
    """One stack on the host of a test run."""

    name: str
    system: str
    """Whose settings it has: of SYSTEMS, or EVERYTHING."""
    place: Place
    deployment: Deployment
    folder: Path
    """What stands for the host's root: `folder/"mnt/photos"` is /mnt/photos."""
    borrowed: list[str] = field(default_factory=list[str])
    """Networks that were made for it and are not its own."""
    traefik: Container | None = None
    """For homelab: a container in Traefik's network, from which a test speaks as Traefik would; it is none."""

    @classmethod
    def create(
        cls,
        place: Place,
        directory: Path,
        system: str = "home",
        *,
        name: str | None = None,
        changes: Mapping[str, Mapping[str, Any]] | None = None,
        secrets: Mapping[str, str] | None = None,
    ) -> HostStack:
        """A stack that is not up yet, with its files in `directory`. Skips the test where there is no CLI.

        With a `name` ports and subnets are its own. `changes` are added to the settings, section by section.
        """
        cli = require_cli()
        shift = 0
        if name is not None:
            place.others += 1
            shift = place.others * _SHIFT
        folder = directory / "host"
        config = settings_for(place, system, folder, shift)
        for section, values in (changes or {}).items():
            config[section] = {**config.get(section, {}), **values}
        given = dict(secrets or {})
        if "cloudflare" in config:
            given.setdefault("cloudflareTunnelCredentials", tunnel_credentials(config))
        if system == "hwc":
            given.setdefault("backupRcloneConfig", _RCLONE)
        stack_name = name or system
        engine_directory = directory / "deployment"
        engine_directory.mkdir(parents=True)
        deployment = Deployment.create(engine_directory, cli, stack_name, config, secrets=given)
        shim = engine_directory / "bin" / "pulumi-resource-docker"
        shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m toolchain.offline.plugins.docker "$@"\n')
        shim.chmod(0o755)
        made = cls(stack_name, system, place, deployment, folder)
        if name is not None or system != "home":
            made.before_program(_ASKED_OFTEN)
        if system == "homelab":
            made._stand_in_for_traefik(*TRAEFIK_NETWORK)
        if system in {"heartbeat", EVERYTHING}:
            make_certificate(folder / CERTIFICATES.lstrip("/"), config["host"]["name"])
        return made

    def _stand_in_for_traefik(self, name: str, subnet: str) -> None:
        client = self.place.client
        if not client.networks.list(names=[f"^{name}$"]):
            pool = IPAMPool(subnet=subnet)
            client.networks.create(name, ipam=IPAMConfig(pool_configs=[pool]))
            self.borrowed.append(name)
        image = self.place.images["busybox"]
        self.traefik = client.containers.run(image, ["sleep", "3600"], init=True, network=name, detach=True)

    def before_program(self, text: str) -> None:
        """Have the program begin with something of a test's."""
        program = self.deployment.engine.directory / "__main__.py"
        head, mark, rest = program.read_text().partition("from __future__ import annotations\n")
        assert mark
        program.write_text(head + mark + text + rest)

    # Commands

    def up(self, *arguments: str, check: bool = True) -> Result:
        """`pulumi up --refresh`, with steps that ran once and failed run again, as `make up` does it."""
        docker = Docker.model_validate(self.settings()["docker"])
        tasks_docker.forget_failed(self.name, docker, self.deployment.engine.env)
        return self.deployment.up("--refresh", *arguments, check=check)

    def destroy(self) -> Result:
        """`pulumi destroy --exclude-protected`: what `make destroy` does; data stays."""
        return self.deployment.do("destroy", "--exclude-protected")

    def remove(self) -> None:
        """Everything of this stack on the engine, data included."""
        client = self.place.client
        host.remove_all(client, self.mine)
        if self.traefik is not None:
            host.remove_quietly(self.traefik)
        for name in self.borrowed:
            client.networks.get(name).remove()
        self.borrowed.clear()

    # What there is

    @property
    def prefix(self) -> str:
        """What the names of its containers, networks and volumes begin with."""
        return f"immich-{self.name}"

    @property
    def mine(self) -> dict[str, str | list[str] | bool]:
        """Filters for the engine's lists that leave only this stack's objects."""
        return {"label": f"immich.stack={self.name}"}

    def settings(self) -> dict[str, Any]:
        """Its settings by section."""
        return self.deployment.settings()

    def container(self, workload: str) -> Container:
        """The container of a workload. docker.errors.NotFound without one."""
        return self.place.client.containers.get(f"{self.prefix}-{workload}")

    def workloads(self) -> dict[str, Container]:
        """Name without `prefix` -> container of everything that is to run, which loaders and single steps are not."""
        found = {name: one for name, one in self.containers().items() if not name.endswith("-files")}
        return {name: one for name, one in found.items() if ONCE_LABEL not in one.labels}

    def containers(self) -> dict[str, Container]:
        """Name without `prefix` -> every container."""
        listed = self.place.client.containers.list(all=True, filters=self.mine, ignore_removed=True)
        return {
            str(one.name).removeprefix(f"{self.prefix}-"): one
            for one in sorted(listed, key=lambda one: str(one.name))
        }

    def ways(self) -> list[tuple[str, int, int | None]]:
        """Address, port and redirecting port, None without, of each published port, as the settings say."""
        proxy = self.settings()["proxy"]
        found: list[tuple[str, int, int | None]] = []
        for way in proxy["expose"]:
            if way["kind"] == "publishedPort":
                tls = bool(proxy.get("tls")) and not way.get("trustedSources")
                port = way.get("port", 443 if tls else 2283)
                found.append((way["address"], port, way.get("redirectFrom", 80) if tls else None))
        return found

    def door(self, source: str | None = None, *, way: int = 0) -> Door:
        """HTTP as it comes to this stack.

        Where there are published ports: to one of them, from `source` or from the host itself without; a port on every
        address is reached by 127.0.0.1 then. skylab: to the stand-in's edge. homelab: from Traefik's network.
        """
        name = self.settings()["host"]["name"]
        if self.traefik is not None:
            network, _ = TRAEFIK_NETWORK
            server = self.container("server")
            return Door(
                ContainerNetwork(host.host_pid(self.traefik)),
                host.address_of(server, network),
                2283,
                name=name,
            )
        if not self.ways():
            return self.edge()
        address, port, redirect = self.ways()[way]
        if address == _ALL:
            address = self.place.network.address if source else "127.0.0.1"
        return Door(self.place.network, address, port, source=source, tls=redirect is not None, name=name)

    def edge(self) -> Door:
        """HTTP to the stand-in's edge, through the tunnel."""
        address = host.address_of(self.container("cloudflared"), f"{self.prefix}-cloudflared-outside")
        return Door(self.place.network, address, 7000, name=self.settings()["host"]["name"])

    def secrets(self) -> dict[str, str]:
        """What -> every secret value: those that were set, with the parts of credentials, and those made at random."""
        found = dict(self.deployment.secrets)
        if "cloudflareTunnelCredentials" in found:
            found["TunnelSecret"] = json.loads(found["cloudflareTunnelCredentials"])["TunnelSecret"]
        for one in self.deployment.export(show_secrets=True)["deployment"]["resources"]:
            if one["type"].startswith("random:"):
                found[one["urn"].rpartition("::")[2]] = json.loads(one["outputs"]["result"]["plaintext"])
        return found


def tunnel_credentials(config: Mapping[str, Any]) -> str:
    """What `cloudflared tunnel create` writes for the tunnel that the settings name."""
    tunnel = config["cloudflare"]["tunnel"]["existing"]["id"]
    secret = base64.b64encode(b"a tunnel secret of thirty-two by").decode()
    return json.dumps({"AccountTag": "0" * 32, "TunnelSecret": secret, "TunnelID": tunnel})


def make_certificate(folder: Path, name: str) -> bytes:
    """Write fullchain.pem and privkey.pem for a name into a folder, the certificate last; gives it as PEM."""
    work = folder.parent / f"{folder.name}.new"
    work.mkdir(parents=True)
    openssl = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-days", "30", "-keyout", str(work / "privkey.pem"), "-out", str(work / "fullchain.pem"),
        "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}",
    ]  # fmt: skip
    subprocess.run(openssl, check=True, capture_output=True)
    made = (work / "fullchain.pem").read_bytes()
    for file in ("privkey.pem", "fullchain.pem"):
        (work / file).chmod(0o644)  # nginx's user reads them, and on this machine no group is for it
        (work / file).rename(folder / file)
    shutil.rmtree(work)
    return made
