"""The scripts of a backup run: a dump of the database, then a copy of files and dumps to every repository."""

from __future__ import annotations

import re
import shlex
from urllib.parse import urlsplit, urlunsplit

from components.backup.plan import Plan
from components.templates import render

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+-]*")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
_SUBSET = re.compile(r"all|[0-9]+(\.[0-9]+)?%|[0-9]+[kKmMgGtT]?|[0-9]+/[0-9]+")


def dump_script(plan: Plan) -> str:
    """Bash for the database's image: a checked dump under `plan.root`/database, and status/dump.json.

    Exit code 0 also where there is nothing to dump yet. Raises ValueError for a plan that no script can be made of.
    """
    return render("backup-dump.sh.j2", values(plan))


def copy_script(plan: Plan) -> str:
    """POSIX sh for restic's image: a snapshot, retention and a check in every repository, and their status files.

    A repository that fails does not stop the others; the exit code is then 1. Raises ValueError as `dump_script`.
    """
    return render("backup-copy.sh.j2", values(plan))


def values(plan: Plan) -> dict[str, object]:
    """What templates that include `backup-common.sh.j2` are rendered with.

    Raises ValueError for names that would be more than words in a script.
    """
    _judge(plan)
    secret_files = {plan.password_file: None, plan.database.password_file: None}
    for repository in plan.repositories:
        secret_files |= {
            file: None for name, file in repository.credentials.items() if "USERNAME" not in name
        }
    inside = [f"{folder}/" for folder in plan.folders]
    lone = [marker for marker in plan.markers if not marker.startswith(tuple(inside))]
    return {
        "plan": plan,
        "quote": shlex.quote,
        "shown_url": shown_url,
        "sources": [*plan.folders, *lone, *plan.extra],
        "markers": [f"{folder}/.immich" for folder in plan.folders if folder.startswith(f"{plan.media}/")]
        + lone,
        "secret_files": list(secret_files),
        "credential_names": sorted({name for each in plan.repositories for name in each.credentials}),
    }


def shown_url(url: str) -> str:
    """A repository's address without the user and password that may stand in it."""
    scheme, colon, rest = url.partition(":")
    if not colon or "@" not in rest or "//" not in rest:
        return url
    parts = urlsplit(rest if scheme in {"rest", "s3"} else url)
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return f"{scheme}:{bare}" if scheme in {"rest", "s3"} else bare


def _judge(plan: Plan) -> None:
    """Refuse what stands unquoted in scripts, in file names and in restic's lists of tags."""
    if not _NAME.fullmatch(plan.stack):
        raise ValueError(f"stack {plan.stack!r}: give small letters, digits and hyphens")
    if not _VERSION.fullmatch(plan.immich_version):
        raise ValueError(f"immich_version {plan.immich_version!r}: give a version such as 3.3.1")
    if not _SUBSET.fullmatch(plan.check_subset):
        raise ValueError(f"check_subset {plan.check_subset!r}: give 5%, 500M, 1/7 or all")
    names = [repository.name for repository in plan.repositories]
    for repository in plan.repositories:
        if not _NAME.fullmatch(repository.name):
            raise ValueError(f"target {repository.name!r}: give small letters, digits and hyphens")
        if names.count(repository.name) > 1:
            raise ValueError(f"target {repository.name!r} is there twice: give each a name of its own")
        for variable in repository.credentials:
            if not _VARIABLE.fullmatch(variable):
                raise ValueError(
                    f"target {repository.name!r}: {variable!r} is no environment variable of restic"
                )
