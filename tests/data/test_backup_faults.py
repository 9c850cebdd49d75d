"""What may go wrong with a repository, and that the next run is right: real restic, real disks, real signals."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from components.backup.plan import Keep, Plan
from components.backup.scripts import copy_script
from tests.data.place import Place, wait_for

NONE_OLD = Keep(daily=1, weekly=0, monthly=0, yearly=0)


def files(folder: Path) -> dict[str, bytes]:
    """Everything below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def ready(place: Place, kilobytes: int = 1, **changes: object) -> Plan:
    """A library of one file that cannot be compressed, and a repository."""
    place.has_run()
    (place.media / "upload" / "a.jpg").write_bytes(random.Random(1).randbytes(kilobytes * 1000))
    return place.plan(None, place.made(), **changes)


def verdict(place: Place, plan: Plan, shell: str = "ash") -> str:
    """Run the copies, which fail: the verdict."""
    ran = place.copy(plan, shell)
    assert ran.code == 1, ran.output
    status = place.status("copy-local")
    assert status["result"] == "failed"
    assert place.gauges("copy-local")["immich_backup_success"] == 0
    place.assert_no_secret(ran.output + json.dumps(status))
    return status["verdict"]


def folder_of(plan: Plan) -> Path:
    return Path(plan.repositories[0].url)


def lock_names(plan: Plan) -> list[str]:
    """Locks of restic; while it writes one it has a longer name."""
    return [path.name for path in (folder_of(plan) / "locks").iterdir() if len(path.name) == 64]


@pytest.mark.parametrize("shell", ["ash", pytest.param("bash", marks=pytest.mark.deep)])
def test_a_wrong_password_has_its_verdict_and_changes_nothing(place: Place, shell: str) -> None:
    plan = ready(place)
    before = files(folder_of(plan))
    place.password_file.write_text("quite another password\n")
    place.secrets.append("quite another password")
    assert verdict(place, plan, shell) == "wrong-password"
    assert files(folder_of(plan)) == before
    # No process of a run that has ended keeps its lock.
    assert (
        subprocess.run(["flock", "-n", place.root / "lock" / "backup", "true"], check=False).returncode == 0
    )


def test_a_password_file_that_is_not_there_is_named(place: Place) -> None:
    plan = ready(place)
    place.password_file.unlink()
    assert verdict(place, plan) == "missing-password"
    assert str(place.password_file) in place.status("copy-local")["message"]


def test_no_repository_is_made_where_one_has_been(place: Place) -> None:
    plan = ready(place)
    assert place.copy(plan).code == 0
    moved = place.folder / "targets" / "elsewhere"
    folder_of(plan).rename(moved)
    folder_of(plan).mkdir()  # as the mount point of a disk that is not there
    last = place.status("copy-local")["lastSuccess"]
    assert verdict(place, plan) == "target-gone"
    assert place.status("copy-local")["lastSuccess"] == last > 0
    assert files(folder_of(plan)) == {}
    folder_of(plan).rmdir()
    moved.rename(folder_of(plan))
    assert place.copy(plan).code == 0


def test_a_repository_that_lost_its_config_is_damaged_and_not_made_anew(place: Place) -> None:
    plan = ready(place)
    (folder_of(plan) / "config").unlink()
    before = files(folder_of(plan))
    assert verdict(place, plan) == "damaged"
    assert files(folder_of(plan)) == before


def test_another_repository_at_the_same_address_is_not_taken_for_it(place: Place) -> None:
    plan = ready(place)
    assert place.copy(plan).code == 0
    (place.root / "repositories" / "local").write_text(
        "0" * 64 + "\n" + (place.root / "repositories" / "local").read_text().splitlines()[1] + "\n"
    )
    assert verdict(place, plan) == "other-repository"


def biggest_pack(plan: Plan) -> Path:
    """The one with the photo."""
    return max((folder_of(plan) / "data").rglob("*/*"), key=lambda path: path.stat().st_size)


def test_one_byte_that_differs_is_found_by_the_check_of_the_same_run(place: Place) -> None:
    plan = ready(place, 100)
    assert place.copy(plan).code == 0
    content = bytearray(biggest_pack(plan).read_bytes())
    content[len(content) // 3] ^= 1
    biggest_pack(plan).chmod(0o600)
    biggest_pack(plan).write_bytes(content)
    ran = place.copy(plan)
    assert ran.code == 1
    status = place.status("check-local")
    assert (status["result"], status["verdict"]) == ("failed", "damaged"), ran.output
    assert place.gauges("check-local")["immich_backup_success"] == 0
    assert place.status("copy-local")["result"] == "success"


@pytest.mark.deep
def test_a_file_that_the_repository_lost_is_found_by_prune_or_by_check(place: Place) -> None:
    plan = ready(place, 100, check_subset="1/255")
    assert place.copy(plan).code == 0
    biggest_pack(plan).unlink()
    ran = place.copy(plan)
    assert ran.code == 1
    assert place.status("check-local")["verdict"] == "damaged", ran.output


def test_a_target_that_gets_full_says_so_and_keeps_what_it_has(place: Place) -> None:
    if os.geteuid() != 0:
        pytest.skip("a small disk is mounted, which needs root")
    plan = ready(place)
    disk = place.folder / "targets" / "small"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(disk)], check=True)
    try:
        shutil.copytree(folder_of(plan), disk / "repository")
        small = replace(plan, repositories=(replace(plan.repositories[0], url=str(disk / "repository")),))
        assert place.copy(small).code == 0
        (place.media / "upload" / "big.jpg").write_bytes(random.Random(2).randbytes(4_000_000))
        assert verdict(place, small) == "target-full"
        (place.media / "upload" / "big.jpg").unlink()
        ran = place.copy(small)
        assert ran.code == 0, ran.output
        assert "no errors were found" in place.restic("check", target="small/repository")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_copy_that_is_killed_is_made_by_the_next_run(place: Place) -> None:
    plan = ready(place, 3000)
    started = place.start(copy_script(replace(plan, upload_limit=300)), "ash")
    wait_for("restic's lock", lambda: lock_names(plan))
    wait_for("data", lambda: list((folder_of(plan) / "data").rglob("*/*")))
    started.kill()
    assert place.status("copy-local")["result"] == "running"
    assert lock_names(plan)
    ran = place.copy(plan)
    assert ran.code == 0, ran.output
    assert place.status("copy-local")["verdict"] == "ok"
    assert lock_names(plan) == []
    assert "no errors were found" in place.restic("check", "--read-data")


