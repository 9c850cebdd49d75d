"""Traefik in front of Immich: nothing that keeps, repeats or ends an upload."""

from __future__ import annotations

from collections.abc import Iterable

from immich_policy.config import Config
from immich_policy.model import UNKNOWN, Finding, Judgement, Rule, Severity, Stack, Unjudged
from immich_policy.reading.parts import having
from immich_policy.reading.roles import Role
from immich_policy.reading.traefik import configured_elsewhere, entry_points, options
from immich_policy.text import duration, shown

_HARMFUL = {
    "buffering": "keeps whole uploads in memory or on disk, and refuses those above its limit",
    "retry": "cannot send a streamed upload again, and answers with an error",
    "circuitbreaker": "shuts everybody out when one phone breaks off its uploads",
}
_READ = ".transport.respondingtimeouts.readtimeout"
_WRITE = ".transport.respondingtimeouts.writetimeout"


def _middlewares(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    seen: set[tuple[str, str, str]] = set()
    for one in stack.once(options):
        key = (one.resource.urn, one.middleware, one.kind)
        if one.uploads and one.kind in _HARMFUL and key not in seen:
            seen.add(key)
            yield Finding(
                resource=one.resource,
                path=one.path,
                message=f"the middleware {shown(one.middleware)} on the way to Immich {_HARMFUL[one.kind]}",
                setting=f"take {one.kind} off the router of Immich",
            )


def _timeouts(stack: Stack, config: Config) -> Iterable[Judgement]:
    for one in having(stack, Role.TRAEFIK):
        if configured_elsewhere(stack, one):
            yield Unjudged(
                resource=one.resource, path=one.path, what="has its static configuration in a file"
            )
    for (_, name), listed in stack.once(entry_points).items():
        first = listed[0]
        read = next((it for it in listed if it.name.endswith(_READ)), None)
        write = next((it for it in listed if it.name.endswith(_WRITE)), None)
        seconds = 60.0 if read is None else duration(read.value)
        if read is not None and read.value is UNKNOWN:
            yield Unjudged(resource=first.resource, path=read.path)
        elif seconds is None or 0 < seconds < config.timeout:
            given = "is not set, which is 60 s," if read is None else f"is {shown(read.value)}"
            yield Finding(
                resource=(read or first).resource,
                path=(read or first).path,
                message=f"the readTimeout of the entry point {shown(name)} {given} and counts from the first byte of "
                "an upload",
                setting=f"--entrypoints.{name}.transport.respondingTimeouts.readTimeout=0s",
            )
        if write is not None and write.value is not UNKNOWN and duration(write.value) != 0:
            yield Finding(
                resource=first.resource,
                path=write.path,
                message=f"the writeTimeout of the entry point {shown(name)}, {shown(write.value)}, ends downloads",
                setting=f"--entrypoints.{name}.transport.respondingTimeouts.writeTimeout=0s, which is the default",
            )


RULES = (
    Rule(
        name="uploads-traefik-middlewares",
        family="uploads",
        severity=Severity.HIGH,
        title="No buffering, retry or circuit breaker of Traefik is on the way to Immich.",
        why="They were made for short requests: uploads fail, or all are shut out after one phone's bad connection.",
        remediation="Take these middlewares off the router of Immich.",
        judge=_middlewares,
    ),
    Rule(
        name="uploads-traefik-timeouts",
        family="uploads",
        severity=Severity.HIGH,
        title="Entry points of Traefik end neither uploads nor downloads.",
        why="Traefik's readTimeout of 60 s ends every longer upload, and a writeTimeout every longer download.",
        remediation="Set respondingTimeouts.readTimeout to 0s or 600s, and leave writeTimeout at 0.",
        judge=_timeouts,
    ),
)
