"""A small library as Immich 3 has it: tables with its names, and files that they name, with every nasty name."""

from __future__ import annotations

import hashlib
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.data.postgres_process import ROLE, Database

FOLDERS: Final = ("upload", "library", "profile", "thumbs", "encoded-video", "backups")
"""Of the media root, each with a marker."""

OWNER: Final = uuid.UUID("11111111-1111-4111-8111-111111111111")

NAMES: Final = (
    b"plain.jpg",
    b"with space.jpg",
    b" leading and trailing ",
    b"-rf.jpg",
    b"--exclude=x.jpg",
    b'quote\'s "double" `tick` $(id) $HOME.jpg',
    b"back\\slash\\.jpg",
    b"new\nline\n.jpg",
    b"tab\tand\rreturn.jpg",
    b"star * question ? [range] {a,b}.jpg",
    b"semi;colon & pipe | < >.jpg",
    b'{"message_type":"summary","snapshot_id":"0"}',
    b"percent %s %00 #hash !bang ~tilde.jpg",
    "grüße 日本語 😀.jpg".encode(),
    "cafe\u0301 decomposed.jpg".encode(),
    b"a" * 251 + b".jpg",
    b"...",
    b".hidden",
    b"\x1b[31mred\x07.jpg",
)
"""Names that a file may have, all of them UTF-8: PostgreSQL keeps no others."""

UNKNOWN_NAMES: Final = (b"latin-1 \xe4\xf6\xfc.jpg", b"\xff\xfe\xfd", b"\x80" * 255)
"""Names that are not UTF-8: files that Immich does not know, and that are copied all the same."""

SCHEMA: Final = """
CREATE EXTENSION IF NOT EXISTS "uuid-ossp";
CREATE EXTENSION IF NOT EXISTS earthdistance CASCADE;
CREATE EXTENSION IF NOT EXISTS unaccent;
CREATE EXTENSION IF NOT EXISTS pg_trgm;
SET ROLE {role};
CREATE TYPE assets_status_enum AS ENUM ('active', 'trashed', 'deleted');
CREATE TYPE asset_visibility_enum AS ENUM ('archive', 'timeline', 'hidden', 'locked');
CREATE TYPE asset_checksum_algorithm_enum AS ENUM ('sha1', 'sha1-path');
CREATE TABLE IF NOT EXISTS "user" (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(), email varchar NOT NULL UNIQUE, password varchar,
    "createdAt" timestamptz NOT NULL DEFAULT now(), "profileImagePath" varchar NOT NULL DEFAULT '',
    "isAdmin" boolean NOT NULL DEFAULT false, "deletedAt" timestamptz, "storageLabel" varchar UNIQUE,
    name varchar NOT NULL DEFAULT '', "quotaUsageInBytes" bigint NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS library (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(), name varchar NOT NULL,
    "ownerId" uuid NOT NULL REFERENCES "user" ON DELETE CASCADE, "importPaths" text[] NOT NULL DEFAULT '{{}}',
    "createdAt" timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE asset (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(), "ownerId" uuid NOT NULL REFERENCES "user" ON DELETE CASCADE,
    type varchar NOT NULL, "originalPath" varchar NOT NULL, "fileCreatedAt" timestamptz NOT NULL,
    "fileModifiedAt" timestamptz NOT NULL, "isFavorite" boolean NOT NULL DEFAULT false, duration integer,
    checksum bytea NOT NULL, "checksumAlgorithm" asset_checksum_algorithm_enum NOT NULL,
    "livePhotoVideoId" uuid REFERENCES asset ON DELETE SET NULL, "updatedAt" timestamptz NOT NULL DEFAULT now(),
    "createdAt" timestamptz NOT NULL DEFAULT now(), "originalFileName" varchar NOT NULL, thumbhash bytea,
    "isOffline" boolean NOT NULL DEFAULT false, "libraryId" uuid REFERENCES library ON DELETE CASCADE,
    "isExternal" boolean NOT NULL DEFAULT false, "deletedAt" timestamptz, "localDateTime" timestamptz NOT NULL,
    status assets_status_enum NOT NULL DEFAULT 'active',
    visibility asset_visibility_enum NOT NULL DEFAULT 'timeline'
);
CREATE UNIQUE INDEX "UQ_assets_owner_checksum" ON asset ("ownerId", checksum) WHERE "libraryId" IS NULL;
CREATE INDEX ON asset ("originalPath", "libraryId");
CREATE TABLE asset_exif (
    "assetId" uuid PRIMARY KEY REFERENCES asset ON DELETE CASCADE, make varchar, description text NOT NULL DEFAULT '',
    latitude double precision, longitude double precision, "fileSizeInByte" bigint
);
CREATE TABLE asset_file (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(), "assetId" uuid NOT NULL REFERENCES asset ON DELETE CASCADE,
    type varchar NOT NULL, path varchar NOT NULL
);
CREATE TABLE album (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(), "albumName" varchar NOT NULL DEFAULT 'Untitled Album',
    "createdAt" timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE album_asset (
    "albumId" uuid NOT NULL REFERENCES album ON DELETE CASCADE,
    "assetId" uuid NOT NULL REFERENCES asset ON DELETE CASCADE,
    PRIMARY KEY ("albumId", "assetId")
);
CREATE TABLE system_metadata (key varchar PRIMARY KEY, value jsonb NOT NULL DEFAULT '{{}}');
CREATE TABLE version_history (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(), "createdAt" timestamptz NOT NULL DEFAULT now(),
    version varchar NOT NULL
);
"""
"""As Immich 3 names them, without those columns that no backup looks at, and without VectorChord's: Debian has none.
The stand-in of the server has people and libraries of its own, with more columns."""


