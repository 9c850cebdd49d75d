"""Stacks of this repository, brought up once in a worker; every test gets a copy of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.harness.stacks import Deployment, require_cli

Deployed = Callable[[str], Deployment]
"""Name of a stack of this repository -> a copy that is up, rendered, and free to be changed."""


@pytest.fixture(scope="session")
def cli() -> Path:
    """The Pulumi CLI."""
    return require_cli()


@pytest.fixture(scope="session")
def originals() -> dict[str, Deployment]:
    """Stacks that are up already in this worker. Nobody may change them."""
    return {}


@pytest.fixture
def deployed(
    cli: Path,
    originals: dict[str, Deployment],
    tmp_path_factory: pytest.TempPathFactory,
) -> Deployed:
    """A stack that is up."""

    def get(name: str) -> Deployment:
        if name not in originals:
            original = Deployment.create(tmp_path_factory.mktemp(name), cli, name)
            original.up()
            originals[name] = original
        copy = originals[name].copy(tmp_path_factory.mktemp(f"copy-{name}"))
        copy.said = list(originals[name].said)
        return copy

    return get


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tests of stacks that are up go to one worker, those of variants to another: else each would bring them up."""
    if config.getoption("dist") != "load":
        return None
    from tests.engine.scheduling import ByStacks

    return ByStacks(config, log)
