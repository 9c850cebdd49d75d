"""The bundled monitoring on a real engine: every number arrives, nobody outside reaches one, and what breaks rings."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from components.database.settings import SUPERUSER
from tests.docker import host
from tests.docker.everything import PHOTOS, Everything
from tests.docker.watched import Watched
from tests.monitoring.processes import samples

pytestmark = [pytest.mark.docker, pytest.mark.engine]


@pytest.fixture
def watched(everything: Everything) -> Watched:
    return everything.watched


def test_everything_is_well_and_every_target_is_read(watched: Watched) -> None:
    found = host.stack_containers(watched.stack.place.client, watched.stack.name)
    running = [one for one in found if one.status == "running"]
    assert [one for one in running if one.health == "unhealthy"] == []
    assert [one for one in found if one not in running and (one.status != "exited" or one.exit_code)] == []
    assert {one.workload for one in running} >= {"prometheus", "alertmanager", "grafana", "volume-exporter"}
    # A test before this one may have restarted what is read: Prometheus tells so until it has read it again.
    host.until(
        lambda: {one["health"] for one in watched.targets().values()} == {"up"}, "every target is read"
    )
    assert {name.split()[0] for name in watched.targets()} == {
        "immich-api", "immich-microservices", "immich-nginx", "immich-postgres", "immich-valkey", "immich-node",
        "immich-backup", "immich-cloudflared", "immich-access-log",
    }  # fmt: skip


def test_numbers_of_every_part_arrive(watched: Watched) -> None:
    assert watched.number('immich_assets_uploaded{job="immich-postgres"}') == PHOTOS
    assert watched.number('pg_up{job="immich-postgres"}') == 1
    assert watched.number('redis_up{job="immich-valkey"}') == 1
    assert watched.number('nginx_up{job="immich-nginx"}') == 1
    assert watched.number('immich_backup_success{job="immich-backup",name="dump"}') == 1
    volumes = {
        one["metric"]["volume"] for one in watched.query('immich:volume_used:ratio{stack="everything"}')
    }
    assert volumes == {f"/volumes/{name}" for name in ("media", "database", "cache", "backup")}


def test_requests_are_counted_and_timed_by_door(watched: Watched) -> None:
    door = watched.stack.door(watched.stack.place.network.clients[0])

    def told() -> bool:
        assert door.get("/api/server/ping").status == 200
        counted = watched.query('immich:http_requests:rate5m{code="200"} > 0')
        timed = watched.query("immich:http_duration:p95_5m > 0")
        doors = [{one["metric"]["door"] for one in found} for found in (counted, timed)]
        return bool(doors[0] & doors[1])

    host.until(told, "Prometheus has how many requests of a door there are, and how long they take", 90)


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


def test_grafana_has_the_source_and_the_dashboards(watched: Watched) -> None:
    password = watched.stack.secrets()["grafana-password"]
    assert watched.grafana("/api/search", "a guess").status == 401
    sources = watched.grafana("/api/datasources", password).json()
    assert [(one["uid"], one["url"]) for one in sources] == [
        ("prometheus", "http://immich-prometheus.monitoring:9090")
    ]
    found = {one["file"]: one["panels"] for one in watched.grafana("/api/search", password).json()}
    assert {"overview.json", "database.json", "cache.json"} <= found.keys()
    assert all(found.values())


def test_nobody_outside_reaches_a_number(watched: Watched) -> None:
    place, prefix = watched.stack.place, watched.stack.prefix
    network = f"{prefix}-monitoring"

    def address(workload: str) -> str:
        return host.address_of(watched.container(workload), network)

    ports: list[tuple[str, int]] = []
    for name, target in watched.targets().items():
        where, _, number = target["labels"]["instance"].partition(":")
        if name.startswith("immich-cloudflared "):
            ports.append((where, int(number)))  # each of several copies by its address
        else:
            ports.append((address(where.removeprefix("immich-").removesuffix(".monitoring")), int(number)))
    assert len(ports) == 10
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


def test_what_is_broken_rings_and_is_silent_once_it_is_mended(everything: Everything) -> None:
    """Several at once, since each waits for numbers to be read; test_monitoring.py has one after the other."""
    watched, success = everything.watched, 'immich_backup_success{name="dump"} '
    dump = watched.volume("volume-exporter", "/volumes/backup") / "status" / "dump.prom"
    broken = {"ImmichBackupFailed", "ImmichCacheEvicts", "ImmichQueuePaused"}
    assert not broken & watched.ringing()
    try:
        with everything.verified.file(dump, f"{success}1", f"{success}0"):
            watched.valkey("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
            watched.jobs("metadataExtraction", "paused", 3)
            host.until(lambda: broken <= watched.ringing(), "all three ring", 90)
    finally:
        watched.valkey("CONFIG", "SET", "maxmemory-policy", "noeviction")
        watched.jobs("metadataExtraction", "paused", 0)
    host.until(lambda: not broken & watched.ringing(), "none of them rings any more", 90)


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
    assert watched.sql(asked + "immich_metrics.assets()", SUPERUSER).strip() == "1"
    with pytest.raises(AssertionError, match="permission denied"):
        watched.sql(asked + "system_metadata", SUPERUSER)


def test_the_exporters_tell_no_secret(watched: Watched) -> None:
    secrets = watched.stack.secrets()
    shown = host.inspect_text(watched.stack.place.client, watched.stack.name)
    assert {name for name, value in secrets.items() if value in shown} == set()
    pages = [watched.door(name, port).get("/metrics").body.decode() for name, port in (
        ("postgres-exporter", 9187), ("valkey-exporter", 9121), ("prometheus", 9090))]  # fmt: skip
    assert all(samples(page) for page in pages)
    assert {name for name, value in secrets.items() if any(value in page for page in pages)} == set()
