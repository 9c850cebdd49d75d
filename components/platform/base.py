"""What components may ask of a platform."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import pulumi

from components.model.exposure import Way
from components.model.specs import CertificateSpec, DatabaseCluster, PublishedSecret
from components.model.task import Task
from components.model.watch import Watch
from components.model.workload import Port, VolumeRequest, Workload

Values = Callable[[Sequence[str]], pulumi.Output[dict[str, str]]]
"""Secret values by config key, as one secret output."""


class Platform(Protocol):
    """A cluster or a host. Components hand it plain data; it never reads settings."""

    @property
    def makes_certificates(self) -> bool:
        """Whether something there makes certificates, so that no container of ours has to."""
        ...

    @property
    def hides_clients(self) -> bool:
        """Whether behind a published port every client has an address of the engine's."""
        ...

    @property
    def unpinned_images(self) -> tuple[str, ...]:
        """Images without a digest, of everything that runs there so far."""
        ...

    @property
    def resolver(self) -> str | None:
        """Name server that containers ask again when a peer was made anew; None where peers keep their addresses."""
        ...

    def sources(self, workload: str) -> tuple[str, ...]:
        """Networks that the address of a workload is in that is linked to `workload`, as that one sees it."""
        ...

    def host_addresses(self, workload: str) -> tuple[str, ...]:
        """Addresses that programs of the host itself have, as a `workload` with a published port sees them."""
        ...

    def address(self, workload: str, at: str | None = None) -> str:
        """Host name of a workload inside the deployment; `at` is, on one host, the network in which both meet."""
        ...

    def full_address(self, workload: str) -> str:
        """Host name of a workload for whoever is let in from outside the deployment."""
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

    def task(
        self,
        task: Task,
        *,
        parent: pulumi.Resource,
        after: Sequence[pulumi.Resource] = (),
        fingerprints: Mapping[str, pulumi.Output[str]] | None = None,
    ) -> pulumi.Resource:
        """Run a task by the clock, or once when it is made and `after` is there.

        Gives the resource that is ready when the task is waiting for its time, or, without a schedule, when it has
        succeeded: what comes after it never happens if it fails.
        """
        ...

    def cluster_address(self, name: str, namespace: str | None) -> str:
        """Host name of a database that an operator keeps, whether or not it was made already."""
        ...

    def copies(self, workload: str, port: Port, *, parent: pulumi.Resource, at: str | None = None) -> str:
        """Host name that stands for the address of every copy of a workload at once; `at` as in `address`."""
        ...

    def watch(self, watch: Watch, *, parent: pulumi.Resource) -> None:
        """Tell the Prometheus operator what to read, and what to make of it."""
        ...

    def database_cluster(
        self, spec: DatabaseCluster, *, parent: pulumi.Resource, after: Sequence[pulumi.Resource] = ()
    ) -> tuple[str, pulumi.Resource]:
        """A database kept by an operator, made once `after` is there: its host name, and what is ready when it is."""
        ...

    def certificate(self, spec: CertificateSpec, *, parent: pulumi.Resource) -> None:
        """Have a certificate made, or adopt one, that workloads mount by its logical name."""
        ...

    def open(self, way: Way, *, parent: pulumi.Resource, after: Sequence[pulumi.Resource]) -> None:
        """Open a way in. Where a container carries its ways itself (`Workload.ways`), this has nothing left to do."""
        ...
