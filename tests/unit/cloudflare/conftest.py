"""Variables of the caller's environment must not change what these tests see."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def _no_token_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CLOUDFLARE_")]:
        monkeypatch.delenv(name)
