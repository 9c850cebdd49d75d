"""The whole program under mocks, with stacks that use Cloudflare."""

from __future__ import annotations

import base64
import copy
import json
import runpy
from collections.abc import Mapping
from typing import Any

from tests.harness import mocks
from tests.harness.mocks import Recorded, Run
from tests.harness.program import ROOT

ACCOUNT = "0123456789abcdef0123456789abcdef"
ZONE = "fedcba9876543210fedcba9876543210"
EXISTING = "6ff42ae2-765d-4adf-8112-31c55c1551ef"
API_TOKEN = "test-token-of-forty-letters-and-digits-00"
SECRET = base64.b64encode(bytes(range(32))).decode()
BASE: dict[str, Any] = {"accountId": ACCOUNT, "zone": "example.com", "zoneId": ZONE}
PREFIX = "cloudflare:index/"

FULL: dict[str, Any] = {
    **BASE,
    "tunnel": {
        "access": {"teamName": "example"},
        "rules": [{"hostname": "notes.example.com", "path": "^/n/", "service": "https://notes.lan:8443"}],
    },
    "records": [
        {"name": "upload.example.com", "type": "A", "content": "192.168.1.20", "ttl": 300, "comment": "large uploads"}
    ],
    "access": {
        "emails": ["ada@example.com"],
        "emailDomains": ["example.net"],
        "serviceToken": {"clientSecretVersion": 2, "previousClientSecretExpiresAt": "2027-01-31T00:00:00Z"},
    },
    "rateLimit": {},
    "zoneSettings": {"ssl": "strict"},
}  # fmt: skip
"""Every kind of object but shared links."""


def sections(cloudflare: Mapping[str, Any] | None, **more: Any) -> dict[str, Any]:
    """Sections of a stack; the host has the names of the records."""
    names = [one["name"] for one in (cloudflare or {}).get("records", [])]
    found: dict[str, Any] = {
        "host": {"name": "photos.example.com", "aliases": [name for name in names if name != "photos.example.com"]},
        "kubernetes": {"target": "render"},
        "proxy": {"expose": [{"kind": "loadBalancer"}]},
        **more,
    }  # fmt: skip
    if cloudflare is not None:
        found["cloudflare"] = cloudflare
    return copy.deepcopy(found)


def _computed(resource: Recorded) -> Mapping[str, Any]:
    kind = resource.type.rsplit(":", 1)[-1]
    made: Mapping[str, Mapping[str, Any]] = {
        "RandomPassword": {"result": "random"},
        "RandomBytes": {"base64": SECRET, "hex": ""},
        "ZeroTrustAccessApplication": {"aud": f"aud-of-{resource.name}"},
        "ZeroTrustAccessServiceToken": {
            "clientId": "client-id",
            "clientSecret": "client-secret",
            "expiresAt": "2027-11-21T00:00:00Z",
        },
    }
    return made.get(kind, {})


def run(
    cloudflare: Mapping[str, Any] | None,
    *,
    hidden: Mapping[str, str] | None = None,
    preview: bool = False,
    **more: Any,
) -> Run:
    """Run `__main__.py`."""
    given = {"cloudflareApiToken": API_TOKEN} if hidden is None else hidden
    texts = {f"immich:{key}": json.dumps(value) for key, value in sections(cloudflare, **more).items()}
    secret = {f"immich:{key}": value for key, value in given.items()}

    def program() -> None:
        runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")

    return mocks.run(
        program,
        stack="home",
        config={**texts, **secret},
        secret_keys=list(secret),
        preview=preview,
        computed=_computed,
    )


def of(run: Run, kind: str) -> list[Recorded]:
    """Cloudflare's resources of a kind, such as `DnsRecord`."""
    return run.of_type(f"{PREFIX}{kind[0].lower()}{kind[1:]}:{kind}")


def all_of(run: Run) -> list[Recorded]:
    """Every resource at Cloudflare."""
    return [one for one in run.resources if one.type.startswith(PREFIX)]


def workload_object(run: Run, kind: str, name: str) -> Recorded:
    """An object on the cluster."""
    return next(
        one
        for one in run.resources
        if one.type.startswith("kubernetes:")
        and one.type.endswith(f":{kind}")
        and one.name == f"immich/{name}"
    )
