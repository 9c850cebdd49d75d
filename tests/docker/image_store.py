"""The images of this tier, built once: a copy of what an engine keeps of them, given to each engine that starts.

Kept in .toolchain/test-images/ under a hash of everything that the images are made of.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.docker.engine_process import Engine
from tests.docker.host_network import HostNetwork
from tests.docker.images import library
from tests.docker.images.packages import CACHE
from tests.docker.images.recipes import HERE, RECIPES

TAGS: Final[dict[str, tuple[str, ...]]] = {
    "postgres": ("immich-standin/postgres:16-vectorchord0.4.3",),
}
"""Image -> other tags of it that every run asks for."""
_KEPT: Final = ("image", "overlay2")
"""Folders of the engine's data that are about images."""


def provide(data: Path) -> None:
    """Put the images into the data of an engine that has not started yet. Does nothing with real images."""
    if library.real_images():
        return
    for name in _KEPT:
        copied(_store() / name, data / name)


def archive(wanted: Mapping[str, Sequence[str]]) -> Path:
    """A folder with one archive of images as `docker save` writes it, made once; `wanted`: name -> other tags of it."""
    store = _store()
    digest = hashlib.sha256(repr(sorted(wanted.items())).encode()).hexdigest()[:16]
    made = CACHE / f"archive-{store.name}-{digest}" / "images.tar"
    with (CACHE / "archive.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            for old in CACHE.glob("archive-*/"):
                shutil.rmtree(old)
            made.parent.mkdir()
            _save(wanted, made)
    return made.parent


def _save(wanted: Mapping[str, Sequence[str]], target: Path) -> None:
    directory = Path(tempfile.mkdtemp(prefix="imd-"))
    provide(directory / "data")
    engine = Engine(directory, HostNetwork.create())
    try:
        engine.start()
        client = engine.client(300)
        images = library.Images(client)
        references = [
            images.tagged(name, reference)
            for name, others in wanted.items()
            for reference in (images[name], *others)
        ]
        unfinished = target.with_suffix(".part")
        subprocess.run(["docker", "-H", engine.url, "save", "-o", unfinished, *references], check=True)
        unfinished.rename(target)
        client.close()
    finally:
        engine.remove()


def copied(folder: Path, target: Path) -> None:
    """A copy of hard links: an engine replaces its own files, and changes none in a layer."""
    target.parent.mkdir(parents=True, exist_ok=True)
    linked = subprocess.run(["cp", "-al", str(folder), str(target)], capture_output=True, check=False)
    if linked.returncode != 0:  # on another file system
        shutil.rmtree(target, ignore_errors=True)
        subprocess.run(["cp", "-a", str(folder), str(target)], check=True)


def _store() -> Path:
    CACHE.mkdir(parents=True, exist_ok=True)
    store = CACHE / f"store-{_digest()}"
    with (CACHE / "store.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not store.exists():
            for old in CACHE.glob("store-*"):
                shutil.rmtree(old)
            _build(store)
    return store


def _digest() -> str:
    digest = hashlib.sha256(repr(TAGS).encode())
    for name, recipe in RECIPES.items():
        base = f"debian-packages:{recipe.base.digest}"
        digest.update(f"{name} {recipe.tag}\n".encode())
        digest.update(library._context(HERE / name, recipe, base).getvalue())
    return digest.hexdigest()[:16]


def _build(store: Path) -> None:
    directory = Path(tempfile.mkdtemp(prefix="imd-"))
    engine = Engine(directory, HostNetwork.create())
    unfinished = store.with_name(f"unfinished-{store.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        engine.start()
        client = engine.client()
        images = library.Images(client)
        for name in RECIPES:
            for reference in (images[name], *TAGS.get(name, ())):
                images.tagged(name, reference)
        client.close()
        engine.stop()
        unfinished.mkdir()
        for name in _KEPT:
            copied(directory / "data" / name, unfinished / name)
        unfinished.rename(store)
    finally:
        engine.remove()
