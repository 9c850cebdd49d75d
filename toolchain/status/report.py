"""Everything that `make status` tells, gathered at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, TypeVar

from toolchain.people import drift, there
from toolchain.status.fragments import Fragments, fragments
from toolchain.status.queues import backlog
from toolchain.status.volumes import Fill, fills
from toolchain.verify.checks.backups import wanted
from toolchain.verify.checks.containers import tag_of
from toolchain.verify.checks.doors import certificate
from toolchain.verify.model import Check
from toolchain.verify.running import RunningError, Unit, unit_of
from toolchain.verify.target import Target

if TYPE_CHECKING:
    from components.proxy.doors import Door

Found = TypeVar("Found")


@dataclass(frozen=True, kw_only=True)
class Report:
    """How a stack is now."""

    stack: str
    time: float
    """Seconds since 1970."""
    units: Sequence[Unit]
    queues: Mapping[str, Mapping[str, int]] | None
    """None where the cache does not tell, or is somebody else's."""
    statuses: Mapping[str, Mapping[str, object]]
    runs: Sequence[str]
    """Names of runs that there must be."""
    volumes: Sequence[Fill]
    fragments: Fragments | None
    """None where nobody was asked, or the server does not tell."""
    certificates: Sequence[Check]
    drift: Sequence[str] | None
    """How people and libraries differ from `immich:setup`; None without that section, or where Immich does not tell."""
    problems: Sequence[str] = field(default=())
    """What could not be asked, and why."""

    def data(self) -> dict[str, object]:
        """For programs."""
        return {
            "stack": self.stack,
            "time": int(self.time),
            "components": [
                {
                    "name": unit.name,
                    "workload": unit.workload,
                    "state": unit.state,
                    "health": unit.health,
                    "restarts": unit.restarts,
                    "since": int(unit.since),
                    "version": version(unit),
                }
                for unit in self.units
                if not unit.task
            ],
            "queues": self.queues,
            "backups": {name: self.statuses.get(name) for name in self.runs},
            "volumes": [{**asdict(one), "full": one.full} for one in self.volumes],
            "fragments": asdict(self.fragments) if self.fragments else None,
            "certificates": [
                {"door": one.subject, "outcome": one.outcome, "found": one.found} for one in self.certificates
            ],
            "drift": None if self.drift is None else list(self.drift),
            "problems": list(self.problems),
        }


def version(unit: Unit) -> str:
    """The tag of its image; the image as it is known where it has none."""
    tags = [tag for image in unit.images if (tag := tag_of(image))]
    return tags[0] if tags else next(iter(unit.images), "").partition("@")[0][:40]


def gather(target: Target, before: Report | None = None) -> Report:
    """Ask everything, but for what takes long and `before` has. `RunningError` where no container can be listed."""
    units = target.running.units()
    problems: list[str] = []

    def attempt(ask: Callable[[], Found], otherwise: Found) -> Found:
        try:
            return ask()
        except RunningError as error:
            problems.append(str(error))
            return otherwise

    cache, server = unit_of(units, "cache"), unit_of(units, "server")
    runs = [name for name, _ in wanted(target.settings)]

    def of_queues() -> Mapping[str, Mapping[str, int]] | None:
        return backlog(target.running, cache) if cache is not None and cache.state == "running" else None

    def of_uploads() -> Fragments | None:
        if before is not None:
            return before.fragments
        return fragments(target.running, server) if server is not None and server.state == "running" else None

    def of_statuses() -> Mapping[str, Mapping[str, object]]:
        return target.running.statuses() if runs else {}

    def of_people() -> Sequence[str] | None:
        setup = target.settings.setup
        if before is not None:
            return before.drift
        return None if setup is None or setup.administrator is None else list(drift(setup, there(target)))

    with ThreadPoolExecutor(8) as pool:
        queues = pool.submit(attempt, of_queues, None)
        nothing: Mapping[str, Mapping[str, object]] = {}
        statuses = pool.submit(attempt, of_statuses, nothing)
        volumes = pool.submit(fills, target.running, target.settings, units)
        cut_off = pool.submit(attempt, of_uploads, None)
        people = pool.submit(attempt, of_people, None)
        certificates = [pool.submit(_certificate, target, door) for door in target.doors]
        found, unread = volumes.result()
        return Report(
            stack=target.stack,
            time=target.now(),
            units=units,
            queues=queues.result(),
            statuses=statuses.result(),
            runs=runs,
            volumes=found,
            fragments=cut_off.result(),
            certificates=[one for each in certificates for one in each.result()],
            drift=people.result(),
            problems=[*problems, *unread],
        )


def _certificate(target: Target, door: Door) -> list[Check]:
    return certificate(target, door) if door.url.startswith("https://") else []
