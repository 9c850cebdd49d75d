"""Real API servers for tests. Missing parts skip the tests with the reason, and fail them in CI (`CI=true`)."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.harness.kube import Kube, missing_parts, shared_cluster
from toolchain import crds
from toolchain.offline.cluster.lifecycle import Options


@pytest.fixture(scope="session")
def cluster_parts() -> None:
    """Skips, or in CI fails, when this machine cannot run a cluster."""
    missing = missing_parts()
    if not missing:
        return
    reason = f"no throw-away cluster on this machine: {'; '.join(missing)}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def kube(cluster_parts: None) -> Iterator[Kube]:
    """A real API server with all CRDs and no controllers: what is applied stays as it was applied."""
    with shared_cluster("api", Options(crds=crds.find())) as running:
        yield running


@pytest.fixture(scope="session")
def kube_with_nodes(cluster_parts: None) -> Iterator[Kube]:
    """The same with controllers, scheduler, two simulated nodes and the stand-in provisioner: pods become Ready."""
    options = Options(nodes=2, controllers=True, provision=True, crds=crds.find())
    with shared_cluster("nodes", options) as running:
        yield running
