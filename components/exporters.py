"""What turns the state of a part into numbers: one small workload each, with the least rights that it can do with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import yaml

from components import versions
from components.backup_plan import DatabaseAccess
from components.connection import Connection
from components.database_client import DatabaseClient
from components.metric_names import single_keys
from components.monitoring_queries import ROLE, queries
from components.settings.resources import Resources
from components.sizing import resources
from components.values import Quantity
from components.workload import (
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
from components.workload import Storage as Mounted

NETWORK = "monitoring"
"""On one host: where whoever reads and whoever is read meet."""
PASSWORD = "metricsPassword"
SECRET = "metrics"
NOBODY = 65534
_FOLDER = "/run/secrets/metrics"
_CACHE_FOLDER = "/run/secrets/cache"
_QUERIES = "/etc/immich-queries"
_MODULES = "/etc/immich-doors"


@dataclass(frozen=True, kw_only=True, slots=True)
class ScrapeTarget:
    """Something with numbers."""

    job: str
    """Job of components/monitoring_plan.py: `api`, `postgres` ..."""
    workload: str
    """Name of the workload."""
    port: Port
    path: str = "/metrics"


def database_exporter(client: DatabaseClient, given: Resources) -> Workload:
    """Numbers of PostgreSQL and of Immich's library, by a role that may read statistics and run three functions."""
    access = client.access
    mounts = [mount for mount in client.mounts if not isinstance(mount, SecretFiles)]
    return replace(
        _exporter("postgres-exporter", "postgres", 9187, given),
        args=("--extend.query-path", f"{_QUERIES}/queries.yaml", "--no-collector.wal"),
        env={
            "DATA_SOURCE_URI": _uri(access),
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


def cache_exporter(connection: Connection, given: Resources) -> Workload:
    """Numbers of Valkey, and the backlog of every queue of Immich, which Immich itself does not tell."""
    host, port = connection.env["REDIS_HOSTNAME"], connection.env["REDIS_PORT"]
    index = int(connection.env.get("REDIS_DBINDEX", "0"))
    env = {
        "REDIS_ADDR": f"redis://{host}:{port}/{index}",
        "REDIS_EXPORTER_CHECK_SINGLE_KEYS": single_keys(index),
        # Every command's own histogram would be hundreds of series that nobody asks for.
        "REDIS_EXPORTER_EXCLUDE_LATENCY_HISTOGRAM_METRICS": "true",
    }
    mounts: tuple[Mount, ...] = ()
    if "REDIS_PASSWORD_FILE" in connection.env:
        env["REDIS_PASSWORD_FILE"] = f"{_CACHE_FOLDER}/exporter.json"
        mounts = (
            SecretFiles(
                secret="cache-exporter", path=_CACHE_FOLDER, items={"exporter.json": "exporter.json"}
            ),
        )
    if "REDIS_USERNAME" in connection.env:
        env["REDIS_USER"] = connection.env["REDIS_USERNAME"]
    return replace(
        _exporter("valkey-exporter", "valkey", 9121, given),
        env=env,
        mounts=mounts,
        links=(connection.link,) if connection.link is not None else (),
        egress=connection.egress,
    )


def volume_exporter(
    mounts: Sequence[Mounted], given: Resources, *, user: int, group: int, statuses: str | None
) -> Workload:
    """How full each volume is, as a container sees it that has it mounted; and what backups left in `statuses`."""
    args = ["--collector.disable-defaults", "--collector.filesystem", "--web.disable-exporter-metrics"]
    args.append(
        "--collector.filesystem.mount-points-include=^(" + "|".join(one.path for one in mounts) + ")$"
    )
    if statuses is not None:
        args += ["--collector.textfile", f"--collector.textfile.directory={statuses}"]
    return replace(
        _exporter("volume-exporter", "volumes", 9100, given),
        args=tuple(args),
        user=user,
        group=group,
        mounts=tuple(mounts),
    )


def door_exporter(hosts: Sequence[tuple[str, int]], given: Resources) -> Workload:
    """Asks every https name as a visitor does, which also tells how long its certificate is valid."""
    return replace(
        _exporter("door-exporter", "doors", 9115, given),
        args=(f"--config.file={_MODULES}/blackbox.yml",),
        mounts=(ConfigFiles(name="door-exporter", path=_MODULES, files={"blackbox.yml": modules()}),),
        egress=tuple(Egress.to_host(f"the door {host}", host, port) for host, port in hosts),
    )


def modules() -> str:
    """blackbox_exporter's configuration: what a working door answers."""
    probe = {
        "prober": "http",
        "timeout": "10s",
        "http": {
            "valid_status_codes": [200],
            "fail_if_body_not_matches_regexp": ["pong"],
            "preferred_ip_protocol": "ip4",
        },
    }
    return yaml.safe_dump({"modules": {"immich": probe}}, sort_keys=False)


def gpu_exporter(ids: Sequence[str], given: Resources) -> Workload:
    """Temperature and load of NVIDIA GPUs of one host."""
    return replace(
        _exporter("gpu-exporter", "gpu", 9400, given),
        args=("--address", ":9400"),
        gpu=Gpu(resource="nvidia.com/gpu", ids=tuple(ids)),
        mounts=(Scratch(path="/tmp", size=Quantity("64Mi")), Scratch(path="/var/run", size=Quantity("16Mi"))),
    )


def _uri(access: DatabaseAccess) -> str:
    mode = "disable" if access.ssl_mode == "prefer" else access.ssl_mode
    authority = f"&sslrootcert={access.ca_file}" if access.ca_file is not None else ""
    return f"{access.host}:{access.port}/{access.name}?sslmode={mode}{authority}"


def _exporter(name: str, part: str, port: int, given: Resources) -> Workload:
    return Workload(
        name=name,
        image=versions.monitoring_image(part),
        resources=resources("exporter", given),
        user=NOBODY,
        group=NOBODY,
        ports=(Port(name="metrics", number=port),),
        readiness=Probe(check=HttpCheck(port="metrics", path="/"), startup_budget=60),
        meets=(NETWORK,),
        termination_grace=10,
        start_timeout=120,
    )


def reader(target: ScrapeTarget) -> Link:
    """Of whoever reads it."""
    return Link(to=target.workload, port=target.port.number, at=NETWORK)
