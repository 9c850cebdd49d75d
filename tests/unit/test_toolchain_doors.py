"""`make doors`: read from a stack's file alone, a table for people, JSON for programs, words for mistakes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from components.proxy.doors import doors
from tests.harness.program import ROOT
from toolchain.doors import columns, main, mermaid, report, text
from toolchain.failure import ToolchainError
from toolchain.stack_settings import settings_without_secrets, stack_texts

DOORS = """
config:
  pulumi:tags: {team: home}
  immich:host: {name: photos.example.com}
  immich:oauthClientSecret:
    secure: v1:abc
  immich:proxy:
    maxUpload: 50G
    tls: {kind: secret, name: photos-tls}
    expose:
      - {kind: ingress, className: nginx, controllerNamespace: nginx}
      - {kind: loadBalancer, address: 192.168.1.20}
"""


def file(folder: Path, content: str) -> Path:
    path = folder / "Pulumi.some.yaml"
    path.write_text(content, encoding="utf-8")
    return path


def test_people_see_columns_and_what_to_do(tmp_path: Path) -> None:
    settings, missing = settings_without_secrets("some", *stack_texts(file(tmp_path, DOORS)))
    assert missing == []
    head, internet, lan, *rest = text(settings, missing).splitlines()
    column = head.index("largest upload")
    assert internet.startswith("internet  https://photos.example.com  ingress nginx > nginx > immich")
    assert internet[column:].startswith("50 GB")
    assert lan[column:].startswith("50 GB")
    told = "\n".join(rest)
    assert "photos.example.com  A  192.168.1.20" in told
    assert "keeps whole uploads before passing them on: ingress nginx" in told
    assert "must hold elsewhere" in told
    assert "secrets not given" not in told


def test_a_diagram_has_each_door_and_what_they_share_once(tmp_path: Path) -> None:
    settings, _ = settings_without_secrets("some", *stack_texts(file(tmp_path, DOORS)))
    head, *lines = mermaid(doors(settings.host, settings.proxy, settings.cloudflare)).splitlines()
    assert head == "flowchart LR"
    assert [line.strip() for line in lines] == [
        'n0(["internet<br/>https://photos.example.com<br/>up to 50 GB"])',
        'n1["ingress nginx<br/>keeps whole uploads"]',
        'n2["nginx<br/>body up to 50 GB"]',
        'n3["immich"]',
        'n4(["lan<br/>https://photos.example.com<br/>up to 50 GB"])',
        "n0 --> n1",
        "n1 --> n2",
        "n2 --> n3",
        "n4 --> n2",
    ]


def test_programs_see_numbers(tmp_path: Path) -> None:
    settings, missing = settings_without_secrets("some", *stack_texts(file(tmp_path, DOORS)))
    found = json.loads(json.dumps(report("some", settings, missing)))
    assert [one["largestUpload"] for one in found["doors"]] == [50 * 10**9] * 2
    assert found["splitHorizonDns"] == [{"name": "photos.example.com", "type": "A", "value": "192.168.1.20"}]
    assert found["missingSecrets"] == []


def test_secrets_that_are_not_given_are_named_and_do_not_matter(tmp_path: Path) -> None:
    more = "  immich:database: {kind: external, host: db.example.com, vectorExtension: vectorchord}\n"
    settings, missing = settings_without_secrets("some", *stack_texts(file(tmp_path, DOORS + more)))
    assert missing == ["databasePassword"]
    assert "secrets not given yet" in text(settings, missing)
    assert text(settings, missing).endswith("immich:databasePassword")
    assert report("some", settings, missing)["missingSecrets"] == ["immich:databasePassword"]


def test_other_problems_are_told_also_when_secrets_are_missing(tmp_path: Path) -> None:
    more = "  immich:database: {kind: external, host: db.example.com}\n  immich:cash: {}\n"
    with pytest.raises(ToolchainError) as caught:
        settings_without_secrets("some", *stack_texts(file(tmp_path, DOORS + more)))
    assert "immich:cash" in str(caught.value)
    assert "databasePassword\n  is needed" not in str(caught.value)


def test_what_is_encrypted_is_never_read(tmp_path: Path) -> None:
    content = DOORS + "  immich:cache: {kind: external, host: {secure: v1:def}}\n"
    texts, hidden = stack_texts(file(tmp_path, content))
    assert hidden == {"oauthClientSecret", "cache"}
    assert "v1:" not in json.dumps(texts)


@pytest.mark.parametrize(
    ("content", "words"),
    [("config: [", "is not YAML"), ("- a\n", "holds no settings"), ("config: [a]\n", "holds no settings")],
)
def test_a_file_that_holds_no_settings_is_told_so(tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(ToolchainError, match=words):
        stack_texts(file(tmp_path, content))


def test_a_stack_with_one_setting_has_the_default_door(tmp_path: Path) -> None:
    settings, _ = settings_without_secrets("some", *stack_texts(file(tmp_path, "config: {cache: {}}\n")))
    assert "http://localhost:8080" in text(settings, [])


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert columns([{"a": "1", "b": "22"}, {"a": "333", "b": ""}]) == "a    b\n1    22\n333"


@pytest.mark.parametrize("stack", sorted(path.name.split(".")[1] for path in ROOT.glob("Pulumi.*.yaml")))
def test_every_stack_of_the_repository_has_doors(
    stack: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["doors", stack, "--json"])
    assert main() == 0
    assert json.loads(capsys.readouterr().out)["doors"]


@pytest.mark.parametrize("arguments", [(), ("a", "b"), ("--yaml",)])
def test_wrong_arguments_show_the_right_ones(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["doors", *arguments])
    with pytest.raises(
        ToolchainError, match=re.escape("python -m toolchain.doors STACK [--json | --mermaid]")
    ):
        main()


def test_an_unknown_stack_is_told_which_there_are() -> None:
    command = [sys.executable, "-m", "toolchain.doors", "nowhere"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == 1
    assert "no stack 'nowhere'" in answer.stderr
    assert "dev" in answer.stderr
    assert "Traceback" not in answer.stderr
