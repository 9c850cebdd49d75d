"""Pages for the day on which something is lost, with the real names of a stack. Pure: from the settings alone."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from components.backup.settings import Backup
from components.backup.target_settings import LocalTarget, RestTarget, S3Target, SftpTarget, Target
from components.database.settings import SUPERUSER, BundledDatabase, CloudNativePg, ExternalDatabase
from components.model.naming import APP
from components.recovery.capacity_layout import repository
from components.recovery.capacity_settings import Capacity, expected
from components.recovery.copies import copied_libraries, copies, notes, verdicts
from components.recovery.locations import (
    Kind,
    Place,
    container,
    controller,
    database_namespace,
    places,
    server_workloads,
)
from components.recovery.objectives import Loss, recoveries, trash_days
from components.server.settings import SplitWorkers
from components.settings.backup_rules import takes_dumps
from components.settings.model import Settings
from components.settings.required_secrets import required_secrets, secret_place
from components.settings.secret_source import ExternalSecrets, PulumiSecrets
from components.templates import render
from components.versions import current

PAGES: Final[Mapping[str, str]] = {
    "disk-lost": "A disk with photos or the database is lost",
    "database-lost": "The database is lost or wrong",
    "host-lost": "The whole machine is lost",
    "photo-deleted": "A photo or an album was deleted",
    "ransom": "Somebody encrypted or deleted everything",
    "move-host": "Move to another machine",
    "from-docker-compose": "From Immich's docker-compose to this program",
    "docker-to-kubernetes": "From one host to a Kubernetes cluster",
    "upgrade-went-wrong": "An upgrade went wrong",
}
"""File name without `.md` -> title."""
_LOSS_OF_PAGE: Final[Mapping[str, Loss]] = {
    "disk-lost": "disk",
    "database-lost": "database",
    "host-lost": "host",
    "photo-deleted": "photo",
    "ransom": "host",
}
_LOADED: Final = (
    "1,60s/^SELECT pg_catalog.set_config('search_path', '', false);$/"
    "SELECT pg_catalog.set_config('search_path', 'public, pg_catalog', true);/; "
    "1,/^COPY /{/^DROP EXTENSION IF EXISTS /d; /^COMMENT ON EXTENSION /d}; "
    "s/^-- PostgreSQL database dump complete$/COMMIT;/"
)
"""Immich's extensions find their functions only with `public` on the path, which pg_dump empties (immich's docs); and
Immich's role owns no extension. The commit stands where pg_dump says that the dump is whole, so that nothing of half
a dump stays.
"""
_FOLDERS: Final = ("upload", "library", "profile", "thumbs", "encoded-video", "backups")
"""Folders of the media root, each with a marker `.immich` (system-integrity.md)."""


_FROM_COMPOSE: Final = "from-docker-compose"
_OFFICIAL: Final[Mapping[str, object]] = {
    "known": False,
    "file": "docker-compose.yml",
    "server": "immich-server",
    "learning": "immich-machine-learning",
    "database": "database",
    "role": "postgres",
    "name": "immich",
    "upload": "UPLOAD_LOCATION",
    "old_root": True,
}
"""Names of Immich's own docker-compose.yml and .env."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetNames:
    """One target as a person reaches it from any machine."""

    name: str
    repository: str
    """As restic takes it with `-r`."""
    place: str
    """In words."""
    offsite: bool
    elsewhere: bool
    """Whether it is still there when the machine is gone."""
    credentials: tuple[str, ...]
    """Variables and files that restic wants beside the password."""


def pages(settings: Settings, stack: str, *, capacity: Capacity | None = None) -> dict[str, str]:
    """File name -> Markdown: an index `README.md` and one page for each kind of loss or move."""
    values = names(settings, stack)
    wanted = expected(capacity, settings.storage.expected_photos)
    losses = {one.loss: one.told() for one in recoveries(settings, stack, expected=wanted)}
    values["losses"] = losses
    found = {"README.md": _page("readme", {**values, "pages": PAGES})}
    for name, title in PAGES.items():
        loss = _LOSS_OF_PAGE.get(name)
        told = {**values, "title": title, "numbers": losses[loss] if loss is not None else None}
        found[f"{name}.md"] = _page(name, told)
    return found


