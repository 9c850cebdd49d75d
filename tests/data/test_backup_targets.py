"""Targets that rclone reaches: its workload's own start script, real rclone, real sshd.

S3 is not among them: Debian has no server of it. restic's `rest:` protocol is rclone's here.
"""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.backup.plan import Plan
from components.backup.scripts import copy_script
from tests.data.conftest import need, need_built
from tests.data.place import Place, wait_for
from tests.data.rclone_process import Rclone
from tests.data.sftp_process import SftpServer


@pytest.fixture
def servers(place: Place) -> Iterator[tuple[SftpServer, SftpServer]]:
    """Two machines with the same key."""
    need_built("rclone")
    need(sshd="openssh-server")
    with (
        SftpServer(place.folder / "sshd-near") as near,
        SftpServer(place.folder / "sshd-far", near.key) as far,
    ):
        yield near, far


@pytest.fixture
def rclone(place: Place, servers: tuple[SftpServer, SftpServer]) -> Iterator[Rclone]:
    """Serves `near` and `far` by sftp, and `disk`, a remote of rclone's own configuration."""
    near, far = servers
    place.has_run()
    with Rclone(
        place.folder / "rclone",
        sftp={"near": near, "far": far},
        folders={"disk": place.folder / "targets"},
    ) as running:
        yield running


def impatient(plan: Plan) -> str:
    """The script, with less patience for a server that does not answer."""
    script = copy_script(plan)
    assert "restic_patience=120" in script
    return script.replace("restic_patience=120", "restic_patience=3")


def test_repositories_are_made_over_sftp_and_in_a_remote_of_rclone(
    place: Place, rclone: Rclone, servers: tuple[SftpServer, SftpServer]
) -> None:
    plan = place.plan(None, rclone.repository("near"), rclone.repository("disk"))
    ran = place.copy(plan)
    assert ran.code == 0, ran.output
    for name, folder in (("near", servers[0].files), ("disk", place.folder / "targets")):
        assert place.status(f"copy-{name}")["verdict"] == "ok"
        assert place.status(f"check-{name}")["verdict"] == "ok"
        # What is there is a repository like any other.
        assert (folder / "config").exists()
        link = place.folder / "targets" / f"link-{name}"
        link.symlink_to(folder)
        (snapshot,) = place.snapshots(f"link-{name}")
        assert snapshot["id"].startswith(place.status(f"copy-{name}")["snapshot"])


@pytest.mark.deep
def test_an_sftp_server_that_is_away_stops_no_other_target_and_is_not_filled_anew(
    place: Place, rclone: Rclone, servers: tuple[SftpServer, SftpServer]
) -> None:
    near, _ = servers
    for server in servers:
        shutil.copytree(place.made(server.directory.name).url, server.files, dirs_exist_ok=True)
    plan = place.plan(None, rclone.repository("near"), rclone.repository("far"))
    assert place.copy(plan).code == 0
    near.stop()
    ran = place.start(impatient(plan), "ash").ended()
    assert ran.code == 1
    assert place.status("copy-near")["verdict"] == "target-gone", ran.output
    assert place.status("copy-far")["verdict"] == "ok", ran.output
    near.start()
    ran = place.copy(plan)
    assert ran.code == 0, ran.output


def test_a_first_run_makes_no_repository_on_a_server_that_is_away(
    place: Place, rclone: Rclone, servers: tuple[SftpServer, SftpServer]
) -> None:
    near, _ = servers
    near.stop()
    ran = place.start(impatient(place.plan(None, rclone.repository("near"))), "ash").ended()
    assert ran.code == 1
    assert place.status("copy-near")["verdict"] == "target-gone", ran.output
    assert list(near.files.iterdir()) == []


@pytest.mark.deep
def test_a_server_that_is_away_when_rclone_starts_takes_no_other_target_with_it_and_is_asked_again(
    place: Place, rclone: Rclone, servers: tuple[SftpServer, SftpServer]
) -> None:
    near, _ = servers
    for server in servers:
        shutil.copytree(place.made(server.directory.name).url, server.files, dirs_exist_ok=True)
    rclone.stop()
    near.stop()
    rclone.start("far", "disk")
    plan = place.plan(None, rclone.repository("near"), rclone.repository("far"))
    ran = place.start(impatient(plan), "ash").ended()
    assert ran.code == 1
    assert place.status("copy-near")["verdict"] == "target-gone", ran.output
    assert place.status("copy-far")["verdict"] == "ok", ran.output
    near.start()
    rclone.wait("near")
    ran = place.copy(plan)
    assert ran.code == 0, ran.output


def test_rclone_that_is_away_has_its_verdict(place: Place, rclone: Rclone) -> None:
    rclone.stop()
    ran = place.start(impatient(place.plan(None, rclone.repository("far"))), "ash").ended()
    assert ran.code == 1
    status = place.status("copy-far")
    assert status["verdict"] == "target-gone"
    assert f"127.0.0.1:{rclone.ports['far']}" in status["message"]


def test_a_server_with_another_key_is_not_talked_to(
    place: Place, servers: tuple[SftpServer, SftpServer], tmp_path: Path
) -> None:
    near, far = servers
    place.has_run()
    (near.directory / "host-key.pub").write_text((far.directory / "host-key.pub").read_text())
    running = Rclone(tmp_path / "rclone", sftp={"near": near})
    try:
        running.begin()
        wait_for("the refusal", lambda: "knownhosts: key mismatch" in running.log.read_text())
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", running.ports["near"]))
    finally:
        running.stop()
