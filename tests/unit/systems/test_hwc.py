"""hwc: one test a demand of the system's own document; docs/systems/hwc.md is the table."""

from __future__ import annotations

import functools
import re

import pytest
import yaml

from tests.harness.program import needs
from tests.unit.systems.audit import faults
from tests.unit.systems.backups import (
    Times,
    copied,
    in_order,
    is_drilled,
    is_dumped_and_read_back,
    page,
    targets,
    times,
)
from tests.unit.systems.host import CONTAINER, VOLUME, Host, believed, find, headers, host

TAILNET = ("127.0.0.1", 2283)
LAN = ("192.168.1.13", 2283)
WITH_GPU = ["server", "machine-learning"]


@functools.cache
def _host() -> Host:
    return host("hwc")


def test_it_is_reached_by_the_tailnet_and_the_lan_at_2283() -> None:
    assert _host().run.outputs["url"] == "https://hwc.ocelot-wahoo.ts.net:2283"
    assert {one for one, (who, _) in _host().ports().items() if who == "proxy" and one[1] != 9113} == {
        TAILNET,
        LAN,
    }
    assert "http://192.168.1.13:2283" in {door["url"] for door in _host().run.outputs["doors"]}


def test_only_the_host_and_the_tailnet_are_believed_about_the_client() -> None:
    (workload, port) = _host().ports()[TAILNET]
    assert workload == "proxy"
    gateway = _host().network("proxy-outside")["ipamConfigs"][0]["gateway"]
    assert believed(_host().server(port)) == {"127.0.0.1/32", "100.64.0.0/10", gateway}
    assert _host().env("server")["IMMICH_TRUSTED_PROXIES"] == _host().subnet("server")


def test_on_the_lan_nobody_is_believed_about_the_client() -> None:
    (_, port) = _host().ports()[LAN]
    assert port != _host().ports()[TAILNET][1]
    assert believed(_host().server(port)) == set()


def test_the_scheme_of_the_tailnets_proxy_reaches_immich() -> None:
    listener = _host().server(_host().ports()[TAILNET][1])
    assert ("X-Forwarded-Proto", "$client_scheme") in headers(listener, "proxy_set_header")
    (scheme,) = [
        one["block"]
        for one in find(_host().nginx, "http", "map")
        if one["args"] == ["$trusted_gateway $http_x_forwarded_proto", "$scheme_gateway"]
    ]
    assert {"directive": "1 https", "args": ["https"]}.items() <= scheme[-1].items()


@pytest.mark.parametrize("workload", WITH_GPU)
def test_the_gpu_of_the_document_is_given_alone(workload: str) -> None:
    inputs = _host().container(workload)
    assert inputs["deviceRequests"] == [{"driver": "cdi", "deviceIds": ["nvidia.com/gpu=0"]}]
    assert not {"devices", "gpus"} & inputs.keys()
    assert inputs["capabilities"] == {"drops": ["ALL"]}


def test_the_gpu_is_asked_for_by_its_cdi_name() -> None:
    assert "gpus" not in _host().container("server")
    asked = host("hwc", docker={"gpuRequests": "gpus"}).container("server")
    assert asked["gpus"] == "device=0"
    assert "deviceRequests" not in asked


def test_other_containers_get_no_gpu() -> None:
    assert {one for one in _host().workloads() if "deviceRequests" in _host().container(one)} == {
        *WITH_GPU,
        "gpu-exporter",
    }


def test_transcoding_is_by_nvenc() -> None:
    assert _host().app()["ffmpeg"]["accel"] == "nvenc"
    assert _host().env("server")["NVIDIA_DRIVER_CAPABILITIES"] == "compute,video,utility"


