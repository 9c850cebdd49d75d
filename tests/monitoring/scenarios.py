"""For each alert: what makes it ring, and what is close to it and must not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from components.monitoring.plan import MonitoringPlan
from tests.monitoring.worlds import AMD, DOCKER, KUBERNETES, World, healthy

Change = Mapping[str, str | tuple[str, str] | None]
"""Short name in the world -> other values, a series that is new, or None: it is gone."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One alert in one deployment."""

    alert: str
    plan: MonitoringPlan
    fires: Change
    quiet: Change
    at: str = "45m"
    step: str = "1m"
    says: str = ""
    """Part of the summary of what rings."""
    also: frozenset[str] = field(default_factory=frozenset[str])
    """Others that rightly ring too, or may when it is quiet."""

    @property
    def title(self) -> str:
        """For a person who reads the list of tests."""
        return f"{self.alert}-{self.plan.stack}"

    def world(self, change: Change) -> World:
        """The healthy world with a change."""
        world = healthy(self.plan)
        for key, value in change.items():
            if value is None:
                del world[key]
            elif isinstance(value, tuple):
                assert key not in world, key
                world[key] = value
            else:
                world[key] = (world[key][0], value)
        return world


_FAILED_METADATA = (
    "immich_jobs_asset_extract_metadata_failed_total"
    '{job="immich-microservices",instance="microservices:9000"}'
)
_OLD = 'target_info{namespace="immich",job="immich-api",service_name="immich",service_version="3.3.0"}'
_SECOND_PROXY = 'up{namespace="immich",job="immich-nginx",instance="nginx-1:9000"}'

SERVER = (
    Scenario(
        alert="ImmichDown",
        plan=DOCKER,
        fires={"up-api-0": "1x10 0x{n}"},
        quiet={"up-api-0": "1x20 0x3 1x{n}"},
        says="Immich does not run",
    ),
    Scenario(
        alert="ImmichDown",
        plan=KUBERNETES,
        fires={"up-api-0": None, "up-api-1": "1x10 _x{n}"},
        quiet={"up-api-0": "0x{n}"},
    ),
    Scenario(
        alert="ImmichMicroservicesDown",
        plan=KUBERNETES,
        fires={"up-microservices": "0x{n}"},
        quiet={"up-microservices": "1x20 0x4 1x{n}"},
    ),
    Scenario(
        alert="ImmichExporterDown",
        plan=DOCKER,
        fires={"up-postgres": "0x{n}"},
        quiet={"up-postgres": "1x10 0x10 1x{n}"},
        says="about immich-postgres",
    ),
    Scenario(
        alert="ImmichExporterDown",
        plan=KUBERNETES,
        fires={"up-valkey": None},
        quiet={"up-valkey": "1x40 _x{n}"},
        says="about immich-valkey",
    ),
    Scenario(
        alert="ImmichExporterDown",
        plan=KUBERNETES,
        # One of two copies of the proxy.
        fires={"up-nginx-1": (_SECOND_PROXY, "0x{n}")},
        quiet={"up-nginx-1": (_SECOND_PROXY, "1x20 0x10 1x{n}")},
        says="about immich-nginx",
    ),
    Scenario(
        alert="ImmichMachineLearningDown",
        plan=DOCKER,
        fires={"learning": "0x{n}"},
        quiet={"learning": "1x20 0x8 1x{n}"},
    ),
    Scenario(
        alert="ImmichWorkloadUnavailable",
        plan=KUBERNETES,
        fires={"available": "1x{n}"},
        quiet={"available": "2x20 1x10 2x{n}"},
        says="immich-server has 1 ready",
    ),
    Scenario(
        alert="ImmichServerErrors",
        plan=KUBERNETES,
        fires={"http-error": "0+20x{n}"},
        quiet={"http-error": "0+1x{n}"},
        says="% of the answers at the door lan are errors",
    ),
    Scenario(
        alert="ImmichServerErrors",
        plan=AMD,
        fires={"traefik-error": "0+20x{n}"},
        # Half of very few.
        quiet={"traefik-error": "0+0.1x{n}", "traefik-http": "0+0.1x{n}", "traefik-201": "0x{n}"},
        says="at the door immich@docker",
    ),
    Scenario(
        alert="ImmichSlowNow",
        plan=KUBERNETES,
        fires={"http-fast": "0+40x{n}"},
        # Slow an hour ago, quick again.
        quiet={"http-fast": "0+30x20 610+60x{n}"},
        says="at the door lan within 1h took over 2.5 s",
        also=frozenset({"ImmichSlowAllDay"}),
    ),
    Scenario(
        alert="ImmichSlowNow",
        plan=DOCKER,
        fires={"http-fast": "0+40x{n}"},
        # A third of a handful.
        quiet={
            "http-fast": "0+0.4x{n}",
            "http-count": "0+0.6x{n}",
            "http-all": "0+0.6x{n}",
            "http": "0+0.6x{n}",
            "log-201": "0x{n}",
        },
        also=frozenset({"ImmichSlowAllDay"}),
    ),
    Scenario(
        alert="ImmichSlowNow",
        plan=AMD,
        fires={"traefik-fast": "0+40x{n}"},
        quiet={"traefik-fast": "0+30x20 610+60x{n}"},
        says="at the door immich@docker within 1h took over 5 s",
        also=frozenset({"ImmichSlowAllDay"}),
    ),
    Scenario(
        alert="ImmichSlowAllDay",
        plan=DOCKER,
        fires={"http-fast": "0+276x{n}", "http-count": "0+300x{n}"},
        quiet={"http-fast": "0+291x{n}", "http-count": "0+300x{n}"},
        at="8h",
        # Since Prometheus 3 a range of 5m has one of samples that are 5m apart, and a rate needs two.
        step="2m",
    ),
    Scenario(
        alert="ImmichVersionsDiffer",
        plan=KUBERNETES,
        fires={"version-1": None, "version-old": (_OLD, "1x{n}")},
        quiet={"version-1": "1x10 _x{n}", "version-old": (_OLD, "1x20 _x{n}")},
        says="2 versions",
    ),
)

