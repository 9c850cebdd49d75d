"""What follows for the workloads of a stack from somebody reading their numbers."""

from __future__ import annotations

from dataclasses import dataclass

from components.database.component import AtStart, ClusterMonitor
from components.database.settings import BundledDatabase
from components.model.watch import UNSEEN, Seen
from components.settings.model import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What components are given of it."""

    seen: Seen = UNSEEN
    """For workloads: networks and ports by which their numbers are read."""
    cluster: ClusterMonitor | None = None
    """For a database cluster of an operator."""
    at_start: AtStart | None = None
    """For a bundled database: the exporter's role."""


def reading_of(settings: Settings) -> Reading:
    """What a stack's components are given. Imports what only stacks need that somebody watches."""
    if settings.monitoring.kind == "none":
        return Reading()
    from components.monitoring import metrics_role, scrapes, setup

    database = settings.database
    return Reading(
        seen=scrapes.seen(settings),
        cluster=setup.cluster_monitor(settings),
        at_start=metrics_role.at_start(database.name) if isinstance(database, BundledDatabase) else None,
    )
