"""Which CLI is used, and that a downloaded one is the published one."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest

from toolchain import cli, memory, release
from toolchain.failure import ToolchainError
from toolchain.versions import PULUMI


def _fake_cli(directory: Path, version: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    executable = directory / "pulumi"
    executable.write_text(f"#!/bin/sh\necho v{version}\n", encoding="utf-8")
    executable.chmod(0o755)
    return executable


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("v3.259.0", (3, 259, 0)),
        ("3.259.0\n", (3, 259, 0)),
        ("v3.260.0-alpha.1234", (3, 260, 0)),
        ("pulumi v3.229.10", (3, 229, 10)),
        ("3.259", None),
        ("not a version", None),
        ("", None),
    ],
)
def test_a_version_is_read_as_three_numbers(text: str, version: cli.Version | None) -> None:
    assert cli.parse_version(text) == version


@pytest.mark.parametrize(
    ("version", "used"),
    [((3, 228, 9), False), ((3, 229, 0), True), ((3, 300, 1), True), ((4, 0, 0), False), (None, False)],
)
def test_only_a_cli_in_the_supported_range_is_used(version: cli.Version | None, used: bool) -> None:
    assert cli.supported(version) is used


def test_the_pinned_cli_is_itself_supported() -> None:
    assert cli.supported(cli.parse_version(PULUMI))


def test_the_first_supported_cli_on_path_wins(tmp_path: Path) -> None:
    _fake_cli(tmp_path / "old", "3.10.0")
    good = _fake_cli(tmp_path / "good", "3.240.0")
    _fake_cli(tmp_path / "later", "3.259.0")
    path = os.pathsep.join(str(tmp_path / name) for name in ("absent", "old", "good", "later"))

    assert cli.on_path(path, own=tmp_path / "own") == good


def test_our_own_directory_on_path_does_not_count_as_the_persons_cli(tmp_path: Path) -> None:
    _fake_cli(tmp_path / "own", PULUMI)

    assert cli.on_path(str(tmp_path / "own"), own=tmp_path / "own") is None


def test_an_executable_that_answers_with_an_error_is_passed_over(tmp_path: Path) -> None:
    broken = _fake_cli(tmp_path / "broken", PULUMI)
    broken.write_text("#!/bin/sh\necho v3.259.0\nexit 3\n", encoding="utf-8")

    assert cli.on_path(str(tmp_path / "broken"), own=tmp_path / "own") is None


def test_a_cli_made_earlier_is_used_only_at_the_pinned_version(tmp_path: Path) -> None:
    _fake_cli(tmp_path, PULUMI)
    assert cli.ours(tmp_path) is None, "nothing says where it is from"

    (tmp_path / "pulumi.source").write_text(f"build {PULUMI}\n", encoding="utf-8")
    assert cli.ours(tmp_path) == cli.Cli(tmp_path / "pulumi", "build")

    (tmp_path / "pulumi.source").write_text("build 3.1.0\n", encoding="utf-8")
    assert cli.ours(tmp_path) is None


def test_the_cli_on_path_comes_before_one_made_earlier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = _fake_cli(tmp_path / "theirs", "3.250.0")
    _fake_cli(tmp_path / "own", PULUMI)
    (tmp_path / "own" / "pulumi.source").write_text(f"build {PULUMI}\n", encoding="utf-8")
    monkeypatch.setenv("PATH", str(tmp_path / "theirs"))

    assert cli.ensure(tmp_path / "own") == cli.Cli(theirs, "path")

    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert cli.ensure(tmp_path / "own") == cli.Cli(tmp_path / "own" / "pulumi", "build")


def test_the_official_release_comes_before_a_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setattr(memory, "TOOLCHAIN", tmp_path / "notes")

    def install(into: Path) -> None:
        _fake_cli(into, PULUMI)

    monkeypatch.setattr(release, "install", install)

    assert cli.ensure(tmp_path / "own").source == "release"
    assert cli.ours(tmp_path / "own") == cli.Cli(tmp_path / "own" / "pulumi", "release")


def test_without_cli_download_and_go_one_paragraph_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[Path] = []
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setattr(memory, "TOOLCHAIN", tmp_path / "notes")

    def install(into: Path) -> None:
        attempts.append(into)
        raise release.DownloadError("no such host")

    monkeypatch.setattr(release, "install", install)

    for _ in range(2):
        with pytest.raises(ToolchainError) as told:
            cli.ensure(tmp_path / "own")
        message = str(told.value)
        assert "no such host" in message
        assert "go.dev" in message
        assert "\n" not in message
    assert len(attempts) == 1, "a failed download is not tried again at once"


def test_a_failed_download_is_remembered_for_a_while_only(tmp_path: Path) -> None:
    assert memory.failed_recently("x", tmp_path) is None
    memory.remember_failure("x", "no route", tmp_path)
    written = (tmp_path / "x").stat().st_mtime

    assert memory.failed_recently("x", tmp_path, now=written + memory.REMEMBERED_FOR - 1) == "no route"
    assert memory.failed_recently("x", tmp_path, now=written + memory.REMEMBERED_FOR + 1) is None
    memory.forget_failure("x", tmp_path)
    assert memory.failed_recently("x", tmp_path, now=written) is None


@pytest.mark.parametrize(
    ("system", "cpu", "name"),
    [
        ("Linux", "x86_64", "pulumi-v3.259.0-linux-x64.tar.gz"),
        ("Linux", "aarch64", "pulumi-v3.259.0-linux-arm64.tar.gz"),
        ("Darwin", "arm64", "pulumi-v3.259.0-darwin-arm64.tar.gz"),
        ("Darwin", "x86_64", "pulumi-v3.259.0-darwin-x64.tar.gz"),
    ],
)
def test_the_archive_is_that_of_the_system_and_the_cpu(system: str, cpu: str, name: str) -> None:
    assert release.archive_name("3.259.0", system, cpu) == name


def test_a_system_without_an_archive_is_named() -> None:
    with pytest.raises(release.DownloadError, match="SunOS on sparc"):
        release.archive_name("3.259.0", "SunOS", "sparc")


def _archive() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name in (
            "pulumi/pulumi",
            "pulumi/pulumi-language-python",
            "pulumi/README",
            "../../pulumi-escape",
        ):
            data = name.encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return content.getvalue()


def _published(base: Path, archive: bytes, digest: str) -> str:
    folder = base / f"v{PULUMI}"
    folder.mkdir(parents=True)
    name = release.archive_name()
    (folder / name).write_bytes(archive)
    (folder / f"pulumi-{PULUMI}-checksums.txt").write_text(f"{'0' * 64}  other.tar.gz\n{digest}  {name}\n")
    return base.as_uri()


def test_an_archive_with_the_published_checksum_is_unpacked(tmp_path: Path) -> None:
    archive = _archive()
    base = _published(tmp_path / "site", archive, hashlib.sha256(archive).hexdigest())

    release.install(tmp_path / "deep" / "er" / "bin", base=base)

    unpacked = tmp_path / "deep" / "er" / "bin"
    assert sorted(path.name for path in unpacked.iterdir()) == [
        "pulumi",
        "pulumi-escape",
        "pulumi-language-python",
    ]
    assert os.access(unpacked / "pulumi", os.X_OK)
    assert not list(tmp_path.glob("pulumi*")), "nothing is written outside of the directory"


def test_an_archive_with_another_checksum_is_refused_and_not_unpacked(tmp_path: Path) -> None:
    base = _published(tmp_path / "site", _archive(), hashlib.sha256(b"the genuine one").hexdigest())

    with pytest.raises(release.DownloadError, match="not unpacked"):
        release.install(tmp_path / "bin", base=base)
    assert not (tmp_path / "bin").exists()


def test_an_archive_that_the_checksums_do_not_list_is_refused() -> None:
    with pytest.raises(release.DownloadError, match=r"do not list x\.tar\.gz"):
        release.checksum_of("x.tar.gz", "00  y.tar.gz\n")
