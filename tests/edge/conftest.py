"""Real nginx for tests. Where there is none the tests are skipped with the reason, and fail in CI (`CI=true`)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from components.proxy.settings import Proxy
from tests.edge.running import NGINX, Nginx
from tests.edge.upstream import Upstream

Start = Callable[..., Nginx]


@pytest.fixture(scope="session")
def nginx_installed() -> None:
    """Skips, or in CI fails, without nginx."""
    if shutil.which(NGINX) is not None:
        return
    reason = "nginx is not installed (Debian: apt-get install nginx)"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as running:
        yield running


@pytest.fixture
def start(nginx_installed: None, upstream: Upstream, tmp_path: Path) -> Iterator[Start]:
    """Starts nginx with settings in front of `upstream`; it ends with the test."""
    with ExitStack() as stack:
        folders = iter(range(100))

        def started(settings: Proxy, **more: Any) -> Nginx:
            directory = tmp_path / f"nginx-{next(folders)}"
            directory.mkdir()
            return stack.enter_context(
                Nginx(settings, more.pop("to", f"127.0.0.1:{upstream.port}"), directory, **more)
            )

        yield started
