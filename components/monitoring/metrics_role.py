"""The database's role for its exporter, made once the server has its tables: a task of one step. Pure."""

from __future__ import annotations

import shlex
from typing import Final

from components.database.client import DatabaseClient
from components.fields.resources import Resources
from components.model.task import BACKUP_FOLDER, Task
from components.model.values import Quantity
from components.model.workload import ConfigFiles, Mount, Placement, Scratch, SecretFiles, Workload
from components.monitoring.exporters import PASSWORD, SECRET
from components.monitoring.queries import FUNCTIONS, role
from components.sizing import resources
from components.templates import render

NAME: Final = "metrics-role"
_SCRIPTS: Final = "/etc/immich-metrics"
_SECRETS: Final = "/run/secrets/metrics"
_PLACE: Final = "the password"
_ATTEMPTS: Final = 60


def secrets(client: DatabaseClient, *, superuser: bool) -> tuple[str, ...]:
    """Config keys of the secrets that the step reads: it runs again when one changes."""
    return (*client.secrets, *((PASSWORD,) if superuser else ()))


def task(client: DatabaseClient, *, superuser: bool, user: int, group: int, placement: Placement) -> Task:
    """The task. `superuser`: whether Immich's role may make others; an operator has a role of its own that asks.

    User and group are the server's, as those of all steps.
    """
    files = {"functions.sql": functions_file()}
    mounts: tuple[Mount, ...] = ()
    if superuser:
        files = {"role.sql": role_file(client.access.name), **files}
        mounts = (SecretFiles(secret=SECRET, path=_SECRETS, items={"password": "password"}),)
    script = render(
        "metrics-role.sh.j2",
        {
            "quote": shlex.quote,
            "host": client.access.host,
            "port": client.access.port,
            "user": client.access.user,
            "database": client.access.name,
            "ssl_mode": client.access.ssl_mode,
            "ca_file": client.access.ca_file,
            "password_file": client.access.password_file,
            "attempts": _ATTEMPTS,
            "files": [f"{_SCRIPTS}/{name}" for name in files],
        },
    )
    step = Workload(
        name=NAME,
        image=client.image,
        # The work is the database's own; this only asks for it.
        resources=resources("exporter", Resources()),
        user=user,
        group=group,
        command=("bash", f"{_SCRIPTS}/run.sh"),
        mounts=(
            *client.mounts,
            *mounts,
            ConfigFiles(name=NAME, path=_SCRIPTS, files={"run.sh": script, **files}),
            # What the run leaves for the next one is in the database.
            Scratch(path=BACKUP_FOLDER, size=Quantity("1Mi")),
            Scratch(path="/tmp", size=Quantity("16Mi")),
        ),
        links=client.links,
        egress=client.egress,
        placement=placement,
        exclusive=True,
        termination_grace=30,
    )
    return Task(name=NAME, steps=(step,), deadline=600, follows_secrets=True)


def role_file(database: str) -> str:
    """Statements for the role, for psql: the password is read where they run, and quoted by psql."""
    statements = role(_PLACE, database)
    assert statements.count(f"'{_PLACE}'") == 1, "the password stands in one statement"
    return f"\\set password `cat {_SECRETS}/password`\n" + statements.replace(f"'{_PLACE}'", ":'password'")


def functions_file() -> str:
    """Statements for the functions. Their bodies are not looked into: another release may lack one of the tables, and
    that is no reason for an update to fail.
    """
    return f"SET check_function_bodies = off;\nSET client_min_messages = warning;\n{FUNCTIONS}"
