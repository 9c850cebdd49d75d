"""Outputs of a stack on one host: where everything is, and what only the host's owner can see to."""

from __future__ import annotations

import ipaddress
import shutil
from collections.abc import Iterator
from pathlib import Path

from components.database.settings import BundledDatabase
from components.machine_learning.settings import BundledMachineLearning
from components.model.workload import VolumeRequest
from components.platform.docker.options import DockerPlatformArgs
from components.platform.docker.volumes import volume_name
from components.proxy.doors import in_tunnel, names_of, readable
from components.proxy.settings import PublishedPort, TraefikLabels
from components.settings.docker import Docker
from components.settings.model import Settings
from components.stack.host_networks import subnets
from components.stack.next_steps import steps
from components.storage.component import volume_requests

_HEADROOM = 2
"""Room that originals, thumbnails, transcoded videos and a copy under way need, in photos (system heartbeat)."""


def outputs(settings: Settings, docker: Docker, stack: str) -> dict[str, object]:
    """What only one host has to tell."""
    options = _options(docker, stack)
    found: dict[str, object] = {
        "containers": f"docker ps --filter label=immich.stack={stack}",
        "waysIn": _ways_in(settings),
        "dataVolumes": [_where(request, options) for request in _requests(settings)],
        "hostNotes": list(_notes(settings, docker, options)),
        "nextSteps": steps(settings, stack),
    }
    if records := list(_records(settings)):
        found["dnsRecords"] = records
    if settings.storage.expected_photos is not None:
        found["diskHeadroom"] = _headroom(settings, docker, options)
    return found


def _options(docker: Docker, stack: str) -> DockerPlatformArgs:
    return DockerPlatformArgs(
        stack=stack, subnets=subnets(stack, docker), joined=frozenset[str](), files_image=""
    )


def _requests(settings: Settings) -> list[VolumeRequest]:
    found = volume_requests(settings.storage)
    if isinstance(settings.database, BundledDatabase):
        database = settings.database
        found.append(VolumeRequest(name="database", size=database.size, host_path=database.host_path))
    return found


def _where(request: VolumeRequest, options: DockerPlatformArgs) -> str:
    return request.host_path or volume_name(request, options)


def _ways_in(settings: Settings) -> list[str]:
    found: list[str] = []
    tls = settings.proxy.tls is not None
    for way in settings.proxy.expose:
        if isinstance(way, PublishedPort):
            found.append(f"port {way.listen(tls=tls)} of {way.address}")
        if isinstance(way, TraefikLabels):
            names = way.hostnames or settings.host.names
            found.append(f"Traefik in {way.network} at {', '.join(way.entry_points)} for {', '.join(names)}")
    if settings.cloudflare is not None and settings.cloudflare.tunnel is not None:
        found.append("Cloudflare tunnel; it opens no port")
    return found


def _records(settings: Settings) -> Iterator[dict[str, str]]:
    """Records that lead the names here from the internet, where this program does not make them at Cloudflare."""
    made = {str(record.name) for record in settings.cloudflare.records} if settings.cloudflare else set[str]()
    for way in settings.proxy.expose:
        if not isinstance(way, PublishedPort | TraefikLabels) or way.door != "internet":
            continue
        address = ipaddress.ip_address(way.address) if isinstance(way, PublishedPort) else None
        known = address is not None and address.is_global
        for name in names_of(way, settings.host):
            if name not in made and not in_tunnel(name, settings.host, settings.cloudflare):
                yield {
                    "name": name,
                    "type": "AAAA" if known and address is not None and address.version == 6 else "A",
                    "value": str(address) if known else "public address of the host",
                }


def _notes(settings: Settings, docker: Docker, options: DockerPlatformArgs) -> Iterator[str]:
    out = ["the server"]
    if isinstance(settings.machine_learning, BundledMachineLearning):
        out.append("machine learning")
    if settings.cloudflare is not None and settings.cloudflare.tunnel is not None:
        out.append("cloudflared")
    yield (
        f"the engine cannot limit which addresses outside a container talks to: {' and '.join(out)} "
        f"{'have a way out each' if len(out) > 1 else 'has a way out'}, database and cache have none"
    )
    yield "an unhealthy container is shown by docker ps, and is not started again before its process ends"
    database = settings.database
    if isinstance(database, BundledDatabase):
        if database.host_path is not None:
            yield (
                f"{database.host_path}: on btrfs run chattr +C on it while it is empty; the file system must be ext4, "
                "xfs, btrfs, zfs or f2fs, never NFS or CIFS"
            )
        else:
            yield (
                f"{options.prefix}-database: the engine's data folder must be on ext4, xfs, btrfs, zfs or f2fs; on "
                "btrfs run chattr +C on the volume's folder while it is empty"
            )
    for library in settings.storage.external_libraries:
        if library.source.kind == "hostPath":
            yield f"{library.name}: the folder must be readable by {settings.server.user}:{settings.server.group}"
    if docker.engine == "podman":
        yield "Podman: loginctl enable-linger for the user, and podman-restart.service for a start with the machine"


def _headroom(settings: Settings, docker: Docker, options: DockerPlatformArgs) -> dict[str, str]:
    """Whether twice the photos fit. No free space is told: it would change by itself at each update."""
    expected = settings.storage.expected_photos
    assert expected is not None
    needed = int(expected.amount) * _HEADROOM
    request = volume_requests(settings.storage)[0]
    told = {"expectedPhotos": str(expected), "needed": readable(needed)}
    folder = Path(request.host_path) if request.host_path is not None else None
    local = docker.host is None or docker.host.scheme == "unix"
    if folder is not None and local and folder.is_dir():
        usage = shutil.disk_usage(folder)
        told["verdict"] = (
            f"there is room on {folder}"
            if usage.total >= needed
            else f"too little: the disk of {folder} is smaller than {readable(needed)}"
        )
        return told
    where = (
        str(folder)
        if folder is not None
        else f"$(docker volume inspect -f '{{{{.Mountpoint}}}}' {_where(request, options)})"
    )
    told["verdict"] = "cannot be seen from here"
    told["check"] = f"on the host: df -h {where}"
    return told
