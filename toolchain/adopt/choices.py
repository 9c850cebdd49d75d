"""From a compose deployment to the sections of a stack: each choice with its reason, and what is left. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from components import versions
from components.upgrade.assessment import LAST_OF_MAJOR, STEPPING_STONE
from toolchain.adopt.compose import MEDIA, Compose, Mount, Service
from toolchain.failure import ToolchainError

_SERVER: Final = ("immich-server",)
_LEARNING: Final = ("immich-machine-learning",)
_TRANSCODING: Final = {
    "nvenc": "nvenc",
    "quicksync": "qsv",
    "vaapi": "vaapi",
    "vaapi-wsl": "vaapi",
    "rkmpp": "rkmpp",
}
"""Services of hwaccel.transcoding.yml -> `server.acceleration`."""
BACKENDS: Final = {"cuda", "rocm", "openvino", "armnn", "rknn"}
_FOLDERS: Final = {
    "thumbs": "thumbs",
    "encoded-video": "encodedVideo",
    "profile": "profile",
    "backups": "backups",
}
_OF_THE_SYSTEM: Final = {"/etc/localtime", "/etc/timezone"}
_CARRIED: Final = re.compile(
    r"(DB|REDIS|POSTGRES)_\w+|UPLOAD_LOCATION|TZ|NODE_ENV|IMMICH_(VERSION|HOST|PORT|MEDIA_LOCATION|LOG_LEVEL|"
    r"TRUSTED_PROXIES|TELEMETRY_INCLUDE|METRICS|MACHINE_LEARNING_URL|WORKERS_(IN|EX)CLUDE)|MACHINE_LEARNING_MODEL_TTL|"
    r"JWT_SECRET|TYPESENSE_\w+|NVIDIA_\w+|LIBVA_\w+|PATH"
)
"""Variables that have a setting, that this program sets itself, or that no release of today reads."""
IMPLIED: Final[Mapping[tuple[str, ...], str]] = {
    ("server", "externalDomain"): "host",
    ("machineLearning", "enabled"): "machineLearning",
    ("machineLearning", "urls"): "machineLearning",
    ("ffmpeg", "accel"): "server.acceleration",
}
"""Keys of Immich's own configuration that follow from other sections (components/server/app/overrides.py)."""
_LEVELS: Final = ("verbose", "debug", "log", "warn", "error", "fatal")
_USER: Final = 1000

Sections = dict[str, Any]


@dataclass
class Adopted:
    """What was read off a deployment."""

    sections: Sections
    """As `Pulumi.<stack>.yaml` has them, without `immich:`."""
    reasons: dict[tuple[str, ...], str] = field(default_factory=dict[tuple[str, ...], str])
    """Section and keys -> why it is so; becomes a comment."""
    left: list[str] = field(default_factory=list[str])
    """What was not carried over, and what to do about it."""
    server: str = ""
    """Services of the file."""
    servers: tuple[str, ...] = ()
    """Every one with the server's image: a second may do its jobs."""
    learning: str | None = None
    database: str | None = None
    """None where the database is somewhere else."""
    role: str = "postgres"
    name: str = "immich"
    media: Mount | None = None

    def say_published(self, way: Sections, port: int, trusted: Iterable[str], reason: str) -> None:
        """The way in of one machine; of `trusted`, networks and addresses count, and names do not."""
        told = "Write your name here if people come by one: docs/home.md#a-name-of-your-own."
        self.say("localhost", told, "host", "name")
        self.say(False, "", "host", "https")
        self.say(port, "", "host", "port")
        networks = [text.strip() for text in trusted if _is_network(text.strip())]
        if networks:
            way["trustedSources"] = [str(ipaddress.ip_network(text, strict=False)) for text in networks]
        self.say([{"kind": "publishedPort", **way}], reason, "proxy", "expose")

    def say_database_elsewhere(self, host: str, port: object) -> None:
        """A database that stays where it is."""
        self.sections["database"] = {
            "kind": "external", "host": host, "port": port, "name": self.name, "user": self.role,
        }  # fmt: skip
        self.reasons["database",] = (
            "Somewhere else, and it stays there. Its password: pulumi config set --secret immich:databasePassword"
        )

    def say_dumps(self) -> None:
        """Backups with nothing but dumps, until there are targets."""
        self.sections["backup"] = {}
        self.reasons["backup",] = (
            "A dump each night. Give targets for copies of the photos as well: docs/backups.md."
        )

    def say_libraries(self, libraries: Sequence[Sections]) -> None:
        """External libraries, where there are any."""
        if libraries:
            reason = "At the same paths, so that Immich finds its external libraries again."
            self.say(libraries, reason, "storage", "externalLibraries")

    def say(self, value: object, reason: str, *path: str) -> None:
        """A setting, and why."""
        here = self.sections
        for key in path[:-1]:
            here = here.setdefault(key, {})
        here[path[-1]] = value
        if reason:
            self.reasons[path] = reason


