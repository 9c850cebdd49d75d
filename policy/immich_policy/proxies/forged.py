"""Whether a value of nginx is what a client wrote: followed through `set`, `map` and `geo`."""

from __future__ import annotations

import re
from typing import Final

from immich_policy.reading.nginx_files import Chain, Directive

_FROM_CLIENT: Final = re.compile(r"(?:http|arg|cookie)_\w+|proxy_add_x_forwarded_for|args|query_string")
"""Variables that a client fills: headers, parameters, cookies (ngx_http_core_module)."""
_PEERS: Final = frozenset({"remote_addr", "realip_remote_addr", "binary_remote_addr"})
"""Variables with the address of whoever connects, as far as it was found out."""
_VARIABLE: Final = re.compile(r"\$\{?(\w+)")
_NUMBERED: Final = re.compile(r"[1-9]")


def forged(value: str, chain: Chain) -> bool:
    """Whether a client may choose a value, in the innermost block of a chain.

    A map of a header is one as well, unless its key has who connects: an address, or a `geo` of it.
    """
    return _forged(value, chain, frozenset())


def _forged(value: str, chain: Chain, seen: frozenset[str]) -> bool:
    for name in _VARIABLE.findall(value):
        if name in seen:
            continue
        if _FROM_CLIENT.fullmatch(name):
            return True
        inside = seen | {name}
        for one in _defining(name, chain):
            if one.name == "set" and _forged(" ".join(one.args[1:]), chain, inside):
                return True
            if one.name == "map" and _forged_map(one, chain, inside):
                return True
    return False


def _forged_map(one: Directive, chain: Chain, seen: frozenset[str]) -> bool:
    key = " ".join(one.args[:-1])
    if _asks_who_connects(key, chain):
        # The default is for everybody; the others are for those whom the key names.
        return any(_forged(each.value, chain, seen) for each in one.inner("default"))
    from_client = _forged(key, chain, seen)
    for each in one.block or ():
        captured = {*re.findall(r"\?P?<(\w+)>", each.name)}
        used = {*_VARIABLE.findall(each.value)}
        if from_client and (used & captured or any(_NUMBERED.fullmatch(name) for name in used)):
            return True
        if _forged(each.value, chain, seen | captured):
            return True
    return False


def _asks_who_connects(key: str, chain: Chain) -> bool:
    for name in _VARIABLE.findall(key):
        if name in _PEERS:
            return True
        for one in _defining(name, chain):
            if one.name == "geo" and (len(one.args) == 1 or one.args[0].lstrip("$") in _PEERS):
                return True
    return False


def _defining(name: str, chain: Chain) -> list[Directive]:
    """Directives that give a variable its value."""
    return [
        one
        for block in chain
        for one in block.block or ()
        if (one.name == "set" and one.args[:1] == (f"${name}",))
        or (one.name in {"map", "geo"} and one.args[-1:] == (f"${name}",))
    ]
