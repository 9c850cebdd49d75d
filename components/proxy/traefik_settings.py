"""What Traefik does on the way to Immich: block lists, rate limit of sign-in, an extra sign-in page for some paths."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from components.fields.base import Section
from components.model.values import AbsolutePath, Cidr

PUBLIC_PATHS = ("/api", "/.well-known", "/share", "/s", "/_app", "/auth")
"""Paths that no sign-in page may stand before.

The mobile app talks to `/api` and finds it through `/.well-known/immich`, people with a link have no account
(`/share`, `/s` and, for their scripts, `/_app`), and OpenID Connect comes back to `/auth/login` (immich#30869).
"""

EntryPoint = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z][a-zA-Z0-9_-]{0,62}$")]


class CrowdSec(Section):
    """The plugin maxlerebourg/crowdsec-bouncer-traefik-plugin, which Traefik must have in its static configuration."""

    plugin: EntryPoint = "bouncer"
    """Its name below Traefik's `experimental.plugins`."""
    lapi_host: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?:[0-9]{1,5}$")] = (
        "crowdsec-service.crowdsec:8080"
    )
    """Host and port of CrowdSec's local API, as Traefik's pods reach it."""
    lapi_scheme: Literal["http", "https"] = "http"
    """How it is reached."""
    lapi_key_file: AbsolutePath = AbsolutePath("/etc/traefik/crowdsec/lapi-key")
    """File in Traefik's pods with the bouncer's key: a Middleware is no place for a secret."""
    mode: Literal["stream", "live", "none"] = "stream"
    """`stream` keeps the list and asks for changes; the others ask for each address or each request."""
    never_blocked: tuple[Cidr, ...] = ()
    """Clients that are never judged (`clientTrustedIPs`), such as the local network. Never a proxy: everybody who comes
    through it would pass."""


class ForwardAuth(Section):
    """A sign-in page of another program in front of some pages, such as Authelia's."""

    address: Annotated[str, StringConstraints(pattern=r"^https?://[^\s@/]+(/[^\s]*)?$")]
    """What Traefik asks, such as http://authelia.authelia:9091/api/authz/forward-auth."""
    paths: Annotated[
        tuple[Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9._~/-]*$")], ...],
        Field(min_length=1, max_length=16),
    ]
    """Beginnings of paths that it stands before, such as /admin."""
    response_headers: tuple[str, ...] = ("Remote-User", "Remote-Groups", "Remote-Name", "Remote-Email")
    """Headers of its answer that are passed on."""

    @model_validator(mode="after")
    def _spares_the_app(self) -> Self:
        for path in self.paths:
            for public in PUBLIC_PATHS:
                # Traefik compares texts: /ap stands before /api as well.
                if public.startswith(path.rstrip("/") or "/") or path.startswith(f"{public}/"):
                    raise ValueError(
                        f"paths: {path} would put a sign-in page before {public}, and the mobile app, shared links "
                        "and OpenID Connect cannot fill it in; limit it to pages such as /admin, and use "
                        "immich:app.oauth for signing in"
                    )
        return self


def overlapping(networks: tuple[Cidr, ...], others: tuple[str, ...]) -> tuple[str, str] | None:
    """The first pair of networks that have an address in common."""
    for network in networks:
        for other in others:
            first, second = ipaddress.ip_network(network), ipaddress.ip_network(other)
            if first.version == second.version and first.overlaps(second):
                return str(network), str(other)
    return None
