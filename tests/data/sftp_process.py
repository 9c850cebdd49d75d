"""OpenSSH's sftp server for tests: Debian's sshd on 127.0.0.1 with keys of its own, stopped by its own pid."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.edge.running import free_ports

SSHD: Final = "/usr/sbin/sshd"


class SftpServer:
    """Lets the test's own user in with one key, a new one where none is given, to nothing but sftp."""

    def __init__(self, directory: Path, key: Path | None = None) -> None:
        directory.mkdir()
        self.directory = directory
        self.files = directory / "files"
        """Where targets are kept."""
        self.files.mkdir()
        self.key = key or directory / "client-key"
        self.user = getpass.getuser()
        (self.port,) = free_ports(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._log = directory / "sshd.log"
        for name in ("host-key", "client-key"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)], check=True
            )
        shutil.copy(self.key.with_suffix(".pub"), directory / "authorized")
        (directory / "config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {directory}/host-key\nPidFile none\n"
            f"AuthorizedKeysFile {directory}/authorized\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
            "PermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\nForceCommand internal-sftp\n"
            "MaxStartups 100\n"
        )

    @property
    def known_hosts(self) -> str:
        """The line with the server's public key."""
        key = (self.directory / "host-key.pub").read_text().split()
        return f"[127.0.0.1]:{self.port} {key[0]} {key[1]}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait for its port."""
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    "setpriv",
                    "--pdeathsig",
                    "KILL",
                    "--",
                    SSHD,
                    "-D",
                    "-e",
                    "-f",
                    str(self.directory / "config"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for_port(self.port, self._process, self._log)

    def stop(self) -> None:
        """End it and the connections it has."""
        if self._process is not None:
            # Connections are processes of groups of their own, children of the server.
            children = (
                Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
            )
            for pid in children:
                os.kill(int(pid), signal.SIGKILL)
            self._process.kill()
            self._process.wait()
            self._process = None


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path, seconds: float = 20) -> None:
    """Wait until a server listens. AssertionError with the end of its log when it ends or does not."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"nothing listens on port {port}:\n{log.read_text(errors='replace')[-2000:]}")
