"""What turns the state of a part into numbers: one small workload each, with the least rights that it can do with."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import yaml

from components import versions
from components.cache.settings import BundledCache, ExternalCache
from components.database.client import DatabaseAccess, DatabaseClient
from components.model.secret_text import SecretPart, SecretText
from components.model.values import ImageRef, Quantity
from components.model.watch import ScrapeTarget
from components.model.workload import (
    ConfigFiles,
    Egress,
    Gpu,
    HttpCheck,
    Link,
    Mount,
    Port,
    Probe,
    Scratch,
    SecretFiles,
    Workload,
)
from components.model.workload import Storage as Mounted
from components.monitoring.metric_names import single_keys
from components.monitoring.queries import ROLE, queries
from components.monitoring.settings import PORTS, Watched
from components.sizing import resources

NETWORK = "monitoring"
"""On one host: where whoever reads and whoever is read meet."""
WAY_OUT = "monitoring-outside"
"""On one host: how those who watch talk to the outside, and where their ports are published."""
PASSWORD = "metricsPassword"
SECRET = "metrics"
"""Logical name of the secret with the password of the database's role."""
CACHE_SECRET = "cache-exporter"
NOBODY = 65534
PATIENCE = 3
"""Seconds that an exporter waits for what it looks at: less than Prometheus waits for it, or what hangs would be told
as an exporter that does."""
VOLUMES = "/volumes"
"""Where the exporter of volumes has them, flat: a folder inside another's could not be made on what is read-only."""
_FOLDER = "/run/secrets/metrics"
_CACHE_FOLDER = "/run/secrets/cache-exporter"
_QUERIES = "/etc/immich-queries"
_MODULES = "/etc/immich-doors"
_NAMES: Mapping[str, str] = {
    "postgres": "postgres-exporter",
    "valkey": "valkey-exporter",
    "volumes": "volume-exporter",
    "doors": "door-exporter",
    "gpu": "gpu-exporter",
}
_BUSYBOX = frozenset({"postgres", "volumes", "doors"})
"""Those whose images can ask themselves: the others have no shell and no wget."""


def workload_name(part: str) -> str:
    """Name of the workload of an exporter."""
    return _NAMES[part]


_PROGRAMS: Final = frozenset({"prometheus", "alertmanager", "grafana"})
"""Parts of monitoring that are no exporters."""


def image(part: str, given: Watched) -> ImageRef:
    """Image of a part of monitoring: the settings' or the table's."""
    name = part if part in _PROGRAMS else f"{part}-exporter"
    chosen = next((ref for other, ref in given.images.items() if other == part), None)
    return chosen or versions.current(name)


def database_exporter(client: DatabaseClient, given: Watched) -> Workload:
    """Numbers of PostgreSQL and of Immich's library, by a role that may read statistics and run three functions."""
    mounts = [mount for mount in client.mounts if not isinstance(mount, SecretFiles)]
    return replace(
        _exporter("postgres", given),
        args=("--extend.query-path", f"{_QUERIES}/queries.yaml"),
        env={
            "DATA_SOURCE_URI": _uri(client.access),
            "DATA_SOURCE_USER": ROLE,
            "DATA_SOURCE_PASS_FILE": f"{_FOLDER}/password",
        },
        mounts=(
            *mounts,
            SecretFiles(secret=SECRET, path=_FOLDER, items={"password": "password"}),
            ConfigFiles(
                name="postgres-exporter", path=_QUERIES, files={"queries.yaml": queries("postgres_exporter")}
            ),
        ),
        links=client.links,
        egress=client.egress,
    )


def cache_address(settings: BundledCache | ExternalCache, bundled: str) -> str:
    """Valkey's address as an URL; `bundled` is the host name of ours."""
    if isinstance(settings, BundledCache):
        return f"redis://{bundled}:6379"
    user = f"{settings.username}@" if settings.username is not None else ""
    host = f"[{settings.host}]" if ":" in str(settings.host) else settings.host
    return f"{'rediss' if settings.tls else 'redis'}://{user}{host}:{settings.port}"


