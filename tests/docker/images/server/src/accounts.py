"""People, sessions and keys of the API, by Immich's rules (3.0.3: auth-, user-admin-, api-key-, base.service.ts)."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stores import Database

Json = dict[str, Any]
ALL = "all"
_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\Z")
_FIELDS = {
    "email": str,
    "name": str,
    "password": str,
    "storageLabel": (str, type(None)),
    "quotaSizeInBytes": (int, type(None)),
    "shouldChangePassword": bool,
    "isAdmin": bool,
    "notify": bool,
}
_PERSON = """json_build_object('id', id, 'email', email, 'name', name, 'isAdmin', "isAdmin",
    'shouldChangePassword', "shouldChangePassword", 'storageLabel', "storageLabel",
    'quotaSizeInBytes', "quotaSizeInBytes", 'deletedAt', "deletedAt", 'oauthId', '')::text"""


class Refused(Exception):  # noqa: N818  an answer, as Nest's exceptions are
    """What Immich answers instead: a status and its words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


@dataclass(frozen=True)
class Caller:
    """Who asks."""

    id: str
    admin: bool
    permissions: tuple[str, ...] | None
    """Of a key; a session may do everything."""
    key: str | None = None
    """The key's ID."""

    def grants(self, wanted: list[str]) -> bool:
        return self.permissions is None or ALL in self.permissions or set(wanted) <= set(self.permissions)

    def require(self, permission: str, *, admin: bool = False) -> None:
        """403 as the guard answers, the route of administrators first (auth.service.ts, authenticate)."""
        if admin and not self.admin:
            raise Refused(403, "Forbidden")
        if not self.grants([permission]):
            raise Refused(403, f"Missing required permission: {permission}")


