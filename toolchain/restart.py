"""`make restart STACK=x [PART=...]`: end workloads of a deployment and have its platform start them again.

Without a part Immich alone: server, microservices and machine learning. Database, cache, proxy and the rest go on.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Final

from toolchain.failure import ToolchainError, exit_with
from toolchain.verify.opening import deployed, open_running
from toolchain.verify.running import Running, RunningError, Unit

_IMMICH: Final = ("server", "microservices", "machine-learning")
_PAUSE: Final = 1.0
_HEARTBEAT: Final = 15.0
_USAGE: Final = "usage: python -m toolchain.restart STACK [PART ...]   (make restart STACK=... PART=server)"


def of_part(running: Running, stack: str, part: str) -> list[Unit]:
    """The containers of a workload. ToolchainError, with the parts there are, where it has none."""
    units = [unit for unit in running.units() if not unit.task]
    if found := [unit for unit in units if unit.workload == part]:
        return found
    known = ", ".join(dict.fromkeys(unit.workload for unit in units if unit.workload)) or "none"
    raise ToolchainError(
        f"The stack {stack} has no part {part!r} that runs. Parts there: {known}. `make up STACK={stack}` makes those "
        f"of Pulumi.{stack}.yaml"
    )


def restart(
    running: Running,
    stack: str,
    parts: Sequence[str],
    *,
    patience: float,
    tell: Callable[[str], None],
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Restart every container of these parts, one after the other, each once the one before is healthy again.

    ToolchainError for a part that is not there, and where one is not healthy within `patience` seconds.
    """
    here = {one.workload for one in running.units()}
    wanted = list(parts) or [part for part in _IMMICH if part in here] or ["server"]
    for unit in [unit for part in wanted for unit in of_part(running, stack, part)]:
        tell(f"{unit.name}: ends, and starts again")
        running.restart(unit)
        took = _healthy(running, unit, patience, tell, pause)
        tell(f"{unit.name}: healthy after {took:.0f} s")


def _healthy(
    running: Running,
    before: Unit,
    patience: float,
    tell: Callable[[str], None],
    pause: Callable[[float], None],
) -> float:
    began = told = time.monotonic()
    while True:
        now = [unit for unit in running.units() if unit.workload == before.workload and not unit.task]
        # On a cluster another pod takes the place of the one that ended.
        again = not any(unit.name == before.name and unit.since == before.since for unit in now)
        if again and now and all(unit.state == "running" and unit.health in {"healthy", ""} for unit in now):
            return time.monotonic() - began
        waited = time.monotonic() - began
        state = ", ".join(f"{unit.name} {unit.health or unit.state}" for unit in now) or "none"
        if waited > patience:
            raise ToolchainError(
                f"{before.workload} is not healthy {waited:.0f} s after its restart ({state}). `make status` tells how "
                "it is, and its log why"
            )
        if time.monotonic() - told >= _HEARTBEAT:
            told = time.monotonic()
            tell(f"{before.workload}: {state}, {waited:.0f} s of at most {patience:.0f}")
        pause(_PAUSE)


def main() -> int:
    """`python -m toolchain.restart STACK [PART ...]`."""
    stack, *parts = sys.argv[1:] or [""]
    if not stack or any(one.startswith("-") for one in (stack, *parts)):
        raise ToolchainError(_USAGE)
    settings = deployed(stack)
    server = settings.server
    try:
        restart(
            open_running(stack, settings),
            stack,
            parts,
            patience=server.startup_budget.seconds + server.termination_grace.seconds,
            tell=lambda line: print(line, flush=True),
        )
    except RunningError as error:
        raise ToolchainError(str(error)) from None
    return 0


if __name__ == "__main__":
    exit_with(main)
