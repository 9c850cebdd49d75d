"""The Immich server as workloads: variables, ports, probes, workers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from components.cache import component as cache
from components.cache.settings import ExternalCache
from components.model.connection import Connection, HttpService
from components.model.workload import CommandCheck, HttpCheck, Link, SecretFiles, Workload
from components.model.workload import Storage as Mounted
from components.server import component as server
from components.server.settings import Server

DATABASE = Connection(
    env={"DB_HOSTNAME": "immich-database", "DB_PASSWORD_FILE": "/run/secrets/database/password"},
    mounts=(SecretFiles(secret="database", path="/run/secrets/database", items={"password": "password"}),),
    link=Link(to="database", port=5432),
    egress=(),
    secrets=("databasePassword",),
)
CACHE = Connection(
    env={"REDIS_HOSTNAME": "immich-cache"}, mounts=(), link=Link(to="cache", port=6379), egress=(), secrets=()
)


def made(settings: dict[str, Any] | None = None, **more: Any) -> list[Workload]:
    args = {
        "platform": cast("Any", SimpleNamespace(sources=lambda _: ("10.244.0.0/16", "fd00:244::/56"))),
        "settings": Server.model_validate(settings or {}),
        "database": DATABASE,
        "cache": CACHE,
        "machine_learning": HttpService(urls=("http://immich-machine-learning:3003",)),
        "egress": (),
        "mounts": (Mounted(volume="media", path="/data"),),
        **more,
    }
    return server.workloads(server.ServerArgs(**cast("Any", args)))


def combined(settings: dict[str, Any] | None = None, **more: Any) -> Workload:
    (found,) = made(settings, **more)
    return found


def split(settings: dict[str, Any] | None = None, **more: Any) -> tuple[Workload, Workload]:
    api, jobs = made(
        {"workers": {"kind": "split", "apiReplicas": 2}, **(settings or {})}, shared_media=True, **more
    )
    return api, jobs


def test_one_pod_runs_both_workers_with_the_variables_that_immich_reads() -> None:
    assert combined().env == {
        "TZ": "Etc/UTC",
        "IMMICH_PORT": "2283",
        "IMMICH_MEDIA_LOCATION": "/data",
        "IMMICH_LOG_LEVEL": "log",
        "IMMICH_LOG_FORMAT": "console",
        "IMMICH_TRUSTED_PROXIES": "10.244.0.0/16,fd00:244::/56",
        "IMMICH_ALLOW_SETUP": "true",
        "IMMICH_MACHINE_LEARNING_URL": "http://immich-machine-learning:3003",
        "DB_HOSTNAME": "immich-database",
        "DB_PASSWORD_FILE": "/run/secrets/database/password",
        "REDIS_HOSTNAME": "immich-cache",
        "NVIDIA_VISIBLE_DEVICES": "void",
    }


def test_settings_reach_their_variables() -> None:
    env = combined(
        {
            "timezone": "America/Denver",
            "logLevel": "debug",
            "logFormat": "json",
            "allowSetup": False,
            "trustedProxies": ["192.168.1.2"],
        }
    ).env
    assert env["TZ"] == "America/Denver"
    assert env["IMMICH_LOG_LEVEL"] == "debug"
    assert env["IMMICH_LOG_FORMAT"] == "json"
    assert env["IMMICH_ALLOW_SETUP"] == "false"
    assert env["IMMICH_TRUSTED_PROXIES"] == "192.168.1.2/32"


def test_names_that_immich_refuses_as_trusted_proxies_are_never_written() -> None:
    # Immich takes addresses and networks only; `linklocal` and the like end its start (dtos/env.dto.ts).
    for network in str(combined().env["IMMICH_TRUSTED_PROXIES"]).split(","):
        assert set(network) <= set("0123456789abcdef.:/")


def test_an_image_without_port_variables_of_a_service_called_immich_is_told_its_port() -> None:
    assert combined().env["IMMICH_PORT"] == "2283"
    assert [(port.name, port.number, port.app_protocol) for port in combined().ports] == [
        ("http", 2283, "kubernetes.io/ws")
    ]


def test_machine_learning_that_is_off_is_switched_off() -> None:
    env = combined(machine_learning=HttpService()).env
    assert env["IMMICH_MACHINE_LEARNING_ENABLED"] == "false"
    assert "IMMICH_MACHINE_LEARNING_URL" not in env


def test_with_immichs_own_file_the_file_says_where_machine_learning_is() -> None:
    app = cast("Any", SimpleNamespace(revision="abc", secrets=()))
    api, jobs = split(app=app)
    for pod in (api, jobs):
        assert pod.env["IMMICH_CONFIG_FILE"] == "/run/secrets/app/immich.json"
        assert not [name for name in pod.env if name.startswith("IMMICH_MACHINE_LEARNING")]
        assert (
            SecretFiles(secret="app", path="/run/secrets/app", items={"immich.json": "immich.json"})
            in pod.mounts
        )
        assert pod.revision == {"app": "abc"}


def test_variables_that_immich_3_no_longer_knows_are_not_set() -> None:
    gone = {
        "IMMICH_MACHINE_LEARNING_PING_TIMEOUT",
        "IMMICH_METRICS",
        "JWT_SECRET",
        "TYPESENSE_HOST",
        "IMMICH_HOST",
    }
    for pod in split({"metrics": {"enabled": True}}):
        assert not gone & pod.env.keys()


def test_without_telemetry_no_metrics_port_is_declared() -> None:
    assert [port.number for port in combined().ports] == [2283]
    assert not [name for name in combined().env if "TELEMETRY" in name or "METRICS" in name]


def test_telemetry_names_its_groups_and_each_worker_declares_its_own_port() -> None:
    metrics = {
        "metrics": {"enabled": True, "include": ["api", "job"], "apiPort": 8091, "microservicesPort": 8092}
    }
    api, jobs = split(metrics)
    for pod in (api, jobs):
        assert pod.env["IMMICH_TELEMETRY_INCLUDE"] == "api,job"
        assert pod.env["IMMICH_API_METRICS_PORT"] == "8091"
        assert pod.env["IMMICH_MICROSERVICES_METRICS_PORT"] == "8092"
    assert {port.name: port.number for port in api.ports} == {"http": 2283, "metrics-api": 8091}
    assert {port.name: port.number for port in jobs.ports} == {"metrics-jobs": 8092}
    assert {port.number for port in combined(metrics).ports} == {2283, 8091, 8092}


def test_the_api_is_asked_by_ping_which_answers_without_the_database() -> None:
    for pod in (combined(), split()[0], combined({"metrics": {"enabled": True}})):
        for probe in (pod.liveness, pod.readiness):
            assert probe is not None
            assert probe.check == HttpCheck(
                port="http",
                path="/api/server/ping",
                inside=("/usr/src/app/server/bin/immich-healthcheck",),
            )
            assert probe.timeout >= 5


def test_a_pod_with_background_jobs_only_has_no_ping_to_ask() -> None:
    _, jobs = split()
    assert jobs.liveness is not None
    assert jobs.liveness.check == CommandCheck(command=("/usr/src/app/server/bin/immich-healthcheck",))
    assert jobs.ports == ()
    _, measured = split({"metrics": {"enabled": True}})
    assert measured.liveness is not None
    assert isinstance(measured.liveness.check, HttpCheck)
    assert (measured.liveness.check.port, measured.liveness.check.path) == ("metrics-jobs", "/metrics")


@pytest.mark.parametrize(("given", "seconds"), [(None, 900), ("1h", 3600)])
def test_a_start_may_take_fifteen_minutes_or_what_is_given(given: str | None, seconds: int) -> None:
    settings = {"startupBudget": given} if given else {}
    for pod in (combined(settings), *split(settings)):
        assert pod.liveness is not None
        assert pod.liveness.startup_budget == seconds
        assert pod.start_timeout > seconds


def test_split_workers_say_which_worker_they_are_and_the_api_starts_first() -> None:
    api, jobs = split()
    assert (api.name, api.env["IMMICH_WORKERS_INCLUDE"], api.replicas) == ("server", "api", 2)
    assert (jobs.name, jobs.env["IMMICH_WORKERS_INCLUDE"], jobs.replicas) == (
        "microservices",
        "microservices",
        1,
    )
    assert "IMMICH_WORKERS_INCLUDE" not in combined().env


def test_both_workers_see_the_same_files_database_and_cache() -> None:
    api, jobs = split()
    same = {name for name in api.env if name.startswith(("DB_", "REDIS_", "IMMICH_MEDIA"))}
    assert same
    assert {name: api.env[name] for name in same} == {name: jobs.env[name] for name in same}
    assert [one for one in api.mounts if isinstance(one, Mounted)] == [
        one for one in jobs.mounts if isinstance(one, Mounted)
    ]
    assert api.links == jobs.links
    assert api.image == jobs.image


def test_only_the_pod_that_transcodes_gets_the_gpu() -> None:
    api, jobs = split({"acceleration": "nvenc", "gpu": {"runtimeClass": "nvidia", "groups": [44]}})
    assert api.gpu is None
    assert api.supplemental_groups == ()
    assert api.env["NVIDIA_VISIBLE_DEVICES"] == "void"
    assert jobs.gpu is not None
    assert (jobs.gpu.resource, jobs.gpu.runtime_class) == ("nvidia.com/gpu", "nvidia")
    assert jobs.env["NVIDIA_VISIBLE_DEVICES"] == "all"
    assert "video" in str(jobs.env["NVIDIA_DRIVER_CAPABILITIES"]).split(",")
    assert jobs.supplemental_groups == (44,)


@pytest.mark.parametrize("acceleration", ["disabled", "qsv", "vaapi", "rkmpp"])
def test_a_server_without_nvidia_asks_for_none_of_the_nodes_gpus(acceleration: str) -> None:
    assert combined({"acceleration": acceleration}).env["NVIDIA_VISIBLE_DEVICES"] == "void"


def test_old_pods_go_first_where_the_media_can_be_mounted_once_or_jobs_would_run_twice() -> None:
    assert combined(shared_media=True).exclusive, "two releases would run jobs at the same time"
    assert combined(shared_media=False).exclusive
    api, jobs = split()
    assert not api.exclusive
    assert jobs.exclusive


def test_uploads_in_progress_are_waited_for_when_a_pod_with_the_api_ends() -> None:
    assert combined().termination_grace == 300
    api, _ = split({"terminationGrace": "10m"})
    assert api.termination_grace == 600


def test_everything_beside_the_proxy_may_connect_to_the_api_only() -> None:
    rule = server.Ingress(reason="gateway", port=2283, namespace="gateway")
    api, jobs = split(allow=(rule,))
    assert api.ingress == (rule,)
    assert jobs.ingress == ()


def test_immich_is_started_by_the_images_own_shell_and_what_takes_uploads_waits_for_them() -> None:
    pod, (api, jobs) = combined(), split({"terminationGrace": "10m"})
    assert (pod.args, api.args) == ((server.start_script(300),), (server.start_script(600),))
    assert '"$SECONDS" -lt 595' in api.args[0], "five seconds are left for Immich's own end"
    assert jobs.args == ()
    assert pod.command == (), "the image's entrypoint stays: tini, bash -c"
    assert "$$" not in api.args[0], "a cluster makes one of two"


def test_redis_url_is_read_by_the_images_own_shell_from_its_file() -> None:
    external = cache.external_connection(
        ExternalCache.model_validate({"kind": "external", "host": "r", "tls": True})
    )
    api, jobs = split(cache=external)
    read = 'export REDIS_URL="$(cat /run/secrets/cache/url)"\n'
    assert (api.args, jobs.args) == ((read + server.start_script(300),), (read + "exec start.sh",))


def test_no_variable_of_a_server_pod_can_hold_a_secret() -> None:
    for name in combined().env:
        assert not name.endswith(("PASSWORD", "_URL")) or name == "IMMICH_MACHINE_LEARNING_URL"


def test_processes_run_as_the_user_of_the_settings_never_as_root() -> None:
    assert (combined().user, combined().group) == (1000, 1000)
    pod = combined({"user": 3000, "group": 3001})
    assert (pod.user, pod.group) == (3000, 3001)


def test_metrics_are_let_to_the_namespace_that_reads_them_and_to_no_other() -> None:
    shown = combined({"metrics": {"enabled": True}}, monitoring_namespace="monitoring")
    assert {(rule.namespace, rule.port) for rule in shown.ingress} == {
        ("monitoring", 8081),
        ("monitoring", 8082),
    }
    assert combined({"metrics": {"enabled": True}}).ingress == ()
    assert combined(monitoring_namespace="monitoring").ingress == ()
