"""What a container needs, with no platform in it: plain frozen data that a component makes and a platform realises."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from components.model.exposure import Way
from components.model.values import ImageRef, Quantity

if TYPE_CHECKING:
    import pulumi


@dataclass(frozen=True, kw_only=True, slots=True)
class Port:
    """A port that the container listens on."""

    name: str
    """Its name, at most 15 characters."""
    number: int
    """1024 or above: containers run without privileges."""
    app_protocol: str | None = None
    """Hint for gateways, such as `kubernetes.io/ws`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpCheck:
    """Healthy when a GET answers 200 to 399."""

    port: str
    path: str
    inside: tuple[str, ...] = ()
    """A command of the image that asks the same, for engines that check from within the container; empty has none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandCheck:
    """Healthy when a command in the container ends with 0."""

    command: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """How to see that a container is well. All times are seconds."""

    check: HttpCheck | CommandCheck
    period: int = 10
    timeout: int = 5
    failures: int = 3
    """Failures in a row after which the container is restarted (or gets no traffic)."""
    startup_budget: int | None = None
    """How long the first success may take; None has no start phase of its own."""
    restarts: bool = True
    """Whether failing restarts the container; otherwise it only stops getting traffic."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Storage:
    """A mount of a persistent volume that a component asked the platform for, by its name."""

    volume: str
    path: str
    read_only: bool = False
    sub_path: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Scratch:
    """A writable folder that ends with the container; in memory when `memory` is set."""

    path: str
    size: Quantity
    """The most that it may hold."""
    memory: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class SecretFiles:
    """Files made of a secret, readable by the container's group only."""

    secret: str
    """Name of the secret."""
    path: str
    """Folder."""
    items: Mapping[str, str]
    """Key in the secret -> file name in the folder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfigFiles:
    """Files with text that is no secret."""

    name: str
    """Name of the set of files, unique in the deployment."""
    path: str
    """Folder."""
    files: Mapping[str, pulumi.Input[str]]
    """File name -> text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """A device or folder of the host, given to the container as it is."""

    path: str
    read_only: bool = False


Mount = Storage | Scratch | SecretFiles | ConfigFiles | Device


@dataclass(frozen=True, kw_only=True, slots=True)
class Gpu:
    """An accelerator."""

    resource: str | None = None
    """Extended resource of a device plugin, such as `nvidia.com/gpu`."""
    count: int = 1
    runtime_class: str | None = None
    ids: tuple[str, ...] = ()
    """Which accelerators of the host, where several are and an engine without a scheduler hands them out."""
    devices: tuple[str, ...] = ()
    """Devices of the host that stand for the resource where there is no device plugin."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Resources:
    """CPU (cores) and memory (bytes): what is reserved and what is the most."""

    cpu_request: Quantity
    memory_request: Quantity
    cpu_limit: Quantity
    memory_limit: Quantity


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """This workload talks to another one. From links comes all isolation: what is not linked is not reachable."""

    to: str
    """Name of the other workload, or of a service that the platform made, such as a database cluster."""
    port: int
    at: str | None = None
    """On one host: the network in which both meet (`Workload.meets`), where it is not that of the other."""


def address_range(host: str) -> str | None:
    """The network of one address that `host` is, or None where it is a name."""
    try:
        return str(ipaddress.ip_network(host))
    except ValueError:
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Egress:
    """This workload talks to names or networks outside, one of the two.

    Raises `ValueError` for neither or both, or for no port: nothing said would mean every destination, every port.
    """

    reason: str
    names: tuple[pulumi.Input[str], ...] = ()
    """Host names; `*.` in front means every name below. One that is known during the update only may turn out to be an
    address."""
    cidrs: tuple[str, ...] = ()
    """Networks, where no name is known."""
    ports: tuple[pulumi.Input[int], ...] = (443,)
    """TCP ports."""
    udp_ports: tuple[int, ...] = ()
    """UDP ports."""
    private: bool = False
    """The names may resolve to private addresses, such as a sign-in server on the LAN."""

    def __post_init__(self) -> None:
        if bool(self.names) == bool(self.cidrs):
            raise ValueError(f"{self.reason}: give names or cidrs")
        if not self.ports and not self.udp_ports:
            raise ValueError(f"{self.reason}: give a port")

    @classmethod
    def to_host(cls, reason: str, host: pulumi.Input[str], port: pulumi.Input[int]) -> Egress:
        """To one machine, by name or address, which may be on the LAN."""
        network = address_range(host) if isinstance(host, str) else None
        return cls(
            reason=reason,
            names=(host,) if network is None else (),
            cidrs=() if network is None else (network,),
            ports=(port,),
            private=True,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Ingress:
    """Somebody who is no workload of ours may connect: a gateway's namespace, the nodes, a network.

    Raises `ValueError` for nobody: no source would mean everybody.
    """

    reason: str
    port: int
    namespace: str | None = None
    pods: Mapping[str, str] = field(default_factory=dict[str, str])
    cidrs: tuple[str, ...] = ()
    nodes: bool = False
    """The gateway is part of the nodes' network; `cidrs` has the nodes' addresses."""
    anyone: bool = False
    """Every address that reaches the port, such as behind a load balancer."""
    network: str | None = None
    """On one host: a network of the engine that exists; its containers reach the workload by its container's name."""

    def __post_init__(self) -> None:
        if not (self.anyone or self.namespace or self.cidrs or self.network):
            raise ValueError(f"{self.reason}: give a namespace, networks or anyone")

    @property
    def on_cluster(self) -> bool:
        """Whether it says anything on a cluster."""
        return self.anyone or self.namespace is not None or bool(self.cidrs)


