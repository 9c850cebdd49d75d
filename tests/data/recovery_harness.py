"""What tests of restores and drills share: a backup that was taken, its loss, and the scripts in their order."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from components.backup.plan import Plan
from components.backup.restore_plan import DrillPlan, RestoreChoice
from components.backup.restore_scripts import (
    drill_database_script,
    drill_fetch_script,
    drill_files_script,
    restore_database_script,
    restore_files_script,
    restore_one_script,
)
from tests.data.immich_library import Asset, add_unknown_files, fill, make_folders, make_tables
from tests.data.place import Place, Ran, Started
from tests.data.postgres_process import ROLE, Database, Postgres

NAMELESS = 64123
"""A user that the system has no name for, as containers have."""
ROWS = "SELECT t::text FROM {table} t ORDER BY t::text"
PLACES = """
CREATE FUNCTION ll_to_earth_public(latitude float8, longitude float8) RETURNS public.earth
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS 'SELECT ll_to_earth(latitude, longitude)';
INSERT INTO asset_exif SELECT id, 'camera', 'a description', 52.5, 13.4, 1000 FROM asset;
CREATE INDEX "IDX_geodata_gist_earthcoord" ON asset_exif USING gist (ll_to_earth_public(latitude, longitude));
"""
"""Immich's function and index of places: what they call is found only with `public` on the search path."""
TABLES = ('"user"', "asset", "asset_exif", "system_metadata", "version_history", "album")


@dataclass(kw_only=True)
class Deployment:
    """One that runs, or what is left of it."""

    place: Place
    postgres: Postgres
    database: Database
    plan: Plan
    assets: list[Asset] = field(default_factory=list[Asset])

    def add(self, count: int, seed: int = 1) -> list[Asset]:
        """More originals with their rows."""
        added = fill(self.database, self.place.media, count, seed=seed)
        self.assets += added
        return added

    def back_up(self) -> str:
        """Dump and copy; the snapshot's short id. AssertionError where one fails."""
        for ran in (self.place.dump(self.plan), self.place.copy(self.plan)):
            assert ran.code == 0, ran.output
        return self.place.snapshots()[-1]["short_id"]

    def rows(self, database: Database | None = None) -> dict[str, str]:
        """Every row that matters, of this or another database."""
        return {table: (database or self.database).psql(ROWS.format(table=table)) for table in TABLES}

    def files(self) -> dict[bytes, bytes]:
        """Every file of the media root that a backup has, and all markers: path from there -> content's checksum."""
        return contents(self.place.media)

    def lose_files(self) -> None:
        """An empty disk in the place of the media."""
        empty(self.place.media)

    def lose_backup_volume(self) -> None:
        """An empty disk in the place of dumps and status files."""
        empty(self.place.root)

    def snapshot(self, *more: str) -> str:
        """One of what is there now, by restic itself with what else it is given; the short id."""
        place = self.place
        if not (place.folder / "targets" / "local" / "config").exists():
            place.restic("init")
        place.restic(
            "backup", "--host", self.plan.host, *more, *self.plan.folders, *self.plan.markers, self.dumps
        )
        return place.snapshots()[-1]["short_id"]

    @property
    def dumps(self) -> str:
        """Their folder."""
        return str(self.place.root / "database")

    @contextmanager
    def new_database(self) -> Generator[Database]:
        """An empty one in the place of the lost one, with what only a superuser can make in it."""
        with self.postgres.database() as found:
            found.psql("CREATE EXTENSION earthdistance CASCADE")
            yield found

    def restore_files(self, choice: RestoreChoice | None = None, shell: str = "ash", **changes: Any) -> Ran:
        """The first step; `path` as of `Place.start`, the others change the plan."""
        ran = self.start_files(choice, shell, **changes).ended()
        self.place.assert_no_secret(ran.output)
        return ran

    def start_files(
        self,
        choice: RestoreChoice | None = None,
        shell: str = "ash",
        *,
        path: Path | None = None,
        **changes: Any,
    ) -> Started:
        """The same, while it runs."""
        script = restore_files_script(replace(self.plan, **changes), choice or RestoreChoice())
        return self.place.start(script, shell, path=path)

    def restore_database(
        self, database: Database, choice: RestoreChoice | None = None, **changes: Any
    ) -> Ran:
        """The second step, into this database."""
        ran = self.start_database(database, choice, **changes).ended()
        self.place.assert_no_secret(ran.output)
        return ran

    def start_database(
        self,
        database: Database,
        choice: RestoreChoice | None = None,
        *,
        path: Path | None = None,
        **changes: Any,
    ) -> Started:
        """The same, while it runs."""
        access = self.place.plan(database).database
        plan = replace(self.plan, database=access, **changes)
        return self.place.start(restore_database_script(plan, choice or RestoreChoice()), "bash", path=path)

    def restore_one(self, *arguments: str, interpreter: str = "busybox sh") -> Ran:
        """`make restore` as it runs in the container."""
        file = self.place.folder / "one.sh"
        file.write_text(restore_one_script(self.plan))
        words = " ".join(quoted(argument) for argument in arguments)
        ran = self.place.start(f"exec {interpreter} {file} {words}\n", "ash").ended()
        self.place.assert_no_secret(ran.output)
        return ran

    def drill_plan(self, *, sample: int | None = None, batch_files: int = 300) -> DrillPlan:
        """Of all originals, with folders of this place."""
        return DrillPlan(
            sample=sample,
            batch_files=batch_files,
            scratch=str(self.place.root / "drill"),
            sockets=str(self.sockets),
        )

    @property
    def sockets(self) -> Path:
        """Folder of the throw-away database's socket: those of the place may have too long a path."""
        return Path(tempfile.gettempdir()) / f"drill-{self.place.folder.name}"

    def drill_steps(self, drill: DrillPlan, **changes: Any) -> list[tuple[str, str, list[str]]]:
        """Script, shell and prefix of each step."""
        plan = replace(self.plan, **changes)
        nameless: list[str] = []
        if os.geteuid() == 0:
            nameless = [
                "/usr/bin/setpriv",
                f"--reuid={NAMELESS}",
                f"--regid={NAMELESS}",
                "--clear-groups",
                "--",
            ]
        return [
            (drill_fetch_script(plan, drill), "ash", nameless),
            (drill_database_script(plan, drill), "bash", nameless),
            (drill_files_script(plan, drill), "ash", nameless),
        ]

    def drill(self, drill: DrillPlan | None = None, *, path: Path | None = None, **changes: Any) -> Ran:
        """All steps as a user without a name; the last that ran. A step that fails ends the run."""
        ran = Ran(code=1, output="")
        output = ""
        for script, shell, prefix in self.drill_steps(drill or self.drill_plan(), **changes):
            self.hand_over()
            ran = self.place.start(script, shell, prefix=prefix, path=path).ended()
            output += ran.output
            if ran.code:
                break
        self.place.assert_no_secret(output)
        return Ran(code=ran.code, output=output)

    def hand_over(self) -> None:
        """Give what the nameless user works on to it."""
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", f"{NAMELESS}:{NAMELESS}", str(self.place.folder)], check=True)

    def scratch_is_empty(self) -> bool:
        """Nothing is left of a drill."""
        scratch = self.place.root / "drill"
        return not (scratch.exists() and list(scratch.iterdir())) and not self.sockets.exists()


def deployment(place: Place, postgres: Postgres, database: Database, count: int = 40) -> Deployment:
    """One that Immich has run in, with so many originals, every name among them."""
    make_folders(place.media)
    make_tables(database)
    found = Deployment(place=place, postgres=postgres, database=database, plan=place.plan(database))
    found.add(count)
    database.psql(f"SET ROLE {ROLE};\n{PLACES}")
    add_unknown_files(place.media)
    (place.media / "library" / "a").mkdir()
    (place.media / "library" / "a" / "link").symlink_to("../../upload/.immich")
    (place.media / "library" / "empty folder").mkdir()
    (place.media / "thumbs" / "made again.webp").write_text("not copied")
    return found


def contents(media: Path) -> dict[bytes, bytes]:
    """Of upload, library and profile, and of all markers: relative path -> kind, mode and checksum."""
    found: dict[bytes, bytes] = {}
    for directory, folders, files in os.walk(media):
        for name in (*folders, *files):
            path = Path(directory, name)
            relative = path.relative_to(media)
            if relative.parts[0] in {"thumbs", "encoded-video", "backups"} and name != ".immich":
                continue
            if path.is_symlink():
                value = f"link {path.readlink()}"
            elif path.is_dir():
                value = "folder"
            else:
                status = path.stat()
                # Markers are written anew at each start of Immich.
                times = "" if name == ".immich" else f"{status.st_mode:o} {status.st_mtime_ns} "
                value = times + hashlib.sha256(path.read_bytes()).hexdigest()
            found[os.fsencode(relative)] = value.encode()
    found.pop(b".immich-restore", None)
    return found


def empty(folder: Path) -> None:
    """Delete what is in a folder, whatever it is called."""
    subprocess.run(["find", str(folder), "-mindepth", "1", "-delete"], check=True)


def quoted(argument: str) -> str:
    """A word of a shell, whatever it has."""
    return "'" + argument.replace("'", "'\\''") + "'"


def stand_in(place: Place, command: str, script: str) -> Path:
    """A folder with a stand-in for a command, to be found before the real one: see `Place.start`."""
    folder = place.folder / f"stand-in-{command}"
    folder.mkdir(exist_ok=True)
    file = folder / command
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    folder.chmod(0o755)
    return folder


def full_disk(place: Place) -> Path:
    """A stand-in for df: every disk has 64 KiB left."""
    return stand_in(place, "df", 'echo Filesystem; echo "/dev/stand-in 1000 936 64 94% /stand-in"')
