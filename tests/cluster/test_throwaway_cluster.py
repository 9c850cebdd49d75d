"""The throw-away cluster does what the tests on it rely on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.harness.kube import Kube
from tests.harness.manifests import apply_strict, changed_by_second_apply, remove
from toolchain import crds
from toolchain.offline.cluster.api import Api
from toolchain.offline.cluster.crd_loading import read_crds

pytestmark = pytest.mark.deep(unless_changed=("toolchain/offline/cluster",))

LABELS = {"app": "example"}


def pod_spec(**more: Any) -> dict[str, Any]:
    return {"containers": [{"name": "main", "image": "example.invalid/app:1"}], **more}


def deployment(namespace: str, spec: dict[str, Any], replicas: int = 1) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "example", "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": spec},
        },
    }


def claim(namespace: str, storage_class: str = "longhorn") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": namespace},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
            "storageClassName": storage_class,
        },
    }


def eventually(what: str, holds: Callable[[], bool], seconds: float) -> float:
    """Wait until `holds`; returns how long that took."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, f"{what} did not happen within {seconds:.0f} s"
        time.sleep(0.2)
    return time.monotonic() - began


def test_the_api_server_is_the_pinned_kubernetes_and_says_so(kube: Kube) -> None:
    version = kube.api.request("GET", "/version").body
    assert (version["gitVersion"], version["major"], version["minor"]) == ("v1.36.3", "1", "36")


def test_the_dynamic_client_reaches_the_same_server(kube: Kube) -> None:
    name = kube.new_namespace("client")
    namespaces = kube.client.resources.get(api_version="v1", kind="Namespace")
    assert namespaces.get(name=name).metadata.name == name


def test_a_misspelt_field_is_refused_and_the_object_is_named(kube: Kube) -> None:
    wrong = deployment(kube.new_namespace(), pod_spec(restartPolicyy="Always"))
    result = apply_strict(kube.api, [wrong])
    assert len(result.errors) == 1
    assert "Deployment" in result.errors[0]
    assert "restartPolicyy" in result.errors[0]


def test_a_field_that_a_crd_does_not_know_is_refused(kube: Kube) -> None:
    route: dict[str, Any] = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "photos", "namespace": kube.new_namespace()},
        "spec": {"hostnames": ["photos.example.org"], "hostName": "photos.example.org"},
    }
    result = apply_strict(kube.api, [route])
    assert len(result.errors) == 1
    assert "hostName" in result.errors[0]
    del route["spec"]["hostName"]
    assert apply_strict(kube.api, [route]).errors == ()


def test_all_refusals_are_collected_and_a_secret_is_not_quoted(kube: Kube) -> None:
    namespace = kube.new_namespace()
    documents: list[dict[str, Any]] = [
        {
            "apiVersion": "nowhere.invalid/v1",
            "kind": "Missing",
            "metadata": {"name": "x", "namespace": namespace},
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "login", "namespace": namespace},
            "data": {"password": "hunter2-is-not-base64!"},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web", "namespace": namespace},
            "spec": {"ports": []},
        },
    ]
    result = apply_strict(kube.api, documents)
    assert [error.split(":")[0] for error in result.errors] == [
        f"Missing {namespace}/x",
        f"Secret {namespace}/login",
        f"Service {namespace}/web",
    ]
    assert "hunter2" not in " ".join(result.errors)


def test_a_second_application_changes_nothing_and_another_value_does(kube: Kube) -> None:
    namespace = kube.new_namespace()
    documents: list[dict[str, Any]] = [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "login", "namespace": namespace},
            "stringData": {"user": "immich"},
        },
        claim(namespace),
        deployment(namespace, pod_spec()),
    ]
    first = apply_strict(kube.api, documents)
    assert first.errors == ()
    assert changed_by_second_apply(kube.api, documents, first) == []
    documents[0]["stringData"]["user"] = "somebody"
    assert changed_by_second_apply(kube.api, documents, first) == [
        f"Secret {namespace}/login changed by a second application of the same manifest."
    ]


def test_a_dry_run_stores_nothing(kube: Kube) -> None:
    document = claim(kube.new_namespace())
    assert apply_strict(kube.api, [document], dry_run=True).errors == ()
    assert kube.api.get(document).status == 404


