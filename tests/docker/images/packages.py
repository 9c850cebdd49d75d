"""Root file systems from Debian's packages: what they depend on is resolved and unpacked, no package script runs.

Kept in .toolchain/test-images/ under a hash of the recipe, so only a new recipe is built. `apt-get update` may be
needed once on a machine whose lists are old; that is tried when a download fails.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from toolchain.paths import ROOT

CACHE: Final = ROOT / ".toolchain" / "test-images"

_NEVER: Final = (
    # Wanted by package scripts and by nothing that runs in these containers.
    "adduser", "debconf", "dpkg", "gcc-12-base", "init-system-helpers", "libc-l10n", "libgdbm-compat4", "libgdbm6",
    "libpam-modules", "libpam-modules-bin", "libperl5.36", "locales", "lsb-base", "passwd", "perl", "perl-base",
    "perl-modules-5.36", "sensible-utils", "ssl-cert", "sysvinit-utils", "ucf", "usrmerge",
    # PostgreSQL's just-in-time compiler: it does without when llvmjit.so is not there.
    "libllvm14", "libz3-4",
)  # fmt: skip
_NOT_UNPACKED: Final = (
    "./usr/share/doc/*", "./usr/share/man/*", "./usr/share/locale/*", "./usr/share/info/*", "./usr/share/perl*",
    "./usr/share/lintian/*", "./usr/lib/*/perl*", "*/llvmjit.so", "*/bitcode/*", "*.a",
)  # fmt: skip
_MERGED: Final = ("bin", "lib", "lib64", "sbin")
_FORMAT: Final = "2"
"""Changes when the functions below make something else of the same recipe."""


class BuildError(Exception):
    """A root file system could not be made; the text has what apt or dpkg said."""


@dataclass(frozen=True)
class Base:
    """What a root file system is made of."""

    packages: tuple[str, ...]
    """By Debian's names; what they depend on comes along, what they recommend does not."""

    @property
    def digest(self) -> str:
        """Of the recipe, not of the packages' versions."""
        text = json.dumps([_FORMAT, _NEVER, _NOT_UNPACKED, asdict(self)])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def root_file_system(base: Base) -> Path:
    """A tar archive of the recipe, made if need be. BuildError when a package cannot be had."""
    CACHE.mkdir(parents=True, exist_ok=True)
    archive = CACHE / f"{base.digest}.tar"
    if archive.exists():
        return archive
    with _lock(CACHE / "lock"):
        if archive.exists():
            return archive
        with tempfile.TemporaryDirectory(dir=CACHE, prefix="build-") as folder:
            work = Path(folder)
            root = work / "root"
            _unpack(_download(base.packages, work), root)
            unfinished = work / archive.name
            _run("tar", "-C", str(root), "--numeric-owner", "-cf", str(unfinished), ".")
            unfinished.rename(archive)
    return archive


@contextmanager
def _lock(path: Path) -> Generator[None]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _download(packages: Sequence[str], work: Path) -> list[Path]:
    store = CACHE / "packages"
    (store / "partial").mkdir(parents=True, exist_ok=True)
    # To an apt that knows of no installed package, everything that is needed is new.
    install = [
        "apt-get", "--yes", "--no-install-recommends",
        "-oDir::State::status=/dev/null", f"-oDir::State::extended_states={work / 'extended_states'}",
        "-oDir::Cache::pkgcache=", "-oDir::Cache::srcpkgcache=", f"-oDir::Cache::archives={store}",
        "-oAPT::Sandbox::User=root", "-oDebug::NoLocking=1", "-oAPT::Install-Suggests=0",
        "install", *packages,
    ]  # fmt: skip
    try:
        _run(*install, "--download-only")
    except BuildError:
        _run("apt-get", "update", "-qq")
        _run(*install, "--download-only")
    wanted: list[Path] = []
    for line in _run(*install, "--simulate").splitlines():
        if not line.startswith("Inst "):
            continue
        _, name, version = line.split()[:3]
        if name in _NEVER:
            continue
        found = sorted(store.glob(f"{name}_{version.strip('(').replace(':', '%3a')}_*.deb"))
        if not found:
            raise BuildError(f"apt-get downloaded no {name} {version} into {store}")
        wanted.append(found[-1])
    return wanted


def _unpack(packages: Sequence[Path], root: Path) -> None:
    for name in _MERGED:  # Debian's layout, which its packages are not aware of yet
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for package in packages:
        content = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE)
        assert content.stdout is not None
        excluded = [f"--exclude={pattern}" for pattern in _NOT_UNPACKED]
        tar = [
            "tar",
            "--extract",
            "--keep-directory-symlink",
            "--numeric-owner",
            f"--directory={root}",
            *excluded,
        ]
        unpacked = subprocess.run(tar, stdin=content.stdout, capture_output=True, text=True, check=False)
        content.stdout.close()
        if content.wait() != 0 or unpacked.returncode != 0:
            raise BuildError(f"unpacking {package.name}: {unpacked.stderr}")
    _finish(root)


def _finish(root: Path) -> None:
    """What package scripts would have done, as far as something here needs it."""
    for folder, mode in {
        "tmp": 0o1777,
        "run": 0o755,
        "etc": 0o755,
        "proc": 0o755,
        "sys": 0o755,
        "dev": 0o755,
    }.items():
        (root / folder).mkdir(exist_ok=True)
        (root / folder).chmod(mode)
    for folder in ("bin", "lib", "sbin"):
        (root / "usr/local" / folder).mkdir(parents=True, exist_ok=True)
    (root / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
    )
    (root / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")
    (root / "etc/nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
    authorities = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    if authorities:
        (root / "etc/ssl/certs").mkdir(parents=True, exist_ok=True)
        bundle = "".join(path.read_text() for path in authorities)
        (root / "etc/ssl/certs/ca-certificates.crt").write_text(bundle)
    for wanted, real in {"usr/bin/awk": "mawk", "usr/bin/sh": "dash"}.items():
        if not (root / wanted).exists() and (root / "usr/bin" / real).exists():
            (root / wanted).symlink_to(real)
    for server in sorted((root / "usr/lib/postgresql").glob("[0-9]*")):
        (server.parent / "current").unlink(missing_ok=True)
        (server.parent / "current").symlink_to(server.name)
    if (root / "etc/ld.so.conf").exists():
        _run("ldconfig", "-r", str(root))


def _run(*command: str) -> str:
    finished = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
    )
    if finished.returncode != 0:
        raise BuildError(
            f"{' '.join(command[:1])} failed:\n{finished.stderr.strip() or finished.stdout.strip()}"
        )
    return finished.stdout


def clear() -> None:
    """Forget every root file system and package."""
    shutil.rmtree(CACHE, ignore_errors=True)
