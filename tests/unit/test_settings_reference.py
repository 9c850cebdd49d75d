"""docs/settings.md: written from the models, up to date, complete, and without a dead link."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from components.fields.resources import DEFAULTS
from components.settings.annotations import kind_of, models_of
from components.settings.model import SECRET_KEYS, SECTIONS
from components.settings.rules import RULES
from toolchain import settings_reference

TEXT = settings_reference.reference()
HEADINGS = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL), flags=re.MULTILINE)


def models() -> Iterator[type[BaseModel]]:
    """Every model of the settings, each once."""
    found: list[type[BaseModel]] = [
        model for spec in SECTIONS.values() for model in models_of(spec.annotation())
    ]
    for model in found:
        for field in model.model_fields.values():
            found += [one for one in settings_reference.models_within(field.annotation) if one not in found]
    return iter(found)


def test_the_reference_in_docs_is_up_to_date() -> None:
    assert settings_reference.FILE.read_text(encoding="utf-8") == TEXT, (
        "run python -m toolchain.settings_reference"
    )
    assert settings_reference.main(["--check"]) == 0


def test_check_tells_a_file_that_is_out_of_date_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "docs" / "settings.md"
    file.parent.mkdir()
    monkeypatch.setattr(settings_reference, "FILE", file)
    assert settings_reference.main(["--check"]) == 1
    assert not file.exists()
    file.write_text("old", encoding="utf-8")
    assert settings_reference.main(["--check"]) == 1
    assert "run python -m toolchain.settings_reference" in capsys.readouterr().err
    assert file.read_text(encoding="utf-8") == "old"
    assert settings_reference.main([]) == 0
    assert file.read_text(encoding="utf-8") == TEXT
    assert settings_reference.main(["--check"]) == 0


@pytest.mark.parametrize("model", list(models()), ids=lambda model: model.__name__)
def test_every_setting_has_a_row_with_its_meaning(model: type[BaseModel]) -> None:
    rows = [row for row in TEXT.splitlines() if row.startswith("| `")]
    for alias, text in settings_reference.meanings(model).items():
        if alias == "kind" and f"kind: {kind_of(model)}" in TEXT:
            continue
        assert text, f"{model.__name__}.{alias} has no docstring"
        meaning = " ".join(text.split())[:40].split("|")[0].split("<")[0]
        assert [row for row in rows if row.startswith(f"| `{alias}` |") and meaning in row], alias
    assert model.__doc__
    assert " ".join(model.__doc__.split()) in TEXT


def test_every_section_and_every_kind_has_a_heading() -> None:
    for name, spec in SECTIONS.items():
        assert f"`immich:{name}`" in HEADINGS
        union = models_of(spec.annotation())
        for model in union if len(union) > 1 else ():
            assert f"`immich:{name}` with `kind: {kind_of(model)}`" in HEADINGS


def test_the_default_kind_is_the_one_that_reading_takes() -> None:
    assert "`kind` is one of `bundled` (*default*), `cloudnative-pg`, `external`." in TEXT
    assert "`kind` is one of `secret`, `certManager`, `selfSigned`, `files`, `acme`." in TEXT


def test_every_link_leads_to_a_heading() -> None:
    anchors = [
        "".join(one for one in heading.lower() if one.isalnum() or one in " -_").replace(" ", "-")
        for heading in HEADINGS
    ]
    links = re.findall(r"\]\(#([^)]*)\)", TEXT)
    assert len(links) > 20
    assert sorted(set(links) - set(anchors)) == []
    assert sorted({anchor for anchor in links if anchors.count(anchor) > 1}) == []


def test_every_table_has_as_many_cells_in_each_row() -> None:
    tables = re.findall(r"(?:^\|.*\n)+", TEXT, flags=re.MULTILINE)
    assert len(tables) > 20
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1, table


def test_every_secret_has_its_command_and_every_container_its_amounts() -> None:
    assert set(settings_reference.SECRETS_WANTED) == set(SECRET_KEYS)
    for key in SECRET_KEYS:
        assert f"`pulumi config set --secret immich:{key}` |" in TEXT
    for container, resources in DEFAULTS.items():
        assert f"| {container} | {resources.requests.cpu} | {resources.limits.cpu} |" in TEXT


def test_every_rule_is_told() -> None:
    for rule in RULES:
        assert rule.check.__doc__
        assert " ".join(rule.check.__doc__.split()) in TEXT
