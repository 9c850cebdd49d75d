"""Releases of an Immich by Helm, Argo CD, Flux and k3s: what their values say of it. What a chart makes is not seen.

Facts: the values of the official chart 0.12.0 (immich-app/immich-charts, charts/immich/values.yaml) and of the common
library under it, bjw-s 5.0 (`controllers`, `ingress`, `persistence`), which other charts of Immich use as well. Release
is of pulumi-kubernetes 4, Application of argoproj.io/v1alpha1, HelmRelease of helm.toolkit.fluxcd.io/v2, HelmChart of
helm.cattle.io/v1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import yaml

from immich_policy.model import (
    UNKNOWN,
    Plain,
    Registered,
    Stack,
    dig,
    join,
    mapping,
    mappings,
    plain,
    registered,
    sequence,
    text,
)

HELM: Final = ("kubernetes:helm.sh/v3:Release", "kubernetes:helm.sh/v4:Chart", "kubernetes:helm.sh/v3:Chart")
_VARIABLES: Final = frozenset({"env", "extraEnv", "environment"})


@dataclass(frozen=True, slots=True, eq=False)
class Release:
    """A release of a chart of Immich."""

    resource: Registered
    path: str
    """Of the values."""
    chart: str
    values: dict[str, Plain]

    @property
    def official(self) -> bool:
        """Whether the chart is Immich's own."""
        return self.chart.rstrip("/").rsplit("/", 1)[-1] == "immich"

    def images(self) -> Iterator[tuple[str, Plain]]:
        """Path and reference of each image whose tag the values say; where they do not, the chart does."""
        for path, key, value in self._walked():
            if key == "image" and isinstance(value, str):
                yield path, value
            elif key == "image" and isinstance(value, dict) and dig(value, "tag") is not None:
                repository = text(value, "repository") or self._repository(path)
                tag, digest = dig(value, "tag"), text(value, "digest")
                known = isinstance(tag, str) and repository
                reference = f"{repository}:{tag}{'@' if digest else ''}{digest}"
                yield join(path, "tag"), reference if known else UNKNOWN

    def _repository(self, path: str) -> str:
        # Of the official chart the tag at the top is that of all parts, each of which has its repository.
        part = "immich-machine-learning" if "machine-learning" in path else "immich-server"
        return f"ghcr.io/immich-app/{part}" if self.official and ".valkey." not in path else ""

    def variable(self, name: str) -> tuple[str, Plain] | None:
        """Path and value of a variable; a mapping, of which Helm makes one from a Secret, is None."""
        for path, key, value in self._walked():
            if key in _VARIABLES:
                for at, given in _variables(value):
                    if at == name:
                        return join(path, at), None if isinstance(given, dict) else given
        return None

    def ingresses(self) -> Iterator[tuple[str, Registered]]:
        """Path and what is known of each Ingress that the values turn on, as one of Kubernetes."""
        for path, key, value in self._walked():
            listed = mapping({"it": value}, "it") if key == "ingress" else {}
            single = "hosts" in listed or "annotations" in listed
            for name, one in {"": value}.items() if single else listed.items():
                if isinstance(one, dict) and dig(one, "enabled") is not False and (single or "hosts" in one):
                    where = join(path, name) if name else path
                    annotations = dig(one, "annotations")
                    spec = {"ingressClassName": dig(one, "className") or dig(one, "ingressClassName")}
                    made = registered(
                        "kubernetes:networking.k8s.io/v1:Ingress",
                        self.resource.name,
                        {
                            "metadata": {"annotations": {} if annotations is None else annotations},
                            "spec": spec,
                        },
                        urn=self.resource.urn,
                    )
                    yield where, made

    def _walked(self) -> Iterator[tuple[str, str, Plain]]:
        """Path, key and value of everything in the values that is turned on."""
        waiting: list[tuple[str, Plain]] = [(self.path, self.values)]
        while waiting:
            path, value = waiting.pop()
            for key, inner in mapping({"it": value}, "it").items():
                yield join(path, key), key, inner
                if dig(inner, "enabled") is not False:
                    waiting.append((join(path, key), inner))


