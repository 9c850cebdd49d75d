"""Which xdist worker gets which test."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

from tests.docker.stacks import SYSTEMS


class ByStack(LoadScopeScheduling):
    """The tests of one standing stack are together, whatever file they are in; the others by their file."""

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        parameter = test.partition("[")[2].removesuffix("]")
        return f"stack {parameter}" if parameter in SYSTEMS else file
