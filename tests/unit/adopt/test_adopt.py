"""From compose files in the layouts of Immich's own, 1.120 to 3.0, to a stack."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from components.versions import NEWEST
from tests.unit.adopt.adopted import sections
from toolchain.adopt import __main__ as command
from toolchain.adopt.choices import adopt
from toolchain.adopt.compose import read
from toolchain.failure import ToolchainError

COMPOSE = """
name: immich
services:
  immich-server:
    container_name: immich_server
    image: ghcr.io/immich-app/immich-server:${{IMMICH_VERSION:-release}}
    {server}
    volumes:
      - ${{UPLOAD_LOCATION}}:{root}
      - /etc/localtime:/etc/localtime:ro
{mounts}
    env_file: [.env]
    ports: ['2283:{port}']
  immich-machine-learning:
    container_name: immich_machine_learning
    image: ghcr.io/immich-app/immich-machine-learning:${{IMMICH_VERSION:-release}}{suffix}
    volumes: [model-cache:/cache]
    env_file: [.env]
  redis:
    container_name: immich_redis
    image: docker.io/valkey/valkey:9@sha256:abc
  database:
    container_name: immich_postgres
    image: {database}
    environment: {{POSTGRES_PASSWORD: "${{DB_PASSWORD}}", POSTGRES_USER: "${{DB_USERNAME}}"}}
    volumes: ["${{DB_DATA_LOCATION}}:/var/lib/postgresql/data"]
