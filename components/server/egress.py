"""Names outside that the server talks to."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from components.model.workload import Egress

if TYPE_CHECKING:
    from components.server.app.settings import AppConfig

VERSION_CHECK = Egress(reason="check for new versions", names=("version.immich.cloud",))
MAP_TILES = Egress(reason="map styles and tiles", names=("tiles.immich.cloud",))


def server_egress(app: AppConfig | None) -> tuple[Egress, ...]:
    """What the server needs beside its database, cache and machine learning."""
    if app is None:
        return (VERSION_CHECK, MAP_TILES)
    found: list[Egress] = []
    if app.new_version_check.enabled:
        found.append(VERSION_CHECK)
    if app.map.enabled:
        found.append(MAP_TILES)
    if app.oauth.enabled:
        issuer = urlsplit(app.oauth.issuer_url)
        port = issuer.port or (80 if issuer.scheme == "http" else 443)
        # The sign-in server is often on the same LAN or cluster.
        found.append(Egress.to_host("sign-in server", issuer.hostname or "", port))
    if app.notifications.smtp.enabled:
        transport = app.notifications.smtp.transport
        found.append(Egress.to_host("mail server", transport.host, transport.port))
    return tuple(found)
