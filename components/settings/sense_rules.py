"""Rules about what each section alone permits and no deployment can mean."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from components.cache.settings import ExternalCache
from components.database.archive_settings import is_inside
from components.database.settings import ExternalDatabase
from components.fields.base import written
from components.fields.finding import Finding, Rule
from components.machine_learning.settings import (
    ARCHITECTURES,
    BundledMachineLearning,
    ExternalMachineLearning,
)
from components.proxy.settings import PublishedPort
from components.proxy.tls_settings import TlsAcme

if TYPE_CHECKING:
    from components.cache.settings import Cache
    from components.database.settings import Database
    from components.machine_learning.settings import MachineLearning
    from components.proxy.host_settings import Host
    from components.proxy.settings import Proxy
    from components.server.app.settings import AppConfig
    from components.server.settings import Server
    from components.settings.docker import Docker
    from components.settings.kubernetes import Kubernetes

_ARCHITECTURE = "kubernetes.io/arch"
_SYSTEM = "kubernetes.io/os"
_TRANSCODING: Mapping[str, tuple[str, ...]] = {
    "nvenc": ("amd64", "arm64"),
    "qsv": ("amd64",),
    "vaapi": ("amd64", "arm64"),
    "rkmpp": ("arm64",),
}
_NO_PUBLIC_NAME = (
    ".local",
    ".localhost",
    ".lan",
    ".internal",
    ".home.arpa",
    ".test",
    ".invalid",
    ".example",
    ".onion",
)


def nodes_can_run_the_images(server: Server, machine_learning: MachineLearning) -> Iterator[Finding]:
    """An image that is not built for a node's processor does not start there."""
    transcoding = _TRANSCODING.get(server.acceleration, ("amd64", "arm64"))
    wanted: list[tuple[str, Mapping[str, str], tuple[str, ...]]] = [
        ("server", server.placement.node_selector, transcoding)
    ]
    if isinstance(machine_learning, BundledMachineLearning):
        built = ARCHITECTURES[machine_learning.backend]
        wanted.append(("machineLearning", machine_learning.placement.node_selector, built))
        chosen = machine_learning.placement.node_selector.get(_ARCHITECTURE)
        if (
            machine_learning.architecture is not None
            and chosen in built
            and chosen != machine_learning.architecture
        ):
            yield Finding(
                key=f"machineLearning.placement.nodeSelector.{_ARCHITECTURE}",
                given=chosen,
                reason=f"machineLearning.architecture says {machine_learning.architecture}",
                hint="leave one of the two out",
            )
    for section, selector, built in wanted:
        if _ARCHITECTURE in selector and selector[_ARCHITECTURE] not in built:
            what = "acceleration" if section == "server" else "backend"
            yield Finding(
                key=f"{section}.placement.nodeSelector.{_ARCHITECTURE}",
                given=selector[_ARCHITECTURE],
                reason=f"the image for this {what} is built for {' and '.join(built)} only",
                hint=f"select nodes with {built[0]}, or choose another {what}",
            )
        if selector.get(_SYSTEM, "linux") != "linux":
            yield Finding(
                key=f"{section}.placement.nodeSelector.{_SYSTEM}",
                given=selector[_SYSTEM],
                reason="the images run on linux only",
                hint="leave it out",
            )


def certificates_can_be_had(host: Host, proxy: Proxy, docker: Docker | None) -> Iterator[Finding]:
    """A public ACME server signs public names alone, and finds the challenge at port 80 of them."""
    tls = proxy.tls
    if docker is None or not isinstance(tls, TlsAcme) or is_inside(urlsplit(tls.server).netloc):
        return
    for name in host.names:
        if name.is_ip or "." not in name or name.endswith(_NO_PUBLIC_NAME):
            yield Finding(
                key="host.name" if name == host.name else "host.aliases",
                given=name,
                reason="no public ACME server signs it: it is no name of the public DNS",
                hint="give a name of a domain of yours, or use proxy.tls.kind selfSigned or files",
            )
    if tls.challenge != "http":
        return
    ways = [way for way in proxy.expose if isinstance(way, PublishedPort) and not way.trusted_sources]
    if not any(way.redirect_from == 80 or way.port == 80 for way in ways):
        yield Finding(
            key="proxy.tls.challenge",
            given=tls.challenge,
            reason="the ACME server asks at port 80 of the name, and no way in has it",
            hint="set redirectFrom of a publishedPort to 80, or use challenge: dns-cloudflare",
        )
    elif all(ipaddress.ip_address(way.address).is_loopback for way in ways):
        yield Finding(
            key="proxy.tls.challenge",
            given=tls.challenge,
            reason="the ACME server asks from outside, and every published port is one of this machine alone",
            hint="publish one at the address that port 80 of the router leads to, or use challenge: dns-cloudflare",
        )


