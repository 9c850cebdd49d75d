"""Real programs for tests. Where one is missing the tests are skipped with the reason, and fail in CI (`CI=true`)."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.data.place import Place
from tests.data.postgres_process import Database, Postgres, programs
from toolchain.programs import BIN, missing


def absent(program: str, package: str) -> None:
    """Skip, or in CI fail, without a program."""
    unusable(f"{program} is not installed (Debian: apt-get install {package})")


def unusable(reason: str) -> None:
    """Skip, or in CI fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def need_built(name: str) -> None:
    """A program that ships, built here."""
    if reason := missing(name):
        unusable(reason)


def need(**packages: str) -> None:
    """Program -> Debian's package."""
    for program, package in packages.items():
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
            absent(program, package)


@pytest.fixture(scope="session")
def applets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """busybox's commands by name, and restic. Debian's has no flock and so takes util-linux'; Alpine's has its own."""
    need_built("restic")
    need(
        busybox="busybox",
        flock="util-linux",
        zstd="zstd",
        setpriv="util-linux",
        openssl="openssl",
    )
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="immich-applets-"))
    folder.chmod(0o755)
    subprocess.run(["busybox", "--install", "-s", str(folder)], check=True)
    # A copy: users without rights, as containers have, may not look into .toolchain.
    (folder / "programs").mkdir()
    shutil.copy(BIN / "restic", folder / "programs" / "restic")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all tests; each makes a database of its own."""
    if programs() is None:
        absent("initdb", "postgresql")
    need(setpriv="util-linux")
    with Postgres() as server:
        yield server


@pytest.fixture
def database(postgres: Postgres) -> Iterator[Database]:
    """A new empty database."""
    with postgres.database() as found:
        yield found


@pytest.fixture
def place(applets: Path) -> Iterator[Place]:
    """A deployment's folders, all empty."""
    with Place(applets) as found:
        yield found