def _variables(value: Plain) -> Iterator[tuple[str, Plain]]:
    for key, given in mapping({"it": value}, "it").items():
        yield key, dig(given, "value") if isinstance(given, dict) and "value" in given else given
    for _, one in mappings({"it": value}, "it"):
        yield text(one, "name"), dig(one, "value")


def releases(stack: Stack) -> list[Release]:
    """Every release of a chart of Immich whose objects are not registered themselves."""
    parents = {one.parent for one in stack}
    found: list[Release] = []
    for one in stack.of_type(*HELM):
        if one.urn not in parents:
            found.append(Release(one, "values", _chart(one.props), mapping(one.props, "values")))
    for one in stack.of_kind("Application", "ApplicationSet", group="argoproj.io"):
        above = ("spec", "template", "spec") if one.kind == "ApplicationSet" else ("spec",)
        spec = mapping(one.props, *above)
        for keys in (("source",), *(("sources", index) for index, _ in mappings(spec, "sources"))):
            found.append(_argo(one, ".".join(above), spec, keys))
    for one in stack.of_kind("HelmRelease", group="helm.toolkit.fluxcd.io"):
        chart = text(one.props, "spec", "chart", "spec", "chart") or text(
            one.props, "spec", "chartRef", "name"
        )
        found.append(Release(one, "spec.values", chart, mapping(one.props, "spec", "values")))
    for one in stack.of_kind("HelmChart", "HelmChartConfig", group="helm.cattle.io"):
        values = _parsed(dig(one.props, "spec", "valuesContent"))
        found.append(Release(one, "spec.valuesContent", text(one.props, "spec", "chart"), values))
    return [one for one in found if _is_immich(one)]


def _chart(props: Mapping[str, Plain]) -> str:
    return text(props, "chart") or text(props, "repositoryOpts", "repo")


def _argo(one: Registered, above: str, spec: dict[str, Plain], keys: tuple[str | int, ...]) -> Release:
    helm = mapping(spec, *keys, "helm")
    path = join(above, *keys, "helm", "valuesObject" if "valuesObject" in helm else "values")
    values = mapping(helm, "valuesObject") or _parsed(dig(helm, "values"))
    for _, given in mappings(helm, "parameters"):
        values = _with(values, text(given, "name").split("."), dig(given, "value"))
    chart = text(spec, *keys, "chart") or text(spec, *keys, "path")
    return Release(one, path, chart, values)


def _with(values: dict[str, Plain], keys: list[str], value: Plain) -> dict[str, Plain]:
    """Values with one more, as `--set` of Helm adds it."""
    first, *rest = keys
    inner = _with(mapping(values, first), rest, value) if rest else value
    return {**values, first: inner}


def _parsed(written: Plain) -> dict[str, Plain]:
    try:
        return mapping({"it": plain(yaml.safe_load(written))}, "it") if isinstance(written, str) else {}
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}


def _is_immich(one: Release) -> bool:
    """Whether it is of Immich, by its chart, its name, or an image among its values."""
    named = (
        one.chart,
        one.resource.name,
        text(one.resource.props, "name"),
        text(one.resource.props, "metadata", "name"),
    )
    return any("immich" in name for name in named) or mentions(one.values)


_IMAGE: Final = re.compile(
    r"immich-app/"
    r"|(?<![:/])/immich-(?:server|machine-learning)(?![\w.-])"
    r"|\bimmich-(?:server|machine-learning)(?::v?\d+\.|:v\d|:release|@sha256:)"
)
"""An image of Immich's in a text, of any registry; `http://immich-server:2283` is the address of a server."""


def mentions(value: Plain) -> bool:
    """Whether a text anywhere in a value names an image of Immich's."""
    waiting: list[Any] = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            if _IMAGE.search(one):
                return True
        elif isinstance(one, dict):
            waiting += cast("dict[str, Plain]", one).values()
        elif isinstance(one, list):
            waiting += sequence({"it": one}, "it")
    return False