def from_compose(settings: Settings, stack: str, compose: Mapping[str, object]) -> str:
    """The page `from-docker-compose` with the names of one compose file.

    `compose`: `file`, the services `server`, `learning` and `database` (None where they are elsewhere), the database's
    `role` and `name`, `upload` (None for a volume of the engine) and `old_root`, whether its paths are those of before
    2.0.
    """
    values = names(settings, stack)
    title = f"From {compose['file']} to the stack {stack}"
    return _page(_FROM_COMPOSE, {**values, "title": title, "compose": {**compose, "known": True}})


def from_chart(settings: Settings, stack: str, file: str) -> str:
    """The way from a release of the official chart, whose values are in `file`, to the stack that was made of them."""
    return _page("from-chart", {**names(settings, stack), "file": file})


def from_nixos(settings: Settings, stack: str, nixos: Mapping[str, object]) -> str:
    """The way from NixOS' own module to the stack that was made of its options; `nixos` as `compose` above."""
    return _page("from-nixos", {**names(settings, stack), "nixos": nixos})


def _page(name: str, values: Mapping[str, object]) -> str:
    text = render(f"runbook-{name}.md.j2", values)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def names(settings: Settings, stack: str) -> dict[str, object]:
    """Everything that the pages name."""
    there = places(settings, stack)
    backup = settings.backup
    made = copies(settings, stack)
    copied = copied_libraries(settings)
    foreign = [str(one.name) for one in settings.storage.external_libraries if str(one.name) not in copied]
    found = _targets(backup, there)
    # As a shell reads them: a folder may have spaces.
    there = {name: replace(place, where=shlex.quote(place.where)) for name, place in there.items()}
    return {
        "stack": stack,
        "url": settings.host.url,
        "version": settings.server.version,
        "repository_host": f"{APP}-{stack}",
        "user": settings.server.user,
        "group": settings.server.group,
        "folders": _FOLDERS,
        "restic_image": str(current("restic")),
        "files_image": str(current("busybox")),
        "places": list(there.values()),
        "media": there["media"],
        "backup_place": there.get("backup"),
        "own_folders": [there[name] for name in settings.storage.folders()],
        "libraries": list(settings.storage.external_libraries),
        "library_paths": {
            f"library-{one.name}": shlex.quote(one.mount_path) for one in settings.storage.external_libraries
        },
        "compose": _OFFICIAL,
        "drills": backup is not None and backup.drill is not None and bool(backup.targets),
        "backup": backup,
        "dumped": takes_dumps(backup, settings.database),
        "targets": found,
        "elsewhere": [target for target in found if target.elsewhere],
        "archive": backup.archive if backup is not None else None,
        "copies": [copy.told() for copy in made],
        "rule": [*(verdict.told() for verdict in verdicts(made)), *notes(settings, made)],
        "thumbs_copied": backup is not None and backup.files.thumbs,
        "trash_days": trash_days(settings),
        "host_back": {
            "files": bool(found),
            "database": bool(found and takes_dumps(backup, settings.database))
            or (backup is not None and backup.archive is not None)
            or ("backup" in there and there["backup"].kind in {"nfs", "smb"}),
        },
        "disks": _disks(settings, there),
        "database_source": _source(settings),
        "external_secrets": isinstance(settings.secrets, ExternalSecrets),
        "password_place": secret_place(settings, "backupPassword", stack),
        "password_known": "backupPassword" in required_secrets(settings),
        "existing_secrets": sorted({str(one.name) for one in source.existing.values()})
        if isinstance(source := settings.secrets, PulumiSecrets)
        else [],
        "target_places": [name for name in there if name.startswith("target-")],
        "foreign_libraries": foreign,
        "foreign_places": [f"library-{name}" for name in foreign],
        "secret_keys": _secret_keys(settings),
        "database_namespace": database_namespace(settings),
        **_platform(settings, stack),
        **_database(settings, stack, there),
    }


def _secret_keys(settings: Settings) -> list[str]:
    """Secrets that a new machine must be given, in the order of the settings; none where a store gives them."""
    wanted = required_secrets(settings)
    return [key for key, at_random in wanted.items() if not at_random]