@pytest.mark.deep
def test_a_prune_that_is_killed_is_made_by_the_next_run(place: Place) -> None:
    plan = ready(place, 10, keep=NONE_OLD)
    old = place.folder / "old"
    for number in range(6):
        old.write_bytes(random.Random(number).randbytes(400_000))
        # Packs that are partly needed are written anew, which the limits make slow enough to be seen.
        place.restic(
            "backup",
            "--host",
            plan.host,
            "--time",
            f"2020-01-0{number + 1} 00:00:00",
            str(old),
            str(place.media),
        )
        (place.media / "upload" / f"{number}.jpg").write_bytes(random.Random(-number - 1).randbytes(100_000))
    snapshots = folder_of(plan) / "snapshots"
    started = place.start(copy_script(replace(plan, download_limit=100, upload_limit=100)), "ash")
    wait_for("forget", lambda: len(list(snapshots.iterdir())) in range(1, 6))
    started.kill()
    assert lock_names(plan)
    time.sleep(1)  # runs are told apart by the second in which they begin
    ran = place.copy(plan)
    assert ran.code == 0, ran.output
    assert len(place.snapshots()) == 1
    assert lock_names(plan) == []
    assert "no errors were found" in place.restic("check", "--read-data")
    # What only the old snapshots had is gone.
    assert sum(map(len, files(folder_of(plan) / "data").values())) < 6 * 100_000 + 400_000


def test_a_copy_that_is_asked_to_end_takes_its_lock_away(place: Place) -> None:
    plan = ready(place, 3000)
    data = folder_of(plan) / "data"
    started = place.start(copy_script(replace(plan, upload_limit=300)), "ash")
    wait_for("data", lambda: list(data.rglob("*/*")))
    assert lock_names(plan)
    assert started.ask_to_end() == 143
    assert place.status("copy-local")["verdict"] == "interrupted"
    assert lock_names(plan) == []
    assert list((place.folder / "tmp").iterdir()) == []


@pytest.mark.deep
def test_of_two_copies_at_once_one_gives_up_and_the_other_ends_well(place: Place) -> None:
    plan = ready(place, 1500)
    first = place.start(copy_script(replace(plan, upload_limit=300)), "ash")
    wait_for("restic's lock", lambda: lock_names(plan))
    assert verdict(place, plan) == "locked"
    assert len(place.snapshots()) == 0
    ran = first.ended()
    assert ran.code == 0, ran.output
    assert place.status("copy-local")["verdict"] == "ok"
    assert len(place.snapshots()) == 1


def test_the_lock_of_another_machine_is_respected(place: Place) -> None:
    if os.geteuid() != 0:
        pytest.skip("another host name is given, which needs root")
    plan = ready(place)
    folder = folder_of(plan)
    # A restic of a machine with another name, which then loses its power.
    other = subprocess.Popen(
        [
            *("unshare", "--uts", "sh", "-c"),
            f"hostname other-machine && exec restic --no-cache -q -r {folder} backup --stdin",
        ],
        env={**os.environ, "RESTIC_PASSWORD_FILE": plan.password_file},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    wait_for("its lock", lambda: lock_names(plan))
    other.kill()
    other.communicate()
    (lock,) = lock_names(plan)
    assert verdict(place, plan) == "locked"
    assert "other-machine" in place.restic("--no-lock", "cat", "lock", lock)
    # The same lock, by a container of this deployment that is no more.
    with (place.root / "lock" / "hosts").open("a") as hosts:
        hosts.write("other-machine\n")
    ran = place.copy(plan)
    assert ran.code == 0, ran.output
    assert lock_names(plan) == []


def test_secrets_stand_in_no_arguments(place: Place) -> None:
    plan = ready(place, 1000)
    key = place.folder / "secrets" / "key"
    key.write_text("AKIASECRETSECRET\n")
    place.secrets.append("AKIASECRETSECRET")
    target = replace(plan.repositories[0], credentials={"AWS_SECRET_ACCESS_KEY": str(key)})
    started = place.start(copy_script(replace(plan, repositories=(target,), upload_limit=500)), "ash")
    wait_for("restic's lock", lambda: lock_names(plan))
    arguments, environments = "", ""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(entry.name)) == started.process.pid:
                arguments += (entry / "cmdline").read_bytes().decode(errors="replace")
                environments += (entry / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue  # it ended meanwhile
    assert started.ended().code == 0
    assert "restic" in arguments
    place.assert_no_secret(arguments)
    # restic takes keys of stores from its environment alone, and the password from its file.
    assert "AWS_SECRET_ACCESS_KEY=AKIASECRETSECRET" in environments
    assert place.secrets[0] not in environments
