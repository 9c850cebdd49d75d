"""How full the volumes are, by `df` in the containers that have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from components.backup.plan import target_folder
from components.backup.target_settings import LocalTarget
from components.database.settings import BundledDatabase
from components.model.task import BACKUP_FOLDER
from toolchain.verify.running import Running, RunningError, Unit, unit_of

if TYPE_CHECKING:
    from components.settings.model import Settings

FULL: Final = 85
"""Per cent above which a volume is a problem: system hwc's alert."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fill:
    """One volume."""

    workload: str
    path: str
    """Where its container has it."""
    size: int
    """Bytes of the file system."""
    used: int
    percent: int

    @property
    def full(self) -> bool:
        """Whether somebody should look at it."""
        return self.percent >= FULL


def paths(settings: Settings) -> dict[str, list[str]]:
    """Workload -> folders of volumes in it."""
    found = {"server": ["/data"], "machine-learning": ["/cache"], "cache": ["/data"]}
    found["server"] += [f"/data/{folder}" for folder in settings.storage.folders()]
    found["server"] += [str(library.mount_path) for library in settings.storage.external_libraries]
    if isinstance(settings.database, BundledDatabase):
        found["database"] = ["/var/lib/postgresql/data"]
    if settings.backup is not None:
        found["backup-dump"] = [BACKUP_FOLDER]
        disks = [one.name for one in settings.backup.targets if isinstance(one, LocalTarget)]
        if disks:
            found["backup-copy"] = [target_folder(name) for name in disks]
    return found


def fills(running: Running, settings: Settings, units: Sequence[Unit]) -> tuple[list[Fill], list[str]]:
    """The volumes of what runs, and what could not be read."""
    found: list[Fill] = []
    problems: list[str] = []
    for workload, folders in paths(settings).items():
        unit = unit_of(units, workload)
        if unit is None or unit.state != "running":
            continue
        try:
            code, output = running.run(unit, ["df", "-P", "-k", *folders])
        except RunningError as error:
            problems.append(str(error))
            continue
        found += parse(workload, folders, output)
        if code != 0:
            problems.append(
                f"{unit.name}: df: {output.strip().splitlines()[-1][:200] if output.strip() else code}"
            )
    return found, problems


def parse(workload: str, folders: Sequence[str], output: str) -> list[Fill]:
    """Lines of `df -P -k`, one for each folder in their order, but for those that it complains about."""
    complaints = [line for line in output.splitlines() if line.startswith("df:")]
    asked = [
        folder
        for folder in folders
        if not any(f"{folder}:" in line or f"'{folder}'" in line for line in complaints)
    ]
    rows = [line.split() for line in output.splitlines() if not line.startswith("df:")]
    numbers = [row for row in rows if len(row) >= 6 and row[1].isdigit()]
    return [
        Fill(
            workload=workload,
            path=folder,
            size=int(row[1]) * 1024,
            used=int(row[2]) * 1024,
            percent=int(row[4].rstrip("%")) if row[4].rstrip("%").isdigit() else 0,
        )
        for folder, row in zip(asked, numbers, strict=False)
    ]
