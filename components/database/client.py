"""How our own scripts reach Immich's database: PostgreSQL's programs, address, files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from components import versions
from components.database.settings import BundledDatabase, CloudNativePg, ExternalDatabase
from components.fields.base import written
from components.model.connection import Connection
from components.model.values import ImageRef
from components.model.workload import Egress, Link, Mount

if TYPE_CHECKING:
    import pulumi


@dataclass(frozen=True, kw_only=True, slots=True)
class DatabaseAccess:
    """How a script reaches Immich's database."""

    host: str
    port: int
    name: str
    user: str
    password_file: str = "/run/secrets/database/password"
    ssl_mode: str = "prefer"
    """`sslmode` of libpq."""
    ca_file: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DatabaseClient:
    """What a step needs that runs `pg_dump` or `psql`."""

    image: ImageRef | pulumi.Output[str]
    """PostgreSQL's programs of the server's major version, with VectorChord to load a dump into."""
    postgres: int
    """That major version."""
    access: DatabaseAccess
    mounts: tuple[Mount, ...]
    """Its password and certificates."""
    links: tuple[Link, ...]
    egress: tuple[Egress, ...]
    secrets: tuple[str, ...]
    """Config keys of its secrets."""


def database_client(
    settings: BundledDatabase | CloudNativePg | ExternalDatabase, connection: Connection
) -> DatabaseClient:
    """Raises `ValueError` for an external database without `postgres`; a rule of the settings says so before."""
    env = connection.env
    ca_file = env.get("NODE_EXTRA_CA_CERTS")
    access = DatabaseAccess(
        host=written(env["DB_HOSTNAME"]),
        port=int(written(env["DB_PORT"])),
        name=written(env["DB_DATABASE_NAME"]),
        user=written(env["DB_USERNAME"]),
        password_file=written(env["DB_PASSWORD_FILE"]),
        ssl_mode=written(env.get("DB_SSL_MODE", "prefer")),
        ca_file=written(ca_file) if ca_file is not None else None,
    )
    image, major = programs(settings)
    return DatabaseClient(
        image=image,
        postgres=major,
        access=access,
        mounts=connection.mounts,
        links=(connection.link,) if connection.link is not None else (),
        egress=connection.egress,
        secrets=connection.secrets,
    )


def programs(
    settings: BundledDatabase | CloudNativePg | ExternalDatabase,
) -> tuple[ImageRef | pulumi.Output[str], int]:
    """Image with PostgreSQL's programs, and their major version. Raises `ValueError` as `database_client`."""
    match settings:
        case BundledDatabase():
            table = versions.database_images("bundled")
            image = settings.image or table[str(settings.postgres), settings.vectorchord]
            return image, settings.postgres
        case CloudNativePg():
            major = int(settings.postgres.partition(".")[0])
            return versions.client_image(major, settings.vectorchord), major
        case ExternalDatabase():
            if settings.postgres is None:
                raise ValueError("database.postgres is needed for a dump")
            return versions.client_image(settings.postgres, settings.vectorchord), settings.postgres
