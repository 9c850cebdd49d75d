"""The config that Pulumi hands over: keys that nobody reads, and none at all, are told with every other problem."""

from __future__ import annotations

from collections.abc import Iterator

import pulumi
import pytest
from pulumi.runtime import config as runtime_config

from components.stack.configuration import load_settings


@pytest.fixture(autouse=True)
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(pulumi, "get_stack", lambda: "some")
    monkeypatch.delenv("PULUMI_CONFIG", raising=False)
    yield
    runtime_config.set_all_config({})


def refusal(texts: dict[str, str]) -> str:
    runtime_config.set_all_config(texts)
    with pytest.raises(pulumi.RunError) as caught:
        load_settings()
    return str(caught.value)


def test_a_stack_without_any_setting_is_refused() -> None:
    report = refusal({})
    assert "the stack has no setting at all" in report
    assert "pulumi config set -s some --path 'immich:host.name'" in report


def test_keys_of_other_namespaces_are_told_with_the_other_problems() -> None:
    report = refusal({"photos:host": "{}", "immich:cash": "{}", "kubernetes:context": "home"})
    assert "has 3 problems" in report
    assert "photos:host\n  nothing reads this key" in report
    assert "did you mean immich:host?" in report
    assert "kubernetes:context\n  nothing reads this key" in report
    assert "immich:cash\n  unknown key" in report


def test_one_setting_is_enough_and_the_engine_reads_keys_of_its_own() -> None:
    runtime_config.set_all_config({"immich:host": '{"name": "photos.example.com"}', "pulumi:tags": "{}"})
    assert load_settings().host.name == "photos.example.com"
