"""The certificate of nginx: where the settings say that it comes from."""

from __future__ import annotations

from collections.abc import Sequence

from components.model.naming import object_name
from components.model.specs import CertificateSpec
from components.proxy.nginx import CERTIFICATE
from components.proxy.settings import Proxy
from components.proxy.tls_settings import TlsAcme, TlsCertManager, TlsFiles, TlsSecret, TlsSelfSigned


def certificate(settings: Proxy, hostnames: Sequence[str]) -> CertificateSpec | None:
    """What the platform is asked for; None where nginx has no TLS of its own, or a container of ours keeps it."""
    match settings.tls:
        case None | TlsFiles() | TlsAcme():
            return None
        case TlsSecret(name=name):
            return CertificateSpec(name=CERTIFICATE, secret=name, kind="existing")
        case TlsCertManager(issuer=issuer, issuer_kind=kind):
            return CertificateSpec(
                name=CERTIFICATE,
                secret=object_name("tls"),
                kind="issued",
                hostnames=tuple(hostnames),
                issuer=issuer,
                issuer_kind=kind,
            )
        case TlsSelfSigned():
            return CertificateSpec(
                name=CERTIFICATE, secret=object_name("tls"), kind="self-signed", hostnames=tuple(hostnames)
            )
