"""What earlier updates left, from what the engine answers."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pulumi
import pytest

from components.model.naming import TOKEN_ENDS
from components.settings.reader import read_settings
from components.upgrade.deployed import Deployed, Last, from_plain, last_of, read_last, wanted
from components.upgrade.settings import Upgrade

FULL = Deployed(
    immich="3.3.1",
    database="bundled",
    postgres=18,
    vectorchord="1.1.1",
    machine_learning="3.3.1",
    lineage=2,
    database_at="3.3.0",
    backed_up=True,
    before=Deployed(immich="3.2.4", before=Deployed(immich="3.1.0")),
)
MARK = "urn:pulumi:home::immich::immich:index:Immich$immich:index:Upgrade$pulumi:index:Stash::reached"


def test_plain_data_are_read_back_as_they_were_and_hold_nothing_empty() -> None:
    assert from_plain(FULL.plain()) == FULL
    assert Deployed(immich="3.3.1").plain() == {"immich": "3.3.1"}


def test_the_wire_makes_fractions_of_whole_numbers() -> None:
    found = from_plain({"immich": "3.3.1", "postgres": 18.0})
    assert found is not None
    assert found.postgres == 18
    assert isinstance(found.postgres, int)


@pytest.mark.parametrize("value", [None, "3.3.1", {}, {"immich": 3}, []])
def test_what_is_no_such_data_is_none(value: object) -> None:
    assert from_plain(value) is None


def test_outputs_of_an_older_program_have_the_release_alone() -> None:
    assert last_of({"version": "3.2.4"}, {}) == Last(finished=Deployed(immich="3.2.4"))


def test_the_mark_is_what_was_written_last_and_not_the_first_value() -> None:
    state = {
        MARK: {
            "type": "pulumi:index:Stash",
            "outputs": {"input": {"immich": "3.3.1"}, "output": {"immich": "3.2.4"}},
        }
    }
    last = last_of({"deployed": {"immich": "3.2.4"}}, state)
    assert last == Last(finished=Deployed(immich="3.2.4"), reached=Deployed(immich="3.3.1"))
    assert last.now == Deployed(immich="3.3.1")


def test_no_other_resource_is_taken_for_the_mark() -> None:
    state = {
        MARK.replace("::reached", "::unreached"): {"outputs": {"input": {"immich": "1.0.0"}}},
        MARK.replace("pulumi:index:Stash", "random:index:Stashed"): {
            "outputs": {"input": {"immich": "1.0.0"}}
        },
    }
    assert last_of({}, state).reached is None


def test_settings_are_what_is_wanted() -> None:
    found = wanted(read_settings("test", {}), Upgrade(database_at="3.0.0"), lineage=4)
    assert (found.database, found.postgres, found.vectorchord) == ("bundled", 18, "1.1.1")
    assert found.machine_learning == found.immich
    assert (found.database_at, found.lineage) == ("3.0.0", None)


def test_the_major_version_is_taken_of_a_full_one_and_machine_learning_elsewhere_is_not_ours() -> None:
    texts = {
        "database": '{"kind": "cloudnative-pg", "postgres": "18.4"}',
        "machineLearning": '{"kind": "off"}',
    }
    found = wanted(read_settings("test", texts), Upgrade(), lineage=4)
    assert (found.database, found.postgres, found.machine_learning, found.lineage) == (
        "cloudnative-pg",
        18,
        None,
        4,
    )


def _answers(function: str, arguments: dict[str, Any]) -> mock.Mock:
    outputs = {
        "pulumi:pulumi:readStackOutputs": {"deployed": {"immich": "3.2.4"}},
        "pulumi:pulumi:readStackResourceOutputs": {MARK: {"outputs": {"input": {"immich": "3.3.1"}}}},
    }
    assert set(arguments.values()) == {"acme/immich/home"}
    return mock.Mock(value={"outputs": outputs[function]})


def test_the_engine_is_asked_for_the_stack_by_its_full_name() -> None:
    with (
        mock.patch("pulumi.runtime.invoke", _answers),
        mock.patch("pulumi.get_organization", return_value="acme"),
        mock.patch("pulumi.get_project", return_value="immich"),
        mock.patch("pulumi.get_stack", return_value="home"),
    ):
        assert read_last() == Last(finished=Deployed(immich="3.2.4"), reached=Deployed(immich="3.3.1"))


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("2027-01-31T00:00:00Z", 1_801_353_600), ("", None), ("one day", None), (None, None), (7.0, None)],
)
def test_the_end_of_the_service_token_is_read_of_the_output(written: object, seconds: int | None) -> None:
    assert last_of({TOKEN_ENDS: written}, {}).token_ends == seconds
    assert last_of({}, {}).token_ends is None


def test_a_backend_that_does_not_answer_stops_the_update_without_a_traceback() -> None:
    broken = mock.Mock(side_effect=Exception("invoke of pulumi:pulumi:readStackOutputs failed: no such host"))
    with (
        mock.patch("pulumi.runtime.invoke", broken),
        pytest.raises(pulumi.RunError, match="no such host") as raised,
    ):
        read_last()
    assert "nothing was changed" in str(raised.value)


def test_a_backend_that_is_being_written_is_asked_again() -> None:
    found = mock.Mock(value={"outputs": {"version": "3.2.4"}})
    state = mock.Mock(value={"outputs": {}})
    torn = Exception("invoke of pulumi:pulumi:readStackOutputs failed: failed to load checkpoint: EOF")
    answers = mock.Mock(side_effect=[torn, found, torn, torn, state])
    with (
        mock.patch("components.upgrade.deployed._PAUSES", (0, 0, 0)),
        mock.patch("pulumi.runtime.invoke", answers),
    ):
        assert read_last() == Last(finished=Deployed(immich="3.2.4"))
