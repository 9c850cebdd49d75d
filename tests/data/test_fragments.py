"""`make status` finds what uploads that were cut off have left: its script with a real PostgreSQL."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.data.immich_library import fill, make_folders, make_tables
from tests.data.postgres_process import ROLE, Database
from tests.unit.verify.parts import Recorded, unit
from toolchain.status.fragments import Fragments, fragments
from toolchain.verify.running import RunningError

NOTHING = Fragments(files=0, bytes=0, first="")


@dataclass
class Server:
    """Runs what the server's container would, with its variables, on a folder of this machine."""

    database: Database
    media: Path
    password: str
    until: str = "tomorrow"
    """Files that were changed before count: instead of six hours ago."""

    def run(self, workload: str, command: Sequence[str]) -> tuple[int, str]:
        assert (workload, command[3:]) == ("server", ["/data/upload", "6 hours ago"])
        secret = self.media / "password"
        secret.write_text(self.password)
        env = {
            "DB_HOSTNAME": "127.0.0.1",
            "DB_PORT": str(self.database.server.port),
            "DB_DATABASE_NAME": self.database.name,
            "DB_USERNAME": ROLE,
            "DB_PASSWORD_FILE": str(secret),
        }
        done = subprocess.run(
            [*command[:3], str(self.media / "upload"), self.until],
            env={"PATH": os.environ["PATH"], **env}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout

    def found(self) -> Fragments:
        return fragments(Recorded(commands=self.run), unit("server"))


@pytest.fixture
def server(database: Database, tmp_path: Path) -> Server:
    make_folders(tmp_path)
    return Server(database, tmp_path, database.server.password)


def test_a_file_of_an_upload_that_the_database_does_not_know_is_found_with_its_size(server: Server) -> None:
    make_tables(server.database)
    (one, _) = fill(server.database, server.media, 2)
    assert server.found() == NOTHING
    fragment = one.path.with_name("8a7c 1.mp4")
    fragment.write_bytes(b"half")
    one.path.with_suffix(".xmp").write_text("sidecar")
    assert server.found() == Fragments(files=1, bytes=4, first=str(fragment))


def test_an_upload_in_progress_is_none(server: Server) -> None:
    make_tables(server.database)
    (server.media / "upload" / "half.mp4").write_bytes(b"half")
    server.until = "6 hours ago"
    assert server.found() == NOTHING


def test_a_database_that_immich_has_not_filled_yet_knows_of_none(server: Server) -> None:
    assert server.found() == NOTHING


def test_a_database_that_does_not_answer_makes_no_file_a_fragment(server: Server) -> None:
    server.password = "wrong mule"
    with pytest.raises(RunningError, match="password authentication failed"):
        server.found()


def test_a_table_that_cannot_be_read_makes_no_file_a_fragment(server: Server) -> None:
    make_tables(server.database)
    fill(server.database, server.media, 1)
    server.database.psql('ALTER TABLE asset RENAME "originalPath" TO "path"')
    with pytest.raises(RunningError, match="originalPath"):
        server.found()
