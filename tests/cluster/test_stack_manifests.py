"""Every stack, rendered by the real engine, is accepted by a real API server and refers only to what is there."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest

from tests.cluster.standins import load_stand_ins, must_apply, namespace
from tests.harness.kube import Kube
from tests.harness.manifests import apply_strict, changed_by_second_apply, remove
from tests.harness.objects import Manifest, namespace_of, of_kind
from tests.harness.references import problems
from tests.harness.stacks import REPOSITORY_STACKS, Deployment, require_cli
from tests.harness.variants import VARIANTS

pytestmark = [pytest.mark.cluster, pytest.mark.engine]

PROVIDED: dict[str, Collection[str]] = {
    "dev": (),
    "prod": ("StorageClass local-path",),
    "vanillax": ("Namespace cloudnative-pg", "StorageClass longhorn", "ClusterSecretStore 1password"),
    **{name: variant.provided for name, variant in VARIANTS.items()},
}
"""What each stack finds on its cluster."""


IN_EVERY_RUN = ("prod", "vanillax")
"""The others are for `make test-all`."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in IN_EVERY_RUN else pytest.mark.deep)
        for name in (*REPOSITORY_STACKS, *sorted(VARIANTS))
    ],
)
def test_a_stack_is_accepted_strictly_and_a_second_time_changes_nothing(
    kube: Kube, tmp_path: Path, name: str
) -> None:
    config = None if name in REPOSITORY_STACKS else VARIANTS[name].sections
    stack = Deployment.create(tmp_path, require_cli(), name, config)
    stack.up()
    documents = stack.manifests()

    unpinned = stack.engine.outputs().get("unpinnedImages", [])
    found = problems(documents, PROVIDED[name])
    # An image whose digest nobody has read yet is told to the person as well.
    assert [
        one for one in found if not any(f"the image {image} is not pinned" in one for image in unpinned)
    ] == []
    assert len(found) == len(unpinned)

    load_stand_ins(kube.api)
    # Names and namespaces of stacks are fixed: one at a time.
    with kube.exclusive():
        for where in sorted({namespace_of(one) for one in documents} - {""}):
            must_apply(kube.api, namespace(where))
            unlabel(kube, where)
        try:
            applied = apply_strict(kube.api, documents)
            assert applied.errors == ()
            assert [one for one in applied.warnings if not known(one)] == []
            assert len(applied.contents) == len(documents)
            assert changed_by_second_apply(kube.api, documents, applied) == []
        finally:
            left = remove(kube.api, documents)
        assert left == []


def unlabel(kube: Kube, where: str) -> None:
    """Take the Pod Security labels of the stack that was here before off: this one may not make the namespace."""
    marks = dict.fromkeys(f"pod-security.kubernetes.io/{mode}" for mode in ("enforce", "audit", "warn"))
    patched = kube.api.request(
        "PATCH",
        f"/api/v1/namespaces/{where}",
        {"metadata": {"labels": marks}},
        content_type="application/merge-patch+json",
    )
    assert patched.ok, patched.message


def known(warning: str) -> bool:
    """A warning that is as it should be: loadBalancerIP is deprecated, but it is what load balancers of homes read."""
    return "spec.loadBalancerIP" in warning


def test_the_repository_has_no_other_stack_of_a_cluster_that_is_not_looked_at() -> None:
    files = list(Path(__file__).parents[2].glob("Pulumi.*.yaml"))
    of_clusters = {
        path.name.split(".")[1] for path in files if "immich:docker:" not in path.read_text("utf-8")
    }
    assert of_clusters == set(REPOSITORY_STACKS)


def test_a_field_that_does_not_exist_would_be_told(kube: Kube) -> None:
    where = kube.new_namespace()
    wrong: Manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "x", "namespace": where},
        "date": {"a": "b"},
    }
    assert len(apply_strict(kube.api, [wrong]).errors) == 1
    assert of_kind([wrong], "ConfigMap")
