"""Accounts, as far as a deployment meets them: the first admin, failed sign-ins, keys of the API."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from typing import Any

from stores import Database

Answer = tuple[int, dict[str, Any]]


class Accounts:
    """Kept in the database. Passwords are hashed with a salt, keys of 32 random bytes without one, as Immich does."""

    def __init__(self, database: Database, *, allow_setup: bool, log: Callable[..., None]) -> None:
        self._database, self._allow_setup, self._log = database, allow_setup, log

    def initialized(self) -> bool:
        """Whether there is an admin."""
        return self._database.account(None) is not None

    def told(self) -> bool:
        """What the API says of that: true without permission to set up in any case (3.0.3, server.service.ts)."""
        return not self._allow_setup or self.initialized()

    def sign_up(self, given: dict[str, Any]) -> Answer:
        """The first admin. 400 without permission to set up, and for every one but the first."""
        if not self._allow_setup:
            return _refused(400, "Admin setup is disabled")
        if self.initialized():
            return _refused(400, "The server already has an admin")
        email, password = _credentials(given)
        salt = secrets.token_bytes(16)
        self._database.add_account(email, salt.hex(), _hash(password, salt))
        return 201, {"email": email, "isAdmin": True, "name": str(given.get("name", ""))}

    def login(self, given: dict[str, Any], client: str) -> Answer:
        """A session's token, or 401 and the line that tells who tried, in Immich's words (auth.service.ts)."""
        email, password = _credentials(given)
        found = self._database.account(email)
        if found is None or not hmac.compare_digest(_hash(password, bytes.fromhex(found[0])), found[1]):
            self._log(f"Failed login attempt for user {email} from ip address {client}", level="warn")
            return _refused(401, "Incorrect email or password")
        token = self._made()
        return 201, {"accessToken": token, "userEmail": email, "isAdmin": True}

    def make_key(self, token: str | None) -> Answer:
        """A key of the API for who has a session; it is shown once."""
        if not self.knows(token):
            return _refused(401, "Invalid user token")
        return 201, {"secret": self._made()}

    def knows(self, key: str | None) -> bool:
        """Whether a key, or a session's token, is one that was handed out."""
        return key is not None and self._database.knows_key(hashlib.sha256(key.encode()).hexdigest())

    def _made(self) -> str:
        key = secrets.token_urlsafe(32)
        self._database.add_key(hashlib.sha256(key.encode()).hexdigest())
        return key


def read_json(content: bytes) -> dict[str, Any]:
    """An object. ValueError for anything else."""
    found = json.loads(content)
    if not isinstance(found, dict):
        raise ValueError("no object")  # noqa: TRY004  what a body that is none of JSON raises as well
    return found


def _credentials(given: dict[str, Any]) -> tuple[str, str]:
    return str(given.get("email", "")).lower(), str(given.get("password", ""))


def _hash(password: str, salt: bytes) -> str:
    return hashlib.scrypt(password.encode(), salt=salt, n=1 << 10, r=8, p=1).hex()


def _refused(status: int, message: str) -> Answer:
    return status, {"message": message, "statusCode": status}
