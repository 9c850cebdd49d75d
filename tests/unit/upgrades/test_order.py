"""The order of an upgrade: which steps there are, their names, and that an update that changes nothing keeps them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components import versions
from components.database.client import DatabaseAccess, DatabaseClient
from components.model.naming import object_name
from components.model.task import BACKUP_FOLDER, BACKUP_VOLUME, Task
from components.model.values import ImageRef, Quantity
from components.model.workload import ConfigFiles, Resources, SecretFiles, Storage, Workload
from components.upgrade.assessment import Judged, judge
from components.upgrade.component import (
    backup_name,
    backup_task,
    deployed_output,
    mark,
    reindex_name,
    reindex_task,
)
from components.upgrade.deployed import Deployed, Last, from_plain
from components.upgrade.reindex import reindex_step
from components.upgrade.settings import Upgrade
from tests.harness.examples import examples

NOTHING = Upgrade()
LONGEST = 52
"""Characters of a CronJob's name on Kubernetes, the shortest limit that any platform has for a task."""


def deployed(immich: str, **changes: Any) -> Deployed:
    made = Deployed(
        immich=immich, database="bundled", postgres=18, vectorchord="1.1.1", machine_learning=immich
    )
    return replace(made, **changes)


def step(name: str, version: str) -> Workload:
    amount = Quantity("1")
    return Workload(
        name=name,
        image=ImageRef(f"example.org/tools:{version}"),
        resources=Resources(cpu_request=amount, memory_request=amount, cpu_limit=amount, memory_limit=amount),
        user=1000,
        group=1000,
        mounts=(
            ConfigFiles(name=name, path="/scripts", files={"run.sh": f"echo {version}"}),
            ConfigFiles(name="database-ca", path="/ca", files={"ca.crt": "x"}),
            SecretFiles(secret="database", path="/run/secrets/database", items={"password": "password"}),
        ),
    )


def steps(leaves: Deployed) -> list[Workload]:
    return [step("backup-dump", leaves.immich), step("backup-copy", leaves.immich)]


def task_of(found: Judged) -> Task | None:
    """The backup before the upgrade that was judged."""
    return backup_task(found, steps(found.leaves) if found.leaves is not None else ())


def judged(before: Deployed, after: Deployed, *, backed_up: bool = True) -> Judged:
    return judge(Last(finished=before, reached=before), after, NOTHING, backed_up=backed_up)


def test_a_first_deployment_has_no_steps() -> None:
    found = judge(Last(), deployed("3.3.1"), NOTHING, backed_up=True)
    assert task_of(found) is None
    assert (backup_name(found), reindex_name(found)) == (None, None)


def test_the_backup_is_of_what_is_left_and_its_name_says_from_and_to() -> None:
    task = task_of(judged(deployed("3.2.4"), deployed("3.3.1")))
    assert task is not None
    assert (task.name, task.schedule) == ("backup-3-2-4-to-3-3-1", None)
    assert [one.name for one in task.steps] == ["backup-3-2-4-to-3-3-1-dump", "backup-3-2-4-to-3-3-1-copy"]
    assert {str(one.image) for one in task.steps} == {"example.org/tools:3.2.4"}


def test_scripts_of_the_steps_have_names_of_their_own_and_what_is_shared_keeps_its_name() -> None:
    task = task_of(judged(deployed("3.2.4"), deployed("3.3.1")))
    assert task is not None
    files = {mount.name for one in task.steps for mount in one.mounts if isinstance(mount, ConfigFiles)}
    assert files == {"backup-3-2-4-to-3-3-1-dump", "backup-3-2-4-to-3-3-1-copy", "database-ca"}


def test_vectorchord_alone_has_a_backup_and_a_renewal() -> None:
    found = judged(deployed("3.3.1", vectorchord="0.5.3"), deployed("3.3.1"))
    assert (backup_name(found), reindex_name(found)) == (
        "backup-vectorchord-0-5-3-to-1-1-1",
        "reindex-0-5-3-to-1-1-1",
    )
    assert not set("/._") & set(backup_name(found) or "")


@pytest.mark.parametrize("version", ["3.3.1", "3.10.12"])
def test_names_fit_every_platform(version: str) -> None:
    for before in (deployed("3.10.11"), deployed(version, vectorchord="0.10.13")):
        found = judged(before, deployed(version, vectorchord="1.10.13"))
        for name in (backup_name(found), reindex_name(found)):
            assert name is None or len(object_name(name)) <= LONGEST


