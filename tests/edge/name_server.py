"""A stand-in for a DNS server: one address for every name."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def name_server(addresses: list[str]) -> Generator[int]:
    """Answers every question for an A record with the last of `addresses`; gives its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as answering:
        answering.bind(("127.0.0.1", 0))
        answering.settimeout(0.1)
        done = threading.Event()

        def serve() -> None:
            while not done.is_set():
                try:
                    question, peer = answering.recvfrom(512)
                except TimeoutError:
                    continue
                asked = question[12:]
                wants_v4 = asked[asked.index(b"\0") + 1 :][:2] == b"\0\1"
                head = question[:2] + struct.pack(">HHHHH", 0x8180, 1, int(wants_v4), 0, 0)
                record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 1, 4) + socket.inet_aton(addresses[-1])
                answering.sendto(head + asked + (record if wants_v4 else b""), peer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield int(answering.getsockname()[1])
        finally:
            done.set()
            thread.join(5)
