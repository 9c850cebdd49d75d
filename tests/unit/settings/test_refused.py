"""What the settings reader refuses, and what it says then: one case in each file of `refused/`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from components.settings.reader import Problem, SettingsError, read_settings
from tests.unit.settings.cases import REFUSED, load, texts


def said(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def fits(problem: Problem, expected: Mapping[str, Any]) -> bool:
    """Whether a problem is the one that a case expects."""
    given = expected.get("given", "")
    return (
        problem.key == expected["key"]
        and all(part in problem.reason for part in said(expected["says"]))
        and (problem.given is None if given is None else given in (problem.given or ""))
        and expected.get("hint", "") in (problem.hint or "")
        and not ("no_hint" in expected and problem.hint)
    )


@pytest.mark.parametrize("path", REFUSED, ids=lambda path: path.stem)
def test_a_bad_configuration_is_refused_with_every_problem_in_it(path: Path) -> None:
    case = load(path)
    with pytest.raises(SettingsError) as caught:
        read_settings("test", texts(case), case.get("secretKeys", ()))
    problems, report = list(caught.value.problems), str(caught.value)
    for expected in case["problems"]:
        found = [problem for problem in problems if fits(problem, expected)]
        assert found, f"expected {expected} in:\n{report}"
        problems.remove(found[0])
        assert expected["key"] in report
        for part in said(expected["says"]):
            assert part in report
    assert problems == [], f"nobody expected {problems}"
    for hidden in case.get("hidden", ()):
        assert hidden not in report
    lines = report.splitlines()
    assert all(line.isprintable() and len(line) < 1000 for line in lines)
    count = len(case["problems"])
    assert lines[0] == (
        f"the configuration of stack test has {count} problem{'s' if count > 1 else ''}; nothing was changed."
    )


def test_commands_in_the_report_name_the_stack() -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings("photos", {"database": '{"kind": "external"}'})
    assert "pulumi config set -s photos --path 'immich:database.host' <value>" in str(caught.value)
    assert "pulumi config set --" not in str(caught.value)


def test_there_are_as_many_cases_as_a_mistake_has_ways() -> None:
    assert len(REFUSED) >= 60


def test_a_problem_is_a_key_and_what_was_given_and_what_is_accepted_and_what_to_do() -> None:
    problem = Problem(key="immich:a.b", given='"x"', reason="expected y", hint="do z")
    assert str(problem) == 'immich:a.b\n  given: "x"\n  expected y\n  to do: do z'
    assert str(Problem(key="immich:a.b", given=None, reason="expected y")) == "immich:a.b\n  expected y"


def test_a_long_value_is_cut_and_a_long_key_too() -> None:
    long = "x" * 5000
    with pytest.raises(SettingsError) as caught:
        read_settings("test", {"server": f'{{"timezone": "{long}", "{long}": 1}}', long: "{}"})
    assert max(map(len, str(caught.value).splitlines())) < 1000
    assert len(caught.value.problems) == 3
