"""Where CRDs come from, and how a download fails."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from toolchain import crds

CRD = b"apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n"
ONE = crds.Source(PurePosixPath("traefik/all.yml"), "traefik/traefik", "docs/all.yml", "f" * 40, "2026-07-24")


def test_the_table_names_a_file_at_a_full_commit_on_every_line() -> None:
    sources = crds.sources()
    assert len({source.path for source in sources}) == len(sources) > 20
    for source in sources:
        assert len(source.commit) == 40
        assert (
            source.address
            == f"https://raw.githubusercontent.com/{source.repository}/{source.commit}/{source.file}"
        )


def test_the_folder_that_crds_names_wins(tmp_path: Path) -> None:
    assert crds.find({"CRDS": str(tmp_path)}) == tmp_path


def test_a_mistyped_crds_is_an_error_and_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(crds.CrdError, match="which is not a folder"):
        crds.find({"CRDS": str(tmp_path / "absent")})


def test_without_any_folder_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crds, "BESIDE", tmp_path / "beside")
    monkeypatch.setattr(crds, "DOWNLOADED", tmp_path / "downloaded")
    assert crds.find({}) is None
    crds.download(tmp_path / "downloaded", wanted=[ONE], fetch=lambda _: CRD)
    assert crds.find({}) == tmp_path / "downloaded"


def test_what_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    asked: list[str] = []

    def fetch(address: str) -> bytes:
        asked.append(address)
        return CRD

    assert crds.download(tmp_path, wanted=[ONE], fetch=fetch) == 1
    assert crds.download(tmp_path, wanted=[ONE], fetch=fetch) == 0
    assert asked == [ONE.address]
    assert (tmp_path / "traefik" / "all.yml").read_bytes() == CRD


def test_an_answer_that_is_no_crd_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(crds.CrdError, match="not a CustomResourceDefinition"):
        crds.download(tmp_path, wanted=[ONE], fetch=lambda _: b"<html>sign in</html>")
    assert list(tmp_path.rglob("*.y*ml")) == []


def test_a_slow_download_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(crds.CrdError, match="was given up"):
        crds.download(tmp_path, wanted=[ONE], fetch=lambda _: CRD, total_seconds=-1)


@pytest.mark.parametrize(
    ("line", "words"),
    [("a\tb\tc\n", "5 tab-separated columns"), ("../x.yaml\ta/b\tc\td\te\n", "leaves the folder")],
)
def test_a_damaged_table_is_told_with_its_line(tmp_path: Path, line: str, words: str) -> None:
    table = tmp_path / "crds.tsv"
    table.write_text(line, encoding="utf-8")
    with pytest.raises(crds.CrdError, match=f"line 1: .*{words}"):
        crds.sources(table)


def test_an_address_that_cannot_be_reached_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crds, "RAW_ADDRESS", "http://127.0.0.1:9/{file}")
    with pytest.raises(crds.CrdError, match=r"127\.0\.0\.1:9.*could not be downloaded.*HTTPS_PROXY"):
        crds.download(tmp_path, wanted=[ONE])
