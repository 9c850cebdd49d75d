"""Immich itself: its administrator, further people, external libraries, API keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from components.fields.base import Section, TextValue
from components.model.values import AbsolutePath, Bytes, EmailAddress, ObjectName
from components.setup.scopes import SCOPES

CHECKS = ObjectName("checks")
"""Name of the key that `make verify`, `make baseline` and `make status` use; it is always made."""


def _known_scope(text: str) -> str:
    if text not in SCOPES:
        raise ValueError("expected a permission of Immich's API such as asset.upload, or all")
    return text


def _in_lower_case(text: str) -> str:
    if text != text.lower():
        raise ValueError("expected lower case: Immich keeps addresses so")
    return text


Email = Annotated[EmailAddress, AfterValidator(_in_lower_case)]
"""Address that a person signs in with, in lower case; it says who is meant."""
Scope = Annotated[str, Field(examples=["asset.upload"]), AfterValidator(_known_scope)]
"""A permission of Immich's API."""
_Patterns = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(max_length=128)]


class Administrator(Section):
    """The first administrator."""

    email: Email
    """Address that they sign in with. One that exists already is taken over."""
    name: str = Field(min_length=1, max_length=100)
    """Name that others see."""
    quota: Bytes | None = None
    """How much they may upload; none leaves it as it is in Immich, where a new account has no limit."""
    storage_label: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = None
    """Name of their folder under the storage template; none leaves it as it is in Immich."""
    reset_password: TextValue | None = Field(
        default=None, min_length=1, max_length=64, examples=["2026-12-01"]
    )
    """Any text: a new one sets the password again, once, to the one that the outputs show. Otherwise a password is set
    when the account is made, and whatever its owner makes of it stays."""


class Person(Administrator):
    """A person beside the first administrator."""

    administrator: bool = False
    """Whether they are an administrator as well."""
    password: bool = True
    """Whether a new account has a password, which its owner must change; false for one that signs in by OpenID
    Connect alone."""

    @model_validator(mode="after")
    def _resets_what_there_is(self) -> Self:
        if self.reset_password is not None and not self.password:
            raise ValueError("resetPassword sets a password, but password is false")
        return self


class Library(Section):
    """An external library in Immich."""

    name: str = Field(min_length=1, max_length=100)
    """Its name in Immich, unique."""
    owner: Email
    """Whose photos these are: the administrator's address or one of `people`. Immich cannot change it later."""
    import_paths: Annotated[tuple[AbsolutePath, ...], Field(min_length=1, max_length=128)]
    """Folders, each a `storage.externalLibraries[].mountPath` or below one."""
    exclusion_patterns: _Patterns = (
        "**/@eaDir/**",
        "**/._*",
        "**/#recycle/**",
        "**/#snapshot/**",
        "**/.stversions/**",
        "**/.stfolder/**",
    )
    """Files that are left out; Immich's own list by default (library.service.ts of 3.0.3)."""
    scan: bool = True
    """Scan it as soon as it is made or its folders change. Later scans are `app.library.scan`."""


class ApiKey(Section):
    """A key of Immich's API. Its value is the output `apiKeys`."""

    name: ObjectName
    """A short name, unique."""
    owner: Email | None = None
    """Whose key it is: it sees what they see. None is the administrator."""
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)]
    """What it may do."""
    renew: TextValue | None = Field(default=None, min_length=1, max_length=64, examples=["2026-12-01"])
    """Any text: a new one makes another value, and the one before ends."""


class Removals(Section):
    """What Immich shall not have any longer. Nothing is ever removed because it left the lists above."""

    people: tuple[Email, ...] = ()
    """They go to Immich's trash, with all that they uploaded, and after `app.user.deleteDelay` for ever."""
    libraries: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Names of libraries; their files stay where they are."""


def _nobody(value: object) -> object:
    return None if value == "none" else value


class Setup(Section):
    """Who and what is in Immich. What is there and not here is left alone."""

    administrator: Annotated[
        Administrator | None, BeforeValidator(_nobody, json_schema_input_type=Administrator | Literal["none"])
    ]
    """The first administrator, made before any door opens; `none` leaves it to a person, and every door refuses it."""
    people: tuple[Person, ...] = ()
    """Further people."""
    libraries: tuple[Library, ...] = ()
    """External libraries."""
    keys: tuple[ApiKey, ...] = ()
    """API keys. One that leaves this list ends with the next update."""
    remove: Removals = Removals()
    """What is to be removed."""

    @property
    def everybody(self) -> tuple[Administrator, ...]:
        """All people of the file, the administrator first."""
        return (*(() if self.administrator is None else (self.administrator,)), *self.people)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.administrator is None and (
            self.people or self.libraries or self.keys or self.remove != Removals()
        ):
            raise ValueError(
                "administrator is none: nobody is there who could make people, libraries or keys"
            )
        problems = [*self._repeated(), *self._strangers(), *self._contradictions()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _repeated(self) -> Iterator[str]:
        labels = (one.storage_label for one in self.everybody if one.storage_label is not None)
        yield from _twice("people: email", (one.email for one in self.everybody))
        yield from _twice("people: storageLabel", labels)
        yield from _twice("libraries: name", (one.name for one in self.libraries))
        yield from _twice(
            "libraries: importPaths", (path for one in self.libraries for path in one.import_paths)
        )
        yield from _twice("keys: name", (CHECKS, *(one.name for one in self.keys)))

    def _strangers(self) -> Iterator[str]:
        known = {one.email for one in self.everybody}
        for where, one in (("libraries", self.libraries), ("keys", self.keys)):
            for item in one:
                if item.owner is not None and item.owner not in known:
                    yield f"{where}: {item.name} is owned by {item.owner}, who is not one of people"

    def _contradictions(self) -> Iterator[str]:
        for email in self.remove.people:
            if any(one.email == email for one in self.everybody):
                yield f"remove.people: {email} is also one of people"
        for name in self.remove.libraries:
            if any(one.name == name for one in self.libraries):
                yield f"remove.libraries: {name} is also one of libraries"


def _twice(what: str, values: Iterable[str]) -> Iterator[str]:
    repeated = [value for value, count in Counter(values).items() if count > 1]
    if repeated:
        yield f"{what} used twice: {', '.join(repeated)}"
