"""Debian's servers and the exporters that ship: own ports of 127.0.0.1, own folders, each ended by its own pid."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from components.monitoring import metric_names
from components.monitoring import queries as monitoring_queries
from components.proxy import access_log
from tests.edge.running import free_ports
from toolchain import programs

PACKAGES: Final = {
    "redis-server": "redis-server",
    "nginx": "nginx",
    "openssl": "openssl",
}
"""Program -> package of Debian."""
OWNER: Final = "owner"
_POSTGRES: Final = Path("/usr/lib/postgresql")
PASSWORD: Final = "letters4andDigits"
"""Of the exporter's role."""


def missing() -> list[str]:
    """What this machine lacks, each with what to do."""
    found = {package for program, package in PACKAGES.items() if shutil.which(program) is None}
    if not list(_POSTGRES.glob("*/bin/initdb")):
        found.add("postgresql")
    told = [programs.missing(name) for name in programs.TIERS["monitoring"]]
    return [
        *(f"{name} is not installed (apt-get install {name})" for name in sorted(found)),
        *filter(None, told),
    ]


@contextlib.contextmanager
def running(command: Sequence[str], log: Path, **more: Any) -> Generator[subprocess.Popen[bytes]]:
    """A process until the end of the block."""
    with log.open("wb") as output:
        process = subprocess.Popen[bytes](command, stdout=output, stderr=subprocess.STDOUT, **more)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=10)


def fetch(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float = 20) -> str:
    """The page, as soon as the process gives it."""
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.read().decode()
        except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
            if process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"{url}: {error}\n{log.read_text(errors='replace')[-2000:]}") from error
            time.sleep(0.1)


@dataclass(frozen=True)
class Sample:
    """One line of an exporter."""

    name: str
    labels: dict[str, str]
    value: float


_LINE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


def samples(page: str) -> list[Sample]:
    """What a page of metrics says."""
    found = [_LINE.fullmatch(line) for line in page.splitlines() if line and not line.startswith("#")]
    return [
        Sample(match[1], dict(_LABEL.findall(match[2] or "")), float(match[3])) for match in found if match
    ]


class Postgres:
    """A throw-away PostgreSQL in a folder of its own, of Debian's user `postgres` where the tests run as root.

    That user must reach the folder, so it is none of pytest's, which are root's alone.
    """

    def __init__(self, directory: Path) -> None:
        self.binaries = max(_POSTGRES.glob("*/bin"), key=lambda path: int(path.parent.name))
        self.directory, self.port = directory, free_ports(1)[0]
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            os.chown(directory, user.pw_uid, user.pw_gid)

    @contextlib.contextmanager
    def started(self) -> Generator[Postgres]:
        """Runs until the end of the block."""
        data = self.directory / "data"
        subprocess.run(
            [self.binaries / "initdb", "-D", data, "-U", "postgres", "--auth=scram-sha-256", "--no-sync",
             f"--pwfile={self._password_file()}"],
            check=True, capture_output=True, cwd=self.directory, **self._as,
        )  # fmt: skip
        log = self.directory / "postgres.log"
        command = [
            str(self.binaries / "postgres"), "-D", str(data), "-p", str(self.port),
            "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.directory}", "-c", "fsync=off",
        ]  # fmt: skip
        with running(command, log, cwd=self.directory, **self._as) as process:
            end = time.monotonic() + 30
            while self.run("SELECT 1", check=False).returncode != 0:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.1)
            yield self

    def _password_file(self) -> Path:
        path = self.directory / "password"
        path.write_text(OWNER, encoding="utf-8")
        path.chmod(0o644)
        return path

    def run(
        self,
        sql: str,
        *,
        user: str = "postgres",
        password: str = OWNER,
        database: str = "postgres",
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Statements, over the network as a container would."""
        done = subprocess.run(
            ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port),
             "-U", user, "-d", database, "-f", "-"],
            input=sql, text=True, capture_output=True, check=False, env={**os.environ, "PGPASSWORD": password},
        )  # fmt: skip
        assert done.returncode == 0 or not check, done.stderr
        return done

    def dump(self, database: str) -> str:
        """`pg_dump` of a database."""
        return subprocess.run(
            ["pg_dump", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", database],
            text=True, capture_output=True, check=True, env={**os.environ, "PGPASSWORD": OWNER},
        ).stdout  # fmt: skip


TABLES: Final = """
CREATE TYPE assets_status_enum AS ENUM ('active', 'trashed', 'deleted');
CREATE TABLE library (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name varchar NOT NULL, "deletedAt" timestamptz);
CREATE TABLE asset (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), "libraryId" uuid REFERENCES library, status assets_status_enum
    NOT NULL DEFAULT 'active', "isOffline" boolean NOT NULL DEFAULT false, "deletedAt" timestamptz
);
CREATE TABLE system_metadata (key varchar PRIMARY KEY, value jsonb NOT NULL);
CREATE TABLE version_history (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), "createdAt" timestamptz NOT NULL DEFAULT now(),
    version varchar NOT NULL
);
INSERT INTO library (name) VALUES ('NAS'), ('Empty');
INSERT INTO asset ("libraryId", "isOffline", "deletedAt")
    SELECT NULL::uuid, false, NULL::timestamptz FROM generate_series(1, 40)
    UNION ALL SELECT NULL, false, now() FROM generate_series(1, 3)
    UNION ALL SELECT (SELECT id FROM library WHERE name = 'NAS'), false, NULL FROM generate_series(1, 7)
    UNION ALL SELECT (SELECT id FROM library WHERE name = 'NAS'), true, now() FROM generate_series(1, 2);
