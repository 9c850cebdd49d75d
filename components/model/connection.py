"""How workloads reach what another component made or knows, and how they are reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.model.exposure import Way
from components.model.workload import Egress, Ingress, Link, Mount

if TYPE_CHECKING:
    import pulumi


@dataclass(frozen=True, kw_only=True, slots=True)
class ExternalService:
    """A service that speaks HTTP and is no workload of the same platform, such as an Immich that exists."""

    host: pulumi.Input[str]
    """Its host name or address."""
    port: int = 2283
    """Its TCP port; Immich's by default."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpService:
    """How a server pod reaches services that speak HTTP, such as machine learning."""

    urls: tuple[pulumi.Input[str], ...] = ()
    """Their addresses, the first choice first; none where there is none."""
    link: Link | None = None
    """To a workload of ours."""
    egress: tuple[Egress, ...] = ()
    """To services elsewhere."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DirectExposure:
    """How a workload is exposed without a proxy of ours in front."""

    ways: tuple[Way, ...] = ()
    """Routes, ingresses, ports that lead to it."""
    ingress: tuple[Ingress, ...] = ()
    """Who may connect because of them."""
    proxies: tuple[str, ...] | None = None
    """Networks of the proxies that talk to it, whose X-Forwarded-For is believed; None is the platform's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """Variables, files and links for whoever connects."""

    env: Mapping[str, pulumi.Input[str]]
    """Variables; secrets are not among them, only the names of their files."""
    mounts: tuple[Mount, ...]
    """Files that the variables name."""
    link: Link | None
    """To a workload of ours, or to a cluster that the platform made."""
    egress: tuple[Egress, ...]
    """To a service elsewhere."""
    secrets: tuple[str, ...]
    """Config keys of secrets whose change must restart whoever connects."""
    url_file: str | None = None
    """File with the value of `REDIS_URL`, which Immich cannot read from a file by itself."""
