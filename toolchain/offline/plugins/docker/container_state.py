"""From the engine's description of a container to the properties in the state, as the official plugin reads them."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from toolchain.offline.plugins.docker.container_request import number, objects, texts
from toolchain.offline.plugins.docker.duration import text as duration_text
from toolchain.offline.plugins.values import Object, Value, as_object, as_text, dig

_MEBIBYTE: Final = 1024 * 1024


def running(live: Object) -> bool:
    """Whether the container runs."""
    return dig(live, "State", "Running") is True


def read(live: Object, before: Object) -> Object:
    """The outputs. `before` are those in the state (or the inputs with their defaults): what the engine does not
    tell, such as uploads, stays as it was there.

    A container that stands still although it must run gets `mustRun` false, which the next update answers.
    """
    host, config = as_object(live.get("HostConfig")), as_object(live.get("Config"))
    # The official plugin's state has no environment of the image's, but an empty list.
    state: Object = {"envs": [], **before}
    state.update(_plain(live, host, config))
    # An image that the program gives by its id is compared by the id.
    by_id = as_text(before.get("image")).startswith("sha256:")
    state["image"] = as_text(live.get("Image")) if by_id else as_text(config.get("Image"))
    state.update(_limits(host, before))
    state.update(_when_configured(host, before))
    state.update(_health_check(config))
    state["mounts"] = [_mount(item) for item in objects(host.get("Mounts"))]
    state["hosts"] = [_host(item) for item in texts(host.get("ExtraHosts"))]
    if host.get("CapAdd") or host.get("CapDrop"):
        state["capabilities"] = {
            "adds": [*texts(host.get("CapAdd"))],
            "drops": [*texts(host.get("CapDrop"))],
        }
    must_run = before.get("mustRun") is not False
    network = as_object(live.get("NetworkSettings"))
    state["bridge"] = as_text(network.get("Bridge"))
    state["networkDatas"] = _networks(network)
    # A container that has ended publishes nothing; for one that may end that is no difference.
    if before.get("ports") and (running(live) or must_run):
        state["ports"] = _ports(network)
    if not running(live):
        state["exitCode"] = number(dig(live, "State", "ExitCode"))
        if must_run:
            state["mustRun"] = False
    return {key: value for key, value in state.items() if value is not None}


def _plain(live: Object, host: Object, config: Object) -> Object:
    log = as_object(host.get("LogConfig"))
    policy = as_object(host.get("RestartPolicy"))
    return {
        "name": as_text(live.get("Name")).lstrip("/"),
        "rm": host.get("AutoRemove") is True,
        "readOnly": host.get("ReadonlyRootfs") is True,
        "hostname": as_text(config.get("Hostname")),
        "domainname": as_text(config.get("Domainname")),
        "command": config.get("Cmd") or [],
        "entrypoints": config.get("Entrypoint") or [],
        "user": as_text(config.get("User")),
        "dns": host.get("Dns") or [],
        "dnsOpts": host.get("DnsOptions") or [],
        "dnsSearches": host.get("DnsSearch") or [],
        "securityOpts": host.get("SecurityOpt") or [],
        "publishAllPorts": host.get("PublishAllPorts") is True,
        "restart": as_text(policy.get("Name")),
        "maxRetryCount": number(policy.get("MaximumRetryCount")),
        "init": host.get("Init") is True,
        "workingDir": as_text(config.get("WorkingDir")),
        "runtime": as_text(host.get("Runtime")),
        "platform": as_text(live.get("Platform")),
        "tmpfs": as_object(host.get("Tmpfs")),
        "privileged": host.get("Privileged") is True,
        "logDriver": as_text(log.get("Type")),
        "storageOpts": as_object(host.get("StorageOpt")),
        "networkMode": as_text(host.get("NetworkMode")),
        "usernsMode": as_text(host.get("UsernsMode")),
        "sysctls": as_object(host.get("Sysctls")),
        "ipcMode": as_text(host.get("IpcMode")),
        "groupAdds": host.get("GroupAdd") or [],
        "tty": config.get("Tty") is True,
        "stdinOpen": config.get("OpenStdin") is True,
        "stopSignal": as_text(config.get("StopSignal")),
        "stopTimeout": config.get("StopTimeout"),
    }


def _limits(host: Object, before: Object) -> Object:
    nano = number(host.get("NanoCpus"))
    swap = number(host.get("MemorySwap"))
    limits: Object = {
        "memory": number(host.get("Memory")) // _MEBIBYTE,
        "memoryReservation": number(host.get("MemoryReservation")) // _MEBIBYTE,
        "memorySwap": swap // _MEBIBYTE if swap > 0 else swap,
        "shmSize": number(host.get("ShmSize")) // _MEBIBYTE,
        "cpuShares": number(host.get("CpuShares")),
        "cpuSet": as_text(host.get("CpusetCpus")),
    }
    if nano > 0:
        limits["cpus"] = decimal_cpus(nano)
    for key, name in (
        ("deviceReadBps", "BlkioDeviceReadBps"),
        ("deviceReadIops", "BlkioDeviceReadIOps"),
        ("deviceWriteBps", "BlkioDeviceWriteBps"),
        ("deviceWriteIops", "BlkioDeviceWriteIOps"),
    ):
        rates: list[Value] = [
            {"path": as_text(item.get("Path")), "rate": number(item.get("Rate"))}
            for item in objects(host.get(name))
        ]
        if rates or before.get(key):
            limits[key] = rates
    return limits


def decimal_cpus(nano: int) -> str:
    """Billionths of a CPU as the shortest decimal: 1500000000 is `1.5`."""
    return f"{(Decimal(nano) / 10**9).normalize():f}"


def _when_configured(host: Object, before: Object) -> Object:
    """What is read only where the program says something about it."""
    found: Object = {}
    if before.get("logOpts"):
        found["logOpts"] = as_object(dig(host, "LogConfig", "Config"))
    if before.get("pidMode"):
        found["pidMode"] = as_text(host.get("PidMode"))
    if before.get("ulimits"):
        found["ulimits"] = [
            {
                "name": as_text(item.get("Name")),
                "soft": number(item.get("Soft")),
                "hard": number(item.get("Hard")),
            }
            for item in objects(host.get("Ulimits"))
        ]
    if before.get("devices"):
        named = {as_text(i.get("hostPath")) for i in objects(before.get("devices")) if i.get("containerPath")}
        found["devices"] = [_device(item, named) for item in objects(host.get("Devices"))]
    requests = objects(host.get("DeviceRequests"))
    if before.get("gpus"):
        gpus = _gpus(requests)
        if gpus is not None:
            found["gpus"] = gpus
    elif before.get("deviceRequests"):
        found["deviceRequests"] = [_device_request(item) for item in requests]
    return found


def _device(item: Object, named: set[str]) -> Object:
    path = as_text(item.get("PathOnHost"))
    device: Object = {"hostPath": path, "permissions": as_text(item.get("CgroupPermissions"))}
    if path in named:
        device["containerPath"] = as_text(item.get("PathInContainer"))
    return device


def _gpus(requests: list[Object]) -> str | None:
    """The requests as the property `gpus`, None where they cannot be written so."""
    if not requests:
        return ""
    if len(requests) != 1:
        return None
    ids = texts(requests[0].get("DeviceIDs"))
    if ids:
        return f"device={','.join(ids)}"
    capabilities = requests[0].get("Capabilities")
    flat = [
        name for group in (capabilities if isinstance(capabilities, list) else []) for name in texts(group)
    ]
    return "all" if requests[0].get("Count") == -1 and "gpu" in flat else None


def _device_request(item: Object) -> Object:
    request: Object = {"driver": as_text(item.get("Driver")), "count": number(item.get("Count"))}
    capabilities = item.get("Capabilities")
    first = capabilities[0] if isinstance(capabilities, list) and capabilities else None
    for key, value in (
        ("deviceIds", item.get("DeviceIDs")),
        ("capabilities", first),
        ("options", item.get("Options")),
    ):
        if value:
            request[key] = value
    return request


def _health_check(config: Object) -> Object:
    live = config.get("Healthcheck")
    if not isinstance(live, dict):
        return {}
    return {
        "healthcheck": {
            "tests": [*texts(live.get("Test"))],
            "interval": duration_text(number(live.get("Interval"))),
            "timeout": duration_text(number(live.get("Timeout"))),
            "startPeriod": duration_text(number(live.get("StartPeriod"))),
            "startInterval": duration_text(number(live.get("StartInterval"))),
            "retries": number(live.get("Retries")),
        }
    }


def _mount(item: Object) -> Object:
    mount: Object = {
        "type": as_text(item.get("Type")),
        "target": as_text(item.get("Target")),
        "source": as_text(item.get("Source")),
        "readOnly": item.get("ReadOnly") is True,
    }
    bind, volume, tmpfs = (item.get(f"{name}Options") for name in ("Bind", "Volume", "Tmpfs"))
    if isinstance(bind, dict):
        mount["bindOptions"] = {"propagation": as_text(bind.get("Propagation"))}
    if isinstance(volume, dict):
        options: Object = {
            "noCopy": volume.get("NoCopy") is True,
            "labels": labels(volume.get("Labels")),
            "driverName": as_text(dig(volume, "DriverConfig", "Name")),
            "driverOptions": as_object(dig(volume, "DriverConfig", "Options")),
        }
        if volume.get("Subpath"):
            options["subpath"] = as_text(volume.get("Subpath"))
        mount["volumeOptions"] = options
    if isinstance(tmpfs, dict):
        mount["tmpfsOptions"] = {
            "sizeBytes": number(tmpfs.get("SizeBytes")),
            "mode": number(tmpfs.get("Mode")),
        }
    return mount


def labels(live: Value) -> list[Value]:
    """The engine's labels as a list of label and value, by name."""
    return [{"label": key, "value": value} for key, value in sorted(as_object(live).items())]


