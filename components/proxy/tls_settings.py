"""Where the certificate of nginx comes from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from components.fields.base import Section, WholeNumber
from components.model.values import AbsolutePath, ImageRef, ObjectName

RelativePath = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*$",
        examples=["live/photos.example.com/fullchain.pem"],
    ),
]
"""A path below a folder, without `..`."""


class TlsSecret(Section):
    """A certificate that exists as a Secret of the type kubernetes.io/tls."""

    kind: Literal["secret"]
    """`secret`."""
    name: ObjectName
    """Its name, in the namespace of Immich."""


class TlsCertManager(Section):
    """A certificate from cert-manager, which must be installed."""

    kind: Literal["certManager"]
    """`certManager`."""
    issuer: ObjectName
    """Name of the issuer."""
    issuer_kind: Literal["Issuer", "ClusterIssuer"] = "ClusterIssuer"
    """Its kind."""


class TlsSelfSigned(Section):
    """A self-signed certificate, for development. On a cluster cert-manager makes it."""

    kind: Literal["selfSigned"]
    """`selfSigned`."""
    image: ImageRef | None = None
    """On one host: another image than the table's; it must have openssl."""


class TlsFiles(Section):
    """Files of the host, kept by somebody else; a renewed certificate is taken up within minutes."""

    kind: Literal["files"]
    """`files`."""
    image: ImageRef | None = None
    """On one host: another image than the table's; it must have openssl."""
    folder: AbsolutePath
    """Folder of the host that has both; with certbot's links the folder above `live`, as /etc/letsencrypt."""
    certificate: RelativePath
    """The certificate with its chain, below the folder."""
    key: RelativePath
    """Its key, below the folder."""
    group: Annotated[WholeNumber, Field(ge=1, le=2**31 - 1)] | None = None
    """Number of the host's group that may read the key (Debian's `ssl-cert`); nothing here runs as root."""


class TlsAcme(Section):
    """A certificate of Let's Encrypt or another ACME server, fetched and renewed by certbot in a container."""

    kind: Literal["acme"]
    """`acme`."""
    email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$", examples=["me@example.com"])]
    """Address for the account; setting this kind agrees to the terms of the ACME server."""
    challenge: Literal["http", "dns-cloudflare"] = "http"
    """`http` needs port 80 of the name to lead here; `dns-cloudflare` the secret acmeDnsToken, and no open port."""
    image: ImageRef | None = None
    """Another image than the table's; it must have certbot and openssl."""
    server: Annotated[
        str,
        Field(
            pattern=r"^https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[^\s]*)?$",
            examples=["https://acme-v02.api.letsencrypt.org/directory"],
        ),
    ] = "https://acme-v02.api.letsencrypt.org/directory"
    """Directory of the ACME server."""


Tls = Annotated[TlsSecret | TlsCertManager | TlsSelfSigned | TlsFiles | TlsAcme, Field(discriminator="kind")]
