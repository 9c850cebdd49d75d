"""Nothing is reachable beside the doors: ports of the engine, Services of the cluster, who is in the networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from components.model.naming import object_name
from components.monitoring import scrapes
from components.proxy.settings import LoadBalancer, PublishedPort
from toolchain.verify.model import Check, failed, passed
from toolchain.verify.running import Opening
from toolchain.verify.target import Target

_ABOUT: Final = "exposure"


def openings(target: Target) -> list[Check]:
    """What is published against what the settings publish, in both directions."""
    name = "published-ports"
    found = target.running.openings()
    wanted = published(target)
    extra = [one for one in found if not _is_wanted(one, wanted)]
    missing = [one for one in wanted if not any(_same(one, other) for other in found)]
    if extra:
        told = "; ".join(shown(one) for one in extra)
        return [
            failed(
                name, _ABOUT, f"open beside the settings: {told}", _expected(wanted),
                "Remove what publishes it; a door is made in immich:proxy.expose alone, behind nginx's limits",
            )
        ]  # fmt: skip
    if missing:
        told = "; ".join(shown(one) for one in missing)
        return [
            failed(
                name, _ABOUT, f"not open although the settings say so: {told}", _expected(wanted),
                f"Run `make up STACK={target.stack}`; is the container that publishes it running?",
            )
        ]  # fmt: skip
    return [passed(name, _ABOUT, _expected(wanted))]


def strangers(target: Target) -> list[Check]:
    """Who is in the stack's own networks without being of the stack reaches database and cache."""
    if target.settings.docker is None:
        return []
    name, found = "networks", target.running.strangers()
    if found:
        return [
            failed(
                name, _ABOUT, f"in the stack's networks: {', '.join(found)}", "containers of the stack alone",
                "docker network disconnect NETWORK CONTAINER; what must reach Immich comes by a door",
            )
        ]  # fmt: skip
    return [passed(name, _ABOUT, "only containers of the stack are in its networks")]


def published(target: Target) -> list[Opening]:
    """What the settings open."""
    found: list[Opening] = []
    proxy, tls = target.settings.proxy, target.settings.proxy.tls is not None
    if target.settings.docker is not None:
        owner = f"immich-{target.stack}-{'proxy' if proxy.kind == 'nginx' else 'server'}"
        for way in proxy.expose:
            if not isinstance(way, PublishedPort):
                continue
            ports = [way.listen(tls=tls)]
            if tls and not way.trusted_sources and way.redirect_from is not None:
                ports.append(way.redirect_from)
            address = _any(str(way.address))
            found += [Opening(owner=owner, kind="port", address=address, port=port) for port in ports]
        for one in scrapes.every_published_port(target.settings):
            owner = f"immich-{target.stack}-{one.to}"
            found.append(Opening(owner=owner, kind="port", address=_any(one.address), port=one.listen))
        return found
    for way in proxy.expose:
        if isinstance(way, LoadBalancer):
            # Which names the Services have is the platform's; what counts is that each leads to the proxy.
            ports = (80, 443) if tls else (80,)
            owner = object_name("proxy")
            found += [Opening(owner=owner, kind="LoadBalancer", address="", port=port) for port in ports]
    return found


def _any(address: str) -> str:
    """As openings have it: empty for every address."""
    return "" if address in {"0.0.0.0", "::"} else address  # noqa: S104  read, not bound


def _is_wanted(one: Opening, wanted: Sequence[Opening]) -> bool:
    return any(_same(other, one) for other in wanted)


def _same(wanted: Opening, found: Opening) -> bool:
    """On a cluster the Services of ways in have a suffix, and a load balancer has node ports of its own."""
    if wanted.kind == "port":
        return wanted == found
    return found.kind == wanted.kind and found.port == wanted.port and found.owner.startswith(wanted.owner)


def _expected(wanted: Sequence[Opening]) -> str:
    return "open: " + "; ".join(shown(one) for one in wanted) if wanted else "nothing is open"


def shown(one: Opening) -> str:
    """For people."""
    where = f"{one.address or 'every address'}:{one.port}" if one.port else "the host's network"
    return f"{where} by {one.owner}" + ("" if one.kind == "port" else f" ({one.kind})")
