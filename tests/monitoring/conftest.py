"""The exporters that ship in front of real servers; without them tests are skipped by name, and fail in CI."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from components.monitoring.plan import Source
from tests.monitoring import processes
from tests.monitoring.processes import Postgres, Sample


@pytest.fixture(scope="session", autouse=True)
def installed() -> None:
    """Skips, or in CI fails, without the programs."""
    lacking = processes.missing()
    if not lacking:
        return
    reason = "; ".join(lacking)
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def postgres(installed: None) -> Iterator[Postgres]:
    """PostgreSQL with a database in the shape of Immich's, and the exporter's role."""
    with TemporaryDirectory(prefix="immich-postgres-") as folder, Postgres(Path(folder)).started() as server:
        processes.immich_database(server)
        yield server


@pytest.fixture(scope="session")
def scraped(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> dict[Source, list[Sample]]:
    """What each exporter gives."""
    folder: Path = tmp_path_factory.mktemp("exporters")
    found: dict[Source, list[Sample]] = {}
    with ExitStack() as stack:
        port = stack.enter_context(processes.redis(folder))
        for word, key in (("RPUSH", "wait"), ("RPUSH", "active"), ("RPUSH", "paused")):
            processes.redis_cli(port, word, f"immich_bull:smartSearch:{key}", "1", "2", "3")
        for key in ("prioritized", "delayed"):
            processes.redis_cli(port, "ZADD", f"immich_bull:smartSearch:{key}", "1", "4", "2", "5")
        page = processes.samples(stack.enter_context(processes.postgres_exporter(postgres, folder)))
        found["postgres"] = [sample for sample in page if not sample.name.startswith("immich_")]
        found["library"] = [sample for sample in page if sample.name.startswith("immich_")]
        found["valkey"] = processes.samples(stack.enter_context(processes.redis_exporter(port, folder)))
        (folder / "nginx").mkdir()
        plain, tls = stack.enter_context(processes.nginx(folder / "nginx"))
        found["nginx"] = processes.samples(stack.enter_context(processes.nginx_exporter(plain, folder)))
        page = processes.samples(stack.enter_context(processes.node_exporter(folder)))
        found["backup"] = found["node"] = page
        found["access-log"] = processes.samples(stack.enter_context(processes.access_log_exporter(folder)))
        found["blackbox"] = processes.samples(stack.enter_context(processes.blackbox_exporter(tls, folder)))
    return found
