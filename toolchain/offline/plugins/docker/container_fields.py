"""A container's properties, after the schema of terraform-provider-docker 4 in pulumi-docker 5.

What is not `replaces` here is not replaced there either. Of those, IN_PLACE is changed on the running container,
RECORDED is written to the state although the container keeps its old value, and the rest concerns the plugin.
"""

from __future__ import annotations

from typing import Final

from toolchain.offline.plugins.docker.duration import PATTERN as DURATION
from toolchain.offline.plugins.docker.schema import Field

LABEL: Final = {
    "label": Field(kind="text", required=True),
    "value": Field(kind="text", required=True),
}
_RATE: Final = {
    "path": Field(kind="text", required=True),
    "rate": Field(kind="integer", required=True, minimum=0),
}
_DURATION: Final = Field(kind="text", default="0s", pattern=DURATION)

FIELDS: Final[dict[str, Field]] = {
    "name": Field(kind="text", required=True),
    "image": Field(kind="text", required=True),
    "attach": Field(kind="boolean", default=False, replaces=False),
    "capabilities": Field(
        kind="object", settled=True, fields={"adds": Field(kind="set"), "drops": Field(kind="set")}
    ),
    "cgroupParent": Field(kind="text"),
    "cgroupnsMode": Field(kind="text", pattern="private|host"),
    "command": Field(kind="list", computed=True),
    "containerReadRefreshTimeoutMilliseconds": Field(kind="integer", default=15000, replaces=False),
    "cpuPeriod": Field(kind="integer", replaces=False, minimum=0),
    "cpuQuota": Field(kind="integer", replaces=False, minimum=0),
    "cpuSet": Field(kind="text", replaces=False, pattern=r"\d+([,-]\d+)*"),
    "cpuShares": Field(kind="integer", replaces=False, minimum=0),
    "cpus": Field(kind="text", pattern=r"[0-9]+(\.[0-9]{1,9})?"),
    "destroyGraceSeconds": Field(kind="integer", replaces=False),
    "deviceCgroupRules": Field(kind="set"),
    "deviceReadBps": Field(kind="objects", replaces=False, fields=_RATE),
    "deviceReadIops": Field(kind="objects", replaces=False, fields=_RATE),
    "deviceRequests": Field(
        kind="objects",
        fields={
            "driver": Field(kind="text", default="cdi"),
            "count": Field(kind="integer"),
            "deviceIds": Field(kind="set"),
            "capabilities": Field(kind="set"),
            "options": Field(kind="map"),
        },
    ),
    "deviceWriteBps": Field(kind="objects", replaces=False, fields=_RATE),
    "deviceWriteIops": Field(kind="objects", replaces=False, fields=_RATE),
    "devices": Field(
        kind="objects",
        fields={
            "hostPath": Field(kind="text", required=True),
            "containerPath": Field(kind="text"),
            "permissions": Field(kind="text", default="rwm"),
        },
    ),
    "dns": Field(kind="set"),
    "dnsOpts": Field(kind="set"),
    "dnsSearches": Field(kind="set"),
    "domainname": Field(kind="text"),
    "entrypoints": Field(kind="list", computed=True),
    "envs": Field(kind="set", computed=True),
    "gpus": Field(kind="text"),
    "groupAdds": Field(kind="set"),
    "healthcheck": Field(
        kind="object",
        computed=True,
        replaces=False,
        fields={
            "tests": Field(kind="list"),
            "interval": _DURATION,
            "timeout": _DURATION,
            "startPeriod": _DURATION,
            "startInterval": _DURATION,
            "retries": Field(kind="integer", minimum=0),
        },
    ),
    "hostname": Field(kind="text", computed=True),
    "hosts": Field(
        kind="objects",
        fields={"host": Field(kind="text", required=True), "ip": Field(kind="text", required=True)},
    ),
    "init": Field(kind="boolean", computed=True, replaces=False),
    "ipcMode": Field(kind="text", computed=True),
    "labels": Field(kind="objects", computed=True, fields=LABEL),
    "logDriver": Field(kind="text", computed=True),
    "logOpts": Field(kind="map"),
    "logs": Field(kind="boolean", default=False, replaces=False),
    "maxRetryCount": Field(kind="integer", replaces=False),
    "memory": Field(kind="integer", replaces=False, minimum=0),
    "memoryReservation": Field(kind="integer", replaces=False, minimum=0),
    "memorySwap": Field(kind="integer", replaces=False, minimum=-1),
    "mounts": Field(
        kind="objects",
        fields={
            "target": Field(kind="text", required=True),
            "type": Field(kind="text", required=True, pattern="bind|volume|tmpfs"),
            "source": Field(kind="text"),
            "readOnly": Field(kind="boolean"),
            "bindOptions": Field(
                kind="object",
                fields={
                    "propagation": Field(kind="text", pattern="private|rprivate|shared|rshared|slave|rslave")
                },
            ),
            "tmpfsOptions": Field(
                kind="object", fields={"mode": Field(kind="integer"), "sizeBytes": Field(kind="integer")}
            ),
            "volumeOptions": Field(
                kind="object",
                fields={
                    "driverName": Field(kind="text"),
                    "driverOptions": Field(kind="map"),
                    "labels": Field(kind="objects", fields=LABEL),
                    "noCopy": Field(kind="boolean"),
                    "subpath": Field(kind="text"),
                },
            ),
        },
    ),
    "mustRun": Field(kind="boolean", default=True, replaces=False),
    "networkMode": Field(kind="text", default="bridge"),
    "networksAdvanced": Field(
        kind="objects",
        fields={
            "name": Field(kind="text", required=True),
            "aliases": Field(kind="set"),
            "driverOpts": Field(kind="set"),
            "gwPriority": Field(kind="integer", minimum=0),
            "ipv4Address": Field(kind="text"),
            "ipv6Address": Field(kind="text"),
            "linkLocalIps": Field(kind="set"),
            "macAddress": Field(kind="text"),
        },
    ),
    "pidMode": Field(kind="text"),
    "platform": Field(kind="text", computed=True),
    "ports": Field(
        kind="objects",
        settled=False,  # a list there, although compared without order
        fields={
            "internal": Field(kind="integer", required=True),
            "external": Field(kind="integer", computed=True),
            "ip": Field(kind="text", default="0.0.0.0"),  # noqa: S104 - the official plugin's default
            "protocol": Field(kind="text", default="tcp"),
        },
    ),
    "privileged": Field(kind="boolean"),
    "publishAllPorts": Field(kind="boolean"),
    "readOnly": Field(kind="boolean", default=False),
    "removeVolumes": Field(kind="boolean", default=True, replaces=False),
    "restart": Field(
        kind="text", default="no", replaces=False, pattern="no|on-failure|always|unless-stopped"
    ),
    "rm": Field(kind="boolean", default=False, replaces=False),
    "runtime": Field(kind="text", computed=True),
    "securityOpts": Field(kind="set", computed=True),
    "shmSize": Field(kind="integer", computed=True, minimum=0),
    "start": Field(kind="boolean", default=True, replaces=False),
    "stdinOpen": Field(kind="boolean", default=False),
    "stopSignal": Field(kind="text", computed=True),
    "stopTimeout": Field(kind="integer", computed=True),
    "storageOpts": Field(kind="map"),
    "sysctls": Field(kind="map"),
    "tmpfs": Field(kind="map", replaces=False),
    "tty": Field(kind="boolean", default=False),
    "ulimits": Field(
        kind="objects",
        fields={
            "name": Field(kind="text", required=True),
            "soft": Field(kind="integer", required=True),
            "hard": Field(kind="integer", required=True),
        },
    ),
    "uploads": Field(
        kind="objects",
        fields={
            "file": Field(kind="text", required=True),
            "content": Field(kind="text"),
            "contentBase64": Field(kind="text"),
            "executable": Field(kind="boolean", default=False),
            "group": Field(kind="text"),
            "owner": Field(kind="text"),
            "permissions": Field(kind="text", pattern="0[0-7]{3}"),
            "source": Field(kind="text"),
            "sourceHash": Field(kind="text"),
        },
    ),
    "user": Field(kind="text", computed=True),
    "usernsMode": Field(kind="text"),
    "volumes": Field(
        kind="objects",
        fields={
            "containerPath": Field(kind="text"),
            "fromContainer": Field(kind="text"),
            "hostPath": Field(kind="text", pattern=r"[/~].*|[A-Za-z]:\\.*"),
            "readOnly": Field(kind="boolean"),
            "selinuxRelabel": Field(kind="text", pattern="[zZ]"),
            "volumeName": Field(kind="text"),
        },
    ),
    "wait": Field(kind="boolean", default=False, replaces=False),
    "waitTimeout": Field(kind="integer", default=60, replaces=False),
    "workingDir": Field(kind="text", computed=True),
}

IN_PLACE: Final = frozenset(
    {
        "restart",
        "maxRetryCount",
        "cpuShares",
        "memory",
        "memoryReservation",
        "cpuSet",
        "memorySwap",
        "deviceReadBps",
        "deviceReadIops",
        "deviceWriteBps",
        "deviceWriteIops",
    }
)
"""Changed by one call of the engine's update."""

RECORDED: Final = frozenset({"healthcheck", "tmpfs", "init", "rm", "cpuPeriod", "cpuQuota"})
"""A change is only written to the state: the container gets it when something else replaces it."""

COMPUTED: Final = ("bridge", "containerLogs", "exitCode", "networkDatas")
"""Outputs that are no inputs."""
