"""Values in messages, sizes, durations."""

from __future__ import annotations

import math
import re

from immich_policy.model import UNKNOWN, Plain
from immich_policy.secrets.values import entropy

REDACTED = "[redacted]"

_LONGEST = 120
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]*:[^/\s@]*@")
_NAMED = re.compile(
    r"(?i)((?:pass(?:word|wd|phrase)?|secret|token|api_?key|credentials?|private_?key)[\w-]*[\"']?\s*[=:]\s*)\S+"
)
_TOKEN = re.compile(r"[A-Za-z0-9+/=_\-.~!#$%^&*]{20,}")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", re.ASCII)
_BINARY = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40, "p": 2**50, "e": 2**60}
_DECIMAL = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "p": 10**15, "e": 10**18}
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(|m|k|[MGTPE]|[KMGTPE]i)", re.ASCII)
_SCALES = {
    "m": 1e-3,
    **{unit.upper() if unit != "k" else unit: scale for unit, scale in _DECIMAL.items() if unit != "b"},
    **{f"{unit.upper()}i": scale for unit, scale in _BINARY.items() if unit not in {"", "b"}},
}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|h|m|s|d|w|M|y)?", re.ASCII)
_SECONDS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1,
    "m": 60,
    "h": 3600,
    "d": 86400,
    "w": 604800,
}


def shown(value: Plain) -> str:
    """A value as a message may have it: what looks like a password or a key is redacted, and it is cut to a length."""
    if value is UNKNOWN or value is None:
        return "nothing that is known" if value is UNKNOWN else "nothing"
    if isinstance(value, bool | int | float):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if not isinstance(value, str):
        return "a list" if isinstance(value, list) else "a mapping"
    line = " ".join(value.split())
    line = _CREDENTIALS.sub(f"{REDACTED}@", line)
    line = _NAMED.sub(rf"\1{REDACTED}", line)
    line = _TOKEN.sub(lambda found: REDACTED if _random(found[0]) else found[0], line)
    return f"“{line if len(line) <= _LONGEST else line[: _LONGEST - 1] + '…'}”"


def _random(word: str) -> bool:
    kinds = sum(bool(re.search(kind, word)) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
    return kinds >= 2 and bool(re.search("[0-9]", word)) and entropy(word) > 3.7 and "/" not in word[:-1]


def size(value: Plain) -> int | None:
    """Bytes of a Kubernetes quantity (`5Gi`, `5G`), an amount of ours (`50 GiB`) or a number; None for everything else.

    `M` is 10^6 here, as in Kubernetes; nginx' own sizes are `nginx_size`.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return int(value) if math.isfinite(value) and value >= 0 else None
    found = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        return None
    unit = found[2].lower()
    scale = _BINARY.get(unit[:-2] if unit.endswith("ib") else unit[:-1]) if "i" in unit else None
    if scale is None:
        scale = _DECIMAL.get(unit.removesuffix("b"))
    return None if scale is None else int(float(found[1]) * scale)


def quantity(value: Plain) -> float | None:
    """A quantity of Kubernetes as it reads one, with `m` for a thousandth; None for everything else."""
    written = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    found = _QUANTITY.fullmatch(written) if isinstance(written, str) else None
    return None if found is None else float(found[1]) * _SCALES[found[2]]


def nginx_size(value: str) -> int | None:
    """Bytes of a size as nginx reads it: `k`, `m` and `g` are powers of 1024 (ngx_parse_offset)."""
    found = re.fullmatch(r"(\d+)([kKmMgG]?)", value.strip(), re.ASCII)
    return None if found is None else int(found[1]) * _BINARY[found[2].lower()]


def duration(value: Plain) -> float | None:
    """Seconds of a duration of nginx, Go or the Gateway API (`600s`, `1h30m`) or of a number; None for everything else.

    A number without a unit is seconds. `0` is 0: what it means depends on who reads it.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if math.isfinite(value) else None
    if not isinstance(value, str):
        return None
    written = "".join(value.split())
    parts = list(_PART.finditer(written))
    if not parts or "".join(part[0] for part in parts) != written:
        return None
    return sum(float(part[1]) * _SECONDS.get(part[2] or "s", 2592000) for part in parts)


def human(amount: float) -> str:
    """Bytes for people: `50 GiB`, `100 MB`; the unit in which the number is short."""
    for scale, unit in ((2**30, "GiB"), (2**20, "MiB"), (10**9, "GB"), (10**6, "MB"), (2**10, "KiB")):
        if amount >= scale and amount % scale == 0:
            return f"{int(amount // scale)} {unit}"
    if amount >= 10**6:
        return f"{amount / 10**6:.1f} MB"
    return f"{int(amount)} bytes"
