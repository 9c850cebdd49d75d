"""`make bench-backup`: what a backup, a restore and a drill cost, as ratios to restic run by hand and to `cp -a`.

The scripts are those of a deployment, with real PostgreSQL and restic on this machine and a target on its disk; the
library is of random bytes, which nothing can compress, with a row for each file. In turns, each round anew:

cp -a            the originals alone, unencrypted, no history
restic by hand   `restic backup` of the same folders, `restic restore` of the snapshot
the same work    restic by hand, then `forget --prune` and `check --read-data-subset 5%`, as every run does them
ours             the dump of the database, the copy with retention and check; files, markers and database back

All have the niceness of our runs, and every time ends when the disk has it (`sync`). Ratios are of throughput, medians
of those within a round, so that what else the machine does at the time counts for all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

from components.backup.scripts import copy_script, dump_script
from tests.data.immich_library import fill, make_folders, make_tables
from tests.data.place import Place, Started
from tests.data.postgres_process import Database, Postgres, programs
from tests.data.recovery_harness import Deployment
from toolchain.failure import ToolchainError, exit_with

_LONG: Final = 7200.0
"""Longest time for a script."""
_PROGRAMS: Final = {
    "busybox": "busybox", "restic": "restic", "flock": "util-linux", "setpriv": "util-linux", "zstd": "zstd",
    "initdb": "postgresql",
}  # fmt: skip
"""Program -> Debian's package."""
_ORDER: Final = (
    ("backup", ("cp -a", "restic by hand", "the same work", "ours")),
    ("backup, nothing new", ("restic by hand", "the same work", "ours")),
    ("restore", ("cp -a", "restic by hand", "ours")),
    ("drill", ("of 200", "of all")),
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One way of one thing."""

    what: str
    way: str
    seconds: float
    """Median over rounds."""
    mb_per_s: float | None
    of_restic: float | None
    """Throughput as a part of restic's by hand; None where there is nothing to compare."""
    of_cp: float | None
    """The same of `cp -a`."""


@dataclass
class Bench:
    """A deployment, and what was measured."""

    live: Deployment
    work: Path
    bytes: int
    seconds: dict[tuple[str, str], list[float]] = field(default_factory=dict[tuple[str, str], list[float]])

    def round(self, number: int) -> None:
        """Everything once, each with an empty target."""
        live, place = self.live, self.live.place
        copied, repository = self.work / "cp", self.work / "restic"
        for folder in (copied, repository):
            shutil.rmtree(folder, ignore_errors=True)
        name = f"round-{number}"
        # A repository of a real key, made before: making it is done once in its life.
        target = place.local(name)
        plan = live.plan = replace(live.plan, repositories=(target,))
        self._restic(repository, "init")
        self._restic(Path(target.url), "init")
        folders = [str(folder) for folder in plan.folders]

        def by_hand() -> None:
            self._restic(repository, "backup", "--host", plan.host, *folders)

        def same_work() -> None:
            by_hand()
            self._restic(repository, "forget", "--keep-daily", "7", "--keep-weekly", "5", "--prune")
            self._restic(repository, "check", "--read-data-subset", "5%")

        def ours() -> None:
            self._ended(place.start(dump_script(plan), "bash"))
            self._ended(place.start(copy_script(plan), "ash"))

        def cp() -> None:
            copied.mkdir()
            self._run("cp", "-a", *folders, str(copied))

        self._timed("backup", "cp -a", cp)
        self._timed("backup", "restic by hand", by_hand)
        self._timed("backup, nothing new", "restic by hand", by_hand)
        shutil.rmtree(repository)
        self._restic(repository, "init")
        self._timed("backup", "the same work", same_work)
        self._timed("backup, nothing new", "the same work", same_work)
        self._timed("backup", "ours", ours)
        self._timed("backup, nothing new", "ours", ours)
        for sample, way in ((200, "of 200"), (None, "of all")):
            self._drill(sample, way)
        self._restores(copied, repository)
        shutil.rmtree(target.url)

    def _restores(self, copied: Path, repository: Path) -> None:
        live, back = self.live, self.work / "back"

        def cp() -> None:
            self._run("cp", "-a", str(copied), str(back))

        self._timed("restore", "cp -a", cp)
        shutil.rmtree(back)
        self._timed(
            "restore",
            "restic by hand",
            lambda: self._restic(repository, "restore", "latest", "--target", str(back)),
        )
        shutil.rmtree(back)
        live.lose_files()
        shutil.rmtree(live.place.root / "restore", ignore_errors=True)
        with live.new_database() as database:
            self._timed("restore", "ours", lambda: self._restore(database))

    def _restore(self, database: Database) -> None:
        self._ended(self.live.start_files())
        self._ended(self.live.start_database(database))

    def _drill(self, sample: int | None, way: str) -> None:
        seconds = 0.0
        for script, shell, prefix in self.live.drill_steps(self.live.drill_plan(sample=sample)):
            self.live.hand_over()
            began = time.monotonic()
            self._ended(self.live.place.start(script, shell, prefix=prefix))
            seconds += time.monotonic() - began
        self.seconds.setdefault(("drill", way), []).append(seconds)

    def _timed(self, what: str, way: str, work: Callable[[], object]) -> None:
        self._sync()
        began = time.monotonic()
        work()
        self._sync()
        self.seconds.setdefault((what, way), []).append(time.monotonic() - began)

    def _sync(self) -> None:
        subprocess.run(["sync", "-f", str(self.work)], check=True)
        subprocess.run(["sync", "-f", str(self.live.place.folder)], check=True)

    def _restic(self, repository: Path, *arguments: str) -> None:
        self._run(
            "restic", "--quiet", "--cache-dir", str(self.work / "cache"), "-r", str(repository), *arguments
        )

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            ["nice", "-n", str(self.live.plan.niceness), *command],
            env={**os.environ, "RESTIC_PASSWORD_FILE": str(self.live.place.password_file)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise ToolchainError(f"{command[0]} failed:\n{done.stderr.strip()}")

    @staticmethod
    def _ended(started: Started) -> None:
        ran = started.ended(_LONG)
        if ran.code != 0:
            raise ToolchainError(f"a script ended with exit code {ran.code}:\n{ran.output[-3000:]}")

    def rows(self) -> list[Row]:
        """What was measured, in a fixed order."""
        found: list[Row] = []
        for what, ways in _ORDER:
            for way in ways:
                median = statistics.median(self.seconds[what, way])
                found.append(
                    Row(
                        what=what,
                        way=way,
                        seconds=round(median, 2),
                        mb_per_s=None if what == "drill" else round(self.bytes / 1e6 / median, 1),
                        of_restic=self._ratio(what, way, "restic by hand"),
                        of_cp=self._ratio(what, way, "cp -a"),
                    )
                )
        return found

    def _ratio(self, what: str, way: str, base: str) -> float | None:
        theirs = self.seconds.get((what, base))
        if theirs is None:
            return None
        pairs = zip(theirs, self.seconds[what, way], strict=True)
        return round(statistics.median(other / own for other, own in pairs), 2)


@contextmanager
def bench(files: int, size: int) -> Generator[Bench]:
    """A deployment of so many originals of `size` bytes on average, removed in the end."""
    with tempfile.TemporaryDirectory(prefix="immich-bench-") as scratch:
        work = Path(scratch)
        applets = work / "applets"
        applets.mkdir()
        work.chmod(0o755)
        subprocess.run(["busybox", "--install", "-s", str(applets)], check=True)
        with Place(applets) as place, Postgres() as server, server.database() as database:
            make_folders(place.media)
            make_tables(database)
            assets = fill(database, place.media, files, size=2 * size)
            plan = place.plan(database, check_subset="5%")
            live = Deployment(place=place, postgres=server, database=database, plan=plan, assets=assets)
            yield Bench(live, work, sum(asset.path.stat().st_size for asset in assets))


def missing() -> list[str]:
    """Debian's packages of programs that are not here."""
    absent = {
        package for program, package in _PROGRAMS.items() if program != "initdb" and not shutil.which(program)
    }
    return sorted(absent | (set() if programs() else {_PROGRAMS["initdb"]}))


def text(rows: list[Row], bytes_: int, files: int, rounds: int) -> str:
    """The table."""
    restic = subprocess.run(["restic", "version"], capture_output=True, text=True, check=True).stdout.split()[
        1
    ]
    machine = f"{os.cpu_count()} cores at load {os.getloadavg()[0]:.1f}, restic {restic}"
    lines = [
        f"{files} files, {bytes_ / 1e6:.0f} MB, median of {rounds} rounds in turns, {machine}",
        "| what | way | s | MB/s | of restic by hand | of cp -a |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        numbers = (row.mb_per_s, row.of_restic, row.of_cp)
        cells = " | ".join("" if one is None else f"{one:g}" for one in numbers)
        lines.append(f"| {row.what} | {row.way} | {row.seconds:g} | {cells} |")
    return "\n".join(lines)


def main() -> int:
    """Measure and print a table, or JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.backup", description="Cost of backup, restore and drill."
    )
    parser.add_argument("--files", type=int, default=1000, help="originals (default: 1000)")
    parser.add_argument(
        "--size", type=int, default=500_000, help="bytes of each on average (default: 500 kB)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default: 3)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args()
    if given.files < 1 or given.size < 1 or given.rounds < 1:
        parser.error("--files, --size and --rounds are 1 or more")
    if absent := missing():
        raise ToolchainError(f"Programs are missing; on Debian: apt-get install {' '.join(absent)}")
    # Library, `cp -a`, two repositories, and one thing restored.
    needed, free = given.files * given.size * 6, shutil.disk_usage(tempfile.gettempdir()).free
    if free < needed:
        raise ToolchainError(
            f"{needed / 1e9:.1f} GB are needed in {tempfile.gettempdir()}, which has {free / 1e9:.1f} GB: "
            "give smaller --files or --size, or another TMPDIR"
        )
    with bench(given.files, given.size) as found:
        for number in range(given.rounds):
            found.round(number)
        rows = found.rows()
        if given.json:
            print(json.dumps([asdict(row) for row in rows], indent=2))
        else:
            print(text(rows, found.bytes, given.files, given.rounds))
    return 0


if __name__ == "__main__":
    exit_with(main)
