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
        return address(self.name, https=self.https, port=self.port)

    @property
    def names(self) -> tuple[Hostname, ...]:
        """All names, the main one first."""
        return (self.name, *self.aliases)


def address(name: str, *, https: bool, port: int | None) -> str:
    """A public address without a trailing slash; `port` only where it is not the scheme's own."""
    return f"{'https' if https else 'http'}://{name}{'' if port is None else f':{port}'}"
