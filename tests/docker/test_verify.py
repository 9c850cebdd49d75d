"""`make verify` of stacks that are well: nothing fails, and what is not checked says why."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.docker.stacks import Place
from tests.docker.verifying import Verified, short, standing, success
from toolchain.verify.table import table

pytestmark = [pytest.mark.docker, pytest.mark.engine]


@pytest.fixture(scope="module")
def verified(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verified]:
    with standing(place, tmp_path_factory.mktemp("verify")) as made:
        yield made


def test_a_stack_that_is_well_passes_everything_that_can_be_looked_at(verified: Verified) -> None:
    with verified.statuses(dump=success()):
        checks = verified.ask()
    told = table(checks)
    print(told)
    assert [check for check in checks if check.outcome == "fail"] == [], told
