"""Whether an update may start, from what the last one left: asked before anything is registered."""

from __future__ import annotations

import pulumi

from components.database.settings import CloudNativePg
from components.recovery.outputs import capacity_warnings
from components.settings.backup_rules import takes_dumps
from components.settings.model import Settings
from components.settings.reader import SettingsError
from components.setup.plan import changes
from components.upgrade.assessment import Judged, judge
from components.upgrade.deployed import read_last, wanted


def judged_update(settings: Settings, stack: str) -> Judged:
    """The judgement, with its notes told.

    Raises `pulumi.RunError`, which the engine shows without a traceback, with every reason why it must not start.
    """
    database = settings.database
    generation = database.lineage.generation if isinstance(database, CloudNativePg) else None
    after = wanted(settings, settings.upgrade, lineage=generation)
    last = read_last()
    judged = judge(last, after, settings.upgrade, backed_up=backed_up(settings))
    if judged.problems:
        raise pulumi.RunError(str(SettingsError(stack, judged.problems)))
    for note in (*judged.notes, *capacity_warnings(settings, stack, settings.capacity)):
        pulumi.log.warn(note)
    if settings.setup is not None and settings.setup.administrator is not None and last.setup is not None:
        for change in changes(last.setup, settings.setup):
            pulumi.log.info(change)
    return judged


def backed_up(settings: Settings) -> bool:
    """Whether an upgrade can be undone: by a dump before it, or by an archive that has every second."""
    backup = settings.backup
    return takes_dumps(backup, settings.database) or (backup is not None and backup.archive is not None)
