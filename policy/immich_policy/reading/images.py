"""Image references as text, and what the tags of the images of an Immich say.

Pure. Facts: PostgreSQL, VectorChord and pgvector ranges are those of Immich's `server/src/constants.ts` (2.5.0 and
later) and of its built-in dump (`database-backup.service.ts`, PostgreSQL 14 to 18).
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import Final

POSTGRES_ACCEPTED: Final = range(14, 19)
"""Major versions of PostgreSQL that Immich starts on and can dump and restore."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
_RELEASE = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?:-(?:cuda|openvino|rocm|armnn|rknn))?\Z")
_MACHINE_LEARNING_SUFFIX = re.compile(r"-(?:cuda|openvino|rocm|armnn|rknn)\Z")

# `18-vectorchord1.1.1`, `14-vectorchord0.4.3-pgvectors0.2.0`, `14-vectorchord0.4.3-pgvector0.8.0`.
_OWN_TAG = re.compile(r"(\d+)(?:\.\d+)*-vectorchord(\d+(?:\.\d+)+)(?:-pgvectors?\d[\d.]*)?\Z")
# `18.4-1.1.1`, `18-1.1.1` of cloudnative-vectorchord; `pg18-v1.1.1` of vchord-postgres.
_TENSORCHORD_TAG = re.compile(r"(?:pg)?(\d+)(?:\.\d+)*-v?(\d+(?:\.\d+)+)\Z")
_PGVECTOR_TAG = re.compile(r"(?:(\d+(?:\.\d+)+)-)?pg(\d+)(?:-\w+)?\Z")
_OPERATED = re.compile(r"(?:^|/)cloudnative-pg/post(?:gresql|gis)\Z")
_MAJOR = re.compile(r"(\d+)(?:\.\d+)*(?:-.*)?\Z")


@dataclass(frozen=True, slots=True)
class Image:
    """A reference to an image, split."""

    repository: str
    """With its registry where one is written: `ghcr.io/immich-app/immich-server`."""
    tag: str
    """Empty where there is none."""
    digest: str
    """`sha256:...`; empty where there is none."""

    @property
    def name(self) -> str:
        """The last part of the repository: `immich-server`."""
        return self.repository.rsplit("/", 1)[-1]

    @property
    def release(self) -> tuple[int, int, int] | None:
        """The full release that a tag of Immich names, without the suffix of a backend; `None` for anything else."""
        found = _RELEASE.match(self.tag)
        return (int(found[1]), int(found[2]), int(found[3])) if found else None


def parse(text: str) -> Image:
    """Split a reference. A port of a registry is no tag; a digest that is none is part of the tag."""
    rest, at, digest = text.partition("@")
    if at and not _DIGEST.match(digest):
        digest = ""
    repository, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        repository, tag = rest, ""
    return Image(repository, tag, digest)


def is_floating(image: Image) -> bool:
    """Whether the tag is one that moves.

    Fixed is a tag with two numbers or more (`1.31`, `2026.10.0`, `18.4-1.1.1`) or one that names a VectorChord; a word
    (`release`, `latest`), one number (`v3`, `9`) and `v3-rc` move.
    """
    tag = _MACHINE_LEARNING_SUFFIX.sub("", image.tag)
    numbers = re.findall(r"\d+(?:\.\d+)+|\d{6,}", tag)
    return not numbers


@dataclass(frozen=True, slots=True)
class DatabaseVersions:
    """What the tag of a database's image says; `None` where it says nothing."""

    postgres: int | None = None
    vectorchord: str | None = None
    pgvector: str | None = None
    plain: bool = False
    """Whether this is an image that is known to have no vector extension at all."""
    without_vectorchord: bool = False
    """Whether this is an image that is known to have no VectorChord."""


def database_versions(image: Image) -> DatabaseVersions:
    """PostgreSQL and extensions by the conventions of the images that people use for Immich."""
    tag = image.tag
    name = image.name.lower()
    if found := _OWN_TAG.match(tag):
        return DatabaseVersions(int(found[1]), found[2])
    if "vectorchord" in name or "vchord" in name:
        found = _TENSORCHORD_TAG.match(tag)
        return DatabaseVersions(int(found[1]), found[2]) if found else DatabaseVersions()
    if name == "pgvector":
        found = _PGVECTOR_TAG.match(tag)
        versions = DatabaseVersions(int(found[2]), None, found[1]) if found else DatabaseVersions()
        return dataclasses.replace(versions, without_vectorchord=True)
    major = _MAJOR.match(tag)
    official = image.repository in {
        "postgres",
        "library/postgres",
        "docker.io/postgres",
    } or image.repository.endswith("docker.io/library/postgres")
    # Of CloudNativePG's own images `minimal` has no extension, the others have pgvector (postgres-containers, 2026-10).
    operated = _OPERATED.search(image.repository) is not None
    plain = official or (operated and "minimal" in tag)
    return DatabaseVersions(
        int(major[1]) if major else None, plain=plain, without_vectorchord=plain or operated
    )


def vectorchord_accepted(version: str) -> bool:
    """Whether Immich starts on this VectorChord: `>=0.3 <2`."""
    return (0, 3) <= _numbers(version) < (2,)


def pgvector_accepted(version: str) -> bool:
    """Whether Immich starts on this pgvector used alone: `>=0.5 <1`."""
    return (0, 5) <= _numbers(version) < (1,)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
