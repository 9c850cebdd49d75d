"""rclone for tests, started by the script of its workload: restic's protocol on 127.0.0.1, stopped by its own pid."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from components.backup_plan import Repository
from components.settings.backup_targets import SftpTarget
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
        (self.port,) = free_ports(1)
        targets: list[SftpTarget] = []
        upstreams: list[str] = []
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
            upstreams.append(f"{name}=sftp-{name}:{server.files}")
            shutil.copy(server.key, directory / "ssh-key")
            (directory / f"known-hosts-{name}").write_text(f"{server.known_hosts}\n")
        remotes = ""
        for name, folder in (folders or {}).items():
            remotes += f"[given-{name}]\ntype = local\n"
            upstreams.append(f"{name}=given-{name}:{folder}")
        work = directory / "work"
        work.mkdir()
        (directory / "rclone.conf").write_text(remotes)
        values: dict[str, Any] = {
            "sftp": targets,
            "given": bool(folders),
            "upstreams": " ".join(upstreams),
            "secrets": directory,
            "folder": directory,
            "work": work,
            "port": self.port,
        }
        # In a container it listens for others; here for this machine alone.
        script = render("backup-rclone.sh.j2", values)
        assert f"--addr :{self.port}" in script
        (directory / "start.sh").write_text(
            script.replace(f"--addr :{self.port}", f"--addr 127.0.0.1:{self.port}")
        )
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
        return Repository(name=name, url=f"rest:http://127.0.0.1:{self.port}/{name}/")

    def start(self) -> None:
        """Start it and wait for its port."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", "sh", str(self.directory / "start.sh")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for_port(self.port, self._process, self.log)

    def stop(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
