"""Pieces of nginx' configuration in annotations of an Ingress (ingress-nginx 1.14, F5's NGINX Ingress Controller 5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, cast

import crossplane

from immich_policy.model import Registered, join, mapping
from immich_policy.reading.nginx_files import Directive

SNIPPETS: Final = (
    "nginx.ingress.kubernetes.io/configuration-snippet",
    "nginx.ingress.kubernetes.io/server-snippet",
    "nginx.org/location-snippets",
    "nginx.org/server-snippets",
)


def snippets(ingress: Registered) -> Iterator[Directive]:
    """Directives of the snippets of an Ingress, those in blocks left out."""
    annotations = mapping(ingress.props, "metadata", "annotations")
    for key in SNIPPETS:
        written = annotations.get(key)
        for one in _parsed(written) if isinstance(written, str) else ():
            path = f"{join('metadata.annotations', key)} line {one['line']}"
            args = tuple(str(arg) for arg in one.get("args", ()))
            yield Directive(str(one["directive"]), args, ingress, path)


def _parsed(written: str) -> list[dict[str, Any]]:
    try:
        payload = cast(
            "dict[str, Any]",
            crossplane.parse_string(
                written, filename="snippet", single=True, check_ctx=False, check_args=False
            ),
        )
        return cast("list[dict[str, Any]]", payload["config"][0]["parsed"])
    except Exception:  # noqa: BLE001 - what the parser cannot take has no directive that counts
        return []
