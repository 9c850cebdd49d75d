"""What a person says about an upgrade that the program cannot know by itself."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from components.fields.base import Section

Release = Annotated[str, Field(pattern=r"^[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}$", examples=["3.0.0"])]


class Upgrade(Section):
    """Upgrades of Immich and its database. Each setting holds for the release that it names, and for no other."""

    acknowledge: Release | None = None
    """The newest major release whose notes were read, such as `3.0.0`. A new major starts with it only."""
    without_backup: Release | None = None
    """Release that may start without a fresh backup: an error of it then loses all since the last one."""
    database_at: Release | None = None
    """Release whose data the database holds, where the program cannot know: after a restore, or when a newer release
    never started on it. It counts once; take it out afterwards."""
    database_moved_to: (
        Annotated[
            str,
            Field(
                pattern=r"^((bundled|cloudnative-pg)-1[4-8]|external(-1[4-8])?)$",
                examples=["bundled-18"],
            ),
        ]
        | None
    ) = None
    """Kind and major version of the database that the data were moved to by dump and restore: `bundled-18`. It is what
    lets `database.kind` or `database.postgres` change on a deployment with data."""
