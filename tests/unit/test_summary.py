"""The screen at the end of `make up`, from outputs of stacks and of made up ones."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.harness.program import ROOT, from_file, shared_run
from toolchain import summary
from toolchain.deployment import mapping

OUTPUTS: dict[str, Any] = {
    "version": "3.3.1",
    "doors": [{"door": "lan", "url": "http://localhost:2283", "largestUpload": "50 GiB"}],
    "waysIn": ["port 2283 of 0.0.0.0"],
    "nextSteps": [f"step {number}" for number in range(7)],
    "rule321": ["photos: 3-2-1 is met: 3 copies", "database: 3-2-1 is not met: a second medium missing"],
}


def lines(outputs: dict[str, Any], address: str | None = None) -> list[str]:
    return summary.screen("home", outputs, address).splitlines()


def test_an_address_that_others_can_use_stands_beside_localhost() -> None:
    assert lines(OUTPUTS, "192.168.1.7")[:4] == [
        "Immich 3.3.1 is up (stack home).",
        "",
        "  http://localhost:2283    lan, uploads of up to 50 GiB",
        "  http://192.168.1.7:2283  the same for others on this network",
    ]


@pytest.mark.parametrize("ways", [["port 2283 of 127.0.0.1"], []])
def test_a_port_of_this_machine_alone_has_no_other_address(ways: list[str]) -> None:
    assert "192.168.1.7" not in "\n".join(lines({**OUTPUTS, "waysIn": ways}, "192.168.1.7"))


def test_at_most_five_steps_are_shown_and_the_command_for_the_rest() -> None:
    shown = lines(OUTPUTS)
    start = shown.index("Next")
    assert shown[start + 1 : start + 7] == [
        *(f"  {number + 1}. step {number}" for number in range(5)),
        "  and 2 more: pulumi stack output nextSteps -s home",
    ]


def test_what_is_not_met_is_shown_and_what_is_met_is_not() -> None:
    shown = lines(OUTPUTS)
    start = shown.index("Before you rely on it")
    assert shown[start + 1] == "  - database: 3-2-1 is not met: a second medium missing"
    assert shown[start + 2] == ""


def test_a_part_without_anything_is_left_out() -> None:
    text = summary.screen("home", {"version": "3.3.1"}, None)
    assert "Next" not in text
    assert "Before you rely on it" not in text


@pytest.mark.parametrize("name", ["home", "dev", "prod", "skylab", "vanillax"])
def test_the_screen_of_a_stack_is_short_and_has_no_secret(name: str) -> None:
    run = shared_run(from_file(ROOT / f"Pulumi.{name}.yaml"))
    outputs = mapping(json.loads(json.dumps(run.outputs, default=lambda _: "[secret]")))
    text = summary.screen(name, outputs, "192.168.1.7")
    assert len(text.splitlines()) <= 30
    assert str(outputs["url"]) in text
    assert "[secret]" not in text
    assert f"make doors STACK={name}" in text
    assert ("make status" in text) is ("manifests" not in outputs)


def test_this_machine_has_an_address_or_none() -> None:
    address = summary.own_address()
    assert address is None or address.count(".") == 3


def test_a_step_by_the_cli_comes_with_what_makes_it_known() -> None:
    step = "close it: pulumi config set --path immich:server.allowSetup false -s home"
    assert 'Next (for pulumi in this shell first: eval "$(make -s env)")' in lines(
        {**OUTPUTS, "nextSteps": [step]}
    )


def test_a_door_without_a_limit_takes_any_size() -> None:
    doors = [{"door": "lan", "url": "https://photos.lan", "largestUpload": "no limit"}]
    assert lines({**OUTPUTS, "doors": doors})[2] == "  https://photos.lan  lan, uploads of any size"
