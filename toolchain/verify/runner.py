"""Asks everything at once, and is done within a minute whatever hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from components.proxy.doors import Door
from toolchain.verify.checks import (
    backups,
    clients,
    containers,
    doors,
    exposure,
    machine_learning,
    media,
    uploads,
)
from toolchain.verify.model import Check, failed, unchecked
from toolchain.verify.running import RunningError
from toolchain.verify.target import Target

LIMIT: Final = 55.0
"""Seconds for everything but an upload whose size was asked for."""
_CHOSEN: Final = 3600.0
"""Seconds where one was."""

OfDoor = Callable[[Target, Door], list[Check]]
OfStack = Callable[[Target], list[Check]]

OF_DOORS: Final[dict[str, OfDoor]] = {
    "tls": doors.certificate,
    "redirect": doors.redirect,
    "ping": doors.ping,
    "websocket": doors.websocket,
    "setup-closed": doors.setup,
    "restore-closed": doors.restore,
    "upload-limit": uploads.limits,
    "upload": uploads.upload,
    "clients": clients.clients,
}
"""What is asked of every door that is reached."""
OF_STACKS: Final[dict[str, OfStack]] = {
    "containers": containers.containers,
    "versions": containers.versions,
    "published-ports": exposure.openings,
    "networks": exposure.strangers,
    "machine-learning": machine_learning.answers,
    "backend": machine_learning.backend,
    "device": media.device,
    "libraries": media.libraries,
    "backups": backups.backups,
    "inside": doors.inside,
}
"""What is asked once."""
GROUPS: Final = (*OF_DOORS, *OF_STACKS)
"""What `only` may name."""


@dataclass
class _Work:
    """One function on its way."""

    group: str
    subject: str
    ask: Callable[[], list[Check]]
    found: list[Check] | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        try:
            self.found = self.ask()
        except RunningError as error:
            self.found = [unchecked(self.group, self.subject, str(error))]
        except Exception as error:  # noqa: BLE001  told as a failure of that check; the others go on
            told = f"the check itself ended with {type(error).__name__}: {error}"
            self.found = [
                failed(self.group, self.subject, told, "an answer", "This is a mistake of the check")
            ]
        self.done.set()


def verify(target: Target, only: Collection[str] = ()) -> list[Check]:
    """Every check, in the order of subjects: doors first. `only` names groups of `GROUPS`; empty asks all."""
    deadline = time.monotonic() + (LIMIT if target.options.size is None else _CHOSEN)
    works = [
        _Work(name, _SUBJECTS.get(name, name), _bound(ask, target))
        for name, ask in OF_STACKS.items()
        if not only or name in only
    ]
    wants_doors = not only or any(name in only for name in OF_DOORS)
    # With their own threads from the start: what a door hangs on holds nothing up.
    entries = [
        _Work("reachable", doors.subject(door), _reach(target, door, only, deadline))
        for door in target.doors
        if wants_doors
    ]
    _run([*entries, *works], deadline)
    return [check for work in (*entries, *works) for check in _told(work)]


_SUBJECTS: Final = {
    "published-ports": "exposure",
    "networks": "exposure",
    "machine-learning": "machine learning",
    "backend": "machine learning",
    "device": "transcoding",
    "backups": "backup",
    "inside": "cluster",
}


def _bound(ask: OfStack, target: Target) -> Callable[[], list[Check]]:
    return lambda: ask(target)


def _reach(target: Target, door: Door, only: Collection[str], deadline: float) -> Callable[[], list[Check]]:
    def ask() -> list[Check]:
        first = doors.reached(target, door)
        if first.outcome != "pass":
            return [first]
        works = [
            _Work(name, doors.subject(door), _of_door(one, target, door))
            for name, one in OF_DOORS.items()
            if not only or name in only
        ]
        _run(works, deadline - 0.5)
        return [first, *(check for work in works for check in _told(work))]

    return ask


def _of_door(ask: OfDoor, target: Target, door: Door) -> Callable[[], list[Check]]:
    return lambda: ask(target, door)


def _run(works: Sequence[_Work], deadline: float) -> None:
    for work in works:
        # Daemons: what hangs after the deadline does not keep the process.
        threading.Thread(target=work.run, daemon=True).start()
    for work in works:
        work.done.wait(max(0.0, deadline - time.monotonic()))


def _told(work: _Work) -> list[Check]:
    if work.done.is_set() and work.found is not None:
        return work.found
    return [
        unchecked(
            work.group, work.subject, f"no end within {LIMIT:.0f} s", "Ask again with --only " + work.group
        )
    ]
