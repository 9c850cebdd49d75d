"""What the other sections imply for Immich's own configuration file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.machine_learning.settings import BundledMachineLearning, ExternalMachineLearning

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.backup.settings import Backup
    from components.machine_learning.settings import MachineLearning
    from components.proxy.host_settings import Host
    from components.server.app.settings import AppConfig
    from components.server.settings import Server

BUNDLED_MACHINE_LEARNING_URL = "http://immich-machine-learning:3003"
"""Address of the bundled service on every platform; also Immich's own default."""


def app_overrides(
    app: AppConfig, host: Host, server: Server, machine_learning: MachineLearning, backup: Backup | None
) -> Mapping[str, object]:
    """Values that follow from `immich:host`, `immich:server`, `immich:machineLearning` and `immich:backup`.

    Immich's own dump beside that of `immich:backup` is a choice of `app`; the others are not.
    """
    overrides: dict[str, object] = {"machineLearning": _machine_learning(machine_learning)}
    if server.acceleration != "disabled":
        overrides["ffmpeg"] = {"accel": server.acceleration}
    if host.name != "localhost":
        overrides["server"] = {"externalDomain": host.url}
    if backup is not None and app.dumps_itself is None:
        overrides["backup"] = {"database": {"enabled": False}}
    return overrides


def _machine_learning(settings: MachineLearning) -> dict[str, object]:
    match settings:
        case BundledMachineLearning():
            return {"enabled": True, "urls": [BUNDLED_MACHINE_LEARNING_URL]}
        case ExternalMachineLearning():
            return {"enabled": True, "urls": list(settings.urls)}
        case _:
            return {"enabled": False}