INSERT INTO system_metadata VALUES
    ('version-check-state', '{"checkedAt": "2026-11-20T00:00:00Z", "releaseVersion": "v3.10.0"}'),
    ('system-config', '{"oauth": {"clientSecret": "nobody may read this"}}');
INSERT INTO version_history (version, "createdAt") VALUES ('3.1.0', '2026-01-01'), ('3.3.1', '2026-11-01');
"""
"""Immich's tables, as far as the queries need them (server/src/schema/tables), with a little in them."""


def immich_database(postgres: Postgres) -> None:
    """Immich's database with its owner `immich`, our functions and our role."""
    postgres.run(
        "CREATE ROLE immich LOGIN PASSWORD 'owner'; CREATE DATABASE immich OWNER immich;".replace(";", ";\n")
    )
    postgres.run(TABLES, user="immich", database="immich")
    for _ in range(2):  # they may be run again
        postgres.run(monitoring_queries.FUNCTIONS, user="immich", database="immich")
        postgres.run(monitoring_queries.role(PASSWORD, "immich"))


@contextlib.contextmanager
def postgres_exporter(postgres: Postgres, directory: Path) -> Generator[str]:
    """Its page."""
    (directory / "queries.yaml").write_text(monitoring_queries.queries("postgres_exporter"), encoding="utf-8")
    (directory / "password").write_text(PASSWORD, encoding="utf-8")
    port, log = free_ports(1)[0], directory / "postgres-exporter.log"
    command = [
        "postgres_exporter", f"--web.listen-address=127.0.0.1:{port}",
        f"--extend.query-path={directory / 'queries.yaml'}",
    ]  # fmt: skip
    env = {
        **os.environ,
        "DATA_SOURCE_URI": f"127.0.0.1:{postgres.port}/immich?sslmode=disable",
        "DATA_SOURCE_USER": monitoring_queries.ROLE,
        "DATA_SOURCE_PASS_FILE": str(directory / "password"),
    }
    with running(command, log, env=env) as process:
        yield fetch(f"http://127.0.0.1:{port}/metrics", process, log)


@contextlib.contextmanager
def redis(directory: Path) -> Generator[int]:
    """redis-server with jobs in the shape of BullMQ's, and its port."""
    port, log = free_ports(1)[0], directory / "redis.log"
    command = [
        "redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory), "--appendonly", "yes",
        "--maxmemory", "64mb", "--maxmemory-policy", "noeviction",
    ]  # fmt: skip
    with running(command, log) as process:
        end = time.monotonic() + 20
        while redis_cli(port, "PING", check=False) != "PONG":
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        yield port


def redis_cli(port: int, *words: str, check: bool = True) -> str:
    """The answer to one command."""
    return subprocess.run(
        ["redis-cli", "-h", "127.0.0.1", "-p", str(port), *words], capture_output=True, text=True, check=check
    ).stdout.strip()


@contextlib.contextmanager
def redis_exporter(port: int, directory: Path) -> Generator[str]:
    """Its page, with the lengths of the queues."""
    own, log = free_ports(1)[0], directory / "redis-exporter.log"
    command = [
        "redis_exporter", "-web.listen-address", f"127.0.0.1:{own}",
        "-redis.addr", f"redis://127.0.0.1:{port}", "-check-single-keys", metric_names.single_keys(),
    ]  # fmt: skip
    with running(command, log) as process:
        yield fetch(f"http://127.0.0.1:{own}/metrics", process, log)


