"""The exporter's role of a bundled database, and the functions that exporters run: made by a task of one step once the
server has its tables. Pure.
"""

from __future__ import annotations

import shlex
from typing import Final

from components.database.client import DatabaseClient
from components.database.component import AtStart
from components.fields.resources import Resources
from components.model.task import BACKUP_FOLDER, Task
from components.model.values import Quantity
from components.model.workload import ConfigFiles, Placement, Scratch, Workload
from components.monitoring.exporters import PASSWORD
from components.monitoring.queries import FUNCTIONS, role
from components.sizing import resources
from components.templates import render

NAME: Final = "metrics-role"
_SCRIPTS: Final = "/etc/immich-metrics"
_AT_START: Final = "metrics"
_PLACE: Final = "the password"
_ATTEMPTS: Final = 60


def at_start(database: str) -> AtStart:
    """How a bundled database makes the role: its superuser alone may."""
    return AtStart(name=_AT_START, sql=role_file(database), passwords={"password": PASSWORD})


def task(client: DatabaseClient, *, user: int, group: int, placement: Placement) -> Task:
    """The task, with the rights of Immich's role. User and group are the server's, as those of all steps."""
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
            "file": f"{_SCRIPTS}/functions.sql",
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
            ConfigFiles(
                name=NAME, path=_SCRIPTS, files={"run.sh": script, "functions.sql": functions_file()}
            ),
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
    return f"\\set password `cat {AtStart.folder(_AT_START)}/password`\n" + statements.replace(
        f"'{_PLACE}'", ":'password'"
    )


def functions_file() -> str:
    """Statements for the functions. Their bodies are not looked into: another release may lack one of the tables, and
    that is no reason for an update to fail.
    """
    return f"SET check_function_bodies = off;\nSET client_min_messages = warning;\n{FUNCTIONS}"
