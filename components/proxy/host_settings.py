"""The name under which people reach this deployment."""

from __future__ import annotations

from pydantic import Field

from components.fields.base import Section, WholeNumber
from components.model.values import Hostname


class Host(Section):
    """The public name."""

    name: Hostname = Hostname("localhost")
    """Host name that browsers and the mobile app use. Immich works only at the root of a name."""
    aliases: tuple[Hostname, ...] = ()
    """Other names of the same site."""
    https: bool = True
    """Whether people reach it by https; false only for development."""
    port: WholeNumber | None = Field(default=None, ge=1, le=65535)
    """Port in the address; none is the scheme's own."""

    @property
    def url(self) -> str:
        """The address as people type it, without a trailing slash."""
        port = f":{self.port}" if self.port is not None else ""
        return f"{'https' if self.https else 'http'}://{self.name}{port}"

    @property
    def names(self) -> tuple[Hostname, ...]:
        """All names, the main one first."""
        return (self.name, *self.aliases)