QUEUES = (
    Scenario(
        alert="ImmichMachineLearningBacklog",
        plan=DOCKER,
        fires={"wait-smartSearch": "5000x{n}"},
        # 60000 of them, 100 fewer in a minute.
        quiet={"wait-smartSearch": "60000-100x{n}"},
        at="75m",
        says="5k jobs",
    ),
    Scenario(
        alert="ImmichMachineLearningBacklog",
        plan=KUBERNETES,
        fires={"prioritized-smartSearch": "100+1x{n}"},
        quiet={"wait-smartSearch": "90x{n}"},
        at="75m",
    ),
    Scenario(
        alert="ImmichQueueStuck",
        plan=DOCKER,
        fires={"wait-smartSearch": "50x{n}", "done-smart_search": "700x{n}"},
        quiet={
            "wait-smartSearch": "50x{n}",
            "done-smart_search": "0+1x{n}",
            # A first import: nothing of this queue is ever counted as done.
            "wait-metadataExtraction": "50000-10x{n}",
        },
        at="75m",
        says="50 jobs wait in smartSearch",
    ),
    Scenario(
        alert="ImmichQueueStuck",
        plan=KUBERNETES,
        # Microservices that never finished anything have no counter at all.
        fires={"wait-thumbnailGeneration": "50x{n}"},
        quiet={
            "delayed-thumbnailGeneration": "50x{n}",
            "wait-videoConversion": "5x{n}",
            "wait-search": "5x{n}",
        },
        at="75m",
        says="in thumbnailGeneration",
    ),
    Scenario(
        alert="ImmichSlowQueueStuck",
        plan=DOCKER,
        fires={"wait-videoConversion": "5x{n}", "done-asset_encode_video": "3x{n}"},
        quiet={"wait-videoConversion": "5x{n}", "done-asset_encode_video": "3x60 4x60 5x{n}"},
        at="13h",
        step="5m",
    ),
    Scenario(
        alert="ImmichQueuePaused",
        plan=KUBERNETES,
        fires={"paused-smartSearch": "7x{n}"},
        quiet={"paused-smartSearch": "7x20 0x{n}"},
        at="26h",
        step="30m",
        says="smartSearch has been paused for a day with 7 jobs",
    ),
    Scenario(
        alert="ImmichJobsFail",
        plan=DOCKER,
        fires={"failed-asset_encode_video": "0+1x{n}"},
        quiet={
            "failed-asset_encode_video": "0+0.1x{n}",
            # Many, of many more.
            "failed-smart_search": "0+0.4x{n}",
            "failed-metadata": (_FAILED_METADATA, "0+1x{n}"),
        },
        says="jobs of videoConversion failed",
    ),
    Scenario(
        alert="ImmichJobsFail",
        plan=DOCKER,
        fires={"failed-metadata": (_FAILED_METADATA, "0+5x{n}")},
        quiet={"failed-metadata": (_FAILED_METADATA, "0+1x{n}")},
        at="90m",
        says="jobs of metadataExtraction failed",
    ),
)

