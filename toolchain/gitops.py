"""A rendered tree for a repository that Argo CD or Flux apply: `make render STACK=x OUTPUT=folder`.

Each manifest is in the folder of its wave: what the engine would have it wait for is in waves before. Argo CD reads the
wave from an annotation, Flux from one Kustomization a folder (flux.yaml). Secrets stay out unless they are asked for.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import yaml

from toolchain import rendered
from toolchain.deployment import Json, Resource, items, mapping, resources
from toolchain.failure import ToolchainError
from toolchain.paths import ROOT

_MARK: Final = "<!-- Written by `make render ... OUTPUT=`: what is changed here is lost. -->"
_WAVE: Final = "argocd.argoproj.io/sync-wave"
_HOLD_DATA: Final = frozenset(
    {"PersistentVolumeClaim", "PersistentVolume", "Namespace", "Cluster", "ObjectStore"}
)
_KEPT: Final = {
    "argocd.argoproj.io/sync-options": "Prune=false",
    "kustomize.toolkit.fluxcd.io/prune": "disabled",
}
"""Whoever applies the folder never deletes what has these."""
_RUN_AT_ONCE: Final = frozenset({"Deployment", "StatefulSet", "DaemonSet", "Job"})
_NEW: Final = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {{name: immich-{stack}-{wave}, namespace: flux-system}}
spec:
  interval: 1h
  path: ./PATH/wave-{wave}    # PATH: this folder in your repository
  sourceRef: {{kind: GitRepository, name: flux-system}}
  prune: false    # a wave's number may change; what holds data is for a person's hand alone
  timeout: 30m{more}
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """What was written."""

    manifests: int
    waves: int
    left_out: tuple[str, ...]
    """`namespace/name` of Secrets that are not in it."""


def waves(state: Json | None) -> dict[tuple[str, str, str], int]:
    """Kind, namespace and name of each object -> its wave: one more than the last of those that it waits for."""
    known = {one.urn: one for one in resources(state)}
    levels: dict[str, int] = {}

    def level(urn: str) -> int:
        if urn not in levels:
            levels[urn] = 0  # a state has no circles
            before = [level(other) for other in _waits_for(known[urn]) if other in known]
            here = known[urn].type.startswith("kubernetes:")
            levels[urn] = max(before, default=-1 if here else 0) + (1 if here else 0)
        return levels[urn]

    objects = [one for one in known.values() if one.type.startswith("kubernetes:") and "kind" in one.inputs]
    found = {_name(one.inputs): level(one.urn) for one in objects}
    last = max(found.values(), default=0)
    for claim in objects:
        if claim.inputs["kind"] == "PersistentVolumeClaim":
            # Many classes bind a claim with its first pod, and nobody goes on to the next wave before it is bound.
            _, namespace, name = _name(claim.inputs)
            users = [
                one
                for one in objects
                if one.inputs["kind"] in _RUN_AT_ONCE
                and _name(one.inputs)[1] == namespace
                and name in _claims(one.inputs)
            ]
            found[_name(claim.inputs)] = min((level(one.urn) for one in users), default=last)
    # Components without objects of their own leave gaps.
    numbers = {wave: number for number, wave in enumerate(sorted(set(found.values())))}
    return {name: numbers[wave] for name, wave in found.items()}


def _waits_for(resource: Resource) -> list[str]:
    named = [str(one) for one in items(resource.state.get("dependencies"))]
    parent = resource.text("parent")
    return [*named, *([parent] if parent else [])]


def _claims(value: object) -> set[str]:
    """Names of the claims that pods mount."""
    found: set[str] = set()
    for key, inner in mapping(value).items():
        if key == "persistentVolumeClaim":
            found.add(str(mapping(inner).get("claimName")))
        found |= _claims(inner)
    for inner in items(value):
        found |= _claims(inner)
    return found


def _name(manifest: Mapping[str, object]) -> tuple[str, str, str]:
    about = mapping(manifest.get("metadata"))
    return str(manifest.get("kind")), str(about.get("namespace", "")), str(about.get("name"))


def publish(stack: str, state: Json | None, directory: Path, output: Path, *, secrets: bool) -> Published:
    """Write the tree of `directory` into `output`. ToolchainError, and nothing written, for a folder of others."""
    if output.exists() and not output.is_dir():
        raise ToolchainError(f"{output} is a file: name a folder with OUTPUT=...")
    if output.exists() and any(output.iterdir()) and not _is_ours(output):
        raise ToolchainError(
            f"{output} holds files that `make render` did not write: name an empty folder, or one of an earlier run, "
            "with OUTPUT=..."
        )
    order = waves(state)
    clear(output)
    left_out: list[str] = []
    made: set[str] = set()
    mounted: set[str] = set()
    written: dict[int, list[str]] = {}
    checked: dict[int, list[Json]] = {}
    for path in rendered.manifests(directory):
        manifest = cast("dict[str, Any]", yaml.safe_load(path.read_text(encoding="utf-8")))
        kind, namespace, name = _name(manifest)
        mounted |= {f"{namespace}/{one}" for one in _projected(manifest)}
        made |= {f"{namespace}/{name}"} if kind == "Secret" else set()
        if kind == "Secret" and not secrets:
            left_out.append(f"{namespace}/{name}")
            continue
        wave = order.get((kind, namespace, name), 0)
        annotations = manifest["metadata"].setdefault("annotations", {})
        annotations[_WAVE] = str(wave)
        if kind in _HOLD_DATA:
            annotations |= _KEPT
        target = output / f"wave-{wave}" / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(
            yaml.safe_dump(manifest, sort_keys=False, width=1000, allow_unicode=True), encoding="utf-8"
        )
        target.chmod(0o600 if kind == "Secret" else 0o644)
        written.setdefault(wave, []).append(path.name)
        checked.setdefault(wave, [])
        if kind in _RUN_AT_ONCE:
            checked[wave].append(
                {"apiVersion": manifest["apiVersion"], "kind": kind, "name": name, "namespace": namespace}
            )
    for wave, names in written.items():
        _kustomization(output / f"wave-{wave}", sorted(names))
    _kustomization(output, [f"wave-{wave}" for wave in sorted(written)])
    (output / "flux.yaml").write_text(_flux(stack, checked), encoding="utf-8")
    (output / "README.md").write_text(_readme(stack, left_out, sorted(mounted - made)), encoding="utf-8")
    return Published(
        manifests=sum(map(len, written.values())), waves=len(written), left_out=tuple(sorted(left_out))
    )


def _is_ours(output: Path) -> bool:
    readme = output / "README.md"
    return readme.is_file() and _MARK in readme.read_text(encoding="utf-8")


def clear(output: Path) -> None:
    """Remove what an earlier run wrote; other files stay."""
    for folder in output.glob("wave-*"):
        if folder.is_dir() and folder.name.removeprefix("wave-").isdecimal():
            shutil.rmtree(folder)
    for name in ("kustomization.yaml", "flux.yaml", "README.md"):
        (output / name).unlink(missing_ok=True)


def _kustomization(folder: Path, names: list[str]) -> None:
    document = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": names}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")


def _flux(stack: str, checked: Mapping[int, list[Json]]) -> str:
    """One Kustomization a wave, each once what runs in the one before is well."""
    parts: list[str] = []
    for before, wave in zip([None, *sorted(checked)], sorted(checked), strict=False):
        more = f"\n  dependsOn: [{{name: immich-{stack}-{before}}}]" if before is not None else ""
        if checked[wave]:
            listed = yaml.safe_dump(checked[wave], sort_keys=False).rstrip().replace("\n", "\n    ")
            more += f"\n  healthChecks:\n    {listed}"
        parts.append(_NEW.format(stack=stack, wave=wave, more=more))
    return "---\n".join(parts)


def _projected(value: object) -> set[str]:
    """Names of the Secrets whose entries pods mount together: those of `immich:secrets.existing` are among them."""
    found: set[str] = set()
    for key, inner in mapping(value).items():
        if key == "projected":
            parts = (mapping(mapping(one).get("secret")) for one in items(mapping(inner).get("sources")))
            found |= {str(part["name"]) for part in parts if "name" in part}
        found |= _projected(inner)
    for inner in items(value):
        found |= _projected(inner)
    return found


def _readme(stack: str, left_out: list[str], existing: list[str]) -> str:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    lines = [
        _MARK,
        "",
        f"`make render STACK={stack} OUTPUT=...`, from `Pulumi.{stack}.yaml`{f' at {commit}' if commit else ''}.",
    ]
    if left_out:
        lines += ["", "Secrets that are not in here, and must be in the cluster first:", ""]
        lines += [f"- `{name}`" for name in sorted(left_out)]
    if existing:
        lines += [
            "",
            "Secrets of somebody else that pods take entries of, and that must be in the cluster first:",
            "",
        ]
        lines += [f"- `{name}`" for name in existing]
    return "\n".join(lines) + "\n"