def _source(settings: Settings) -> str:
    """How the database comes back: `archive` (a new lineage), `restore` (immich:restore), `load` (by hand), or not."""
    backup, database = settings.backup, settings.database
    if backup is not None and backup.archive is not None:
        return "archive"
    if not takes_dumps(backup, database) or backup is None:
        return ""
    return "load" if isinstance(database, CloudNativePg) or not backup.targets else "restore"


def _disks(settings: Settings, there: Mapping[str, Place]) -> list[dict[str, object]]:
    """What is lost together: places by what they are on, and whether files and database can be had back then."""
    found: dict[tuple[str, Kind], list[Place]] = {}
    libraries = {f"library-{name}" for name in copied_libraries(settings)}
    for place in there.values():
        if not place.name.startswith("library-") or place.name in libraries:
            found.setdefault((place.storage, place.kind), []).append(place)
    backup = settings.backup
    targets = [f"target-{target.name}" for target in backup.targets] if backup is not None else []
    disks: list[dict[str, object]] = []
    for (storage, _), lost in found.items():
        held = {place.name for place in lost}
        files, database = "media" in held, bool(held & {"database", "wal"})
        # What is on the same disk does not count, whatever it is called here.
        gone = {place.name for place in there.values() if place.medium == lost[0].medium}
        copied = any(target not in gone for target in targets)
        archived = backup is not None and backup.archive is not None
        dumped = takes_dumps(backup, settings.database) and (copied or "backup" not in gone)
        disks.append(
            {
                "storage": storage,
                "places": lost,
                "files": files,
                "database": database,
                "files_back": files and copied,
                # The restore fills all that is empty once the photos' folder is empty too; alone they come by hand.
                "libraries": [place for place in lost if place.name in libraries and not files],
                "libraries_back": copied,
                "database_back": database and (archived or dumped),
            }
        )
    return sorted(disks, key=lambda disk: not (disk["files"] or disk["database"]))


def _targets(backup: Backup | None, there: Mapping[str, Place]) -> list[TargetNames]:
    return [_target(target, there) for target in (backup.targets if backup is not None else ())]


def _target(target: Target, there: Mapping[str, Place]) -> TargetNames:
    if isinstance(target, LocalTarget):
        place = there[f"target-{target.name}"]
        folder = place.where
        path = folder.partition(":")[2] if place.kind == "nfs" else folder
        if place.kind in {"volume", "existing", "smb"}:
            path = f"/mnt/{target.name}"
        return TargetNames(
            name=str(target.name), repository=shlex.quote(path), place=f"{folder} on {place.machine}",
            offsite=target.offsite, elsewhere=place.kind in {"nfs", "smb"}, credentials=(),
        )  # fmt: skip
    credentials: tuple[str, ...] = ()
    if isinstance(target, S3Target):
        credentials = (
            "AWS_ACCESS_KEY_ID: immich:backupAccessKeyId",
            "AWS_SECRET_ACCESS_KEY: immich:backupSecretAccessKey",
        )
    if isinstance(target, RestTarget) and target.user is not None:
        credentials = (
            f"RESTIC_REST_USERNAME: {target.user}",
            "RESTIC_REST_PASSWORD: immich:backupRestPassword",
        )
    if isinstance(target, SftpTarget):
        credentials = ("the private key immich:backupSshKey, as ~/.ssh/id_ed25519 or in your ssh agent",)
    if target.kind == "rclone":
        credentials = ("rclone and its file immich:backupRcloneConfig, as ~/.config/rclone/rclone.conf",)
    address = repository(target)
    return TargetNames(
        name=str(target.name), repository=shlex.quote(address), place=address, offsite=target.offsite, elsewhere=True,
        credentials=credentials,
    )  # fmt: skip


