"""Which generation of a CloudNativePG cluster is in use, and what it was recovered from."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from components.fields.base import Section, WholeNumber
from components.model.values import ValueRefused, time_in_quotes

_BACKUP_ID = re.compile(r"[0-9]{8}T[0-9]{6}")
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_ACCEPTED = (
    "`latest`, a time with its zone such as `2026-11-21T02:00:00Z`, or the id of a base backup such as "
    "`20261121T020000`"
)
_MOST = 999


class Recover(Section):
    """From where a new generation gets its data."""

    from_: str = Field(
        default="latest", alias="from", examples=["latest", "2026-11-21T02:00:00Z", "20261121T020000"]
    )
    """`latest` is everything that was archived; a time (RFC 3339, with its zone) is the database as it was then; the id
    of a base backup is the database as it was at that backup's end."""
    source_generation: WholeNumber | None = Field(default=None, ge=1, le=_MOST)
    """The generation whose archive is read; none is the one before."""

    @field_validator("from_", mode="before")
    @classmethod
    def _time_of_yaml(cls, value: object) -> object:
        """YAML makes a time of an unquoted RFC 3339 text, and drops the zone that was written."""
        if isinstance(value, datetime):
            if value.tzinfo is None:
                raise ValueError(f"the time {value.isoformat()} has no zone; expected {_ACCEPTED}, in quotes")
            return value.isoformat()
        return value

    @field_validator("from_")
    @classmethod
    def _known_form(cls, value: str) -> str:
        if value == "latest":
            return value
        if (quoted := time_in_quotes(value)) is not None:
            raise ValueRefused(f"{value!r} is what YAML made of a time without quotes", quoted)
        if not _BACKUP_ID.fullmatch(value) and not _TIME.fullmatch(value):
            raise ValueError(f"{value!r} is not {_ACCEPTED}")
        text = value.upper()
        try:
            datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(f"{value!r} is a time that does not exist; expected {_ACCEPTED}") from None
        return text

    @property
    def kind(self) -> Literal["latest", "time", "backup"]:
        """Which of the three forms `from` has."""
        if self.from_ == "latest":
            return "latest"
        return "backup" if _BACKUP_ID.fullmatch(self.from_) else "time"


class Lineage(Section):
    """Every generation is a cluster and an archive of its own; a recovery makes a new one and only reads the old."""

    generation: WholeNumber = Field(default=1, ge=1, le=_MOST)
    """The generation in use. A number that was not used before makes a new cluster, `<clusterName>-g<number>`,
    recovered from an earlier one's archive. Leave it as it is afterwards."""
    recover: Recover | None = None
    """How this generation came to be; with a generation above 1, none is the latest state of the one before."""
    kept: tuple[WholeNumber, ...] | None = None
    """Other generations whose clusters are still there and stay as they are, such as `[1]`; `[]` where they are lost.
    Needed with a generation above 1."""

    @model_validator(mode="after")
    def _has_a_source(self) -> Self:
        number, recover = self.generation, self.recover
        if number == 1 and recover is not None:
            raise ValueError(
                "recover: generation 1 is the first one and has nothing before it; set generation to 2, or to the next "
                "number that was never used"
            )
        source = recover.source_generation if recover is not None else None
        if source is not None and source >= number:
            raise ValueError(
                f"recover.sourceGeneration: {source} is not before generation {number}: a recovery reads an earlier "
                f"archive and writes a new one; raise generation, or name one from 1 to {number - 1}"
            )
        return self

    @model_validator(mode="after")
    def _says_what_is_kept(self) -> Self:
        if self.generation > 1 and self.kept is None:
            raise ValueError(
                f"kept: generation {self.generation} needs to know which earlier clusters are still there and stay, "
                f"such as [{self.generation - 1}], or [] where they are lost"
            )
        wrong = [
            number for number in self.kept or () if not 1 <= number <= _MOST or number == self.generation
        ]
        if wrong:
            raise ValueError(
                f"kept: {wrong[0]} is no other generation than the one in use; expected numbers from 1 on, without "
                f"{self.generation}"
            )
        if len(set(self.kept or ())) < len(self.kept or ()):
            raise ValueError("kept: a generation is named twice")
        return self

    @property
    def source(self) -> int | None:
        """The generation whose archive is read; None for the first."""
        if self.generation == 1:
            return None
        given = self.recover.source_generation if self.recover is not None else None
        return given or self.generation - 1
