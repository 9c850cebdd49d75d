"""What components may ask of a platform."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import pulumi

from components.platform.specs import (
    CertificateSpec,
    DatabaseCluster,
    IngressSpec,
    LoadBalancerSpec,
    PublishedSecret,
    RouteSpec,
    TraefikSpec,
)
from components.workload import VolumeRequest, Workload

Values = Callable[[Sequence[str]], pulumi.Output[dict[str, str]]]
"""Secret values by config key, as one secret output."""


class Platform(Protocol):
    """A cluster or a host. Components hand it plain data; it never reads settings."""

    @property
    def proxy_sources(self) -> tuple[str, ...]:
        """Networks that the address of a proxy of ours is in, as the server sees it."""
        ...

    def address(self, workload: str) -> str:
        """Host name of a workload inside the deployment."""
        ...

    def volume(self, request: VolumeRequest, *, parent: pulumi.Resource) -> None:
        """Make a volume for data, protected and kept, or adopt one that exists."""
        ...

    def publish(self, secret: PublishedSecret, values: Values, *, parent: pulumi.Resource) -> None:
        """Make a secret that workloads mount by its logical name."""
        ...

    def workload(
        self,
        workload: Workload,
        *,
        parent: pulumi.Resource,
        after: Sequence[pulumi.Resource] = (),
        fingerprints: Mapping[str, pulumi.Output[str]] | None = None,
    ) -> pulumi.Resource:
        """Run a workload once `after` is there; gives the resource that is ready when the workload is."""
        ...

    def database_cluster(
        self, spec: DatabaseCluster, *, parent: pulumi.Resource
    ) -> tuple[str, pulumi.Resource]:
        """A database kept by an operator: its host name, and the resource that is ready when it is."""
        ...

    def certificate(self, spec: CertificateSpec, *, parent: pulumi.Resource) -> None:
        """Have a certificate made, or adopt one, that workloads mount by its logical name."""
        ...

    def route(self, spec: RouteSpec, *, parent: pulumi.Resource, after: Sequence[pulumi.Resource]) -> None:
        """A Gateway API route."""
        ...

    def ingress(
        self, spec: IngressSpec, *, parent: pulumi.Resource, after: Sequence[pulumi.Resource]
    ) -> None:
        """A plain Ingress."""
        ...

    def traefik(
        self, spec: TraefikSpec, *, parent: pulumi.Resource, after: Sequence[pulumi.Resource]
    ) -> None:
        """Traefik's own route, with its middlewares."""
        ...

    def load_balancer(
        self, spec: LoadBalancerSpec, *, parent: pulumi.Resource, after: Sequence[pulumi.Resource]
    ) -> None:
        """A load balancer's address."""
        ...
