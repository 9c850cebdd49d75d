"""The small images: each starts hardened, as the program runs it, and refuses what the real one refuses."""

from __future__ import annotations

import base64
import json
import uuid
from pathlib import Path

import pytest
from docker.models.containers import Container

from tests.docker import host
from tests.docker.host_network import HostNetwork
from tests.docker.images.library import real_images
from tests.docker.transfer import Door
from tests.docker.yard import Yard

ALL = "0.0.0.0"  # noqa: S104  in the container

pytestmark = [
    pytest.mark.skipif(real_images(), reason="IMMICH_REAL_IMAGES=1: the stand-ins are not used"),
    pytest.mark.deep(unless_changed=("tests/docker/images",)),
]


def _status(container: Container, key: str) -> str:
    status = Path(f"/proc/{host.host_pid(container)}/status").read_text()
    return next(line.split()[1] for line in status.splitlines() if line.startswith(f"{key}:"))


def _sql(container: Container, query: str, *more: str) -> str:
    return host.execute(container, "psql", "-U", "immich", "-d", "photos", "-Atc", query, *more).strip()


def test_postgres_makes_its_database_once_and_finds_it_again(yard: Yard):
    database = yard.postgres()
    assert _status(database, "Uid") == "999"
    assert _status(database, "CapEff") == "0000000000000000"
    assert _status(database, "NoNewPrivs") == "1"
    assert _sql(database, "SHOW data_checksums") == "on"
    assert _sql(database, "SHOW max_wal_size") == "5GB", "the image's own configuration is in force"
    assert _sql(database, "SHOW password_encryption") == "scram-sha-256"
    assert _sql(database, "SELECT rolsuper FROM pg_roles WHERE rolname = 'immich'") == "t"
    _sql(database, "CREATE TABLE kept AS SELECT 42 AS answer")

    old = host.host_pid(database)
    database.restart(timeout=30)

    host.wait_healthy(database)
    assert host.host_pid(database) != old
    assert _sql(database, "SELECT answer FROM kept") == "42"
    assert b"Skipping initialization" in database.logs()


def test_postgres_lets_nobody_in_over_the_network_without_the_password(yard: Yard):
    yard.postgres()
    ask = "psql -h database -U immich -d photos -Atc 'SELECT 1'"
    client = yard.run("postgres", name="client", user=999, entrypoint=["sleep", "600"], healthy_within=None)

    right = client.exec_run(["sh", "-c", f"PGPASSWORD='right horse' {ask}"])
    wrong = client.exec_run(["sh", "-c", f"PGPASSWORD=wrong {ask}"])

    assert (right.exit_code, right.output) == (0, b"1\n")
    assert wrong.exit_code == 2
    assert b"password authentication failed" in wrong.output


def test_postgres_does_not_show_its_password(yard: Yard):
    database = yard.postgres()
    assert "right horse" not in host.inspect_text(yard.client)
    assert "right horse" not in host.execute(database, "cat", "/proc/1/environ")
    assert b"right horse" not in database.logs()


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"DB_STORAGE_TYPE": "TAPE", "POSTGRES_PASSWORD": "x"}, "Must be SSD or HDD"),
        ({}, "superuser password is not specified"),
        ({"POSTGRES_PASSWORD": "x", "POSTGRES_PASSWORD_FILE": "/x"}, "are exclusive"),
        ({"POSTGRES_PASSWORD": "x", "PGDATA": "/usr/data"}, "Unsupported file system"),
    ],
    ids=["storage type", "no password", "two passwords", "file system"],
)
def test_postgres_refuses(env: dict[str, str], says: str, yard: Yard):
    yard.volume("data", 999)
    told = yard.refused(
        "postgres",
        name="database",
        user=999,
        env=env,
        mounts={"/var/lib/postgresql/data": "data"},
        tmpfs=("/tmp", "/etc/postgresql", "/var/run/postgresql"),
    )
    assert says in told


def test_valkey_keeps_what_it_was_told_through_a_kill_and_asks_for_its_password(yard: Yard):
    cache = yard.valkey(restart_policy={"Name": "always"})
    login = 'REDISCLI_AUTH="$(cat /run/secrets/cache/password)" valkey-cli'
    assert _status(cache, "Uid") == "999"
    assert "NOAUTH" in host.execute(cache, "valkey-cli", "get", "key")
    assert host.execute(cache, "sh", "-c", f"{login} set key kept").strip() == "OK"
    assert host.execute(cache, "sh", "-c", f"{login} waitaof 1 0 1000 || sleep 1.5")

    host.wait_restarted(cache, host.kill_process(cache))

    host.wait_healthy(cache)
    assert host.execute(cache, "sh", "-c", f"{login} get key").strip() == "kept"


def test_nginx_runs_with_a_given_configuration_on_a_read_only_root(yard: Yard):
    conf = """
        pid /tmp/nginx.pid; error_log stderr; events {}
        http { access_log /dev/stdout; client_body_temp_path /tmp/a; proxy_temp_path /tmp/b; fastcgi_temp_path /tmp/c;
        uwsgi_temp_path /tmp/d; scgi_temp_path /tmp/e; server { listen 8080; return 200 "mine"; } }"""
    yard.volume("conf", 101, {"nginx.conf": conf})
    proxy = yard.run(
        "nginx",
        name="proxy",
        user=101,
        command=("nginx", "-c", "/etc/immich/nginx.conf", "-g", "daemon off;"),
        read_only_mounts={"/etc/immich": "conf"},
        health=(
            "sh",
            "-c",
            "wget -q -O /dev/null http://127.0.0.1:8080/ && curl -fsS http://127.0.0.1:8080/",
        ),
    )
    assert host.execute(proxy, "curl", "-fsS", "http://127.0.0.1:8080/") == "mine"
    assert "nginx/1." in host.execute(proxy, "nginx", "-v")
    assert b"GET / HTTP/1.1" in proxy.logs()


