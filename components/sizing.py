"""From settings to numbers: resources laid over their defaults, threads, PostgreSQL memory."""

from __future__ import annotations

import math
from dataclasses import replace

from components.fields.health import Health
from components.fields.placement import Placement as PlacementSettings
from components.fields.resources import DEFAULTS
from components.fields.resources import Resources as ResourceSettings
from components.model.values import Quantity
from components.model.workload import Placement, Probe, Resources, Toleration

_MIB = 2**20


def resources(container: str, given: ResourceSettings) -> Resources:
    """The amounts of a container: `given` over the table's default for `container`."""
    laid = given.over(DEFAULTS[container])
    amounts = (laid.requests.cpu, laid.requests.memory, laid.limits.cpu, laid.limits.memory)
    cpu_request, memory_request, cpu_limit, memory_limit = (_needed(amount, container) for amount in amounts)
    return Resources(
        cpu_request=cpu_request, memory_request=memory_request, cpu_limit=cpu_limit, memory_limit=memory_limit
    )


def _needed(amount: Quantity | None, container: str) -> Quantity:
    if amount is None:
        raise ValueError(f"the table of defaults has a gap for {container}")
    return amount


def placement(given: PlacementSettings) -> Placement:
    """Where pods run, as a workload has it."""
    return Placement(
        node_selector=given.node_selector,
        tolerations=tuple(
            Toleration(operator=taint.operator, key=taint.key, value=taint.value, effect=taint.effect)
            for taint in given.tolerations
        ),
        priority_class=given.priority_class,
    )


def healthy(probe: Probe, given: Health) -> Probe:
    """A probe with the times that the settings give."""
    return replace(
        probe,
        period=given.period if given.period is not None else probe.period,
        timeout=given.timeout if given.timeout is not None else probe.timeout,
        failures=given.failures if given.failures is not None else probe.failures,
    )


def inter_op_threads(cores: int) -> int:
    """Operators in parallel: min(2, cores - 2), at least 1 (system hwc)."""
    return max(1, min(2, cores - 2))


def intra_op_threads(cores: int) -> int:
    """Threads of one operator: max(1, cores - 2) (system hwc)."""
    return max(1, cores - 2)


def whole_cores(cpu: Quantity) -> int:
    """Whole cores in a CPU quantity, at least 1."""
    return max(1, math.floor(cpu.amount))


def postgres_parameters(memory: Quantity, instances: int, log_volume: Quantity) -> dict[str, str]:
    """PostgreSQL parameters for a memory limit: a quarter for shared buffers, half as what the system caches.

    `log_volume` is the size of the volume that holds the write-ahead log; a quarter of it at most is used for that.
    The rest follows the SSD configuration of Immich's own image (base-images, postgresql.ssd.conf).
    """
    mebibytes = int(memory.amount / _MIB)
    parameters = {
        "shared_buffers": f"{max(128, mebibytes // 4)}MB",
        "effective_cache_size": f"{max(256, mebibytes // 2)}MB",
        "maintenance_work_mem": f"{min(1024, max(64, mebibytes // 16))}MB",
        "work_mem": "16MB",
        "max_wal_size": f"{min(5120, max(256, int(log_volume.amount / _MIB) // 4))}MB",
        "wal_compression": "on",
        "autovacuum_vacuum_scale_factor": "0.1",
        "autovacuum_analyze_scale_factor": "0.05",
        "autovacuum_vacuum_cost_limit": "1000",
        "effective_io_concurrency": "200",
        "random_page_cost": "1.2",
    }
    if instances > 1:
        # A replica that stays away must not fill the primary's disk.
        parameters["max_slot_wal_keep_size"] = f"{min(10240, max(512, int(log_volume.amount / _MIB) // 2))}MB"
    return parameters
