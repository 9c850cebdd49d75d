"""An engine on another host over the ssh client: a local socket, each connection to which is one
`ssh ... docker system dial-stdio`, as Docker's own command line does it.

The user's ssh configuration, agent and known hosts apply. Questions are not asked: a plugin has no terminal.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit

from toolchain.offline.plugins.provider import ProviderError

_BUFFER: Final = 64 * 1024
_LAST_WORDS_SECONDS: Final = 2.0
"""How long an ended connection is kept for what ssh says of it; a shared master connection holds the pipe open."""


def command(address: str, options: Sequence[str]) -> list[str]:
    """The command line for `ssh://[user@]host[:port][/path of the remote socket]`.

    ProviderError when the address names no host.
    """
    parts = urlsplit(address)
    if not parts.hostname or parts.password or parts.hostname.startswith("-"):
        raise ProviderError(
            f"docker provider: host {address!r} must be ssh://user@host or ssh://user@host:port"
        )
    line = ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20", *options]
    if parts.username:
        line += ["-l", parts.username]
    if parts.port:
        line += ["-p", str(parts.port)]
    remote = ["docker", "system", "dial-stdio"]
    if parts.path not in ("", "/"):
        remote[1:1] = ["--host", f"unix://{parts.path}"]
    return [*line, "--", parts.hostname, *remote]


class Tunnel:
    """The local socket; `url` is what a client connects to. `said` is the last line that ssh complained with."""

    def __init__(self, address: str, options: Sequence[str]) -> None:
        self._command = command(address, options)
        if shutil.which("ssh") is None:
            raise ProviderError(
                f"docker provider: host {address} needs the ssh client: install openssh-client"
            )
        self._folder = Path(tempfile.mkdtemp(prefix="docker-ssh-"))
        self._path = self._folder / "engine.sock"
        self.url = f"unix://{self._path}"
        self.said = ""
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self._path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # the user's interrupt is for the CLI, which then cancels
        )
        self._processes.add(process)
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise AssertionError("all three are pipes")
        listener = threading.Thread(target=self._listen, args=(process.stderr,), daemon=True)
        listener.start()
        threading.Thread(target=_send, args=(connection, process.stdin), daemon=True).start()
        with connection, process.stdout as answers:
            while chunk := os.read(answers.fileno(), _BUFFER):
                try:
                    connection.sendall(chunk)
                except OSError:
                    break  # the client has gone
            else:
                # The client asks `said` as soon as its connection ends.
                listener.join(_LAST_WORDS_SECONDS)
            # A close alone is not seen by the client while the other thread still reads from the socket.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        process.terminate()
        process.wait()
        self._processes.discard(process)

    def _listen(self, complaints: IO[bytes]) -> None:
        with complaints:
            for line in complaints:
                self.said = line.decode(errors="replace").strip() or self.said

    def close(self) -> None:
        """End the connections."""
        self._listener.close()
        for process in list(self._processes):
            process.terminate()
        shutil.rmtree(self._folder, ignore_errors=True)


def _send(connection: socket.socket, pipe: IO[bytes]) -> None:
    # Either end may go first, which the other loop notices.
    with contextlib.suppress(OSError, ValueError):
        while chunk := connection.recv(_BUFFER):
            pipe.write(chunk)
            pipe.flush()
    with contextlib.suppress(OSError):
        pipe.close()
