"""Certificates by cert-manager (cert-manager.io/v1)."""

from __future__ import annotations

from components.model.specs import CertificateSpec
from components.platform.kubernetes.pods import Manifest

_API = "cert-manager.io/v1"


def manifests(spec: CertificateSpec) -> list[Manifest]:
    """What makes the certificate, in order; nothing for a Secret that exists."""
    if spec.kind == "existing":
        return []
    issuer: Manifest = {"apiVersion": _API, "kind": "Issuer", "metadata": {}, "spec": {"selfSigned": {}}}
    made_by = {"group": "cert-manager.io", "kind": "Issuer", "name": spec.secret}
    if spec.kind == "issued":
        made_by |= {"kind": spec.issuer_kind, "name": spec.issuer}
    certificate: Manifest = {
        "apiVersion": _API,
        "kind": "Certificate",
        "metadata": {},
        "spec": {
            "secretName": spec.secret,
            "dnsNames": list(spec.hostnames),
            "issuerRef": made_by,
            "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
            "usages": ["server auth", "digital signature"],
        },
    }
    return [certificate] if spec.kind == "issued" else [issuer, certificate]
