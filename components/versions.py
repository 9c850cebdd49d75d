"""Which versions there are: images, the supported releases of Immich and what differs between them.

Pure: no Pulumi. Images and their digests are data, in images.yaml.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Final, cast

import yaml

from components.model.values import ImageRef


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """One entry of images.yaml."""

    repository: str
    version: str = ""
    """Tag of the release that is used; empty where the tag depends on other versions."""
    digests: Mapping[str, str] = field(default_factory=dict[str, str])
    """Tag -> digest."""


def _read() -> dict[str, Image]:
    text = files("components").joinpath("images.yaml").read_text(encoding="utf-8")
    listed = cast("dict[str, dict[str, Any]]", yaml.load(text, Loader=_LOADER))  # noqa: S506  a safe one
    return {name: Image(**entry) for name, entry in listed.items()}


_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
IMAGES: Final = _read()
"""Name -> image: every image of this program."""

NEWEST: Final = IMAGES["server"].version
"""The newest release of Immich that this program knows."""

SUPPORTED_TEXT: Final = "2.5.0 to 3.x"

_BUNDLED: Mapping[tuple[str, str], str] = {
    ("14", "0.4.3"): "14-vectorchord0.4.3-pgvectors0.2.0",
    ("14", "0.5.3"): "14-vectorchord0.5.3",
    ("16", "0.4.3"): "16-vectorchord0.4.3-pgvectors0.2.0",
    ("17", "0.4.3"): "17-vectorchord0.4.3",
    ("17", "0.5.3"): "17-vectorchord0.5.3",
    ("18", "0.5.3"): "18-vectorchord0.5.3",
    ("18", "1.1.1"): "18-vectorchord1.1.1",
}
"""PostgreSQL and VectorChord -> tag of Immich's own image."""

Version = tuple[int, int, int]


def parse(version: str) -> Version:
    """`3.3.1` -> (3, 3, 1). Raises `ValueError` for anything else."""
    major, minor, patch = (int(part) for part in version.split("."))
    return major, minor, patch


def is_supported(version: str) -> bool:
    """Whether this program knows what the release needs."""
    return (2, 5, 0) <= parse(version) < (4, 0, 0)


def pinned(name: str, tag: str) -> ImageRef:
    """The image of that name in images.yaml with its digest, or without where none was read."""
    image = IMAGES[name]
    digest = image.digests.get(tag)
    return ImageRef(f"{image.repository}:{tag}@{digest}" if digest else f"{image.repository}:{tag}")


def current(name: str) -> ImageRef:
    """The image of that name in images.yaml at the release that is used."""
    return pinned(name, IMAGES[name].version)


def server_image(version: str) -> ImageRef:
    """Image of the server."""
    return pinned("server", f"v{version}")


def machine_learning_image(version: str, backend: str) -> ImageRef:
    """Image of machine learning at the server's version; backends other than cpu have a suffix."""
    return pinned("machine-learning", f"v{version}" if backend == "cpu" else f"v{version}-{backend}")


def client_image(postgres: int, vectorchord: str | None = None) -> ImageRef:
    """Image with PostgreSQL's programs of a major version, and VectorChord to load a dump into; where there is one with
    that VectorChord, it is taken. Raises `ValueError` where the table has none of that major version.
    """
    images = {pair: image for pair, image in database_images("bundled").items() if pair[0] == str(postgres)}
    if not images:
        raise ValueError(f"no image of PostgreSQL {postgres} is in the table")
    if vectorchord is not None and (str(postgres), vectorchord) in images:
        return images[str(postgres), vectorchord]
    return images[max(images, key=lambda pair: tuple(int(part) for part in pair[1].split(".")))]


def database_images(flavour: str) -> dict[tuple[str, str], ImageRef]:
    """PostgreSQL and VectorChord -> image, for `bundled` or `cloudnative-pg`."""
    if flavour == "bundled":
        return {pair: pinned("postgres", tag) for pair, tag in _BUNDLED.items()}
    tags = (tuple(tag.split("-", 1)) for tag in IMAGES["cloudnative-vectorchord"].digests)
    return {
        (postgres, vectorchord): pinned("cloudnative-vectorchord", f"{postgres}-{vectorchord}")
        for postgres, vectorchord in tags
    }


def postgres_accepted(version: str, major: int) -> bool:
    """Whether Immich starts on, and can dump, this major version of PostgreSQL (constants.ts, base-images)."""
    del version
    return 14 <= major < 19


def postgres_range(version: str) -> str:
    """The range of `postgres_accepted`, for people."""
    return f"Immich {version} accepts PostgreSQL 14 to 18"


VECTORCHORD_RANGE: Final = ">=0.3 <2"
"""VectorChord versions that every supported Immich accepts (its source, 2.5.0 to 3.0.3)."""


def vectorchord_accepted(vectorchord: str) -> bool:
    """Whether Immich starts on this VectorChord; anything that is no version is not accepted."""
    try:
        numbers = tuple(int(part) for part in vectorchord.split("."))
    except ValueError:
        return False
    return (0, 3) <= numbers < (2,)


def machine_learning_writes_home(version: str) -> bool:
    """Whether a non-root machine learning writes to `/.cache` and `/.config` (up to 3.1.0, commit 161e15ee2)."""
    return parse(version) <= (3, 1, 0)
