"""The recipe of docs/cloudflare.md, as it stands there."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.harness.program import ROOT
from tests.harness.variants import refusals

PAGE = (ROOT / "docs" / "cloudflare.md").read_text(encoding="utf-8")
RECIPE, ON_A_HOST = (
    yaml.safe_load(re.sub(r"^ {3}", "", text, flags=re.MULTILINE))
    for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[:2]
)


def sections(given: dict[str, Any]) -> dict[str, Any]:
    """Without the namespace."""
    return {key.removeprefix("immich:"): value for key, value in given.items()}


@pytest.mark.parametrize(
    ("more", "changed"), [({}, {}), ({"docker": {}}, sections(ON_A_HOST))], ids=["cluster", "host"]
)
def test_the_recipe_is_accepted(more: dict[str, Any], changed: dict[str, Any]) -> None:
    assert refusals({**sections(RECIPE["config"]), **more, **changed}) == []


def test_the_way_of_a_cluster_alone_is_none_of_a_host() -> None:
    assert refusals({**sections(RECIPE["config"]), "docker": {}}) != []
