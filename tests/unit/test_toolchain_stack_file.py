"""A stack's file is read as the Pulumi CLI reads it, and what nobody would read is refused."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.harness.program import ROOT
from toolchain import policies, rendered, stack
from toolchain.failure import ToolchainError
from toolchain.paths import BIN
from toolchain.stack_file import parse, read
from toolchain.stack_settings import settings_without_secrets, stack_texts


@pytest.mark.parametrize(
    ("content", "values"),
    [
        ("config: {host: {name: a}}", {"host": {"name": "a"}}),
        ("config: {immich:host: {name: a}}", {"host": {"name": "a"}}),
        ("config: {immich:config:host: {name: a}}", {"host": {"name": "a"}}),
        (
            "config: {host: {https: on, port: yes, x: No}}",
            {"host": {"https": "on", "port": "yes", "x": "No"}},
        ),
        ("config: {machineLearning: {kind: off}}", {"machineLearning": {"kind": "off"}}),
        ("config: {a: true, b: False, c: ~, d: null}", {"a": True, "b": False, "c": None, "d": None}),
        (
            "config: {a: {x: 2026-11-20, y: 22:30, z: 1e3}}",
            {"a": {"x": "2026-11-20 00:00:00 +0000 UTC", "y": "22:30", "z": 1000.0}},
        ),
        ("config: {a: {x: 017, y: 0o17, z: 1_000}}", {"a": {"x": 15, "y": 15, "z": 1000}}),
        ("config: {a: [1, 2]}", {"a": [1, 2]}),
        ("\ufeffconfig: {a: 1}\nencryptionsalt: v1:x\n", {"a": 1}),
    ],
)
def test_values_are_those_of_the_cli(content: str, values: dict[str, Any]) -> None:
    assert parse(content.encode()).values == values


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("config: {host: {name: a}, host: {name: b}}", "the key 'host' is given twice"),
        ("config: {host: {name: a, name: b}}", "the key 'name' is given twice"),
        (
            "config: {host: {name: a}, immich:host: {name: b}}",
            "immich:host is given twice: host is the same setting",
        ),
        ("config: {host: {}}\nconfig: {host: {}}", "the key 'config' is given twice"),
        ("config: {[a]: 1}", "a key must be text"),
        ("config: []", "`config` must be an object"),
        ("config: text", "`config` must be an object"),
        ("- a", "expected an object with the key `config`"),
        ("", "it has no setting"),
        ("config:\n", "it has no setting"),
        ("config: {}\nencryptionsalt: v1:x", "it has no setting"),
        ("Config: {host: {}}", "nothing reads the key `Config`; did you mean `config`?"),
        ("config: {photos:host: {}, host: {}}", "photos:host: nothing reads this key"),
        ("config: {photos:host: {}, host: {}}", "did you mean immich:host?"),
        ("config: {kubernetes:context: home, host: {}}", "kubernetes:context: nothing reads this key"),
        ("config: {host: {name: \xff}".encode("latin-1").decode("latin-1"), "is not YAML"),
    ],
)
def test_what_is_ambiguous_or_read_by_nobody_is_refused(content: str, words: str) -> None:
    with pytest.raises(ToolchainError) as caught:
        parse(content.encode(), "Pulumi.some.yaml")
    assert words in str(caught.value)
    assert str(caught.value).startswith("Pulumi.some.yaml ")


def test_everything_wrong_with_a_file_is_told_at_once() -> None:
    with pytest.raises(ToolchainError) as caught:
        parse(b"config: {photos:host: {}, host: {}, immich:host: {}}\nsettings: {}\n", "x")
    assert len(str(caught.value).splitlines()) == 4


def test_text_that_is_not_unicode_is_told_so() -> None:
    with pytest.raises(ToolchainError, match="is not UTF-8 text"):
        parse(b"config: {host: {name: \xff}}")


def test_the_namespace_of_the_engine_and_an_environment_are_no_mistake() -> None:
    assert parse(b"config: {pulumi:tags: {a: b}, host: {}}").values == {"host": {}}
    assert parse(b"environment: [home]\n").values == {}


def test_every_command_gives_one_answer_for_keys_without_a_namespace(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.some.yaml"
    path.write_text("config: {host: {name: photos.example.com}, docker: {}, proxy: {maxUpload: 2G, expose: "
                    "[{kind: publishedPort, address: 127.0.0.1}]}}\n", encoding="utf-8")  # fmt: skip
    settings, _ = settings_without_secrets("some", *stack_texts(path))
    assert settings.host.name == "photos.example.com"
    assert policies.configuration("some", path)["immich-pack"] == {"uploadSize": "2 GB"}
    assert stack.looks_first("up", path.read_bytes()) == ("--refresh", "--run-program")
    assert rendered.target_of({"kubernetes": {"target": "render"}}) == "render"


@pytest.mark.parametrize("path", sorted(ROOT.glob("Pulumi.*.yaml")), ids=lambda path: path.stem)
def test_every_stack_of_the_repository_is_read(path: Path) -> None:
    assert read(path).values


@pytest.mark.skipif(not (BIN / "pulumi").exists(), reason="the CLI is not set up")
@pytest.mark.parametrize(
    "content",
    [
        "config: {host: {https: on, name: no, port: 017, x: 1e3, t: 2026-11-20, s: 22:30}}",
        "config: {restore: {a: 2026-11-20T18:00:00Z, b: 2026-11-20T18:00:00.5+02:00, c: 2026-11-20 18:00:00}}",
        *(
            pytest.param(one, marks=pytest.mark.deep)
            for one in (
                "config: {restore: {a: 2026-02-30, b: 2026-02-30T10:00:00Z, c: 2026-11-20T25:00:00Z}}",
                "config: {immich:config:host: {name: a}}",
                "config: {machineLearning: {kind: off}}",
            )
        ),
    ],
)
def test_the_cli_hands_the_same_texts_to_the_program(tmp_path: Path, content: str) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: immich\nruntime: python\n", encoding="utf-8")
    (tmp_path / "Pulumi.some.yaml").write_text(f"{content}\n", encoding="utf-8")
    (tmp_path / "state").mkdir()
    env = {
        "PATH": str(BIN),
        "HOME": str(tmp_path),
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_BACKEND_URL": f"file://{tmp_path / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "x",
        "PULUMI_SKIP_UPDATE_CHECK": "1",
    }

    def pulumi(*arguments: str) -> str:
        command = [str(BIN / "pulumi"), *arguments, "--non-interactive"]
        answer = subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False
        )
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    expected = read(tmp_path / "Pulumi.some.yaml").texts()
    pulumi("stack", "init", "some")
    for name, text in expected.items():
        assert json.loads(pulumi("config", "get", f"immich:{name}", "--stack", "some")) == json.loads(text)
