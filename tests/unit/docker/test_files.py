"""The loader: its container, and its script run by a real shell."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from components.model.workload import ConfigFiles, SecretFiles, Storage, Workload
from components.platform.docker import files
from components.platform.docker.containers import Folder
from components.platform.docker.files import FileSet, file_volume, owned
from tests.unit.docker.parts import FOLDERS, OPTIONS, labels_of, options, workload

ME, MINE = os.getuid(), os.getgid()
SECRET = SecretFiles(secret="database", path="/run/secrets/database", items={"password": "password"})
CONFIG = ConfigFiles(name="proxy", path="/etc/nginx", files={"nginx.conf": "events {}"})
as_root = pytest.mark.skipif(ME != 0, reason="only root gives files away")


def loader(
    sets: Sequence[FileSet] = (),
    writable: Sequence[tuple[Storage, Folder]] = (),
    of: Workload | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A loader's inputs."""
    return files.loader(of or workload(), sets, writable, "sha256:1", options(**more))


@dataclass
class Host:
    """Folders where a loader has its uploads, its volumes and its data, and a shell that runs its script."""

    root: Path
    user: int = ME
    group: int = MINE
    chown: bool = False
    """Whether the real chown is called; else a stand-in writes down what it was asked."""
    asked: list[str] = field(default_factory=list[str])

    def run(
        self,
        sets: Sequence[Mapping[str, str]] = (),
        data: Sequence[Folder] = (),
        *,
        sabotage: str | None = None,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Upload these files and run the script; `sabotage` names a command that fails."""
        shutil.rmtree(self.root / "staging", ignore_errors=True)
        made: list[FileSet] = []
        for index, contents in enumerate(sets):
            staging = self.root / "staging" / str(index)
            staging.mkdir(parents=True)
            for name, text in contents.items():
                (staging / name).write_text(text)
            self.target(index).mkdir(parents=True, exist_ok=True)
            made.append(FileSet(volume=f"v{index}", path=f"/p{index}", contents=contents))
        for index in range(len(data)):
            self.data(index).mkdir(parents=True, exist_ok=True)
        writable = [(Storage(volume=f"d{index}", path=f"/d{index}"), one) for index, one in enumerate(data)]
        owner = workload(user=self.user, group=self.group)
        (text,) = files.loader(owner, made, writable, "sha256:1", OPTIONS)["command"]
        return self._shell(text, sabotage, check)

    def _shell(self, text: str, sabotage: str | None, check: bool) -> subprocess.CompletedProcess[str]:
        stubs, log = self.root / "bin", self.root / "chown.log"
        shutil.rmtree(stubs, ignore_errors=True)
        stubs.mkdir()
        log.write_text("")
        bodies = {} if self.chown else {"chown": f'echo "$@" >> "{log}"'}
        bodies |= {sabotage: "exit 1"} if sabotage is not None else {}
        for name, body in bodies.items():
            (stubs / name).write_text(f"#!/bin/sh\n{body}\n")
            (stubs / name).chmod(0o755)
        path = f"{stubs}:{os.environ['PATH']}"
        done = subprocess.run(
            ["sh", "-c", text], env={"PATH": path}, capture_output=True, text=True, timeout=30, check=False
        )
        self.asked = log.read_text().splitlines()
        assert not check or done.returncode == 0, done.stderr
        return done

    def target(self, index: int) -> Path:
        """A volume for files."""
        return self.root / "target" / str(index)

    def data(self, index: int) -> Path:
        """A volume or folder for data."""
        return self.root / "data" / str(index)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    for name in ("_STAGING", "_TARGET", "_DATA"):
        monkeypatch.setattr(files, name, str(tmp_path / name.strip("_").lower()))
    return Host(tmp_path)


VOLUME = Folder(volume="media")
FOLDER = Folder(path="/srv/photos")


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


# The script


def test_files_arrive_for_their_reader_alone(host: Host) -> None:
    host.run([{"password": "p'w \"$x\n", "valkey.conf": "port 6379\n"}, {"immich.json": "{}"}])
    assert contents(host.target(0)) == {"password": "p'w \"$x\n", "valkey.conf": "port 6379\n"}
    assert contents(host.target(1)) == {"immich.json": "{}"}
    assert stat.S_IMODE((host.target(0) / "password").stat().st_mode) == 0o440
    assert stat.S_IMODE(host.target(0).stat().st_mode) == 0o750
    owners = {line.split()[0] for line in host.asked}
    assert owners == {f"0:{MINE}"}, "files stay root's: the reader cannot write them"


def test_a_file_that_is_not_wanted_any_more_goes_and_a_changed_one_is_replaced_as_a_whole(host: Host) -> None:
    host.run([{"old.conf": "1", "kept.conf": "1"}])
    before = (host.target(0) / "kept.conf").stat().st_ino
    host.run([{"kept.conf": "2", "new.conf": "3"}])
    assert contents(host.target(0)) == {"kept.conf": "2", "new.conf": "3"}
    assert (host.target(0) / "kept.conf").stat().st_ino != before, (
        "written over, readers would see half of it"
    )


def test_what_an_interrupted_run_left_is_cleared_away(host: Host) -> None:
    host.run([{"a.conf": "1"}])
    broken = host.run([{"a.conf": "2"}], sabotage="mv", check=False)
    assert broken.returncode != 0
    assert (host.target(0) / "a.conf").read_text() == "1"
    assert (host.target(0) / ".new").is_dir()
    host.run([{"a.conf": "3"}])
    assert contents(host.target(0)) == {"a.conf": "3"}


@pytest.mark.parametrize("command", ["cp", "chown", "chmod", "mkdir"])
def test_a_command_that_fails_ends_the_loader_and_the_old_files_stay(host: Host, command: str) -> None:
    host.run([{"a.conf": "1"}])
    assert host.run([{"a.conf": "2"}], sabotage=command, check=False).returncode != 0
    assert (host.target(0) / "a.conf").read_text() == "1"


def test_the_same_files_again_change_nothing(host: Host) -> None:
    host.run([{"a.conf": "1"}])
    host.run([{"a.conf": "1"}])
    assert contents(host.target(0)) == {"a.conf": "1"}


@pytest.mark.parametrize("folder", [VOLUME, FOLDER], ids=["volume", "folder"])
def test_an_empty_folder_of_another_owner_is_given_to_the_containers_user(host: Host, folder: Folder) -> None:
    host.user, host.group = ME + 1, MINE + 1
    host.run(data=[folder])
    assert host.asked == [f"{ME + 1}:{MINE + 1} {host.data(0)}"]
    assert stat.S_IMODE(host.data(0).stat().st_mode) == 0o750


@pytest.mark.parametrize("folder", [VOLUME, FOLDER], ids=["volume", "folder"])
@pytest.mark.parametrize("name", ["photo.jpg", ".hidden", "library"])
def test_a_folder_with_anything_in_it_is_never_touched(host: Host, folder: Folder, name: str) -> None:
    host.user, host.group = ME + 1, MINE + 1
    host.data(0).mkdir(parents=True)
    (host.data(0) / name).mkdir() if name == "library" else (host.data(0) / name).write_text("photo")
    host.data(0).chmod(0o711)
    host.run(data=[folder])
    assert host.asked == []
    assert stat.S_IMODE(host.data(0).stat().st_mode) == 0o711
    assert (host.data(0) / name).exists()


def test_a_file_systems_own_folder_counts_as_empty(host: Host) -> None:
    host.user = ME + 1
    (host.data(0) / "lost+found").mkdir(parents=True)
    host.run(data=[FOLDER])
    assert host.asked == [f"{ME + 1}:{MINE} {host.data(0)}"]
    assert (host.data(0) / "lost+found").is_dir()


@pytest.mark.parametrize("folder", [VOLUME, FOLDER], ids=["volume", "folder"])
def test_an_empty_folder_of_the_right_owner_stays_as_it_is(host: Host, folder: Folder) -> None:
    host.data(0).mkdir(parents=True)
    host.data(0).chmod(0o711)
    host.run(data=[folder])
    assert host.asked == []
    assert stat.S_IMODE(host.data(0).stat().st_mode) == 0o711


def test_a_folder_of_the_host_gets_no_file_of_ours(host: Host) -> None:
    host.run(data=[FOLDER])
    assert list(host.data(0).iterdir()) == []


def test_a_second_run_finds_a_volume_as_the_first_left_it(host: Host) -> None:
    host.user = ME + 1
    host.run(data=[VOLUME])
    left = sorted(path.name for path in host.data(0).iterdir())
    host.user = ME
    host.run(data=[VOLUME])
    assert host.asked == []
    assert sorted(path.name for path in host.data(0).iterdir()) == left


@as_root
def test_root_gives_files_to_a_group_and_a_folder_to_a_user(host: Host) -> None:
    host.user, host.group, host.chown = 1000, 1001, True
    host.run([{"password": "x"}], [FOLDER])
    file, folder = (host.target(0) / "password").stat(), host.data(0).stat()
    assert (file.st_uid, file.st_gid, stat.S_IMODE(file.st_mode)) == (0, 1001, 0o440)
    assert (folder.st_uid, folder.st_gid, stat.S_IMODE(folder.st_mode)) == (1000, 1001, 0o750)


# Its container


def test_the_loader_is_root_with_no_right_but_to_give_away_and_has_no_network() -> None:
    found = loader([FileSet(volume="v", path="/p", contents={"a": "b"})])
    assert found["user"] == "0:0"
    assert found["networkMode"] == "none"
    assert found["capabilities"]["drops"] == ["ALL"]
    added = {name.removeprefix("CAP_") for name in found["capabilities"]["adds"]}
    assert added == {"CHOWN", "DAC_OVERRIDE", "FOWNER"}
    assert found["securityOpts"] == ["no-new-privileges:true"]
    assert found["memory"] == found["memorySwap"]


def test_the_loader_ends_and_is_waited_for() -> None:
    found = loader([FileSet(volume="v", path="/p", contents={"a": "b"})])
    assert (found["attach"], found["mustRun"], found["restart"]) == (True, False, "no")


def test_texts_are_uploads_and_never_part_of_the_command() -> None:
    found = loader([FileSet(volume="v", path="/p", contents={"a": "hunter2", "b": "x"})])
    assert found["uploads"] == [
        {"file": "/staging/0/a", "content": "hunter2"},
        {"file": "/staging/0/b", "content": "x"},
    ]
    assert "hunter2" not in str({key: value for key, value in found.items() if key != "uploads"})
    assert "envs" not in found


def test_every_volume_is_mounted_where_the_script_looks_for_it() -> None:
    sets = [FileSet(volume=name, path="/p", contents={"a": "b"}) for name in ("first", "second")]
    data = [
        (Storage(volume="media", path="/data"), FOLDERS["media"]),
        (Storage(volume="database", path="/d"), FOLDERS["database"]),
    ]
    found = loader(sets, data)
    assert [(one["type"], one["source"], one["target"]) for one in found["mounts"]] == [
        ("volume", "first", "/target/0"),
        ("volume", "second", "/target/1"),
        ("bind", "/srv/photos", "/data/0"),
        ("volume", "immich-home-database", "/data/1"),
    ]
    assert not any(one["readOnly"] for one in found["mounts"])
    labelled = loader(sets, data, selinux=True)
    assert [
        (one["hostPath"], one["containerPath"], one["selinuxRelabel"]) for one in labelled["volumes"]
    ] == [("/srv/photos", "/data/0", "z")]


def test_its_name_and_labels_are_the_stacks() -> None:
    found = loader(writable=[(Storage(volume="media", path="/data"), FOLDER)])
    assert found["name"] == "immich-home-server-files"
    assert labels_of(found)["immich.stack"] == "home"
    assert labels_of(found)["immich.workload"] == "server-files"


def test_what_one_container_reads_is_in_no_volume_of_another() -> None:
    names = {
        file_volume(workload(name=name), mount, options(stack=stack))
        for name in ("server", "microservices")
        for mount in (SECRET, CONFIG, ConfigFiles(name="database", path="/x", files={}))
        for stack in ("home", "skylab")
    }
    assert len(names) == 12
    assert "immich-home-server-secret-database" in names
    assert "immich-home-server-config-proxy" in names


def test_only_what_the_container_writes_to_is_given_to_it() -> None:
    media, library = (
        Storage(volume="media", path="/data"),
        Storage(volume="database", path="/x", read_only=True),
    )
    found = owned(workload(mounts=(media, library, SECRET)), FOLDERS)
    assert found == [(media, FOLDERS["media"])]


def test_a_volume_of_files_is_the_engines_own_and_carries_the_stack() -> None:
    made = files.volume(FileSet(volume="v", path="/p", contents={}), OPTIONS)
    assert (made["name"], made["driver"]) == ("v", "local")
    assert labels_of(made) == {"immich.stack": "home"}
