"""What the build of the throw-away cluster says before it compiles anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolchain.cluster import build
from toolchain.cluster.layout import ClusterError

pytestmark = pytest.mark.deep(unless_changed=("toolchain/cluster",))


def test_versions_come_from_go_mod() -> None:
    assert build.wanted_version("k8s.io/kubernetes") == "v1.36.3"
    assert build.wanted_version("sigs.k8s.io/kwok") == "v0.8.0"


def test_a_module_that_is_not_required_is_told() -> None:
    with pytest.raises(ClusterError, match=r"go\.mod does not require the module k8s\.io/other"):
        build.wanted_version("k8s.io/other")


def test_without_go_one_paragraph_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError, match=r"no `go` is on PATH\. Install Go 1\.26\.0 or newer") as caught:
        build.ensure_built(lambda _line: None, tmp_path / "bin")
    assert "\n" not in str(caught.value)


def test_an_executable_of_another_version_is_built_again(tmp_path: Path) -> None:
    (tmp_path / build.STAGES_DIR).mkdir()
    (tmp_path / build.STAGES_DIR / "pod-ready.yaml").write_text("", encoding="utf-8")
    for name, package in build.PACKAGES.items():
        version = build.wanted_version(package.split("/cmd/")[0])
        (tmp_path / name).write_text(f"#!/bin/sh\necho Kubernetes {version}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    assert build.built(tmp_path)
    (tmp_path / "kube-scheduler").write_text("#!/bin/sh\necho Kubernetes v1.35.0\n", encoding="utf-8")
    assert not build.built(tmp_path)


def test_a_failed_build_shows_what_go_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "go").write_text("#!/bin/sh\necho 'no space left on device' >&2\nexit 1\n", encoding="utf-8")
    (tmp_path / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(ClusterError, match=r"exit code 1(.|\n)*no space left on device"):
        build.ensure_built(lambda _line: None, tmp_path / "bin")
    assert list((tmp_path / "bin").glob("kube-*")) == []
