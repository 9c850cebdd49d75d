"""Which generation of a CloudNativePG database a stack is at, and what its cluster and archive are called."""

from __future__ import annotations

from components.database.archive_settings import Archive
from components.database.settings import CloudNativePg
from components.model.specs import Lineage


def lineage(settings: CloudNativePg) -> Lineage:
    """The generation as the platform knows it."""
    given = settings.lineage
    recover = given.recover
    kind = recover.kind if recover is not None else "latest"
    return Lineage(
        generation=given.generation,
        source=given.source,
        target_time=recover.from_ if recover is not None and kind == "time" else None,
        backup_id=recover.from_ if recover is not None and kind == "backup" else None,
        kept=given.kept or (),
    )


def cluster_name(settings: CloudNativePg) -> str:
    """Name of the Cluster in use. Raises `ValueError` for one that CloudNativePG would refuse."""
    return lineage(settings).cluster(str(settings.cluster_name))


def archive_base(settings: CloudNativePg, archive: Archive) -> str:
    """Folder in the store of the first generation."""
    return str(archive.server_name or settings.cluster_name)
