"""rclone for tests, started by the script of its workload: restic's protocol on 127.0.0.1, stopped by its own pid."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from components.backup.plan import Repository
from components.backup.target_settings import SftpTarget
from components.templates import render
from tests.data.sftp_process import SftpServer, wait_for_port
from tests.edge.running import free_ports


class Rclone:
    """Serves each sftp server as the target of its name, and each folder as a remote that rclone is told of."""

    def __init__(
        self,
        directory: Path,
        *,
        sftp: dict[str, SftpServer] | None = None,
        folders: dict[str, Path] | None = None,
    ) -> None:
        directory.mkdir()
        self.directory = directory
        names = [*(sftp or {}), *(folders or {})]
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        targets: list[SftpTarget] = []
        served: list[tuple[str, int, str]] = []
        for name, server in (sftp or {}).items():
            targets.append(
                SftpTarget.model_validate(
                    {
                        "kind": "sftp",
                        "name": name,
                        "host": "127.0.0.1",
                        "port": server.port,
                        "user": server.user,
                        "path": str(server.files),
                        "knownHosts": server.known_hosts,
                    },
                    by_alias=True,
                    by_name=False,
                )
            )
            served.append((name, self.ports[name], f"sftp-{name}:{server.files}"))
            shutil.copy(server.key, directory / "ssh-key")
            (directory / f"known-hosts-{name}").write_text(f"{server.known_hosts}\n")
        remotes = ""
        for name, folder in (folders or {}).items():
            remotes += f"[given-{name}]\ntype = local\n"
            served.append((name, self.ports[name], f"given-{name}:{folder}"))
        work = directory / "work"
        work.mkdir()
        (directory / "rclone.conf").write_text(remotes)
        values: dict[str, Any] = {
            "sftp": targets,
            "given": bool(folders),
            "served": served,
            "secrets": directory,
            "folder": directory,
            "work": work,
            "pause": 1,
        }
        # In a container it listens for others; here for this machine alone.
        script = render("backup-rclone.sh.j2", values)
        everywhere = '--addr ":$2"'
        assert everywhere in script
        (directory / "start.sh").write_text(script.replace(everywhere, '--addr "127.0.0.1:$2"'))
        self._process: subprocess.Popen[bytes] | None = None
        self.log = directory / "log"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def repository(self, name: str) -> Repository:
        """As restic reaches a target."""
        return Repository(name=name, url=f"rest:http://127.0.0.1:{self.ports[name]}/")

    def start(self, *waited: str) -> None:
        """Start it and wait for the ports of targets, of all where none is named: one that is away opens none."""
        self.begin()
        self.wait(*(waited or self.ports))

    def begin(self) -> None:
        """Start it."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", "sh", str(self.directory / "start.sh")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self, *names: str) -> None:
        """Wait until these targets are served."""
        assert self._process is not None
        for name in names:
            wait_for_port(self.ports[name], self._process, self.log)

    def stop(self) -> None:
        """End it at once."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
