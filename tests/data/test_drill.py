"""A drill says of each thing that may be wrong with a backup what it is, and leaves nothing behind."""

from __future__ import annotations

import hashlib
import signal
import subprocess
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.data.immich_library import OWNER
from tests.data.place import Place, wait_for
from tests.data.postgres_process import Postgres
from tests.data.recovery_harness import Deployment, deployment, full_disk, stand_in

LIBRARY = "22222222-2222-4222-8222-222222222222"


@pytest.fixture(scope="module")
def backed_up(applets: Path, postgres: Postgres) -> Iterator[Deployment]:
    """One with a dump; each test makes the snapshot that it drills."""
    with Place(applets) as place, postgres.database() as database:
        live = deployment(place, postgres, database, 40)
        row = f"{LIBRARY}\told disk\t{OWNER}"
        database.psql(f'COPY library (id, name, "ownerId") FROM stdin;\n{row}\n\\.\n')
        media = place.media
        # None of these is a file that has to be in the copy with that checksum.
        add(
            live,
            1,
            f"{media}/upload/external.jpg",
            algorithm="sha1-path",
            library=LIBRARY,
            external=True,
        )
        add(live, 2, "/elsewhere/x.jpg")
        add(live, 3, f"{media}/encoded-video/motion.mp4")
        add(live, 4, f"{media}/upload/being deleted.jpg", status="deleted")
        add(live, 5, f"{media}/upload/deleted since.jpg")
        add(live, 6, f"{media}/upload/moved since.jpg")
        database.psql("UPDATE asset SET \"createdAt\" = now() - interval '1 day'")
        ran = place.dump(live.plan)
        assert ran.code == 0, ran.output
        forget(live, 5)
        move(live, 6, f"{media}/library/moved.jpg")
        yield live


def identity(number: int) -> str:
    return f"33333333-3333-4333-8333-{number:012}"


def add(
    live: Deployment,
    number: int,
    path: str,
    *,
    algorithm: str = "sha1",
    library: str = "\\N",
    external: bool = False,
    status: str = "active",
    created: datetime | None = None,
) -> None:
    """A row without a file."""
    checksum = hashlib.sha256(path.encode()).hexdigest()[:40]
    at = created.isoformat() if created else "now"
    values = (
        identity(number),
        str(OWNER),
        "IMAGE",
        path,
        "now",
        "now",
        f"\\\\x{checksum}",
        algorithm,
        "x.jpg",
        "now",
    )
    row = "\t".join((*values, at, library, str(external), status))
    live.database.psql(
        'COPY asset (id, "ownerId", type, "originalPath", "fileCreatedAt", "fileModifiedAt", checksum,'
        ' "checksumAlgorithm", "originalFileName", "localDateTime", "createdAt", "libraryId", "isExternal", status)'
        f" FROM stdin;\n{row}\n\\.\n"
    )


def forget(live: Deployment, number: int) -> None:
    """Delete the row."""
    live.database.psql(f"\\set id {identity(number)}\nDELETE FROM asset WHERE id = :'id';")


def move(live: Deployment, number: int, path: str) -> None:
    """As the storage template moves a file."""
    live.database.psql(
        f"\\set id {identity(number)}\n\\set path {path}\n"
        "UPDATE asset SET \"originalPath\" = :'path' WHERE id = :'id';"
    )


@contextmanager
def changed(live: Deployment, name: str) -> Generator[None]:
    """One byte of the first file of this name is another one for a while."""
    path = next(asset for asset in live.assets if asset.path.name == name).path
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    yield
    path.write_bytes(content)


def alive(number: int) -> bool:
    return Path(f"/proc/{number}/stat").exists() and " Z " not in Path(f"/proc/{number}/stat").read_text()


def test_a_drill_that_was_killed_leaves_nothing_to_the_next_which_proves_every_file_and_changes_nothing(
    backed_up: Deployment,
) -> None:
    live, place = backed_up, backed_up.place
    snapshot = live.snapshot()
    files = live.files()
    steps = live.drill_steps(live.drill_plan(sample=5))
    live.hand_over()
    script, shell, prefix = steps[0]
    ran = place.start(script, shell, prefix=prefix).ended()
    assert ran.code == 0, ran.output
    script, shell, prefix = steps[1]
    # A stand-in for pg_amcheck that takes its time, so that there is something to kill.
    slow = stand_in(place, "pg_amcheck", "exec sleep 60")
    started = place.start(script, shell, prefix=prefix, path=slow)
    pid_file = place.root / "drill" / "postgres" / "postmaster.pid"
    sample = place.root / "drill" / "sample"
    wait_for("the sample", lambda: sample.exists() and sample.read_bytes().count(b"\n") == 5)
    postmaster = int(pid_file.read_text().split()[0])
    # What a container's end does not do on this machine: the server that the script started outlives it here.
    started.process.send_signal(signal.SIGKILL)
    started.process.wait()
    assert alive(postmaster)

    # Two assets that came after the dump are no loss.
    add(live, 7, f"{place.media}/upload/new.jpg", created=datetime.now(UTC) + timedelta(hours=1))
    before = live.rows()
    ran = live.drill(live.drill_plan(batch_files=13))
    assert ran.code == 0, ran.output
    assert not alive(postmaster)
    assert live.scratch_is_empty()
    assert live.rows() == before
    assert live.files() == files
    status = place.status("drill")
    assert (status["result"], status["verdict"], status["snapshot"]) == ("success", "ok", snapshot)
    assert (status["assets"], status["liveAssets"], status["absentAssets"]) == (46, 46, 0)
    assert (status["sampled"], status["checked"], status["missing"], status["different"]) == (40, 40, 0, 0)
    assert (status["changedSince"], status["amcheck"]) == (2, 1)
    assert status["bytes"] == sum(asset.path.stat().st_size for asset in live.assets)
    assert status["newestAsset"] > 0
    assert status["lastSuccess"] >= status["started"]
    gauges = place.gauges("drill")
    assert (gauges["immich_backup_success"], gauges["immich_drill_assets"]) == (1, 46)
    forget(live, 7)


