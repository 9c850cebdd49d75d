"""What is built with Go: from which go.mod, when again, and what is said meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolchain import go_build
from toolchain.failure import ToolchainError
from toolchain.lint import ACTIONLINT
from toolchain.offline.cluster.build import BUILD as CLUSTER

GO_MOD = """module ours

go 1.26.6

tool (
\texample.com/one/cmd/first
\texample.com/one/cmd/second
)

require example.com/one v1.2.3 // indirect
"""
# As the real one: a line for each package, on stderr, and the programs into the folder after -o.
FAKE_GO = """#!/bin/sh
echo "$*" >>"$CALLS"
[ "$CGO_ENABLED$GOWORK$GOFLAGS" = 0off ] || exit 9
case $1 in
    list) printf 'stale one\\n\\nstale two\\n' ;;
    build)
        echo one >&2; sleep 0.2; echo two >&2
        [ -z "$FAIL" ] || { echo "no space left on device" >&2; exit 1; }
        while [ "$1" != -o ]; do shift; done
        for name in first second; do : >"$2/$name"; chmod +x "$2/$name"; done ;;
esac
"""


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> go_build.Build:
    """A module with two programs, and a `go` that writes down how it is called."""
    folder, tools = tmp_path / "ours", tmp_path / "tools"
    folder.mkdir()
    tools.mkdir()
    (folder / "go.mod").write_text(GO_MOD, encoding="utf-8")
    (folder / "go.sum").write_text("", encoding="utf-8")
    (tools / "go").write_text(FAKE_GO, encoding="utf-8")
    (tools / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("GOFLAGS", "-mod=mod")
    return go_build.Build(folder, ldflags="-X a.b=c")


def test_programs_and_versions_are_those_of_go_mod(build: go_build.Build) -> None:
    assert build.packages == {"first": "example.com/one/cmd/first", "second": "example.com/one/cmd/second"}
    assert build.version("example.com/one") == "v1.2.3"
    with pytest.raises(ToolchainError, match=r"go\.mod does not require the module example\.com/two"):
        build.version("example.com/two")
    assert list(ACTIONLINT.packages) == ["actionlint"]
    assert list(CLUSTER.packages) == ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok"]


def test_all_programs_of_a_module_are_built_in_one_call_and_only_when_something_changed(
    build: go_build.Build, tmp_path: Path
) -> None:
    into = tmp_path / "bin"
    assert go_build.ensure(build, into)
    assert not go_build.ensure(build, into)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call.split()[0] for call in calls] == ["list", "build"]
    assert "-X a.b=c" in calls[1]
    assert sorted(path.name for path in into.iterdir() if not path.name.startswith(".")) == [
        "first",
        "second",
    ]
    assert go_build.seconds(build, into) > 0

    (into / "second").unlink()
    assert go_build.ensure(build, into)
    (build.folder / "go.sum").write_text("another\n", encoding="utf-8")
    assert not go_build.is_built(build, into)
    assert go_build.ensure(go_build.Build(build.folder, tags="other"), into)
    assert not go_build.is_built(build, into)


def test_some_programs_of_a_module_are_built_alone_and_anew_when_our_own_code_changes(
    build: go_build.Build, tmp_path: Path
) -> None:
    into = tmp_path / "bin"
    assert go_build.ensure(build, into)
    alone = go_build.Build(build.folder, only=("second",))
    assert alone.packages == {"second": "example.com/one/cmd/second"}
    assert go_build.ensure(alone, into)
    assert (tmp_path / "calls").read_text().splitlines()[-1].endswith(" example.com/one/cmd/second")
    assert go_build.is_built(build, into)
    assert go_build.is_built(alone, into)
    (build.folder / "second").mkdir()
    (build.folder / "second" / "main.go").write_text("package main\n", encoding="utf-8")
    assert not go_build.is_built(alone, into)


def test_how_many_packages_of_how_many_are_built_is_told(
    build: go_build.Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(go_build, "HEARTBEAT", 0.1)
    go_build.ensure(build, tmp_path / "bin")
    assert "building first, second: 1 of 2 packages, 0 s so far" in capsys.readouterr().err


def test_a_failed_build_shows_what_go_said_and_leaves_nothing(
    build: go_build.Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIL", "1")
    with pytest.raises(ToolchainError, match=r"exit code 1(.|\n)*no space left on device"):
        go_build.ensure(build, tmp_path / "bin")
    assert [path.name for path in (tmp_path / "bin").iterdir()] == [".build.lock"]


def test_without_go_one_paragraph_says_what_to_install(
    build: go_build.Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolchainError, match=r"no `go` is on PATH\. Install Go 1\.26\.6 or newer") as caught:
        go_build.ensure(build, tmp_path / "bin")
    assert "\n" not in str(caught.value)
