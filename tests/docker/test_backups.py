"""Backups of a whole deployment on one host: copied, lost with every volume, restored into nothing, cut off.

One stack serves all tests but the large one; each leaves it well. What leaves the deployment as it is, is in
test_everything_backups.py. IMMICH_LARGE_LIBRARY=1 does the
loss once more with 10,000 photos of 5 GB.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from docker.errors import NotFound

from tests.docker.engine_process import Engine
from tests.docker.host import execute, kill_process, until, wait_restarted
from tests.docker.kept_stack import USER, Kept
from tests.docker.sftp_host import SftpHost
from tests.docker.stacks import Place
from tests.harness.stacks import changes

pytestmark = [pytest.mark.docker, pytest.mark.engine, pytest.mark.deep]

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
