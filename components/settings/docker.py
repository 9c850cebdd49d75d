"""One host with a container engine: how it is reached, its networks, logs and restarts."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, ClassVar, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from components.fields.base import AUTO, Section, WholeNumber
from components.model.values import AbsolutePath, Bytes, Cidr, ImageRef, IpAddress, ParsedStr

NetworkName = Literal[
    "server",
    "database",
    "cache",
    "machine-learning",
    "proxy",
    "server-outside",
    "microservices-outside",
    "machine-learning-outside",
    "proxy-outside",
    "cloudflared-outside",
    "certificates-outside",
    "backup-rclone",
    "backup-rclone-outside",
    "tasks-outside",
    "monitoring",
    "monitoring-outside",
]
NETWORKS: tuple[NetworkName, ...] = get_args(NetworkName)
"""Networks that a stack may have, in the order in which they take their part of `docker.subnet`.

`<workload>` joins a workload and those that are linked to it, with no way out; `<workload>-outside` is one workload's
own way out, `tasks-outside` that of the steps of tasks. In `monitoring` whoever reads numbers meets whoever is read;
`monitoring-outside` is the way out of those who watch.
"""
_SUBNET_BITS = 28


class EngineAddress(ParsedStr):
    """Address of a container engine."""

    __slots__ = ()
    accepted: ClassVar[str] = (
        "unix:///path/to.sock, ssh://user@host (with :port where it is not 22), or tcp://host:port"
    )
    shape: ClassVar[str] = r"^\s*(unix:///|ssh://[^/@]+@[^/]+|tcp://[^/]+:[0-9]+).*$"

    @classmethod
    def check(cls, text: str) -> str:
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise ValueError(f"expected {cls.accepted}") from None
        host = re.fullmatch(r"[A-Za-z0-9._:-]+", parts.hostname or "") is not None
        bare = not parts.query and not parts.fragment and parts.password is None
        good = bare and (
            (parts.scheme == "unix" and not parts.netloc and parts.path.startswith("/"))
            or (parts.scheme == "ssh" and host and parts.username is not None and parts.path in {"", "/"})
            or (parts.scheme == "tcp" and host and port is not None and parts.path in {"", "/"})
        )
        if not good or not text.isprintable() or " " in text:
            raise ValueError(f"expected {cls.accepted}")
        return text

    @property
    def scheme(self) -> str:
        """`unix`, `ssh` or `tcp`."""
        return urlsplit(self).scheme


class Logs(Section):
    """Rotation of container logs."""

    driver: Literal["json-file", "local", "journald"] = "json-file"
    """The engine's log driver; `journald` has its own limits and ignores those here."""
    max_size: Bytes = Bytes("10M")
    """Size at which a log file is rotated."""
    max_files: WholeNumber = Field(default=5, ge=1, le=100)
    """Number of log files that are kept."""

    @model_validator(mode="after")
    def _size_is_sensible(self) -> Self:
        if not Bytes("100k").amount <= self.max_size.amount <= Bytes("10G").amount:
            raise ValueError("maxSize must be between 100k and 10G")
        return self


class NetworkSettings(Section):
    """A network with a subnet of its own."""

    subnet: Cidr
    """Its addresses; the engine takes the first for itself."""

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        network = ipaddress.ip_network(self.subnet)
        if network.version != 4 or not 16 <= network.prefixlen <= _SUBNET_BITS:
            raise ValueError(f"subnet {self.subnet} must be IPv4, with a prefix of /16 to /{_SUBNET_BITS}")
        return self


