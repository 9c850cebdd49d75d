"""Is every container held as tightly as promised, every image pinned, and no password in plain sight?"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from tests.harness.objects import Manifest, Pods, at, is_cnpg, items, kind_of, of_kind, pods_of, title, walk

RELAXATION = "relaxation.immich/"
"""A pod annotation `relaxation.immich/<what>: <reason>` permits one step back: privileged, root-user, writable-root."""

PINNED_IMAGE = re.compile(r"^[^\s@]+:[\w][\w.-]{0,127}@sha256:[0-9a-f]{64}$")

PASSWORD_NAME = re.compile(
    r"(password|passwd|passphrase|secret|token|credentials?|private_?key|access_?key|api_?key)$",
    re.IGNORECASE,
)
PASSWORD_LINE = re.compile(
    r"^\s*[\"']?[\w.-]*(?:password|passwd|passphrase|secret|token|private[_-]?key|access[_-]?key|api[_-]?key)[\"']?"
    r"\s*[=:]\s*[\"']?(?P<value>[^\s\"',;]+)",
    re.IGNORECASE | re.MULTILINE,
)
PASSWORD_IN_URL = re.compile(r"\w+://[^\s/:@]+:(?P<value>[^\s/@]+)@")
PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
HARMLESS_VALUE = re.compile(
    r"^(?:\$.*|\{\{.*|<.*>|/.*|true|false|null|none|off|on|\d{1,5}|\*+|)$", re.IGNORECASE
)
"""A placeholder, a file's path, a switch: not a password."""


def problems(documents: Sequence[Manifest]) -> list[str]:
    """Every step back from the hardened default that has no stated reason."""
    found: list[str] = []
    for document in documents:
        for pods in pods_of(document):
            if pods.spec:
                found += _pod(pods)
        found += unpinned_images(document)
    return found + plain_passwords(documents)


def unpinned_images(document: Manifest) -> list[str]:
    """Images without a tag or without a digest: the same name may be another program tomorrow."""
    return [
        f"{title(document)}: the image {image} is not pinned; write name:tag@sha256:digest."
        for image in _images(document)
        if not PINNED_IMAGE.match(image)
    ]


def plain_passwords(documents: Sequence[Manifest]) -> list[str]:
    """ConfigMaps and environment values that hold what looks like a password. Names the place, never the value."""
    found: list[str] = []
    for document in of_kind(documents, "ConfigMap"):
        for key, value in cast("Mapping[str, object]", at(document, "data") or {}).items():
            if _looks_secret(key, str(value)):
                found.append(
                    f"{title(document)}: {key} holds what looks like a password; it belongs into a Secret."
                )
    for document in documents:
        for pods in pods_of(document):
            for container in pods.containers:
                for variable in items(container, "env"):
                    name, value = str(variable.get("name")), variable.get("value")
                    if value is not None and _looks_secret(name, str(value)):
                        found.append(
                            f"{pods.owner}, container {container.get('name')}: {name} has what looks like a password "
                            "as a plain value; take it from a Secret."
                        )
    return found


def _pod(pods: Pods) -> list[str]:
    reasons = {
        key.removeprefix(RELAXATION)
        for key, reason in pods.annotations.items()
        if key.startswith(RELAXATION) and reason.strip()
    }
    found: list[str] = []
    if at(pods.spec, "automountServiceAccountToken") is not False:
        found.append(f"{pods.owner}: automountServiceAccountToken must be false.")
    if at(pods.spec, "enableServiceLinks") is not False:
        found.append(f"{pods.owner}: enableServiceLinks must be false; its variables collide with IMMICH_*.")
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if at(pods.spec, field):
            found.append(f"{pods.owner}: {field} is on.")
    for container in pods.containers:
        found += [
            f"{pods.owner}, container {container.get('name')}: {text}"
            for text in _container(pods, container, reasons)
        ]
    return found


def _container(pods: Pods, container: Manifest, reasons: set[str]) -> Iterator[str]:
    for part in ("requests", "limits"):
        for resource in ("cpu", "memory"):
            if at(container, "resources", part, resource) is None:
                yield f"resources.{part}.{resource} is not set."
    security = at(container, "securityContext") or {}
    pod_security = at(pods.spec, "securityContext") or {}

    def effective(key: str) -> object:
        own = at(security, key)
        return at(pod_security, key) if own is None else own

    if "root-user" not in reasons:
        if effective("runAsNonRoot") is not True:
            yield "runAsNonRoot is not true, and no reason is stated."
        if effective("runAsUser") == 0:
            yield "runAsUser is 0, and no reason is stated."
    if "writable-root" not in reasons and at(security, "readOnlyRootFilesystem") is not True:
        yield "readOnlyRootFilesystem is not true, and no reason is stated."
    if "privileged" in reasons:
        return
    if at(security, "privileged"):
        yield "privileged is true, and no reason is stated."
    if at(security, "allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation is not false."
    if at(security, "capabilities", "drop") != ["ALL"]:
        yield "capabilities.drop is not [ALL]."
    if at(security, "capabilities", "add"):
        yield f"capabilities.add gives back {', '.join(map(str, at(security, 'capabilities', 'add')))}."
    seccomp = effective("seccompProfile")
    if at(seccomp, "type") not in {"RuntimeDefault", "Localhost"}:
        yield "seccompProfile is neither RuntimeDefault nor Localhost."


def _images(document: Manifest) -> Iterator[str]:
    for pods in pods_of(document):
        for container in pods.containers:
            yield str(container.get("image") or "(none)")
        for volume in items(pods.spec, "volumes"):
            if (reference := at(volume, "image", "reference")) is not None:
                yield str(reference)
    if not is_cnpg(document):
        return
    if kind_of(document) == "Cluster" and at(document, "spec", "imageCatalogRef") is None:
        yield str(at(document, "spec", "imageName") or "(none)")
    if kind_of(document) in {"ImageCatalog", "ClusterImageCatalog"}:
        yield from (str(one.get("image")) for one in items(document, "spec", "images"))


def _looks_secret(name: str, text: str) -> bool:
    stripped = text.strip()
    if PASSWORD_NAME.search(name.rpartition("/")[2].replace("-", "_")) and not HARMLESS_VALUE.match(stripped):
        return True
    if PRIVATE_KEY.search(text):
        return True
    candidates = [
        one["value"] for pattern in (PASSWORD_LINE, PASSWORD_IN_URL) for one in pattern.finditer(text)
    ]
    candidates += list(_secrets_in_json(stripped))
    return any(not HARMLESS_VALUE.match(one.rstrip(",")) for one in candidates)


def _secrets_in_json(text: str) -> Iterator[str]:
    if not text.startswith("{"):
        return
    try:
        parsed = json.loads(text)
    except ValueError:
        return
    for _, inner in walk(parsed):
        for key, value in inner.items():
            if isinstance(value, str) and PASSWORD_NAME.search(key):
                yield value
