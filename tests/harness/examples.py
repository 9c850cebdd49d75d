"""How many examples a property is tried with."""

from __future__ import annotations

import os


def examples(number: int) -> int:
    """`number` in `make test-all`; a fifth of it, and five at least, in `make test`."""
    return number if os.environ.get("IMMICH_TESTS_DEEP") else max(number // 5, min(number, 5))
