"""One stack that has everything that a stack of one host may have; it is brought up once, and shared.

nginx with a certificate from files and http that leads to https, a way in for neighbours and a tunnel beside it, an
external library, backups to a folder and to a NAS, and the bundled monitoring. Before any test a library was put into
it, an admin has signed up, a backup was made and drilled, and no alert rings. A test may break what it mends again;
what cannot be mended belongs to a stack of its own.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.docker import host, watched
from tests.docker.kept_stack import Kept, backup_settings
from tests.docker.sftp_host import SftpHost
from tests.docker.stacks import CERTIFICATES, EVERYTHING, HostStack, Place
from tests.docker.standing import Standing
from tests.docker.verifying import LIBRARY, Verified, sign_up, target_of
from tests.docker.watched import Watched

PHOTOS: Final = 40


@dataclass(frozen=True)
class Everything:
    """The stack, by what is asked of it."""

    standing: Standing
    kept: Kept
    verified: Verified
    watched: Watched

    @classmethod
    @contextmanager
    def stand(cls, place: Place, directory: Path) -> Generator[Everything]:
        """The stack, up; removed afterwards."""
        target = directory / "target"
        with SftpHost(directory / "nas", place.network) as nas:
            backup = backup_settings(place, target, (nas.settings(),))
            # The names of its doors lead nowhere on this machine.
            monitoring = watched.changes(place, doors=False, accessLog=True)["monitoring"]
            secrets = {"backupSshKey": nas.key.read_text()}
            stack = HostStack.create(
                place, directory / "stack", EVERYTHING, secrets=secrets,
                changes={"backup": backup, "monitoring": monitoring},
            )  # fmt: skip
            (stack.folder / LIBRARY / "holiday.jpg").write_bytes(b"a picture")
            try:
                standing = Standing.bring_up(stack)
                kept = Kept.of(stack, directory / "stack", target, backup, secrets)
                certificate = stack.folder / CERTIFICATES.lstrip("/") / "fullchain.pem"
                verified = Verified(stack, target_of(stack, sign_up(stack)), certificate)
                made = cls(standing, kept, verified, Watched(stack))
                made._furnish()
                yield made
            finally:
                stack.remove()

    def _furnish(self) -> None:
        self.watched.evaluate_each_second()
        self.kept.fill(PHOTOS, size=20_000)
        # The exporter keeps its answer from before there were tables.
        self.watched.container("postgres-exporter").restart(timeout=1)
        self.kept.must_run("backup")
        self.kept.must_run("drill")
        self.watched.wait_for((), 180)
        host.wait_healthy(self.watched.container("postgres-exporter"))
