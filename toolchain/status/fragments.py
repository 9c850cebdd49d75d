"""What uploads that were cut off have left: files that Immich's database does not know.

Immich writes an upload where it stays and only then makes its row (asset-media.service.ts of 2.7.5, uploadAsset). Where
its process is killed amid it the file stays, and no later start looks for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from toolchain.verify.running import Running, RunningError, Unit

_OLD: Final = "6 hours ago"
"""A file that was changed since may be an upload in progress."""
_UPLOADS: Final = "/data/upload"
_SECONDS: Final = 60
"""A hundred thousand files on a slow share."""
SCRIPT: Final = r"""
export PGHOST="$DB_HOSTNAME" PGPORT="$DB_PORT" PGUSER="$DB_USERNAME" PGDATABASE="$DB_DATABASE_NAME"
export PGSSLMODE="${DB_SSL_MODE:-prefer}" PGSSLROOTCERT="$NODE_EXTRA_CA_CERTS" PGCONNECT_TIMEOUT=10 LC_ALL=C
PGPASSWORD="$(cat "$DB_PASSWORD_FILE")" || exit 1
export PGPASSWORD
psql="$(ls /usr/lib/postgresql/*/bin/psql | tail -n 1)" && [ -n "$psql" ] || exit 1
ask() { "$psql" --no-psqlrc --no-password --tuples-only --no-align --set=ON_ERROR_STOP=1 --command="$1"; }
# A new database has no tables yet.
made="$(ask "SELECT to_regclass('public.asset')")" || exit 1
[ -n "$made" ] || exit 0
known="$(ask "SELECT \"originalPath\" FROM asset WHERE starts_with(\"originalPath\", '$0/')")" || exit 1
# Not by the time of its content, which Immich sets to that of the photo. Sidecars are in a table of their own.
find "$0" -type f ! -newerct "$1" ! -name .immich ! -name '*.xmp' | sort | comm -23 - <(sort <<<"$known") |
    xargs -r -d '\n' stat -c '%s %n'
"""
"""For bash in the server's container, with a folder and a time: a line with size and path for each file.

The image has PostgreSQL's clients (database-backup.service.ts of 2.7.5 runs them from there). The password goes from
its file into the environment of psql."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fragments:
    """Such files together."""

    files: int
    bytes: int
    first: str
    """Path of one of them; empty without any."""


def fragments(running: Running, server: Unit) -> Fragments:
    """What there is. `RunningError` where the server's container cannot tell."""
    code, output = running.run(server, ["bash", "-c", SCRIPT, _UPLOADS, _OLD], _SECONDS)
    if code != 0:
        why = f"not within {_SECONDS} s" if code == 124 else output.strip()[:200]
        raise RunningError(f"{server.name}: what uploads have left in {_UPLOADS} is not known: {why}")
    lines = [line.partition(" ") for line in output.splitlines() if line.partition(" ")[0].isdigit()]
    return Fragments(
        files=len(lines), bytes=sum(int(size) for size, _, _ in lines), first=lines[0][2] if lines else ""
    )
