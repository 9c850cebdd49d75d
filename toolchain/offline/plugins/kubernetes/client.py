"""The Kubernetes API over HTTPS: verbs on objects, and errors as sentences.

The connection (certificates, tokens, exec plugins) is the `kubernetes` package's; it is imported only here,
because importing it takes longer than everything else that a plugin does at its start.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast
from urllib.parse import quote, urlencode

from toolchain.offline.plugins.kubernetes.objects import GroupKind, name_of, namespace_of, object_kind
from toolchain.offline.plugins.kubernetes.settings import Settings, kubeconfig_document
from toolchain.offline.plugins.provider import ProviderError
from toolchain.offline.plugins.values import Object, as_object, as_text, plain

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

_APPLY = "application/apply-patch+yaml"
_JSON_PATCH = "application/json-patch+json"
_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 60.0


class ApiError(ProviderError):
    """An answer of the API server that is not a success; `code` is the HTTP status, `reason` Kubernetes'
    word.
    """

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class UnreachableError(ProviderError):
    """No answer from the API server, or no permission to talk to it at all."""


class MissingKindError(ProviderError):
    """The API server does not know the object's type."""


class InterruptedWaitError(ProviderError):
    """The user interrupted while something was awaited."""


@dataclass(frozen=True)
class Endpoint:
    """Where the objects of a type are: URL path of the group version, plural name, whether they have a
    namespace.
    """

    prefix: str
    plural: str
    namespaced: bool


class _Pool(Protocol):
    def request(self, method: str, url: str, **options: object) -> BaseHTTPResponse: ...


class _Configuration(Protocol):
    username: str | None

    def get_api_key_with_prefix(self, identifier: str, alias: str | None = None) -> str | None: ...

    def get_basic_auth_token(self) -> str | None: ...


