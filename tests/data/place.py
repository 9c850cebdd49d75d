"""A deployment's folders for tests of scripts, and the scripts run in them as containers would."""

from __future__ import annotations

import atexit
import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from components.backup.plan import Plan, Repository
from components.backup.scripts import copy_script, dump_script
from components.database.client import DatabaseAccess
from tests.data.immich_library import make_folders
from tests.data.postgres_process import Database, major, programs
from tests.data.restic_key import weaken

NOBODY = 65534
PASSWORD = secrets.token_urlsafe(24)
"""Of all repositories of this run of tests."""


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A script that has ended."""

    code: int
    output: str
    """Both streams."""


class Started:
    """A script that runs, a process group of its own."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log

    def kill(self) -> None:
        """SIGKILL for all of it, as a machine that loses power does it."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def ask_to_end(self) -> int:
        """SIGTERM for the first process alone, as a container is stopped; its exit code."""
        self.process.terminate()
        return self.process.wait(30)

    def ended(self, seconds: float = 60) -> Ran:
        """Wait for it."""
        code = self.process.wait(seconds)
        return Ran(code=code, output=self.log.read_text(errors="replace"))


class Place:
    """Folders as containers have them, all below one that any user may enter."""

    def __init__(self, applets: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="immich-place-"))
        self.applets = applets
        """Commands of busybox, which restic's image has; in `programs` restic itself."""
        self.folder.chmod(0o755)
        self.root = self.folder / "backup"
        self.media = self.folder / "data"
        self.password_file = self.folder / "secrets" / "password"
        self.secrets = [PASSWORD]
        """What nobody may see."""
        for name in ("backup", "data", "secrets", "stack", "immich-config", "tmp", "targets"):
            (self.folder / name).mkdir()
        (self.folder / "tmp").chmod(0o1777)
        self.password_file.write_text(f"{PASSWORD}\n")
        (self.folder / "stack" / "stack.yaml").write_text("immich:version: 3.3.1\n")
        (self.folder / "immich-config" / "immich.yaml").write_text("server: {}\n")
        self._logs = iter(range(1000))
        self._running: list[Started] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for started in self._running:
            if started.process.poll() is None:
                started.kill()
        shutil.rmtree(self.folder)

    def plan(self, database: Database | None = None, *targets: Repository, **changes: Any) -> Plan:
        """A plan with these paths; without targets there is the local one `local`. Waits for locks one second."""
        if database is None:
            access = DatabaseAccess(host="127.0.0.1", port=9, name="none", user="immich")
        else:
            access = database.access(self.folder / "secrets" / "database")
            self.secrets.append(database.server.password)
        plan = Plan(
            stack="test",
            immich_version="3.3.1",
            database=access,
            postgres=major() if programs() else 15,
            root=str(self.root),
            media=str(self.media),
            folders=tuple(str(self.media / name) for name in ("upload", "library", "profile")),
            markers=tuple(
                str(self.media / name / ".immich") for name in ("thumbs", "encoded-video", "backups")
            ),
            extra=(str(self.folder / "stack"), str(self.folder / "immich-config")),
            repositories=targets or (self.local(),),
            password_file=str(self.password_file),
            check_subset="all",
            lock_wait=1,
        )
        return replace(plan, **changes)

    def local(self, name: str = "local") -> Repository:
        """A target on this machine; its folder is there and empty."""
        folder = self.folder / "targets" / name
        folder.mkdir(exist_ok=True)
        return Repository(name=name, url=str(folder))

    def made(self, name: str = "local") -> Repository:
        """A target with an empty repository."""
        shutil.copytree(_empty_repository(), self.folder / "targets" / name)
        return Repository(name=name, url=str(self.folder / "targets" / name))

    def has_run(self, database: Database | None = None) -> None:
        """What Immich's first start leaves on the disk; without a database also what a dump would say of it."""
        make_folders(self.media)
        if database is None:
            self.write_status("dump", immichHasRun=1)

    def write_status(self, name: str, **values: object) -> None:
        """A status file as an earlier step leaves it."""
        (self.root / "status").mkdir(exist_ok=True)
        values = {"version": 1, "name": name, "result": "success", "lastSuccess": 1, **values}
        (self.root / "status" / f"{name}.json").write_text(f"{json.dumps(values)}\n")

    def status(self, name: str) -> dict[str, Any]:
        """A status file; AssertionError where it is not flat."""
        found = json.loads((self.root / "status" / f"{name}.json").read_text())
        assert all(isinstance(value, str | int | float) for value in found.values()), found
        return found

    def gauges(self, name: str) -> dict[str, float]:
        """The same for Prometheus: name of the gauge -> value."""
        lines = (self.root / "status" / f"{name}.prom").read_text().splitlines()
        values = [line for line in lines if not line.startswith("#")]
        assert all(f'{{name="{name}"}} ' in line for line in values), lines
        return {line.partition("{")[0]: float(line.rpartition(" ")[2]) for line in values}

    def dumps(self) -> list[str]:
        """Names of dumps, oldest first, whatever else is in their folder."""
        return sorted(path.name for path in (self.root / "database").glob("immich-*.sql.zst"))

    def dump(self, plan: Plan, **more: Any) -> Ran:
        """Run the dump."""
        return self.start(dump_script(plan), "bash", **more).ended()

    def copy(self, plan: Plan, shell: str = "ash", **more: Any) -> Ran:
        """Run the copies."""
        return self.start(copy_script(plan), shell, **more).ended()

    def start(
        self,
        script: str,
        shell: str,
        *,
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        path: Path | None = None,
    ) -> Started:
        """Start a script with bash, or with ash and the commands of busybox; `path` has commands before all others."""
        number = next(self._logs)
        file = self.folder / f"script-{number}.sh"
        file.write_text(script)
        log = self.folder / f"log-{number}"
        folders = [*([str(path)] if path else []), *([str(self.applets)] if shell == "ash" else [])]
        folders.append(str(self.applets / "programs"))
        tools = programs()
        folders += [str(tools)] if tools and shell == "bash" else []
        environment = {
            "PATH": ":".join([*folders, "/usr/local/bin", "/usr/bin", "/bin"]),
            "TMPDIR": str(self.folder / "tmp"),
            **(env or {}),
        }
        command = [*prefix, *(("busybox", "sh") if shell == "ash" else (shell,)), str(file)]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                env=environment,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started = Started(process, log)
        self._running.append(started)
        return started

    def give_to_nobody(self) -> list[str]:
        """Hand all folders to a user without rights, as containers have; the prefix that runs a script as that user."""
        for directory, _, files in os.walk(os.fsencode(self.folder)):
            for name in (b".", *files):
                os.lchown(os.path.join(directory, name), NOBODY, NOBODY)  # noqa: PTH118 - names that are not UTF-8
        return ["/usr/bin/setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"]

    def restic(self, *arguments: str, target: str = "local", check: bool = True) -> str:
        """What restic says of a target on this machine."""
        done = subprocess.run(
            ["restic", "--no-cache", "-r", str(self.folder / "targets" / target), *arguments],
            env={**os.environ, "RESTIC_PASSWORD_FILE": str(self.password_file)},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def snapshots(self, target: str = "local") -> list[dict[str, Any]]:
        """Of a target on this machine, oldest first."""
        return json.loads(self.restic("snapshots", "--json", target=target)) or []

    def assert_no_secret(self, text: str) -> None:
        """No secret stands in a text."""
        assert not [secret for secret in self.secrets if secret in text]


def wait_for(what: str, condition: Any, seconds: float = 30) -> None:
    """Wait until something is so. AssertionError after that time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen in {seconds} s"
        time.sleep(0.02)


@cache
def _empty_repository() -> Path:
    """One, with a key that is quick to open, that tests get copies of."""
    folder = Path(tempfile.mkdtemp(prefix="immich-repository-"))
    atexit.register(shutil.rmtree, folder)
    subprocess.run(
        ["restic", "--quiet", "--no-cache", "-r", str(folder / "empty"), "init"],
        env={**os.environ, "RESTIC_PASSWORD": PASSWORD},
        check=True,
        capture_output=True,
    )
    weaken(folder / "empty", PASSWORD)
    return folder / "empty"
