"""Images on an engine, built there when first asked for."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from docker.client import DockerClient
from docker.errors import BuildError as DockerBuildError
from docker.errors import ImageNotFound

from tests.docker.images.packages import Base, BuildError, root_file_system
from tests.docker.images.recipes import HERE, RECIPES, Recipe
from toolchain import programs


def real_images() -> bool:
    """Whether the tests are to run with the images of the registries (IMMICH_REAL_IMAGES=1)."""
    return os.environ.get("IMMICH_REAL_IMAGES") == "1"


class Images(Mapping[str, str]):
    """Name of a recipe -> reference of an image that the engine has."""

    def __init__(self, client: DockerClient) -> None:
        self._client = client

    def __getitem__(self, name: str) -> str:
        recipe = RECIPES[name]
        if real_images():
            return recipe.real
        return self.tagged(name, recipe.tag)

    def __iter__(self) -> Iterator[str]:
        return iter(RECIPES)

    def __len__(self) -> int:
        return len(RECIPES)

    def tagged(self, name: str, reference: str) -> str:
        """The stand-in under another tag, for example that of the next release: an image of its own id.

        `immich-standin/server:v3.4.0` reports version 3.4.0. BuildError when it cannot be built.
        """
        recipe = RECIPES[name]
        try:
            self._client.images.get(reference)
        except ImageNotFound:
            self._build(recipe, HERE / name, reference)
        return reference

    def _build(self, recipe: Recipe, folder: Path, reference: str) -> None:
        if recipe.program and (reason := programs.missing(recipe.program)):
            raise BuildError(f"{reference}: {reason}")
        base = self._base(recipe.base)
        try:
            self._client.images.build(
                fileobj=_context(folder, recipe, base),
                custom_context=True,
                tag=reference,
                buildargs={"TAG": reference.rpartition(":")[2]},
                network_mode="none",
                rm=True,
                forcerm=True,
            )
        except DockerBuildError as error:
            told = "".join(str(line.get("stream", "")) for line in error.build_log)
            raise BuildError(f"{reference}: {error}\n{told}") from error

    def _base(self, base: Base) -> str:
        reference = f"debian-packages:{base.digest}"
        try:
            self._client.images.get(reference)
        except ImageNotFound:
            archive = root_file_system(base)
            repository, tag = reference.split(":")
            answer = self._client.api.import_image_from_file(str(archive), repository=repository, tag=tag)
            if '"error"' in answer:
                raise BuildError(f"importing {archive}: {answer}") from None
        return reference


def _context(folder: Path, recipe: Recipe, base: str) -> io.BytesIO:
    """The folder as a build context. Ownership and times are fixed, so that the same files are the same layer."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        text = (folder / "Dockerfile").read_text().replace("FROM base\n", f"FROM {base}\n")
        _add(archive, "Dockerfile", text.encode(), 0o644)
        files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
        built = {path.name: path for path in programs.executables(recipe.program)} if recipe.program else {}
        for name, path in sorted({**files, **recipe.shared, **built}.items()):
            if name != "Dockerfile" and "__pycache__" not in name:
                _add(archive, name, path.read_bytes(), 0o755 if os.access(path, os.X_OK) else 0o644)
    made.seek(0)
    return made


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))
