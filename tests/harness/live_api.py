"""A second pair of eyes on an API server: the `kubernetes` package's own client, independent of the offline
plugin.
"""

from __future__ import annotations

from typing import Any, cast

from kubernetes import config as kubernetes_config
from kubernetes import dynamic


class LiveApi:
    """Objects of one API server by apiVersion and kind."""

    def __init__(self, kubeconfig: str) -> None:
        connection = cast("Any", kubernetes_config).new_client_from_config(config_file=kubeconfig)
        self._client = cast("Any", dynamic.DynamicClient(connection))

    def _type(self, api_version: str, kind: str) -> Any:
        return self._client.resources.get(api_version=api_version, kind=kind)

    def create(self, item: dict[str, Any]) -> None:
        """Make an object."""
        where = item["metadata"].get("namespace")
        self._type(item["apiVersion"], item["kind"]).create(body=item, namespace=where)

    def get(
        self, api_version: str, kind: str, name: str, namespace: str | None = None
    ) -> dict[str, Any] | None:
        """The object, None when it or its type does not exist."""
        from kubernetes.dynamic.exceptions import NotFoundError, ResourceNotFoundError

        try:
            return cast(
                "dict[str, Any]", self._type(api_version, kind).get(name=name, namespace=namespace).to_dict()
            )
        except (NotFoundError, ResourceNotFoundError):
            return None

    def patch(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str | None,
        change: dict[str, Any],
        **more: Any,
    ) -> None:
        """Merge `change` into the object, as `kubectl patch --type=merge` does."""
        self._type(api_version, kind).patch(
            body=change, name=name, namespace=namespace, content_type="application/merge-patch+json", **more
        )

    def patch_status(
        self, api_version: str, kind: str, name: str, namespace: str, status: dict[str, Any]
    ) -> None:
        """Set fields of the object's status, as its controller would."""
        self._type(api_version, kind).status.patch(
            body={"status": status},
            name=name,
            namespace=namespace,
            content_type="application/merge-patch+json",
        )

    def delete(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> None:
        """Remove the object."""
        self._type(api_version, kind).delete(name=name, namespace=namespace)
