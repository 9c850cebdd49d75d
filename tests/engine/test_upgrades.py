"""Upgrades with the real engine: what the program reads of its own past, and the order that its resources make.

Database, server and tasks are stand-ins, random values that fail where a test says so: what is judged here is the
engine's part, which is reading, order, failure and what then stays in the state.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.harness.engine import Engine, Result

pytestmark = pytest.mark.engine

PROGRAM = '''
import json, os
import pulumi
from pulumi_random import RandomPassword
from components.upgrade.deployed import Deployed, read_last
from components.upgrade.settings import Upgrade
from components.upgrade.component import Upgrade as Order, UpgradeArgs
from components.upgrade.assessment import judge
from components.model.values import ImageRef, Quantity
from components.model.workload import Resources, Workload

wanted = json.loads(os.environ["WANTED"])
fails = os.environ.get("FAILS", "")


def stand_in(name, version, after=(), parent=None):
    """Fails where it is told to; another version is a change of it."""
    length = -1 if fails and name.startswith(fails) else 10
    opts = pulumi.ResourceOptions(depends_on=list(after), parent=parent)
    return RandomPassword(name, length=length, keepers={"version": version}, opts=opts)


class StandInPlatform:
    def task(self, task, *, parent, after=()):
        return stand_in(task.name, ",".join(str(step.image) for step in task.steps), after, parent)


def step(name, version):
    one = Quantity("1")
    amounts = Resources(cpu_request=one, memory_request=one, cpu_limit=one, memory_limit=one)
    return Workload(name=name, image=ImageRef(f"example.org/tools:{version}"), resources=amounts, user=1, group=1)


settings = Upgrade(**wanted.pop("upgrade", {}))
immich = wanted["immich"]
after = Deployed(**{"database": "bundled", "postgres": 18, "vectorchord": "1.1.1", "machine_learning": immich,
                    "database_at": settings.database_at, **wanted})
judged = judge(read_last(), after, settings, backed_up=True)
if judged.problems:
    raise pulumi.RunError("\\n\\n".join(str(problem) for problem in judged.problems))
for note in judged.notes:
    pulumi.log.warn(note)
steps = (step("backup-dump", judged.leaves.immich),) if judged.leaves is not None else ()
order = Order("upgrade", UpgradeArgs(platform=StandInPlatform(), update=judged, backup_steps=steps))
database = stand_in("database", after.vectorchord, order.before)
learning = stand_in("machine-learning", immich, order.before)
server = stand_in("server", immich, [*order.reindex(step("reindex", immich), [database]), learning])
pulumi.export("version", immich)
pulumi.export("deployed", order.output(server))
'''


class Stack:
    """A stack of that program."""

    def __init__(self, directory: Path, cli: Path) -> None:
        self.engine = Engine.create(directory, cli, plugins=("random",))
        self.engine.program(PROGRAM)

    def do(self, command: str, immich: str, *options: str, fails: str = "", **more: Any) -> Result:
        env = {"WANTED": json.dumps({"immich": immich, **more}), "FAILS": fails}
        return self.engine.operate(command, *options, check=False, env=env)

    def up(self, immich: str, *options: str, **more: Any) -> Result:
        done = self.do("up", immich, *options, **more)
        assert done.returncode == 0, done.text
        return done

    def resources(self) -> dict[str, Any]:
        """URN -> inputs and outputs, secrets in the clear."""
        text = self.engine.run("stack", "export", "--show-secrets", "--stack", self.engine.stack).stdout
        found = json.loads(text)["deployment"]["resources"]
        return {one["urn"]: (one.get("inputs"), one.get("outputs")) for one in found}

    @property
    def deployed(self) -> dict[str, Any]:
        return self.engine.outputs()["deployed"]


@pytest.fixture
def stack(tmp_path: Path, cli: Path) -> Stack:
    return Stack(tmp_path, cli)


def begun(done: Result) -> list[str]:
    """Names of what was made or changed, in the order in which it began."""
    found = [event["resourcePreEvent"]["metadata"] for event in done.events if "resourcePreEvent" in event]
    changed = [one for one in found if one["op"] not in {"same", "delete", "delete-replaced", "replace"}]
    names = [one["urn"].rsplit("::", 1)[-1] for one in changed if one["type"].count(":") == 2]
    return [name for name in dict.fromkeys(names) if name not in {"upgrade", "harness-test"}]


def own(names: list[str]) -> list[str]:
    return [name for name in names if not name.startswith("default")]


def before(names: list[str], first: str, second: str) -> bool:
    return names.index(first) < names.index(second)


def test_a_first_preview_and_a_first_up_have_no_past_and_no_steps(stack: Stack) -> None:
    previewed = stack.do("preview", "3.2.4")
    assert previewed.returncode == 0, previewed.text
    assert set(own(begun(stack.up("3.2.4")))) == {"reached", "database", "machine-learning", "server"}
    assert stack.deployed == {
        "immich": "3.2.4",
        "database": "bundled",
        "postgres": 18,
        "vectorchord": "1.1.1",
        "machine_learning": "3.2.4",
    }


def test_an_upgrade_is_backup_mark_database_reindex_server_each_waiting_and_the_next_up_changes_nothing(
    stack: Stack,
) -> None:
    stack.up("3.2.4", vectorchord="0.5.3")
    done = stack.up("3.3.1")
    assert "a backup is made first" in done.text
    names = own(begun(done))
    order = ["backup-3-2-4-to-3-3-1", "reached", "database", "reindex-0-5-3-to-1-1-1", "server"]
    assert [name for name in names if name in order] == order
    assert before(names, "reached", "machine-learning")
    assert stack.deployed["before"]["immich"] == "3.2.4"
    listed = stack.engine.resources()
    waits = {
        name: {urn.rsplit("::", 1)[-1] for urn in one.get("dependencies", [])} for name, one in listed.items()
    }
    assert waits["reached"] == {"backup-3-2-4-to-3-3-1"}
    assert waits["database"] == waits["machine-learning"] == {"reached"}
    assert waits["reindex-0-5-3-to-1-1-1"] == {"reached", "database"}
    assert waits["server"] == {"database", "machine-learning", "reindex-0-5-3-to-1-1-1"}
    again = stack.up("3.3.1", "--expect-no-changes")
    assert "upgrade" not in again.stderr
    assert again.changes == {}


def test_a_downgrade_is_refused_at_preview_and_at_up_and_nothing_changes(stack: Stack) -> None:
    stack.up("3.3.1")
    state = stack.resources()
    for command in ("preview", "up"):
        refused = stack.do(command, "3.3.0")
        assert refused.returncode != 0
        assert "immich:server.version" in refused.text
        assert "not even within a minor" in refused.text
        assert "Traceback" not in refused.text
    assert stack.resources() == state


def test_a_backup_that_fails_stops_the_upgrade_and_leaves_the_way_back_open(stack: Stack) -> None:
    stack.up("3.2.4")
    failed = stack.do("up", "3.3.1", fails="backup")
    assert failed.returncode != 0
    assert own(begun(failed)) == ["backup-3-2-4-to-3-3-1"]
    assert stack.deployed["immich"] == "3.2.4"
    assert stack.engine.outputs()["version"] == "3.2.4"
    stack.up("3.2.4", "--expect-no-changes")
    # And forward again, with a backup.
    assert own(begun(stack.up("3.3.1")))[:2] == ["backup-3-2-4-to-3-3-1", "reached"]


@pytest.mark.deep
@pytest.mark.parametrize("fails", ["server", "database", "reindex"])
def test_an_upgrade_that_fails_after_the_backup_is_not_gone_back_from_and_can_be_gone_on_with(
    stack: Stack, fails: str
) -> None:
    stack.up("3.2.4", vectorchord="0.5.3")
    failed = stack.do("up", "3.3.1", fails=fails)
    assert failed.returncode != 0
    assert fails == "server" or "server" not in begun(failed)
    assert stack.deployed["immich"] == "3.2.4"
    for command in ("preview", "up"):
        refused = stack.do(command, "3.2.4", vectorchord="0.5.3")
        assert refused.returncode != 0
        assert "3.3.1 may have started in an update that failed" in refused.text
    goes_on = stack.up("3.3.1")
    # The backup of what was before is there already, and a second one would be of what is half upgraded.
    assert not [name for name in begun(goes_on) if name.startswith("backup")]
    assert stack.deployed["before"]["immich"] == "3.2.4"
    stack.up("3.3.1", "--expect-no-changes")


@pytest.mark.deep
def test_restored_data_go_back_to_the_older_release_without_steps(stack: Stack) -> None:
    stack.up("3.2.4", vectorchord="0.5.3")
    stack.up("3.3.1")
    back = stack.up("3.2.4", vectorchord="0.5.3", upgrade={"database_at": "3.2.4"})
    assert not [name for name in begun(back) if name.startswith(("backup", "reindex"))]
    assert "before" not in stack.deployed
    # It counted: with the setting still there nothing changes, and no newer release is let back by it.
    assert stack.do("up", "3.2.4", vectorchord="0.5.3", upgrade={"database_at": "3.2.4"}).changes == {}
    stack.up("3.3.1", upgrade={"database_at": "3.2.4"})
    again = stack.do("up", "3.2.4", vectorchord="0.5.3", upgrade={"database_at": "3.2.4"})
    assert again.returncode != 0
    assert "counted already" in again.text


@pytest.mark.deep
def test_two_upgrades_one_after_the_other_each_have_a_backup(stack: Stack) -> None:
    stack.up("3.2.4")
    stack.up("3.3.0")
    done = stack.up("3.3.1")
    assert own(begun(done))[:2] == ["backup-3-3-0-to-3-3-1", "reached"]
    assert done.changes["backup-3-2-4-to-3-3-0"] == ["delete"]
    assert stack.deployed["before"] == {
        "immich": "3.3.0",
        "database": "bundled",
        "postgres": 18,
        "vectorchord": "1.1.1",
        "machine_learning": "3.3.0",
    }


@pytest.mark.deep
def test_a_state_that_was_made_before_there_was_an_output_is_judged_by_its_version(stack: Stack) -> None:
    stack.engine.program('import pulumi\npulumi.export("version", "3.3.1")\n')
    stack.engine.up()
    stack.engine.program(PROGRAM)
    assert "immich:server.version" in stack.do("preview", "3.3.0").text
    assert stack.up("3.3.1").changes.keys() == {
        "upgrade",
        "reached",
        "database",
        "machine-learning",
        "server",
    }