def _platform(settings: Settings, stack: str) -> dict[str, object]:
    docker = settings.docker
    workloads = server_workloads(settings)
    if docker is not None:
        engine = engine_command(settings)
        containers = [container(stack, workload) for workload in workloads]
        return {
            "platform": "host",
            "engine": engine,
            "machine": _machine(settings),
            "containers": containers,
            "stop_server": [f"{engine} stop {' '.join(containers)}"],
            "start_server": [f"{engine} start {' '.join(containers)}"],
            "server_logs": f"{engine} logs --tail 50 {containers[0]}",
            "server_exec": f"{engine} exec -it {containers[0]}",
            "keep_ended": engine.startswith("docker"),
            "refresh": [],
            "apply": [],
            "namespace": "",
        }
    namespace = settings.kubernetes.namespace
    kubectl = f"kubectl -n {namespace}"
    split = settings.server.workers
    counts = (
        {"server": split.api_replicas, "microservices": split.microservices_replicas}
        if isinstance(split, SplitWorkers)
        else {"server": 1}
    )
    rendered = settings.kubernetes.target == "render"
    return {
        "platform": "files" if rendered else "cluster",
        "engine": kubectl,
        "machine": f"the namespace {namespace}",
        "containers": [controller(workload) for workload in workloads],
        "stop_server": [f"{kubectl} scale {' '.join(controller(one) for one in workloads)} --replicas=0"],
        "start_server": [f"{kubectl} scale {controller(one)} --replicas={counts[one]}" for one in workloads],
        "server_logs": f"{kubectl} logs --tail 50 {controller('server')}",
        "server_exec": f"{kubectl} exec -it {controller('server')} --",
        "refresh": [] if rendered else [f"make refresh STACK={stack}"],
        "apply": [f"kubectl apply --server-side -f rendered/{stack}/1-manifest"] if rendered else [],
        "namespace": str(namespace),
    }


def engine_command(settings: Settings) -> str:
    """The engine's own command, with the address where it is not this machine's usual one."""
    docker = settings.docker
    if docker is None:
        return "kubectl"
    if docker.engine == "podman":
        own = docker.host is None or docker.host.scheme == "unix"
        return "podman" if own else f"podman --url {shlex.quote(str(docker.host))}"
    return f"docker -H {shlex.quote(str(docker.host))}" if docker.host is not None else "docker"


def _machine(settings: Settings) -> str:
    docker = settings.docker
    if docker is None or docker.host is None or docker.host.scheme == "unix":
        return "this machine"
    return str(docker.host).partition("://")[2].rpartition("@")[2]


def _database(settings: Settings, stack: str, there: Mapping[str, Place]) -> dict[str, object]:
    database = settings.database
    found: dict[str, object] = {
        "load_filter": _LOADED,
        "database": database,
        "database_kind": database.kind,
        "database_place": there.get("database"),
        "role": database.user,
        "database_name": database.name,
        "load_options": "",
    }
    match database:
        case BundledDatabase() if settings.docker is not None:
            name = container(stack, "database")
            psql = f"{engine_command(settings)} exec -i {name} psql"
            return {
                **found,
                "psql": f"{psql} -U {database.user}",
                "psql_admin": f"{psql} -U {SUPERUSER}",
                "database_object": name,
                "database_stop": f"{engine_command(settings)} rm -f {name}",
            }
        case BundledDatabase():
            kubectl = f"kubectl -n {settings.kubernetes.namespace}"
            name = controller("database")
            psql = f"{kubectl} exec -i {name} -- psql"
            return {
                **found,
                "psql": f"{psql} -U {database.user}",
                "psql_admin": f"{psql} -U {SUPERUSER}",
                "database_object": name,
                "database_stop": f"{kubectl} scale {name} --replicas=0",
            }
        case CloudNativePg():
            kubectl = f"kubectl -n {database_namespace(settings)}"
            label = f"cnpg.io/cluster={database.cluster_name},cnpg.io/instanceRole=primary"
            psql = f'{kubectl} exec -i "$({kubectl} get pod -l {label} -o name)" -c postgres -- psql'
            return {
                **found,
                "psql": psql,
                "psql_admin": psql,
                "database_object": f"cluster.postgresql.cnpg.io/{database.cluster_name}",
                "database_kubectl": kubectl,
                "cluster_name": str(database.cluster_name),
                "load_options": f'-c "SET SESSION AUTHORIZATION {database.user}" ',
            }
        case ExternalDatabase():
            psql = f"psql -h {database.host} -p {database.port}"
            return {
                **found,
                "psql": f"{psql} -U {database.user}",
                "psql_admin": f"{psql} -U postgres",
                "database_object": f"{database.host}:{database.port}",
            }
