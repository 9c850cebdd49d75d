"""Where the upstream CustomResourceDefinitions are, and how to get them.

They belong to their projects and are not kept in this repository. In this order: the folder that `$CRDS` names,
`../shared/crds` beside the repository, `.toolchain/crds` as filled by `python -m toolchain.crds download` from the
commits that `crds.tsv` names.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]
TABLE = Path(__file__).with_name("crds.tsv")
DOWNLOADED = ROOT / ".toolchain" / "crds"
BESIDE = ROOT.parent / "shared" / "crds"

MISSING = "run `make crds` to download them, or set CRDS to a folder that has them"
"""What a person can do who has no CRDs."""

RAW_ADDRESS = "https://raw.githubusercontent.com/{repository}/{commit}/{file}"
REQUEST_SECONDS = 20.0
TOTAL_SECONDS = 180.0


class CrdError(Exception):
    """A failure told in words."""


@dataclass(frozen=True, slots=True)
class Source:
    """One upstream file at one commit."""

    path: PurePosixPath
    """Where it goes below the folder of CRDs."""
    repository: str
    """owner/name on GitHub."""
    file: str
    """Path in that repository."""
    commit: str
    """Full hash, so the content never changes."""
    date: str
    """Day of that commit, ISO 8601."""

    @property
    def address(self) -> str:
        """Where the file is served."""
        return RAW_ADDRESS.format(repository=self.repository, commit=self.commit, file=self.file)


def find(environment: Mapping[str, str] | None = None) -> Path | None:
    """The folder of CRDs to use, or None when there is none.

    Raises CrdError when `$CRDS` names something that is not a folder: a mistyped path must not be passed over.
    """
    named = (os.environ if environment is None else environment).get("CRDS")
    if named:
        folder = Path(named).expanduser()
        if not folder.is_dir():
            raise CrdError(
                f"CRDS is set to {named}, which is not a folder. Unset it, or name a folder of CRD files."
            )
        return folder
    return next((folder for folder in (BESIDE, DOWNLOADED) if any(folder.glob("*/*.y*ml"))), None)


def sources(table: Path = TABLE) -> list[Source]:
    """Read the table; one line a file, tab-separated: path, repository, file, commit, date."""
    with table.open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.reader(lines, delimiter="\t") if row]
    for number, row in enumerate(rows, start=1):
        if len(row) != 5:
            raise CrdError(
                f"{table}, line {number}: 5 tab-separated columns are needed and {len(row)} were found."
            )
        if PurePosixPath(row[0]).is_absolute() or ".." in PurePosixPath(row[0]).parts:
            raise CrdError(f"{table}, line {number}: {row[0]} leaves the folder of CRDs.")
    return [
        Source(PurePosixPath(path), repository, file, commit, date)
        for path, repository, file, commit, date in rows
    ]


def download(
    folder: Path = DOWNLOADED,
    *,
    wanted: list[Source] | None = None,
    fetch: Callable[[str], bytes] | None = None,
    total_seconds: float = TOTAL_SECONDS,
) -> int:
    """Fetch what is not there yet; returns how many files were fetched.

    Gives up with CrdError after `total_seconds` or at the first address that cannot be had; what was fetched stays.
    """
    deadline = time.monotonic() + total_seconds
    fetched = 0
    for source in sources() if wanted is None else wanted:
        target = folder / source.path
        if target.exists():
            continue
        if time.monotonic() > deadline:
            raise CrdError(
                f"Downloading the CRDs took more than {total_seconds:.0f} s and was given up; run it again."
            )
        content = (fetch or _fetch)(source.address)
        if b"kind: CustomResourceDefinition" not in content:
            raise CrdError(
                f"{source.address} answered with something that is not a CustomResourceDefinition."
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.part")
        temporary.write_bytes(content)
        temporary.replace(target)
        fetched += 1
    return fetched


def _fetch(address: str) -> bytes:
    try:
        with urllib.request.urlopen(address, timeout=REQUEST_SECONDS) as answer:  # noqa: S310  always https, see RAW_ADDRESS
            return answer.read()
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise CrdError(
            f"{address} could not be downloaded ({reason}). Check the network or the proxy variables (HTTPS_PROXY), "
            "or set CRDS to a folder that has the files."
        ) from error


def main(arguments: list[str] | None = None) -> int:
    """`where` prints the folder in use (exit code 3 when there is none), `download` fills `.toolchain/crds`."""
    parser = argparse.ArgumentParser(
        prog="python -m toolchain.crds", description="Upstream CRDs for the cluster tests."
    )
    parser.add_argument("command", choices=["where", "download"])
    command: str = parser.parse_args(arguments).command
    try:
        if command == "download":
            fetched = download()
            print(f"{fetched} files fetched into {DOWNLOADED}" if fetched else f"{DOWNLOADED} is complete")
            return 0
        folder = find()
    except CrdError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if folder is None:
        print(f"There are no CRDs: {MISSING}.", file=sys.stderr)
        return 3
    print(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
