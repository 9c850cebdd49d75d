"""Debian's sshd on the network of the test's Docker host, where containers reach it as they reach a NAS."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.data.sftp_process import SSHD, SftpServer
from tests.docker.host_network import HostNetwork


class SftpHost(SftpServer):
    """An sftp server on the host's address."""

    def __init__(self, directory: Path, network: HostNetwork) -> None:
        super().__init__(directory)
        self._network = network
        config = directory / "config"
        config.write_text(config.read_text().replace("127.0.0.1", network.address))

    @property
    def known_hosts(self) -> str:
        """The line with the server's public key."""
        return super().known_hosts.replace("127.0.0.1", self._network.address)

    def settings(self) -> dict[str, Any]:
        """The target `nas`."""
        return {
            "name": "nas",
            "kind": "sftp",
            "host": self._network.address,
            "port": self.port,
            "user": self.user,
            "path": str(self.files / "immich"),
            "knownHosts": self.known_hosts,
        }

    def start(self, seconds: float = 20) -> None:
        """Start it and wait for its port. AssertionError with the end of its log when it does not listen."""
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self._network.servers.add(self.port)
        log = self.directory / "sshd.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [
                    "setpriv", "--pdeathsig", "KILL", "--", "nsenter", f"--net={self._network.path}",
                    SSHD, "-D", "-e", "-f", str(self.directory / "config"),
                ],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection((self._network.address, self.port), 1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError(f"sshd does not listen:\n{log.read_text(errors='replace')[-2000:]}")