@contextlib.contextmanager
def nginx(directory: Path) -> Generator[tuple[int, int]]:
    """nginx with `stub_status`, and TLS with a certificate of its own; its two ports."""
    plain, tls = free_ports(2)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", directory / "tls.key",
         "-out", directory / "tls.crt", "-days", "30", "-subj", "/CN=photos.test"],
        check=True, capture_output=True,
    )  # fmt: skip
    (directory / "nginx.conf").write_text(
        f"daemon off; pid {directory}/nginx.pid; error_log {directory}/error.log; worker_processes 1;\n"
        "events {}\nhttp {\n  access_log off;\n"
        + "".join(
            f"  {name}_temp_path {directory}/{name};\n"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        + f"  server {{ listen 127.0.0.1:{plain}; location = /stub_status {{ stub_status; }} }}\n"
        f"  server {{ listen 127.0.0.1:{tls} ssl; ssl_certificate {directory}/tls.crt;\n"
        f"    ssl_certificate_key {directory}/tls.key; location / {{ return 200 pong; }} }}\n}}\n",
        encoding="utf-8",
    )
    log = directory / "nginx.log"
    with running(["nginx", "-p", str(directory), "-c", str(directory / "nginx.conf")], log) as process:
        fetch(f"http://127.0.0.1:{plain}/stub_status", process, log)
        yield plain, tls


@contextlib.contextmanager
def nginx_exporter(port: int, directory: Path) -> Generator[str]:
    """Its page."""
    own, log = free_ports(1)[0], directory / "nginx-exporter.log"
    command = [
        "nginx-prometheus-exporter", f"--web.listen-address=127.0.0.1:{own}",
        f"--nginx.scrape-uri=http://127.0.0.1:{port}/stub_status",
    ]  # fmt: skip
    with running(command, log) as process:
        yield fetch(f"http://127.0.0.1:{own}/metrics", process, log)


STATUS: Final = """\
immich_backup_success{name="dump"} 1
immich_backup_last_success_timestamp_seconds{name="dump"} 1795226460
immich_backup_duration_seconds{name="dump"} 60
immich_backup_bytes{name="dump"} 123456789
immich_backup_success{name="drill"} 1
immich_backup_last_success_timestamp_seconds{name="drill"} 1795226460
immich_backup_duration_seconds{name="drill"} 200
immich_drill_assets{name="drill"} 47
"""
"""Status files as the tasks for backups and drills write them."""


@contextlib.contextmanager
def node_exporter(directory: Path) -> Generator[str]:
    """Its page, with the status files."""
    folder = directory / "status"
    folder.mkdir()
    (folder / "dump.prom").write_text(STATUS, encoding="utf-8")
    own, log = free_ports(1)[0], directory / "node-exporter.log"
    command = [
        "node_exporter", f"--web.listen-address=127.0.0.1:{own}",
        f"--collector.textfile.directory={folder}",
    ]  # fmt: skip
    with running(command, log) as process:
        yield fetch(f"http://127.0.0.1:{own}/metrics", process, log)


@contextlib.contextmanager
def blackbox_exporter(tls: int, directory: Path) -> Generator[str]:
    """Its page about the TLS port."""
    module = {
        "modules": {
            "door": {
                "prober": "http",
                "http": {"tls_config": {"insecure_skip_verify": True}, "preferred_ip_protocol": "ip4"},
            }
        }
    }
    (directory / "blackbox.yml").write_text(json.dumps(module), encoding="utf-8")
    own, log = free_ports(1)[0], directory / "blackbox.log"
    command = [
        "blackbox_exporter", f"--web.listen-address=127.0.0.1:{own}",
        f"--config.file={directory / 'blackbox.yml'}",
    ]  # fmt: skip
    with running(command, log) as process:
        yield fetch(f"http://127.0.0.1:{own}/probe?module=door&target=https://127.0.0.1:{tls}/", process, log)


@contextlib.contextmanager
def access_log_exporter(directory: Path) -> Generator[str]:
    """Its page, after two requests and one with a method that nobody knows."""
    (own,) = free_ports(1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("127.0.0.1", 0))
        lines = sender.getsockname()[1]
    file, log = directory / access_log.FILE, directory / "access-log-exporter.log"
    file.write_text(access_log.configuration(f"127.0.0.1:{lines}", "127.0.0.1", own), encoding="utf-8")
    with running(["prometheus-nginxlog-exporter", "-config-file", str(file)], log) as process:
        fetch(f"http://127.0.0.1:{own}/metrics", process, log)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for method, status in (("POST", "201"), ("POST", "201"), ("BREW", "413")):
                told = json.dumps(
                    {"listener": "lan", "method": method, "status": status, "upstream_response_time": "0.030"}
                )
                line = f"<190>Nov 30 05:00:00 {access_log.TAG}: {told}"
                sender.sendto(line.encode(), ("127.0.0.1", lines))
        end = time.monotonic() + 20
        # It reads lines in their order: with the last one it has them all.
        while 'status="413"' not in (page := fetch(f"http://127.0.0.1:{own}/metrics", process, log)):
            assert time.monotonic() < end, page
            time.sleep(0.1)
        yield page


@contextlib.contextmanager
def prometheus(configuration: str, data: Path, directory: Path) -> Generator[str]:
    """Prometheus, when it is ready, and its address. It deletes nothing that is younger than a month."""
    (directory / "prometheus.yml").write_text(configuration, encoding="utf-8")
    port, log = free_ports(1)[0], directory / "prometheus.log"
    command = [
        "prometheus", f"--config.file={directory / 'prometheus.yml'}", f"--storage.tsdb.path={data}",
        f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=30d", "--log.level=warn",
    ]  # fmt: skip
    with running(command, log, cwd=directory) as process:
        fetch(f"http://127.0.0.1:{port}/-/ready", process, log)
        yield f"http://127.0.0.1:{port}"
