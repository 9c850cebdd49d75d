"""What the program registers for who watches: on a host, on a cluster, and nothing where nobody does."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from components.cache.settings import BundledCache, ExternalCache
from components.database.client import DatabaseClient
from components.model.values import ImageRef, ServerAddress
from components.model.workload import Link, Placement
from components.monitoring import exporters, metrics_role
from components.monitoring.plan import JOBS
from tests.harness.program import ROOT, needs, unwrapped
from tests.harness.references import problems
from tests.unit.monitoring_component.stacks import (
    CLUSTER,
    HOST,
    OPERATED,
    configuration,
    objects,
    run,
    settings,
    watched_by,
)

CONTAINER = "docker:index/container:Container"
BUNDLED = watched_by(HOST, "bundled")
PUBLISHED = watched_by(HOST, "scrape-only", address="127.0.0.1")


def containers(sections: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Inputs by workload, loaders left out."""
    found = {
        one.name.removeprefix("immich-test-"): unwrapped(one.props)
        for one in run(sections).of_type(CONTAINER)
    }
    return {name: props for name, props in found.items() if not name.endswith("-files")}


def networks(props: dict[str, Any]) -> set[str]:
    return {one["name"].removeprefix("immich-test-") for one in props.get("networksAdvanced", ())}


def test_a_stack_that_nobody_watches_has_not_one_resource_more() -> None:
    plain, said = run(HOST), run(watched_by(HOST, "none"))
    changed = {one.urn for one in said.resources} ^ {one.urn for one in plain.resources}
    assert changed == set()
    assert not [one for one in plain.resources if "onitoring" in one.urn or "exporter" in one.urn]


