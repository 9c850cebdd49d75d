"""What every stack's person does after `pulumi up`. Pure."""

from __future__ import annotations

from components.proxy.doors import beginning
from components.recovery.runbooks import engine_command
from components.server.component import PORT
from components.settings.backup_rules import takes_dumps
from components.settings.model import Settings
from components.settings.required_secrets import secret_place
from components.setup.settings import Administrator

SIGN_UP = f"curl -sS --json @- http://localhost:{PORT}/api/auth/admin-sign-up"
"""Makes the first administrator from within the server's container, which has curl; it reads what from the input."""


def steps(settings: Settings, stack: str) -> list[str]:
    """The next steps in Immich itself."""
    found: list[str] = []
    setup = settings.setup
    if setup is not None and setup.administrator is not None:
        found.append(_sign_in(settings, setup.administrator, stack))
    elif settings.server.allow_setup:
        found += [
            _administrator(settings, stack),
            f"then close the setup page: pulumi config set --path immich:server.allowSetup false -s {stack}",
        ]
    known = [
        f"{path}/"
        for library in (setup.libraries if setup is not None else ())
        for path in library.import_paths
    ]
    for library in settings.storage.external_libraries:
        if any(path.startswith(f"{library.mount_path}/") for path in known):
            continue
        found.append(
            f"Administration > External Libraries: add the import path {library.mount_path} and a scan schedule"
        )
    if settings.server.acceleration != "disabled" and settings.app is None:
        found.append(f"Administration > Settings > Video Transcoding: choose {settings.server.acceleration}")
    backup = settings.backup
    if backup is not None and backup.targets:
        found.append(_password(settings, stack))
    if backup is not None and takes_dumps(backup, settings.database) and settings.app is None:
        found.append(
            "Administration > Settings > Backup: switch the database dump off; this stack has its own, which is checked"
        )
    return found


def _sign_in(settings: Settings, administrator: Administrator, stack: str) -> str:
    where = secret_place(settings, "administratorPassword", stack)
    return f"sign in as {administrator.email}; a new account has this password: {where}"


def _administrator(settings: Settings, stack: str) -> str:
    docker = settings.docker
    door = beginning(
        settings.host,
        settings.proxy,
        settings.cloudflare,
        hides_clients=docker is not None and docker.hides_clients,
    )
    if door is not None:
        return f"open {door.url} and create the first user: that is the administrator"
    if docker is None:
        return (
            f"kubectl -n {settings.kubernetes.namespace} port-forward service/immich-server {PORT}:{PORT}, then open "
            f"http://localhost:{PORT} and create the first user, who is the administrator; doors of the internet "
            "refuse it"
        )
    return (
        f"{engine_command(settings)} exec -i immich-{stack}-server {SIGN_UP}, then type "
        '{"name": "You", "email": "you@example.com", "password": "..."} and Ctrl-D: creates the first user, who is the '
        "administrator; doors of the internet refuse it"
    )


def _password(settings: Settings, stack: str) -> str:
    where = secret_place(settings, "backupPassword", stack)
    return f"write the password of the backups down, on paper, elsewhere: without it nobody can read a copy ({where})"
