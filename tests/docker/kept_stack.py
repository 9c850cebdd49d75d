"""A stack of one host with backups and a library, for tests of whole losses.

Everything runs as people run it: `python -m toolchain.tasks run` and `toolchain.restore` in a copy of the toolchain
beside the stack's settings; files are put into the engine's volumes, rows into the database by psql in its container.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from tests.data.immich_library import OWNER, Asset, add_unknown_files, fill, make_tables
from tests.data.postgres_process import Database
from tests.docker.host import inspect_text, passes_its_check, until
from tests.docker.stacks import HostStack, Place
from tests.harness.clones import Done
from tests.harness.engine import ROOT

USER: Final = 1000
"""The server's, as of `home`."""
MEDIA: Final = "/data"
_COPIED: Final = ("upload", "library", "profile")
_EVERY_ROW: Final = """
SELECT format(
    'SELECT %L, count(*), md5(coalesce(string_agg(md5(t::text), '''' ORDER BY md5(t::text)), '''')) FROM %I t;',
    tablename, tablename)
FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename
"""


class ContainerDatabase:
    """psql in the database's container, where paths are those that the server sees."""

    def __init__(self, stack: HostStack, media: Path) -> None:
        self._stack, self._media = stack, media

    def psql(self, sql: str) -> str:
        """What it answers. AssertionError with what it says when it fails."""
        command = [
            "docker", "--host", self._stack.place.engine.url, "exec", "-i", f"{self._stack.prefix}-database",
            "psql", "-U", "immich", "-d", "immich", "-XqtA", "-v", "ON_ERROR_STOP=1",
        ]  # fmt: skip
        done = subprocess.run(
            command, input=sql.replace(str(self._media), MEDIA), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def rows(self) -> dict[str, str]:
        """Table -> number of its rows and a checksum over all of them."""
        found = self.psql(self.psql(_EVERY_ROW)).splitlines()
        return {line.partition("|")[0]: line.partition("|")[2] for line in found}


@dataclass
class Kept:
    """The stack, its library and its local target."""

    stack: HostStack
    directory: Path
    """With the stack's files; deleted with them."""
    target: Path
    """The repository of the target `disk`."""
    backup: Mapping[str, Any]
    """The section `immich:backup`."""
    secrets: Mapping[str, str]
    """Secret config that the targets need."""
    assets: list[Asset] = field(default_factory=list[Asset])

    @classmethod
    def create(
        cls,
        place: Place,
        directory: Path,
        target: Path,
        *,
        name: str,
        targets: tuple[Mapping[str, Any], ...] = (),
        restore: Mapping[str, Any] | None = None,
        secrets: Mapping[str, str] | None = None,
    ) -> Kept:
        """One that is not up yet, with the local target `disk` and others."""
        backup = backup_settings(place, target, targets)
        changes: dict[str, Mapping[str, Any]] = {"backup": backup}
        if restore is not None:
            changes["restore"] = restore
        stack = HostStack.create(place, directory, "home", name=name, changes=changes, secrets=secrets)
        return cls.of(stack, directory, target, backup, dict(secrets or {}))

    @classmethod
    def of(
        cls,
        stack: HostStack,
        directory: Path,
        target: Path,
        backup: Mapping[str, Any],
        secrets: Mapping[str, str],
    ) -> Kept:
        """A stack with such backups, with the toolchain beside it."""
        beside = stack.deployment.engine.directory
        shutil.copytree(ROOT / "toolchain", beside / "toolchain")
        return cls(stack, directory, target, backup, secrets)

    def again(self, directory: Path, **more: Any) -> Kept:
        """A new deployment of the same name, as on a new machine: nothing but the targets and the password is left."""
        targets = tuple(cast("list[Mapping[str, Any]]", self.backup["targets"])[1:])
        password = {"backupPassword": self.password()}
        made = Kept.create(
            self.stack.place, directory, self.target, name=self.stack.name, targets=targets,
            restore={}, secrets={**self.secrets, **password}, **more,
        )  # fmt: skip
        made.assets = self.assets
        return made

    # Commands

    def toolchain(self, module: str, *arguments: str, seconds: float = 600) -> Done:
        """`python -m toolchain.<module>` as a person runs it; output and errors together."""
        engine = self.stack.deployment.engine
        done = subprocess.run(
            [sys.executable, "-m", f"toolchain.{module}", *arguments],
            cwd=engine.directory,
            env={**engine.env, "PYTHONPATH": str(engine.directory)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
        self.stack.deployment.said.append(done.stdout)
        return Done(done.returncode, done.stdout)

    def run(self, task: str, seconds: float = 600) -> Done:
        """`make backup` or `make drill`."""
        return self.toolchain("tasks", "run", self.stack.name, task, seconds=seconds)

    def must_run(self, task: str, seconds: float = 600) -> None:
        """The same, and it must succeed."""
        done = self.run(task, seconds)
        assert done.returncode == 0, done.text

    def password(self) -> str:
        """Of the copies, as the documents say where to find it."""
        shown = self.stack.deployment.engine.run(
            "stack", "output", "backupPassword", "--show-secrets", "--stack", self.stack.name
        )
        return shown.stdout.strip()

    def restic(self, *arguments: str) -> str:
        """What restic by hand says of the target `disk`."""
        done = subprocess.run(
            ["restic", "--no-cache", "--repo", str(self.target), *arguments],
            env={**os.environ, "RESTIC_PASSWORD": self.password()},
            capture_output=True,
            text=True,
            errors="replace",  # names that are not UTF-8
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    # What there is

    def volume(self, name: str) -> Path:
        """A volume of the stack, as this process sees it."""
        folder = self.stack.place.engine.directory / "data" / "volumes"
        return folder / f"{self.stack.prefix}-{name}" / "_data"

    @property
    def media(self) -> Path:
        """Immich's media root, as this process sees it."""
        return self.volume("media")

    @property
    def database(self) -> ContainerDatabase:
        """The stack's."""
        return ContainerDatabase(self.stack, self.media)

    def status(self, name: str) -> dict[str, Any]:
        """A status file; empty where there is none."""
        path = self.volume("backup") / "status" / f"{name}.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def fill(self, count: int, *, size: int) -> None:
        """Immich's tables, so many assets with their files, and all that a library may have besides."""
        database = cast("Database", self.database)  # the part of it that is asked for here
        database.psql("DROP TABLE system_metadata")  # the stand-in's, of another shape
        make_tables(database)
        # Whoever signs up is the administrator.
        database.psql(f"""UPDATE "user" SET "isAdmin" = false WHERE id = '{OWNER}'""")  # noqa: S608 - a constant
        self.assets = fill(database, self.media, count, size=size)
        add_unknown_files(self.media)
        inner = self.media / "library" / "a folder" / "empty"
        inner.mkdir(parents=True)
        (inner.parent / "link").symlink_to("../../upload/.immich")
        (self.media / "profile" / "read only.jpg").write_bytes(b"me")
        (self.media / "profile" / "read only.jpg").chmod(0o440)
        (self.media / "thumbs" / "made again.webp").write_bytes(b"not copied")
        self.give_to_server()

    def give_to_server(self) -> None:
        """What this process put among the media belongs to the server's user."""
        subprocess.run(["chown", "-hR", f"{USER}:{USER}", str(self.media)], check=True)

    def files(self) -> dict[bytes, tuple[object, ...]]:
        """All that is copied, and every marker: path -> kind, owner, rights, time and checksum."""
        found: dict[bytes, tuple[object, ...]] = {}
        root = os.fsencode(self.media)
        for folder, folders, files in os.walk(root):
            for name in (*folders, *files):
                path = os.path.join(folder, name)  # noqa: PTH118 - names that are not UTF-8
                relative = os.path.relpath(path, root)
                if name == b".immich":
                    found[relative] = ("marker",)  # the server writes it anew at each start
                elif os.fsdecode(relative).partition("/")[0] in _COPIED and b"/" in relative:
                    found[relative] = _seen(path)
        return found

    def everything(self) -> tuple[dict[bytes, tuple[object, ...]], dict[str, str]]:
        """All files and all rows."""
        return self.files(), self.database.rows()

    def wait_healthy(self) -> None:
        """Until every container that has a health check is well."""

        def well() -> bool:
            for one in self.stack.workloads().values():
                state = one.attrs["State"]
                if state["Status"] != "running":
                    return False
                if "immich.task" in one.labels:
                    if not passes_its_check(one):
                        return False
                elif state.get("Health", {}).get("Status") != "healthy":
                    return False
            return True

        until(well, f"all of {self.stack.name} is well", 90, pause=0.5)

    def assert_no_secret_is_shown(self) -> None:
        """Not in what the engine shows, nor in logs, status files, output of commands and files of the state."""
        stack = self.stack
        secrets = {**stack.secrets(), "password": self.password()}
        told = {
            "inspect": [inspect_text(stack.place.client)],
            "log": [one.logs().decode(errors="replace") for one in stack.containers().values()],
            "status": [path.read_text() for path in (self.volume("backup") / "status").iterdir()],
            "runs": [
                path.read_text() for path in (self.volume("backup") / "runs").rglob("*") if path.is_file()
            ],
            "output": stack.deployment.said,
            "state": [path.read_text(errors="replace") for path in stack.deployment.state_files],
        }
        assert len(secrets) > 2
        for name, value in secrets.items():
            # Of a key it is enough to find one of its lines.
            for part in [line for line in value.splitlines() if len(line) >= 12 and "-----" not in line]:
                for where, texts in told.items():
                    assert not any(part in text for text in texts), f"{name} is in {where}"


def backup_settings(place: Place, target: Path, targets: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The section with the local target `disk`, whose folder is made, and others; nothing begins by the clock."""
    if not target.exists():
        target.mkdir(parents=True)
        os.chown(target, USER, USER)
    return {
        "schedule": "0 2 1 1 *",
        "resticImage": place.image("restic"),
        "rcloneImage": place.image("rclone"),
        "checkSubset": "100%",
        "drill": {"schedule": "30 4 1 1 *", "sample": "all"},
        "targets": [
            {"name": "disk", "kind": "local", "source": {"kind": "hostPath", "path": str(target)}},
            *targets,
        ],
    }


def _seen(path: bytes) -> tuple[object, ...]:
    status = os.lstat(path)
    owner = status.st_uid, status.st_gid
    if os.path.islink(path):  # noqa: PTH114 - names that are not UTF-8
        return ("link", *owner, os.readlink(path))  # noqa: PTH115
    if os.path.isdir(path):  # noqa: PTH112
        return ("folder", *owner, status.st_mode)
    with open(path, "rb") as opened:  # noqa: PTH123
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return ("file", *owner, status.st_mode, status.st_mtime_ns, digest)
