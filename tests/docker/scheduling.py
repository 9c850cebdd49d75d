"""Which xdist worker gets which test."""

from __future__ import annotations

from typing import Any

from xdist.scheduler import LoadScopeScheduling

from tests.docker.stacks import EVERYTHING, SYSTEMS

_FIRST = (
    "tests/docker/test_monitoring.py",
    "tests/docker/test_backups.py",
    "stack homelab",
    f"stack {EVERYTHING}",
)
"""What takes long with few tests, so that it would be begun last; the last one here is begun first."""


class ByStack(LoadScopeScheduling):
    """The tests of one standing stack are together, whatever file they are in; the others by their file."""

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        if file.rpartition("/")[2].startswith(f"test_{EVERYTHING}"):
            return f"stack {EVERYTHING}"
        parameter = test.partition("[")[2].removesuffix("]")
        return f"stack {parameter}" if parameter in {EVERYTHING, *SYSTEMS} else file

    def _assign_work_unit(self, node: Any) -> None:
        for scope in _FIRST:
            if scope in self.workqueue:
                self.workqueue.move_to_end(scope, last=False)
        super()._assign_work_unit(node)