def adopt(compose: Compose) -> Adopted:
    """The choices. ToolchainError, before anything is written, for a deployment that must be upgraded first."""
    server = compose.running(*_SERVER)
    if server is None:
        raise ToolchainError(
            f"{compose.path} has no service with the image ghcr.io/immich-app/immich-server: give Immich's own file "
            "with FROM=path/docker-compose.yml"
        )
    servers = compose.all_with(*_SERVER)
    roots = {mount.source for one in servers for mount in one.mounts if mount.target in MEDIA}
    if len(roots) > 1:
        raise ToolchainError(
            f"{compose.path} has servers with photos in {' and '.join(sorted(roots))}: two deployments in one file. "
            "Give a file with one of them"
        )
    found = Adopted(sections={"docker": {}}, server=server.name, servers=tuple(one.name for one in servers))
    release(found, server.tag, server.name)
    _way_in(found, server)
    _storage(found, compose, server)
    _learning(found, compose, server)
    environment = {**compose.environment, **server.environment}
    _database(found, compose, environment, server)
    _cache(found, compose, environment)
    _environment(found, compose, environment, server)
    if found.database is not None:
        found.say_dumps()
    else:
        found.left.append(
            "backups: immich:backup needs immich:database.postgres, the major version of the server (docs/backups.md)"
        )
    return found


def release(found: Adopted, given: str, where: str) -> None:
    """The release that runs, by the tag of the image that `where` has. ToolchainError for one that is too old."""
    tag = given.removeprefix("v")
    if re.fullmatch(r"\d+\.\d+\.\d+", tag):
        if not versions.is_supported(tag):
            raise ToolchainError(
                f"{where} runs Immich {tag}, and this program deploys {versions.SUPPORTED_TEXT}: upgrade it there "
                f"first, from before 1.132 by way of {STEPPING_STONE}, then run this again"
            )
        found.say(tag, "The release that runs: go to another one once the move is done.", "server", "version")
        return
    major = re.match(r"\d+", tag)
    newest = versions.NEWEST.partition(".")[0]
    if major and major[0] != newest and int(major[0]) not in LAST_OF_MAJOR:
        raise ToolchainError(
            f"{where} runs Immich {given}, and this program deploys {versions.SUPPORTED_TEXT}: go to one of "
            f"them there first, from before 1.132 by way of {STEPPING_STONE}, then run this again"
        )
    known = LAST_OF_MAJOR.get(int(major[0]), versions.NEWEST) if major else versions.NEWEST
    found.say(
        known,
        f"{where} has the moving tag {given or 'latest'!r}. Look at Administration > Server Stats, "
        "and write the release that runs: this must not be older.",
        "server",
        "version",
    )


def _way_in(found: Adopted, server: Service) -> None:
    ports = [one for one in server.ports if one[2] in {2283, 3001}]
    address, port = (ports[0][0] or "0.0.0.0", ports[0][1]) if ports else ("127.0.0.1", 2283)  # noqa: S104 - read off
    way: Sections = {"address": address, "port": port}
    reason = "The port that the compose file publishes."
    if server.on_host_network:
        way |= {"address": "0.0.0.0", "port": 2283}  # noqa: S104 - what network_mode: host opens
        reason = "The port that network_mode: host opened."
    elif not ports:
        reason = "The compose file publishes no port: whatever proxy led to the container must lead here."
    trusted = server.environment.get("IMMICH_TRUSTED_PROXIES", "").split(",")
    found.say_published(way, port, trusted, reason)
    if any(label.startswith("traefik.") for label in server.labels):
        found.left.append(
            "labels of Traefik: immich:proxy.expose with kind traefikLabels makes them (docs/doors.md)"
        )


