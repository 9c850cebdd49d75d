"""Which class a manifest is handed to, and what no class takes."""

from __future__ import annotations

from typing import Any

import pulumi_kubernetes
import pytest
from pulumi_kubernetes.apiextensions import CustomResource

from components.platform.kubernetes.objects import class_of, register
from tests.harness import mocks

PREFIX = "pulumi_kubernetes"


@pytest.mark.parametrize(
    ("api_version", "kind", "module"),
    [
        ("v1", "Secret", "core.v1"),
        ("apps/v1", "Deployment", "apps.v1"),
        ("networking.k8s.io/v1", "Ingress", "networking.v1"),
        ("rbac.authorization.k8s.io/v1", "Role", "rbac.v1"),
    ],
)
def test_a_kind_of_kubernetes_has_a_class_of_its_own(api_version: str, kind: str, module: str) -> None:
    found = class_of(api_version, kind)
    assert isinstance(found, type)
    assert (found.__name__, found.__module__) == (kind, f"{PREFIX}.{module}.{kind}")


@pytest.mark.parametrize(
    ("api_version", "kind"),
    [
        ("gateway.networking.k8s.io/v1", "HTTPRoute"),
        ("snapshot.storage.k8s.io/v1", "VolumeSnapshot"),
        ("postgresql.cnpg.io/v1", "Cluster"),
        # Not that of pulumi_kubernetes.apps.
        ("apps.example.org/v1", "Deployment"),
    ],
)
def test_whatever_comes_by_a_definition_has_one_class(api_version: str, kind: str) -> None:
    assert class_of(api_version, kind) is CustomResource


def test_a_kind_that_kubernetes_lacks_is_an_error() -> None:
    with pytest.raises(AttributeError, match="Deploiment"):
        class_of("apps/v1", "Deploiment")


def registered(manifest: dict[str, Any]) -> list[mocks.Recorded]:
    def program() -> None:
        provider = pulumi_kubernetes.Provider("kubernetes")
        register(manifest, name="a", namespace="b", labels={}, parent=provider)

    return [one for one in mocks.run(program).resources if not one.type.startswith("pulumi:")]


@pytest.mark.parametrize("api_version", ["v1", "example.org/v1"])
def test_a_field_that_the_kind_does_not_have_is_an_error(api_version: str) -> None:
    with pytest.raises(TypeError, match="strange_data"):
        registered({"apiVersion": api_version, "kind": "Secret", "strangeData": {"a": "b"}})


def test_names_below_the_first_level_stay_as_they_are() -> None:
    data = {"camelCase": "x", "snake_case": "y", "a-b.c": "z"}
    given: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "binaryData": data, "data": data}
    (made,) = registered({**given, "metadata": {"annotations": data}})
    assert made.props == {
        **given,
        "metadata": {"name": "a", "namespace": "b", "labels": {}, "annotations": data},
    }


def test_a_value_of_a_secret_is_secret_however_it_was_given() -> None:
    (made,) = registered({"apiVersion": "v1", "kind": "Secret", "stringData": {"a": "x"}})
    assert made.props["stringData"] == mocks.Secret({"a": "x"})
    assert set(made.secret_outputs) == {"data", "stringData"}
