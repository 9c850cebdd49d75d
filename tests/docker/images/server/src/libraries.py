"""External libraries, by Immich's own rules (3.0.3: library.service.ts, library.dto.ts). A scan finds nothing here."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from accounts import Json, Refused
from stores import Database

_EXCLUDED = [
    "**/@eaDir/**",
    "**/._*",
    "**/#recycle/**",
    "**/#snapshot/**",
    "**/.stversions/**",
    "**/.stfolder/**",
]
_LIBRARY = """json_build_object('id', id, 'ownerId', "ownerId", 'name', name, 'importPaths', "importPaths",
    'exclusionPatterns', "exclusionPatterns", 'refreshedAt', "refreshedAt")::text"""
_LIST = "array(SELECT json_array_elements_text(%s::json))"


class Libraries:
    """Kept in Immich's own table."""

    def __init__(self, database: Database, media: Path) -> None:
        self._database, self._media = database, media

    def all(self) -> list[Json]:
        """Those that are not removed."""
        rows = self._database.rows(
            f'SELECT {_LIBRARY} FROM library WHERE "deletedAt" IS NULL ORDER BY "createdAt", id'
        )
        return [json.loads(row[0]) for row in rows]

    def add(self, given: Json) -> Json:
        """A library. Its folders are not looked at yet: only a change does."""
        given = _checked(given)
        excluded = given.get("exclusionPatterns", _EXCLUDED)
        rows = self._database.rows(
            'INSERT INTO library ("ownerId", name, "importPaths", "exclusionPatterns") '
            f"VALUES (%s, %s, {_LIST}, {_LIST}) RETURNING {_LIBRARY}",
            (
                given["ownerId"],
                given.get("name", "New External Library"),
                json.dumps(given.get("importPaths", [])),
                json.dumps(excluded),
            ),
        )
        return dict(json.loads(rows[0][0]))

    def change(self, identifier: str, given: Json) -> Json:
        """What is given of a library; 400 for a folder that the server cannot read."""
        given = _checked(given)
        self._found(identifier)
        for path in given.get("importPaths", []):
            if (wrong := self._problem(path)) is not None:
                raise Refused(400, f"Invalid import path: {wrong}")
        for field, value in given.items():
            if field in {"importPaths", "exclusionPatterns"}:
                self._set(identifier, f'"{field}" = {_LIST}', json.dumps(value))
            elif field == "name":
                self._set(identifier, "name = %s", value)
        return next(one for one in self.all() if one["id"] == identifier)

    def scan(self, identifier: str) -> None:
        """It is refreshed at once."""
        self._found(identifier)
        self._set(identifier, '"refreshedAt" = %s::timestamptz', "now")

    def remove(self, identifier: str) -> None:
        """It is marked; a job of Immich's removes what was found in it, and no file."""
        self._found(identifier)
        self._set(identifier, '"deletedAt" = %s::timestamptz', "now")

    def _set(self, identifier: str, assignment: str, value: str) -> None:
        self._database.rows(f"UPDATE library SET {assignment} WHERE id = %s", (value, identifier))

    def _found(self, identifier: str) -> None:
        if not any(one["id"] == identifier for one in self.all()):
            raise Refused(400, "Library not found")

    def _problem(self, text: str) -> str | None:
        path = Path(text)
        if path.resolve().is_relative_to(self._media):
            return "Cannot use media upload folder for external libraries"
        if not path.is_absolute():
            return f"Import path must be absolute, try {path.resolve()}"
        if not path.exists():
            return "Path does not exist (ENOENT)"
        if not path.is_dir():
            return "Not a directory"
        return None if os.access(path, os.R_OK) else "Lacking read permission for folder"


def _checked(given: Json) -> Json:
    lists: list[Any] = [given.get("importPaths", []), given.get("exclusionPatterns", [])]
    for one in lists:
        if (
            not isinstance(one, list)
            or len(one) > 128
            or len({*one}) != len(one)
            or not all(map(str.strip, one))
        ):
            raise Refused(400, "Validation failed")
    return given