DATA = (
    Scenario(
        alert="ImmichMassDeletion",
        plan=DOCKER,
        fires={"uploaded": "10000x20 9000x{n}"},
        quiet={"uploaded": "10000x20 9700x{n}"},
        says="1k photos were deleted",
    ),
    Scenario(
        alert="ImmichMassDeletion",
        plan=KUBERNETES,
        fires={"uploaded": "10000x20 0x{n}"},
        quiet={"uploaded": "100x20 60x{n}"},
    ),
    Scenario(
        alert="ImmichExternalLibraryEmpty",
        plan=DOCKER,
        fires={"nas": "500x10 0x{n}", "nas-offline": "0x10 500x{n}"},
        quiet={"nas": "500x10 400x{n}", "nas-offline": "0x10 100x{n}"},
        says="library NAS are gone",
    ),
    Scenario(
        alert="ImmichExternalLibraryEmpty",
        plan=KUBERNETES,
        fires={"nas": "500x10 200x{n}", "nas-offline": "0x10 300x{n}"},
        quiet={"nas": "500x10 0x5 500x{n}", "nas-offline": "0x10 500x5 0x{n}"},
    ),
    Scenario(
        alert="ImmichNewVersion",
        plan=DOCKER,
        fires={"outdated": "1x{n}"},
        quiet={"outdated": "0x60 1x{n}"},
        at="74h",
        step="30m",
        says="Immich v3.4.0 is out, 3.3.1 runs",
    ),
    Scenario(
        alert="ImmichDatabaseDown",
        plan=DOCKER,
        fires={"pg-up": "0x{n}"},
        quiet={"pg-up": "1x20 0x3 1x{n}"},
    ),
    Scenario(
        alert="ImmichDatabaseDown",
        plan=DOCKER,
        fires={"pg-up": None, "up-postgres": "0x{n}", "took-postgres": "10x{n}"},
        quiet={"pg-up": None, "up-postgres": "0x{n}", "took-postgres": "0.002x{n}"},
        also=frozenset({"ImmichExporterDown"}),
    ),
    Scenario(
        alert="ImmichDatabaseDown",
        plan=KUBERNETES,
        fires={f"cnpg-up-{index}": "0x{n}" for index in range(3)},
        quiet={"cnpg-up-0": "0x{n}"},
    ),
    Scenario(
        alert="ImmichDatabaseConnections",
        plan=DOCKER,
        fires={"connections": "90x{n}"},
        quiet={"connections": "80x{n}"},
        says="92% of the database's connections",
    ),
    Scenario(
        alert="ImmichDatabaseConnections",
        plan=KUBERNETES,
        fires={"connections-1": "95x{n}"},
        quiet={"connections-0": "50x{n}", "connections-1": "50x{n}"},
        says="95% of the connections of immich-database-2",
    ),
    Scenario(
        alert="ImmichReplicationLag",
        plan=KUBERNETES,
        fires={"lag-1": "400x{n}"},
        quiet={"lag-1": "400x8 0x{n}"},
        says="immich-database-2 is 6m 40s behind",
    ),
    Scenario(
        alert="ImmichReplicaMissing",
        plan=KUBERNETES,
        fires={"replicas-0": "1x{n}"},
        quiet={"replicas-0": "1x10 2x{n}"},
        says="1 of 2 replicas of the database follow",
    ),
    Scenario(
        alert="ImmichWalArchive",
        plan=KUBERNETES,
        fires={"wal-ready": "20x{n}"},
        quiet={"wal-ready": "5x{n}"},
    ),
    Scenario(
        alert="ImmichWalArchive",
        plan=replace(KUBERNETES, stack="failing"),
        fires={"wal-archived": "60x{n}", "wal-failed": "-1x10 660+60x{n}"},
        quiet={"wal-failed": "-1x10 660x{n}"},
    ),
    Scenario(
        alert="ImmichBaseBackupStale",
        plan=KUBERNETES,
        fires={"base-backup": "60x{n}"},
        quiet={"base-backup": "60x30 54000x{n}"},
        at="28h",
        step="30m",
    ),
    Scenario(
        alert="ImmichBaseBackupStale",
        plan=replace(KUBERNETES, stack="failing"),
        fires={"base-backup": "60x{n}", "base-backup-failed": "90x{n}"},
        quiet={"base-backup-failed": "30x{n}"},
        at="2h",
        step="5m",
    ),
    Scenario(
        alert="ImmichCacheDown",
        plan=DOCKER,
        fires={"redis-up": "0x{n}"},
        quiet={"redis-up": "1x20 0x3 1x{n}"},
    ),
    Scenario(
        alert="ImmichCacheMemory",
        plan=DOCKER,
        fires={"memory": "4.8e8x{n}"},
        quiet={"memory-max": "0x{n}"},
        says="96%",
    ),
    Scenario(
        alert="ImmichCacheEvicts",
        plan=DOCKER,
        fires={
            "policy": None,
            "other": ('redis_instance_info{job="immich-valkey",maxmemory_policy="allkeys-lru"}', "1x{n}"),
        },
        quiet={"evicted": "12x{n}"},
    ),
    Scenario(
        alert="ImmichCacheEvicts",
        plan=KUBERNETES,
        fires={"evicted": "0x20 12x{n}"},
        quiet={"memory": "4.4e8x{n}"},
    ),
    Scenario(
        alert="ImmichCacheNotSaved",
        plan=DOCKER,
        fires={"aof": "0x{n}"},
        quiet={"aof": "0x{n}", "aof-on": "0x{n}"},
    ),
    Scenario(
        alert="ImmichCacheNotSaved",
        plan=KUBERNETES,
        fires={"rdb": "0x{n}"},
        quiet={"rdb": "1x10 0x5 1x{n}"},
    ),
)
