"""What every stack's person does after `pulumi up`. Pure."""

from __future__ import annotations

from components.settings.model import Settings


def steps(settings: Settings, stack: str) -> list[str]:
    """The next steps in Immich itself."""
    found: list[str] = []
    if settings.server.allow_setup:
        found += [
            "open the address and create the first user: that is the administrator",
            f"then close the setup page: pulumi config set --path immich:server.allowSetup false -s {stack}",
        ]
    for library in settings.storage.external_libraries:
        found.append(
            f"Administration > External Libraries: add the import path {library.mount_path} and a scan schedule"
        )
    if settings.server.acceleration != "disabled" and settings.app is None:
        found.append(f"Administration > Settings > Video Transcoding: choose {settings.server.acceleration}")
    return found
