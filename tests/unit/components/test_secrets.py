"""The component that reads and makes secrets."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from components.secrets.component import Secrets, SecretsArgs
from tests.harness import mocks
from tests.harness.mocks import Recorded, Run, Secret
from tests.harness.program import RANDOM_PASSWORD, random_text

WANTED = {"databasePassword": True, "smtpPassword": False}


def run(config: dict[str, str], *, mark: str = "one", **more: Any) -> Run:
    """A program that puts what the component gives into a resource."""

    def program() -> None:
        from pulumi_random import Provider

        provider = pulumi.ResourceOptions(providers=[Provider("random")])
        secrets = Secrets("secrets", SecretsArgs(wanted=WANTED), provider)
        fingerprints = secrets.fingerprints(["databasePassword", "smtpPassword"])
        values = secrets.values(["databasePassword", "smtpPassword"])
        pulumi.CustomResource("test:index:Sink", "sink", {"values": values, "fingerprints": fingerprints})

    def computed(resource: Recorded) -> dict[str, str]:
        text = mark if resource.name == "fingerprint-key" else random_text(resource.name)
        return {"result": text} if resource.type == RANDOM_PASSWORD else {}

    texts = {f"immich:{key}": value for key, value in config.items()}
    return mocks.run(program, config=texts, secret_keys=list(texts), computed=computed, **more)


def sink(found: Run) -> dict[str, Any]:
    return found.of_type("test:index:Sink")[0].props


def test_values_are_secret_whether_they_were_given_or_made() -> None:
    values = sink(run({"smtpPassword": "given"}))["values"]
    assert values == Secret({"databasePassword": random_text("database-password"), "smtpPassword": "given"})


def test_a_value_that_is_given_is_used_and_the_one_that_was_made_before_can_stay() -> None:
    found = run({"smtpPassword": "given", "databasePassword": "mine"})
    assert sink(found)["values"] == Secret({"databasePassword": "mine", "smtpPassword": "given"})
    # It is protected: could it not stay, a password could never be given after the first update.
    assert [one.name for one in found.of_type(RANDOM_PASSWORD)] == ["database-password", "fingerprint-key"]


def test_what_nobody_could_make_up_must_be_given() -> None:
    with pytest.raises(pulumi.ConfigMissingError, match="immich:smtpPassword"):
        run({})


def test_random_passwords_are_letters_and_digits_as_immich_advises_for_the_database() -> None:
    for one in run({"smtpPassword": "given"}).of_type(RANDOM_PASSWORD):
        assert one.props == {"length": 40, "special": False}


def test_a_fingerprint_is_plain_and_changes_with_the_value_only() -> None:
    first, same, other = (
        sink(run({"smtpPassword": password}))["fingerprints"] for password in ("given", "given", "another")
    )
    assert first == same
    assert first.keys() == {"database-password", "smtp-password"}
    assert all(isinstance(value, str) and len(value) == 16 for value in first.values())
    assert first["database-password"] == other["database-password"]
    assert first["smtp-password"] != other["smtp-password"]


def test_a_fingerprint_tells_nothing_without_the_key_of_the_stack() -> None:
    first, second = (
        sink(run({"smtpPassword": "given"}, mark=mark))["fingerprints"] for mark in ("one", "two")
    )
    assert not set(first.values()) & set(second.values())


def test_a_value_that_a_program_gives_in_the_clear_is_secret_from_there_on() -> None:
    def program() -> None:
        from pulumi_random import Provider

        options = pulumi.ResourceOptions(providers=[Provider("random")])
        args = SecretsArgs(wanted={"databasePassword": False}, given={"databasePassword": "in the clear"})
        secrets = Secrets("photos-secrets", args, options)
        pulumi.CustomResource("test:index:Sink", "sink", {"one": secrets.value("databasePassword")})

    assert sink(mocks.run(program))["one"] == Secret("in the clear")


def test_a_value_that_is_missing_and_cannot_be_random_is_told() -> None:
    def program() -> None:
        Secrets("photos-secrets", SecretsArgs(wanted={"smtpPassword": False}, given={}))

    with pytest.raises(ValueError, match="smtpPassword: a value is needed"):
        mocks.run(program)
