"""Build the programs of the cluster from the go.mod beside this file, and what only a real node needs when asked."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Final

from toolchain import go_build
from toolchain.failure import ToolchainError
from toolchain.offline.cluster.layout import BIN_DIR, MODULE_DIR, ClusterError

_MODULES: Final = go_build.Build(MODULE_DIR)
KUBERNETES: Final = _MODULES.version("k8s.io/kubernetes")
"""The version of the API server, with its `v`."""
_MAJOR, _MINOR, _ = KUBERNETES.removeprefix("v").split(".", 2)
# Without these the API server calls itself v0.0.0, and clients that compare versions refuse it.
_LDFLAGS: Final = " ".join(
    f"-X {package}.gitVersion={KUBERNETES} -X {package}.gitMajor={_MAJOR} -X {package}.gitMinor={_MINOR} "
    f"-X {package}.gitTreeState=clean"
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
)
BUILD: Final = go_build.Build(
    MODULE_DIR, ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok"), _LDFLAGS
)
NODE_BUILDS: Final = (
    go_build.Build(MODULE_DIR, ("kubelet", "kube-proxy"), _LDFLAGS),
    go_build.Build(MODULE_DIR / "kube_router"),
    go_build.Build(MODULE_DIR / "node_programs"),
)
"""What a real node needs beside Debian's packages."""

STAGES = ("pod/fast", "node/fast")
"""Folders of kwok's module, below kustomize/stage, whose stages the cluster uses."""

STAGES_DIR = "kwok-stages"


def built(bin_dir: Path = BIN_DIR, *, real_node: bool = False) -> bool:
    """Whether every executable is there, made of what go.mod requires."""
    builds = (BUILD, *NODE_BUILDS) if real_node else (BUILD,)
    return bool(stage_files(bin_dir)) and all(go_build.is_built(one, bin_dir) for one in builds)


def ensure_built(bin_dir: Path = BIN_DIR, *, real_node: bool = False) -> None:
    """Build what is missing or of another version; return at once when nothing is.

    Raises ClusterError when Go is absent or the build fails.
    """
    try:
        if go_build.ensure(BUILD, bin_dir) or not stage_files(bin_dir):
            _copy_stages(bin_dir)
        for one in NODE_BUILDS if real_node else ():
            go_build.ensure(one, bin_dir)
    except ToolchainError as error:
        raise ClusterError(
            "The throw-away cluster cannot be built. Nothing else needs it: previewing, rendering and deploying work "
            f"without it. {error}"
        ) from error


def stage_files(bin_dir: Path = BIN_DIR) -> list[Path]:
    """kwok's own stages that make pods and nodes ready at once, as copied from its module by the build."""
    return sorted((bin_dir / STAGES_DIR).glob("*.yaml"))


def _copy_stages(bin_dir: Path) -> None:
    base = go_build.module_folder("sigs.k8s.io/kwok", BUILD) / "kustomize" / "stage"
    files = [file for folder in STAGES for file in sorted((base / folder).glob("*.yaml"))]
    if not files:
        raise ClusterError(f"There are no stages in {base}.")
    target = bin_dir / STAGES_DIR
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for file in files:
        if file.stem != "kustomization":
            # The module cache is read-only; a copy must not be.
            (target / file.name).write_bytes(file.read_bytes())


if __name__ == "__main__":
    try:
        ensure_built(real_node="--real-node" in sys.argv[1:])
    except ClusterError as error:
        sys.exit(f"error: {error}")
