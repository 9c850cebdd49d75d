"""What `make up` and `make preview` tell the policy pack about a stack."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from toolchain import policies
from toolchain.failure import ToolchainError


def stack(folder: Path, **sections: Any) -> Path:
    file = folder / "Pulumi.test.yaml"
    file.write_text(json.dumps({"config": {f"immich:{name}": value for name, value in sections.items()}}))
    return file


def pack(folder: Path, document: object) -> Path:
    (folder / "policy" / "config").mkdir(parents=True)
    (folder / "policy" / "config" / "test.json").write_text(json.dumps(document))
    return folder / "policy"


def test_a_cluster_declares_its_uploads_and_the_networks_of_its_pods(tmp_path: Path) -> None:
    given = stack(tmp_path, proxy={"maxUpload": "7Gi"}, kubernetes={"podCidrs": ["10.42.0.0/16"]})
    assert policies.configuration("test", given, tmp_path) == {
        "immich-pack": {"uploadSize": "7 GiB", "podRanges": ["10.42.0.0/16"]}
    }


def test_a_host_has_no_pods(tmp_path: Path) -> None:
    way = {"kind": "publishedPort", "address": "127.0.0.1"}
    given = stack(tmp_path, docker={}, proxy={"expose": [way]})
    assert policies.configuration("test", given, tmp_path) == {"immich-pack": {"uploadSize": "50 GiB"}}


def test_mistakes_in_the_settings_are_left_to_the_program(tmp_path: Path) -> None:
    given = stack(tmp_path, proxy={"maxUpload": "a lot"})
    assert policies.configuration("test", given, tmp_path) == {"immich-pack": {}}


def test_exceptions_of_a_stack_are_in_its_file_and_win(tmp_path: Path) -> None:
    rules = {"exposure-setup": {"off": "the first administrator is made now"}}
    folder = pack(tmp_path, {"immich-pack": {"rules": rules, "uploadSize": "1 GiB"}})
    told: Any = policies.configuration("test", stack(tmp_path), folder)
    assert told["immich-pack"]["rules"] == rules
    assert told["immich-pack"]["uploadSize"] == "1 GiB"


@pytest.mark.parametrize("document", [[], {"rules": {}}, {"immich-pack": []}])
def test_a_file_of_exceptions_in_another_form_is_refused_by_name(tmp_path: Path, document: object) -> None:
    folder = pack(tmp_path, document)
    with pytest.raises(
        ToolchainError, match=r"policy/config/test\.json must be an object with the key immich-pack"
    ):
        policies.configuration("test", stack(tmp_path), folder)


def test_the_options_name_a_file_that_is_gone_afterwards(tmp_path: Path) -> None:
    with policies.options("test", stack(tmp_path), tmp_path) as options:
        file = Path(options[options.index("--policy-pack-config") + 1])
        assert json.loads(file.read_text()) == policies.configuration("test", stack(tmp_path), tmp_path)
    assert not file.exists()