def scrapers(ports: Iterable[Port], namespace: str | None) -> tuple[Ingress, ...]:
    """Lets the pods of `namespace` read every port whose name begins with `metrics`."""
    if namespace is None:
        return ()
    return tuple(
        Ingress(reason=f"{port.name} for monitoring", port=port.number, namespace=namespace)
        for port in ports
        if port.name.startswith("metrics")
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Relaxation:
    """A step back from the hardened default, with its reason."""

    what: Literal["privileged", "writable-root", "unmasked-paths"]
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Toleration:
    """A taint that the pods put up with."""

    operator: str
    key: str | None = None
    value: str | None = None
    effect: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """Which nodes may run it; nothing on a single host."""

    node_selector: Mapping[str, str] = field(default_factory=dict[str, str])
    tolerations: tuple[Toleration, ...] = ()
    priority_class: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Priority:
    """How the operating system of a single host treats it; a cluster's scheduler knows neither."""

    niceness: int = 0
    """Share of the CPU when it is short, on the scale of `nice`: -20 is the most, 19 the least."""
    lock_memory: bool = False
    """May keep memory from being swapped out, as GPU drivers want to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sidecar:
    """A second container beside the workload's: same network, same user, same hardening, no volumes but its files."""

    name: str
    image: ImageRef
    resources: Resources
    args: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()
    """Part of the workload's address as its own ports are."""
    readiness: Probe | None = None
    """Where it has one, the workload gets no traffic without it."""
    configuration: str | None = None
    """Path of those `ConfigFiles` of the workload that it reads as well, at the same place."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """One container, its copies, and everything around it."""

    name: str
    """Short and constant: `server`, `database`. Object names and selectors derive from it."""
    image: ImageRef | pulumi.Output[str]
    resources: Resources
    user: int
    group: int
    args: tuple[str, ...] = ()
    """Arguments of the image's entrypoint; empty keeps the image's own."""
    command: tuple[str, ...] = ()
    """Another entrypoint; empty keeps the image's own."""
    env: Mapping[str, pulumi.Input[str]] = field(default_factory=dict[str, Any])
    """Environment. Never a secret: those are `SecretFiles`."""
    ports: tuple[Port, ...] = ()
    liveness: Probe | None = None
    readiness: Probe | None = None
    mounts: tuple[Mount, ...] = ()
    sidecars: tuple[Sidecar, ...] = ()
    replicas: int = 1
    stateful: bool = False
    """Copies have an identity and data; at most one writes at a time."""
    exclusive: bool = False
    """An old copy must be gone before a new one starts (its volume can be mounted once, or versions must not mix)."""
    supplemental_groups: tuple[int, ...] = ()
    gpu: Gpu | None = None
    links: tuple[Link, ...] = ()
    egress: tuple[Egress, ...] = ()
    ingress: tuple[Ingress, ...] = ()
    meets: tuple[str, ...] = ()
    """On one host: networks of several that it is in beside those of its links."""
    way_out: str | None = None
    """On one host: the way out that it shares with others; None gives it one of its own."""
    termination_grace: int = 30
    """Seconds between the request to end and the kill."""
    start_timeout: int = 600
    """Seconds until it must be ready; longer than any probe's start phase."""
    relaxations: tuple[Relaxation, ...] = ()
    placement: Placement = Placement()
    priority: Priority = Priority()
    ways: tuple[Way, ...] = ()
    """Ways in from outside. A platform with objects for them is asked to open each; on others they are part of the
    container."""
    architecture: str | None = None
    """CPU architecture that the image needs (amd64, arm64); None runs on any."""
    revision: Mapping[str, str] = field(default_factory=dict[str, str])
    """Names and hashes of what the container reads at start; a change restarts it."""

    @property
    def all_ports(self) -> tuple[Port, ...]:
        """Its own and its sidecars'."""
        return (*self.ports, *(port for sidecar in self.sidecars for port in sidecar.ports))


@dataclass(frozen=True, kw_only=True, slots=True)
class VolumeRequest:
    """A persistent volume that a component asks for. What holds data is protected and kept."""

    name: str
    """Short name, unique; the claim's name derives from it unless `claim_name` says another."""
    size: Quantity
    access_mode: str = "ReadWriteOnce"
    storage_class: pulumi.Input[str] | None = None
    claim_name: str | None = None
    nfs: NfsTarget | None = None
    smb: SmbTarget | None = None
    host_path: str | None = None
    existing_claim: str | None = None
    kept: bool = False
    """Of what holds no data: left behind when it leaves the program, since making it again is not always possible."""
    holds_data: bool = True
    """False for what can be made again, such as downloaded models: it may then be deleted and replaced."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NfsTarget:
    """An exported folder of an NFS server."""

    server: str
    path: str
    mount_options: tuple[str, ...]
    csi: bool
    read_only: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class SmbTarget:
    """A share of an SMB server."""

    source: str
    credentials_secret: str
    mount_options: tuple[str, ...]
    read_only: bool = False
