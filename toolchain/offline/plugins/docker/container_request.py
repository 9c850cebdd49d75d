"""From a container's properties to the engine's create and update requests, as the official plugin builds them."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from toolchain.offline.plugins.docker.duration import nanoseconds
from toolchain.offline.plugins.provider import ProviderError
from toolchain.offline.plugins.values import Object, Value, as_object, as_text

_MEBIBYTE: Final = 1024 * 1024


def texts(value: Value) -> list[str]:
    """The strings of a list."""
    return [element for element in value if isinstance(element, str)] if isinstance(value, list) else []


def objects(value: Value) -> list[Object]:
    """The objects of a list."""
    return [as_object(element) for element in value] if isinstance(value, list) else []


def number(value: Value) -> int:
    """A whole number, 0 when there is none."""
    return value if isinstance(value, int) else 0


def label_map(value: Value) -> Object:
    """Labels as the engine has them, from a list of label and value."""
    return {as_text(item.get("label")): as_text(item.get("value")) for item in objects(value)}


def _set(target: Object, key: str, value: Value) -> None:
    """Set what is there: the engine takes an absent field and a zero as the same, Podman not always."""
    if value:
        target[key] = value


def create_body(given: Object, *, volume_subpath: bool) -> Object:
    """The body of `POST /containers/create`. `given` has its defaults and no secrets' envelopes.

    `volume_subpath` says whether the engine knows that option. Raises ProviderError for what the official
    plugin refuses before it asks the engine.
    """
    if "" in texts(given.get("command")):
        raise ProviderError("values for command may not be empty")
    binds, anonymous, volumes_from = _volumes(given)
    exposed, bindings = _ports(given)
    body: Object = {"Image": as_text(given.get("image"))}
    for key, name in (
        ("hostname", "Hostname"),
        ("domainname", "Domainname"),
        ("tty", "Tty"),
        ("stdinOpen", "OpenStdin"),
        ("stopSignal", "StopSignal"),
        ("stopTimeout", "StopTimeout"),
        ("envs", "Env"),
        ("command", "Cmd"),
        ("entrypoints", "Entrypoint"),
        ("user", "User"),
        ("workingDir", "WorkingDir"),
    ):
        _set(body, name, given.get(key))
    _set(body, "ExposedPorts", exposed)
    _set(body, "Volumes", anonymous)
    _set(body, "Labels", label_map(given.get("labels")))
    _set(body, "Healthcheck", _health_check(as_object(given.get("healthcheck"))))
    host = _host_config(given)
    _set(
        host, "Mounts", [_mount(item, volume_subpath=volume_subpath) for item in objects(given.get("mounts"))]
    )
    _set(host, "PortBindings", bindings)
    _set(host, "Binds", [*binds])
    _set(host, "VolumesFrom", [*volumes_from])
    body["HostConfig"] = host
    return body


def _health_check(given: Object) -> Object:
    if not given:
        return {}
    return {
        "Test": [*texts(given.get("tests"))],
        "Interval": nanoseconds(as_text(given.get("interval"), "0s")),
        "Timeout": nanoseconds(as_text(given.get("timeout"), "0s")),
        "StartPeriod": nanoseconds(as_text(given.get("startPeriod"), "0s")),
        "StartInterval": nanoseconds(as_text(given.get("startInterval"), "0s")),
        "Retries": number(given.get("retries")),
    }


def _volumes(given: Object) -> tuple[list[str], Object, list[str]]:
    """Binds, anonymous volumes and containers to take volumes from."""
    binds: list[str] = []
    paths: Object = {}
    volumes_from: list[str] = []
    for item in objects(given.get("volumes")):
        source = as_text(item.get("hostPath")) or as_text(item.get("volumeName"))
        container, path = as_text(item.get("fromContainer")), as_text(item.get("containerPath"))
        if not container and not path:
            raise ProviderError("volumes: an entry needs containerPath or fromContainer")
        if container and path:
            raise ProviderError("volumes: an entry cannot have both containerPath and fromContainer")
        if container:
            volumes_from.append(container)
            continue
        paths[path] = {}
        if source:
            options = "ro" if item.get("readOnly") else "rw"
            relabel = as_text(item.get("selinuxRelabel"))
            binds.append(f"{source}:{path}:{options}{',' + relabel if relabel else ''}")
    return binds, paths, volumes_from


def _ports(given: Object) -> tuple[Object, Object]:
    exposed: Object = {}
    bindings: dict[str, list[Value]] = {}
    for item in objects(given.get("ports")):
        key = f"{number(item.get('internal'))}/{as_text(item.get('protocol'))}"
        exposed[key] = {}
        binding: Object = {"HostIp": as_text(item.get("ip")), "HostPort": str(number(item.get("external")))}
        bindings.setdefault(key, []).append(binding)
    return exposed, dict(bindings)


def _mount(item: Object, *, volume_subpath: bool) -> Object:
    kind = as_text(item.get("type"))
    mount: Object = {
        "Type": kind,
        "Target": as_text(item.get("target")),
        "Source": as_text(item.get("source")),
    }
    _set(mount, "ReadOnly", item.get("readOnly"))
    bind, volume, tmpfs = (item.get(f"{name}Options") for name in ("bind", "volume", "tmpfs"))
    if kind == "bind" and isinstance(bind, dict):
        mount["BindOptions"] = {"Propagation": as_text(bind.get("propagation"))}
    elif kind == "volume" and isinstance(volume, dict):
        if not volume_subpath:
            # So in the official plugin, whether or not a subpath is given.
            raise ProviderError("Setting VolumeOptions.Subpath requires docker version 1.45 or higher")
        options: Object = {
            "NoCopy": volume.get("noCopy") is True,
            "Labels": label_map(volume.get("labels")),
            "DriverConfig": {
                "Name": as_text(volume.get("driverName")),
                "Options": as_object(volume.get("driverOptions")),
            },
        }
        _set(options, "Subpath", volume.get("subpath"))
        mount["VolumeOptions"] = options
    elif kind == "tmpfs" and isinstance(tmpfs, dict):
        mount["TmpfsOptions"] = {
            "SizeBytes": number(tmpfs.get("sizeBytes")),
            "Mode": number(tmpfs.get("mode")),
        }
    return mount


def _host_config(given: Object) -> Object:
    host: Object = {
        "RestartPolicy": restart_policy(given),
        "LogConfig": {"Type": as_text(given.get("logDriver")), "Config": as_object(given.get("logOpts"))},
        "Init": given.get("init") is True,
    }
    for key, name in (
        ("privileged", "Privileged"),
        ("publishAllPorts", "PublishAllPorts"),
        ("runtime", "Runtime"),
        ("rm", "AutoRemove"),
        ("readOnly", "ReadonlyRootfs"),
        ("tmpfs", "Tmpfs"),
        ("dns", "Dns"),
        ("dnsOpts", "DnsOptions"),
        ("dnsSearches", "DnsSearch"),
        ("deviceCgroupRules", "DeviceCgroupRules"),
        ("networkMode", "NetworkMode"),
        ("usernsMode", "UsernsMode"),
        ("pidMode", "PidMode"),
        ("ipcMode", "IpcMode"),
        ("sysctls", "Sysctls"),
        ("groupAdds", "GroupAdd"),
        ("cgroupnsMode", "CgroupnsMode"),
        ("cgroupParent", "CgroupParent"),
        ("storageOpts", "StorageOpt"),
        ("cpuShares", "CpuShares"),
        ("cpuSet", "CpusetCpus"),
    ):
        _set(host, name, given.get(key))
    _set(
        host,
        "ExtraHosts",
        [f"{as_text(i.get('host'))}:{as_text(i.get('ip'))}" for i in objects(given.get("hosts"))],
    )
    for name, limits in (("Ulimits", given.get("ulimits")),):
        _set(host, name, [_ulimit(item) for item in objects(limits)])
    capabilities = as_object(given.get("capabilities"))
    _set(host, "CapAdd", capabilities.get("adds"))
    _set(host, "CapDrop", capabilities.get("drops"))
    _set(host, "Devices", [_device(item) for item in objects(given.get("devices"))])
    _set(host, "DeviceRequests", _device_requests(given))
    _security(host, texts(given.get("securityOpts")))
    _limits(host, given)
    host.update(_throttles(given))
    return host


def _ulimit(item: Object) -> Object:
    return {
        "Name": as_text(item.get("name")),
        "Soft": number(item.get("soft")),
        "Hard": number(item.get("hard")),
    }


def _device(item: Object) -> Object:
    path = as_text(item.get("hostPath"))
    return {
        "PathOnHost": path,
        "PathInContainer": as_text(item.get("containerPath")) or path,
        "CgroupPermissions": as_text(item.get("permissions")),
    }


def _device_requests(given: Object) -> list[Value]:
    gpus = as_text(given.get("gpus")).strip().strip("\"'")
    if gpus:
        return [gpu_request(gpus)]
    requests: list[Value] = []
    for item in objects(given.get("deviceRequests")):
        request: Object = {"Driver": as_text(item.get("driver")), "Count": number(item.get("count"))}
        _set(request, "DeviceIDs", item.get("deviceIds"))
        request["Capabilities"] = [[*texts(item.get("capabilities"))]]
        _set(request, "Options", item.get("options"))
        requests.append(request)
    return requests


def gpu_request(gpus: str) -> Object:
    """What `docker run --gpus` means: `all`, a count, or `device=<id[,id...]>`, each with the capability gpu."""
    if gpus == "all":
        return {"Driver": "", "Count": -1, "Capabilities": [["gpu"]], "Options": {}}
    if gpus.isdigit():
        return {"Driver": "", "Count": int(gpus), "Capabilities": [["gpu"]], "Options": {}}
    if gpus.startswith("device=") and gpus != "device=":
        ids: list[Value] = [*gpus.removeprefix("device=").split(",")]
        return {"Driver": "", "Count": 0, "DeviceIDs": ids, "Capabilities": [["gpu"]], "Options": {}}
    raise ProviderError(f"gpus must be all, a number or device=<id[,id...]>, not {gpus!r}")


def _security(host: Object, options: list[str]) -> None:
    kept: list[Value] = [option for option in options if option != "systempaths=unconfined"]
    _set(host, "SecurityOpt", kept)
    if len(kept) != len(options):
        # The client of Docker turns this option into empty lists; the engine does not know it.
        host["MaskedPaths"] = []
        host["ReadonlyPaths"] = []


def _limits(host: Object, given: Object) -> None:
    _set(host, "Memory", number(given.get("memory")) * _MEBIBYTE)
    _set(host, "MemoryReservation", number(given.get("memoryReservation")) * _MEBIBYTE)
    _set(host, "MemorySwap", _swap(given))
    _set(host, "ShmSize", number(given.get("shmSize")) * _MEBIBYTE)
    cpus = as_text(given.get("cpus"))
    if cpus:
        host["NanoCpus"] = int(Decimal(cpus) * 10**9)
    else:
        _set(host, "CpuPeriod", given.get("cpuPeriod"))
        _set(host, "CpuQuota", given.get("cpuQuota"))


def _swap(given: Object) -> int:
    swap = number(given.get("memorySwap"))
    return swap * _MEBIBYTE if swap > 0 else swap


def _throttles(given: Object) -> Object:
    throttles: Object = {}
    for key, name in (
        ("deviceReadBps", "BlkioDeviceReadBps"),
        ("deviceReadIops", "BlkioDeviceReadIOps"),
        ("deviceWriteBps", "BlkioDeviceWriteBps"),
        ("deviceWriteIops", "BlkioDeviceWriteIOps"),
    ):
        rates: list[Value] = [
            {"Path": as_text(item.get("path")), "Rate": number(item.get("rate"))}
            for item in objects(given.get(key))
        ]
        _set(throttles, name, rates)
    return throttles


def restart_policy(given: Object) -> Object:
    """The engine's restart policy."""
    return {
        "Name": as_text(given.get("restart")),
        "MaximumRetryCount": number(given.get("maxRetryCount")),
    }


