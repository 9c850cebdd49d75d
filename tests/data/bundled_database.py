"""A bundled database without its container: the rendered start, the stand-in of the image's entrypoint, PostgreSQL."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from components.database.component import AtStart, start_files
from components.database.settings import SUPERUSER, BundledDatabase
from tests.data.place import wait_for
from tests.data.postgres_process import ROLE, Database, Postgres, major

OLD, NEW = "0.5.3", "1.1.1"
NAME: Final = "immich"
_ENTRYPOINT: Final = Path(__file__).resolve().parents[1] / "docker/images/postgres/bin/docker-entrypoint.sh"


class StandInVectorChord(Postgres):
    """A server with a share folder of its own, in which an extension `vchord` stands that does nothing.

    `trusted`: whether the owner of a database may create it, which VectorChord's own control file does not say.
    """

    def __init__(self, *, trusted: bool = True) -> None:
        super().__init__()
        self._trusted = trusted
        real, version = self.programs, str(major())
        tree = self.directory / "tree"
        # PostgreSQL finds its folders relative to its program, so a copy of the program has folders of its own.
        self.programs = tree / "lib" / "postgresql" / version / "bin"
        self.programs.mkdir(parents=True)
        for program in real.iterdir():
            if program.name in {"postgres", "initdb", "pg_ctl"}:
                shutil.copy(program, self.programs / program.name)
            else:
                (self.programs / program.name).symlink_to(program)
        (self.programs.parent / "lib").symlink_to(real.parent / "lib")
        share = tree / "share" / "postgresql" / version
        shutil.copytree(Path("/usr/share/postgresql") / version, share, symlinks=True)
        self.extensions = share / "extension"
        (self.extensions / f"vchord--{OLD}.sql").write_text(
            "CREATE FUNCTION vchord_stand_in() RETURNS text LANGUAGE sql AS $$SELECT 'old'$$;\n"
        )
        (self.extensions / f"vchord--{OLD}--{NEW}.sql").write_text(
            "CREATE OR REPLACE FUNCTION vchord_stand_in() RETURNS text LANGUAGE sql AS $$SELECT 'new'$$;\n"
        )
        (self.extensions / f"vchord--{NEW}.sql").write_text(
            "CREATE FUNCTION vchord_stand_in() RETURNS text LANGUAGE sql AS $$SELECT 'new'$$;\n"
        )
        self.offer(NEW)

    def offer(self, version: str | None) -> None:
        """Which version the image has; None has none."""
        control = self.extensions / "vchord.control"
        control.unlink(missing_ok=True)
        if version is not None:
            control.write_text(
                f"default_version = '{version}'\ntrusted = {str(self._trusted).lower()}\nrelocatable = false\n"
            )


class BundledServer(StandInVectorChord):
    """What a container of a bundled database runs, under another user, in a folder of its own and on a port of its own.

    Nothing runs before `start` or `start_before`. Starting it anew is an update of the deployment, or a restart.
    """

    def __init__(self, at_start: AtStart | None = None) -> None:
        super().__init__(trusted=False)
        self.at_start = at_start
        self.settings = BundledDatabase()
        self.superuser = SUPERUSER
        self.immich = Database(server=self, name=NAME)

    def __enter__(self) -> Self:
        self._make()
        return self

    def start(self) -> None:
        """As this release starts it; ends when it is ready."""
        self.begin()
        wait_for("the database", self.is_ready)

    def begin(self) -> None:
        """The same, without waiting."""
        files = start_files(
            self.settings,
            self.at_start,
            folder=str(self.directory),
            sockets=str(self.directory),
            password=str(self.directory / "password"),
        )
        for name, text in files.items():
            (self.directory / name).write_text(text)
        self._run(["bash", str(self.directory / "start.sh")], SUPERUSER)
        self.superuser = SUPERUSER

    def start_before(self) -> None:
        """As releases without a superuser of its own made and started it: Immich's role was it."""
        self._run([str(self.directory / "bin" / "immich-docker-entrypoint.sh"), "postgres", "-c", "-c"], ROLE)
        self.superuser = ROLE
        wait_for("the database of the release before", self._answers)

    def stop(self) -> None:
        """As a container ends: what the start still does ends with the server."""
        group = self._process.pid if self._process is not None else None
        super().stop()
        if group is not None:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)

    def is_ready(self) -> bool:
        """As the probe asks."""
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        return (self.directory / "prepared").exists() and self._answers()

    def log(self) -> str:
        """What it said."""
        return self._log.read_text()

    def kill(self) -> None:
        """As a container ends without warning: all of its processes at once."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(30)
        self._process = None
        wait_for("the end of all of its processes", lambda: not self._left())

    def connects(self, user: str, password: str) -> str:
        """Empty where one may come in by TCP as this user, else what is said."""
        done = subprocess.run(
            [
                "psql",
                "-X",
                "-w",
                "-h",
                "127.0.0.1",
                "-p",
                str(self.port),
                "-U",
                user,
                "-d",
                NAME,
                "-c",
                "SELECT 1",
            ],
            env={**os.environ, "PGPASSWORD": password},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stderr if done.returncode else ""

    def answers_psql(self) -> bool:
        """By the socket."""
        asked = [
            self.programs / "psql",
            "-X",
            "-w",
            "-h",
            str(self.directory),
            "-p",
            str(self.port),
            "-U",
            self.superuser,
        ]
        done = subprocess.run([*asked, "-d", NAME, "-c", "SELECT 1"], check=False, capture_output=True)
        return done.returncode == 0

    def _answers(self) -> bool:
        asked = [self.programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(asked, check=False).returncode == 0

    def _left(self) -> list[str]:
        """Processes that run in its data."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                place = (process / "cwd").readlink()
            except OSError:
                continue
            if place == self.directory / "data":
                found.append(process.name)
        return found

    def _run(self, command: list[str], user: str) -> None:
        (self.directory / "password").write_text(f"{self.password}\n")
        environment: Mapping[str, str] = {
            "PATH": f"{self.directory / 'bin'}:{self.programs}:{os.environ['PATH']}",
            "PGDATA": str(self.directory / "data"),
            "PGPORT": str(self.port),
            "PGHOST": str(self.directory),
            "POSTGRES_USER": user,
            "POSTGRES_DB": NAME,
            "POSTGRES_PASSWORD_FILE": str(self.directory / "password"),
            "POSTGRES_INITDB_ARGS": "--no-sync --encoding=UTF8 --locale=C.UTF-8 "
            # The image trusts the loopback addresses: those are the container's own.
            "--auth-host=scram-sha-256",
        }
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._as_user("--pdeathsig", "INT"), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )

    def _make(self) -> None:
        self._hand_over()
        # The image's entrypoint writes a configuration and calls this one.
        (self.directory / "postgresql.conf").write_text(
            f"port = {self.port}\nunix_socket_directories = '{self.directory}'\nlisten_addresses = '127.0.0.1'\n"
            "fsync = off\nmax_connections = 30\nshared_buffers = 32MB\nmax_prepared_transactions = 1\n"
        )
        entrypoint = self.directory / "bin" / "immich-docker-entrypoint.sh"
        entrypoint.parent.mkdir()
        shutil.copy(_ENTRYPOINT, entrypoint.parent)
        entrypoint.write_text(
            "#!/bin/bash\n"
            f'exec docker-entrypoint.sh postgres -c config_file={self.directory}/postgresql.conf "${{@:4}}"\n'
        )
        for file in entrypoint.parent.iterdir():
            file.chmod(0o755)