@dataclass(frozen=True, kw_only=True)
class Asset:
    """A row and its file."""

    id: uuid.UUID
    path: Path
    checksum: bytes
    """SHA-1 of the file."""


def make_tables(database: Database, *, started: bool = True) -> None:
    """Immich's tables; `started` leaves what it writes once its folders have their markers."""
    database.psql(SCHEMA.format(role=ROLE))
    if started:
        flags = ", ".join(f'"{folder}": true' for folder in FOLDERS)
        database.psql(
            f"SET ROLE {ROLE};"  # noqa: S608 - constants
            f"""INSERT INTO system_metadata VALUES ('system-flags', '{{"mountChecks": {{{flags}}}}}');"""
            "INSERT INTO version_history (version) VALUES ('3.3.1');"
            f"""INSERT INTO "user" (id, email, name, "isAdmin") VALUES ('{OWNER}', 'a@example.org', 'A', true);"""
        )


def make_folders(media: Path) -> None:
    """The media root with its markers, as the first start leaves it."""
    for folder in FOLDERS:
        (media / folder).mkdir(parents=True, exist_ok=True)
        (media / folder / ".immich").write_text("1795226400000")


def fill(database: Database, media: Path, count: int, *, seed: int = 1, size: int = 2000) -> list[Asset]:
    """Add so many assets with files of up to `size` bytes, the same for the same seed; names repeat in new folders."""
    assets = list(_assets(media, count, random.Random(seed), size))
    rows = "\n".join(
        "\t".join(
            (
                str(asset.id),
                str(OWNER),
                "IMAGE",
                _copied(str(asset.path)),
                *("2026-01-01 00:00:00+00",) * 2,
                f"\\\\x{asset.checksum.hex()}",
                "sha1",
                _copied(asset.path.name),
                "2026-01-01 00:00:00+00",
            )
        )
        for asset in assets
    )
    database.psql(
        f"SET ROLE {ROLE};\n"
        'COPY asset (id, "ownerId", type, "originalPath", "fileCreatedAt", "fileModifiedAt", checksum, '
        f'"checksumAlgorithm", "originalFileName", "localDateTime") FROM stdin;\n{rows}\n\\.\n'
    )
    return assets


def add_unknown_files(media: Path) -> list[Path]:
    """Files whose names PostgreSQL would not keep."""
    import os

    found: list[Path] = []
    for name in UNKNOWN_NAMES:
        path = media / "upload" / os.fsdecode(name)
        path.write_bytes(name)
        found.append(path)
    return found


def _assets(media: Path, count: int, draw: random.Random, size: int) -> Iterator[Asset]:
    import os

    for number in range(count):
        identity = uuid.UUID(bytes=draw.randbytes(16), version=4)
        text = str(identity)
        folder = media / "upload" / str(OWNER) / text[:2] / text[2:4]
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / os.fsdecode(NAMES[number % len(NAMES)])
        if path.exists():  # the first digits of an id may be those of another
            path = folder / text / path.name
            path.parent.mkdir()
        content = draw.randbytes(draw.randrange(1, size))
        path.write_bytes(content)
        yield Asset(id=identity, path=path, checksum=hashlib.sha1(content).digest())  # noqa: S324 - Immich's


def _copied(text: str) -> str:
    """As COPY's text format has it."""
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
