"""A cluster whose node is real, with one stack on it. A machine that cannot have one skips the tier with its reason."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.docker import image_store
from tests.docker.engine_process import missing_parts as missing_for_images
from tests.harness.kube import missing_parts, shared_cluster
from tests.harness.stacks import Deployment, require_cli
from tests.node.place import NodeStack, Place
from tests.node.stacks import IMAGES, SECRETS, sections
from toolchain import crds
from toolchain.offline.cluster import real_node
from toolchain.offline.cluster.build import built
from toolchain.offline.cluster.lifecycle import Options

NAMESPACE = "immich"
PHOTOS = 12


@pytest.fixture(scope="session")
def place() -> Iterator[Place]:
    """The node. In CI too a machine without what it takes skips: no program can give a machine a kernel."""
    missing = [*real_node.missing_parts(), *missing_parts(), *missing_for_images()]
    if not missing and not built(real_node=True):
        missing = [
            "the kubelet is not built (python -m toolchain.offline.cluster.build --real-node, needs Go)"
        ]
    if missing:
        pytest.skip(f"no real node on this machine: {'; '.join(missing)}")
    images = sorted(image_store.archive(IMAGES).glob("*.tar"))
    with shared_cluster(
        "node", Options(real=True, controllers=True, images=images, crds=crds.find())
    ) as kube:
        yield Place(kube)


@pytest.fixture
def stack(standing: NodeStack) -> NodeStack:
    """The stack, whole: whatever the test before did to it."""
    standing.wait_until_whole()
    return standing


@pytest.fixture(scope="session")
def standing(place: Place, tmp_path_factory: pytest.TempPathFactory) -> NodeStack:
    """The stack of all tests, up."""
    deployment = Deployment.create(
        tmp_path_factory.mktemp("node"),
        require_cli(),
        "real",
        sections(NAMESPACE, place.lan),
        secrets=SECRETS,
        kubeconfig=place.kube.kubeconfig,
    )
    deployment.up()
    made = NodeStack(place, deployment, NAMESPACE)
    made.born.update(made.pods())
    made.furnish(PHOTOS)
    return made
