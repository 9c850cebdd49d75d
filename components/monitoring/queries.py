"""What the database is asked about the library, and by a role that can ask nothing else.

The role may run three functions. They belong to the owner of Immich's tables and run as it, so the role needs no right
to a table: `system_metadata` holds passwords beside the version. Nothing depends on Immich's tables (a function whose
body is a text has no dependencies), so none of its migrations is held up. Rights are given to PUBLIC: a dump then names
no role that the place of a restore would have to have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import yaml

ROLE: Final = "immich_metrics"
"""Role of the exporter."""

_CACHE_SECONDS: Final = 300
"""Counting a large library takes part of a second: every scrape would be too often."""

FUNCTIONS: Final = r"""CREATE SCHEMA IF NOT EXISTS immich_metrics;
CREATE OR REPLACE FUNCTION immich_metrics.assets(
    OUT uploaded bigint, OUT external bigint, OUT trashed bigint, OUT offline bigint
) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT count(*) FILTER (WHERE "libraryId" IS NULL AND "deletedAt" IS NULL),
           count(*) FILTER (WHERE "libraryId" IS NOT NULL AND "deletedAt" IS NULL AND NOT "isOffline"),
           count(*) FILTER (WHERE "deletedAt" IS NOT NULL AND NOT "isOffline"),
           count(*) FILTER (WHERE "isOffline")
    FROM asset
$$;
CREATE OR REPLACE FUNCTION immich_metrics.libraries(
    OUT library text, OUT name text, OUT assets bigint, OUT offline bigint
) RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT library.id::text, library.name,
           count(asset.id) FILTER (WHERE asset."deletedAt" IS NULL AND NOT asset."isOffline"),
           count(asset.id) FILTER (WHERE asset."isOffline")
    FROM library LEFT JOIN asset ON asset."libraryId" = library.id
    WHERE library."deletedAt" IS NULL
    GROUP BY library.id
$$;
CREATE OR REPLACE FUNCTION immich_metrics.version(
    OUT running text, OUT newest text, OUT outdated integer
) RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT running, newest, (
        string_to_array(substring(newest from '(\d+\.\d+\.\d+)'), '.')::int[]
        > string_to_array(substring(running from '(\d+\.\d+\.\d+)'), '.')::int[]
    )::int
    FROM (SELECT version AS running FROM version_history ORDER BY "createdAt" DESC LIMIT 1) AS history,
         (SELECT value->>'releaseVersion' AS newest FROM system_metadata
          WHERE key = 'version-check-state') AS found
    WHERE newest ~ '\d+\.\d+\.\d+' AND running ~ '\d+\.\d+\.\d+'
$$;
GRANT USAGE ON SCHEMA immich_metrics TO PUBLIC;
"""
"""Statements for the owner of Immich's tables, in Immich's database. Run again they change nothing.

`version` tells what Immich's own check found (`newVersionCheck.enabled`); without one there is no row.
"""


def role(password: str, database: str) -> str:
    """Statements for a superuser: the role of the exporter, with `password`, for `database`. They may be run again.

    `pg_monitor` shows statistics and settings, and no row of any table. Raises `ValueError` for a NUL in the password.
    """
    return f"""\
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}') THEN CREATE ROLE {ROLE}; END IF;
END $$;
ALTER ROLE {ROLE} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT 3;
ALTER ROLE {ROLE} PASSWORD {_quoted(password)};
ALTER ROLE {ROLE} SET statement_timeout = '10s';
ALTER ROLE {ROLE} SET default_transaction_read_only = on;
GRANT pg_monitor TO {ROLE};
GRANT CONNECT ON DATABASE "{database.replace('"', '""')}" TO {ROLE};
"""


def queries(flavour: Literal["postgres_exporter", "cloudnative-pg"]) -> str:
    """The file of queries: `--extend.query-path`, or a key of `spec.monitoring.customQueriesConfigMap`.

    CloudNativePG puts `cnpg_` before every name (alerts/library.yaml) and asks as `pg_monitor`.
    """
    asked: dict[str, Any] = {
        "immich_assets": _query(
            "SELECT * FROM immich_metrics.assets()",
            uploaded=("GAUGE", "Photos and videos that were uploaded, without the trash"),
            external=("GAUGE", "Photos and videos of external libraries that are there"),
            trashed=("GAUGE", "Photos and videos in the trash"),
            offline=("GAUGE", "Photos and videos of external libraries whose files are gone"),
        ),
        "immich_library": _query(
            "SELECT * FROM immich_metrics.libraries()",
            library=("LABEL", "Id of the library"),
            name=("LABEL", "Name of the library"),
            assets=("GAUGE", "Photos and videos of this library that are there"),
            offline=("GAUGE", "Photos and videos of this library whose files are gone"),
        ),
        "immich_version": _query(
            "SELECT * FROM immich_metrics.version()",
            running=("LABEL", "Version that started last"),
            newest=("LABEL", "Newest release that Immich's own check found"),
            outdated=("GAUGE", "Whether the newest release is newer than the running one"),
        ),
    }
    if flavour == "postgres_exporter":
        for query in asked.values():
            query["cache_seconds"] = _CACHE_SECONDS
    else:
        for query in asked.values():
            query["primary"] = True
    return yaml.safe_dump(asked, sort_keys=False, width=120)


def _query(statement: str, **columns: tuple[str, str]) -> Mapping[str, Any]:
    return {
        "query": statement,
        "metrics": [
            {column: {"usage": usage, "description": description}}
            for column, (usage, description) in columns.items()
        ],
    }


def _quoted(text: str) -> str:
    if "\0" in text:
        raise ValueError("a password of PostgreSQL holds no NUL")
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f" E'{escaped}'" if "\\" in text else f"'{escaped}'"
