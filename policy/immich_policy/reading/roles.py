"""Which part of an Immich a container is, by its image, its variables and its arguments."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from immich_policy.model import Plain, strings

if TYPE_CHECKING:
    from immich_policy.reading.containers import Container

_HELPERS = ("exporter", "backup", "barman", "pgadmin", "adminer", "commander", "sentinel", "insight")
_ONE_OFF = ("pg_dump", "pg_dumpall", "pg_restore", "pg_isready", "psql", "redis-cli", "valkey-cli")


class Role(Enum):
    """Which part of an Immich a container is."""

    SERVER = "server"
    """Serves the API."""
    MICROSERVICES = "microservices"
    """Works on jobs; a server that is not split is both."""
    MACHINE_LEARNING = "machine-learning"
    DATABASE = "database"
    CACHE = "cache"
    NGINX = "nginx"
    CLOUDFLARED = "cloudflared"
    TRAEFIK = "traefik"


PRIVATE: Final = frozenset({Role.MACHINE_LEARNING, Role.DATABASE, Role.CACHE})
"""What nobody but Immich may reach: none of them knows users, and machine learning not even a password."""
IMMICH: Final = frozenset({Role.SERVER, Role.MICROSERVICES})


def by_image(one: Container) -> frozenset[Role]:
    """What a container is by itself, whoever uses it."""
    image = one.parsed
    name = image.name.lower() if image else ""
    arguments = one.arguments()
    program = arguments[0].rsplit("/", 1)[-1] if arguments else ""
    names = {key for _, key, _ in one.variables()}
    if any(helper in name for helper in _HELPERS) or program in _ONE_OFF:
        return frozenset()
    if "immich-machine-learning" in name or (not name and "MACHINE_LEARNING_CACHE_FOLDER" in names):
        return frozenset({Role.MACHINE_LEARNING})
    if name in {"immich-server", "immich", "docker-immich", "noml"} or (
        not name and names & {"IMMICH_TRUSTED_PROXIES", "IMMICH_WORKERS_INCLUDE", "IMMICH_MEDIA_LOCATION"}
    ):
        return _workers(one)
    for part, role in (
        ("cloudflared", Role.CLOUDFLARED),
        ("traefik", Role.TRAEFIK),
        ("nginx", Role.NGINX),
        ("valkey", Role.CACHE),
        ("redis", Role.CACHE),
        ("dragonfly", Role.CACHE),
        ("keydb", Role.CACHE),
        ("postgres", Role.DATABASE),
        ("vectorchord", Role.DATABASE),
        ("vchord", Role.DATABASE),
        ("pgvecto", Role.DATABASE),
    ):
        if part in (name or program):
            return (
                frozenset() if role is Role.DATABASE and _borrows_programs(one, names) else frozenset({role})
            )
    if not name and names & {"POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PASSWORD_FILE", "PGDATA"}:
        return frozenset({Role.DATABASE})
    return frozenset()


def _borrows_programs(one: Container, names: set[str]) -> bool:
    """Whether it runs a script of its own in PostgreSQL's image, as dumps do: no data folder and no variable of it."""
    key = "entrypoints" if one.docker else "command"
    own = bool(strings(one.props, key)) and not any(name.startswith(("POSTGRES", "PGDATA")) for name in names)
    return own and not any("/postgresql" in mount.target for mount in one.mounts())


def _workers(one: Container) -> frozenset[Role]:
    include, exclude = one.variable("IMMICH_WORKERS_INCLUDE"), one.variable("IMMICH_WORKERS_EXCLUDE")
    named = _named(include[1] if include else None) or {"api", "microservices"}
    named -= _named(exclude[1] if exclude else None)
    roles = {"api": Role.SERVER, "microservices": Role.MICROSERVICES}
    return frozenset(roles[name] for name in named if name in roles)


def _named(value: Plain) -> set[str]:
    return {part.strip() for part in value.split(",") if part.strip()} if isinstance(value, str) else set()
