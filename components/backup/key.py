"""A new password for the repositories: the first step of a backup for as long as the old one is given too."""

from __future__ import annotations

from typing import Final, cast

from components.backup.plan import Plan
from components.backup.scripts import values
from components.templates import render

OLD_PASSWORD_FILE: Final = "/run/secrets/backup/password-old"
"""Where the step finds `immich:backupPasswordOld`; the new one is `Plan.password_file`."""


def key_script(plan: Plan, old_password_file: str = OLD_PASSWORD_FILE) -> str:
    """POSIX sh for restic's image: each repository gets the new password, is opened with it, and loses the old one.

    Running it again at any time is right: a repository that has only the new one stays as it is. The result of each is
    in status/key-<target>.json; one that fails does not stop the others, and the exit code is then 1. Raises ValueError
    for a plan that no script can be made of, or without repositories.
    """
    if not plan.repositories:
        raise ValueError("give a repository: without one there is no password to change")
    known = values(plan)
    hidden = [*cast("list[str]", known["secret_files"]), old_password_file]
    return render(
        "backup-key.sh.j2", {**known, "secret_files": hidden, "old_password_file": old_password_file}
    )
