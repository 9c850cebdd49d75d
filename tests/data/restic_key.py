"""Makes the password of a restic repository quick to try: its own keys cost half a second of work for each command."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
from pathlib import Path

_CLAMP = 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
_ROUNDS = 1024


def weaken(repository: Path, password: str) -> None:
    """Replace the one key of a repository by the same one under scrypt with few rounds, as restic's design document
    describes keys: AES-256 in counter mode, then Poly1305-AES.
    """
    (file,) = (repository / "keys").iterdir()
    key = json.loads(file.read_bytes())
    sealed = base64.b64decode(key["data"])
    nonce, secret = sealed[:16], sealed[16:-16]
    encryption, _ = _derived(password, key)
    master = _aes("aes-256-ctr", encryption, nonce, secret)
    assert json.loads(master)["encrypt"], "the password opens the key"

    key |= {"N": _ROUNDS, "r": 8, "p": 1}
    encryption, signing = _derived(password, key)
    nonce = os.urandom(16)
    secret = _aes("aes-256-ctr", encryption, nonce, master)
    key["data"] = base64.b64encode(nonce + secret + _mac(signing, nonce, secret)).decode()
    content = json.dumps(key).encode()
    (file.parent / hashlib.sha256(content).hexdigest()).write_bytes(content)
    file.unlink()


def _derived(password: str, key: dict[str, object]) -> tuple[bytes, bytes]:
    n, r, p = (int(str(key[name])) for name in ("N", "r", "p"))
    found = hashlib.scrypt(
        password.encode(), salt=base64.b64decode(str(key["salt"])), n=n, r=r, p=p, maxmem=1 << 28, dklen=64
    )
    return found[:32], found[32:]


def _mac(signing: bytes, nonce: bytes, message: bytes) -> bytes:
    r = int.from_bytes(signing[16:], "little") & _CLAMP
    s = int.from_bytes(_aes("aes-128-ecb", signing[:16], b"", nonce), "little")
    total = 0
    for at in range(0, len(message), 16):
        total = (total + int.from_bytes(message[at : at + 16] + b"\x01", "little")) * r % ((1 << 130) - 5)
    return ((total + s) % (1 << 128)).to_bytes(16, "little")


def _aes(mode: str, key: bytes, nonce: bytes, data: bytes) -> bytes:
    command = [
        "openssl",
        "enc",
        f"-{mode}",
        "-nopad",
        "-K",
        key.hex(),
        *(["-iv", nonce.hex()] if nonce else []),
    ]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout
