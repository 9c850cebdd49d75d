"""Whatever is in a stack's config: settings, or a report for people that shows no secret, and nothing else."""

from __future__ import annotations

import copy
import json
from collections.abc import Collection, Mapping
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from components.settings.model import SECRET_KEYS, SECTIONS, Settings
from components.settings.reader import SettingsError, read_settings
from tests.harness.examples import examples
from tests.unit.settings.cases import ACCEPTED, REFUSED, load

HIDDEN = "hunter2hunter2"
SECRET_PLACES = (
    "password",
    "dbPassword",
    "apiKey",
    "api_key",
    "authToken",
    "clientSecret",
    "PASSWD",
    "privateKey",
)
SECRET_TEXTS = (
    f"password={HIDDEN}",
    f"http://admin:{HIDDEN}@nas.lan",
    f"-----BEGIN KEY-----{HIDDEN}",
    f"0 0 password={HIDDEN} * * *",
)
CASES = [
    (case.get("config", {}), tuple(case.get("secretKeys", ())))
    for case in map(load, (*ACCEPTED, *REFUSED))
    if "texts" not in case and "hidden" not in case and "deep" not in case
]
FAST = settings(
    max_examples=examples(200),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from([
        "auto", "", "0", "-1", "10.0.0.0/8", "::/0", "fe80::1%eth0", "1Gi", "30s", "a.b", "/", "/data", "\x00",
        "\ud800", "bundled", "external", "cloudnative-pg", "nfs", "hostPath", "split", "off", "httpRoute",
        "external-secrets", 10**400, 2**63, 0.1, {}, [], {"kind": {}}, {"kind": "nfs"}, {"kind": None}, [[]], "s3://b", "http://[",
        "٣Gi",
    ])
)  # fmt: skip
ANY_JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def outcome(config: Mapping[str, str], secret_keys: Collection[str]) -> Settings | SettingsError:
    try:
        return read_settings("test", config, secret_keys)
    except SettingsError as error:
        return error


def assert_settings_or_report(config: Mapping[str, str], secret_keys: Collection[str] = ()) -> Settings | str:
    """Read twice: both times the same settings, or the same report that can be printed."""
    first, second = outcome(config, secret_keys), outcome(config, secret_keys)
    if isinstance(first, Settings):
        assert first == second
        return first
    report = str(first)
    assert report == str(second)
    assert first.problems
    assert report.encode()
    assert all(line.isprintable() for line in report.splitlines()), report
    assert all(problem.key.startswith("immich:") and problem.reason for problem in first.problems)
    assert HIDDEN not in report
    return report


def nodes(tree: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The paths of everything in a tree."""
    if isinstance(tree, dict):
        return [path, *(found for key, value in tree.items() for found in nodes(value, (*path, key)))]
    if isinstance(tree, list):
        return [path, *(found for index, value in enumerate(tree) for found in nodes(value, (*path, index)))]
    return [path]


def inside(tree: Any, path: tuple[str | int, ...]) -> Any:
    for part in path:
        tree = tree[part]
    return tree


@st.composite
def mutated(draw: st.DrawFn) -> tuple[dict[str, str], tuple[str, ...]]:
    """A case in which one to three nodes were replaced, added, removed, swapped or given a secret."""
    given_config, secret_keys = draw(st.sampled_from(CASES))
    config: Any = copy.deepcopy(given_config)
    for _ in range(draw(st.integers(min_value=1, max_value=3))):
        path = draw(st.sampled_from(nodes(config)))
        here = inside(config, path)
        action = draw(st.sampled_from(["replace", "remove", "add", "borrow", "secret key", "secret text"]))
        if action in {"add", "secret key"} and isinstance(here, dict) and path:
            key = draw(st.sampled_from(SECRET_PLACES) if action == "secret key" else st.text(max_size=6))
            inner = st.sampled_from([HIDDEN, {"x": HIDDEN}, [HIDDEN], {"kind": HIDDEN}])
            here[key] = copy.deepcopy(draw(inner if action == "secret key" else ANY_JSON))
        elif not path:
            config[draw(st.sampled_from([*SECTIONS, *SECRET_KEYS, "x"]))] = copy.deepcopy(draw(ANY_JSON))
        elif action == "remove":
            del inside(config, path[:-1])[path[-1]]
        elif action == "borrow":
            other = draw(st.sampled_from(CASES))[0]
            inside(config, path[:-1])[path[-1]] = copy.deepcopy(
                inside(other, draw(st.sampled_from(nodes(other))))
            )
        elif action == "secret text":
            inside(config, path[:-1])[path[-1]] = draw(st.sampled_from(SECRET_TEXTS))
        else:
            inside(config, path[:-1])[path[-1]] = copy.deepcopy(draw(ANY_JSON))
    texts = {key: json.dumps(value) for key, value in config.items()}
    return dict.fromkeys(secret_keys, "") | texts, secret_keys


@given(mutated())
@settings(FAST, max_examples=examples(500))
def test_a_changed_configuration_gives_settings_or_a_report(
    config: tuple[dict[str, str], tuple[str, ...]],
) -> None:
    assert_settings_or_report(*config)


@given(st.dictionaries(st.sampled_from(sorted(SECTIONS)), ANY_JSON, max_size=4))
@FAST
def test_any_json_in_any_section_gives_settings_or_a_report(config: dict[str, Any]) -> None:
    assert_settings_or_report({key: json.dumps(value) for key, value in config.items()})


@given(
    st.dictionaries(
        st.sampled_from([*SECTIONS, *SECRET_KEYS]) | st.text(max_size=9), st.text(max_size=30), max_size=4
    ),
    st.sets(st.sampled_from([*SECTIONS, *SECRET_KEYS]), max_size=3),
)
@FAST
def test_any_text_under_any_key_gives_settings_or_a_report(
    config: dict[str, str], secret_keys: set[str]
) -> None:
    assert_settings_or_report(config, secret_keys)


@given(
    st.sampled_from(sorted(SECTIONS)),
    st.sampled_from(["[", '{"a":', '{"kind":', '[{"x":']),
    st.integers(1, 3000),
)
@settings(FAST, max_examples=examples(60))
def test_any_depth_gives_a_report(section: str, opening: str, depth: int) -> None:
    closing = "".join("]" if one == "[" else "}" for one in reversed(opening) if one in "[{")
    assert isinstance(assert_settings_or_report({section: opening * depth + "0" + closing * depth}), str)


@given(st.sampled_from(CASES), st.data())
@settings(FAST, max_examples=examples(60))
def test_the_order_of_keys_does_not_matter(
    case: tuple[dict[str, Any], tuple[str, ...]], data: st.DataObject
) -> None:
    def shuffled(tree: Any) -> Any:
        if isinstance(tree, dict):
            return {key: shuffled(tree[key]) for key in data.draw(st.permutations(sorted(tree)))}
        return [shuffled(one) for one in tree] if isinstance(tree, list) else tree

    config, secret_keys = case
    assume(config)
    before = {key: json.dumps(value) for key, value in config.items()} | dict.fromkeys(secret_keys, "")
    after = {key: json.dumps(value) for key, value in shuffled(config).items()} | dict.fromkeys(
        secret_keys, ""
    )
    first, second = (assert_settings_or_report(one, secret_keys) for one in (before, after))
    if isinstance(first, str) and isinstance(second, str):
        assert sorted(first.splitlines()) == sorted(second.splitlines())
    else:
        assert first == second