volumes: {{model-cache: }}
"""
ENV = """
UPLOAD_LOCATION={upload}
DB_DATA_LOCATION=./postgres
TZ=Europe/Berlin
IMMICH_VERSION={version}
DB_PASSWORD=only-the-old-one
DB_USERNAME=postgres
DB_DATABASE_NAME=immich
"""
POSTGRES = "ghcr.io/immich-app/postgres:14-vectorchord0.4.3-pgvectors0.2.0@sha256:abc"


def deployment(
    folder: Path,
    *,
    version: str = "v3.0.3",
    root: str = "/data",
    port: int = 2283,
    server: str = "",
    mounts: tuple[str, ...] = (),
    suffix: str = "",
    database: str = POSTGRES,
    upload: str = "/srv/photos",
    env: str = "",
) -> Path:
    """A compose file in the official layout, with these differences."""
    lines = "\n".join(f"      - {mount}" for mount in mounts)
    path = folder / "docker-compose.yml"
    text = COMPOSE.format(root=root, port=port, server=server, mounts=lines, suffix=suffix, database=database)
    path.write_text(text, encoding="utf-8")
    (folder / ".env").write_text(ENV.format(version=version, upload=upload) + env, encoding="utf-8")
    return path


def test_the_official_layout_becomes_a_stack(tmp_path: Path) -> None:
    found = adopt(read(deployment(tmp_path)))
    assert sections(found) == {
        "docker": {},
        "server": {"version": "3.0.3", "timezone": "Europe/Berlin"},
        "host": {"name": "localhost", "https": False, "port": 2283},
        "proxy": {"expose": [{"kind": "publishedPort", "address": "0.0.0.0", "port": 2283}]},  # noqa: S104
        "storage": {"media": {"kind": "hostPath", "path": "/srv/photos"}},
        "backup": {},
    }
    assert (found.server, found.learning, found.database) == (
        "immich-server",
        "immich-machine-learning",
        "database",
    )
    assert "only-the-old-one" not in command.stack_text(found, "docker-compose.yml")


@pytest.mark.parametrize(
    ("tag", "version"), [("release", NEWEST), ("v3", NEWEST), ("v2", "2.7.5"), ("v2.6.3", "2.6.3")]
)
def test_a_moving_tag_is_said_to_be_looked_up(tmp_path: Path, tag: str, version: str) -> None:
    found = adopt(read(deployment(tmp_path, version=tag)))
    assert sections(found)["server"]["version"] == version
    assert ("moving tag" in found.reasons["server", "version"]) is (tag != "v2.6.3")


def test_folders_and_libraries_are_carried_over(tmp_path: Path) -> None:
    mounts = (
        "/mnt/ssd/thumbs:/data/thumbs",
        "encoded:/data/encoded-video",
        "/mnt/nas/old:/mnt/old:ro",
        "/mnt/nas/shared:/mnt/shared",
        "/mnt/big/library:/data/library",
    )
    found = adopt(read(deployment(tmp_path, mounts=mounts)))
    storage = sections(found)["storage"]
    assert storage["thumbs"] == {"kind": "hostPath", "path": "/mnt/ssd/thumbs"}
    assert storage["encodedVideo"] == {
        "kind": "existingClaim",
        "claimName": "immich_encoded",
        "accessMode": "ReadWriteOnce",
    }
    assert storage["externalLibraries"] == [
        {"name": "mnt-old", "mountPath": "/mnt/old", "source": {"kind": "hostPath", "path": "/mnt/nas/old"}},
        {
            "name": "mnt-shared",
            "mountPath": "/mnt/shared",
            "source": {"kind": "hostPath", "path": "/mnt/nas/shared"},
            "readOnly": False,
        },
    ]
    assert any(one.startswith("/mnt/big/library at /data/library") for one in found.left)


def test_photos_in_a_volume_of_the_engine_stay_in_it(tmp_path: Path) -> None:
    found = adopt(read(deployment(tmp_path, upload="photos")))
    assert sections(found)["storage"]["media"]["claimName"] == "immich_photos"


@pytest.mark.parametrize(
    ("server", "suffix", "acceleration", "backend"),
    [
        ("extends: {file: hwaccel.transcoding.yml, service: nvenc}", "-cuda", "nvenc", "cuda"),
        ("extends: {file: hwaccel.transcoding.yml, service: quicksync}", "-openvino", "qsv", "openvino"),
        ("extends: {file: hwaccel.transcoding.yml, service: cpu}", "", None, None),
    ],
)
def test_acceleration_is_carried_over(
    tmp_path: Path, server: str, suffix: str, acceleration: str | None, backend: str | None
) -> None:
    told = sections(adopt(read(deployment(tmp_path, server=server, suffix=suffix))))
    assert told["server"].get("acceleration") == acceleration
    assert told.get("machineLearning", {}).get("backend") == backend


def test_devices_and_users_are_told(tmp_path: Path) -> None:
    found = adopt(read(deployment(tmp_path, server="devices: ['/dev/dri:/dev/dri']\n    user: '1001:100'")))
    sections(found)
    assert "devices of immich-server (/dev/dri): immich:server.acceleration gives the same ones" in found.left
    assert any(one.startswith("user: 1001:100 of immich-server") for one in found.left)


def test_a_server_on_the_hosts_network_has_its_port(tmp_path: Path) -> None:
    path = deployment(
        tmp_path,
        server="network_mode: host",
        mounts=("/srv/x.json:/x.json:ro",),
        env="IMMICH_CONFIG_FILE=/x.json\n",
    )
    path.write_text(path.read_text().replace("    ports: ['2283:2283']\n", ""))
    told = sections(adopt(read(path)))
    assert told["proxy"]["expose"] == [{"kind": "publishedPort", "address": "0.0.0.0", "port": 2283}]  # noqa: S104
    assert "externalLibraries" not in told["storage"]


def test_a_layout_of_before_2_0_is_read_with_its_paths(tmp_path: Path) -> None:
    path = deployment(
        tmp_path, root="/usr/src/app/upload", port=3001, mounts=("/srv/profile:/usr/src/app/upload/profile",)
    )
    found = adopt(read(path))
    told = sections(found)
    assert told["proxy"]["expose"][0]["port"] == 2283
    assert told["storage"]["profile"]["path"] == "/srv/profile"
    assert any("/usr/src/app/upload" in one for one in found.left)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            {"version": "v1.120.1"},
            r"Immich 1\.120\.1, and this program deploys 2\.5\.0 to 3\.x: upgrade it there first",
        ),
        (
            {"database": "docker.io/tensorchord/pgvecto-rs:pg14-v0.2.0@sha256:abc"},
            r"pgvecto\.rs .*IMMICH_VERSION=v2\.7\.5",
        ),
        ({"root": "/photos"}, "which folder has the photos cannot be told"),
        ({"version": "v1"}, r"runs Immich v1, and this program deploys"),
        ({"env": "DB_HOSTNAME=db.lan\n"}, r"DB_HOSTNAME is db\.lan, .*write DB_HOSTNAME=database"),
        ({"env": "DB_PORT=five\n"}, "DB_PORT is 'five', and must be a number"),
        (
            {"env": "DB_DATA_LOCATION=/srv/photos/postgres\n"},
            "PostgreSQL's files in /srv/photos/postgres",
        ),
    ],
)
def test_what_cannot_be_moved_yet_is_told_with_what_comes_first(
    tmp_path: Path, more: dict[str, str], said: str
) -> None:
    with pytest.raises(ToolchainError, match=said):
        adopt(read(deployment(tmp_path, **more)))  # pyright: ignore[reportArgumentType]  of the right types, each


def test_a_file_without_immich_is_told(tmp_path: Path) -> None:
    path = tmp_path / "docker-compose.yml"
    path.write_text("services: {blog: {image: wordpress}}")
    with pytest.raises(ToolchainError, match=r"no service with the image ghcr\.io/immich-app/immich-server"):
        adopt(read(path))


def test_variables_and_services_without_a_setting_are_named(tmp_path: Path) -> None:
    env = (
        "IMMICH_LOG_LEVEL=debug\nIMMICH_TRUSTED_PROXIES=172.18.0.0/16,uniquelocal\nIMMICH_CONFIG_FILE=/x.json\n"
        "IMMICH_API_METRICS_PORT=1\nMACHINE_LEARNING_PRELOAD__CLIP__TEXTUAL=x\nSOMETHING=else\n"
    )
    path = deployment(tmp_path, env=env)
    text = path.read_text().replace("volumes: {model-cache: }", "")
    path.write_text(text + "  tool:\n    image: alpine\n  typesense:\n    image: typesense/typesense:0.24\n")
    found = adopt(read(path))
    told = sections(found)
    assert told["server"]["logLevel"] == "debug"
    assert told["proxy"]["expose"][0]["trustedSources"] == ["172.18.0.0/16"]
    left = "\n".join(found.left)
    for name in ("IMMICH_CONFIG_FILE", "IMMICH_API_METRICS_PORT", "MACHINE_LEARNING_PRELOAD__CLIP__TEXTUAL"):
        assert name in left
    assert "SOMETHING" not in left
    assert "the service tool (alpine): it stays with compose" in left
    assert "the service typesense (typesense/typesense:0.24): its work is the server's today" in left


def test_a_database_and_a_cache_elsewhere_stay_there(tmp_path: Path) -> None:
    path = tmp_path / "docker-compose.yml"
    path.write_text(
        "services: {immich: {image: 'ghcr.io/immich-app/immich-server:v3.0.3', volumes: ['/srv/p:/data'], environment: "
        "{DB_HOSTNAME: db.lan, DB_USERNAME: me, REDIS_HOSTNAME: redis.lan, REDIS_PASSWORD: x}}}"
    )
    found = adopt(read(path))
    told = sections(found)
    assert told["database"] == {
        "kind": "external",
        "host": "db.lan",
        "port": 5432,
        "name": "immich",
        "user": "me",
    }
    assert told["cache"] == {"kind": "external", "host": "redis.lan", "password": True}
    assert told["machineLearning"] == {"kind": "off"}
    assert told["proxy"]["expose"][0]["address"] == "127.0.0.1"
    assert found.database is None


def test_a_service_is_found_by_any_of_its_names(tmp_path: Path) -> None:
    found = adopt(read(deployment(tmp_path, env="DB_HOSTNAME=immich_postgres\n")))
    assert found.database == "database"


def test_every_service_of_the_server_is_stopped(tmp_path: Path) -> None:
    path = deployment(tmp_path)
    jobs = "  jobs: {image: 'ghcr.io/immich-app/immich-server:v3.0.3', volumes: ['/srv/photos:/data']}\n"
    path.write_text(path.read_text().replace("  redis:\n", f"{jobs}  redis:\n"))
    assert adopt(read(path)).servers == ("immich-server", "jobs")
    path.write_text(path.read_text().replace("['/srv/photos:/data']", "['/srv/others:/data']"))
    with pytest.raises(ToolchainError, match="photos in /srv/others and /srv/photos: two deployments"):
        adopt(read(path))


# The command


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stacks are written to."""
    folder = tmp_path / "program"
    folder.mkdir()
    monkeypatch.setattr(command, "ROOT", folder)
    return folder


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["adopt", *arguments])
    return command.main()


