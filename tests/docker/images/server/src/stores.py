"""The database and the cache: logins with the credentials given, and what the stand-in keeps there."""
# psycopg2 and redis are Debian's, in the image; the environment that checks types has neither.
# pyright: reportMissingImports=false

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import psycopg2
import redis

_TABLES = """
CREATE TABLE IF NOT EXISTS system_metadata (key text PRIMARY KEY, value jsonb NOT NULL);
CREATE TABLE IF NOT EXISTS standin_asset (
    id uuid PRIMARY KEY, name text NOT NULL, size bigint NOT NULL, checksum text NOT NULL,
    created timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS "user" (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email varchar NOT NULL UNIQUE, password varchar NOT NULL DEFAULT '',
    name varchar NOT NULL DEFAULT '', "isAdmin" boolean NOT NULL DEFAULT false,
    "shouldChangePassword" boolean NOT NULL DEFAULT true, "storageLabel" varchar UNIQUE, "quotaSizeInBytes" bigint,
    "quotaUsageInBytes" bigint NOT NULL DEFAULT 0, "profileImagePath" varchar NOT NULL DEFAULT '',
    "deletedAt" timestamptz, "createdAt" timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS session (
    token varchar PRIMARY KEY, "userId" uuid NOT NULL REFERENCES "user" ON DELETE CASCADE);
CREATE TABLE IF NOT EXISTS api_key (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name varchar NOT NULL, key bytea NOT NULL,
    "userId" uuid NOT NULL REFERENCES "user" ON DELETE CASCADE, permissions varchar[] NOT NULL,
    "createdAt" timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS library (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name varchar NOT NULL,
    "ownerId" uuid NOT NULL REFERENCES "user" ON DELETE CASCADE, "importPaths" text[] NOT NULL,
    "exclusionPatterns" text[] NOT NULL, "refreshedAt" timestamptz, "deletedAt" timestamptz,
    "createdAt" timestamptz NOT NULL DEFAULT now());
"""
_MARKERS_MADE = """
INSERT INTO system_metadata VALUES ('system-flags', '{"mountChecks": true}') ON CONFLICT (key) DO NOTHING
"""


class UnusableError(Exception):
    """Waiting will not help: wrong credentials, no such database, a version that Immich does not accept."""


class Database:
    """PostgreSQL. Every operation connects anew, so an outage is over as soon as the database is back."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self._arguments = arguments

    @contextmanager
    def _cursor(self) -> Generator[Any]:
        connection: Any = psycopg2.connect(
            **self._arguments, connect_timeout=5, options="-c TimeZone=UTC", application_name="immich"
        )
        try:
            with connection, connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    def require(self) -> None:
        """UnusableError where it is not there or refuses the login: a start does not wait for it (main.ts of 3.0.3)."""
        try:
            with self._cursor() as cursor:
                cursor.execute("SHOW server_version_num")
                version = int(cursor.fetchone()[0]) // 10000
        except psycopg2.OperationalError as error:
            raise UnusableError(f"database: {str(error).strip()}") from error
        if version < 14:
            raise UnusableError(f"database: PostgreSQL {version} is too old, >=14.0.0 is required")

    def prepare(self) -> None:
        """The tables. Two servers may start at the same time, so one after the other."""
        with self._cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(200)")
            cursor.execute(_TABLES)

    def check(self) -> None:
        """Raises an error of psycopg2 when the database does not answer."""
        with self._cursor() as cursor:
            cursor.execute("SELECT 1")

    def markers_made(self) -> bool:
        """Whether a first start has made the `.immich` files."""
        with self._cursor() as cursor:
            cursor.execute("SELECT 1 FROM system_metadata WHERE key = 'system-flags'")
            return cursor.fetchone() is not None

    def remember_markers(self) -> None:
        """From now on a missing `.immich` file is an error."""
        with self._cursor() as cursor:
            cursor.execute(_MARKERS_MADE)

    def record(self, asset: str, name: str, size: int, checksum: str) -> None:
        """An upload is accepted once this returns."""
        with self._cursor() as cursor:
            cursor.execute(
                "INSERT INTO standin_asset (id, name, size, checksum) VALUES (%s, %s, %s, %s)",
                (asset, name, size, checksum),
            )

    def forget(self, asset: str) -> bool:
        """Take an upload out again; whether there was one."""
        with self._cursor() as cursor:
            cursor.execute("DELETE FROM standin_asset WHERE id = %s", (asset,))
            return bool(cursor.rowcount)

    def rows(self, statement: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """What one statement gives; none for one that gives nothing."""
        with self._cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall()) if cursor.description else []

    def maintenance(self) -> bool:
        """Whether Immich is in maintenance mode, which it looks for when it starts (maintenance.service.ts)."""
        return bool(
            self.rows(
                "SELECT 1 FROM system_metadata WHERE key = 'maintenance-mode' "
                "AND (value ->> 'isMaintenanceMode')::boolean"
            )
        )

    def assets(self) -> list[dict[str, Any]]:
        """Every accepted upload, oldest first."""
        with self._cursor() as cursor:
            cursor.execute("SELECT id::text, name, size, checksum FROM standin_asset ORDER BY created, id")
            names = ("id", "name", "size", "checksum")
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


class Cache:
    """Valkey."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self._client: Any = redis.Redis(**arguments, socket_connect_timeout=5, socket_timeout=5)

    def wait(self, log: Callable[[str], None]) -> None:
        """Until it answers, however long (ioredis retries for ever). UnusableError when it refuses the login."""
        while True:
            try:
                self._client.ping()
                return
            except redis.exceptions.AuthenticationError as error:
                raise UnusableError(f"cache: {error}") from error
            except redis.exceptions.ResponseError as error:
                # WRONGPASS; LOADING passes.
                if "LOADING" not in str(error):
                    raise UnusableError(f"cache: {error}") from error
                log(f"waiting for the cache: {error}")
            except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError) as error:
                if "Authentication" in str(error) or "NOAUTH" in str(error) or "WRONGPASS" in str(error):
                    raise UnusableError(f"cache: {error}") from error
                log(f"waiting for the cache: {error}")
            time.sleep(1)

    def queue(self, asset: str) -> None:
        """A job for the background worker, under the name of Immich's list.

        Ends once it is there, however long that takes: so does the answer to an upload (3.0.3, BullMQ 5.78).
        """
        while True:
            try:
                self._client.rpush("immich_bull:metadataExtraction:wait", asset)
                return
            except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError):
                time.sleep(1)

    def queued(self) -> int:
        """Jobs that wait."""
        return int(self._client.llen("immich_bull:metadataExtraction:wait"))
