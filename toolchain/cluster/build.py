"""Build kube-apiserver, kube-controller-manager, kube-scheduler and kwok from the go.mod beside this file.

The sources are Go modules, so Go's own cache and checksums apply. A cold build takes some four minutes on two
cores; with a warm cache only the linking is left (under a minute).
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from toolchain.cluster.layout import BIN_DIR, MODULE_DIR, ClusterError, Progress

PACKAGES = {
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "kwok": "sigs.k8s.io/kwok/cmd/kwok",
}
"""Executable name -> Go package."""

STAGES = ("pod/fast", "node/fast")
"""Folders of kwok's module, below kustomize/stage, whose stages the cluster uses."""

STAGES_DIR = "kwok-stages"

WITHOUT_GO = (
    "The throw-away cluster is built from source, and no `go` is on PATH. Install Go {go} or newer "
    "(https://go.dev/doc/install, or your system's package `golang-go` if it is new enough; an older Go from 1.21 on "
    "fetches the right one by itself) and run the command again. Nothing else needs the cluster: previewing, "
    "rendering and deploying to a cluster of your own work without it."
)


def wanted_version(module: str) -> str:
    """The version of a module that go.mod requires, such as `v1.36.3` for `k8s.io/kubernetes`."""
    text = (MODULE_DIR / "go.mod").read_text(encoding="utf-8")
    found = re.search(rf"^\s*(?:require\s+)?{re.escape(module)}\s+(v\S+)", text, re.MULTILINE)
    if found is None:
        raise ClusterError(f"{MODULE_DIR / 'go.mod'} does not require the module {module}.")
    return found[1]


def built(bin_dir: Path = BIN_DIR) -> bool:
    """Whether every executable is there and says that it is of the version that go.mod requires."""
    return bool(stage_files(bin_dir)) and all(_reports_wanted_version(bin_dir / name) for name in PACKAGES)


def ensure_built(progress: Progress, bin_dir: Path = BIN_DIR) -> None:
    """Build what is missing or of another version; return at once when nothing is.

    Raises ClusterError when Go is absent or the build fails.
    """
    if built(bin_dir):
        return
    bin_dir.mkdir(parents=True, exist_ok=True)
    with (bin_dir / ".cluster-build.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = [name for name in PACKAGES if not _reports_wanted_version(bin_dir / name)]
        if missing:
            _build(missing, progress, bin_dir)
        if missing or not stage_files(bin_dir):
            _copy_stages(bin_dir)


def stage_files(bin_dir: Path = BIN_DIR) -> list[Path]:
    """kwok's own stages that make pods and nodes ready at once, as copied from its module by the build."""
    return sorted((bin_dir / STAGES_DIR).glob("*.yaml"))


def _copy_stages(bin_dir: Path) -> None:
    listed = subprocess.run(
        [_go(), "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kwok"],
        cwd=MODULE_DIR,
        env=_go_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    base = Path(listed.stdout.strip()) / "kustomize" / "stage"
    files = [file for folder in STAGES for file in sorted((base / folder).glob("*.yaml"))]
    if listed.returncode != 0 or not files:
        raise ClusterError(
            f"Go cannot show the stages in the module sigs.k8s.io/kwok. {listed.stderr.strip()}".strip()
        )
    target = bin_dir / STAGES_DIR
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for file in files:
        if file.stem != "kustomization":
            # The module cache is read-only; a copy must not be.
            (target / file.name).write_bytes(file.read_bytes())


def _build(names: list[str], progress: Progress, bin_dir: Path) -> None:
    go = _go()
    kubernetes = wanted_version("k8s.io/kubernetes")
    major, minor, _ = kubernetes.removeprefix("v").split(".", 2)
    # Without these the API server calls itself v0.0.0, and clients that compare versions refuse it.
    stamps = " ".join(
        f"-X {package}.gitVersion={kubernetes} -X {package}.gitMajor={major} -X {package}.gitMinor={minor} "
        f"-X {package}.gitTreeState=clean"
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    )
    progress(f"building {', '.join(names)} ({kubernetes}) with Go: about 4 minutes the first time")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=bin_dir, prefix=".build-") as temporary:
        command = [go, "build", "-v", "-trimpath", "-ldflags", f"-s -w {stamps}", "-o", temporary + os.sep]
        process = subprocess.Popen(
            [*command, *(PACKAGES[name] for name in names)],
            cwd=MODULE_DIR,
            env=_go_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        output = _follow(process, progress, began)
        if process.returncode != 0:
            raise ClusterError(
                f"Building {', '.join(names)} failed (go build, exit code {process.returncode}). Go said:\n"
                + "\n".join(output[-15:])
            )
        for name in names:
            (Path(temporary) / name).replace(bin_dir / name)
    wrong = [name for name in names if not _reports_wanted_version(bin_dir / name)]
    if wrong:
        raise ClusterError(
            f"{', '.join(wrong)} in {bin_dir} was built but does not run, or is of another version."
        )
    progress(f"built in {time.monotonic() - began:.0f} s into {bin_dir}")


def _follow(process: subprocess.Popen[str], progress: Progress, began: float) -> list[str]:
    """Collect what Go prints and tell every ten seconds that it is alive; returns the lines after it ended."""
    lines: list[str] = []
    assert process.stderr is not None
    reader = threading.Thread(
        target=lines.extend, args=((line.rstrip() for line in process.stderr),), daemon=True
    )
    reader.start()
    while True:
        try:
            process.wait(timeout=10)
            break
        except subprocess.TimeoutExpired:
            progress(f"  {time.monotonic() - began:.0f} s, {len(lines)} packages compiled, still at work")
        except BaseException:
            process.terminate()
            process.wait()
            raise
    reader.join()
    process.stderr.close()
    return lines


def _reports_wanted_version(executable: Path) -> bool:
    if not os.access(executable, os.X_OK):
        return False
    module = PACKAGES[executable.name].split("/cmd/")[0]
    try:
        said = subprocess.run(
            [str(executable), "--version"], capture_output=True, text=True, check=False, timeout=30
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False
    return wanted_version(module) in said.split()


def _go() -> str:
    go = shutil.which("go")
    if go is None:
        text = (MODULE_DIR / "go.mod").read_text(encoding="utf-8")
        wanted = re.search(r"^go (\S+)", text, re.MULTILINE)
        raise ClusterError(WITHOUT_GO.format(go=wanted[1] if wanted else ""))
    return go


def _go_environment() -> dict[str, str]:
    """The caller's environment, cleared of workspaces and flags that would make Go look at another module."""
    return {key: value for key, value in os.environ.items() if key not in {"GOFLAGS", "GOWORK"}} | {
        "GOWORK": "off"
    }


if __name__ == "__main__":
    try:
        ensure_built(lambda line: print(line, file=sys.stderr, flush=True))
    except ClusterError as error:
        sys.exit(f"error: {error}")