def test_a_drill_fails_when_one_byte_of_a_file_differs(backed_up: Deployment) -> None:
    live = backed_up
    # Names that sha1sum reads from a list, and those that it cannot.
    with changed(live, "new\nline\n.jpg"), changed(live, "plain.jpg"):
        live.snapshot()
    ran = live.drill()
    assert ran.code == 1
    status = live.place.status("drill")
    assert (status["result"], status["verdict"]) == ("failed", "different-file")
    assert (status["checked"], status["missing"], status["different"]) == (40, 0, 2)
    assert live.place.gauges("drill")["immich_backup_success"] == 0
    assert live.scratch_is_empty()


@pytest.mark.deep
def test_a_drill_fails_when_one_file_is_missing(backed_up: Deployment) -> None:
    live = backed_up
    path = next(asset for asset in live.assets if asset.path.name == "with space.jpg").path
    with changed(live, "plain.jpg"):
        live.snapshot("--exclude", str(path))
    ran = live.drill()
    assert ran.code == 1
    status = live.place.status("drill")
    assert status["verdict"] == "missing-file"
    assert (status["checked"], status["missing"], status["different"]) == (40, 1, 1)
    assert str(path) in status["message"]
    assert live.scratch_is_empty()


def test_a_drill_fails_when_the_dump_lacks_what_is_older_than_it(backed_up: Deployment) -> None:
    live = backed_up
    live.snapshot()
    # Older than the newest asset of the dump, and newer than that but older than the dump.
    add(live, 8, "/elsewhere/old.jpg", created=datetime.now(UTC) - timedelta(days=2))
    add(live, 9, "/elsewhere/newer.jpg", created=datetime.now(UTC) - timedelta(hours=6))
    ran = live.drill()
    status = live.place.status("drill")
    forget(live, 8)
    forget(live, 9)
    assert ran.code == 1
    assert (status["verdict"], status["absentAssets"]) == ("fewer-assets", 2)
    assert live.scratch_is_empty()


def test_a_drill_fails_on_a_dump_that_is_cut_off(backed_up: Deployment) -> None:
    live, place = backed_up, backed_up.place
    dump = Path(live.dumps) / place.dumps()[-1]
    content = dump.read_bytes()
    whole = subprocess.run(["zstd", "-dc"], input=content, capture_output=True, check=True).stdout
    for damaged in (
        content[:-20],
        subprocess.run(["zstd"], input=whole[:-500], capture_output=True, check=True).stdout,
    ):
        dump.write_bytes(damaged)
        live.snapshot()
        dump.write_bytes(content)
        ran = live.drill()
        assert ran.code == 1
        assert place.status("drill")["verdict"] == "database-damaged"
        assert live.scratch_is_empty()


def test_a_password_that_opens_nothing_no_space_an_old_snapshot_and_none_have_a_verdict_each(
    backed_up: Deployment,
) -> None:
    live, place = backed_up, backed_up.place
    live.snapshot()
    full = full_disk(place)
    other = place.folder / "secrets" / "other"
    other.write_text("not the password\n")
    place.secrets.append("not the password")
    live.snapshot("--time", "2026-01-01 00:00:00", "--host", "immich-old")
    cases: list[tuple[str, dict[str, str], Path | None]] = [
        ("wrong-password", {"password_file": str(other)}, None),
        ("too-little-space", {}, full),
        ("no-backup", {"stack": "other"}, None),
        ("stale-backup", {"stack": "old"}, None),
    ]
    for verdict, changes, path in cases:
        ran = live.drill(None, path=path, **changes)
        assert ran.code == 1, verdict
        status = place.status("drill")
        assert (status["result"], status["verdict"]) == ("failed", verdict), status
        assert live.scratch_is_empty()


@pytest.mark.deep
def test_a_drill_finds_a_repository_of_which_a_pack_is_damaged_and_a_step_that_comes_too_early(
    backed_up: Deployment,
) -> None:
    live, place = backed_up, backed_up.place
    script, shell, prefix = live.drill_steps(live.drill_plan())[2]
    live.hand_over()
    assert place.start(script, shell, prefix=prefix).ended().code == 1
    assert place.status("drill")["verdict"] == "no-state"

    # New content in packs of its own; those of lists of folders are the last to be damaged.
    live.snapshot()
    packs = sorted(
        (place.folder / "targets" / "local" / "data").glob("*/*"), key=lambda path: path.stat().st_size
    )
    content = packs[-1].read_bytes()
    packs[-1].chmod(0o600)
    packs[-1].write_bytes(content[: len(content) // 2 - 8] + bytes(16) + content[len(content) // 2 + 8 :])
    try:
        ran = live.drill()
    finally:
        packs[-1].write_bytes(content)
    assert ran.code == 1
    assert place.status("drill")["verdict"] == "damaged", place.status("drill")
    assert live.scratch_is_empty()
