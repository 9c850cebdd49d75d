"""The pack between rules and the SDK: unknown values, exceptions, allowances, levels, what it reports."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from immich_policy.config import Config, read
from immich_policy.model import PAGE, UNKNOWN, Finding, Judgement, Level, Rule, Severity, Stack, Unjudged, dig
from immich_policy.pack import PACK, REPORT, policies
from immich_policy.rules import ALL
from immich_policy.text import duration, human, nginx_size, shown, size
from tests.harness.sources import parsed
from tests.policy.servicer import ADVISORY, DISABLED, MANDATORY, Servicer, secret

BOX = {"type": "test:index:Box", "name": "box", "props": {"color": "red", "sizes": [1, 2.5]}}
SECRET = "correct-horse-battery-staple-4711"


def rule(name: str = "uploads-color", level: Level = Level.MANDATORY, **changes: Any) -> Rule:
    def judge(stack: Stack, config: Config) -> Iterator[Judgement]:
        for one in stack:
            color = dig(one.props, "color")
            if color is UNKNOWN:
                yield Unjudged(resource=one, path="color")
            elif color == "red":
                yield Finding(resource=one, path="color", message="it is red", setting="color: blue")

    given: dict[str, Any] = {
        "name": name,
        "family": "uploads",
        "severity": Severity.HIGH,
        "title": "A box is not red.",
        "why": "Bulls run into it.",
        "remediation": "Paint it blue.",
        "judge": judge,
        "level": level,
    }
    return Rule(**{**given, **changes})


def raising(stack: Stack, config: Config) -> Iterator[Judgement]:
    yield from [Finding(resource=one, path="", message="found before", setting="s") for one in stack]
    raise KeyError(SECRET)


def test_a_finding_names_resource_path_value_reason_setting_and_rule() -> None:
    said = Servicer(policies([rule()])).analyze([BOX])
    assert [(one.policy, one.level, one.urn.rsplit("::", 1)[-1]) for one in said] == [
        ("uploads-color", MANDATORY, "box")
    ]
    assert said[0].message.splitlines() == [
        "A box is not red.",
        "box (test:index:Box), color: it is red",
        "Why it matters: Bulls run into it.",
        "Change: color: blue",
        f"Rule: uploads-color ({PAGE}#uploads-color)",
    ]


@pytest.mark.parametrize(
    ("beside", "change"),
    [
        ([], "Change: color: blue"),
        (
            [{"type": "immich:server:Server", "name": "immich", "props": {}}],
            "Change: color: blue (immich:proxy.maxUpload)",
        ),
    ],
)
def test_in_a_stack_of_this_project_alone_a_finding_names_the_setting(beside: list[Any], change: str) -> None:
    (said,) = Servicer(policies([rule("uploads-nginx-size")])).analyze([BOX, *beside])
    assert change in said.message.splitlines()


def test_what_describes_a_rule_is_there_wherever_the_pack_is_used() -> None:
    assert PAGE.is_absolute()
    assert PAGE.is_file()


def test_an_unknown_value_is_reported_and_the_rest_is_judged() -> None:
    waiting = {
        "type": "test:index:Box",
        "name": "waiting",
        "props": {"color": UNKNOWN, "more": {"x": [UNKNOWN]}},
    }
    said = Servicer(policies([rule()])).analyze([waiting, BOX])
    assert [(one.policy, one.level) for one in said] == [("uploads-color", MANDATORY), (REPORT, ADVISORY)]
    assert "1 check could not be made" in said[1].message
    assert "uploads-color: waiting, color is known only after the update" in said[1].message


def test_rules_see_plain_data_with_whole_numbers_and_unknown_paths() -> None:
    seen: list[Any] = []

    def look(stack: Stack, config: Config) -> list[Judgement]:
        seen.extend(stack)
        return []

    props = {
        "replicas": 2.0,
        "half": 0.5,
        "list": [1.0, UNKNOWN],
        "a/b": {"c": UNKNOWN},
        "password": secret("x"),
    }
    Servicer(policies([rule(judge=look)])).analyze([{**BOX, "props": props, "protect": True}])
    assert seen[0].props == {
        "replicas": 2,
        "half": 0.5,
        "list": [1, UNKNOWN],
        "a/b": {"c": UNKNOWN},
        "password": "x",
    }
    assert isinstance(seen[0].props["replicas"], int)
    assert seen[0].unknown == {"list[1]", '["a/b"].c'}
    assert seen[0].protect


def test_an_exception_in_a_rule_is_a_mandatory_violation_without_its_text_and_other_rules_go_on() -> None:
    said = Servicer(policies([rule("uploads-raising", judge=raising), rule()])).analyze([BOX])
    assert [(one.policy, one.level) for one in said] == [
        ("uploads-raising", MANDATORY),
        ("uploads-raising", MANDATORY),
        ("uploads-color", MANDATORY),
    ]
    assert "found before" in said[0].message
    assert (
        "the rule uploads-raising could not judge what is registered (KeyError in raising" in said[1].message
    )
    assert SECRET not in "".join(one.message for one in said)


def test_a_rule_that_is_off_says_why_and_finds_nothing() -> None:
    config = {PACK: {"rules": {"uploads-color": {"off": "all our boxes are red"}}}}
    said = Servicer(policies([rule()]), config).analyze([BOX])
    assert [(one.policy, one.level) for one in said] == [(REPORT, ADVISORY)]
    assert "The rule uploads-color is off: all our boxes are red" in said[0].message


def test_a_rule_that_is_disabled_by_its_level_is_told_to_have_no_reason() -> None:
    said = Servicer(policies([rule()]), levels={"uploads-color": DISABLED}).analyze([BOX])
    assert [(one.policy, one.level) for one in said] == [(REPORT, ADVISORY)]
    assert "disabled by its enforcement level, without a reason" in said[0].message


def test_an_allowance_covers_the_resources_that_it_names_and_appears_with_its_reason() -> None:
    config = {PACK: {"rules": {"uploads-color": {"allow": [{"resource": "bo*", "reason": "a gift"}]}}}}
    other = {**BOX, "name": "crate"}
    said = Servicer(policies([rule()]), config).analyze([BOX, other])
    assert [(one.policy, one.urn.rsplit("::", 1)[-1]) for one in said] == [
        ("uploads-color", "crate"),
        (REPORT, ""),
    ]
    assert "Allowed by uploads-color: box, color: it is red Reason: a gift" in said[1].message


def test_one_request_leaves_nothing_in_the_next() -> None:
    pack = Servicer(policies([rule()]))
    waiting = {**BOX, "props": {"color": UNKNOWN}}
    assert len(pack.analyze([waiting])) == 1
    assert pack.analyze([{**BOX, "props": {"color": "blue"}}]) == []
    assert len(pack.analyze([BOX])) == 1


def test_a_request_is_converted_once_also_where_the_first_policies_are_disabled() -> None:
    stacks: list[int] = []

    def look(stack: Stack, config: Config) -> list[Judgement]:
        stacks.append(id(stack))
        return []

    rules = [rule("uploads-a", judge=look), rule("uploads-b", judge=look)]
    pack = Servicer(policies(rules), levels={PACK: DISABLED, REPORT: DISABLED})
    pack.analyze([BOX])
    pack.analyze([BOX])
    assert stacks[0] == stacks[1]
    assert stacks[2] == stacks[3]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"uploadSize": "large"}, "uploadSize: “large” is no size"),
        ({"uploadSize": 0}, "uploadSize"),
        ({"cloudflarePlan": "gold"}, "none of free, pro, business, enterprise"),
        ({"timeout": -1}, "timeout"),
        ({"podRanges": ["10.42.0.1/16"]}, "“10.42.0.1/16” is no address range"),
        ({"podRanges": "10.42.0.0/16"}, "no list of ranges"),
        ({"uploadLimit": 1}, "“uploadLimit” is no setting"),
        ({"rules": {"uploads-colour": {"off": "x"}}}, "there is no rule “uploads-colour”"),
        ({"rules": {"uploads-color": {"off": ""}}}, "give the reason"),
        ({"rules": {"uploads-color": {"off": True}}}, "give the reason"),
        ({"rules": {"uploads-color": "off"}}, "takes “off”"),
        ({"rules": {"uploads-color": {"allow": [{"resource": "x"}]}}}, "give “resource” and “reason”"),
        ({"rules": {"uploads-color": {"allow": ["x"]}}}, "a mapping of"),
    ],
)
def test_a_mistake_in_the_configuration_is_a_violation_and_turns_nothing_off(values: Any, says: str) -> None:
    said = Servicer(policies([rule()]), {PACK: values}).analyze([BOX])
    assert {(one.policy, one.level) for one in said} == {(PACK, MANDATORY), ("uploads-color", MANDATORY)}
    assert says in next(one.message for one in said if one.policy == PACK)


def test_the_configuration_is_read() -> None:
    config, problems = read(
        {
            "uploadSize": "50 GiB",
            "cloudflarePlan": "pro",
            "timeout": 300.0,
            "podRanges": ["10.42.0.0/16", "fd00::/48"],
        },
        frozenset(),
    )
    assert problems == []
    assert (config.upload_size, config.cloudflare_plan, config.timeout) == (50 * 2**30, "pro", 300)
    assert [str(one) for one in config.pod_ranges] == ["10.42.0.0/16", "fd00::/48"]


TOLD = {"data-backups-leave", "exposure-restore", "exposure-egress"}
"""Rules that stop nothing: a stack to begin with has no target for copies, and is better than none; where there is an
administrator nobody else restores."""


def test_every_rule_is_mandatory_but_a_few_and_described_to_the_engine() -> None:
    info = Servicer(policies()).info()
    names = [one.name for one in info.policies]
    assert names == [PACK, *(one.name for one in ALL), REPORT]
    assert len(names) == len(set(names))
    for one in info.policies:
        assert one.enforcementLevel == (ADVISORY if one.name in {REPORT, *TOLD} else MANDATORY), one.name
        assert one.url
        assert one.severity
    assert "uploadSize" in info.policies[0].configSchema.properties


def test_the_pack_imports_nothing_of_the_program() -> None:
    root = Path(__file__).parents[2] / "policy"
    own = {"immich_policy", "pulumi_policy", "crossplane", "yaml"}
    for path in root.rglob("*.py"):
        for node in ast.walk(parsed(path)):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for module in modules:
                top = module.split(".")[0]
                assert top in own or top in sys.stdlib_module_names, f"{path.name} imports {module}"


@pytest.mark.parametrize(
    ("value", "hidden"),
    [
        ("postgres://immich:hunter2secret@db/immich", "hunter2secret"),
        ("--token=abcDEF123", "abcDEF123"),
        ("DB_PASSWORD=correct horse", "correct"),
        ("eyJhIjoiYWJjZGVmMDEyMzQ1Njc4OWFiY2RlZiJ9x7Q", "eyJh"),
    ],
)
def test_what_looks_like_a_secret_is_not_shown(value: str, hidden: str) -> None:
    assert hidden not in shown(value)
    assert "[redacted]" in shown(value)


@pytest.mark.parametrize(
    "value", ["10.42.0.0/16", "client_max_body_size 50m", "ghcr.io/immich-app/immich-server:v3.3.1"]
)
def test_plain_values_are_shown(value: str) -> None:
    assert shown(value) == f"“{value}”"


def test_a_long_value_is_cut() -> None:
    assert len(shown("word " * 100)) <= 125


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ("5Gi", 5 * 2**30), ("5G", 5 * 10**9), ("100M", 10**8), ("50 GiB", 50 * 2**30), ("100 MB", 10**8),
        (4096, 4096), ("1.5Ki", 1536), ("many", None), ("", None), (True, None), ("5X", None),
    ],
)  # fmt: skip
def test_sizes(written: Any, amount: int | None) -> None:
    assert size(written) == amount


@pytest.mark.parametrize(
    ("written", "amount"),
    [("50m", 50 * 2**20), ("1g", 2**30), ("0", 0), ("5M", 5 * 2**20), ("5 m", None), ("50mb", None)],
)
def test_sizes_of_nginx(written: str, amount: int | None) -> None:
    assert nginx_size(written) == amount


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("600s", 600),
        ("10m", 600),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("500ms", 0.5),
        (60, 60),
        ("0", 0),
        ("x", None),
        ("", None),
    ],
)
def test_durations(written: Any, seconds: float | None) -> None:
    assert duration(written) == seconds


@pytest.mark.parametrize(
    ("amount", "words"),
    [(2**30, "1 GiB"), (10**8, "100 MB"), (2**20, "1 MiB"), (12, "12 bytes"), (123456789, "123.5 MB")],
)
def test_amounts_for_people(amount: int, words: str) -> None:
    assert human(amount) == words