def cache_password_file(address: str, key: str) -> SecretText:
    """redis_exporter's file of passwords: a JSON object of addresses. `key` is the config key of the password."""
    return SecretText(parts=("{" + json.dumps(address) + ": ", SecretPart(key=key, quoted=True), "}\n"))


def cache_exporter(
    settings: BundledCache | ExternalCache,
    address: str,
    given: Watched,
    *,
    links: tuple[Link, ...],
    egress: tuple[Egress, ...],
) -> Workload:
    """Numbers of Valkey, and the backlog of every queue of Immich, which Immich itself does not tell.

    `address` is that of `cache_address`, `links` and `egress` as the server has them to it.
    """
    index = settings.database if isinstance(settings, ExternalCache) else 0
    env = {
        "REDIS_ADDR": address,
        "REDIS_EXPORTER_CHECK_SINGLE_KEYS": single_keys(index),
        "REDIS_EXPORTER_CONNECTION_TIMEOUT": f"{PATIENCE}s",
        # Every command's own histogram would be hundreds of series that nobody asks for.
        "REDIS_EXPORTER_EXCLUDE_LATENCY_HISTOGRAM_METRICS": "true",
    }
    mounts: tuple[Mount, ...] = ()
    if isinstance(settings, BundledCache) or settings.password:
        env["REDIS_PASSWORD_FILE"] = f"{_CACHE_FOLDER}/exporter.json"
        mounts = (
            SecretFiles(secret=CACHE_SECRET, path=_CACHE_FOLDER, items={"exporter.json": "exporter.json"}),
        )
    return replace(_exporter("valkey", given), env=env, mounts=mounts, links=links, egress=egress)


@dataclass(frozen=True, kw_only=True, slots=True)
class Watching:
    """What the exporter of volumes looks at."""

    volumes: tuple[str, ...]
    """Short names of volumes whose fill is read; those that it mounts."""
    statuses: str | None
    """Volume of the backups, where status files are."""
    machine: bool
    """Whether it also reads memory, processor and want of memory of the host."""
    sensors: bool
    """Whether it also reads the host's sensors, which GPUs of AMD and Intel have."""


def volume_exporter(watching: Watching, given: Watched, *, user: int, group: int) -> Workload:
    """How full each volume is, as a container sees it that has it mounted; and what backups left as status files."""
    listed = [*watching.volumes]
    if watching.statuses is not None:
        listed.append(watching.statuses)
    volumes = tuple(dict.fromkeys(listed))
    args = [
        "--collector.disable-defaults",
        "--web.disable-exporter-metrics",
        "--collector.filesystem",
        # What is left are the volumes, whatever file system they have.
        "--collector.filesystem.mount-points-exclude=^/($|(dev|etc|proc|run|sys|tmp|var)($|/))",
        "--collector.filesystem.fs-types-exclude=^$",
    ]
    if watching.statuses is not None:
        folder = f"{mountpoint(watching.statuses)}/{STATUS}"
        args += ["--collector.textfile", f"--collector.textfile.directory={folder}"]
    if watching.machine:
        args += ["--collector.cpu", "--collector.meminfo", "--collector.vmstat"]
        args.append("--collector.vmstat.fields=^oom_kill$")
    if watching.sensors:
        args += ["--collector.hwmon", "--collector.drm"]
    return replace(
        _exporter("volumes", given),
        args=tuple(args),
        user=user,
        group=group,
        mounts=tuple(Mounted(volume=name, path=mountpoint(name), read_only=True) for name in volumes),
    )


STATUS = "status"
"""Folder of the backup volume with status files."""


def mountpoint(volume: str) -> str:
    """Where the exporter of volumes has one."""
    return f"{VOLUMES}/{volume}"