def update_body(given: Object) -> Object:
    """The body of `POST /containers/<id>/update`; a zero leaves the engine's value as it is."""
    body: Object = {
        "RestartPolicy": restart_policy(given),
        "CpuShares": number(given.get("cpuShares")),
        "Memory": number(given.get("memory")) * _MEBIBYTE,
        "MemoryReservation": number(given.get("memoryReservation")) * _MEBIBYTE,
        "CpusetCpus": as_text(given.get("cpuSet")),
    }
    _set(body, "MemorySwap", _swap(given))
    body.update(_throttles(given))
    return body


def endpoint(item: Object) -> Object:
    """The `EndpointConfig` of a connection to a network."""
    ipam: Object = {}
    _set(ipam, "IPv4Address", item.get("ipv4Address"))
    _set(ipam, "IPv6Address", item.get("ipv6Address"))
    _set(ipam, "LinkLocalIPs", item.get("linkLocalIps"))
    config: Object = {"IPAMConfig": ipam}
    _set(config, "Aliases", item.get("aliases"))
    _set(config, "MacAddress", item.get("macAddress"))
    _set(config, "GwPriority", item.get("gwPriority"))
    pairs = [option.partition("=") for option in texts(item.get("driverOpts"))]
    _set(config, "DriverOpts", {key: value for key, mark, value in pairs if mark})
    return config
