"""Networks from links: who is not linked cannot even name the other. Pure.

A workload that others are linked to has an internal network with those and nobody else. A workload that talks to the
outside, or is reached from there, has a way out of its own: containers meet in no network that no link says.
"""

from __future__ import annotations

import ipaddress

from components.model.exposure import PublishedPortSpec, TraefikSpec
from components.model.naming import object_name
from components.model.workload import Workload
from components.platform.docker.objects import Inputs, labelled
from components.platform.docker.options import DockerPlatformArgs

OUTSIDE = "-outside"


def joined_by(workload: Workload, options: DockerPlatformArgs, way_out: str | None = None) -> list[str]:
    """Short names of the networks that a workload is in, its own first; `way_out` is another way out than its own."""
    has_network = options.has_network(workload.name, ports=bool(workload.ports))
    found = [workload.name] if has_network else []
    found += [link.at or link.to for link in workload.links]
    found += workload.meets
    if workload.egress or published(workload):
        found.append(way_out or workload.way_out or f"{workload.name}{OUTSIDE}")
    return list(dict.fromkeys(found))


def alias(workload: str, at: str | None = None) -> str:
    """What others call a workload by in its own network, or in one where several meet.

    There it is another name: whoever shares both networks with it, as nginx does with the server where numbers are
    read, would come from either, and is believed in one.
    """
    return object_name(workload) if at is None else f"{object_name(workload)}.{at}"


def alias_in(network: str, workload: Workload) -> str:
    """What a workload is called by in one of its networks."""
    return alias(workload.name, network if network in workload.meets else None)


def foreign(workload: Workload) -> list[str]:
    """Networks of others that it joins: where a Traefik is, or who else may connect."""
    names = [way.network for way in workload.ways if isinstance(way, TraefikSpec)]
    names += [rule.network for rule in workload.ingress]
    return list(dict.fromkeys(name for name in names if name is not None))


def published(workload: Workload) -> list[PublishedPortSpec]:
    """Its ports of the host."""
    return [way for way in workload.ways if isinstance(way, PublishedPortSpec)]


def network(name: str, options: DockerPlatformArgs) -> Inputs:
    """A network by its short name. Raises `ValueError` for one that has no addresses in a table that there is."""
    inputs: Inputs = {
        "name": f"{options.prefix}-{name}",
        "driver": "bridge",
        "internal": not name.endswith(OUTSIDE),
        "labels": labelled({"immich.stack": options.stack}),
    }
    if options.subnets:
        subnet = subnet_of(name, options)
        # The gateway is said, since Podman would say it by itself and every update would find a difference.
        inputs["ipamConfigs"] = [{"subnet": subnet, "gateway": gateway(subnet)}]
    return inputs


def subnet_of(name: str, options: DockerPlatformArgs) -> str:
    """Addresses of a network."""
    if name not in options.subnets:
        raise ValueError(f"the network {name} has no addresses in the table")
    return options.subnets[name]


def gateway(subnet: str) -> str:
    """The first address of a subnet: the host's own in it."""
    return str(next(iter(ipaddress.ip_network(subnet).hosts())))
