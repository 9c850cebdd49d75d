"""The table, the exit code, the command line, and a run in which something hangs or breaks."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest

from tests.unit.verify.parts import Recorded, target
from toolchain.failure import ToolchainError
from toolchain.verify import payload, runner
from toolchain.verify.__main__ import arguments, connections, size
from toolchain.verify.model import Check, data, exit_code, failed, passed, unchecked
from toolchain.verify.payload import Form, padded, picture
from toolchain.verify.running import RunningError
from toolchain.verify.table import table
from toolchain.verify.target import Target

CHECKS = [
    failed("ping", "door lan http://x", "502", "pong", "look at the log"),
    passed("tls", "door lan http://x", "valid"),
    unchecked("upload", "door lan http://x", "no key", "Set one"),
    passed("health", "container server", "healthy"),
]


def test_failures_come_last_and_with_their_fix() -> None:
    lines = table(CHECKS).splitlines()
    assert lines[0] == "container server"
    door = lines.index("door lan http://x")
    assert [line.split()[0] for line in lines[door + 1 : door + 4]] == ["pass", "not", "FAIL"]
    assert lines[-5:-2] == ["  found:    502", "  expected: pong", "  fix:      look at the log"]
    assert lines[-1] == "2 passed, 1 failed, 1 not checked"
    assert any("no key. Set one" in line for line in lines)


def test_the_exit_code_is_zero_only_when_something_passed_and_nothing_failed() -> None:
    assert exit_code(CHECKS) == 1
    assert exit_code(CHECKS[1:]) == 0
    assert exit_code([CHECKS[2]]) == 1
    assert exit_code([]) == 1


def test_programs_get_every_field() -> None:
    told = json.loads(json.dumps(data("unit", CHECKS)))
    assert (told["ok"], told["counts"]) == (False, {"pass": 2, "fail": 1, "not-checked": 1})
    assert told["checks"][0] == {
        "name": "ping", "subject": "door lan http://x", "outcome": "fail", "found": "502", "expected": "pong",
        "fix": "look at the log",
    }  # fmt: skip


def test_what_hangs_is_told_and_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def hangs(_: Target) -> list[Check]:
        time.sleep(30)
        return []

    def works(_: Target) -> list[Check]:
        return [passed("works", "x", "well")]

    monkeypatch.setattr(runner, "OF_STACKS", {"hangs": hangs, "works": works})
    monkeypatch.setattr(runner, "LIMIT", 0.3)
    began = time.monotonic()
    found = runner.verify(replace(target(), doors=()))
    assert time.monotonic() - began < 5
    assert {(one.name, one.outcome) for one in found} == {("hangs", "not-checked"), ("works", "pass")}


def test_a_platform_that_cannot_tell_is_not_checked_and_a_mistake_is_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def cannot(_: Target) -> list[Check]:
        raise RunningError("no permission")

    def mistaken(_: Target) -> list[Check]:
        raise KeyError("x")

    monkeypatch.setattr(runner, "OF_STACKS", {"cannot": cannot, "mistaken": mistaken})
    found = {one.name: one for one in runner.verify(replace(target(Recorded()), doors=()))}
    assert (found["cannot"].outcome, found["cannot"].found) == ("not-checked", "no permission")
    assert (found["mistaken"].outcome, "KeyError" in found["mistaken"].found) == ("fail", True)


def test_places_to_connect_to_are_pairs() -> None:
    assert connections(["a.example:443=10.0.0.1:8443", "b:80=[::1]:80"]) == {
        "a.example:443": ("10.0.0.1", 8443),
        "b:80": ("::1", 80),
    }
    with pytest.raises(ToolchainError, match=r"HOST:PORT=HOST:PORT"):
        connections(["a.example=10.0.0.1"])


def test_sizes_are_quantities() -> None:
    assert (size("100M"), size("2Gi"), size(None)) == (10**8, 2 << 30, None)
    for wrong in ("much", "0", "-5"):
        with pytest.raises(ToolchainError, match="--size"):
            size(wrong)


def test_the_key_comes_from_the_environment_alone() -> None:
    assert arguments(["x"]).api_key_env == "IMMICH_API_KEY"
    with pytest.raises(SystemExit):
        arguments(["x", "--api-key", "secret"])


@pytest.mark.parametrize("more", [0, 5, 12, 13, 23, 24, 300_000, 3_000_000])
def test_a_padded_picture_has_the_size_and_is_whole(more: int) -> None:
    content = picture(7)
    found = b"".join(padded(content, len(content) + more))
    # Less than an empty chunk cannot be added.
    assert len(found) == len(content) + (more if more >= 12 else 0)
    kinds = chunks(found)
    assert (kinds[0], kinds[-1], set(kinds[1:-1]) - {b"zzPd"}) == (b"IHDR", b"IEND", {b"IDAT"})


@pytest.mark.parametrize("more", range(1000, 1060))
def test_padding_of_several_chunks_has_the_size_as_well(more: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload, "_MOST", 1000)
    content = picture(7)
    found = b"".join(padded(content, len(content) + more))
    assert len(found) == len(content) + more
    assert set(chunks(found)) == {b"IHDR", b"IDAT", b"zzPd", b"IEND"}


def chunks(content: bytes) -> list[bytes]:
    """Kinds of a PNG's chunks. AssertionError for a checksum that is wrong."""
    import struct
    import zlib

    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    place, found = 8, list[bytes]()
    while place < len(content):
        (length,) = struct.unpack(">I", content[place : place + 4])
        body = content[place + 4 : place + 8 + length]
        assert struct.unpack(">I", content[place + 8 + length : place + 12 + length])[0] == zlib.crc32(body)
        found.append(body[:4])
        place += 12 + length
    return found


def test_pictures_differ_and_the_same_seed_gives_the_same() -> None:
    assert picture(1) == picture(1)
    assert picture(1) != picture(2)


def test_a_form_says_its_length() -> None:
    for wanted in (None, 50_000, 2_000_000):
        form = Form(name="x.png", content=picture(3), size=wanted)
        assert len(b"".join(form.body())) == form.length
        assert wanted is None or form.length == wanted
