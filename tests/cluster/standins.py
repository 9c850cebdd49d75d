"""Stand-ins for what this cluster's API server lacks: kinds whose CRDs are not at hand, and the work of operators."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, cast

from tests.cluster.stand_in_policies import POLICIES
from tests.harness.kube import Kube
from tests.harness.objects import Manifest, at, items
from toolchain.offline.cluster.api import Api
from toolchain.offline.cluster.crd_loading import load_crds

CILIUM_NETWORK_POLICY: Manifest = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "ciliumnetworkpolicies.cilium.io"},
    "spec": {
        "group": "cilium.io",
        "scope": "Namespaced",
        "names": {
            "kind": "CiliumNetworkPolicy",
            "listKind": "CiliumNetworkPolicyList",
            "plural": "ciliumnetworkpolicies",
            "singular": "ciliumnetworkpolicy",
        },
        "versions": [
            {
                "name": "v2",
                "served": True,
                "storage": True,
                # Any field is taken: this kind is judged by tests/harness/cilium.py, and not by the API server.
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                        },
                    }
                },
            }
        ],
    },
}


def load_stand_ins(api: Api) -> None:
    """Make the kinds known; doing it twice changes nothing."""
    load_crds(api, [CILIUM_NETWORK_POLICY, *POLICIES])


def must_apply(api: Api, document: Manifest) -> None:
    """Server-side apply that has to succeed."""
    answer = api.apply(document)
    assert answer.ok, f"{document['kind']} {document['metadata']['name']}: {answer.message}"


def namespace(name: str) -> Manifest:
    """A plain Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


class _Repeated(threading.Thread):
    """Something done again and again until its end."""

    def __init__(self, kube: Kube, pause: float) -> None:
        super().__init__(daemon=True)
        self._api = Api.from_kubeconfig(kube.kubeconfig)
        self._pause = pause
        self._ended = threading.Event()
        self.problem: str = ""

    def run(self) -> None:
        while not self._ended.wait(self._pause):
            self._act()
        self._api.close()

    def _act(self) -> None:
        raise NotImplementedError

    def end(self) -> None:
        """Stop; AssertionError when the API server did not take what was said."""
        self._ended.set()
        self.join(10)
        assert not self.is_alive()
        assert self.problem == "", self.problem

    def _list(self, path: str) -> list[Manifest]:
        answer = self._api.request("GET", path)
        return cast("list[Manifest]", answer.body.get("items") or []) if answer.ok else []

    def _patch(self, path: str, change: Manifest) -> bool:
        answer = self._api.request("PATCH", path, change, content_type="application/merge-patch+json")
        if not answer.ok and answer.status != 404:
            self.problem = f"{path}: {answer.message}"
        return answer.ok


class StandInProtection(_Repeated):
    """The controllers that let deleted claims and volumes go, on a cluster without controllers.

    Nothing mounts them there, so a deleted one may go at once.
    """

    def __init__(self, kube: Kube, where: str) -> None:
        super().__init__(kube, 0.1)
        self._where = where

    def _act(self) -> None:
        claims, volumes = (
            f"/api/v1/namespaces/{self._where}/persistentvolumeclaims",
            "/api/v1/persistentvolumes",
        )
        for path in (claims, volumes):
            for one in self._list(path):
                name = str(at(one, "metadata", "name"))
                mine = path == claims or name.startswith(f"{self._where}-")
                if mine and at(one, "metadata", "deletionTimestamp") is not None:
                    self._patch(f"{path}/{name}", {"metadata": {"finalizers": None}})


_CNPG = "/apis/postgresql.cnpg.io/v1"


class StandInOperators(_Repeated):
    """What CloudNativePG and External Secrets say about their objects in some namespaces, some seconds late.

    Only their conditions are made: enough to see who waits for them.
    """

    def __init__(self, kube: Kube, namespaces: tuple[str, ...], seconds: float) -> None:
        super().__init__(kube, 0.2)
        self._namespaces = namespaces
        self._seconds = seconds
        self._seen: dict[str, float] = {}
        self.said: dict[str, str] = {}
        """Plural and name -> when it was called ready, as the API server writes times."""

    def _act(self) -> None:
        for where in self._namespaces:
            self._clusters(where)
            self._databases(where)
            self._secrets(where)

    def _clusters(self, where: str) -> None:
        for one in self._due(f"{_CNPG}/namespaces/{where}/clusters"):
            self._say(one, f"{_CNPG}/namespaces/{where}/clusters", {"conditions": [_condition("Ready")]})

    def _databases(self, where: str) -> None:
        ready = {
            at(one, "metadata", "name")
            for one in self._list(f"{_CNPG}/namespaces/{where}/clusters")
            if items(one, "status", "conditions")
        }
        for one in self._due(f"{_CNPG}/namespaces/{where}/databases"):
            if at(one, "spec", "cluster", "name") in ready:
                self._say(one, f"{_CNPG}/namespaces/{where}/databases", {"applied": True})

    def _secrets(self, where: str) -> None:
        path = f"/apis/external-secrets.io/v1/namespaces/{where}/externalsecrets"
        for one in self._due(path):
            self._say(one, path, {"conditions": [_condition("Ready")]})

    def _due(self, path: str) -> Iterator[Manifest]:
        for one in self._list(path):
            uid = str(at(one, "metadata", "uid"))
            since = self._seen.setdefault(uid, time.monotonic())
            if at(one, "status") is None and time.monotonic() - since >= self._seconds:
                yield one

    def _say(self, one: Manifest, path: str, status: dict[str, Any]) -> None:
        name = str(at(one, "metadata", "name"))
        now = _now()
        if self._patch(f"{path}/{name}/status", {"status": status}):
            self.said[f"{path.rsplit('/', 1)[-1]}/{name}"] = now


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _condition(kind: str) -> dict[str, str]:
    return {
        "type": kind,
        "status": "True",
        "reason": "StandIn",
        "message": "said by a test",
        "lastTransitionTime": _now(),
    }


@contextmanager
def at_work(*threads: _Repeated) -> Generator[None]:
    """These stand-ins act while the block runs; what they could not do fails the test."""
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.end()
