"""PostgreSQL for tests: Debian's, in a folder of its own under a user that is not root, stopped by its own pid."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from components.database.client import DatabaseAccess
from tests.edge.running import free_ports

USER: Final = "postgres"
"""Of Debian's package; runs the server where the tests run as root, which PostgreSQL refuses."""
ROLE: Final = "immich"


def programs() -> Path | None:
    """The folder of the newest PostgreSQL of Debian that has a server; None without one."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parent.parent.name)
    )
    return found[-1].parent if found else None


def major() -> int:
    """Its major version."""
    folder = programs()
    assert folder is not None
    return int(folder.parent.name)


@dataclass(frozen=True, kw_only=True)
class Database:
    """One database, owned by the role `immich`."""

    server: Postgres
    name: str

    def psql(self, sql: str) -> str:
        """The answer without headers, columns between tabs. AssertionError with what psql said when it fails."""
        return self.server.psql(sql, self.name)

    def access(self, password_file: Path) -> DatabaseAccess:
        """How a script reaches it; the password is written into the file."""
        password_file.write_text(f"{self.server.password}\n")
        return DatabaseAccess(
            host="127.0.0.1",
            port=self.server.port,
            name=self.name,
            user=ROLE,
            password_file=str(password_file),
        )


class Postgres:
    """One server on 127.0.0.1 and on a socket. It ends with the process that started it."""

    def __init__(self, arguments: tuple[str, ...] = ()) -> None:
        folder = programs()
        assert folder is not None
        self.programs = folder
        self.password = secrets.token_urlsafe(18)
        """Of the role `immich`, which is no superuser."""
        (self.port,) = free_ports(1)
        # Not in pytest's folder, which only its owner may enter.
        self.directory = Path(tempfile.mkdtemp(prefix="immich-pg-"))
        self.superuser = USER
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None
        self._log = self.directory / "log"

    def __enter__(self) -> Self:
        try:
            self._make()
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.directory)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *self._as_user("--pdeathsig", "INT"),
                    str(self.programs / "postgres"),
                    *("-D", str(self.directory / "data"), "-p", str(self.port), "-k", str(self.directory)),
                    *("-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=30"),
                    *("-c", "shared_buffers=32MB", *self._arguments),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self._process.poll() is None:
            ready = subprocess.run(
                [self.programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False
            )
            if ready.returncode == 0:
                return
            time.sleep(0.05)
        raise AssertionError(f"PostgreSQL did not start:\n{self._log.read_text()[-2000:]}")

    def stop(self) -> None:
        """Stop it at once; what was committed stays."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(30)
            self._process = None

    def psql(self, sql: str, database: str = "postgres") -> str:
        """As the superuser, over the socket."""
        done = subprocess.run(
            [
                *(str(self.programs / "psql"), "--no-psqlrc", "--quiet", "--tuples-only", "--no-align"),
                *("--field-separator=\t", "--set=ON_ERROR_STOP=1", "-h", str(self.directory)),
                *("-p", str(self.port), "-U", self.superuser, "-d", database),
            ],
            input=sql,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.rstrip("\n")

    @contextmanager
    def database(self) -> Generator[Database]:
        """A new empty one, dropped in the end."""
        name = f"immich_{secrets.token_hex(6)}"
        self.psql(f"CREATE DATABASE {name} OWNER {ROLE}")
        try:
            yield Database(server=self, name=name)
        finally:
            self.psql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _make(self) -> None:
        self._hand_over()
        subprocess.run(
            [
                *self._as_user(),
                str(self.programs / "initdb"),
                *("-D", str(self.directory / "data"), "-U", USER, "--auth-local=trust", "--no-sync"),
                *("--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"),
            ],
            check=True,
            capture_output=True,
        )
        self.start()
        self.psql(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{self.password}'")
        self.stop()

    def _hand_over(self) -> None:
        if os.geteuid() == 0:
            owner = pwd.getpwnam(USER)
            os.chown(self.directory, owner.pw_uid, owner.pw_gid)
        # The socket is for the tests alone, which may run as another user than the server.
        self.directory.chmod(0o755)

    def _as_user(self, *more: str) -> list[str]:
        if os.geteuid() == 0:
            owner = pwd.getpwnam(USER)
            return [
                *(
                    "setpriv",
                    f"--reuid={owner.pw_uid}",
                    f"--regid={owner.pw_gid}",
                    "--clear-groups",
                    *more,
                    "--",
                )
            ]
        return ["setpriv", *more, "--"] if more else []
