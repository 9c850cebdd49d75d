"""The official CLI: one archive per system and CPU, verified against the checksum file published with it."""

from __future__ import annotations

import hashlib
import http.client
import io
import platform
import shutil
import tarfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from toolchain.failure import ToolchainError
from toolchain.progress import say
from toolchain.versions import PULUMI

_BASE: Final = "https://github.com/pulumi/pulumi/releases/download"
_CONNECT_TIMEOUT: Final = 10.0  # seconds until the first answer, and between two reads
_TOTAL_TIMEOUT: Final = 600.0  # seconds for everything; the archive has some 100 MB
_CHUNK: Final = 1024 * 1024
_SYSTEMS: Final = {"Linux": "linux", "Darwin": "darwin"}
_CPUS: Final = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


class DownloadError(ToolchainError):
    """The archive could not be had, or is not what was published."""


def archive_name(version: str = PULUMI, system: str | None = None, cpu: str | None = None) -> str:
    """File name of the release archive for this machine, such as `pulumi-v3.259.0-linux-x64.tar.gz`.

    Raises DownloadError for a system or CPU without an official archive that we know of.
    """
    system = system or platform.system()
    cpu = cpu or platform.machine()
    try:
        return f"pulumi-v{version}-{_SYSTEMS[system]}-{_CPUS[cpu.lower()]}.tar.gz"
    except KeyError:
        accepted = f"{', '.join(_SYSTEMS)} on {', '.join(_CPUS)}"
        raise DownloadError(
            f"there is no official archive for {system} on {cpu} (known: {accepted})"
        ) from None


def checksum_of(name: str, checksums: str) -> str:
    """The SHA-256 that a checksum file (`<hex>  <name>` a line) gives for a file; DownloadError when it has none."""
    for line in checksums.splitlines():
        fields = line.split()
        if len(fields) == 2 and fields[1].lstrip("*") == name:
            return fields[0].lower()
    raise DownloadError(f"the published checksums do not list {name}")


def verify(archive: bytes, expected: str, name: str) -> None:
    """Raise DownloadError unless the archive has the expected SHA-256."""
    actual = hashlib.sha256(archive).hexdigest()
    if actual != expected:
        raise DownloadError(
            f"{name} has the SHA-256 {actual}, but {expected} was published: it is damaged or not genuine, "
            "and was not unpacked"
        )


def unpack(archive: bytes, into: Path) -> None:
    """Put the archive's executables, which lie in one folder `pulumi/`, into a directory."""
    into.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        for member in tar:
            name = Path(member.name).name
            source = tar.extractfile(member) if member.isfile() and name.startswith("pulumi") else None
            if source is None:
                continue
            partial = into / f".{name}.part"
            with source, partial.open("wb") as target:
                shutil.copyfileobj(source, target)
            partial.chmod(0o755)
            partial.replace(into / name)


def install(into: Path, version: str = PULUMI, base: str = _BASE) -> None:
    """Download, verify and unpack the official CLI; DownloadError with the reason when that cannot be done."""
    name = archive_name(version)
    deadline = time.monotonic() + _TOTAL_TIMEOUT
    say(f"trying the official pulumi v{version} ({name})")
    checksums = _get(f"{base}/v{version}/pulumi-{version}-checksums.txt", deadline).decode(
        "ascii", errors="replace"
    )
    expected = checksum_of(name, checksums)
    archive = _get(f"{base}/v{version}/{name}", deadline)
    verify(archive, expected, name)
    unpack(archive, into)


def _get(address: str, deadline: float) -> bytes:
    chunks: list[bytes] = []
    try:
        with urllib.request.urlopen(address, timeout=_CONNECT_TIMEOUT) as answer:  # noqa: S310  a constant https address
            while chunk := answer.read(_CHUNK):
                chunks.append(chunk)
                if time.monotonic() > deadline:
                    raise DownloadError(f"{address}: took longer than {_TOTAL_TIMEOUT:.0f} s")
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        raise DownloadError(f"{address}: {error}") from error
    return b"".join(chunks)
