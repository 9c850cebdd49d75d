"""What an update may go from and to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from components.upgrade.assessment import LAST_OF_MAJOR, MAJOR_NOTES, STEPPING_STONE, Judged, judge
from components.upgrade.deployed import Deployed, Last
from components.upgrade.settings import Upgrade

NOTHING = Upgrade()


def deployed(immich: str, **changes: Any) -> Deployed:
    made = Deployed(
        immich=immich, database="bundled", postgres=18, vectorchord="1.1.1", machine_learning=immich
    )
    return replace(made, **changes)


def ended(immich: str, **changes: Any) -> Last:
    """An update that ended well."""
    return Last(finished=deployed(immich, **changes), reached=deployed(immich, **changes))


def failed(finished: str, reached: str) -> Last:
    """An update that failed after the mark was written."""
    return Last(finished=deployed(finished), reached=deployed(reached))


def refused(judged: Judged) -> list[str]:
    return [problem.key for problem in judged.problems]


def test_a_first_deployment_is_not_judged() -> None:
    judged = judge(Last(), deployed("3.3.1"), NOTHING, backed_up=False)
    assert (judged.before, judged.problems, judged.notes, judged.leaves) == (None, (), (), None)


def test_nothing_is_said_where_nothing_changes() -> None:
    judged = judge(ended("3.3.1"), deployed("3.3.1"), NOTHING, backed_up=False)
    assert (judged.problems, judged.notes, judged.changes, judged.backs_up) == ((), (), False, False)


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [("3.3.0", "3.3.1", "patch"), ("3.2.4", "3.3.1", "minor"), ("2.5.6", "2.7.5", "minor")],
)
def test_patch_and_minor_go_on_with_a_backup_and_a_note(before: str, after: str, kind: str) -> None:
    judged = judge(ended(before), deployed(after), NOTHING, backed_up=True)
    assert judged.problems == ()
    assert judged.backs_up
    assert judged.notes[0].startswith(
        f"{kind} upgrade of Immich, {before} -> {after}: a backup is made first"
    )


@pytest.mark.parametrize("after", ["3.3.0", "3.2.4", "2.7.5"])
def test_no_release_goes_back_not_even_within_a_minor(after: str) -> None:
    judged = judge(ended("3.3.1"), deployed(after), Upgrade(acknowledge="3.0.0"), backed_up=True)
    assert refused(judged) == ["immich:server.version"]
    text = str(judged.problems[0])
    assert f"given: {after}" in text
    assert "accepted are 3.3.1 and later" in text
    assert "make rollback-plan" in text


def test_a_major_needs_its_notes_read_and_tells_them() -> None:
    judged = judge(ended("2.7.5"), deployed("3.0.0"), NOTHING, backed_up=True)
    assert refused(judged) == ["immich:upgrade.acknowledge"]
    for note in MAJOR_NOTES[3]:
        assert note in str(judged.problems[0])
    assert "pulumi config set --path 'immich:upgrade.acknowledge' 3.0.0" in str(judged.problems[0])


@pytest.mark.parametrize("said", ["3.0.0", "3.3.1", "4.0.0"])
def test_a_major_goes_on_when_its_notes_were_read(said: str) -> None:
    judged = judge(ended("2.7.5"), deployed("3.3.1"), Upgrade(acknowledge=said), backed_up=True)
    assert judged.problems == ()
    assert judged.notes[0].startswith("major upgrade")


def test_notes_of_an_older_major_are_not_those_of_this_one() -> None:
    judged = judge(ended("2.7.5"), deployed("3.3.1"), Upgrade(acknowledge="2.9.9"), backed_up=True)
    assert refused(judged) == ["immich:upgrade.acknowledge"]
    assert judged.problems[0].given == "2.9.9"


def test_a_major_is_not_skipped() -> None:
    judged = judge(ended("1.144.1"), deployed("3.3.1"), Upgrade(acknowledge="3.0.0"), backed_up=True)
    assert refused(judged) == ["immich:server.version"]
    assert f"immich:server.version' {LAST_OF_MAJOR[2]}" in str(judged.problems[0])


@pytest.mark.parametrize("before", ["1.90.0", "1.120.2", "1.131.3"])
def test_data_from_before_1_132_pass_through_it(before: str) -> None:
    judged = judge(Last(), deployed("2.7.5"), Upgrade(database_at=before), backed_up=True)
    assert refused(judged) == ["immich:server.version"]
    assert STEPPING_STONE in str(judged.problems[0])


@pytest.mark.parametrize(
    ("before", "after", "fine"),
    [("1.131.3", "1.132.3", True), ("1.131.3", "1.136.0", True), ("1.131.3", "1.137.0", False)],
)
def test_the_stepping_stones_are_1_132_to_1_136(before: str, after: str, fine: bool) -> None:
    judged = judge(ended(before), deployed(after, vectorchord=None), NOTHING, backed_up=True)
    assert (judged.problems == ()) is fine


def test_1_132_and_later_goes_to_2_when_its_notes_were_read() -> None:
    judged = judge(
        ended("1.132.3", vectorchord="0.4.3"),
        deployed("2.5.0", vectorchord="0.4.3"),
        Upgrade(acknowledge="2.0.0"),
        backed_up=True,
    )
    assert judged.problems == ()


def test_machine_learning_is_of_the_same_release() -> None:
    judged = judge(ended("3.3.0"), deployed("3.3.1", machine_learning="3.3.0"), NOTHING, backed_up=True)
    assert refused(judged) == ["immich:machineLearning.image"]


def test_machine_learning_elsewhere_is_a_note() -> None:
    judged = judge(ended("3.3.0"), deployed("3.3.1", machine_learning=None), NOTHING, backed_up=True)
    assert judged.problems == ()
    assert any("machine learning is not of this deployment" in note for note in judged.notes)


def test_an_upgrade_without_backups_is_refused_with_the_way_out() -> None:
    judged = judge(ended("3.3.0"), deployed("3.3.1"), NOTHING, backed_up=False)
    assert refused(judged) == ["immich:backup"]
    assert "immich:upgrade.withoutBackup' 3.3.1" in str(judged.problems[0])


def test_doing_without_a_backup_counts_for_one_release_only() -> None:
    said = Upgrade(without_backup="3.3.1")
    assert judge(ended("3.3.0"), deployed("3.3.1"), said, backed_up=False).problems == ()
    assert refused(judge(ended("3.3.1"), deployed("3.4.0"), said, backed_up=False)) == ["immich:backup"]
    assert not judge(ended("3.3.0"), deployed("3.3.1"), said, backed_up=True).backs_up


# The database


@pytest.mark.parametrize("kind", ["cloudnative-pg", "external"])
def test_the_kind_of_database_stays(kind: str) -> None:
    judged = judge(ended("3.3.1"), deployed("3.3.1", database=kind), NOTHING, backed_up=True)
    assert refused(judged) == ["immich:database.kind"]
    assert f"immich:upgrade.databaseMovedTo' {kind}-18" in str(judged.problems[0])


@pytest.mark.parametrize("kind", ["bundled", "cloudnative-pg"])
@pytest.mark.parametrize("postgres", [14, 17])
def test_the_major_version_of_postgresql_stays(kind: str, postgres: int) -> None:
    last = ended("3.3.1", database=kind, postgres=16)
    judged = judge(last, deployed("3.3.1", database=kind, postgres=postgres), NOTHING, backed_up=True)
    assert refused(judged) == ["immich:database.postgres"]
    assert f"immich:upgrade.databaseMovedTo' {kind}-{postgres}" in str(judged.problems[0])


def test_moved_data_are_believed_for_that_database_and_no_other() -> None:
    last, after = ended("3.3.1", postgres=17), deployed("3.3.1")
    assert judge(last, after, Upgrade(database_moved_to="bundled-18"), backed_up=True).problems == ()
    for other in ("bundled-17", "external-18", "cloudnative-pg-18"):
        judged = judge(last, after, Upgrade(database_moved_to=other), backed_up=True)
        assert refused(judged) == ["immich:database.postgres"]


def test_moved_data_are_not_backed_up_again_under_the_name_of_the_old_database() -> None:
    judged = judge(
        ended("3.3.1", postgres=17),
        deployed("3.3.1"),
        Upgrade(database_moved_to="bundled-18"),
        backed_up=True,
    )
    assert judged.changes
    assert (judged.leaves, judged.backs_up) == (None, False)


def test_an_external_database_is_moved_by_whoever_runs_it() -> None:
    last = ended("3.3.1", database="external", postgres=17)
    judged = judge(last, deployed("3.3.1", database="external"), NOTHING, backed_up=False)
    assert judged.problems == ()


@pytest.mark.parametrize("postgres", [13, 19])
def test_postgresql_is_within_the_range(postgres: int) -> None:
    last = ended("3.3.0", database="external", postgres=postgres)
    judged = judge(last, deployed("3.3.1", database="external", postgres=postgres), NOTHING, backed_up=True)
    assert refused(judged) == ["immich:database.postgres"]
    assert "14 to 18" in str(judged.problems[0])


@pytest.mark.parametrize("version", ["0.2.9", "2.0.0", "2.1"])
def test_vectorchord_is_within_the_range(version: str) -> None:
    judged = judge(
        ended("3.3.0", vectorchord="0.2.0"), deployed("3.3.1", vectorchord=version), NOTHING, backed_up=True
    )
    assert refused(judged) == ["immich:database.vectorchord"]
    assert ">=0.3 <2" in str(judged.problems[0])


def test_vectorchord_does_not_go_back_and_is_compared_by_numbers() -> None:
    judged = judge(
        ended("3.3.1", vectorchord="0.10.0"), deployed("3.3.1", vectorchord="0.9.0"), NOTHING, backed_up=True
    )
    assert refused(judged) == ["immich:database.vectorchord"]
    judged = judge(
        ended("3.3.1", vectorchord="0.9.0"), deployed("3.3.1", vectorchord="0.10.0"), NOTHING, backed_up=True
    )
    assert judged.problems == ()
    assert any("VectorChord 0.9.0 -> 0.10.0" in note for note in judged.notes)


def test_another_vectorchord_needs_a_backup_too() -> None:
    judged = judge(ended("3.3.1", vectorchord="0.5.3"), deployed("3.3.1"), NOTHING, backed_up=False)
    assert refused(judged) == ["immich:backup"]
    assert "VectorChord 0.5.3 -> 1.1.1" in str(judged.problems[0])


@pytest.mark.parametrize(
    ("before", "after", "fine"), [(2, 1, False), (2, 2, True), (2, 3, True), (None, 1, True)]
)
def test_an_archive_that_was_left_is_never_written_again(
    before: int | None, after: int, *, fine: bool
) -> None:
    last = ended("3.3.1", database="cloudnative-pg", lineage=before)
    judged = judge(last, deployed("3.3.1", database="cloudnative-pg", lineage=after), NOTHING, backed_up=True)
    assert refused(judged) == ([] if fine else ["immich:database.lineage.generation"])
    assert not judged.changes


def test_everything_that_is_wrong_is_said_at_once() -> None:
    after = deployed("3.2.4", database="external", vectorchord="0.5.3", machine_learning="3.3.1")
    judged = judge(ended("3.3.1"), after, NOTHING, backed_up=False)
    assert set(refused(judged)) == {
        "immich:machineLearning.image",
        "immich:server.version",
        "immich:database.kind",
        "immich:database.vectorchord",
    }
    assert all(problem.hint or problem.key == "immich:machineLearning.image" for problem in judged.problems)


def test_what_an_older_program_did_not_write_down_is_no_change() -> None:
    last = Last(finished=Deployed(immich="3.3.1"))
    judged = judge(last, deployed("3.3.1"), NOTHING, backed_up=False)
    assert (judged.problems, judged.changes, judged.leaves) == ((), False, None)
    assert refused(judge(last, deployed("3.3.0"), NOTHING, backed_up=True)) == ["immich:server.version"]


# Updates that failed


def test_after_a_failed_update_the_older_release_is_refused_although_it_is_the_last_that_ended_well() -> None:
    judged = judge(failed("3.2.4", "3.3.1"), deployed("3.2.4"), NOTHING, backed_up=True)
    assert refused(judged) == ["immich:server.version"]
    text = str(judged.problems[0])
    assert "3.3.1 may have started in an update that failed" in text
    assert "immich:upgrade.databaseAt' 3.2.4" in text


def test_a_failed_update_is_gone_on_with_under_the_same_names() -> None:
    judged = judge(failed("3.2.4", "3.3.1"), deployed("3.3.1"), NOTHING, backed_up=True)
    assert judged.problems == ()
    assert judged.leaves == deployed("3.2.4")
    assert judged.backs_up


def test_a_failed_update_may_go_on_with_a_later_release() -> None:
    judged = judge(failed("3.2.4", "3.3.0"), deployed("3.3.1"), NOTHING, backed_up=True)
    assert judged.problems == ()
    assert judged.leaves == deployed("3.3.0", before=deployed("3.2.4"))


def test_a_backup_that_failed_leaves_the_way_back_open() -> None:
    judged = judge(ended("3.2.4"), deployed("3.2.4"), NOTHING, backed_up=True)
    assert (judged.problems, judged.changes) == ((), False)


def test_a_first_deployment_that_failed_makes_no_backup_of_nothing() -> None:
    last = Last(reached=deployed("3.3.0"))
    judged = judge(last, deployed("3.3.1", database="cloudnative-pg"), NOTHING, backed_up=True)
    assert (judged.problems, judged.leaves, judged.backs_up) == ((), None, False)


def test_a_first_deployment_that_failed_does_not_go_to_an_older_release_unless_it_never_started() -> None:
    last = Last(reached=deployed("3.3.1"))
    assert refused(judge(last, deployed("3.3.0"), NOTHING, backed_up=True)) == ["immich:server.version"]
    assert judge(last, deployed("3.3.0"), Upgrade(database_at="3.3.0"), backed_up=True).problems == ()


def test_the_steps_of_the_last_upgrade_stay_until_all_but_the_data_is_destroyed() -> None:
    left = deployed("3.2.4")
    now = deployed("3.3.1", before=left, backed_up=True)
    standing = judge(
        Last(finished=now, reached=deployed("3.3.1")), deployed("3.3.1"), NOTHING, backed_up=True
    )
    assert (standing.changes, standing.leaves, standing.backs_up) == (False, left, True)
    # Made again, the backup would wait for a database that comes after it.
    destroyed = judge(Last(finished=now), deployed("3.3.1"), NOTHING, backed_up=True)
    assert (destroyed.changes, destroyed.leaves, destroyed.backs_up) == (False, None, False)
    assert destroyed.problems == ()


# What a person says about the data


def test_restored_data_let_the_older_release_in_once() -> None:
    said = Upgrade(database_at="3.2.4")
    after = deployed("3.2.4", database_at="3.2.4", vectorchord="0.5.3")
    judged = judge(ended("3.3.1"), after, said, backed_up=True)
    assert (judged.problems, judged.leaves, judged.backs_up) == ((), None, False)
    # It ended well, went on to 3.3.1 with the setting still there, and shall go back again.
    later = Last(
        finished=deployed("3.3.1", database_at="3.2.4"), reached=deployed("3.3.1", database_at="3.2.4")
    )
    judged = judge(later, after, said, backed_up=True)
    assert "immich:server.version" in refused(judged)
    assert "counted already" in str(judged.problems[0])


def test_what_counted_is_to_be_taken_out() -> None:
    last = ended("3.2.4", database_at="3.2.4")
    judged = judge(last, deployed("3.2.4", database_at="3.2.4"), Upgrade(database_at="3.2.4"), backed_up=True)
    assert judged.problems == ()
    assert any("pulumi config rm --path 'immich:upgrade.databaseAt'" in note for note in judged.notes)


def test_a_restore_that_failed_may_be_tried_again() -> None:
    last = Last(finished=deployed("3.3.1"), reached=deployed("3.2.4", database_at="3.2.4"))
    judged = judge(last, deployed("3.2.4", database_at="3.2.4"), Upgrade(database_at="3.2.4"), backed_up=True)
    assert judged.problems == ()


def test_restored_data_that_a_newer_release_touched_in_a_failed_update_are_no_longer_those() -> None:
    last = Last(finished=deployed("3.1.0"), reached=deployed("3.3.1", database_at="3.2.4"))
    judged = judge(last, deployed("3.2.4", database_at="3.2.4"), Upgrade(database_at="3.2.4"), backed_up=True)
    assert refused(judged) == ["immich:server.version"]


def test_restored_data_are_not_newer_than_the_release() -> None:
    judged = judge(ended("3.3.1"), deployed("3.2.4"), Upgrade(database_at="3.3.0"), backed_up=True)
    assert refused(judged) == ["immich:server.version"]
    assert "the data are 3.3.0's" in str(judged.problems[0])
