"""A new password for real repositories of restic."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from components.backup.key import key_script
from components.backup.plan import Plan
from tests.data.place import Place, Ran
from toolchain import programs

NO_ROOM_FOR_KEYS = f"""#!/bin/sh
case " $* " in
    *" key add "*) echo "Save: no space left on device" >&2; exit 1 ;;
esac
exec {programs.BIN}/restic "$@"
"""


@pytest.fixture
def changed(place: Place) -> tuple[Place, Plan, Path]:
    """A repository with the old password and a copy in it; the new password is in the plan's file."""
    plan = place.plan()
    place.has_run()
    (place.media / "upload" / "photo.jpg").write_bytes(b"photo")
    copied = place.copy(plan)
    assert copied.code == 0, copied.output
    old = place.folder / "secrets" / "password-old"
    old.write_text(place.password_file.read_text())
    new = f'{secrets.token_urlsafe(24)} "quoted" $HOME \\'
    place.secrets.append(new)
    place.password_file.write_text(f"{new}\n")
    return place, plan, old


def run(place: Place, plan: Plan, old: Path, shell: str = "ash") -> Ran:
    ran = place.start(key_script(plan, str(old)), shell).ended()
    place.assert_no_secret(ran.output)
    return ran


def opens(place: Place, file: Path) -> bool:
    before = place.password_file
    place.password_file = file
    try:
        return '"version"' in place.restic("cat", "config", check=False)
    finally:
        place.password_file = before


@pytest.mark.parametrize("shell", ["ash", pytest.param("bash", marks=pytest.mark.deep)])
def test_the_new_password_opens_what_is_there_and_the_old_one_does_not(
    changed: tuple[Place, Plan, Path], shell: str
) -> None:
    place, plan, old = changed
    assert opens(place, old)
    ran = run(place, plan, old, shell)
    assert ran.code == 0, ran.output
    assert (opens(place, place.password_file), opens(place, old)) == (True, False)
    (first,) = place.snapshots()
    assert place.status("key-local")["verdict"] == "ok"
    copied = place.copy(plan)
    assert copied.code == 0, copied.output
    assert place.snapshots()[-1]["parent"] == first["id"]


@pytest.mark.deep
def test_running_it_again_changes_nothing(changed: tuple[Place, Plan, Path]) -> None:
    place, plan, old = changed
    assert run(place, plan, old).code == 0
    keys = place.restic("key", "list")
    assert run(place, plan, old).code == 0
    assert place.restic("key", "list") == keys
    assert place.status("key-local")["result"] == "success"


@pytest.mark.deep
def test_what_was_killed_between_both_is_finished(changed: tuple[Place, Plan, Path]) -> None:
    place, plan, old = changed
    new = place.password_file
    place.password_file = old
    place.restic("key", "add", "--new-password-file", str(new))
    place.restic("key", "add", "--new-password-file", str(old))
    place.password_file = new
    assert run(place, plan, old).code == 0
    assert (opens(place, new), opens(place, old)) == (True, False)


def test_neither_password_is_a_verdict_and_takes_nothing_away(changed: tuple[Place, Plan, Path]) -> None:
    place, plan, old = changed
    right = place.folder / "secrets" / "right"
    right.write_text(old.read_text())
    old.write_text("not this one\n")
    assert run(place, plan, old).code == 1
    status = place.status("key-local")
    assert status["verdict"] == "wrong-password"
    assert "neither the old nor the new" in status["message"]
    assert opens(place, right)


@pytest.mark.deep
def test_the_same_password_twice_is_refused_and_still_opens(changed: tuple[Place, Plan, Path]) -> None:
    place, plan, old = changed
    place.password_file.write_text(old.read_text())
    assert run(place, plan, old).code == 1
    assert place.status("key-local")["verdict"] == "same-password"
    assert opens(place, old)


def test_a_target_without_a_repository_has_nothing_to_change(place: Place) -> None:
    old = place.folder / "secrets" / "password-old"
    old.write_text("old\n")
    assert run(place, place.plan(), old).code == 0
    assert place.status("key-local")["result"] == "skipped"


@pytest.mark.deep
def test_a_target_that_fails_does_not_stop_the_others(changed: tuple[Place, Plan, Path]) -> None:
    place, _, old = changed
    broken = place.local("broken")
    (Path(broken.url) / "config").write_text("damaged")
    (Path(broken.url) / "keys").mkdir()
    plan = place.plan(None, broken, place.local())
    assert run(place, plan, old).code == 1
    assert place.status("key-broken")["result"] == "failed"
    assert place.status("key-local")["result"] == "success"
    assert not opens(place, old)


def test_a_missing_old_password_is_a_verdict(changed: tuple[Place, Plan, Path]) -> None:
    place, plan, old = changed
    old.unlink()
    assert run(place, plan, old).code == 1
    assert place.status("key-local")["verdict"] == "missing-password"


@pytest.mark.deep
def test_a_key_that_cannot_be_added_leaves_the_old_password(changed: tuple[Place, Plan, Path]) -> None:
    place, plan, old = changed
    tools = place.folder / "tools"
    tools.mkdir()
    tools.chmod(0o755)
    restic = tools / "restic"
    restic.write_text(NO_ROOM_FOR_KEYS)
    restic.chmod(0o755)
    ran = place.start(key_script(plan, str(old)), "ash", path=tools).ended()
    assert ran.code == 1
    assert place.status("key-local")["verdict"] == "target-full"
    assert opens(place, old)


def test_a_plan_without_targets_has_no_script(place: Place) -> None:
    with pytest.raises(ValueError, match="without one there is no password"):
        key_script(Plan(stack="test", immich_version="3.3.1", database=place.plan().database, postgres=15))