def test_a_stack_that_nobody_watches_imports_nothing_of_it() -> None:
    script = (
        "import sys, json\n"
        "from tests.unit.monitoring_component.stacks import HOST, run\n"
        "run(HOST)\n"
        "print(json.dumps(sorted(sys.modules)))\n"
    )
    # The settings' own modules know what may be watched; the harness is told apart by running its modules as well.
    script = script.replace(
        "from tests.unit.monitoring_component.stacks import HOST, run\nrun(HOST)\n",
        f"from tests.harness.program import host_stack, run_stack\nrun_stack(host_stack('test', {HOST!r}))\n",
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    parts = ("component", "scrapes", "rule_files", "dashboard_files", "exporters", "prometheus")
    unwanted = {f"components.monitoring.{part}" for part in parts}
    assert loaded & unwanted == set()


def test_whoever_reads_and_whoever_is_read_meet_in_a_network_of_their_own() -> None:
    found = containers(BUNDLED)
    inside = {name for name, props in found.items() if "monitoring" in networks(props)}
    assert inside == {"server", "proxy", "prometheus", "alertmanager", "grafana", "postgres-exporter",
                      "valkey-exporter", "volume-exporter", "door-exporter"}  # fmt: skip
    assert networks(found["prometheus"]) == {"monitoring"}
    assert networks(found["postgres-exporter"]) == {"monitoring", "database"}
    assert networks(found["valkey-exporter"]) == {"monitoring", "cache"}
    assert networks(found["grafana"]) == {"monitoring", "monitoring-outside"}
    assert networks(found["metrics-role"]) == {"database"}


def test_where_numbers_are_read_nobody_is_called_by_the_name_that_clients_are_led_to() -> None:
    # nginx shares both networks with the server, which believes it in one.
    found = containers(BUNDLED)
    aliases = {
        (name, joined["name"].removeprefix("immich-test-")): joined.get("aliases")
        for name, props in found.items()
        for joined in props.get("networksAdvanced", ())
    }
    assert aliases["server", "server"] == ["immich-server"]
    assert {
        (name, *names) for (name, network), names in aliases.items() if network == "monitoring" and names
    } == {(name, f"immich-{name}.monitoring") for name, network in aliases if network == "monitoring"}


def test_only_grafana_is_published_and_only_where_the_settings_say() -> None:
    own = {
        name: props["ports"]
        for name, props in containers(BUNDLED).items()
        if "ports" in props and name != "proxy"
    }
    assert own == {"grafana": [{"internal": 3000, "external": 3000, "ip": "127.0.0.1", "protocol": "tcp"}]}


def test_numbers_are_published_at_one_address_and_no_network_of_several_is_made() -> None:
    found = containers(PUBLISHED)
    ports = {(one["ip"], one["external"]) for props in found.values() for one in props.get("ports", ())
             if one["external"] not in {443, 80}}  # fmt: skip
    assert ports == {("127.0.0.1", port) for port in (8081, 8082, 9100, 9113, 9115, 9121, 9187)}
    assert not any("monitoring" in networks(props) for props in found.values())


def test_the_role_is_made_after_the_server_and_before_its_exporter() -> None:
    made = run(BUNDLED)
    named = {one.name.removeprefix("immich-test-"): one for one in made.of_type(CONTAINER)}
    assert named["server"].urn in needs(made, named["metrics-role"])
    assert named["metrics-role"].urn in needs(made, named["postgres-exporter"])


def test_another_password_starts_the_database_and_its_exporter_anew() -> None:
    marks = {
        name: {label["label"] for label in containers(BUNDLED)[name]["labels"]}
        for name in ("database", "postgres-exporter", "valkey-exporter", "grafana")
    }
    assert "immich.secret-metrics-password" in marks["database"] & marks["postgres-exporter"]
    assert "immich.secret-cache-password" in marks["valkey-exporter"]
    assert "immich.secret-grafana-password" in marks["grafana"]
    pod = objects(watched_by(CLUSTER, "bundled"), "StatefulSet")["immich-database"]["spec"]["template"]
    assert "immich/secret-metrics-password" in pod["metadata"]["annotations"]


def test_an_exporter_gives_up_before_prometheus_does() -> None:
    shortest = 5
    found = containers(BUNDLED)
    redis = next(one for one in found["valkey-exporter"]["envs"] if "CONNECTION_TIMEOUT" in one)
    uri = next(one for one in found["postgres-exporter"]["envs"] if one.startswith("DATA_SOURCE_URI="))
    # nginx's has no limit of its own that it keeps: ImmichProxyDown looks at its silence too.
    for text in (redis, uri):
        assert 0 < int(text.rpartition("=")[2].removesuffix("s")) < shortest, text


def test_passwords_are_in_no_environment_and_no_command() -> None:
    secrets = [str(unwrapped(one.props)) for one in run(BUNDLED).resources if one.type.startswith("random:")]
    assert secrets
    for name, props in containers(BUNDLED).items():
        text = json.dumps([props.get("envs"), props.get("command"), props.get("entrypoints")])
        assert "random-" not in text, name


@pytest.mark.parametrize(
    "sections", [watched_by(CLUSTER, "bundled"), OPERATED, watched_by(CLUSTER, "scrape-only")]
)
def test_every_name_of_a_cluster_names_something(sections: dict[str, Any]) -> None:
    provided = ["Namespace gateway", "Namespace databases"]
    from tests.harness.program import manifests

    assert problems(manifests(run(sections)), provided) == []


def test_monitors_give_the_jobs_that_the_rules_ask_for() -> None:
    monitors = {**objects(OPERATED, "ServiceMonitor"), **objects(OPERATED, "PodMonitor")}
    assert {one["metadata"]["labels"]["release"] for one in monitors.values()} == {"kps"}
    labels = {
        relabeling["replacement"]
        for one in monitors.values()
        for endpoint in (*one["spec"].get("endpoints", ()), *one["spec"].get("podMetricsEndpoints", ()))
        for relabeling in endpoint.get("relabelings", ())
        if relabeling["targetLabel"] == "job"
    }
    assert labels == {
        JOBS[job] for job in ("api", "microservices", "nginx", "valkey", "doors", "machine-learning")
    }


def test_what_is_not_read_of_a_job_is_dropped_by_its_monitor() -> None:
    monitors = {**objects(OPERATED, "ServiceMonitor"), **objects(OPERATED, "PodMonitor")}
    dropped = {
        name: [rule["regex"] for endpoint in endpoints for rule in endpoint.get("metricRelabelings", ())]
        for name, one in monitors.items()
        for endpoints in [[*one["spec"].get("endpoints", ()), *one["spec"].get("podMetricsEndpoints", ())]]
    }
    assert all(
        "_repository_" in rule for name in ("immich-server", "immich-microservices") for rule in dropped[name]
    )
    assert {name for name, rules in dropped.items() if rules} == {"immich-server", "immich-microservices"}


def test_pods_with_ways_in_are_found_by_themselves_and_exporters_by_their_service() -> None:
    assert objects(OPERATED, "PodMonitor").keys() == {"immich-server", "immich-proxy", "immich-database"}
    assert objects(OPERATED, "ServiceMonitor").keys() == {
        "immich-microservices", "immich-valkey-exporter", "immich-door-exporter",
    }  # fmt: skip


def test_rules_and_dashboards_are_objects_that_operator_and_sidecar_select() -> None:
    (rule,) = objects(OPERATED, "PrometheusRule").values()
    assert rule["metadata"]["labels"]["release"] == "kps"
    assert {group["name"] for group in rule["spec"]["groups"]} >= {
        "immich-test-server",
        "immich-test-database",
    }
    dashboards = {name: one for name, one in objects(OPERATED, "ConfigMap").items() if "dashboard" in name}
    assert "immich-dashboard-overview" in dashboards
    for one in dashboards.values():
        assert one["metadata"]["labels"]["grafana_dashboard"] == "1"
        (text,) = one["data"].values()
        assert json.loads(text)["uid"]
    none = watched_by(OPERATED, "operator", dashboards=False)
    assert not [name for name in objects(none, "ConfigMap") if "dashboard" in name]


def test_the_operator_asks_its_database_what_the_exporter_would() -> None:
    (cluster,) = objects(OPERATED, "Cluster").values()
    (reference,) = cluster["spec"]["monitoring"]["customQueriesConfigMap"]
    queries = objects(OPERATED, "ConfigMap")[reference["name"]]
    assert queries["metadata"]["namespace"] == "databases"
    assert "immich_metrics.assets()" in queries["data"][reference["key"]]
    assert "immich-postgres-exporter" not in objects(OPERATED, "Deployment")
    assert objects(OPERATED, "ConfigMap")["immich-metrics-role"]["data"].keys() == {"run.sh", "functions.sql"}


def test_several_copies_are_found_by_a_name_for_all_of_them() -> None:
    found = {one["job_name"]: one for one in configuration(watched_by(CLUSTER, "bundled"))["scrape_configs"]}
    (discovery,) = found["immich-api"]["dns_sd_configs"]
    assert discovery == {"names": ["immich-server-metrics-api"], "type": "A", "port": 8081}
    service = objects(watched_by(CLUSTER, "bundled"), "Service")["immich-server-metrics-api"]
    assert service["spec"]["clusterIP"] == "None"
    assert found["immich-valkey"]["static_configs"][0]["targets"] == ["immich-valkey-exporter:9121"]


def test_whoever_reads_from_another_namespace_is_let_in_to_the_numbers_alone() -> None:
    policy = objects(OPERATED, "NetworkPolicy")["immich-valkey-exporter"]
    (rule,) = policy["spec"]["ingress"]
    assert rule["ports"] == [{"port": 9121, "protocol": "TCP"}]
    assert "monitoring" in json.dumps(rule["from"])


def client(**more: Any) -> DatabaseClient:
    from components.database.client import DatabaseAccess

    access = DatabaseAccess(
        host="immich-database",
        port=5432,
        name='photo"s',
        user="immich",
        password_file="/run/p",
        ssl_mode="prefer",
    )
    given: dict[str, Any] = {
        "image": ImageRef("docker.io/library/postgres:14"), "postgres": 14, "access": access, "mounts": (),
        "links": (Link(to="database", port=5432),), "egress": (), "secrets": ("databasePassword",), **more,
    }  # fmt: skip
    return DatabaseClient(**given)


def test_the_password_of_the_role_is_read_where_its_statements_run() -> None:
    text = metrics_role.role_file('photo"s')
    assert text.startswith("\\set password `cat /run/secrets/database-metrics/password`\n")
    assert "ALTER ROLE immich_metrics PASSWORD :'password';" in text
    assert 'GRANT CONNECT ON DATABASE "photo""s" TO immich_metrics;' in text


def test_the_task_makes_functions_and_no_role() -> None:
    made = metrics_role.task(client(), user=1000, group=1000, placement=Placement())
    (step,) = made.steps
    assert made.follows_secrets
    assert made.schedule is None
    files = next(mount for mount in step.mounts if hasattr(mount, "files"))
    assert set(getattr(files, "files")) == {"run.sh", "functions.sql"}  # noqa: B009 - one of several kinds of mounts


@pytest.mark.parametrize(
    ("cache", "address"),
    [
        (BundledCache(), "redis://immich-cache:6379"),
        (ExternalCache(kind="external", host=ServerAddress("10.0.0.3"), password=False), "redis://10.0.0.3:6379"),
        (ExternalCache(kind="external", host=ServerAddress("cache.lan"), tls=True, username="me", port=6380), "rediss://me@cache.lan:6380"),
        (ExternalCache(kind="external", host=ServerAddress("fd00::3")), "redis://[fd00::3]:6379"),
    ],
)  # fmt: skip
def test_the_exporter_of_the_cache_has_its_address_and_its_password_by_a_file(
    cache: BundledCache | ExternalCache, address: str
) -> None:
    assert exporters.cache_address(cache, "immich-cache") == address
    given = settings(BUNDLED).monitoring
    assert given.kind == "bundled"
    made = exporters.cache_exporter(cache, address, given, links=(), egress=())
    assert made.env["REDIS_ADDR"] == address
    assert ("REDIS_PASSWORD_FILE" in made.env) == (isinstance(cache, BundledCache) or cache.password)
    file = exporters.cache_password_file(address, "cachePassword").resolve({"cachePassword": 'a"b'})
    assert json.loads(file) == {address: 'a"b'}
