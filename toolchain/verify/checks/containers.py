"""Containers: all there, well, not restarting, of the releases that the settings say."""

from __future__ import annotations

from typing import Final

from components.machine_learning.settings import BundledMachineLearning
from components.recovery.schedules import duration
from toolchain.verify.model import Check, failed, passed, unchecked
from toolchain.verify.running import Unit
from toolchain.verify.target import Target, expected_workloads

_RECENT: Final = 3600
"""Seconds in which a restart is one that somebody should look at."""


def containers(target: Target) -> list[Check]:
    """Every workload runs and is well; each step and loader that has ended did so with 0."""
    units = target.running.units()
    found: list[Check] = []
    for workload in expected_workloads(target.settings):
        copies = [unit for unit in units if unit.workload == workload]
        if not copies:
            fix = f"Run `make up STACK={target.stack}`"
            found.append(failed("health", f"container {workload}", "it is not there", "it runs", fix))
        for unit in copies:
            found += _unit(target, unit)
    known = set(expected_workloads(target.settings))
    for unit in units:
        if unit.workload not in known:
            found += _other(target, unit)
    return found


def _unit(target: Target, unit: Unit) -> list[Check]:
    about = f"container {unit.workload or unit.name}"
    log = target.log_command(unit.workload or unit.name)
    if unit.state != "running":
        fix = f"{log} says why it ended; `make up STACK={target.stack}` starts it again"
        return [failed("health", about, unit.state, "running", fix)]
    checks: list[Check] = []
    if unit.health == "unhealthy":
        checks.append(failed("health", about, "running and unhealthy", "healthy", log))
    elif unit.health == "starting":
        checks.append(unchecked("health", about, "it is starting", "Ask again in a minute"))
    else:
        checks.append(passed("health", about, unit.health or "running; nothing asks whether it is well"))
    return [*checks, _restarts(target, unit, about)]


def _restarts(target: Target, unit: Unit, about: str) -> Check:
    ago = target.now() - unit.since
    told = f"{unit.restarts} restarts, the last {duration(max(0, int(ago)))} ago"
    memory = " for want of memory" if unit.killed_for_memory else ""
    if unit.restarts and ago < _RECENT:
        fix = target.log_command(unit.workload)
        if memory:
            fix = f"Give it more: resources.limits.memory of its section ({fix})"
        return failed("restarts", about, told + memory, "none within the last hour", fix)
    return passed("restarts", about, told + memory if unit.restarts else "none")


def _other(target: Target, unit: Unit) -> list[Check]:
    """Loaders, steps of tasks, exporters."""
    if not unit.task:
        return _unit(target, unit)
    about = f"container {unit.workload or unit.name}"
    if unit.exit_code not in {None, 0}:
        log = target.log_command(unit.workload or unit.name)
        return [failed("ended", about, f"exit code {unit.exit_code}", "0", log)]
    return []


def versions(target: Target) -> list[Check]:
    """Server, background workers and machine learning are of the release of the settings."""
    wanted = f"v{target.settings.server.version}"
    names = ["server", "microservices"]
    if isinstance(target.settings.machine_learning, BundledMachineLearning):
        names.append("machine-learning")
    found: list[Check] = []
    for unit in target.running.units():
        if unit.workload in names and not unit.task:
            found.append(_version(target, unit, wanted))
    return found


def _version(target: Target, unit: Unit, wanted: str) -> Check:
    about = f"container {unit.workload}"
    tags = [tag for image in unit.images if (tag := tag_of(image))]
    if not tags:
        return unchecked("image", about, f"its image has no tag here ({', '.join(unit.images)})")
    # Suffixes are backends: v3.3.1-cuda.
    if any(tag == wanted or tag.startswith(f"{wanted}-") for tag in tags):
        return passed("image", about, tags[0])
    fix = f"Run `make up STACK={target.stack}`: server and machine learning must be of one release"
    return failed("image", about, ", ".join(tags), f"{wanted}, as immich:server.version says", fix)


def tag_of(reference: str) -> str:
    """The tag of an image's reference; empty without one."""
    name = reference.partition("@")[0].rpartition("/")[2]
    return "" if reference.startswith("sha256:") else name.partition(":")[2]
