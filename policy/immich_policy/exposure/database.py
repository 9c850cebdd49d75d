"""Whether the database asks everybody for a password."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial

from immich_policy.config import Config
from immich_policy.model import (
    UNKNOWN,
    Finding,
    Judgement,
    Plain,
    Registered,
    Severity,
    Stack,
    Unjudged,
    dig,
    family_rule,
    join,
    sequence,
)
from immich_policy.reading.addresses import subnet
from immich_policy.reading.clusters import immich_clusters
from immich_policy.reading.files import files
from immich_policy.reading.parts import having
from immich_policy.reading.roles import Role
from immich_policy.text import shown

_METHOD = "POSTGRES_HOST_AUTH_METHOD"
_ARGUMENTS = "POSTGRES_INITDB_ARGS"
_TRUSTING = re.compile(r"(?:--auth(?:-host)?[= ]|-A *)trust\b")
_SETTING = "scram-sha-256 in place of trust"


def _asked(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    for cluster in stack.once(immich_clusters):
        path = "spec.postgresql.pg_hba"
        lines = dig(cluster.props, *path.split("."))
        if lines is UNKNOWN:
            yield Unjudged(resource=cluster, path=path)
        for index, line in enumerate(sequence({"it": lines}, "it")):
            if isinstance(line, str) and trusting(line):
                yield _finding(cluster, join(path, index), line)
    for one in having(stack, Role.DATABASE):
        for path, name, value in one.variables():
            if name in {_METHOD, _ARGUMENTS} and value is UNKNOWN:
                yield Unjudged(resource=one.resource, path=path)
            elif (name == _METHOD and str(value).strip() == "trust") or (
                name == _ARGUMENTS and _TRUSTING.search(str(value))
            ):
                yield _finding(one.resource, path, f"{name}={value}")
        for name, file in files(stack, one).items():
            if name.endswith("pg_hba.conf"):
                yield from _in_file(file.resource, file.path, file.content)


def _in_file(resource: Registered, path: str, content: Plain) -> Iterator[Judgement]:
    if not isinstance(content, str):
        yield Unjudged(resource=resource, path=path)
        return
    for number, line in enumerate(content.splitlines(), start=1):
        if trusting(line):
            yield _finding(resource, f"{path} line {number}", line)


def trusting(line: str) -> bool:
    """Whether a line of pg_hba.conf lets others than the machine itself in without a password (PostgreSQL 18)."""
    kind, *fields = [*line.partition("#")[0].split(), ""]
    if not kind.startswith("host") or len(fields) < 4:
        return False
    masked = re.fullmatch(r"[\d.]+|[\da-f:]*:[\da-f:]*", fields[3]) is not None
    address, method = fields[2], fields[4 if masked else 3]
    network = subnet(address)
    return method == "trust" and not (network is not None and network.is_loopback)


def _finding(resource: Registered, path: str, said: str) -> Finding:
    message = f"{shown(said)}: whoever reaches the database is let in without a password"
    return Finding(resource=resource, path=path, message=message, setting=_SETTING)


RULES = (
    partial(family_rule, "exposure")(
        "database-password",
        Severity.HIGH,
        "The database asks everybody for a password.",
        "Whoever reaches it otherwise, from any container of its network, reads and changes everything, the users' "
        "password hashes and their sessions among it.",
        "Use scram-sha-256 for every line of `pg_hba` that begins with `host`.",
        judge=_asked,
    ),
)
