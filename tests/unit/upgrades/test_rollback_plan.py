"""What going back needs, from a stack's settings and its state."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from components import versions
from components.settings.model import Settings
from components.settings.reader import read_settings
from components.upgrade.deployed import MARK, MARK_TYPE, Deployed
from toolchain.deployment import Resource
from toolchain.failure import ToolchainError
from toolchain.rollback_plan import RollbackPlan, make_plan, text

STACK = "home"
URN = f"urn:pulumi:{STACK}::immich::"
BARE: dict[str, Any] = {
    "docker": {},
    "proxy": {"expose": [{"kind": "publishedPort", "address": "127.0.0.1"}]},
}
HOST: dict[str, Any] = {
    **BARE,
    "backup": {
        "targets": [{"kind": "local", "name": "disk", "source": {"kind": "hostPath", "path": "/mnt/disk"}}]
    },
}
CLUSTER: dict[str, Any] = {"kubernetes": {"namespace": "photos"}, "backup": {}}


def read(sections: dict[str, Any]) -> Settings:
    return read_settings(STACK, {key: json.dumps(value) for key, value in sections.items()})


def deployed(immich: str, **changes: Any) -> Deployed:
    made = Deployed(immich=immich, database="bundled", postgres=18, vectorchord="1.1.1")
    return replace(made, **changes)


def state(
    finished: Deployed | None, reached: Deployed | None = None, *, backup: str | None = None
) -> list[Resource]:
    outputs = {} if finished is None else {"deployed": finished.plain()}
    found = [
        Resource({"urn": f"{URN}pulumi:pulumi:Stack::x", "type": "pulumi:pulumi:Stack", "outputs": outputs})
    ]
    mark = reached or finished
    if mark is not None:
        found.append(
            Resource(
                {
                    "urn": f"{URN}immich:index:Upgrade${MARK_TYPE}::{MARK}",
                    "type": MARK_TYPE,
                    "outputs": {"input": mark.plain()},
                    "modified": "2026-11-21T11:24:59.999999999Z",
                }
            )
        )
    if backup is not None:
        urn = f"{URN}kubernetes:batch/v1:Job::photos/immich-{backup}"
        found.append(Resource({"urn": urn, "created": "2026-11-21T11:20:03.1Z"}))
    return found


def after_upgrade(sections: dict[str, Any], **old: Any) -> RollbackPlan:
    before = deployed("3.2.4", **old)
    finished = deployed("3.3.1", before=before, backed_up=True)
    return make_plan(STACK, read(sections), state(finished, backup="backup-3-2-4-to-3-3-1"))


def test_releases_images_with_digests_and_the_backup_of_the_upgrade_are_named() -> None:
    plan = after_upgrade(HOST, vectorchord="0.5.3")
    assert (plan.leaves, plan.reaches, plan.failed) == ("3.3.1", "3.2.4", False)
    assert plan.images["server"] == str(versions.server_image("3.2.4"))
    assert "@sha256:" in plan.images["server"]
    assert "18-vectorchord0.5.3@sha256:" in plan.images["database"]
    assert "backup-3-2-4-to-3-3-1" in plan.backup
    assert plan.before == "2026-11-21T11:20:04Z"
    assert plan.changes == (
        "immich:server.version: 3.3.1 -> 3.2.4",
        "immich:database.vectorchord: 1.1.1 -> 0.5.3",
    )


def test_commands_have_the_stacks_names_the_releases_and_the_time_in_an_order_that_works() -> None:
    commands = after_upgrade(HOST, vectorchord="0.5.3").commands
    wanted = [
        "docker stop immich-home-server",
        "ALTER DATABASE immich RENAME",
        "immich:restore.from 2026-11-21T11:20:04Z -s home",
        "immich:server.version 3.2.4 -s home",
        "immich:database.vectorchord 0.5.3",
        "immich:upgrade.databaseAt 3.2.4 -s home",
        "make up STACK=home",
        "config rm --path immich:upgrade.databaseAt",
    ]
    places = [next(index for index, one in enumerate(commands) if part in one) for part in wanted]
    assert places == sorted(places)
    assert not [one for one in commands if "OLD" in one or "BEFORE" in one or "rollback-plan" in one]


def test_on_a_cluster_the_dump_of_the_old_release_is_taken_and_not_the_newest() -> None:
    commands = "\n".join(after_upgrade(CLUSTER).commands)
    assert "kubectl -n photos scale deployment/immich-server --replicas=0" in commands
    assert "/backup/database/immich-*-v3.2.4-pg*.sql.zst" in commands
    assert "immich.sql.zst |" not in commands


def test_after_an_update_that_failed_the_way_back_is_to_the_last_that_ended_well() -> None:
    found = state(deployed("3.2.4"), deployed("3.3.1"), backup="backup-3-2-4-to-3-3-1")
    plan = make_plan(STACK, read(HOST), found)
    assert (plan.leaves, plan.reaches, plan.failed) == ("3.3.1", "3.2.4", True)
    assert plan.before == "2026-11-21T11:20:04Z"
    assert "its update failed" in text(plan)


def test_an_upgrade_that_was_left_unfinished_between_is_no_place_to_go_back_to() -> None:
    between = deployed("3.3.0", before=deployed("3.2.4"))
    plan = make_plan(STACK, read(HOST), state(deployed("3.3.1", before=between)))
    assert plan.reaches == "3.2.4"


def test_without_a_backup_of_the_upgrade_the_time_is_that_of_its_begin() -> None:
    plan = make_plan(STACK, read(HOST), state(deployed("3.3.1", before=deployed("3.2.4"))))
    assert plan.before == "2026-11-21T11:25:00Z"
    assert "this program made none" in plan.backup


def test_a_stack_without_backups_is_told_so() -> None:
    plan = make_plan(STACK, read(BARE), state(deployed("3.3.1", before=deployed("3.2.4"))))
    assert any("only one of your own" in note for note in plan.notes)


def test_a_way_back_over_a_major_names_the_phones() -> None:
    plan = make_plan(STACK, read(HOST), state(deployed("3.0.0", before=deployed("2.7.5"))))
    assert any("phones with an app of the newer major" in note for note in plan.notes)


@pytest.mark.parametrize(
    ("finished", "reached", "said"),
    [
        (None, None, "nothing to go back from"),
        (deployed("3.3.1"), None, "no upgrade of it is known"),
        (deployed("3.3.1"), deployed("3.2.4"), "goes on with it"),
    ],
)
def test_where_there_is_no_way_back_it_says_why(
    finished: Deployed | None, reached: Deployed | None, said: str
) -> None:
    with pytest.raises(ToolchainError, match=said):
        make_plan(STACK, read(HOST), state(finished, reached))
