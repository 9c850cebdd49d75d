"""Copies of a deployment that stands: one photo comes back, a drill finds damage, targets that fail are told apart."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from docker.errors import NotFound

from tests.data.immich_library import Asset
from tests.docker.everything import Everything
from tests.docker.kept_stack import MEDIA, USER, Kept

pytestmark = [pytest.mark.docker, pytest.mark.engine]


@pytest.fixture
def kept(everything: Everything) -> Kept:
    """The stack, of which there are good copies, maybe older ones."""
    return everything.kept


def named(kept: Kept, name: str) -> Asset:
    return next(asset for asset in kept.assets if asset.path.name == name)


def test_a_drill_of_what_was_copied_proves_it(kept: Kept) -> None:
    for name in ("dump", "copy-disk", "copy-nas", "drill"):
        assert kept.status(name)["verdict"] == "ok", name
    assert kept.status("drill")["lastSuccess"] >= kept.status("dump")["started"]
    kept.assert_no_secret_is_shown()


def test_a_photo_that_was_deleted_comes_back_and_what_is_there_stays(kept: Kept) -> None:
    asset = named(kept, 'quote\'s "double" `tick` $(id) $HOME.jpg')
    path = str(asset.path.relative_to(kept.media))
    here = kept.media / path
    before = kept.files()[os.fsencode(path)]
    wanted = ["restore", kept.stack.name, "--file", path]
    here.unlink()
    done = kept.toolchain(*wanted)
    assert done.returncode == 0, done.text
    assert f"to {MEDIA}/{path}" in done.text
    assert kept.files()[os.fsencode(path)] == before

    done = kept.toolchain(*wanted, "--target", "nas")
    assert done.returncode == 0, done.text
    assert f"{MEDIA}/{path} is there and was left as it is" in done.text
    (beside,) = here.parent.glob("*.restored-*")
    assert beside.read_bytes() == here.read_bytes()
    beside.unlink()
    assert kept.files()[os.fsencode(path)] == before

    several = kept.toolchain("restore", kept.stack.name, "--file", "plain.jpg")
    assert several.returncode == 3, several.text
    assert several.text.count("/plain.jpg\n") == sum(one.path.name == "plain.jpg" for one in kept.assets)
    missing = kept.toolchain("restore", kept.stack.name, "--file", "never there.jpg")
    assert missing.returncode == 1
    assert "has 'never there.jpg'" in missing.text
    with pytest.raises(NotFound):
        kept.stack.container("restore-one")


def test_ctrl_c_ends_a_restore_and_leaves_nothing_behind(kept: Kept) -> None:
    engine = kept.stack.deployment.engine
    command = [sys.executable, "-m", "toolchain.restore", kept.stack.name, "--file", "plain.jpg"]
    with (kept.volume("backup") / "lock" / "backup").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # so that it waits
        with subprocess.Popen(
            command, cwd=engine.directory, env={**engine.env, "PYTHONPATH": str(engine.directory)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        ) as restore:  # fmt: skip
            assert restore.stdout is not None
            assert "another run has" in restore.stdout.readline()
            second = kept.toolchain("restore", kept.stack.name, "--file", "plain.jpg")
            assert second.returncode == 1
            assert f"another restore runs in {kept.stack.prefix}-restore-one" in second.text
            restore.send_signal(signal.SIGINT)
            said = restore.stdout.read()
            assert restore.wait(60) == 130, said
    assert "Traceback" not in said
    with pytest.raises(NotFound):
        kept.stack.container("restore-one")


def without(path: Path) -> None:
    path.unlink()


def one_byte_differs(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.deep
@pytest.mark.parametrize(
    ("damage", "verdict"), [(without, "missing-file"), (one_byte_differs, "different-file")]
)
def test_a_drill_finds_what_is_not_as_the_database_has_it(
    everything: Everything, damage: Callable[[Path], None], verdict: str
) -> None:
    kept = everything.kept
    asset = named(kept, "grüße 日本語 😀.jpg")
    here = kept.media / asset.path.relative_to(kept.media)
    content, times = here.read_bytes(), here.stat()
    assert hashlib.sha1(content, usedforsecurity=False).digest() == asset.checksum
    with everything.verified.statuses():  # those of good runs come back afterwards
        damage(here)
        try:
            kept.must_run("backup")
            drill = kept.run("drill")
            assert drill.returncode == 1, drill.text
            assert kept.status("drill")["verdict"] == verdict
            assert here.name in kept.status("drill")["message"]
            status = kept.toolchain("tasks", "status", kept.stack.name)
            assert status.returncode == 1
            assert here.name in status.text
        finally:
            here.write_bytes(content)
            os.chown(here, USER, USER)
            os.utime(here, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.deep
def test_a_target_that_is_gone_and_one_with_another_password_are_told_apart(kept: Kept) -> None:
    aside = kept.target.parent / "aside"
    aside.mkdir()
    for path in kept.target.iterdir():
        path.rename(aside / path.name)
    told: dict[str, Any] = {}
    try:
        for name in ("target-gone", "wrong-password"):
            if name == "wrong-password":
                other_repository(kept.target)
            assert kept.run("backup").returncode == 1
            told[name] = kept.status("copy-disk")
            assert kept.status("copy-nas")["result"] == "success", "the other target has its copy"
            status = kept.toolchain("tasks", "status", kept.stack.name)
            assert status.returncode == 1
            assert told[name]["message"] in status.text
    finally:
        for path in kept.target.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for path in aside.iterdir():
            path.rename(kept.target / path.name)
        aside.rmdir()
    assert {name: one["verdict"] for name, one in told.items()} == {name: name for name in told}
    assert all(one["lastSuccess"] > 0 for one in told.values()), "the last good one is not forgotten"
    kept.must_run("backup")
    kept.assert_no_secret_is_shown()


def other_repository(folder: Path) -> None:
    """Somebody else's, with their password."""
    made = ["restic", "--quiet", "--no-cache", "--repo", str(folder), "init"]
    subprocess.run(made, env={**os.environ, "RESTIC_PASSWORD": "of somebody else"}, check=True)
    subprocess.run(["chown", "-R", f"{USER}:{USER}", str(folder)], check=True)
