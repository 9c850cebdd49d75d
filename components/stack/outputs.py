"""What a person sees after `pulumi up`: what there is, and what to do next."""

from __future__ import annotations

from components.model.naming import object_name
from components.proxy import exposure
from components.proxy.door_advice import mobile_app, preconditions, split_horizon
from components.proxy.doors import doors, names_of, table
from components.proxy.listeners import TUNNEL_PORT
from components.recovery.outputs import recovery_outputs
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

        service = f"http://{object_name(exposure.PROXY)}:{TUNNEL_PORT}"
        needed += notes(settings.cloudflare, host, service)
    if needed:
        told["preconditions"] = needed
    return told


def _names(settings: Settings) -> list[str]:
    """Every name that people may come by, the main one first, with the port where it is not 443."""
    ways = (name for way in settings.proxy.expose for name in names_of(way, settings.host))
    port = settings.host.port
    shown = "" if port in {None, 443} else f":{port}"
    return [f"{name}{shown}" for name in dict.fromkeys((*(str(one) for one in settings.host.names), *ways))]