def test_the_command_writes_the_file_and_the_way_there_and_changes_nothing_else(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = deployment(tmp_path, root="/usr/src/app/upload")
    before = {
        one.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in tmp_path.iterdir() if one.is_file()
    }
    assert run(monkeypatch, str(path), "mine") == 0
    assert {
        one.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in tmp_path.iterdir() if one.is_file()
    } == before
    assert [one.name for one in here.iterdir()] == ["Pulumi.mine.yaml"]
    told = capsys.readouterr().out
    compose = f"docker compose -f {path}"
    positions = [
        told.index(step)
        for step in (
            'eval "$(make -s env)"',
            f"docker update --restart=no $({compose} ps -aq immich-server immich-machine-learning)",
            f"{compose} stop immich-server immich-machine-learning",
            f"{compose} exec -T database pg_dump --clean",
            "sudo chown -R 1000:1000 /srv/photos",
            "make up STACK=mine",
            "docker stop immich-mine-server",
            "gzip -dc immich-before-the-move.sql.gz \\",
            "docker start immich-mine-server",
            "immich-admin change-media-location",
            "make verify STACK=mine",
            "docker update --restart=no $(docker ps -q --filter label=immich.stack=mine)",
            f"{compose} up -d",
            "docker update --restart=always",
        )
    ]
    assert positions == sorted(positions)
    # There is no target, so that nothing could be drilled.
    assert "make drill" not in told
    assert "UPLOAD_LOCATION" not in told


def test_a_stack_that_exists_is_left_alone(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "Pulumi.mine.yaml").write_text("mine")
    with pytest.raises(ToolchainError, match=r"Pulumi\.mine\.yaml exists already and was left alone"):
        run(monkeypatch, str(deployment(tmp_path)), "mine")
    assert (here / "Pulumi.mine.yaml").read_text() == "mine"


def test_settings_that_no_stack_may_have_are_told_and_nothing_is_written(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ToolchainError, match=r"immich:storage\.media\.path"):
        run(monkeypatch, str(deployment(tmp_path, upload="/etc")), "mine")
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("arguments", [[], ["x"], ["", "mine"], ["x", "../mine"]])
def test_a_wrong_call_is_a_sentence(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    with pytest.raises(ToolchainError, match=r"usage|STACK="):
        run(monkeypatch, *arguments)


def test_names_with_spaces_are_one_word_of_a_command(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "my photos"
    folder.mkdir()
    assert run(monkeypatch, str(deployment(folder, upload="/srv/my photos")), "mine") == 0
    told = capsys.readouterr().out
    assert f"docker compose -f '{folder}/docker-compose.yml' stop" in told
    assert "sudo chown -R 1000:1000 '/srv/my photos'" in told


def test_a_database_elsewhere_is_dumped_first(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = deployment(tmp_path, env="DB_HOSTNAME=db.lan\n")
    path.write_text(re.sub(r"  database:\n(    .*\n)+", "", path.read_text()))
    assert run(monkeypatch, str(path), "mine") == 0
    told = capsys.readouterr().out
    assert "pg_dump --host=db.lan --port=5432" in told
    assert "the dump of step 2 comes first" in told
    assert [int(one) for one in re.findall(r"^(\d+)\. ", told, re.MULTILINE)] == [1, 2, 3, 4, 5, 6]