def test_machine_learning_runs_on_cuda_at_the_servers_release() -> None:
    image = _host().image("machine-learning")
    assert re.fullmatch(
        r"ghcr\.io/immich-app/immich-machine-learning:v3\.3\.1-cuda@sha256:[0-9a-f]{64}", image
    )
    assert _host().image("server").startswith("ghcr.io/immich-app/immich-server:v3.3.1@sha256:")
    assert _host().env("machine-learning")["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"


def test_models_and_their_engines_are_kept_in_one_volume() -> None:
    env = _host().env("machine-learning")
    assert env["TRANSFORMERS_CACHE"] == env["MACHINE_LEARNING_CACHE_FOLDER"] == "/cache"
    assert _host().mounts("machine-learning")["/cache"] == ("immich-hwc-machine-learning-cache", False)


def test_machine_learning_may_lock_memory() -> None:
    limits = _host().container("machine-learning")["ulimits"]
    assert {"name": "memlock", "soft": -1, "hard": -1} in limits


def test_machine_learning_has_the_share_of_a_niceness_of_minus_ten() -> None:
    shares = {one: _host().container(one)["cpuShares"] for one in _host().workloads()}
    without = 512
    assert shares["machine-learning"] == round(without * 1.25**10)
    assert shares["machine-learning"] > sum(shares.values()) - shares["machine-learning"]


def test_models_stay_for_600_seconds_and_are_looked_at_every_30() -> None:
    env = _host().env("machine-learning")
    assert env["MACHINE_LEARNING_MODEL_TTL"] == "600"
    assert env["MACHINE_LEARNING_MODEL_TTL_POLL_S"] == "30"


def test_threads_are_those_of_the_document() -> None:
    env = _host().env("machine-learning")
    assert env["MACHINE_LEARNING_REQUEST_THREADS"] == "1"
    assert env["MACHINE_LEARNING_MODEL_INTER_OP_THREADS"] == "2"
    assert env["MACHINE_LEARNING_MODEL_INTRA_OP_THREADS"] == "2"


@pytest.mark.parametrize(("cores", "inter", "intra"), [(1, 1, 1), (2, 1, 1), (3, 1, 1), (4, 2, 2), (8, 2, 6)])
def test_threads_follow_the_rule_of_the_document(cores: int, inter: int, intra: int) -> None:
    machine_learning = {**_host().stack.sections["machineLearning"]}
    limits = {"limits": {"cpu": str(cores)}}
    env = host("hwc", machineLearning={**machine_learning, "resources": limits}).env("machine-learning")
    assert int(env["MACHINE_LEARNING_MODEL_INTER_OP_THREADS"]) == max(1, min(2, cores - 2)) == inter
    assert int(env["MACHINE_LEARNING_MODEL_INTRA_OP_THREADS"]) == max(1, cores - 2) == intra


def test_media_is_at_mnt_photos() -> None:
    assert _host().mounts("server")["/data"] == ("/mnt/photos", False)
    assert _host().env("server")["IMMICH_MEDIA_LOCATION"] == "/data"


def test_the_four_folders_are_those_of_media() -> None:
    below = {path for path in _host().mounts("server") if path.startswith("/data/")}
    assert below == set()


def test_the_server_runs_as_eric_of_users() -> None:
    assert _host().container("server")["user"] == "1000:100"
    assert _host().container("machine-learning")["user"] == "1000:100"


def test_nobody_changes_who_owns_photos_or_makes_markers() -> None:
    (script,) = _host().container("server-files")["command"]
    assert re.search(r'if \[ -z "\$\(find /data/0 [^)]*\)" \] .*\n +chown 1000:100 /data/0\b', script)
    assert "chown -R" not in script
    assert not re.search(r"\.immich(?![-\w])", script)


def test_the_storage_template_is_the_one_of_the_document() -> None:
    template = _host().app()["storageTemplate"]
    assert template == {"enabled": True, "template": "{{y}}/{{MM}}/{{dd}}/{{filename}}"}


@pytest.mark.parametrize("workload", WITH_GPU)
def test_the_external_library_is_read_only_in_server_and_machine_learning(workload: str) -> None:
    assert _host().mounts(workload)["/mnt/media/pictures"] == ("/mnt/media/pictures", True)


def test_the_next_steps_name_the_import_path_and_the_administrator() -> None:
    steps = " ".join(str(one) for one in _host().run.outputs["nextSteps"])
    assert "/mnt/media/pictures" in steps
    assert "administrator" in steps


def test_the_time_zone_and_the_log_level_are_those_of_the_document() -> None:
    env = _host().env("server")
    assert env["TZ"] == "America/Denver"
    assert env["IMMICH_LOG_LEVEL"] == "log"


def test_metrics_are_at_8091_and_8092_and_really_on() -> None:
    env = _host().env("server")
    assert env["IMMICH_API_METRICS_PORT"] == "8091"
    assert env["IMMICH_MICROSERVICES_METRICS_PORT"] == "8092"
    assert env["IMMICH_TELEMETRY_INCLUDE"] == "host,api,job,repo", "quantiles of machine learning"
    assert {one: who for one, (who, _) in _host().ports().items() if one[1] in {8091, 8092}} == {
        ("127.0.0.1", 8091): "server",
        ("127.0.0.1", 8092): "server",
    }


def test_the_hosts_prometheus_reads_both_at_localhost_every_30_seconds() -> None:
    scrape = yaml.safe_load(str(_host().run.outputs["scrape"]))
    found = {one["job_name"]: one for one in scrape["scrape_configs"]}
    for job, port in (("immich-api", 8091), ("immich-workers", 8092)):
        assert found[job]["static_configs"][0]["targets"] == [f"127.0.0.1:{port}"]
        assert found[job]["scrape_interval"] == "30s"


def test_numbers_are_at_no_address_but_localhost() -> None:
    assert {address for address, port in _host().ports() if port != 2283} == {"127.0.0.1"}


def test_the_database_is_immich_of_immich_and_kept() -> None:
    env = _host().env("server")
    assert (env["DB_DATABASE_NAME"], env["DB_USERNAME"]) == ("immich", "immich")
    assert _host().password("server", "database") == _host().password("database", "database")
    volume = _host().recorded(VOLUME, "database")
    assert (volume.protect, volume.retain_on_delete) == (True, True)


def test_the_database_has_vectorchord_in_the_public_schema() -> None:
    assert "vectorchord1.1.1@sha256:" in _host().image("database")


def test_the_cache_is_a_valkey_of_its_own() -> None:
    assert _host().env("server")["REDIS_HOSTNAME"] == "immich-cache"
    assert _host().members("cache") == {"server", "cache", "valkey-exporter"}
    assert "maxmemory-policy noeviction" in _host().files("cache")["/run/secrets/cache/valkey.conf"]


def test_the_server_starts_when_database_and_cache_are_well() -> None:
    assert _host().starts_after("server") >= {"database", "cache"}


def test_no_secret_is_seen_by_docker_inspect() -> None:
    assert _host().told() == []


def test_the_database_is_dumped_daily_at_two_and_read_back() -> None:
    when = times(_host(), "backup-dump")
    assert when == Times(minutes=[0], hours=[2], weekdays=[*range(7)], zone="America/Denver")
    is_dumped_and_read_back(_host(), "/var/backup/immich-db", keep=14)
    hourly = host("hwc", backup={"schedule": "0 * * * *"})
    assert times(hourly, "backup-dump").hours == [*range(24)]


def test_immichs_own_dump_is_off_so_that_there_is_one() -> None:
    assert _host().app()["backup"]["database"]["enabled"] is False


def test_library_and_profile_are_copied_to_the_disk_and_to_proton() -> None:
    assert targets(_host()) == ["disk", "proton"]
    assert _host().mounts("backup-copy")["/targets/disk"] == ("/mnt/backup/immich-library", False)
    assert _host().mounts("backup-copy")["/data"] == ("/mnt/photos", True)
    assert _host().networks("backup-copy") == {"backup-rclone"}
    rclone = _host().files("backup-rclone")
    assert "proton:immich-library" in rclone["/etc/immich-backup-rclone/start.sh"]
    assert rclone["/run/secrets/rclone/rclone.conf"].rstrip("\n") == _host().hidden["backupRcloneConfig"]
    # Of thumbs and encoded-video the markers alone, without which Immich does not start.
    assert copied(_host())[:6] == [
        *("/data/upload", "/data/library", "/data/profile"),
        *("/data/thumbs/.immich", "/data/encoded-video/.immich", "/data/backups/.immich"),
    ]
    more = host("hwc", backup={"files": {"thumbs": True, "encodedVideo": True}})
    assert {"/data/thumbs", "/data/encoded-video"} <= set(copied(more))


def test_the_pages_bring_database_and_media_back_in_the_order_of_the_document() -> None:
    assert in_order(
        page(_host(), "database-lost"),
        "docker stop immich-hwc-server",
        "ALTER DATABASE immich RENAME TO immich_damaged",
        "CREATE DATABASE immich OWNER immich",
        "immich:restore.what database",
        "make up STACK=hwc",
    )
    assert in_order(
        page(_host(), "disk-lost"),
        "sudo install -d -o 1000 -g 100 -m 0750 /mnt/photos",
        "immich:restore.what files",
        "make up STACK=hwc",
    )
    assert 'touch "/mnt/restored/data/$folder/.immich"' in page(_host(), "host-lost")


def test_a_restore_is_done_before_the_server_starts() -> None:
    found = host("hwc", restore={"what": "both"})
    restored = found.recorded(CONTAINER, "restore-database")
    assert restored.urn in needs(found.run, found.recorded(CONTAINER, "server"))
    assert found.mounts("restore-media")["/data"] == ("/mnt/photos", False)
    assert found.container("restore-media")["user"] == "1000:100"


def test_the_checklist_is_kept_by_outputs_and_a_drill() -> None:
    is_drilled(_host(), sample=200)
    lost = {one["loss"]: one for one in _host().run.outputs["recovery"]}
    assert set(lost) == {"photo", "database", "disk", "host"}
    assert {one["lostAtMost"] for one in lost.values()} == {"1 d 1 h"}
    assert [one.partition(":")[2] for one in _host().run.outputs["rule321"][:2]] == [
        " 3-2-1 is met: 3 copies, 3 media, 1 off-site"
    ] * 2


def test_the_page_moves_an_immich_of_docker_here() -> None:
    assert in_order(
        page(_host(), "from-docker-compose"),
        "docker compose -f docker-compose.yml stop immich-server immich-machine-learning",
        "exec -T database pg_dump --clean",
        "sudo chown -R 1000:100 UPLOAD_LOCATION",
        "rsync -aHAX",
        "gzip -dc immich-before-the-move.sql.gz \\",
        "docker start immich-hwc-server",
        "make backup STACK=hwc",
    )


def test_models_may_stay_longer_by_one_setting() -> None:
    section = _host().stack.sections["machineLearning"]
    longer = host("hwc", machineLearning={**section, "modelTtl": 900})
    assert longer.env("machine-learning")["MACHINE_LEARNING_MODEL_TTL"] == "900"
    assert in_order(page(_host(), "disk-lost"), "Generate Thumbnails > Missing", "Videos > Missing")


def test_what_the_audit_names_exists() -> None:
    tests = {name for name in globals() if name.startswith("test_")} - {"test_what_the_audit_names_exists"}
    assert faults("hwc", _host().settings, tests) == []
