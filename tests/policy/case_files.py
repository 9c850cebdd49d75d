"""Cases and layouts of the policy pack as files: resources in YAML, with `!unknown` for what is not known yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from immich_policy.config import Config
from immich_policy.model import UNKNOWN, Finding, Registered, Rule, Stack, Unjudged, registered
from immich_policy.rules import FAMILIES
from tests.harness.mocks import Recorded, Run, Secret
from tests.harness.mocks import Unknown as NotYet

HERE = Path(__file__).parent
WITH_CASES = ("exposure", "workloads", "data", "secrets")
"""Families whose cases are files."""
RULES: dict[str, Rule] = {rule.name: rule for family in WITH_CASES for rule in FAMILIES[family]}


class _Loader(yaml.CSafeLoader):
    pass


_Loader.add_constructor("!unknown", lambda *_: UNKNOWN)


def load(path: Path) -> dict[str, Any]:
    """A file of resources."""
    return yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a SafeLoader with one more tag


@dataclass(frozen=True, slots=True)
class Case:
    """One file below `cases/<family>/<rule>/`."""

    path: Path

    def __str__(self) -> str:
        return f"{self.path.parent.name}/{self.path.stem}"

    @property
    def rule(self) -> Rule:
        """The rule that it is about."""
        return RULES[self.path.parent.name]


def cases(family: str) -> list[Case]:
    """Every case of a family."""
    return [Case(path) for path in sorted((HERE / "cases" / family).glob("*/*.yaml"))]


def resources(document: dict[str, Any]) -> list[Registered]:
    """The resources of a file. `dependencies` names images of Docker, `parent` is a URN."""
    return [
        registered(
            one["type"],
            one["name"],
            one["props"],
            urn=f"urn:{one['type']}::{one['name']}",
            parent=one.get("parent", ""),
            protect=one.get("protect", False),
            dependencies=[
                f"urn:docker:index/remoteImage:RemoteImage::{name}" for name in one.get("dependencies", ())
            ],
        )
        for one in document["resources"]
    ]


def recorded(run: Run) -> list[Registered]:
    """What a program registered under mocks, as the pack sees it: secrets in the clear, unknown values as such."""
    return [from_recorded(one) for one in run.resources]


def from_recorded(one: Recorded) -> Registered:
    """One resource."""
    return registered(
        one.type,
        one.name,
        _plain(one.props),
        urn=one.urn,
        parent=one.parent,
        dependencies=one.dependencies,
        protect=one.protect,
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Secret):
        return _plain(value.value)
    if isinstance(value, NotYet):
        return UNKNOWN
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value


def findings(rules: Iterable[Rule], found: Iterable[Registered]) -> list[tuple[Rule, Finding]]:
    """What rules find in resources."""
    stack = Stack(found)
    return [
        (rule, said) for rule in rules for said in rule.judge(stack, Config()) if isinstance(said, Finding)
    ]


def unjudged(rules: Iterable[Rule], found: Iterable[Registered]) -> list[tuple[Rule, Unjudged]]:
    """What rules could not judge."""
    stack = Stack(found)
    return [
        (rule, said) for rule in rules for said in rule.judge(stack, Config()) if isinstance(said, Unjudged)
    ]
