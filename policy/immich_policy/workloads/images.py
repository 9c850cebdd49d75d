"""Which images run: pinned, of one release, with a database that Immich starts on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from immich_policy.config import Config
from immich_policy.model import (
    UNKNOWN,
    Finding,
    Judgement,
    Plain,
    Registered,
    Rule,
    Severity,
    Stack,
    Unjudged,
    dig,
    mapping,
    mappings,
    strings,
    text,
)
from immich_policy.reading.clusters import GROUP, immich_clusters
from immich_policy.reading.containers import Container
from immich_policy.reading.images import (
    POSTGRES_ACCEPTED,
    Image,
    database_versions,
    is_floating,
    parse,
    pgvector_accepted,
    vectorchord_accepted,
)
from immich_policy.reading.names import object_name
from immich_policy.reading.parts import having, immich_pods
from immich_policy.reading.releases import releases
from immich_policy.reading.roles import IMMICH, Role
from immich_policy.text import shown

_DATABASE_SETTING = "an image of PostgreSQL 14 to 18 with VectorChord, such as ghcr.io/immich-app/postgres"
_DIGEST_LENGTH = 19
_OPERATOR_S = "ghcr.io/cloudnative-pg/postgresql"
"""Where a cluster names no image, CloudNativePG takes its own."""
_IMMICH = re.compile(r"immich-(?:server|machine-learning)\Z")
_WITH_ONE_VECTORCHORD = (2, 5, 0)
"""The first release of which it was read that it accepts VectorChord 1 (server/src/constants.ts)."""


@dataclass(frozen=True, slots=True)
class Used:
    """An image that a resource runs."""

    resource: Registered
    path: str
    image: Plain


def _used(stack: Stack) -> Iterator[Used]:
    for one in immich_pods(stack):
        yield Used(one.resource, one.at("image"), one.image)
    for release in stack.once(releases):
        for path, image in release.images():
            yield Used(release.resource, path, image)
    for cluster in stack.once(immich_clusters):
        if dig(cluster.props, "spec", "imageName") is not None:
            yield Used(cluster, "spec.imageName", dig(cluster.props, "spec", "imageName"))


def _pinned(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    setting = "name the image as repository:tag@sha256:…, with the full version as tag"
    for one in _used(stack):
        if not isinstance(one.image, str):
            yield Unjudged(resource=one.resource, path=one.path, what="has an image whose name is not known")
            continue
        image = parse(one.image)
        if image.digest and not _IMMICH.search(image.repository):
            continue  # the digest says all; of Immich's own images the release must be readable too
        missing = [
            words
            for words, wrong in (
                ("has no tag", not image.tag),
                (f"has the tag “{image.tag}”, which moves", bool(image.tag) and is_floating(image)),
                ("has no digest", not image.digest),
            )
            if wrong
        ]
        if missing:
            message = f"{_short(image)} {' and '.join(missing)}"
            yield Finding(resource=one.resource, path=one.path, message=message, setting=setting)


def _short(image: Image) -> str:
    digest = f"@{image.digest[:_DIGEST_LENGTH]}…" if image.digest else ""
    return f"{image.repository}{':' if image.tag else ''}{image.tag}{digest}"


def _lockstep(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    servers = having(stack, *IMMICH)
    others = [*servers[1:], *having(stack, Role.MACHINE_LEARNING)]
    if not servers or not others:
        return
    first = _release(servers[0])
    for one in others:
        here = _release(one)
        if first is None or here is None:
            yield Unjudged(
                resource=one.resource, path=one.at("image"), what="has a release that its tag does not say"
            )
        elif first != here:
            yield Finding(
                resource=one.resource,
                path=one.at("image"),
                message=f"it runs {_dotted(here)} and {servers[0].resource.name} runs {_dotted(first)}",
                setting="one tag for every image of Immich",
            )


def _release(one: Container) -> tuple[int, int, int] | None:
    return one.parsed.release if one.parsed else None


def _dotted(release: tuple[int, int, int]) -> str:
    return ".".join(str(part) for part in release)


def _supported(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    servers = having(stack, *IMMICH)
    release = _release(servers[0]) if servers else None
    for one in having(stack, Role.DATABASE):
        yield from _database(one.resource, one.at("image"), one.image, release)
    for cluster in stack.once(immich_clusters):
        yield from _cluster(stack, cluster, release)


def _cluster(stack: Stack, cluster: Registered, release: tuple[int, int, int] | None) -> Iterator[Judgement]:
    names = [text(it, "name") for _, it in mappings(cluster.props, "spec", "postgresql", "extensions")]
    extended = any(re.search(r"vchord|vector", name) for name in names)
    image, path = _named(stack, cluster)
    yield from _database(cluster, path, image, release, extended=extended)
    loaded = strings(cluster.props, "spec", "postgresql", "shared_preload_libraries")
    if isinstance(image, str) and not extended and any(one.startswith("vchord") for one in loaded):
        parsed = parse(image)
        has = database_versions(parsed)
        if has.without_vectorchord and not has.plain:
            message = (
                f"{_short(parsed)}: it is to load VectorChord, which it does not have, and so does not start"
            )
            yield Finding(resource=cluster, path=path, message=message, setting=_DATABASE_SETTING)


def _named(stack: Stack, cluster: Registered) -> tuple[Plain, str]:
    """Image of a cluster and where that is written: its own, a registered catalog's, or the operator's default."""
    catalog = mapping(cluster.props, "spec", "imageCatalogRef")
    if not catalog:
        given = dig(cluster.props, "spec", "imageName")
        return _OPERATOR_S if given is None else given, "spec.imageName"
    for one in stack.of_kind(text(catalog, "kind") or "ImageCatalog", group=GROUP):
        if object_name(one) == text(catalog, "name"):
            for _, image in mappings(one.props, "spec", "images"):
                if dig(image, "major") == dig(catalog, "major"):
                    return dig(image, "image"), "spec.imageCatalogRef"
    return UNKNOWN, "spec.imageCatalogRef"


def _database(
    one: Registered,
    path: str,
    image: Plain,
    release: tuple[int, int, int] | None,
    *,
    extended: bool = False,
) -> Iterator[Judgement]:
    if not isinstance(image, str):
        yield Unjudged(resource=one, path=path, what="has an image whose name is not known")
        return
    parsed = parse(image)
    has = database_versions(parsed)
    problems: list[str] = []
    if has.postgres is not None and has.postgres not in POSTGRES_ACCEPTED:
        problems.append(f"it is PostgreSQL {has.postgres}; Immich starts on, and can dump, 14 to 18")
    if has.vectorchord is not None and not vectorchord_accepted(has.vectorchord):
        problems.append(f"it has VectorChord {has.vectorchord}; Immich accepts 0.3 up to, not including, 2")
    elif has.vectorchord and release and release < _WITH_ONE_VECTORCHORD and has.vectorchord[0] != "0":
        problems.append(
            f"it has VectorChord {has.vectorchord}; Immich {_dotted(release)} accepts less than 1"
        )
    if has.pgvector is not None and not pgvector_accepted(has.pgvector):
        problems.append(f"it has pgvector {has.pgvector}; Immich accepts 0.5 up to, not including, 1")
    if has.plain and not extended:
        problems.append("this image of PostgreSQL has no vector extension at all")
    if parsed.name == "pgvecto-rs":
        problems.append("pgvecto.rs is refused by Immich 3")
    for problem in problems:
        yield Finding(
            resource=one, path=path, message=f"{_short(parsed)}: {problem}", setting=_DATABASE_SETTING
        )
    if has.postgres is None and not problems and image != _OPERATOR_S:
        yield Unjudged(
            resource=one, path=path, what=f"has a tag that says no version of PostgreSQL: {shown(parsed.tag)}"
        )


RULES = (
    Rule(
        name="workloads-images-pinned",
        family="workloads",
        severity=Severity.HIGH,
        title="Every image is named by its digest, and those of Immich by their release as well.",
        why="A tag that moves upgrades Immich on any restart, with migrations that cannot be undone and "
        "without a backup "
        "before; on two nodes it can be two versions at once.",
        remediation="Write `repository:v3.3.1@sha256:…`; let Renovate change both together. `release`, `v3`, "
        "`latest` and "
        "a missing tag move.",
        judge=_pinned,
    ),
    Rule(
        name="workloads-one-release",
        family="workloads",
        severity=Severity.HIGH,
        title="Server, microservices and machine learning run the same release.",
        why="They speak an internal interface that changes without notice; mixed releases fail faces and "
        "search, or serve "
        "pages whose files are missing.",
        remediation="Take all tags of Immich from one setting.",
        judge=_lockstep,
    ),
    Rule(
        name="workloads-database-supported",
        family="workloads",
        severity=Severity.CRITICAL,
        title="The database is a PostgreSQL with a vector extension that Immich starts on.",
        why="Immich ends at once outside of PostgreSQL 14 to 18, VectorChord 0.3 to 1.x (1.x since 2.5.0) "
        "and pgvector 0.5 "
        "to 0.x; the way back from a newer one is a restore.",
        remediation="Use an image with VectorChord, such as `ghcr.io/immich-app/postgres:18-vectorchord1.1.1`, or "
        "`ghcr.io/tensorchord/cloudnative-vectorchord` with CloudNativePG.",
        judge=_supported,
    ),
)
