"""What a person sees after `pulumi up`: what there is, and what to do next."""

from __future__ import annotations

from components import versions
from components.backup.settings import Backup
from components.cache.settings import BundledCache
from components.database import component as database
from components.database.client import programs
from components.database.settings import BundledDatabase, CloudNativePg
from components.machine_learning import component as machine_learning
from components.machine_learning.settings import BundledMachineLearning
from components.model.naming import object_name
from components.model.values import ImageRef
from components.proxy import exposure as ways_in
from components.proxy.door_advice import mobile_app, preconditions, split_horizon
from components.proxy.doors import doors, names_of, table
from components.proxy.listeners import TUNNEL_PORT
from components.recovery.outputs import recovery_outputs
from components.server import component as server
from components.settings.backup_rules import takes_dumps
from components.settings.model import Settings


def outputs(settings: Settings, stack: str, manifests: str | None) -> dict[str, object]:
    """The stack's outputs. No secret is among them."""
    found: dict[str, object] = {
        "url": settings.host.url,
        "version": settings.server.version,
        **_doors(settings),
        **_place(settings, stack, manifests),
        **recovery_outputs(settings, stack, capacity=settings.capacity),
        **_monitoring(settings, stack),
    }
    unpinned = [str(image) for image in images(settings) if image.digest is None]
    if unpinned:
        found["unpinnedImages"] = unpinned
    if settings.app is not None and settings.app.oauth.enabled:
        from components.server.app.settings import oauth_redirect_uris

        found["oauthRedirectUris"] = oauth_redirect_uris(_names(settings))
    if manifests is not None:
        found["manifests"] = manifests
    return found


def _place(settings: Settings, stack: str, manifests: str | None) -> dict[str, object]:
    """What only this kind of platform has to tell."""
    if settings.docker is not None:
        from components.stack import outputs_docker

        return outputs_docker.outputs(settings, settings.docker, stack)
    from components.stack import outputs_kubernetes

    return outputs_kubernetes.outputs(settings, stack, manifests)


def _monitoring(settings: Settings, stack: str) -> dict[str, object]:
    if settings.monitoring.kind == "none":
        return {}
    from components.stack import outputs_monitoring  # only stacks that somebody watches

    return outputs_monitoring.outputs(settings, stack)


def images(settings: Settings) -> list[ImageRef]:
    """Every image of the stack."""
    found: list[object] = [server.image(settings.server)]
    if isinstance(settings.machine_learning, BundledMachineLearning):
        found.append(machine_learning.image(settings.machine_learning, settings.server.version))
    if isinstance(settings.database, BundledDatabase):
        found.append(database.bundled_image(settings.database))
    if isinstance(settings.database, CloudNativePg):
        found.append(database.cluster_spec(settings.database, "", None).image)
    if isinstance(settings.cache, BundledCache):
        found.append(settings.cache.image or versions.valkey_image())
    if settings.backup is not None:
        found += _backup_images(settings, settings.backup)
    if settings.proxy.kind == "nginx":
        found.append(settings.proxy.image or versions.nginx_image())
        if settings.proxy.metrics and settings.monitoring.kind == "none":
            found.append(versions.nginx_exporter_image())
    if settings.docker is not None:
        found.append(settings.docker.files_image or versions.busybox_image())
        from components.proxy.certificate_keeper import Kept, image

        if isinstance(settings.proxy.tls, Kept):
            found.append(image(settings.proxy.tls))
    if settings.cloudflare is not None and settings.cloudflare.tunnel is not None:
        found.append(settings.cloudflare.tunnel.image or versions.cloudflared_image())
    if settings.monitoring.kind != "none":
        from components.stack import outputs_monitoring

        found += outputs_monitoring.images(settings)
    return [image for image in found if isinstance(image, ImageRef)]


def _doors(settings: Settings) -> dict[str, object]:
    host, proxy = settings.host, settings.proxy
    found = doors(host, proxy, settings.cloudflare)
    told: dict[str, object] = {
        "doors": [
            {
                "door": row["door"],
                "url": row["url"],
                "largestUpload": row["largest upload"],
                "limitedBy": row["limited by"],
            }
            for row in table(found)
        ],
        "mobileApp": mobile_app(found),
    }
    if records := split_horizon(host, proxy):
        told["splitHorizonDns"] = records
    needed = list(preconditions(host, proxy, settings.cloudflare))
    if settings.cloudflare is not None:
        from components.settings.cloudflare_checks import notes  # only stacks with that section

        service = f"http://{object_name(ways_in.PROXY)}:{TUNNEL_PORT}"
        needed += notes(settings.cloudflare, host, service)
    if needed:
        told["preconditions"] = needed
    return told


def _backup_images(settings: Settings, backup: Backup) -> list[object]:
    found: list[object] = []
    if takes_dumps(backup, settings.database):
        found.append(programs(settings.database)[0])
    if backup.targets:
        found.append(backup.restic_image or versions.restic_image())
    if backup.needs_rclone:
        found.append(backup.rclone_image or versions.rclone_image())
    return found


def _names(settings: Settings) -> list[str]:
    """Every name that people may come by, the main one first, with the port where it is not 443."""
    ways = (name for way in settings.proxy.expose for name in names_of(way, settings.host))
    port = settings.host.port
    shown = "" if port in {None, 443} else f":{port}"
    return [f"{name}{shown}" for name in dict.fromkeys((*(str(one) for one in settings.host.names), *ways))]
