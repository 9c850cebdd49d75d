"""Where a throw-away cluster keeps its files, and the one error it reports to people."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

REPO_ROOT = Path(__file__).resolve().parents[3]
MODULE_DIR = Path(__file__).resolve().parent
BIN_DIR = REPO_ROOT / ".toolchain" / "bin"
DEFAULT_DIR = REPO_ROOT / ".toolchain" / "cluster"

Progress = Callable[[str], None]
"""Takes one line that tells a person what is happening."""


class ClusterError(Exception):
    """A failure told in words for the person who started the command: what, where, and what to do."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of one cluster, all below `root`. Everything in it may be deleted once the cluster is stopped."""

    root: Path

    @property
    def state(self) -> Path:
        """Which processes run, and how the cluster was asked for."""
        return self.root / "cluster.json"

    @property
    def lock(self) -> Path:
        """Held while a start or a stop is under way."""
        return self.root / "lock"

    @property
    def kubeconfig(self) -> Path:
        """Administrator's access, mode 0600."""
        return self.root / "kubeconfig"

    def kubeconfig_of(self, user: str) -> Path:
        """Access of a part of the node, mode 0600."""
        return self.certificates / f"{user}.kubeconfig"

    @property
    def etcd_data(self) -> Path:
        """etcd's own directory: the content of the cluster."""
        return self.root / "etcd"

    @property
    def certificates(self) -> Path:
        """Where kube-apiserver writes the certificate that it makes for itself."""
        return self.root / "pki"

    @property
    def serving_certificate(self) -> Path:
        """Certificate chain of the API server, with the authority that clients trust."""
        return self.certificates / "apiserver.crt"

    @property
    def service_account_key(self) -> Path:
        """RSA key that signs service account tokens, mode 0600."""
        return self.certificates / "service-account.key"

    @property
    def tokens(self) -> Path:
        """kube-apiserver's static token file, mode 0600."""
        return self.certificates / "tokens.csv"

    @property
    def stages(self) -> Path:
        """kwok's configuration: what happens to a pod, a node, a claim."""
        return self.root / "stages.yaml"

    def log(self, process: str) -> Path:
        """Standard output and error of one process."""
        return self.root / "logs" / f"{process}.log"


def write_private(path: Path, text: str) -> None:
    """Write `text` to a file that only its owner can read, replacing the old file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)
