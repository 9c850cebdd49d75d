"""Backups of a whole deployment on one host: copied, lost with every volume, restored into nothing, damaged, killed.

One stack serves all tests but the large one; each leaves it well, its targets too. IMMICH_LARGE_LIBRARY=1 does the
loss once more with 10,000 photos of 5 GB.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from docker.errors import NotFound

from tests.data.immich_library import Asset
from tests.docker.engine_process import Engine
from tests.docker.host import execute, kill_process, until, wait_restarted
from tests.docker.kept_stack import MEDIA, USER, Kept
from tests.docker.sftp_host import SftpHost
from tests.docker.stacks import Place
from tests.harness.stacks import changes

pytestmark = [pytest.mark.docker, pytest.mark.engine]

MIB = 1 << 20


@dataclass
class Holder:
    """The deployment that stands; a loss puts another one in its place."""

    kept: Kept


@pytest.fixture(scope="module")
def holder(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Holder]:
    directory = tmp_path_factory.mktemp("kept")
    with SftpHost(directory / "nas", place.network) as nas:
        made = Kept.create(
            place, directory / "first", directory / "target", name="kept", targets=(nas.settings(),),
            secrets={"backupSshKey": nas.key.read_text()},
        )  # fmt: skip
        holder = Holder(made)
        try:
            made.stack.up()
            made.fill(300, size=20_000)
            made.must_run("backup")
            yield holder
        finally:
            holder.kept.stack.remove()


@pytest.fixture
def kept(holder: Holder) -> Kept:
    """The stack, of which there are good copies, maybe older ones."""
    return holder.kept


def named(kept: Kept, name: str) -> Asset:
    return next(asset for asset in kept.assets if asset.path.name == name)


def lose_everything(kept: Kept) -> None:
    """Destroy it, then delete every volume and folder, the state as well; the targets stay."""
    stack = kept.stack
    stack.destroy()
    stack.remove()
    shutil.rmtree(kept.directory)
    client = stack.place.client
    left = [str(one.name) for one in client.volumes.list() if str(one.name).startswith(f"{stack.prefix}-")]
    assert left == []
    assert not kept.media.exists()


def test_all_of_a_deployment_comes_back_from_a_copy_and_a_password(
    holder: Holder, tmp_path_factory: pytest.TempPathFactory
) -> None:
    lost = holder.kept
    lost.must_run("backup")
    files, rows = lost.everything()
    assert rows["asset"].startswith("300|")
    assert len([1 for value in files.values() if value[0] == "file"]) > 300
    markers = [path for path, value in files.items() if value == ("marker",)]
    assert len(markers) == 6
    drilled = lost.run("drill")
    assert drilled.returncode == 0, drilled.text
    assert lost.status("drill")["verdict"] == "ok"

    holder.kept = restored = lost.again(tmp_path_factory.mktemp("again") / "second")
    lose_everything(lost)
    up = restored.stack.up()
    status = restored.status("restore")
    assert (status["result"], status["verdict"], status["assets"]) == ("success", "ok", 300), up.text
    assert restored.everything() == (files, rows)
    restored.wait_healthy()
    assert changes(restored.stack.up("--expect-no-changes")) == {}
    # The server accepts what it finds, and what comes next.
    answer, sha1 = restored.stack.door().upload(100_000, 7)
    assert (answer.status, answer.json()["checksum"]) == (201, sha1)
    restored.must_run("backup")
    restored.assert_no_secret_is_shown()


def test_a_restore_leaves_a_deployment_with_data_as_it_is_and_says_so(kept: Kept) -> None:
    before = kept.everything()
    running = kept.stack.container("server").id
    present = kept.stack.settings().get("restore")
    # Another choice than one that was restored already.
    other = kept.restic("snapshots", "--json").split('"short_id":"')[1][:8]
    kept.stack.deployment.write_settings({**kept.stack.settings(), "restore": {"from": other}})
    for name in ("restore-media", "restore-database"):
        remove(kept, name)
    kept.stack.up()
    status = kept.status("restore")
    assert (status["result"], status["verdict"]) == ("skipped", "has-data"), status
    assert kept.everything() == before
    assert kept.stack.container("server").id == running
    sections = {key: value for key, value in kept.stack.settings().items() if key != "restore"}
    kept.stack.deployment.write_settings(sections if present is None else {**sections, "restore": present})
    kept.stack.up()
    assert kept.stack.container("server").id == running
    assert kept.everything() == before


def remove(kept: Kept, name: str) -> None:
    try:
        kept.stack.container(name).remove(force=True)
    except NotFound:
        return


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
            assert "another restore runs in immich-kept-restore-one" in second.text
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


@pytest.mark.parametrize(
    ("damage", "verdict"), [(without, "missing-file"), (one_byte_differs, "different-file")]
)
def test_a_drill_finds_what_is_not_as_the_database_has_it(
    kept: Kept, damage: Callable[[Path], None], verdict: str
) -> None:
    asset = named(kept, "grüße 日本語 😀.jpg")
    here = kept.media / asset.path.relative_to(kept.media)
    content, times = here.read_bytes(), here.stat()
    assert hashlib.sha1(content, usedforsecurity=False).digest() == asset.checksum
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


def amid_a_copy(kept: Kept, token: str) -> None:
    """Ask for a run that has much to copy, and come back when it copies."""
    large = kept.media / "upload" / f"{token}.bin"
    with large.open("wb") as written:
        for _ in range(120):
            written.write(os.urandom(MIB))
    os.chown(large, USER, USER)
    before = packs(kept)
    path = "/backup/runs/backup/request"
    execute(kept.stack.container("backup-dump"), "sh", "-c", f"echo {token} >{path}")

    def copies() -> bool:
        return packs(kept) > before

    until(copies, "a copy has begun", 90, pause=0.01)
    assert kept.status("copy-disk")["result"] == "running"


def packs(kept: Kept) -> int:
    """Files of data in the repository, those that are being written too."""
    return sum(len(files) for _, _, files in os.walk(kept.target / "data"))


@pytest.mark.parametrize("how", ["killed", "reboot"])
def test_a_copy_that_was_cut_off_is_a_failed_run_and_the_next_is_right(
    kept: Kept, engine: Engine, how: str
) -> None:
    amid_a_copy(kept, how)
    container = kept.stack.container("backup-copy")
    if how == "killed":
        wait_restarted(container, kill_process(container))
    else:
        engine.restart()
    kept.wait_healthy()

    def result() -> dict[str, Any] | None:
        found = kept.status("../runs/backup/result")
        return found if found["request"] == how and found["result"] != "running" else None

    ended = until(result, "the run is known to have failed", 60)
    assert (ended["result"], ended["step"]) == ("failed", "backup-copy")
    assert ended["reason"] == ("interrupted" if how == "killed" else "stopped")
    kept.must_run("backup")
    status = kept.toolchain("tasks", "status", kept.stack.name)
    # What another test's drill found is not this one's.
    assert [line for line in status.text.splitlines() if " failed " in line and "drill" not in line] == []
    assert f"{how}.bin" in kept.restic("ls", "latest")
    (kept.media / "upload" / f"{how}.bin").unlink()
    kept.restic("check")


@pytest.mark.skipif(
    os.environ.get("IMMICH_LARGE_LIBRARY") != "1", reason="5 GB: minutes; IMMICH_LARGE_LIBRARY=1 runs it"
)
@pytest.mark.timeout(7200)
def test_ten_thousand_photos_of_five_gigabytes_come_back(
    place: Place, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    seconds: dict[str, float] = {}

    def timed(what: str, work: Callable[[], object]) -> None:
        began = time.monotonic()
        work()
        seconds[what] = round(time.monotonic() - began, 1)

    lost = Kept.create(place, tmp_path / "first", tmp_path / "target", name="large")
    standing = lost
    try:
        lost.stack.up()
        timed("fill", lambda: lost.fill(10_000, size=1_050_000))
        timed("backup", lambda: lost.must_run("backup", 3600))
        timed("second backup", lambda: lost.must_run("backup", 3600))
        timed("drill of all", lambda: lost.must_run("drill", 3600))
        before = lost.everything()
        size = sum(path.stat().st_size for path in lost.media.rglob("*") if path.is_file())
        assert size > 5e9
        standing = lost.again(tmp_path / "second")
        timed("destroy", lambda: lose_everything(lost))
        timed("up with restore", standing.stack.up)
        assert standing.status("restore")["assets"] == 10_000
        seconds["of it the restore"] = standing.status("restore")["seconds"]
        assert standing.everything() == before
        standing.wait_healthy()
    finally:
        standing.stack.remove()
        lost.stack.remove()
    record_property("seconds", seconds)
    print(f"{size / 1e9:.2f} GB in {len(before[0])} files and folders: {seconds}")
