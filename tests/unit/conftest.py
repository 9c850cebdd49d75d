"""Properties are tried with a fifth of their examples, also those that do not say with how many."""

from __future__ import annotations

import pytest
from hypothesis import settings


def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("--deep"):
        settings.register_profile("quick", settings(), max_examples=settings().max_examples // 5)
        settings.load_profile("quick")