def test_removed_objects_are_gone_even_with_a_finalizer(kube: Kube) -> None:
    document = claim(kube.new_namespace())
    assert apply_strict(kube.api, [document]).errors == ()
    assert kube.api.get(document).body["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    assert remove(kube.api, [document]) == []
    assert kube.api.get(document).status == 404


def test_pod_security_of_the_namespace_is_reported_as_a_warning(kube: Kube) -> None:
    namespace = kube.new_namespace(labels={"pod-security.kubernetes.io/warn": "restricted"})
    result = apply_strict(kube.api, [deployment(namespace, pod_spec())])
    assert result.errors == ()
    assert any("would violate PodSecurity" in warning for warning in result.warnings)


def test_nobody_gets_in_without_the_token(kube: Kube) -> None:
    anonymous = Api.from_kubeconfig(kube.kubeconfig, anonymous=True)
    refused = anonymous.request("GET", "/api/v1/secrets")
    anonymous.token = "not-the-token"
    unknown = anonymous.request("GET", "/api/v1/secrets")
    anonymous.close()
    assert (refused.status, unknown.status) == (403, 401)
    assert "system:anonymous" in refused.message


def test_the_kubeconfig_is_private(kube: Kube) -> None:
    assert kube.kubeconfig.stat().st_mode & 0o777 == 0o600


def test_every_crd_is_established_and_its_kind_is_served(kube: Kube) -> None:
    folder = crds.find()
    assert folder is not None
    definitions = read_crds(folder)
    assert len(definitions) > 20
    for definition in definitions:
        spec = definition["spec"]
        for version in (one["name"] for one in spec["versions"] if one["served"]):
            kind = kube.api.resource_type(f"{spec['group']}/{version}", spec["names"]["kind"])
            assert kind.plural == spec["names"]["plural"]


def test_a_bare_pod_is_accepted_without_controllers(kube: Kube) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "one", "namespace": "default"},
        "spec": pod_spec(),
    }
    result = apply_strict(kube.api, [pod])
    assert (result.errors, list(result.contents)) == ((), ["Pod default/one"])
    assert remove(kube.api, [pod]) == []


def test_with_nodes_two_replicas_become_ready_within_a_minute(kube_with_nodes: Kube) -> None:
    document = deployment(kube_with_nodes.new_namespace(), pod_spec(), replicas=2)
    assert apply_strict(kube_with_nodes.api, [document]).errors == ()
    eventually(
        "two Ready pods",
        lambda: kube_with_nodes.api.get(document).body.get("status", {}).get("readyReplicas") == 2,
        60,
    )


def test_with_nodes_a_claim_waits_for_its_first_consumer_and_is_then_bound(kube_with_nodes: Kube) -> None:
    api, namespace = kube_with_nodes.api, kube_with_nodes.new_namespace()
    wanted = claim(namespace)
    assert apply_strict(api, [wanted]).errors == ()
    time.sleep(3)
    assert api.get(wanted).body["status"]["phase"] == "Pending"
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
    consumer = deployment(namespace, pod_spec(volumes=[volume]))
    assert apply_strict(api, [consumer]).errors == ()
    eventually("a bound claim", lambda: api.get(wanted).body["status"]["phase"] == "Bound", 60)
    eventually("a Ready pod", lambda: api.get(consumer).body.get("status", {}).get("readyReplicas") == 1, 60)


def test_with_nodes_a_static_volume_binds_at_once(kube_with_nodes: Kube) -> None:
    api, namespace = kube_with_nodes.api, kube_with_nodes.new_namespace()
    wanted = claim(namespace, storage_class="")
    wanted["spec"]["volumeName"] = f"photos-{namespace}"
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"photos-{namespace}"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "1Gi"},
            "storageClassName": "",
            "persistentVolumeReclaimPolicy": "Retain",
            "nfs": {"server": "192.0.2.10", "path": "/photos"},
        },
    }
    assert apply_strict(api, [volume, wanted]).errors == ()
    eventually("a bound claim", lambda: api.get(wanted).body["status"]["phase"] == "Bound", 60)
