"""The stand-in of Immich's server in this process, on a database of its own, and the task of `immich:setup` against it.

The stand-in's own code answers (tests/docker/images/server/src); in place of psycopg2, which only its image has, a psql
that stays open talks to the database.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Literal
from unittest import mock

from pydantic import TypeAdapter

from components.setup import plan as plans
from components.setup.settings import Setup
from tests.data.postgres_process import ROLE, Database

SOURCES: Final = Path(__file__).resolve().parents[1] / "docker/images/server/src"
VALUES: Final = {"administratorPassword": "a first password", "setupApiKey": "k" * 40}
_COLUMN, _END = "\x1f", "\x1e"
_STATE: Final = """SELECT json_build_object(
  'people', (SELECT json_object_agg(email, json_build_array(name, "isAdmin", "storageLabel", "quotaSizeInBytes",
    "deletedAt" IS NOT NULL, password <> '', "shouldChangePassword")) FROM "user"),
  'libraries', (SELECT json_agg(json_build_array(l.name, u.email, "importPaths", "exclusionPatterns",
    l."deletedAt" IS NOT NULL, "refreshedAt" IS NOT NULL) ORDER BY l.name, u.email)
    FROM library l JOIN "user" u ON u.id = "ownerId"),
  'keys', (SELECT json_agg(json_build_array(k.id::text LIKE '696d6d69%', k.name, u.email, k.permissions,
    key::text) ORDER BY k.name, u.email) FROM api_key k JOIN "user" u ON u.id = "userId"),
  'resets', (SELECT value FROM system_metadata WHERE key = 'immich-setup'))"""
_PASSWORDS: Final = """SELECT json_object_agg(email, password) FROM "user" """


class Psql:
    """One psql for all statements, with the interface of the stand-in's `Database` as far as it is used here."""

    def __init__(self, database: Database) -> None:
        server = database.server
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [
                *(str(server.programs / "psql"), "--no-psqlrc", "--quiet", "--tuples-only", "--no-align"),
                *(f"--field-separator={_COLUMN}", "-h", "127.0.0.1", "-p", str(server.port)),
                *("-U", ROLE, "-d", database.name),
            ],
            env={**os.environ, "PGPASSWORD": server.password, "PGOPTIONS": "-c client_min_messages=warning"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def rows(self, statement: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """As `Database.rows`; RuntimeError for what PostgreSQL refuses."""
        parts = statement.split("%s")
        assert len(parts) == len(values) + 1, statement
        text = parts[0] + "".join(
            _literal(value) + part for value, part in zip(values, parts[1:], strict=True)
        )
        with self._lock:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(f"{text};\n\\echo {_END} :ERROR\n")
            self._process.stdin.flush()
            lines: list[str] = []
            while not (line := self._process.stdout.readline().rstrip("\n")).startswith(_END):
                assert self._process.poll() is None
                lines.append(line)
        if line.endswith("true"):
            raise RuntimeError(statement)
        return [tuple(line.split(_COLUMN)) for line in lines]

    def maintenance(self) -> bool:
        """As `Database.maintenance`."""
        return bool(self.rows("SELECT 1 FROM system_metadata WHERE key = 'maintenance-mode'"))

    def end(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()


def _literal(value: object) -> str:
    match value:
        case None:
            return "NULL"
        case bool() | int():
            return str(value).lower()
        case _:
            quoted = str(value).replace("'", "''")
            return f"'{quoted}'"


@dataclass(frozen=True)
class Run:
    """How the task ended."""

    code: int
    output: str
    errors: str


class ImmichServer:
    """The stand-in, and what a test wants to know of it."""

    def __init__(
        self, database: Database, folder: Path, *, oauth: bool = False, allow_setup: bool = True
    ) -> None:
        self._database, self._folder = database, folder
        self.psql = Psql(database)
        self.requests: list[str] = []
        """Method and path of each."""
        self.kill: tuple[int, Literal["before", "after"]] | None = None
        """At which request, from 1, the task is killed: before it is worked on, or when it is done and not answered."""
        self._task: subprocess.Popen[str] | None = None
        with _stand_in() as modules:
            self.psql.rows(modules["stores"]._TABLES)
            config = folder / "immich.json"
            config.write_text(json.dumps({"oauth": {"enabled": oauth}}))
            environment = modules["environment"].read(
                {
                    "IMMICH_MEDIA_LOCATION": str(folder / "data"),
                    "IMMICH_HOST": "127.0.0.1",
                    "IMMICH_PORT": "0",
                    "IMMICH_ALLOW_SETUP": str(allow_setup).lower(),
                    "IMMICH_CONFIG_FILE": str(config),
                }
            )
            self._api = modules["api"]
            self._application = self._api.Application(environment, self.psql, None, lambda *_, **__: None)
            self._server = self._api.Server(self._application)
        self._server.RequestHandlerClass = self._handler(self._server.RequestHandlerClass)
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()

    def _handler(self, base: Any) -> Any:
        outer = self

        class Handler(base):
            def _route(self, method: str, path: str) -> None:
                outer.requests.append(f"{method} {path}")
                outer.strike("before")
                super()._route(method, path)

            def _head(self, status: int, headers: dict[str, str]) -> None:
                outer.strike("after")
                super()._head(status, headers)

        return Handler

    def strike(self, when: str) -> None:
        """Kill the task if this is the moment."""
        if self.kill == (len(self.requests), when) and self._task is not None:
            self._task.send_signal(signal.SIGKILL)
            self._task.wait()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def maintain(self, *, on: bool) -> None:
        """Into maintenance mode, or out of it."""
        self._application.maintenance = on

    def run(
        self,
        section: Mapping[str, Any],
        values: Mapping[str, str] = VALUES,
        *,
        wait: int = 0,
        port: int | None = None,
    ) -> Run:
        """Run the task of a section to its end."""
        task = self.start(section, values, wait=wait, port=port)
        output, errors = task.communicate(timeout=60)
        return Run(task.returncode, output, errors)

    def start(
        self,
        section: Mapping[str, Any],
        values: Mapping[str, str] = VALUES,
        *,
        wait: int,
        port: int | None = None,
    ) -> subprocess.Popen[str]:
        """The task of a section, going on."""
        setup = TypeAdapter(Setup).validate_python(section, by_alias=True, by_name=False)
        address = f"http://127.0.0.1:{port or self.port}"
        plan = json.loads(plans.plan(setup, server=address, wait=wait)) | {"secrets": str(self._folder)}
        for name, text in plans.secret(setup).items.items():
            (self._folder / name).write_text(text.resolve(values))
        (self._folder / "plan.json").write_text(json.dumps(plan))
        (self._folder / "setup.mjs").write_text(plans.script())
        server = self._database.server
        (self._folder / "database").write_text(f"{server.password}\n")
        node = shutil.which("node")
        assert node is not None
        self._task = subprocess.Popen(
            [node, str(self._folder / "setup.mjs"), str(self._folder / "plan.json")],
            env={
                "DB_HOSTNAME": "127.0.0.1",
                "DB_PORT": str(server.port),
                "DB_USERNAME": ROLE,
                "DB_DATABASE_NAME": self._database.name,
                "DB_PASSWORD_FILE": str(self._folder / "database"),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        return self._task

    def state(self) -> dict[str, Any]:
        """Who and what is there, without what differs by chance."""
        return dict(json.loads(self.psql.rows(_STATE.replace("\n", " "))[0][0]))

    def passwords(self) -> dict[str, str]:
        """Email -> hash."""
        return dict(json.loads(self.psql.rows(_PASSWORDS)[0][0]))

    def empty(self) -> None:
        """Nobody and nothing is there."""
        self.psql.rows('TRUNCATE "user", system_metadata CASCADE')
        self.requests.clear()
        self.kill = None

    def key(self, name: str, values: Mapping[str, str] = VALUES, renew: str = "") -> str:
        """The value of a key that the task made."""
        made = plans.ApiKey.model_validate({"name": name, "scopes": ["all"], "renew": renew or None})
        return plans.value(made).resolve(values)

    def ask(
        self, method: str, path: str, body: object = None, *, key: str = "", token: str = ""
    ) -> tuple[int, Any]:
        """A request as anybody makes it: status, and what the answer's JSON is."""
        import http.client

        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers = {"Content-Type": "application/json"}
        headers |= {"x-api-key": key} if key else {}
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        connection.request(method, f"/api{path}", None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text) if text else None

    def end(self) -> None:
        """It answers nobody any longer."""
        self._server.shutdown()
        self._server.server_close()
        self.psql.end()


@contextmanager
def _stand_in() -> Generator[dict[str, ModuleType]]:
    """The stand-in's modules, which have names of their own only in its image."""
    names = [path.stem for path in SOURCES.glob("*.py")]
    absent = {name: ModuleType(name) for name in ("psycopg2", "redis")}
    proxy = importlib.import_module("tests.edge.proxy_addr")
    with (
        mock.patch.dict(sys.modules, {**absent, "proxy_addr": proxy}),
        mock.patch.object(sys, "path", [str(SOURCES), *sys.path]),
    ):
        for name in names:
            sys.modules.pop(name, None)
        yield {name: importlib.import_module(name) for name in ("environment", "stores", "api")}
