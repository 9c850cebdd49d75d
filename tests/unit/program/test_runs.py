"""Runs of the program under mocks: what they import, and that they leave nothing behind."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import warnings
from typing import Any

import pulumi
import pytest

from tests.harness import mocks
from tests.harness.program import ROOT, run_stack
from tests.unit.program.stacks import DEVICES, EXTERNAL, FETCHED, RUNS, STACKS

IMPORTS = """
import json, sys
from tests.harness.program import run_stack
from tests.unit.program.stacks import STACKS
for name in sys.argv[1:]:
    run_stack(STACKS[name])
print(json.dumps(sorted({module.partition(".")[0] for module in sys.modules if module.startswith("pulumi")})))
"""


def packages(*stacks: str) -> set[str]:
    """Top-level pulumi packages that a process has after running these stacks."""
    answer = subprocess.run(
        [sys.executable, "-c", IMPORTS, *stacks],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(json.loads(answer.stdout.splitlines()[-1]))


def test_a_stack_imports_only_the_packages_that_it_uses() -> None:
    assert packages("fetched") == {"pulumi", "pulumi_kubernetes"}


def test_random_secrets_cost_one_package_more() -> None:
    assert packages("dev", "operated", "external") == {"pulumi", "pulumi_kubernetes", "pulumi_random"}


def test_a_stack_without_random_secrets_has_no_provider_for_them() -> None:
    assert [one.type for one in RUNS["fetched"].resources if ":providers:" in one.type] == [
        "pulumi:providers:kubernetes"
    ]
    assert len(RUNS["dev"].of_type("pulumi:providers:random")) == 1


def test_the_program_says_nothing_to_the_engine_but_what_it_registers() -> None:
    for name in STACKS:
        assert RUNS[name].log == [], name


def test_a_run_is_the_same_twice_and_unlike_a_run_of_another_stack() -> None:
    first, second = run_stack(EXTERNAL), run_stack(EXTERNAL)
    assert {one.urn: one.props for one in first.resources} == {one.urn: one.props for one in second.resources}
    other = {one.urn for one in run_stack(DEVICES).resources}
    assert other.isdisjoint(one.urn for one in first.resources)


def test_a_run_leaves_no_thread_no_loop_and_no_config_behind() -> None:
    before = set(threading.enumerate())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run_stack(FETCHED)
    assert set(threading.enumerate()) <= before
    assert pulumi.Config("immich").get("kubernetes") is None
    assert pulumi.runtime.get_root_resource() is None
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()


def bad_settings() -> Any:
    return {**STACKS["dev"].sections, "server": {"workers": {"kind": "split"}}}


def test_bad_settings_stop_the_program_before_it_registers_anything() -> None:
    from dataclasses import replace

    with pytest.raises(
        pulumi.RunError, match=r"1 problem; nothing was changed\.\n\nimmich:server\.workers\.kind"
    ):
        run_stack(replace(STACKS["dev"], sections=bad_settings()))


def test_a_resource_registered_twice_is_an_error_as_with_the_engine() -> None:
    def program() -> None:
        pulumi.ComponentResource("a:b:C", "same")
        pulumi.ComponentResource("a:b:C", "same")

    with pytest.raises(Exception, match="duplicate resource URN"):
        mocks.run(program)


def test_the_recorder_sees_options_secrets_and_unknowns_as_they_are_sent() -> None:
    def program() -> None:
        parent = pulumi.ComponentResource("a:b:Parent", "parent")
        first = pulumi.CustomResource(
            "x:y:First", "first", {"plain": 2, "hidden": pulumi.Output.secret("value"), "result": None},
            pulumi.ResourceOptions(parent=parent, protect=True, additional_secret_outputs=["result"]),
        )  # fmt: skip
        pulumi.CustomResource(
            "x:y:Second", "second", {"id": first.id},
            pulumi.ResourceOptions(
                depends_on=[first], retain_on_delete=True, delete_before_replace=True,
                custom_timeouts=pulumi.CustomTimeouts(create="5m"),
            ),
        )  # fmt: skip
        pulumi.export("out", pulumi.Output.secret("value"))

    run = mocks.run(program, stack="one")
    first, second = run.of_type("x:y:First")[0], run.of_type("x:y:Second")[0]
    assert first.props == {"plain": 2, "hidden": mocks.Secret("value")}
    assert (first.protect, first.retain_on_delete, first.secret_outputs) == (True, False, ("result",))
    assert first.urn == "urn:pulumi:one::immich::a:b:Parent$x:y:First::first"
    assert first.provider == "", "none was given: the default provider"
    assert (second.protect, second.retain_on_delete, second.delete_before_replace) == (False, True, True)
    assert (second.dependencies, second.timeouts) == ((first.urn,), {"create": "5m"})
    assert second.props == {"id": "first-id"}
    assert run.outputs == {"out": mocks.Secret("value")}
    preview = mocks.run(program, preview=True)
    assert preview.of_type("x:y:Second")[0].props == {"id": mocks.UNKNOWN}