def _is_network(text: str) -> bool:
    """Whether it is a network or an address, and no name."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _storage(found: Adopted, compose: Compose, server: Service) -> None:
    roots = [mount for mount in server.mounts if mount.target in MEDIA]
    if not roots:
        raise ToolchainError(
            f"{server.name} mounts nothing at {' or '.join(MEDIA)}: which folder has the photos cannot be told"
        )
    found.media = roots[-1]
    found.say(_source(roots[-1]), "UPLOAD_LOCATION: the photos stay where they are.", "storage", "media")
    _below_the_photos(found, compose)
    libraries: list[Sections] = []
    config = server.environment.get("IMMICH_CONFIG_FILE")
    for mount in server.mounts:
        if mount in roots or mount.target in {*_OF_THE_SYSTEM, config}:
            continue
        root = next((root for root in MEDIA if mount.target.startswith(f"{root}/")), None)
        folder = mount.target.removeprefix(f"{root}/") if root else ""
        if folder in _FOLDERS:
            found.say(_source(mount), "", "storage", _FOLDERS[folder])
        elif root is not None and folder in {"upload", "library"}:
            found.left.append(
                f"{mount.source} at {mount.target}: put it below the media folder, on the same file system"
            )
        else:
            libraries.append(
                external_library(mount.target, mount.target, _source(mount), read_only=mount.read_only)
            )
    found.say_libraries(libraries)
    if roots[-1].target != MEDIA[0]:
        found.left.append(
            f"the media root {roots[-1].target}: Immich has /data today; step 6 changes the paths in the database"
        )


def external_library(name: str, path: str, source: Sections, *, read_only: bool) -> Sections:
    """An external library, named after `name`."""
    short = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-") or "library"
    made: Sections = {"name": short, "mountPath": path, "source": source}
    return made if read_only else {**made, "readOnly": False}


def _below_the_photos(found: Adopted, compose: Compose) -> None:
    """Step 3 gives the folder of the photos to one user: nothing of others may be in it."""
    media = found.media
    if media is None or not media.is_folder:
        return
    for service in compose.services.values():
        if service.name in found.servers:
            continue
        for mount in service.mounts:
            if not f"{mount.source}/".startswith(f"{media.source}/"):
                continue
            if mount.target.startswith("/var/lib/postgresql"):
                raise ToolchainError(
                    f"{service.name} has PostgreSQL's files in {mount.source}, inside the folder of the photos "
                    f"{media.source}, which will belong to another user: with everything stopped move it out, write "
                    "the new path into DB_DATA_LOCATION, docker compose up -d, then run this again"
                )
            found.left.append(
                f"{service.name} has {mount.source} too: step 3 gives it to the user of this stack"
            )


def _source(mount: Mount) -> Sections:
    if mount.is_folder:
        return {"kind": "hostPath", "path": mount.source}
    return {"kind": "existingClaim", "claimName": mount.source, "accessMode": "ReadWriteOnce"}


def _learning(found: Adopted, compose: Compose, server: Service) -> None:
    if server.extends and server.extends != "cpu":
        if server.extends in _TRANSCODING:
            reason = "hwaccel.transcoding.yml."
            found.say(_TRANSCODING[server.extends], reason, "server", "acceleration")
        else:
            found.left.append(
                f"extends {server.extends} of {server.name}: immich:server.acceleration knows no such"
            )
    service = compose.running(*_LEARNING)
    if service is None:
        url = server.environment.get("IMMICH_MACHINE_LEARNING_URL", "")
        kind: Sections = (
            {"kind": "external", "urls": url.split(",")} if url.startswith("http") else {"kind": "off"}
        )
        found.sections["machineLearning"] = kind
        found.reasons["machineLearning",] = "The compose file has no service for it."
        return
    found.learning = service.name
    suffix = service.tag.rpartition("-")[2]
    backend = suffix if suffix in BACKENDS else service.extends.removesuffix("-wsl")
    if backend in BACKENDS:
        found.say(backend, "The image's tag, or hwaccel.ml.yml.", "machineLearning", "backend")
    ttl = service.environment.get("MACHINE_LEARNING_MODEL_TTL", "")
    if ttl.isdecimal():
        found.say(int(ttl), "", "machineLearning", "modelTtl")


def _database(found: Adopted, compose: Compose, environment: Mapping[str, str], server: Service) -> None:
    host = environment.get("DB_HOSTNAME") or "database"
    found.role = environment.get("DB_USERNAME") or "postgres"
    found.name = environment.get("DB_DATABASE_NAME") or "immich"
    likely = compose.running("immich-app/postgres", "pgvecto-rs", "pgvector", "vectorchord")
    service = compose.named(host) or (likely if "DB_HOSTNAME" not in environment else None)
    if service is None and likely is not None:
        raise ToolchainError(
            f"DB_HOSTNAME is {host}, which is no service of {compose.path}, and {likely.name} looks like the database "
            f"({likely.image}): write DB_HOSTNAME={likely.name}, or take {likely.name} out of a copy of the file"
        )
    port = environment.get("DB_PORT") or "5432"
    if not port.isdecimal():
        raise ToolchainError(f"DB_PORT is {port!r}, and must be a number such as 5432")
    if environment.get("DB_URL"):
        found.left.append(
            "DB_URL: write host, name and user of that database into immich:database, kind external"
        )
    if service is None:
        found.say_database_elsewhere(host, int(port))
        return
    if "pgvecto-rs" in service.image:
        image = versions.pinned("postgres", "14-vectorchord0.4.3-pgvectors0.2.0")
        raise ToolchainError(
            f"{service.name} runs PostgreSQL with pgvecto.rs ({service.image}), which Immich 3 does not know. With "
            f"compose first, as Immich's notes say: the image {image.partition('@')[0]} (its tag begins with your "
            f"major version of PostgreSQL), IMMICH_VERSION=v{LAST_OF_MAJOR[2]}, docker compose up -d, and wait until "
            f"the log of {server.name} says that it listens. Then run this again"
        )
    found.database = service.name
    if re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", found.name) and found.name not in {"postgres", "immich"}:
        found.say(found.name, "DB_DATABASE_NAME.", "database", "name")
    if service.environment.get("DB_STORAGE_TYPE") == "HDD":
        found.say("HDD", "DB_STORAGE_TYPE.", "database", "storageType")
    found.left.append(
        "PostgreSQL's own files (DB_DATA_LOCATION): the database is moved by a dump, into a PostgreSQL with VectorChord"
    )
    found.left.append("the database's password: a new one is made at random, or give immich:databasePassword")


def _cache(found: Adopted, compose: Compose, environment: Mapping[str, str]) -> None:
    host = environment.get("REDIS_HOSTNAME") or "redis"
    if (
        compose.named(host) is None
        and compose.running("redis", "valkey") is None
        and "REDIS_HOSTNAME" in environment
    ):
        password = bool(environment.get("REDIS_PASSWORD"))
        found.sections["cache"] = {"kind": "external", "host": host, "password": password}
        found.reasons["cache",] = "Somewhere else, and it stays there." + (
            " Its password: pulumi config set --secret immich:cachePassword" if password else ""
        )


def _environment(found: Adopted, compose: Compose, environment: Mapping[str, str], server: Service) -> None:
    if timezone := environment.get("TZ"):
        found.say(timezone, "TZ.", "server", "timezone")
    if (level := environment.get("IMMICH_LOG_LEVEL")) in _LEVELS:
        found.say(level, "", "server", "logLevel")
    if environment.get("IMMICH_TELEMETRY_INCLUDE"):
        found.say(True, "IMMICH_TELEMETRY_INCLUDE.", "server", "metrics", "enabled")
    found.left += _unknown(environment)
    for name in (found.server, found.learning):
        if name is not None and (devices := compose.services[name].devices):
            section = "server.acceleration" if name == found.server else "machineLearning.backend"
            found.left.append(
                f"devices of {name} ({', '.join(devices)}): immich:{section} gives the same ones"
            )
    if server.user:
        found.left.append(
            f"user: {server.user} of {server.name}: immich:server.user and group are 1000, and step 3 gives the photos "
            "to them"
        )
    known = {*found.servers, found.learning, found.database, environment.get("REDIS_HOSTNAME") or "redis"}
    for name, service in compose.services.items():
        if name in known or "redis" in service.image or "valkey" in service.image:
            continue
        gone = "immich-server" in service.image or "typesense" in service.image
        why = "its work is the server's today" if gone else "it stays with compose, in networks of its own"
        found.left.append(f"the service {name} ({service.image or 'built here'}): {why}")


def _unknown(environment: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(environment):
        if name == "IMMICH_CONFIG_FILE":
            yield "IMMICH_CONFIG_FILE: its settings are those of immich:app (docs/settings.md#immichapp)"
        elif name == "REDIS_URL":
            yield "REDIS_URL: a cache of this stack's own is made; for one elsewhere immich:cache, kind external"
        elif name.startswith(("IMMICH_", "MACHINE_LEARNING_", "DB_", "REDIS_")) and not _CARRIED.fullmatch(
            name
        ):
            yield f"the variable {name}: see whether a setting of docs/settings.md is for it"