def what_is_elsewhere_is_not_here(
    database: Database, cache: Cache, machine_learning: MachineLearning
) -> Iterator[Finding]:
    """To a container, localhost is the container itself."""
    given: list[tuple[str, str]] = []
    if isinstance(database, ExternalDatabase):
        given.append(("database.host", str(database.host)))
    if isinstance(cache, ExternalCache):
        given.append(("cache.host", str(cache.host)))
    if isinstance(machine_learning, ExternalMachineLearning):
        for index, url in enumerate(machine_learning.urls):
            given.append((f"machineLearning.urls[{index}]", urlsplit(written(url)).hostname or ""))
    for key, host in given:
        if host == "localhost" or host.endswith(".localhost") or _is_own(host):
            yield Finding(
                key=key,
                given=host,
                reason="is the container of Immich itself, not the machine that it runs on",
                hint="give the address of that machine on the network, such as 192.168.1.20",
            )


def _is_own(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def doors_differ(proxy: Proxy) -> Iterator[Finding]:
    """Two equal ways in are two objects for one thing."""
    for index, way in enumerate(proxy.expose):
        if way in proxy.expose[:index] and not isinstance(way, PublishedPort):
            yield Finding(
                key=f"proxy.expose[{index}]",
                reason=f"is the same as proxy.expose[{proxy.expose.index(way)}]",
                hint="leave one out",
            )


def the_app_comes_back_to_this_site(app: AppConfig | None, host: Host) -> Iterator[Finding]:
    """A sign-in that leads the app to another site gives that site the sign-in."""
    if app is None or not app.oauth.mobile_override_enabled:
        return
    url = urlsplit(app.oauth.mobile_redirect_uri)
    if (url.hostname or "") not in host.names:
        yield Finding(
            key="app.oauth.mobileRedirectUri",
            given=str(app.oauth.mobile_redirect_uri),
            reason="leads the app to another site than this one",
            hint=f"pulumi config set --path 'immich:app.oauth.mobileRedirectUri' {host.url}/api/oauth/mobile-redirect",
        )


def pods_have_ipv4(
    kubernetes: Kubernetes, docker: Docker | None, machine_learning: MachineLearning, cache: Cache
) -> Iterator[Finding]:
    """Immich's machine learning listens at 0.0.0.0, and its Redis client asks for IPv4 addresses."""
    if docker is not None or any(ipaddress.ip_network(one).version == 4 for one in kubernetes.pod_cidrs):
        return
    parts = ["machine learning"] if isinstance(machine_learning, BundledMachineLearning) else []
    parts += [] if isinstance(cache, ExternalCache) and ":" in cache.host else ["the cache"]
    if parts:
        yield Finding(
            key="kubernetes.podCidrs",
            given=", ".join(kubernetes.pod_cidrs),
            reason=f"has no IPv4 network, and Immich reaches {' and '.join(parts)} by IPv4 only",
            hint="use a cluster with both families and give both networks",
        )


SENSE_RULES = (
    Rule(("server", "machineLearning"), nodes_can_run_the_images),
    Rule(("host", "proxy", "docker"), certificates_can_be_had),
    Rule(("database", "cache", "machineLearning"), what_is_elsewhere_is_not_here),
    Rule(("proxy",), doors_differ),
    Rule(("kubernetes", "docker", "machineLearning", "cache"), pods_have_ipv4),
    Rule(("app", "host"), the_app_comes_back_to_this_site),
)
"""All of them."""
