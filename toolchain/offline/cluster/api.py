"""A small client of the Kubernetes API: JSON over one kept connection, with the server's warnings.

Made for the start of the cluster, which must not wait for a large client library to be imported, and for the
checks that need what such libraries hide: strict field validation, dry runs and warning headers.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml

Json = dict[str, Any]
"""A JSON object whose shape only its API kind tells."""

FIELD_MANAGER = "throw-away-cluster"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API server answered: HTTP status, body, and the texts of its `Warning` headers."""

    status: int
    body: Json
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the request was carried out."""
        return 200 <= self.status < 300

    @property
    def message(self) -> str:
        """The server's own words, for an error."""
        return str(self.body.get("message") or f"HTTP {self.status}")


@dataclass(frozen=True, slots=True)
class ResourceType:
    """How a kind is addressed: the plural in its path, and whether it lives in namespaces."""

    plural: str
    namespaced: bool


class KindNotServedError(Exception):
    """The API server does not serve this apiVersion and kind (a CRD is missing, or a name is misspelt)."""


@dataclass(slots=True)
class Api:
    """Access to one API server. Not for several threads at once."""

    host: str
    port: int
    authority: str
    """PEM text of the certificate authority."""
    token: str | None = field(default=None, repr=False)
    timeout: float = 30.0
    _connection: http.client.HTTPSConnection | None = field(default=None, repr=False)
    _types: dict[str, dict[str, ResourceType]] = field(
        default_factory=dict[str, dict[str, ResourceType]], repr=False
    )

    @classmethod
    def from_kubeconfig(cls, path: Path, *, anonymous: bool = False) -> Api:
        """Read a kubeconfig as written by this package: one cluster, a bearer token, embedded certificates."""
        config = cast("Json", yaml.safe_load(path.read_text(encoding="utf-8")))
        cluster = cast("Json", config["clusters"][0]["cluster"])
        url = urllib.parse.urlsplit(str(cluster["server"]))
        return cls(
            host=url.hostname or "127.0.0.1",
            port=url.port or 443,
            authority=base64.b64decode(cluster["certificate-authority-data"]).decode(),
            token=None if anonymous else str(config["users"][0]["user"]["token"]),
        )

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: dict[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Answer:
        """Send one request. Raises OSError when the server cannot be reached; any HTTP status is an Answer."""
        headers = {"Accept": "application/json", "Content-Type": content_type}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        target = f"{path}?{urllib.parse.urlencode(query)}" if query else path
        payload = None if body is None else json.dumps(body)
        try:
            return self._send(method, target, payload, headers)
        except (http.client.CannotSendRequest, ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            # A kept connection may have been closed meanwhile, also between two TLS records; once more on a new one.
            self.close()
            return self._send(method, target, payload, headers)

    def apply(self, document: Json, *, dry_run: bool = False, manager: str = FIELD_MANAGER) -> Answer:
        """Server-side apply with strict field validation: an unknown or doubled field is refused."""
        query = {"fieldManager": manager, "force": "true", "fieldValidation": "Strict"}
        if dry_run:
            query["dryRun"] = "All"
        return self.request(
            "PATCH",
            self.path_of(document),
            document,
            query=query,
            content_type="application/apply-patch+yaml",
        )

    def get(self, document: Json) -> Answer:
        """Read the live object that has the kind, namespace and name of `document`."""
        return self.request("GET", self.path_of(document))

    def path_of(self, document: Json) -> str:
        """The address of an object. Raises KindNotServedError."""
        api_version, kind = str(document["apiVersion"]), str(document["kind"])
        resource = self.resource_type(api_version, kind)
        metadata = cast("Json", document["metadata"])
        base = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
        if resource.namespaced:
            base += f"/namespaces/{metadata.get('namespace') or 'default'}"
        return f"{base}/{resource.plural}/{urllib.parse.quote(str(metadata['name']))}"

    def resource_type(self, api_version: str, kind: str) -> ResourceType:
        """Look a kind up in the server's discovery. Raises KindNotServedError."""
        if kind not in self._types.get(api_version, {}):
            path = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
            answer = self.request("GET", path)
            self._types[api_version] = {
                str(one["kind"]): ResourceType(str(one["name"]), bool(one["namespaced"]))
                for one in cast("list[Json]", answer.body.get("resources") or [])
                if "/" not in one["name"]
            }
        try:
            return self._types[api_version][kind]
        except KeyError:
            raise KindNotServedError(f"the API server does not serve {kind} of {api_version}") from None

    def close(self) -> None:
        """Close the kept connection; the next request opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _send(self, method: str, target: str, payload: str | None, headers: dict[str, str]) -> Answer:
        if self._connection is None:
            context = ssl.create_default_context(cadata=self.authority)
            self._connection = http.client.HTTPSConnection(
                self.host, self.port, timeout=self.timeout, context=context
            )
        try:
            self._connection.request(method, target, payload, headers)
            response = self._connection.getresponse()
            raw = response.read()
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        try:
            parsed = json.loads(raw)
        except ValueError:
            parsed = {"message": raw.decode(errors="replace").strip()}
        warnings = tuple(_warning_text(value) for value in response.headers.get_all("Warning") or [])
        return Answer(response.status, cast("Json", parsed) if isinstance(parsed, dict) else {}, warnings)


def _warning_text(header: str) -> str:
    """The text in `299 - "text"` (RFC 7234, section 5.5)."""
    text = header.split(" ", 2)[-1].strip()
    return text.strip('"').replace('\\"', '"')
