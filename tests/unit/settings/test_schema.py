"""docs/settings.schema.json: it is that of the models, takes what the reader takes, and sees what a schema can see."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter, ValidationError

from components.settings.model import SECRET_KEYS, SECTIONS
from tests.harness.stacks import ROOT
from tests.unit.settings.cases import ACCEPTED, REFUSED, load
from toolchain import settings_schema

STACKS = sorted(ROOT.glob("Pulumi.*.yaml"))
VISIBLE = {
    *(
        "extra_forbidden",
        "missing",
        "literal_error",
        "union_tag_invalid",
        "dict_type",
        "tuple_type",
        "int_type",
    ),
    *("bool_type", "bool_parsing", "int_parsing", "model_type", "model_attributes_type", "string_type"),
    *(
        "greater_than_equal",
        "less_than_equal",
        "string_pattern_mismatch",
        "string_too_short",
        "string_too_long",
    ),
}
"""What pydantic calls mistakes that a schema can see."""
AS_TEXT = {"docker_with_every_setting", "values_of_pulumi_config_set_path"}
"""Cases with numbers and truth values as text, as `pulumi config set` writes them: YAML has values for both."""
AS_NUMBER = {"database_operator_postgres_too_new"}
"""Cases with a number where text is meant: a pattern is for texts."""


@functools.cache
def validator() -> Draft202012Validator:
    schema = settings_schema.schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def faults(document: Any) -> list[str]:
    return [f"{error.json_path}: {error.message[:200]}" for error in validator().iter_errors(document)]


def document(case: dict[str, Any]) -> dict[str, Any]:
    texts = {
        key: json.loads(text) if text[:1] in "{[" else text for key, text in case.get("texts", {}).items()
    }
    return {"config": {f"immich:{key}": value for key, value in {**case.get("config", {}), **texts}.items()}}


def visible(case: dict[str, Any]) -> set[str]:
    found: set[str] = set()
    for name, value in case["config"].items():
        if name not in SECTIONS:
            continue
        try:
            TypeAdapter(SECTIONS[name].annotation()).validate_python(value, by_alias=True, by_name=False)
        except ValidationError as error:
            found |= {one["type"] for one in error.errors()} & VISIBLE
    return found


def test_the_file_is_that_of_the_models() -> None:
    assert settings_schema.FILE.read_text(encoding="utf-8") == settings_schema.text(), (
        "run python -m toolchain.settings_schema"
    )


@pytest.mark.parametrize("path", STACKS, ids=lambda path: path.stem)
def test_every_shipped_stack_names_the_schema_and_fits_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.splitlines()[0] == settings_schema.LINE
    assert faults(yaml.safe_load(text)) == []


@pytest.mark.parametrize(
    "path", [one for one in ACCEPTED if one.stem not in AS_TEXT], ids=lambda path: path.stem
)
def test_what_the_reader_takes_fits(path: Path) -> None:
    assert faults(document(load(path))) == []


@pytest.mark.parametrize(
    "path",
    [one for one in REFUSED if "config" in load(one) and one.stem not in AS_NUMBER and visible(load(one))],
    ids=lambda path: path.stem,
)
def test_what_a_schema_can_see_it_sees(path: Path) -> None:
    assert faults(document(load(path))) != []


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("cache", {"kind": "bundled", "maxMemory": "400m"}),
        ("storage", {"media": {"kind": "volume", "size": "50GB"}}),
        ("backup", {"schedule": "0 0 2 * * *"}),
        ("host", {"name": "https://photos.example.com"}),
        ("storage", {"media": {"kind": "hostPath", "path": "srv/photos"}}),
        ("server", {"image": "ghcr.io/immich-app/immich-server"}),
        ("server", {"startupBudget": "15 minutes"}),
        ("docker", {"host": "http://nas.lan"}),
        ("host", {"port": 70_000}),
    ],
)
def test_values_that_fit_no_grammar_are_seen(section: str, value: object) -> None:
    assert faults({"config": {f"immich:{section}": value}}) != []


def test_keys_that_nobody_reads_are_seen_and_those_of_others_are_not() -> None:
    assert faults({"config": {"immich:hots": {}}}) != []
    assert faults({"config": {"immich:host": {"nmae": "x"}}}) != []
    assert faults({"cofnig": {}}) != []
    assert faults({"config": {"pulumi:tags": {"a": "b"}}, "encryptionsalt": "v1:abc"}) == []


def test_secrets_are_encrypted() -> None:
    for key in SECRET_KEYS:
        assert faults({"config": {f"immich:{key}": {"secure": "v1:abc"}}}) == []
    assert faults({"config": {"immich:databasePassword": {"a": "b"}}}) != []
    assert faults({"config": {"immich:databasePassword": "in the clear"}}) != []


def test_every_setting_has_a_description() -> None:
    schema = settings_schema.schema()
    for name, model in schema["$defs"].items():
        for key, setting in model.get("properties", {}).items():
            assert key == "kind" or setting.get("description"), f"{name}.{key}"
