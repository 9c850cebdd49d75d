"""The bundled monitoring on a real engine: it comes up well, is reachable by nobody, and rings for what is broken."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docker import host
from tests.docker.monitoring_picture import busy, drawn
from tests.docker.stacks import HostStack, Place
from tests.docker.watched import Watched, changes
from tests.monitoring.processes import samples

pytestmark = [pytest.mark.docker, pytest.mark.engine, pytest.mark.xdist_group("watched")]


@pytest.fixture(scope="module")
def watched(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """The stack, up, with what Immich and its backups would have made, and no alert."""
    folder = tmp_path_factory.mktemp("watched")
    stack = HostStack.create(place, folder, "home", name="watched", changes=changes(place))
    try:
        stack.up()
        made = Watched(stack)
        made.make_tables()
        made.status("dump", success=True)
        made.evaluate_each_second()
        # The exporter keeps its answer from before there were tables.
        made.container("postgres-exporter").restart(timeout=5)
        made.wait_for((), 60)
        yield made
    finally:
        stack.remove()


def test_everything_is_well_and_every_target_is_read(watched: Watched) -> None:
    found = host.stack_containers(watched.stack.place.client, watched.stack.name)
    running = [one for one in found if one.status == "running"]
    assert [one for one in running if one.health == "unhealthy"] == []
    assert [one for one in found if one not in running and (one.status != "exited" or one.exit_code)] == []
    assert {one.workload for one in running} >= {"prometheus", "alertmanager", "grafana", "volume-exporter"}
    targets = watched.targets()
    assert {name: one["lastError"] for name, one in targets.items() if one["health"] != "up"} == {}
    assert {name.split()[0] for name in targets} == {
        "immich-api", "immich-microservices", "immich-nginx", "immich-postgres", "immich-valkey", "immich-node",
        "immich-backup", "immich-machine-learning",
    }  # fmt: skip


def test_numbers_of_every_part_arrive(watched: Watched) -> None:
    assert watched.number('immich_assets_uploaded{job="immich-postgres"}') == 40
    assert watched.number('pg_up{job="immich-postgres"}') == 1
    assert watched.number('redis_up{job="immich-valkey"}') == 1
    assert watched.number('nginx_up{job="immich-nginx"}') == 1
    assert watched.number('probe_success{job="immich-machine-learning"}') == 1
    assert watched.number('immich_backup_success{job="immich-backup",name="dump"}') == 1
    volumes = {one["metric"]["volume"] for one in watched.query('immich:volume_used:ratio{stack="watched"}')}
    assert volumes == {f"/volumes/{name}" for name in ("media", "database", "cache", "backup")}


def test_the_series_of_each_job_are_few(
    watched: Watched, record_property: Callable[[str, object], None]
) -> None:
    found = {
        one["metric"]["job"]: int(one["value"][1])
        for one in watched.query('count by (job) ({job=~"immich-.*"})')
    }
    record_property("series", found)
    print("series by job:", dict(sorted(found.items())))
    # Of the real server some hundred more: its histograms.
    assert 0 < sum(found.values()) < 3000, found


def test_the_overview_is_drawn_from_its_numbers(watched: Watched, tmp_path: Path) -> None:
    minutes = float(os.environ.get("IMMICH_PICTURE_MINUTES", "0"))
    picture = Path(os.environ.get("IMMICH_PICTURE", tmp_path / "overview.png"))
    busy(watched, minutes)
    said = drawn(watched, tmp_path, picture, max(minutes, 5))
    assert picture.read_bytes().startswith(b"\x89PNG")
    print(said)


def test_grafana_has_the_source_and_the_dashboards(watched: Watched) -> None:
    password = watched.stack.secrets()["grafana-password"]
    assert watched.grafana("/api/search", "a guess").status == 401
    sources = watched.grafana("/api/datasources", password).json()
    assert [(one["uid"], one["url"]) for one in sources] == [("prometheus", "http://immich-prometheus:9090")]
    found = {one["file"]: one["panels"] for one in watched.grafana("/api/search", password).json()}
    assert {"overview.json", "database.json", "cache.json"} <= found.keys()
    assert all(found.values())


def test_nobody_outside_reaches_a_number(watched: Watched) -> None:
    place, prefix = watched.stack.place, watched.stack.prefix
    network = f"{prefix}-monitoring"

    def address(workload: str) -> str:
        return host.address_of(watched.container(workload), network)

    instances = [one["labels"]["instance"] for name, one in watched.targets().items() if "http:" not in name]
    ports: list[tuple[str, int]] = []
    for instance in instances:
        name, _, number = instance.partition(":")
        ports.append((address(name.removeprefix("immich-")), int(number)))
    assert len(ports) == 7
    ports += [
        (address(name), number)
        for name, number in (("prometheus", 9090), ("alertmanager", 9093), ("grafana", 3000))
    ]
    assert watched.reached("prometheus", ports) == set(ports)
    assert watched.reached("machine-learning", ports) == set()
    published = host.published_ports(place.client, watched.stack.name)
    own = {(name, at, port) for name, at, _, port in published if not name.endswith("-proxy")}
    assert own == {(f"{prefix}-grafana", "127.0.0.1", 3000)}
    assert {port for name, _, _, port in published if name.endswith("-proxy")}.isdisjoint({9113, 8090})


def test_prometheus_is_no_neighbour_whom_the_server_believes(watched: Watched) -> None:
    server = watched.container("server")
    trusted = [one for one in server.attrs["Config"]["Env"] if one.startswith("IMMICH_TRUSTED_PROXIES=")]
    networks = watched.stack.place.client.networks
    own = networks.get(f"{watched.stack.prefix}-monitoring").attrs["IPAM"]["Config"][0]["Subnet"]
    assert len(trusted) == 1
    assert own not in trusted[0]


@dataclass(frozen=True)
class Fault:
    """Something broken, and how it is mended."""

    alerts: frozenset[str]
    """Exactly those that ring meanwhile."""
    break_it: Callable[[Watched], object]
    mend: Callable[[Watched], object]


def _stopped(workload: str, *alerts: str) -> Fault:
    def mend(watched: Watched) -> None:
        container = watched.container(workload)
        container.start()
        host.wait_healthy(container)

    return Fault(frozenset(alerts), lambda watched: watched.container(workload).stop(timeout=10), mend)


def _jobs(queue: str, state: str, count: int, *alerts: str) -> Fault:
    return Fault(
        frozenset(alerts),
        lambda watched: watched.jobs(queue, state, count),
        lambda watched: watched.jobs(queue, state, 0),
    )


def _dump(success: bool, ago: float, *alerts: str) -> Fault:
    return Fault(
        frozenset(alerts),
        lambda watched: watched.status("dump", success=success, ago=ago),
        lambda watched: watched.status("dump", success=True),
    )


FAULTS = {
    "the server is away": _stopped("server", "ImmichDown", "ImmichMicroservicesDown"),
    "the database is away": _stopped("database", "ImmichDatabaseDown"),
    "the cache is away": _stopped("cache", "ImmichCacheDown"),
    "machine learning is away": _stopped("machine-learning", "ImmichMachineLearningDown"),
    "an exporter is away": _stopped("valkey-exporter", "ImmichExporterDown"),
    "jobs wait": _jobs("smartSearch", "wait", 150, "ImmichMachineLearningBacklog", "ImmichQueueStuck"),
    "a queue is paused": _jobs("metadataExtraction", "paused", 3, "ImmichQueuePaused"),
    "a backup is old": _dump(True, 5 * 86400, "ImmichBackupStale"),
    "a backup failed": _dump(False, 0, "ImmichBackupFailed"),
    "the cache throws jobs away": Fault(
        frozenset({"ImmichCacheEvicts"}),
        lambda watched: watched.valkey("CONFIG", "SET", "maxmemory-policy", "allkeys-lru"),
        lambda watched: watched.valkey("CONFIG", "SET", "maxmemory-policy", "noeviction"),
    ),
    # Its exporter goes on: it shares nothing but the network.
    "the proxy hangs": Fault(
        frozenset({"ImmichProxyDown"}),
        lambda watched: watched.container("proxy").pause(),
        lambda watched: watched.container("proxy").unpause(),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_exactly_what_is_broken_rings(watched: Watched, name: str) -> None:
    fault = FAULTS[name]
    try:
        fault.break_it(watched)
        watched.wait_for(fault.alerts)
    finally:
        fault.mend(watched)
    watched.wait_for(())


def test_the_backlog_is_counted_by_queue(watched: Watched) -> None:
    try:
        watched.jobs("smartSearch", "wait", 42)
        host.until(
            lambda: watched.query('immich:queue_backlog:sum{queue="smartSearch"} == 42'), "42 jobs wait", 30
        )
    finally:
        watched.jobs("smartSearch", "wait", 0)


def test_what_it_cannot_read_a_role_of_its_own_cannot_either(watched: Watched) -> None:
    asked = "SET ROLE immich_metrics; SELECT count(*) FROM "
    assert watched.sql(asked + "immich_metrics.assets()").strip() == "1"
    with pytest.raises(AssertionError, match="permission denied"):
        watched.sql(asked + "system_metadata")


def test_the_exporters_tell_no_secret(watched: Watched) -> None:
    secrets = watched.stack.secrets()
    shown = host.inspect_text(watched.stack.place.client, watched.stack.name)
    assert {name for name, value in secrets.items() if value in shown} == set()
    pages = [watched.door(name, port).get("/metrics").body.decode() for name, port in (
        ("postgres-exporter", 9187), ("valkey-exporter", 9121), ("prometheus", 9090))]  # fmt: skip
    assert all(samples(page) for page in pages)
    assert {name for name, value in secrets.items() if any(value in page for page in pages)} == set()