def _host(item: str) -> Object:
    name, _, address = item.partition(":")
    return {"host": name, "ip": address}


def _ports(network: Object) -> list[Value]:
    found: list[Value] = []
    live = as_object(network.get("Ports"))
    for key in sorted(live, key=lambda key: (int(key.partition("/")[0]), key)):
        internal, _, protocol = key.partition("/")
        bindings: list[Value] = [
            {
                "internal": int(internal),
                "external": int(as_text(binding.get("HostPort"), "0") or 0),
                "ip": as_text(binding.get("HostIp")),
                "protocol": protocol,
            }
            for binding in objects(live[key])
        ]
        found += bindings
    return found


def _networks(network: Object) -> list[Value]:
    return [
        {
            "networkName": name,
            "ipAddress": as_text(item.get("IPAddress")),
            "ipPrefixLength": number(item.get("IPPrefixLen")),
            "gateway": as_text(item.get("Gateway")),
            "globalIpv6Address": as_text(item.get("GlobalIPv6Address")),
            "globalIpv6PrefixLength": number(item.get("GlobalIPv6PrefixLen")),
            "ipv6Gateway": as_text(item.get("IPv6Gateway")),
            "macAddress": as_text(item.get("MacAddress")),
        }
        for name, item in sorted(
            (key, as_object(value)) for key, value in as_object(network.get("Networks")).items()
        )
    ]
