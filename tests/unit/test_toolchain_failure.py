"""How a command of the toolchain ends."""

from __future__ import annotations

import errno

import pytest

from toolchain.failure import exit_with


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_checkout_that_cannot_be_written_is_told_without_a_traceback(
    code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def command() -> int:
        raise OSError(code, "no", "/checkout/.toolchain")

    with pytest.raises(SystemExit) as caught:
        exit_with(command)
    assert caught.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith(
        "error: /checkout/.toolchain: no. Where the checkout is read-only or another user's"
    )


def test_any_other_fault_of_the_system_stays_a_traceback() -> None:
    def command() -> int:
        raise OSError(errno.ENOSPC, "full")

    with pytest.raises(OSError, match="full"):
        exit_with(command)
