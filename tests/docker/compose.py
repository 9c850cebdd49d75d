"""A compose file of containers that are there: the same ones, for docker-compose to start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from docker.models.containers import Container

_SECOND = 10**9


def document(containers: Mapping[str, Container], after: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Version 2.4, the last whose services wait for the health of others. Networks and volumes exist already."""
    networks: set[str] = set()
    volumes: set[str] = set()
    services: dict[str, Any] = {}
    for name, container in containers.items():
        services[name] = _service(container, networks, volumes)
        waits = {
            other: {"condition": "service_healthy"} for other in after.get(name, ()) if other in containers
        }
        if waits:
            services[name]["depends_on"] = waits
    return {
        "version": "2.4",
        "services": services,
        "networks": {name: {"external": {"name": name}} for name in sorted(networks)},
        "volumes": {name: {"external": {"name": name}} for name in sorted(volumes)},
    }


def _service(container: Container, networks: set[str], volumes: set[str]) -> dict[str, Any]:
    config, host = container.attrs["Config"], container.attrs["HostConfig"]
    check = config["Healthcheck"]
    service: dict[str, Any] = {
        "image": container.attrs["Image"],
        "container_name": container.name,
        "user": config["User"],
        "environment": config["Env"],
        "entrypoint": config["Entrypoint"],
        "command": config["Cmd"],
        "restart": host["RestartPolicy"]["Name"],
        "read_only": host["ReadonlyRootfs"],
        "cap_drop": host["CapDrop"],
        "security_opt": host["SecurityOpt"],
        "mem_limit": host["Memory"],
        "memswap_limit": host["MemorySwap"],
        "cpu_shares": host["CpuShares"],
        "cpu_period": host["CpuPeriod"],
        "cpu_quota": host["CpuQuota"],
        "ulimits": {one["Name"]: {"soft": one["Soft"], "hard": one["Hard"]} for one in host["Ulimits"]},
        "tmpfs": [f"{path}:{options}" for path, options in (host["Tmpfs"] or {}).items()],
        "healthcheck": {
            "test": [_literal(one) for one in check["Test"]],
            "interval": f"{check['Interval'] // _SECOND}s",
            "timeout": f"{check['Timeout'] // _SECOND}s",
            "retries": check["Retries"],
            "start_period": f"{check['StartPeriod'] // _SECOND}s",
        },
        "networks": {},
        "volumes": [],
        "ports": [],
    }
    for name, joined in container.attrs["NetworkSettings"]["Networks"].items():
        networks.add(name)
        service["networks"][name] = {"aliases": joined["Aliases"][:1]}
    for mount in container.attrs["Mounts"]:
        source = mount["Name"] if mount["Type"] == "volume" else mount["Source"]
        if mount["Type"] == "volume":
            volumes.add(source)
        service["volumes"].append(f"{source}:{mount['Destination']}:{'rw' if mount['RW'] else 'ro'}")
    for inside, outside in (host["PortBindings"] or {}).items():
        service["ports"] += [f"{one['HostIp']}:{one['HostPort']}:{inside}" for one in outside]
    return {key: _literal(value) for key, value in service.items() if value not in (None, [], "")}


def _literal(value: Any) -> Any:
    """Text as it is: compose reads a dollar as a variable."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    return [_literal(one) for one in value] if isinstance(value, list) else value
