"""A WebSocket (RFC 6455) that sends every message back; no extensions, no fragments to the peer."""

from __future__ import annotations

import base64
import hashlib
import struct
from io import BufferedIOBase

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUED, _CLOSE, _PING, _PONG = 0x0, 0x8, 0x9, 0xA
_LONGEST = 1 << 20


def accept_key(key: str) -> str:
    """The answer to Sec-WebSocket-Key."""
    return base64.b64encode(hashlib.sha1((key + _GUID).encode(), usedforsecurity=False).digest()).decode()


def echo(reader: BufferedIOBase, writer: BufferedIOBase) -> None:
    """Until the peer closes or goes away."""
    message, kind = b"", 0
    while True:
        head = reader.read(2)
        if len(head) < 2:
            return
        final, opcode, length = bool(head[0] & 0x80), head[0] & 0x0F, head[1] & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", reader.read(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", reader.read(8))
        if not head[1] & 0x80 or length > _LONGEST:
            writer.write(_frame(_CLOSE, struct.pack("!H", 1002 if length <= _LONGEST else 1009)))
            return
        mask, data = reader.read(4), reader.read(length)
        payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))
        if opcode == _CLOSE:
            writer.write(_frame(_CLOSE, payload[:2]))
            return
        if opcode == _PING:
            writer.write(_frame(_PONG, payload))
        elif opcode != _PONG:
            message, kind = (message + payload, kind) if opcode == _CONTINUED else (payload, opcode)
            if final:
                writer.write(_frame(kind, message))


def _frame(opcode: int, payload: bytes) -> bytes:
    length = len(payload)
    if length < 126:
        return bytes((0x80 | opcode, length)) + payload
    if length < 1 << 16:
        return bytes((0x80 | opcode, 126)) + struct.pack("!H", length) + payload
    return bytes((0x80 | opcode, 127)) + struct.pack("!Q", length) + payload
