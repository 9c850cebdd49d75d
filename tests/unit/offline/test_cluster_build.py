"""What the build of the throw-away cluster says before it compiles anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolchain import versions
from toolchain.offline.cluster import build
from toolchain.offline.cluster.layout import ClusterError

pytestmark = pytest.mark.deep(unless_changed=("toolchain/offline/cluster",))


def test_versions_are_the_pinned_ones() -> None:
    assert f"v{versions.KUBERNETES}" == build.KUBERNETES
    assert build.BUILD.version("sigs.k8s.io/kwok") == f"v{versions.KWOK}"


def test_without_go_the_error_says_what_works_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        ClusterError, match=r"Nothing else needs it: .* no `go` is on PATH\. Install Go 1\.26\.0"
    ):
        build.ensure_built(tmp_path / "bin")
