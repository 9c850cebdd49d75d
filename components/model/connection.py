"""How a server pod reaches a service that another component made or knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from components.model.workload import Egress, Link, Mount


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """Variables, files and links for whoever connects."""

    env: Mapping[str, str]
    """Variables; secrets are not among them, only the names of their files."""
    mounts: tuple[Mount, ...]
    """Files that the variables name."""
    link: Link | None
    """To a workload of ours, or to a cluster that the platform made."""
    egress: tuple[Egress, ...]
    """To a service elsewhere."""
    secrets: tuple[str, ...]
    """Config keys of secrets whose change must restart whoever connects."""
    url_file: str | None = None
    """File with the value of `REDIS_URL`, which Immich cannot read from a file by itself."""