def test_a_renewal_without_a_backup_volume_keeps_nothing_in_it() -> None:
    client = DatabaseClient(
        image=ImageRef("example.org/postgres:18"),
        postgres=18,
        access=DatabaseAccess(host="immich-database", port=5432, name="immich", user="immich"),
        mounts=(),
        links=(),
        egress=(),
        secrets=(),
    )
    for has_volume in (True, False):
        made = reindex_step(
            client, stack="home", version="3.3.1", user=1, group=1, has_backup_volume=has_volume
        )
        volumes = {mount.volume for mount in made.mounts if isinstance(mount, Storage)}
        assert volumes == ({BACKUP_VOLUME} if has_volume else set())
        # The root is read-only: on a host no step begins without a folder to note its run in.
        assert BACKUP_FOLDER in {mount.path for mount in made.mounts}
        task = reindex_task(judged(deployed("3.3.1", vectorchord="0.5.3"), deployed("3.3.1")), made)
        assert task is not None
        assert [one.name for one in task.steps] == ["reindex-0-5-3-to-1-1-1"]


def test_no_steps_given_is_no_task() -> None:
    assert backup_task(judged(deployed("3.2.4"), deployed("3.3.1")), ()) is None


def test_backups_given_later_add_none_to_the_upgrade_of_the_past() -> None:
    said = Upgrade(without_backup="3.3.1")
    first = judge(
        Last(finished=deployed("3.2.4"), reached=deployed("3.2.4")), deployed("3.3.1"), said, backed_up=False
    )
    left = from_plain(deployed_output(first))
    later = judge(
        Last(finished=left, reached=from_plain(mark(first))), deployed("3.3.1"), NOTHING, backed_up=True
    )
    assert task_of(later) is None


@dataclass
class World:
    """A deployment and what has really touched its data."""

    last: Last = field(default_factory=Last)
    touched: tuple[int, int, int] | None = None
    vectorchord: str | None = None

    def update(self, after: Deployed, upgrade: Upgrade, ends: str) -> Judged:
        """An update that ends `before-mark` (a backup that failed), `before-outputs`, or `well`."""
        found = judge(self.last, after, upgrade, backed_up=True)
        if found.problems or ends == "before-mark":
            return found
        reached = from_plain(mark(found))
        assert reached is not None
        self.touched = versions.parse(after.immich)
        self.vectorchord = after.vectorchord
        finished = from_plain(deployed_output(found)) if ends == "well" else self.last.finished
        self.last = Last(finished=finished, reached=reached)
        return found


RELEASES = ("2.7.5", "3.0.0", "3.2.4", "3.3.0", "3.3.1")
UPDATES = st.lists(
    st.tuples(
        st.sampled_from(RELEASES),
        st.sampled_from(["0.4.3", "0.5.3", "1.1.1"]),
        st.sampled_from(["before-mark", "before-outputs", "well"]),
    ),
    max_size=8,
)


@settings(max_examples=examples(300), deadline=None)
@given(UPDATES)
def test_whatever_fails_no_release_older_than_one_that_touched_the_data_starts(
    updates: list[tuple[str, str, str]],
) -> None:
    world, said = World(), Upgrade(acknowledge="3.0.0")
    for release, vectorchord, ends in updates:
        touched, extension, was = world.touched, world.vectorchord, world.last
        found = world.update(deployed(release, vectorchord=vectorchord), said, ends)
        if found.problems:
            assert world.last == was
            continue
        assert touched is None or versions.parse(release) >= touched
        finished = was.finished
        if finished is None:
            assert found.leaves is None
            continue
        assert extension is None or vectorchord >= extension
        if finished.differs(found.after):
            assert backup_name(found) is not None, "data change without a backup"


@settings(max_examples=examples(200), deadline=None)
@given(UPDATES)
def test_an_update_that_changes_nothing_keeps_steps_and_output_as_they_are(
    updates: list[tuple[str, str, str]],
) -> None:
    world, said = World(), Upgrade(acknowledge="3.0.0")
    for release, vectorchord, ends in updates:
        after = deployed(release, vectorchord=vectorchord)
        first = world.update(after, said, ends)
        if first.problems or ends != "well":
            continue
        again = world.update(after, said, "well")
        assert (again.problems, again.notes, again.changes) == ((), (), False)
        assert deployed_output(again) == deployed_output(first)
        assert mark(again) == mark(first)
        assert task_of(again) == task_of(first)
        assert reindex_name(again) == reindex_name(first)


def test_a_read_only_library_with_another_source_is_refused_before_anything_waits_for_its_volume() -> None:
    there = replace(deployed("3.3.1"), libraries={"nas": "kind nfs, path /a", "usb": "kind nfs, path /c"})
    moved = replace(there, libraries={"nas": "kind nfs, path /b", "new": "kind nfs, path /d"})
    (problem,) = judged(there, moved).problems
    assert problem.given == "kind nfs, path /b"
    assert "nas was kind nfs, path /a" in problem.reason
    assert problem.hint is not None
    assert "nas-2" in problem.hint
    assert judged(there, replace(there, libraries={})).problems == ()
    assert judged(replace(there, libraries={}), there).problems == ()
    assert "libraries" not in mark(judged(there, there))
    assert from_plain(deployed_output(judged(there, there))) == there
