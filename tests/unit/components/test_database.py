"""PostgreSQL: bundled, kept by an operator, external; its memory and Immich's variables."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.database import component as database
from components.database.settings import BundledDatabase, CloudNativePg, ExternalDatabase
from components.model.connection import Connection
from components.model.values import ImageRef, Quantity
from components.model.workload import CommandCheck, ConfigFiles, Scratch, SecretFiles, Workload
from components.model.workload import Storage as Mounted
from components.sizing import postgres_parameters

GIB = Quantity("1Gi")
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
UNITS = {"MB": 2**20, "GB": 2**30}


def bundled(**settings: Any) -> Workload:
    return database.bundled_workload(BundledDatabase.model_validate(settings))


def external(**settings: Any) -> Connection:
    return database._external(
        ExternalDatabase.model_validate({"kind": "external", "host": "pg.example.com", **settings}),
        "database",
    )


def size(text: str) -> int:
    return int(text[:-2]) * UNITS[text[-2:]]


def test_the_image_gets_the_variables_that_immichs_compose_file_gives_it() -> None:
    pod = bundled(name="photos", user="immich")
    assert pod.env == {
        "POSTGRES_USER": "immich_superuser",
        "POSTGRES_DB": "photos",
        "POSTGRES_PASSWORD_FILE": "/run/secrets/database/password",
        "POSTGRES_INITDB_ARGS": "--data-checksums",
        "PGDATA": "/var/lib/postgresql/data/pgdata",
        "DB_STORAGE_TYPE": "SSD",
    }
    assert bundled(storageType="HDD").env["DB_STORAGE_TYPE"] == "HDD"


def test_the_start_script_ends_in_the_images_own_entrypoint_with_the_configuration_that_its_command_names() -> (
    None
):
    pod = bundled()
    assert (pod.command, pod.args) == (("bash", "/etc/immich-database/start.sh"), ())
    (files,) = [mount for mount in pod.mounts if isinstance(mount, ConfigFiles)]
    assert files.path == "/etc/immich-database"
    last = str(files.files["start.sh"]).rstrip().splitlines()[-1]
    assert last.startswith(
        "exec immich-docker-entrypoint.sh postgres -c config_file=/etc/postgresql/postgresql.conf "
    )


def test_passwords_are_read_from_their_files_by_psql_and_stand_in_no_command_line() -> None:
    more = database.AtStart(
        name="more", sql="\\set x `cat /run/secrets/database-more/x`", passwords={"x": "someKey"}
    )
    pod = database.bundled_workload(BundledDatabase(), at_start=more)
    (files,) = [mount for mount in pod.mounts if isinstance(mount, ConfigFiles)]
    assert "\\set password `cat /run/secrets/database/password`" in str(files.files["prepare.sql"])
    assert "PASSWORD :'password'" in str(files.files["prepare.sql"])
    assert files.files["more.sql"] == more.sql
    assert "/run/secrets" not in str(files.files["start.sh"])
    assert (
        SecretFiles(secret="database-more", path="/run/secrets/database-more", items={"x": "x"}) in pod.mounts
    )


def test_data_is_below_its_mount_point_and_not_in_it() -> None:
    pod = bundled()
    assert Mounted(volume="database", path="/var/lib/postgresql/data") in pod.mounts
    assert str(pod.env["PGDATA"]).startswith("/var/lib/postgresql/data/")


def test_everything_that_the_image_writes_is_writable_though_its_root_is_not() -> None:
    scratch = {
        mount.path: mount for mount in bundled(sharedMemory="512Mi").mounts if isinstance(mount, Scratch)
    }
    assert scratch.keys() == {"/dev/shm", "/var/run/postgresql", "/etc/postgresql", "/tmp"}
    assert (scratch["/dev/shm"].memory, scratch["/dev/shm"].size) == (True, "512Mi")


def test_shared_memory_is_at_least_what_immichs_compose_file_has() -> None:
    (shared,) = [
        mount for mount in bundled().mounts if isinstance(mount, Scratch) and mount.path == "/dev/shm"
    ]
    assert shared.size.amount >= Quantity("128Mi").amount


def test_the_image_refuses_network_file_systems_unless_somebody_insists() -> None:
    assert "IGNORE_DATABASE_FSTYPE" not in bundled().env
    assert bundled(ignoreFilesystemCheck=True).env["IGNORE_DATABASE_FSTYPE"] == "true"


def test_checksum_failures_end_the_container_and_readiness_asks_the_database_itself() -> None:
    pod = bundled(name="photos", user="me")
    assert pod.liveness is not None
    assert pod.readiness is not None
    assert pod.liveness.check == CommandCheck(
        command=("env", "PGOPTIONS=-c search_path=pg_catalog -c role=none", "/usr/local/bin/healthcheck.sh")
    )
    assert isinstance(pod.readiness.check, CommandCheck)
    *_, asked = pod.readiness.check.command
    # Over TCP, which the server that makes the database does not answer, and once the role may come in.
    assert asked.endswith("pg_isready -q -h 127.0.0.1 -U me -d photos")
    assert asked.startswith("test -e /var/run/postgresql/prepared && ")


def test_one_copy_with_data_ends_before_the_next_starts_and_may_take_its_time() -> None:
    pod = bundled()
    assert (pod.stateful, pod.exclusive, pod.replicas) == (True, True, 1)
    assert pod.termination_grace >= 120
    assert pod.user == 999
    assert pod.links == pod.egress == ()


@pytest.mark.parametrize(
    ("postgres", "vectorchord", "tag"),
    [(18, "1.1.1", "18-vectorchord1.1.1"), (14, "0.4.3", "14-vectorchord0.4.3-pgvectors0.2.0")],
)
def test_the_image_is_immichs_own_with_the_versions_that_are_asked_for(
    postgres: int, vectorchord: str, tag: str
) -> None:
    image = bundled(postgres=postgres, vectorchord=vectorchord).image
    assert isinstance(image, ImageRef)
    assert image.startswith("ghcr.io/immich-app/postgres:")
    assert image.tag == tag


def test_immich_gets_the_parts_of_the_address_and_the_password_as_a_file() -> None:
    connection = external(port=5433, name="photos", user="me", vectorExtension="pgvector")
    assert connection.env == {
        "DB_HOSTNAME": "pg.example.com",
        "DB_PORT": "5433",
        "DB_DATABASE_NAME": "photos",
        "DB_USERNAME": "me",
        "DB_PASSWORD_FILE": "/run/secrets/database/password",
        "DB_SSL_MODE": "require",
        "DB_VECTOR_EXTENSION": "pgvector",
    }
    assert connection.mounts == (
        SecretFiles(secret="database", path="/run/secrets/database", items={"password": "password"}),
    )
    assert connection.secrets == ("databasePassword",)
    assert connection.link is None


def test_a_private_authority_is_mounted_where_node_looks_for_it() -> None:
    connection = external(sslMode="verify-full", caCertificate=CERTIFICATE)
    (file,) = [mount for mount in connection.mounts if isinstance(mount, ConfigFiles)]
    assert connection.env["NODE_EXTRA_CA_CERTS"] == f"{file.path}/ca.crt"
    assert file.files == {"ca.crt": CERTIFICATE}
    assert connection.env["DB_SSL_MODE"] == "verify-full"


@pytest.mark.parametrize(
    ("host", "names", "cidrs"),
    [
        ("pg.example.com", ("pg.example.com",), ()),
        ("192.168.1.4", (), ("192.168.1.4/32",)),
        ("fd00::4", (), ("fd00::4/128",)),
    ],
)
def test_only_the_external_database_is_reached_outside(
    host: str, names: tuple[str, ...], cidrs: tuple[str, ...]
) -> None:
    (rule,) = external(host=host, port=5433).egress
    assert (rule.names, rule.cidrs, rule.ports) == (names, cidrs, (5433,))


def test_a_clusters_parameters_can_be_overruled_one_by_one() -> None:
    settings = CloudNativePg.model_validate(
        {
            "kind": "cloudnative-pg",
            "parameters": {"work_mem": "64MB"},
            "resources": {"limits": {"memory": "8Gi"}},
        }
    )
    spec = database.cluster_spec(settings, "owner", None)
    assert spec.parameters["work_mem"] == "64MB"
    assert spec.parameters["shared_buffers"] == "2048MB"
    assert spec.image.startswith("ghcr.io/tensorchord/cloudnative-vectorchord:18.4-1.1.1")


@pytest.mark.parametrize(
    ("memory", "buffers", "cached", "maintenance"),
    [
        ("256Mi", "128MB", "256MB", "64MB"),
        ("2Gi", "512MB", "1024MB", "128MB"),
        ("4Gi", "1024MB", "2048MB", "256MB"),
        ("32Gi", "8192MB", "16384MB", "1024MB"),
    ],
)
def test_memory_is_shared_out_a_quarter_for_buffers_and_half_for_the_systems_cache(
    memory: str, buffers: str, cached: str, maintenance: str
) -> None:
    found = postgres_parameters(Quantity(memory), 1, Quantity("50Gi"))
    assert found["shared_buffers"] == buffers
    assert found["effective_cache_size"] == cached
    assert found["maintenance_work_mem"] == maintenance


@given(mebibytes=st.integers(1024, 2**18), gibibytes=st.integers(1, 2**12), instances=st.integers(1, 9))
def test_whatever_the_limits_what_is_promised_fits_into_memory_and_disk(
    mebibytes: int, gibibytes: int, instances: int
) -> None:
    memory, disk = Quantity.mebibytes(mebibytes), Quantity(f"{gibibytes}Gi")
    found = postgres_parameters(memory, instances, disk)
    assert size(found["shared_buffers"]) + 3 * size(found["maintenance_work_mem"]) <= memory.amount * 3 / 4
    assert size(found["max_wal_size"]) <= max(disk.amount / 4, 256 * 2**20)
    assert ("max_slot_wal_keep_size" in found) == (instances > 1)
    if instances > 1:
        assert size(found["max_wal_size"]) <= size(found["max_slot_wal_keep_size"]) <= disk.amount / 2


def test_the_rest_is_what_immichs_own_image_has_for_ssds() -> None:
    found = postgres_parameters(Quantity("2Gi"), 1, Quantity("50Gi"))
    assert {name: value for name, value in found.items() if "size" not in name and "buffers" not in name} == {
        "maintenance_work_mem": "128MB",
        "work_mem": "16MB",
        "wal_compression": "on",
        "autovacuum_vacuum_scale_factor": "0.1",
        "autovacuum_analyze_scale_factor": "0.05",
        "autovacuum_vacuum_cost_limit": "1000",
        "effective_io_concurrency": "200",
        "random_page_cost": "1.2",
    }
    assert found["max_wal_size"] == "5120MB"
