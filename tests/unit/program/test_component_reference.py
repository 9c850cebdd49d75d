"""The pages of the components in docs/components/ say what the code has and what is registered."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

from tests.unit.program.stacks import RUNS, STACKS
from toolchain.component_reference import FOLDER, pages, public

PUBLIC = public()


def on_a_cluster(component: type[Any]) -> str:
    """What a component's docstring says that it makes there."""
    paragraph = re.search(
        r"^On a cluster: (.*?)(?=^On a host:|^At Cloudflare:|\Z)", _doc(component), re.M | re.S
    )
    return paragraph[1] if paragraph else ""


def _doc(component: type[Any]) -> str:
    return inspect.cleandoc(component.__doc__ or "")


def kinds(component: str) -> set[str]:
    """Kubernetes kinds that stacks register below a component, at any depth."""
    mark = "immich:kubernetes:Platform" if component == "KubernetesPlatform" else f"immich:index:{component}"
    return {
        one.type.split(":")[-1].removesuffix("Patch")
        for stack in STACKS
        for one in RUNS[stack].resources
        if one.type.startswith("kubernetes:") and mark in one.urn.split("::")[2].split("$")
    }


def test_the_pages_are_those_of_the_code() -> None:
    there = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md")}
    assert there == pages(), "run python -m toolchain.component_reference"


def test_every_page_is_linked_from_the_page_of_all_components() -> None:
    overview = (FOLDER.parent / "components.md").read_text(encoding="utf-8")
    assert [name for name in pages() if f"(components/{name})" not in overview] == []


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_a_component_says_what_it_makes_on_a_cluster_or_on_a_host(name: str) -> None:
    doc = _doc(PUBLIC[name][0])
    assert "On a cluster: " in doc or name == "DockerPlatform"
    assert "On a host: " in doc or name == "KubernetesPlatform"


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_kinds_that_a_component_says_it_makes_are_registered_below_it(name: str) -> None:
    named = set(
        re.findall(
            r"\b[A-Z][a-z]+(?:[A-Z][a-z]*)+\b|\b(?:Deployment|Service|Ingress|Job|Secret|Cluster)\b",
            on_a_cluster(PUBLIC[name][0]),
        )
    ) - {"CloudNativePG"}
    assert named - kinds(name) == set()