class Docker(Section):
    """A machine with Docker, or with Podman and its Docker-compatible socket. The section's presence chooses it
    instead of a cluster.
    """

    host: Annotated[EngineAddress | None, AUTO] = None
    """Where the engine is; auto is $DOCKER_HOST, else unix:///var/run/docker.sock of this machine."""
    tls_folder: AbsolutePath | None = None
    """Folder of this machine with ca.pem, cert.pem and key.pem, for tcp://."""
    ssh_options: tuple[Annotated[str, Field(min_length=1, pattern=r"^[^\s]+$")], ...] = ()
    """Options of the ssh command, one word each, such as `-i`, `.ssh/id_photos`."""
    engine: Literal["docker", "podman"] = "docker"
    """Which container engine is there; Podman's Docker-compatible API differs in some points."""
    selinux: bool = False
    """Give folders of the host the label that lets containers in (`:z`): for hosts with SELinux, such as Fedora."""
    subnet: Annotated[Cidr | None, AUTO] = None
    """A private IPv4 /24 that is cut into the stack's networks; auto derives one of 10.200.0.0 to 10.249.255.0 from the
    stack's name, so that stacks on one host do not meet."""
    networks: dict[NetworkName, NetworkSettings] = Field(default_factory=dict)
    """Networks with addresses of their own."""
    gpu_requests: Annotated[Literal["gpus", "cdi"] | None, AUTO] = None
    """How GPUs of NVIDIA are asked for: `gpus` as `docker run --gpus` does, `cdi` by their CDI names, which an engine
    set up for CDI alone wants (NixOS' `hardware.nvidia-container-toolkit`). auto is cdi for Podman, gpus for Docker."""
    dns: tuple[IpAddress, ...] = ()
    """Name servers for what containers look up outside; none takes the host's."""
    files_image: ImageRef | None = None
    """Another image than the table's for what puts files into volumes; it must have a shell and `cp`."""
    restart: Literal["always", "unless-stopped", "on-failure"] = "always"
    """When the engine starts a container again. After a restart of the host `on-failure` starts none; after a crash of
    the engine `unless-stopped` starts none either, since Docker takes what outlived it for stopped by hand."""
    logs: Logs = Logs()
    """Logs of all containers."""

    @property
    def cdi(self) -> bool:
        """Whether GPUs are asked for by their CDI names."""
        return (self.gpu_requests or ("cdi" if self.engine == "podman" else "gpus")) == "cdi"

    @property
    def hides_clients(self) -> bool:
        """Whether containers see an address of the engine's in the place of every client's: Podman and engines without
        root, by the socket of their user, pass connections to published ports on themselves.
        """
        return self.engine == "podman" or (self.host or "").startswith("unix:///run/user/")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        tcp = self.host is not None and self.host.scheme == "tcp"
        if self.tls_folder is not None and not tcp:
            raise ValueError("tlsFolder is for a host with tcp://")
        if tcp and self.tls_folder is None and not _is_loopback(str(self.host)):
            raise ValueError(
                f"host {self.host} without tlsFolder would give the whole machine to everybody who reaches that port; "
                "use ssh://, or tlsFolder with ca.pem, cert.pem and key.pem"
            )
        if self.engine == "podman" and not self.cdi:
            raise ValueError("gpuRequests gpus is Docker's: Podman knows GPUs by their CDI names; use cdi")
        if self.ssh_options and (self.host is None or self.host.scheme != "ssh"):
            raise ValueError("sshOptions are for a host with ssh://")
        return self

    @model_validator(mode="after")
    def _subnet_is_private(self) -> Self:
        if self.subnet is None:
            return self
        network = ipaddress.ip_network(self.subnet)
        if network.version != 4 or network.prefixlen != 24 or not network.is_private:
            raise ValueError(f"subnet {self.subnet} must be a private IPv4 network with the prefix /24")
        return self

    @model_validator(mode="after")
    def _networks_do_not_overlap(self) -> Self:
        given = [(name, ipaddress.ip_network(one.subnet)) for name, one in sorted(self.networks.items())]
        for index, (name, network) in enumerate(given):
            for other, another in given[index + 1 :]:
                if network.overlaps(another):
                    raise ValueError(f"networks: {name} {network} and {other} {another} overlap")
            if self.subnet is not None and network.overlaps(ipaddress.ip_network(self.subnet)):
                raise ValueError(f"networks: {name} {network} overlaps subnet {self.subnet}")
        return self


def _is_loopback(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