class Accounts:
    """Kept in Immich's own tables, as far as they are needed."""

    def __init__(
        self, database: Database, *, allow_setup: bool, oauth: bool, log: Callable[..., None]
    ) -> None:
        self._database, self._allow_setup, self._oauth, self._log = database, allow_setup, oauth, log

    def initialized(self) -> bool:
        """Whether there is an admin."""
        return bool(self._database.rows('SELECT 1 FROM "user" WHERE "isAdmin" AND "deletedAt" IS NULL'))

    def told(self) -> bool:
        """What the API says of that: true without permission to set up in any case (3.0.3, server.service.ts)."""
        return not self._allow_setup or self.initialized()

    def sign_up(self, given: Json) -> Json:
        """The first admin. 400 without permission to set up, and for every one but the first."""
        given = _checked(given, required=("email", "name", "password"))
        if not self._allow_setup:
            raise Refused(400, "Admin setup is disabled")
        if self.initialized():
            raise Refused(400, "The server already has an admin")
        return self._make({**given, "isAdmin": True, "storageLabel": "admin"})

    def login(self, given: Json, client: str) -> Json:
        """A session's token, or 401 and the line that tells who tried."""
        email, password = str(given.get("email", "")).lower(), str(given.get("password", ""))
        found = self._database.rows(
            'SELECT id::text, password FROM "user" WHERE email = %s AND "deletedAt" IS NULL', (email,)
        )
        if not found or not _matches(password, found[0][1]):
            self._log(f"Failed login attempt for user {email} from ip address {client}", level="warn")
            raise Refused(401, "Incorrect email or password")
        token = secrets.token_urlsafe(32)
        self._database.rows(
            'INSERT INTO session (token, "userId") VALUES (%s, %s)', (_sha256(token), found[0][0])
        )
        return {"accessToken": token, "userEmail": email, "userId": found[0][0]}

    def caller(self, authorization: str, key: str) -> Caller:
        """Who a session's token, else a key, belongs to; 401 for neither."""
        if token := authorization.removeprefix("Bearer "):
            row = self._database.rows(
                'SELECT u.id::text, u."isAdmin"::text FROM session s JOIN "user" u ON u.id = s."userId" '
                'WHERE s.token = %s AND u."deletedAt" IS NULL',
                (_sha256(token),),
            )
            if not row:
                raise Refused(401, "Invalid user token")
            return Caller(row[0][0], row[0][1] == "true", None)
        if not key:
            raise Refused(401, "Authentication required")
        row = self._database.rows(
            'SELECT u.id::text, u."isAdmin"::text, to_json(k.permissions)::text, k.id::text '
            'FROM api_key k JOIN "user" u ON u.id = k."userId" '
            # Bytes, or as releases before 2.6 have it.
            "WHERE k.key::text IN ('\\x' || %s, encode(decode(%s, 'hex'), 'base64')) AND u.\"deletedAt\" IS NULL",
            (_sha256(key), _sha256(key)),
        )
        if not row:
            raise Refused(401, "Invalid API key")
        return Caller(row[0][0], row[0][1] == "true", tuple(json.loads(row[0][2])), row[0][3])

    def make_key(self, caller: Caller, given: Json) -> Json:
        """A key of the API; it is shown once."""
        caller.require("apiKey.create")
        permissions = given.get("permissions")
        if not isinstance(permissions, list) or not permissions:
            raise Refused(400, "Validation failed")
        if not caller.grants(permissions):
            raise Refused(400, "Cannot grant permissions you do not have")
        secret = secrets.token_urlsafe(32)
        self._database.rows(
            'INSERT INTO api_key (name, key, "userId", permissions) '
            "SELECT %s, decode(%s, 'hex'), %s, array(SELECT json_array_elements_text(%s::json))",
            (given.get("name") or "API Key", _sha256(secret), caller.id, json.dumps(permissions)),
        )
        return {"secret": secret, "apiKey": {"permissions": permissions}}

    def people(self, *, deleted: bool) -> list[Json]:
        """Everybody, or all but those in the trash."""
        rows = self._database.rows(
            f'SELECT {_PERSON} FROM "user" WHERE "deletedAt" IS NULL OR %s ORDER BY "createdAt"', (deleted,)
        )
        return [json.loads(row[0]) for row in rows]

    def add(self, given: Json) -> Json:
        """A person."""
        given = _checked(given, required=("email", "name", "password"))
        given.pop("notify", None)
        if not self._oauth and not given["password"]:
            raise Refused(400, "password is required")
        return self._make(given)

    def change(self, caller: Caller, identifier: str, given: Json) -> Json:
        """A person's fields that are given."""
        given = _checked(given)
        self._found(identifier)
        if "isAdmin" in given and caller.id == identifier and given["isAdmin"] != caller.admin:
            raise Refused(400, "Admin status can only be changed by another admin")
        for field, words in (
            ("email", "Email is not available"),
            ("storageLabel", "Storage label already in use by another account"),
        ):
            if given.get(field) and self._taken(field, given[field], identifier):
                raise Refused(400, words)
        return self._write(identifier, given)

    def trash(self, caller: Caller, identifier: str) -> Json:
        """A person is marked; what a job does with the marked later is not here."""
        self._found(identifier)
        if caller.id == identifier:
            raise Refused(403, "Cannot delete your own account")
        rows = self._database.rows(
            f'UPDATE "user" SET "deletedAt" = now() WHERE id = %s RETURNING {_PERSON}', (identifier,)
        )
        return dict(json.loads(rows[0][0]))

    def _make(self, given: Json) -> Json:
        if self._taken("email", given["email"], None):
            raise Refused(400, "Email is not available")
        if not given.get("isAdmin") and not self.initialized():
            raise Refused(400, "The first registered account must the administrator.")
        (row,) = self._database.rows(
            'INSERT INTO "user" (email) VALUES (%s) RETURNING id::text', (given["email"],)
        )
        try:
            return self._write(row[0], given)
        except BaseException:
            # One statement in Immich: nothing is left of what a constraint refused.
            self._database.rows('DELETE FROM "user" WHERE id = %s', (row[0],))
            raise

    def _write(self, identifier: str, given: Json) -> Json:
        values = {**given}
        if values.get("password"):
            values["password"] = _hashed(values["password"])
        if values.get("storageLabel"):
            values["storageLabel"] = values["storageLabel"].replace(".", "")
        names = ", ".join(f'"{name}" = %s' for name in values)
        rows = self._database.rows(
            f'UPDATE "user" SET {names or "id = id"} WHERE id = %s RETURNING {_PERSON}',
            (*values.values(), identifier),
        )
        return dict(json.loads(rows[0][0]))

    def _taken(self, field: str, value: str, but: str | None) -> bool:
        rows = self._database.rows(
            f'SELECT id::text FROM "user" WHERE "{field}" = %s AND "deletedAt" IS NULL', (value,)
        )
        return any(row[0] != but for row in rows)

    def _found(self, identifier: str) -> None:
        if not self._database.rows(
            'SELECT 1 FROM "user" WHERE id = %s AND "deletedAt" IS NULL', (identifier,)
        ):
            raise Refused(400, "User not found")


def read_json(content: bytes) -> Json:
    """An object; an empty body is an empty one. ValueError for anything else."""
    found = json.loads(content or b"{}")
    if not isinstance(found, dict):
        raise ValueError("no object")  # noqa: TRY004  what a body that is none of JSON raises as well
    return found


def _checked(given: Json, required: tuple[str, ...] = ()) -> Json:
    """The known fields; 400 for one that is missing or of another type (nestjs-zod)."""
    known = {name: value for name, value in given.items() if name in _FIELDS}
    wrong = [name for name, value in known.items() if not isinstance(value, _FIELDS[name])]
    wrong += [name for name in required if name not in known]
    if "email" in known and "email" not in wrong:
        known["email"] = known["email"].lower()
        wrong += [] if _EMAIL.match(known["email"]) else ["email"]
    if isinstance(known.get("quotaSizeInBytes"), int) and known["quotaSizeInBytes"] < 0:
        wrong.append("quotaSizeInBytes")
    if wrong:
        raise Refused(400, "Validation failed")
    return known


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _hashed(password: str) -> str:
    salt = secrets.token_bytes(16)
    return f"{salt.hex()}:{_scrypt(password, salt)}"


def _matches(password: str, hashed: str) -> bool:
    salt, _, known = hashed.partition(":")
    return bool(known) and hmac.compare_digest(_scrypt(password, bytes.fromhex(salt)), known)


def _scrypt(password: str, salt: bytes) -> str:
    return hashlib.scrypt(password.encode(), salt=salt, n=1 << 10, r=8, p=1).hex()