def test_machine_learning_answers_and_fills_its_cache(yard: Yard):
    yard.volume("models", 1000)
    service = yard.run(
        "machine-learning",
        name="machine-learning",
        user=1000,
        env={"IMMICH_HOST": ALL, "IMMICH_PORT": "3003"},
        mounts={"/cache": "models"},
        health=("python3", "/usr/src/healthcheck.py"),
    )
    assert host.execute(service, "cat", "/cache/stand-in/model.bin") == "no model"
    client = yard.run("busybox", name="client", user=65534, command=["sleep", "600"])
    assert host.execute(client, "wget", "-q", "-O", "-", "http://machine-learning:3003/ping") == "pong"


def test_machine_learning_does_not_start_without_a_cache_that_it_can_write(yard: Yard):
    told = yard.refused("machine-learning", name="ml", user=1000, env={"IMMICH_HOST": ALL})
    assert "The cache cannot be written" in told


def test_busybox_has_what_a_loader_needs(yard: Yard):
    files = yard.run(
        "busybox",
        name="files",
        user=0,
        command=["sh", "-c", "cp /bin/busybox /tmp/b && chown 0:0 /tmp/b && sleep 600"],
    )
    for tool in ("sh", "cp", "mv", "find", "head", "stat", "chown", "chmod", "nc", "wget", "httpd", "sleep"):
        host.execute(files, "which", tool)


def test_certbot_is_the_real_one_with_its_plugin_and_openssl(yard: Yard):
    folders = ("/tmp", "/etc/letsencrypt", "/var/lib/letsencrypt", "/var/log/letsencrypt")
    acme = yard.run("certbot", name="acme", user=1000, entrypoint=["sleep", "600"], tmpfs=folders)
    assert "certbot 2." in host.execute(acme, "certbot", "--version")
    assert "dns-cloudflare" in host.execute(acme, "certbot", "plugins")
    made = "openssl req -x509 -newkey rsa:2048 -nodes -keyout /tmp/k -out /tmp/c -days 1 -subj /CN=a 2>&1; cat /tmp/c"
    assert "BEGIN CERTIFICATE" in host.execute(acme, "sh", "-c", made)


def _token(secret: bytes = b"s" * 32) -> str:
    content = {"a": "account", "t": str(uuid.UUID(int=7)), "s": base64.b64encode(secret).decode()}
    return base64.b64encode(json.dumps(content).encode()).decode()


def _tunnel(*end: str) -> list[str]:
    return ["tunnel", "--no-autoupdate", "--metrics", "0.0.0.0:20241", "--protocol", "http2", *end]


READY = ("cloudflared", "tunnel", "--metrics", "127.0.0.1:20241", "ready")


def test_cloudflared_forwards_with_the_headers_of_the_edge(yard: Yard, host_network: HostNetwork):
    rules = {
        "ingress": [{"hostname": "a.b", "service": "http://server:2283"}, {"service": "http_status:404"}]
    }
    credentials = {
        "AccountTag": "account",
        "TunnelID": str(uuid.UUID(int=7)),
        "TunnelSecret": base64.b64encode(b"s" * 32).decode(),
    }
    yard.volume("tunnel", 65532, {"credentials.json": json.dumps(credentials)})
    yard.volume("rules", 65532, {"config.yaml": json.dumps(rules)})
    outer = yard.network("outer", internal=False)
    yard.postgres()
    yard.valkey()
    yard.server({"IMMICH_TRUSTED_PROXIES": "172.16.0.0/12"})
    tunnel = yard.run(
        "cloudflared",
        name="tunnel",
        user=65532,
        networks=[outer, yard.inner],
        command=[
            *_tunnel("--config", "/rules/config.yaml", "run"),
            *("--credentials-file", "/secret/credentials.json", credentials["TunnelID"]),
        ],
        read_only_mounts={"/secret": "tunnel", "/rules": "rules"},
        ports={7000: (host_network.address, 17000)},
        health=READY,
    )
    edge = Door(host_network, host_network.address, 17000, source=host_network.clients[1])

    plain = edge.get(
        "/api/standin/client", {"X-Forwarded-For": "6.6.6.6", "CF-Connecting-IP": "6.6.6.6"}
    ).json()
    given = edge.get("/api/standin/client", {"Standin-Client": "203.0.113.9"}).json()

    assert (plain["address"], plain["protocol"]) == (host_network.clients[1], "https")
    assert given["address"] == "203.0.113.9"
    answer, sent = edge.upload(20 << 20)
    assert (answer.status, answer.json()["checksum"]) == (201, sent)
    assert b"Registered tunnel connection" in tunnel.logs()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (_tunnel("run", "--token-file", "/absent"), "Failed to read /absent"),
        (_tunnel("run", "--token", "no token"), "token is not valid"),
        (_tunnel("run", "--token", _token(b"short")), "token is not valid"),
        (_tunnel("run"), "requires the ID or name"),
        (["tunnel", "run", "--metrics", "0.0.0.0:1", "--token", _token()], "not defined: -metrics"),
    ],
    ids=["no file", "no token", "short secret", "nothing", "flag behind run"],
)
def test_cloudflared_refuses(arguments: list[str], says: str, yard: Yard):
    assert says in yard.refused("cloudflared", name="tunnel", user=65532, command=arguments)


def test_an_image_under_another_tag_is_another_image_of_that_version(yard: Yard):
    usual = yard.images["machine-learning"]
    newer = yard.images.tagged("machine-learning", "immich-standin/machine-learning:v9.9.9")
    ids = {yard.client.images.get(name).id for name in (usual, newer)}
    assert len(ids) == 2
