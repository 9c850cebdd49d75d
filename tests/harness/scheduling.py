"""Which xdist worker gets which test, in tiers whose tests go to workers by their file (toolchain/tiers.py)."""

from __future__ import annotations

from typing import Any

from xdist.scheduler import LoadFileScheduling

_STACKS = "runs of stacks"
_SHARE = (
    "tests/unit/program/",
    "tests/unit/systems/",
    "tests/unit/upgrades/test_urns.py",
    "tests/policy/test_mutations_repository.py",
    "tests/policy/test_stacks_edge.py",
)
"""Where tests look at the same runs of the program (`shared_run`): one worker makes each once."""
_ALONE = "tests/unit/program/test_setting_changes.py"
"""Makes many runs that nobody else looks at."""
_FIRST = ("tests/policy/test_engine_every_rule.py", "tests/policy/test_engine_edge.py", _STACKS, _ALONE)
"""What takes long with few tests, so that it would be begun last; the last one here is begun first."""


class ByFile(LoadFileScheduling):
    """By file, those with the same runs together, and what takes long first."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return _STACKS if file.startswith(_SHARE) and file != _ALONE else file

    def _assign_work_unit(self, node: Any) -> None:
        for scope in _FIRST:
            if scope in self.workqueue:
                self.workqueue.move_to_end(scope, last=False)
        super()._assign_work_unit(node)
