"""Which xdist worker gets which test."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

_SHARED = ("test_stack_lifecycle", "test_stack_secrets", "test_secrets_rotation", "test_pr_report")
"""Files whose tests begin with a copy of a stack that is up (`deployed`)."""
_VARIANTS = "test_setting_changes"


class ByStacks(LoadScopeScheduling):
    """Those that share a stack are together; the others by themselves."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0].rpartition("/")[2].removesuffix(".py")
        if file in _SHARED:
            return "stacks"
        return file if file == _VARIANTS else nodeid
