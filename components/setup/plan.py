"""What the task makes of a section `immich:setup`: the plan that its script reads, and the secrets beside it. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Final, cast

from components.model.secret_text import SecretPart, SecretText
from components.model.specs import PublishedSecret
from components.setup.settings import CHECKS, Administrator, ApiKey, Person, Setup
from components.templates import render

SECRET: Final = "setup"
FOLDER: Final = "/run/secrets/setup"
PASSWORD: Final = "administratorPassword"
API_KEY: Final = "setupApiKey"
_OWN_KEY: Final = "setup-api-key"
_OWN_SCOPES: Final = (
    "adminUser.create", "adminUser.read", "adminUser.update",
    "library.create", "library.read", "library.update",
)  # fmt: skip
"""What the task itself needs; with something to remove it needs those two scopes as well."""
_CHECKS: Final = ApiKey(
    name=CHECKS,
    scopes=(
        "adminUser.read", "asset.delete", "asset.read", "asset.upload", "asset.view", "job.read", "library.read",
    ),
)  # fmt: skip
"""For `make verify` and `make baseline`, which upload and remove pictures, and for `make status`, which compares."""


def script() -> str:
    """The script, for the JavaScript runtime of the server's image; its one argument is the plan's file."""
    return render("setup.mjs.j2", {})


def keys(setup: Setup) -> tuple[ApiKey, ...]:
    """Every key, the one for checks first."""
    return (_CHECKS, *setup.keys)


def password(setup: Setup, one: Administrator) -> SecretText | None:
    """The password that an account gets when it is made or reset; None for one without."""
    if one is setup.administrator:
        return SecretText.of(PASSWORD)
    if isinstance(one, Person) and not one.password:
        return None
    return _derived(f"person/{one.email}/{one.reset_password or ''}")


def value(key: ApiKey) -> SecretText:
    """The value of a key."""
    return _derived(f"key/{key.name}/{key.renew or ''}")


def _derived(label: str) -> SecretText:
    return SecretText(parts=(SecretPart(key=API_KEY, derived=label),))


def secret(setup: Setup) -> PublishedSecret:
    """The files with passwords and keys that the plan names."""
    items = {_OWN_KEY: SecretText.of(API_KEY)}
    for one in setup.everybody:
        if (text := password(setup, one)) is not None:
            items[_password_file(one)] = text
    return PublishedSecret(name=SECRET, items=items | {_key_file(key): value(key) for key in keys(setup)})


def published_keys(setup: Setup) -> PublishedSecret:
    """The keys for others, such as a dashboard in the same namespace."""
    return PublishedSecret(name="api-keys", items={str(key.name): value(key) for key in keys(setup)})


def plan(setup: Setup, *, server: str, wait: int) -> str:
    """The plan as JSON. No secret is in it; `server` is Immich's address, `wait` the seconds that it may take to start.

    Raises `ValueError` for a section without an administrator.
    """
    administrator = setup.administrator
    if administrator is None:
        raise ValueError("no plan without an administrator")
    removed = setup.remove
    scopes = (
        *_OWN_SCOPES,
        *(("adminUser.delete",) if removed.people else ()),
        *(("library.delete",) if removed.libraries else ()),
    )
    document = {
        "server": server,
        "wait": wait,
        "secrets": FOLDER,
        "key": _OWN_KEY,
        "scopes": scopes,
        "administrator": dict(_account(setup, administrator)),
        "people": [
            {**dict(_account(setup, one)), "administrator": one.administrator} for one in setup.people
        ],
        "libraries": [library.model_dump(mode="json", by_alias=True) for library in setup.libraries],
        "keys": [
            {
                "name": key.name,
                "owner": key.owner or administrator.email,
                "scopes": key.scopes,
                "file": _key_file(key),
            }
            for key in keys(setup)
        ],
        "remove": removed.model_dump(mode="json"),
    }
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def _account(setup: Setup, one: Administrator) -> Iterator[tuple[str, object]]:
    yield "email", one.email
    yield "name", one.name
    if password(setup, one) is not None:
        yield "passwordFile", _password_file(one)
    for name, given in (
        ("quota", None if one.quota is None else int(one.quota.amount)),
        ("label", one.storage_label),
        ("reset", one.reset_password),
    ):
        if given is not None:
            yield name, given


def told(setup: Setup) -> dict[str, object]:
    """What an update leaves, for the next one to compare with. No secret is in it."""
    people = {
        str(one.email): {
            "administrator": one is setup.administrator or (isinstance(one, Person) and one.administrator),
            **{
                name: str(given)
                for name, given in (
                    ("name", one.name),
                    ("quota", one.quota),
                    ("storageLabel", one.storage_label),
                )
                if given is not None
            },
        }
        for one in setup.everybody
    }
    libraries = {
        one.name: one.model_dump(mode="json", by_alias=True, exclude={"name", "scan"})
        for one in setup.libraries
    }
    made = {
        str(key.name): {"owner": str(key.owner or ""), "scopes": sorted(key.scopes)} for key in setup.keys
    }
    return {"people": people, "libraries": libraries, "keys": made}


def changes(before: Mapping[str, object], setup: Setup) -> Iterator[str]:
    """What an update will do, as far as what the one before left (`told`) says."""
    after = told(setup)
    removed = {"people": setup.remove.people, "libraries": setup.remove.libraries, "keys": ()}
    for kind, one in (("people", "person"), ("libraries", "library"), ("keys", "key")):
        then, now = _mapping(before.get(kind)), _mapping(after[kind])
        for name in now:
            if name not in then:
                yield f"{one} {name}: will be made, or taken over where it is there"
            elif now[name] != then[name]:
                yield f"{one} {name}: will be changed"
        for name in then.keys() - now.keys():
            if kind == "keys":
                yield f"{one} {name}: ends"
            elif name not in removed[kind]:
                yield f"{one} {name}: is no longer in the file and stays in Immich; remove it with setup.remove.{kind}"
        for name in removed[kind]:
            yield f"{one} {name}: will be removed if it is there (setup.remove.{kind})"


def _mapping(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def _password_file(one: Administrator) -> str:
    """Named by a hash: a file of a Secret cannot have every character that an address can."""
    return f"password-{hashlib.sha256(one.email.encode()).hexdigest()[:16]}"


def _key_file(key: ApiKey) -> str:
    return f"key-{key.name}"
