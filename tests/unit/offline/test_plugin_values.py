"""Property values of the offline plugins on their way to the engine and back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolchain.offline.plugins.kubernetes.render import to_yaml
from toolchain.offline.plugins.values import (
    UNKNOWN,
    Secret,
    contains_unknown,
    from_struct,
    mark_secrets,
    to_struct,
)

pytestmark = pytest.mark.deep(unless_changed=("toolchain/offline/plugins",))

ROOT = Path(__file__).resolve().parents[3]

LEAVES = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text() | st.just(UNKNOWN)
VALUES = st.recursive(
    LEAVES | st.text().map(Secret),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), VALUES, max_size=5))
def test_a_value_survives_the_wire(value: dict[str, Any]) -> None:
    assert from_struct(to_struct(value)) == value


@given(st.dictionaries(st.text(), DOCUMENTS, max_size=5))
def test_rendered_yaml_says_what_the_object_says(value: dict[str, Any]) -> None:
    import yaml

    assert yaml.safe_load(to_yaml(value)) == value


@pytest.mark.parametrize(
    "text", ["1e3", "12e45", "0x1f", "0o17", "yes", "y", "null", "1.5", "~", "1_000", "on"]
)
def test_text_that_another_yaml_reader_takes_for_something_else_is_quoted(text: str) -> None:
    assert to_yaml({"a": text}) == f"a: '{text}'\n"


def test_a_secret_is_not_shown_by_its_repr() -> None:
    assert "hidden" not in repr({"a": Secret("hidden")})


def test_secretness_is_carried_over_by_key_and_a_list_with_a_secret_is_secret_as_a_whole() -> None:
    marked = mark_secrets(
        {"a": 1, "b": {"c": 2, "d": 3}, "e": [1, 2]},
        {"a": Secret(0), "b": {"c": Secret(0)}, "e": [0, Secret(0)]},
    )
    assert marked == {"a": Secret(1), "b": {"c": Secret(2), "d": 3}, "e": Secret([1, 2])}


def test_unknowns_are_found_inside_secrets_and_lists() -> None:
    assert contains_unknown({"a": [Secret({"b": UNKNOWN})]})
    assert not contains_unknown({"a": [Secret({"b": 1})]})


@pytest.mark.parametrize("plugin", ["kubernetes", "random", "cloudflare"])
def test_a_plugin_starts_without_the_sdk_or_the_kubernetes_client(plugin: str) -> None:
    code = (
        f"import sys, toolchain.offline.plugins.server, toolchain.offline.plugins.{plugin}\n"
        "if sys.argv[1] == 'kubernetes': import toolchain.offline.plugins.kubernetes.plugin\n"
        "heavy = {'pulumi.output', 'kubernetes', 'yaml', 'requests', 'pydantic'} & set(sys.modules)\n"
        "print(sorted(heavy))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, plugin], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("plugin", ["kubernetes", "random", "cloudflare"])
def test_a_plugin_prints_its_port_and_ends_quietly_when_told(plugin: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", f"toolchain.offline.plugins.{plugin}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) > 0
        process.terminate()
        rest, errors = process.communicate(timeout=10)
    assert (process.returncode, rest, errors) == (0, "", "")
