"""Read rendered manifests, and put them through a real API server strictly."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import yaml

from tests.harness.objects import Manifest, at, items, kind_of, title
from toolchain.offline.cluster.api import Answer, Api, KindNotServedError
from toolchain.offline.cluster.crd_loading import wait_until_served

FOLDERS = ("0-crd", "1-manifest")
"""What pulumi-kubernetes writes into `renderYamlToDirectory`, in the order of application."""

FIELD_MANAGER = "contract-tests"

FIRST = (
    "Namespace",
    "CustomResourceDefinition",
    "StorageClass",
    "PriorityClass",
    "PersistentVolume",
    "ServiceAccount",
)
"""Kinds that others need, in this order; the rest follows as it was read."""

CRD_SECONDS = 30.0


def load_rendered(directory: Path) -> list[Manifest]:
    """All documents of a rendered stack (`rendered/<stack>`), in the order of their file names.

    Raises ValueError for a directory without manifests, an unreadable file, or a document that is no object.
    """
    found: list[Manifest] = []
    for file in (file for folder in FOLDERS for file in sorted((directory / folder).glob("*.y*ml"))):
        try:
            documents = list(yaml.load_all(file.read_text(encoding="utf-8"), yaml.CSafeLoader))
        except yaml.YAMLError as error:
            raise ValueError(f"{file} is not YAML: {error}") from error
        for document in documents:
            if document is None:
                continue
            if not isinstance(document, dict) or not kind_of(cast("Manifest", document)):
                raise ValueError(f"{file} holds a document that is no Kubernetes object.")
            found.append(cast("Manifest", document))
    if not found:
        raise ValueError(f"{directory} holds no manifest in {' or '.join(FOLDERS)}; was the stack rendered?")
    return found


@dataclass(frozen=True, slots=True)
class Applied:
    """What an API server said to a set of manifests."""

    errors: tuple[str, ...] = ()
    """One sentence for each refusal, with the object's name. Values of Secrets are not in them."""
    warnings: tuple[str, ...] = ()
    """The server's `Warning` headers (deprecations, Pod Security), each with the object's name."""
    contents: dict[str, str] = field(default_factory=dict[str, str])
    """Object -> hash of what the server stored, without its bookkeeping (see :func:`_content`)."""


def in_order(documents: Iterable[Manifest]) -> list[Manifest]:
    """Namespaces first, then what others need, then the rest unchanged."""
    return sorted(
        documents, key=lambda one: FIRST.index(kind_of(one)) if kind_of(one) in FIRST else len(FIRST)
    )


def apply_strict(api: Api, documents: Sequence[Manifest], *, dry_run: bool = False) -> Applied:
    """Server-side apply of all documents with `fieldValidation=Strict`; goes on after a refusal to collect them all.

    A dry run is the server's own (`dryRun=All`: admission and validation, nothing stored); only Namespaces and CRDs
    are then applied for real, since nothing in or of them could be judged without.
    """
    errors: list[str] = []
    warnings: list[str] = []
    contents: dict[str, str] = {}
    for document in in_order(documents):
        needed = kind_of(document) in {"Namespace", "CustomResourceDefinition"}
        try:
            answer = api.apply(document, dry_run=dry_run and not needed, manager=FIELD_MANAGER)
        except KindNotServedError as error:
            errors.append(
                f"{title(document)}: {error}; its CRD is not loaded, or apiVersion or kind is misspelt."
            )
            continue
        warnings += [f"{title(document)}: {text}" for text in answer.warnings]
        if not answer.ok:
            errors.append(f"{title(document)}: {_words(document, answer)}")
            continue
        contents[title(document)] = _content(answer.body)
        if kind_of(document) == "CustomResourceDefinition":
            wait_until_served(api, document, time.monotonic() + CRD_SECONDS)
    return Applied(tuple(errors), tuple(warnings), contents)


def changed_by_second_apply(api: Api, documents: Sequence[Manifest], first: Applied) -> list[str]:
    """Apply once more; names what was refused or is stored differently now. Empty when nothing changed.

    The resourceVersion alone would tell too much: the server writes a PersistentVolumeClaim again on its first
    update even when that says the same (seen with 1.36.3).
    """
    second = apply_strict(api, documents)
    changed = [
        f"{name} changed by a second application of the same manifest."
        for name, content in first.contents.items()
        if name in second.contents and second.contents[name] != content
    ]
    return [*second.errors, *changed]


def remove(api: Api, documents: Sequence[Manifest]) -> list[str]:
    """Delete the objects in reverse order, finalizers included; returns what could not be deleted.

    Namespaces and CRDs stay: without controllers a namespace would stay Terminating, and CRDs are shared.
    """
    left: list[str] = []
    for document in reversed(in_order(documents)):
        if kind_of(document) in {"Namespace", "CustomResourceDefinition"}:
            continue
        try:
            path = api.path_of(document)
        except KindNotServedError:
            continue  # nothing of this kind can be there
        api.request("DELETE", path, {"propagationPolicy": "Background", "gracePeriodSeconds": 0})
        if api.request("GET", path).ok:
            patch = {"metadata": {"finalizers": None}}
            api.request("PATCH", path, patch, content_type="application/merge-patch+json")
        if api.request("GET", path).status != 404:
            left.append(title(document))
    return left


def _content(live: Manifest) -> str:
    """A hash, so that no test failure can print a Secret's value."""
    metadata = {
        key: value
        for key, value in cast("Manifest", live["metadata"]).items()
        if key not in {"resourceVersion", "managedFields"}
    }
    return hashlib.sha256(json.dumps({**live, "metadata": metadata}, sort_keys=True).encode()).hexdigest()


def _words(document: Manifest, answer: Answer) -> str:
    """The server's message; for a Secret only reason and fields, since messages may quote values."""
    if kind_of(document) != "Secret":
        return answer.message
    fields = [str(cause.get("field")) for cause in items(answer.body, "details", "causes")]
    return f"refused ({at(answer.body, 'reason') or answer.status}) {', '.join(fields)}".strip()