def collectors(watching: Watching) -> tuple[str, ...]:
    """Collectors of the exporter of volumes that belong to the job `node`: all but that of the status files."""
    found = ["filesystem"]
    if watching.machine:
        found += ["cpu", "meminfo", "vmstat"]
    if watching.sensors:
        found += ["hwmon", "drm"]
    return tuple(found)


def door_exporter(
    asked: Sequence[tuple[str, int]], given: Watched, *, links: tuple[Link, ...], own_certificate: bool
) -> Workload:
    """Asks ways in as a visitor does, which also tells how long a certificate is valid.

    `asked` are hosts outside with their ports, `links` lead to what is asked inside.
    """
    return replace(
        _exporter("doors", given),
        args=(f"--config.file={_MODULES}/blackbox.yml",),
        mounts=(
            ConfigFiles(
                name="door-exporter",
                path=_MODULES,
                files={"blackbox.yml": modules(own_certificate=own_certificate)},
            ),
        ),
        egress=tuple(Egress.to_host(f"the door {host}", host, port) for host, port in dict.fromkeys(asked)),
        links=links,
    )


OPEN = "immich"
"""Module of the door exporter: Immich itself answers."""
GUARDED = "guarded"
"""Another answers in front of it: Cloudflare Access asks who somebody is."""


def modules(*, own_certificate: bool) -> str:
    """blackbox_exporter's configuration: what a working door answers.

    With `own_certificate` nobody vouches for it but ourselves, so that only its end is looked at.
    """
    http: dict[str, object] = {
        "valid_status_codes": [200],
        "fail_if_body_not_matches_regexp": ["pong"],
        "preferred_ip_protocol": "ip4",
    }
    guarded: dict[str, object] = {
        "valid_status_codes": [200, 302, 401, 403],
        "follow_redirects": False,
        "preferred_ip_protocol": "ip4",
    }
    if own_certificate:
        http["tls_config"] = {"insecure_skip_verify": True}
    found = {
        name: {"prober": "http", "timeout": "10s", "http": one}
        for name, one in ((OPEN, http), (GUARDED, guarded))
    }
    return yaml.safe_dump({"modules": found}, sort_keys=False)


def gpu_exporter(ids: Collection[str], given: Watched) -> Workload:
    """Temperature and load of NVIDIA GPUs of one host."""
    return replace(
        _exporter("gpu", given),
        args=("--address", ":9400"),
        gpu=Gpu(resource="nvidia.com/gpu", ids=tuple(ids)),
        mounts=(Scratch(path="/tmp", size=Quantity("64Mi")), Scratch(path="/var/run", size=Quantity("16Mi"))),
    )


def _uri(access: DatabaseAccess) -> str:
    mode = "disable" if access.ssl_mode == "prefer" else access.ssl_mode
    authority = f"&sslrootcert={access.ca_file}" if access.ca_file is not None else ""
    return f"{access.host}:{access.port}/{access.name}?sslmode={mode}{authority}&connect_timeout={PATIENCE}"


def _exporter(part: str, given: Watched) -> Workload:
    port = next(number for name, number in PORTS.items() if name == part)
    check = HttpCheck(port="metrics", path="/", inside=wget(f"{port}/") if part in _BUSYBOX else ())
    return Workload(
        name=workload_name(part),
        image=image(part, given),
        resources=resources("exporter", given.exporter_resources),
        user=NOBODY,
        group=NOBODY,
        ports=(Port(name="metrics", number=port),),
        liveness=Probe(check=check, period=30, failures=5, startup_budget=60),
        readiness=Probe(check=check),
        meets=(NETWORK,),
        way_out=WAY_OUT,
        termination_grace=10,
        start_timeout=120,
    )


def wget(rest: str) -> tuple[str, ...]:
    """A check for images with busybox; `rest` is a port and a path."""
    return ("wget", "-q", "-O", "/dev/null", f"http://127.0.0.1:{rest}")


def reader(target: ScrapeTarget) -> Link:
    """Of whoever reads it."""
    return Link(to=target.workload, port=target.port.number, at=NETWORK)