class Client:
    """One API server. Discovery answers are kept, except for types that were not there."""

    def __init__(self, settings: Settings) -> None:
        document = kubeconfig_document(settings.kubeconfig)
        self._configuration, self._pool, self.server = _connect(document, settings)
        self._endpoints: dict[GroupKind, Endpoint] = {}
        self._known_versions: set[str] = set()
        self._lock = threading.Lock()

    def endpoint(self, kind: GroupKind) -> Endpoint:
        """Where objects of the type are. Raises MissingKindError when the API server does not know the type."""
        with self._lock:
            if kind.api_version not in self._known_versions:
                self._discover(kind.api_version)
            found = self._endpoints.get(kind)
        if found is None:
            hint = (
                "check the kind's spelling"
                if "." not in kind.group or kind.group.endswith(".k8s.io")
                else f"install the CustomResourceDefinitions of {kind.group} first, then run the command again"
            )
            raise MissingKindError(
                f"the API server {self.server} does not know {kind.kind} in {kind.api_version}: {hint}"
            )
        return found

    def _discover(self, api_version: str) -> None:
        prefix = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        try:
            listed = self.request("GET", prefix)
        except ApiError as error:
            if error.code == 404:
                return
            raise
        resources = listed.get("resources")
        for entry in resources if isinstance(resources, list) else []:
            resource = as_object(entry)
            plural = as_text(resource.get("name"))
            if "/" not in plural:
                kind = GroupKind(api_version, as_text(resource.get("kind")))
                self._endpoints[kind] = Endpoint(prefix, plural, resource.get("namespaced") is True)
        self._known_versions.add(api_version)

    def forget_types(self) -> None:
        """Ask again which types there are: a CustomResourceDefinition came or went."""
        with self._lock:
            self._endpoints.clear()
            self._known_versions.clear()

    def path(self, kind: GroupKind, namespace: str, name: str = "") -> str:
        """The URL path of an object, or of the collection when `name` is empty."""
        place = self.endpoint(kind)
        middle = f"/namespaces/{quote(namespace or 'default')}" if place.namespaced else ""
        return f"{place.prefix}{middle}/{place.plural}" + (f"/{quote(name)}" if name else "")

    def get(self, kind: GroupKind, namespace: str, name: str) -> Object | None:
        """The object, None when it does not exist."""
        try:
            return self.request("GET", self.path(kind, namespace, name))
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    def list(self, kind: GroupKind, namespace: str = "", **query: str) -> list[Object]:
        """The objects of a type, of one namespace or of all."""
        place = self.endpoint(kind)
        path = self.path(kind, namespace) if namespace else f"{place.prefix}/{place.plural}"
        items = self.request("GET", path, query=query).get("items")
        return [as_object(item) for item in items] if isinstance(items, list) else []

    def create(self, item: Object, field_manager: str) -> Object:
        """Make the object. Raises ApiError with reason AlreadyExists when it is there."""
        path = self.path(object_kind(item), namespace_of(item))
        return self.request("POST", path, body=item, query={"fieldManager": field_manager})

    def apply(self, item: Object, field_manager: str, *, force: bool) -> Object:
        """Server-side apply."""
        path = self.path(object_kind(item), namespace_of(item), name_of(item))
        query = {"fieldManager": field_manager, "force": "true" if force else "false"}
        return self.request("PATCH", path, body=item, query=query, content_type=_APPLY)

    def json_patch(self, item: Object, patch: list[Object], field_manager: str) -> Object:
        """Change single fields of an object (RFC 6902)."""
        path = self.path(object_kind(item), namespace_of(item), name_of(item))
        query = {"fieldManager": field_manager}
        return self.request("PATCH", path, body=patch, query=query, content_type=_JSON_PATCH)

    def delete(self, kind: GroupKind, namespace: str, name: str, propagation: str) -> bool:
        """Ask for the object's removal; False when it does not exist."""
        try:
            self.request("DELETE", self.path(kind, namespace, name), body={"propagationPolicy": propagation})
        except ApiError as error:
            if error.code == 404:
                return False
            raise
        return True

    def request(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Object:
        """One request; the decoded answer. Raises ApiError or UnreachableError."""
        url = self.server + path + (f"?{urlencode(query)}" if query else "")
        headers = {"Accept": "application/json", **_authorization(self._configuration)}
        if body is not None:
            headers["Content-Type"] = content_type
        response = self._send(method, url, headers, None if body is None else json.dumps(body))
        try:
            answer = as_object(plain(json.loads(response.data or b"{}")))
        except ValueError:
            raise ApiError(
                response.status, "", f"{self.server} answered {response.status} with something that is not JSON: "
                "check that the kubeconfig's server is a Kubernetes API server"
            ) from None  # fmt: skip
        if response.status >= 400:
            raise self._error(response.status, answer)
        return answer

    def text(self, path: str, query: Mapping[str, str]) -> str:
        """What is no JSON, such as the log of a container. Raises ApiError or UnreachableError."""
        url = f"{self.server}{path}?{urlencode(query)}"
        response = self._send("GET", url, _authorization(self._configuration), None)
        body = bytes(response.data or b"").decode(errors="replace")
        if response.status < 400:
            return body
        answer: Object = {"message": body.strip()}
        with contextlib.suppress(ValueError):
            answer = as_object(plain(json.loads(body)))
        raise self._error(response.status, answer)

    def _send(self, method: str, url: str, headers: dict[str, str], body: str | None) -> BaseHTTPResponse:
        import urllib3
        from urllib3.exceptions import HTTPError

        timeout = urllib3.Timeout(connect=_CONNECT_SECONDS, read=_ANSWER_SECONDS)
        try:
            # Only reading is tried again: a write may have arrived although its answer did not.
            retries = urllib3.Retry(
                total=None, connect=2, read=2 if method == "GET" else 0, backoff_factor=0.2
            )
            return self._pool.request(
                method, url, headers=headers, body=body, timeout=timeout, retries=retries
            )
        except HTTPError as error:
            raise UnreachableError(
                f"the Kubernetes API server {self.server} cannot be reached ({_cause(error)}): check that "
                f"the cluster "
                "runs and that the kubeconfig's context and server are the ones you mean"
            ) from None

    def _error(self, code: int, answer: Object) -> ApiError | UnreachableError:
        message = as_text(answer.get("message")) or f"HTTP status {code}"
        reason = as_text(answer.get("reason"))
        if code == 401:
            return UnreachableError(
                f"the Kubernetes API server {self.server} refused the kubeconfig's credentials: log in "
                f"again, or check "
                "the user of the current context"
            )
        return ApiError(code, reason, message)


def _cause(error: BaseException) -> str:
    reason = getattr(error, "reason", None)
    text = str(reason if reason is not None else error)
    for known in (
        "Connection refused",
        "Name or service not known",
        "timed out",
        "certificate verify failed",
    ):
        if known in text:
            return known.lower()
    return text.rsplit(": ", 1)[-1]


def _connect(document: Object, settings: Settings) -> tuple[_Configuration, _Pool, str]:
    """The `kubernetes` package's configuration, its connection pool, and the server's URL.

    The package has no type information, so its objects are `Any` up to here.
    """
    from kubernetes import client as library
    from kubernetes.config import ConfigException, kube_config

    if settings.cluster:
        document = _with_cluster(document, settings)
    configuration = cast("Any", library.Configuration())
    try:
        cast("Any", kube_config).load_kube_config_from_dict(
            document, context=settings.context or None, client_configuration=configuration
        )
    except ConfigException as error:
        contexts = document.get("contexts")
        names = (
            [as_text(as_object(entry).get("name")) for entry in contexts]
            if isinstance(contexts, list)
            else []
        )
        wanted = settings.context or as_text(document.get("current-context"))
        if wanted not in names:
            known = ", ".join(names) or "none"
            raise ProviderError(f"the kubeconfig has no context {wanted!r}; it has: {known}") from None
        raise ProviderError(f"the kubeconfig cannot be used: {error}") from None
    configuration.retries = 0
    configuration.connection_pool_maxsize = 48
    api = cast("Any", library.ApiClient(configuration))
    return (
        cast("_Configuration", configuration),
        cast("_Pool", api.rest_client.pool_manager),
        str(configuration.host).rstrip("/"),
    )


def _with_cluster(document: Object, settings: Settings) -> Object:
    """The kubeconfig with the chosen context pointing at the cluster of the `cluster` setting."""
    wanted = settings.context or as_text(document.get("current-context"))

    def changed(entry: Object) -> Object:
        if entry.get("name") != wanted:
            return entry
        return {**entry, "context": {**as_object(entry.get("context")), "cluster": settings.cluster}}

    contexts = document.get("contexts")
    return {
        **document,
        "contexts": [changed(as_object(entry)) for entry in contexts] if isinstance(contexts, list) else [],
    }


def _authorization(configuration: _Configuration) -> dict[str, str]:
    token = configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
    if token:
        return {"Authorization": str(token)}
    basic = configuration.get_basic_auth_token() if configuration.username else None
    return {"Authorization": str(basic)} if basic else {}
