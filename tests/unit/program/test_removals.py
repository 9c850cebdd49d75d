"""What the engine would remove, and what it would refuse to, when something leaves the settings: docs/removing.md."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pulumi
import pytest

from tests.harness.engine import ROOT
from tests.harness.program import Stack, host_stack, run_stack
from tests.harness.stacks import needed_secrets

SHARE = {"kind": "nfs", "server": "10.0.0.9", "path": "/photos"}
CLUSTER = {"kubernetes": {"target": "render"}}
HOST: dict[str, Any] = {
    "docker": {},
    "proxy": {"expose": [{"kind": "publishedPort", "address": "127.0.0.1"}]},
}


def library(source: Mapping[str, Any], *, read_only: bool) -> dict[str, Any]:
    entry = {"name": "nas", "mountPath": "/mnt/nas", "readOnly": read_only, "source": source}
    return {"storage": {"externalLibraries": [entry]}}


REMOVED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "an external library on a share, read-only": (library(SHARE, read_only=True), {}),
    "an external library on a share that Immich may write to": (library(SHARE, read_only=False), {}),
    "an external library with a provisioned volume": (library({"kind": "volume"}, read_only=True), {}),
    "the own volume of a folder": ({"storage": {"thumbs": {"kind": "volume"}}}, {}),
    "machine learning": ({}, {"machineLearning": {"kind": "off"}}),
    "the bundled cache": ({}, {"cache": {"kind": "external", "host": "10.3.3.5", "password": False}}),
    "the bundled database": ({}, {"database": {"kind": "external", "host": "10.3.3.4"}}),
    "backups": ({"backup": {}}, {}),
    "a backup target on a share": (
        {"backup": {"targets": [{"kind": "local", "name": "nas", "source": SHARE}]}},
        {"backup": {}},
    ),
    "nginx": ({}, {"proxy": {"kind": "none"}}),
}
"""What leaves -> the settings before and after."""

ROWS = {
    cells[0]: {"cluster": cells[2], "host": cells[3]}
    for line in (ROOT / "docs/removing.md").read_text(encoding="utf-8").splitlines()
    if len(cells := [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]) == 4
}


def stack_of(where: str, sections: Mapping[str, Any]) -> Stack:
    if where == "cluster":
        return Stack("test", {**CLUSTER, **sections}, needed_secrets({**CLUSTER, **sections}))
    proxy = {**HOST["proxy"], **sections.get("proxy", {})}
    return host_stack("test", {**HOST, **sections, "proxy": proxy})


def test_the_page_has_a_row_for_each() -> None:
    assert ROWS.keys() - {"what leaves", "---"} == REMOVED.keys()


@pytest.mark.parametrize("where", ["cluster", "host"])
@pytest.mark.parametrize("what", sorted(REMOVED))
def test_what_leaves_the_settings_goes_or_is_refused_as_the_page_says(what: str, where: str) -> None:
    if ROWS[what][where].startswith("not accepted"):
        with pytest.raises(pulumi.RunError, match="nothing was changed"):
            run_stack(stack_of(where, REMOVED[what][1]))
        return
    before, after = (run_stack(stack_of(where, sections)) for sections in REMOVED[what])
    now = {one.urn for one in after.resources}
    leaving = [one for one in before.resources if one.urn not in now and one.custom]
    assert leaving
    refused = [one.urn for one in leaving if one.protect]
    assert ROWS[what][where].startswith("refused" if refused else "goes"), refused
