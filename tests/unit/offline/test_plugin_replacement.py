"""Which changes of inputs make the offline kubernetes plugin replace an object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from toolchain.offline.plugins.kubernetes.plugin import KubernetesProvider
from toolchain.offline.plugins.provider import Diff, DiffRequest, Host, Severity

pytestmark = pytest.mark.deep(unless_changed=("toolchain/offline/plugins",))


def silent(severity: Severity, message: str, urn: str = "", *, status: bool = False) -> None:
    """Takes a message and shows it to nobody."""


def provider(**settings: Any) -> KubernetesProvider:
    made = KubernetesProvider()
    made.start(Host(root=Path("/nowhere"), log=silent))
    made.configure({"renderYamlToDirectory": "out", **settings})
    return made


def item(api_version: str, kind: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x", "namespace": "n"}, **fields}


def diff(old: dict[str, Any], new: dict[str, Any], **settings: Any) -> Diff:
    kind = old["kind"]
    version = old["apiVersion"] if "/" in old["apiVersion"] else f"core/{old['apiVersion']}"
    request = DiffRequest(
        urn=f"urn:pulumi:s::p::kubernetes:{version}:{kind}::x", id="n/x", olds=old, old_inputs=old, news=new
    )
    return provider(**settings).diff(request)


def replaced(found: Diff) -> list[str]:
    return sorted(path for path, change in found.changes.items() if change.replace)


SELECTOR = {"spec": {"selector": {"matchLabels": {"a": "1"}}}}
REPLACING = [
    ("apps/v1", "Deployment", SELECTOR, {"spec": {"selector": {"matchLabels": {"a": "2"}}}}),
    ("apps/v1", "StatefulSet", {"spec": {"serviceName": "a"}}, {"spec": {"serviceName": "b"}}),
    ("apps/v1", "StatefulSet", {"spec": {"podManagementPolicy": "Parallel"}}, {"spec": {}}),
    (
        "apps/v1",
        "StatefulSet",
        {"spec": {"volumeClaimTemplates": [{"spec": {"resources": {"requests": {"storage": "1Gi"}}}}]}},
        {"spec": {"volumeClaimTemplates": [{"spec": {"resources": {"requests": {"storage": "2Gi"}}}}]}},
    ),
    ("batch/v1", "Job", {"spec": {"template": {"a": 1}}}, {"spec": {"template": {"a": 2}}}),
    ("batch/v1", "Job", {"spec": {"completions": 1}}, {"spec": {"completions": 2}}),
    ("v1", "PersistentVolumeClaim", {"spec": {"accessModes": ["A"]}}, {"spec": {"accessModes": ["B"]}}),
    ("v1", "PersistentVolumeClaim", {"spec": {"storageClassName": "a"}}, {"spec": {"storageClassName": "b"}}),
    ("v1", "PersistentVolumeClaim", {"spec": {}}, {"spec": {"volumeName": "b"}}),
    ("v1", "PersistentVolume", {"spec": {"nfs": {"path": "/a"}}}, {"spec": {"nfs": {"path": "/b"}}}),
    ("v1", "PersistentVolume", {"spec": {"csi": {"driver": "a"}}}, {"spec": {"csi": {"driver": "b"}}}),
    ("v1", "PersistentVolume", {"spec": {"hostPath": {"path": "/a"}}}, {"spec": {"local": {"path": "/a"}}}),
    ("v1", "Service", {"spec": {"clusterIP": "None"}}, {"spec": {}}),
    ("v1", "ConfigMap", {"data": {"a": "1"}}, {"data": {"a": "2"}}),
    ("v1", "ConfigMap", {"binaryData": {"a": "MQ=="}}, {"binaryData": {}}),
    ("v1", "Secret", {"stringData": {"a": "1"}}, {"stringData": {"a": "2"}}),
    ("v1", "Secret", {"data": {"a": "MQ=="}}, {"data": {"a": "Mg=="}}),
    ("v1", "Secret", {"type": "Opaque"}, {"type": "kubernetes.io/tls"}),
    ("rbac.authorization.k8s.io/v1", "RoleBinding", {"roleRef": {"name": "a"}}, {"roleRef": {"name": "b"}}),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", {"roleRef": {"name": "a"}}, {"roleRef": {"name": "b"}}),
    ("storage.k8s.io/v1", "StorageClass", {"provisioner": "a"}, {"provisioner": "b"}),
    ("v1", "Pod", {"spec": {"containers": [{"image": "a"}]}}, {"spec": {"containers": [{"image": "b"}]}}),
]  # fmt: skip

IN_PLACE = [
    ("apps/v1", "Deployment", {"spec": {"replicas": 1}}, {"spec": {"replicas": 2}}),
    ("apps/v1", "Deployment", {"spec": {"template": {"a": 1}}}, {"spec": {"template": {"a": 2}}}),
    ("apps/v1", "StatefulSet", {"spec": {"template": {"a": 1}}}, {"spec": {"template": {"a": 2}}}),
    (
        "v1",
        "PersistentVolumeClaim",
        {"spec": {"resources": {"requests": {"storage": "1Gi"}}}},
        {"spec": {"resources": {"requests": {"storage": "2Gi"}}}},
    ),
    ("v1", "PersistentVolume", {"spec": {"capacity": {"storage": "1Gi"}}}, {"spec": {"capacity": {"storage": "2Gi"}}}),
    ("v1", "Service", {"spec": {"ports": [{"port": 80}]}}, {"spec": {"ports": [{"port": 81}]}}),
    ("postgresql.cnpg.io/v1", "Cluster", {"spec": {"instances": 1}}, {"spec": {"instances": 3}}),
    # The API server refuses these; the official plugin tries them all the same.
    ("apps/v1", "DaemonSet", SELECTOR, {"spec": {"selector": {}}}),
    ("v1", "PersistentVolumeClaim", {"spec": {"volumeMode": "Block"}}, {"spec": {}}),
    ("v1", "PersistentVolumeClaim", {"spec": {}}, {"spec": {"dataSource": {"name": "s"}}}),
    ("storage.k8s.io/v1", "StorageClass", {"reclaimPolicy": "Delete"}, {"reclaimPolicy": "Retain"}),
    ("networking.k8s.io/v1", "IngressClass", {"spec": {"controller": "a"}}, {"spec": {"controller": "b"}}),
    ("v1", "PersistentVolume", {"spec": {"volumeMode": "Block"}}, {"spec": {"volumeMode": "Filesystem"}}),
    ("batch/v1", "Job", {"spec": {"completionMode": "Indexed"}}, {"spec": {}}),
    ("batch/v1", "Job", {"spec": {"ttlSecondsAfterFinished": 1}}, {"spec": {"ttlSecondsAfterFinished": 2}}),
]  # fmt: skip


@pytest.mark.parametrize(("api_version", "kind", "old", "new"), REPLACING)
def test_a_change_that_the_official_plugin_replaces_on_replaces_and_deletes_first(
    api_version: str, kind: str, old: dict[str, Any], new: dict[str, Any]
) -> None:
    found = diff(item(api_version, kind, **old), item(api_version, kind, **new))
    assert replaced(found)
    assert found.delete_before_replace


@pytest.mark.parametrize(("api_version", "kind", "old", "new"), IN_PLACE)
def test_any_other_change_is_an_update(
    api_version: str, kind: str, old: dict[str, Any], new: dict[str, Any]
) -> None:
    found = diff(item(api_version, kind, **old), item(api_version, kind, **new))
    assert found.changes
    assert replaced(found) == []
    assert not found.delete_before_replace


@pytest.mark.parametrize(
    ("kind", "setting", "field"),
    [("ConfigMap", "enableConfigMapMutable", "data"), ("Secret", "enableSecretMutable", "stringData")],
)
def test_data_is_updated_in_place_when_the_provider_allows_it(kind: str, setting: str, field: str) -> None:
    old, new = item("v1", kind, **{field: {"a": "1"}}), item("v1", kind, **{field: {"a": "2"}})
    assert replaced(diff(old, new, **{setting: "true"})) == []
    immutable = {"immutable": True}
    assert replaced(diff(old | immutable, new | immutable, **{setting: "true"})) == [f"{field}.a"]


def test_another_name_is_a_replacement_that_need_not_delete_first() -> None:
    old = item("v1", "Service")
    found = diff(old, {**old, "metadata": {"name": "y", "namespace": "n"}})
    assert replaced(found) == ["metadata.name"]
    assert not found.delete_before_replace


def test_a_generated_name_lets_the_new_object_exist_beside_the_old() -> None:
    old = item("v1", "ConfigMap", data={"a": "1"})
    old["metadata"]["annotations"] = {"pulumi.com/autonamed": "true"}
    found = diff(old, {**old, "data": {"a": "2"}})
    assert replaced(found) == ["data.a"]
    assert not found.delete_before_replace


def test_no_namespace_and_default_are_the_same_place() -> None:
    old = item("v1", "Service")
    old["metadata"] = {"name": "x"}
    assert diff(old, {**old, "metadata": {"name": "x", "namespace": "default"}}).changes == {}


def test_numbers_are_compared_by_value_and_true_is_not_one() -> None:
    old = item("apps/v1", "Deployment", spec={"replicas": 2, "paused": True})
    assert diff(old, item("apps/v1", "Deployment", spec={"replicas": 2.0, "paused": True})).changes == {}
    assert (
        "spec.paused" in diff(old, item("apps/v1", "Deployment", spec={"replicas": 2, "paused": 1})).changes
    )


def test_a_new_kubeconfig_for_the_same_cluster_identifier_replaces_nothing() -> None:
    def kubeconfig(server: str) -> str:
        return (
            f'{{"current-context": "c", "contexts": [{{"name": "c", "context": {{"cluster": "k"}}}}],'
            f' "clusters": [{{"name": "k", "cluster": {{"server": "{server}"}}}}]}}'
        )

    old, new = {"kubeconfig": kubeconfig("https://a")}, {"kubeconfig": kubeconfig("https://b")}
    made = provider()
    assert replaced(made.diff_config(dict(old), dict(new))) == ["kubeconfig"]
    same = {"clusterIdentifier": "home"}
    assert replaced(made.diff_config({**old, **same}, {**new, **same})) == []
    assert made.diff_config({**old, **same}, {**new, **same}).changes
    other = made.diff_config({**old, **same}, {**old, "clusterIdentifier": "away"})
    assert replaced(other) == ["clusterIdentifier"]


SAME = [
    ("v1", "Secret", {"data": {"a": "MQ=="}}, {"stringData": {"a": "1"}}),
    ("v1", "Secret", {"stringData": {"a": "1"}}, {"data": {"a": "MQ=="}}),
    ("v1", "PersistentVolume", {"spec": {"nfs": {}}}, {"spec": {"nfs": {}, "storageClassName": ""}}),
]


@pytest.mark.parametrize(("api_version", "kind", "old", "new"), SAME)
def test_what_the_official_plugin_writes_otherwise_is_no_change(
    api_version: str, kind: str, old: dict[str, Any], new: dict[str, Any]
) -> None:
    assert diff(item(api_version, kind, **old), item(api_version, kind, **new)).changes == {}


def test_a_text_of_a_secret_that_differs_from_the_encoded_one_is_a_change() -> None:
    found = diff(item("v1", "Secret", data={"a": "MQ=="}), item("v1", "Secret", stringData={"a": "2"}))
    assert list(found.changes) == ["data.a"]
