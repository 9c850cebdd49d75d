"""The start of nginx, by the command that its container runs."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.edge.running import LAN, Nginx, proxy

pytestmark = pytest.mark.edge


@pytest.fixture
def waiting(tmp_path: Path) -> Nginx:
    """One whose upstream has a name that nobody knows; it has begun to wait."""
    nginx = Nginx(proxy(LAN), "immich-server.invalid:2283", tmp_path)
    nginx.begin()
    end = time.monotonic() + 20
    while "waiting for a name of the upstream" not in nginx.output():
        assert time.monotonic() < end, nginx.output()
        time.sleep(0.05)
    return nginx


def test_a_name_that_is_not_known_yet_is_waited_for(waiting: Nginx) -> None:
    assert waiting.process is not None
    assert waiting.process.poll() is None
    waiting.upstream = "127.0.0.1:9"
    waiting.write(waiting.ports["status"])
    try:
        assert waiting.ready()
        # It is nginx itself that runs, and not a shell around it.
        assert Path(f"/proc/{waiting.process.pid}/comm").read_text() == "nginx\n"
    finally:
        waiting.stop()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGQUIT])
def test_while_it_waits_it_ends_when_it_is_told_to(waiting: Nginx, how: signal.Signals) -> None:
    assert waiting.process is not None
    waiting.stop(how, seconds=5)
    assert waiting.process.returncode == 143


def test_a_configuration_that_is_wrong_is_told_and_not_waited_for(tmp_path: Path) -> None:
    nginx = Nginx(proxy(LAN), "127.0.0.1:no port", tmp_path)
    nginx.begin()
    assert nginx.process is not None
    assert nginx.process.wait(10) != 0
    assert "invalid parameter" in nginx.output()
