"""Immich's own configuration: mail."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from components.fields.base import Section
from components.server.app.secrets import refuse
from components.server.app.values import Flag, IdentifierText, MailAddress, MailHost

SMTPS_PORT = 465
"""TLS from the first byte."""
PLAIN_PORTS = frozenset({25, 587})
"""Plain text first, TLS by STARTTLS."""

_Password = Annotated[None, BeforeValidator(refuse("smtpPassword"))]


class SmtpTransport(Section):
    """The mail server."""

    host: MailHost = MailHost("")
    """Name or address of the mail server."""
    port: Annotated[int, Field(strict=True, ge=1, le=65535)] = 587
    """Its port: 587 (STARTTLS), 465 (TLS) or 25."""
    secure: Flag = False
    """Whether TLS starts with the connection: true for port 465, false for 587, where STARTTLS is used."""
    ignore_cert: Flag = False
    """Whether any certificate is accepted; true lets anyone between the two read the password."""
    username: IdentifierText = ""
    """User name, or "" for a server that asks for none. With a name, `immich:smtpPassword` is needed."""
    password: _Password = None
    """Never here: `pulumi config set --secret immich:smtpPassword`."""

    @model_validator(mode="after")
    def _tls_fits_port(self) -> Self:
        if self.port == SMTPS_PORT and not self.secure:
            raise ValueError(
                "notifications.smtp.transport.secure is false (the default) but port 465 speaks TLS from the "
                "start and the connection would hang: set secure to true, or port to 587"
            )
        if self.port in PLAIN_PORTS and self.secure:
            raise ValueError(
                f"notifications.smtp.transport.secure is true but port {self.port} starts in plain text and "
                "turns to TLS by STARTTLS: set secure to false, or port to 465"
            )
        return self


class Smtp(Section):
    """Mail that Immich sends."""

    enabled: Flag = False
    """Whether Immich sends mail. Needs from and transport.host."""
    from_: MailAddress = Field(default=MailAddress(""), alias="from")
    """Sender, such as Immich <immich@example.com>."""
    reply_to: MailAddress = MailAddress("")
    """Address for answers, or ""."""
    transport: SmtpTransport = Field(default_factory=SmtpTransport)
    """The mail server."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.enabled and not self.transport.host:
            raise ValueError(
                "notifications.smtp.enabled is true, which needs notifications.smtp.transport.host: "
                "the mail server"
            )
        if self.enabled and not self.from_:
            raise ValueError(
                "notifications.smtp.enabled is true, which needs notifications.smtp.from: the sender"
            )
        return self


class AppNotifications(Section):
    """Notifications."""

    smtp: Smtp = Field(default_factory=Smtp)
    """Mail."""


class MailTemplates(Section):
    """Texts of mails; "" for Immich's own."""

    welcome_template: str = ""
    """Mail to a new user, or "" for Immich's own text."""
    album_invite_template: str = ""
    """Mail to someone an album was shared with, or "" for Immich's own text."""
    album_update_template: str = ""
    """Mail about new photos in a shared album, or "" for Immich's own text."""


class AppTemplates(Section):
    """Texts that Immich sends."""

    email: MailTemplates = Field(default_factory=MailTemplates)
    """Texts of mails."""
