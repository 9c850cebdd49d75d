"""Immich itself as code on a real engine: nobody comes first, nothing secret is to be seen, a refusal is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from docker.client import DockerClient

from tests.docker import host
from tests.docker.engine_process import Engine
from tests.docker.images.library import Images
from tests.docker.one_host import OneHost
from tests.docker.transfer import Door
from tests.harness.stacks import changes

pytestmark = [
    pytest.mark.docker,
    pytest.mark.engine,
    pytest.mark.deep(unless_changed=("components/setup", "components/proxy")),
]

ADA, BOB = "ada@example.com", "bob@example.com"
SETUP: dict[str, Any] = {
    "administrator": {"email": ADA, "name": "Ada"},
    "people": [{"email": BOB, "name": "Bob"}],
    "libraries": [{"name": "NAS", "owner": BOB, "importPaths": ["/mnt/nas"]}],
    "keys": [{"name": "homepage", "scopes": ["adminUser.read"]}],
}
_PAUSE = 0.05


@dataclass
class Stranger:
    """Asks from the first second on: whether there is an administrator, and to become it."""

    door: Door
    answers: list[tuple[int, bool | None]] = field(default_factory=list[tuple[int, "bool | None"]])
    """Status of each sign-up that reached anybody, and whether there was an administrator just before."""
    lines: set[str] = field(default_factory=set[str])
    """Command lines of all processes meanwhile."""
    _end: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Stranger:
        self._thread = threading.Thread(target=self._go_on)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _go_on(self) -> None:
        account = json.dumps({"email": "mallory@example.com", "name": "M", "password": "mine"}).encode()
        headers = {"Content-Type": "application/json"}
        while not self._end.wait(_PAUSE):
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.lines.add(process.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
                except OSError:
                    continue
            try:
                known = self.door.request("GET", "/api/server/config", seconds=5)
                signed = self.door.request("POST", "/api/auth/admin-sign-up", account, headers, seconds=5)
            except (OSError, ValueError):
                continue
            told = known.json().get("isInitialized") if known.status == 200 else None
            self.answers.append((signed.status, told))


@dataclass
class Found:
    """The stack as it came up."""

    one: OneHost
    stranger: Stranger
    first: Any


@pytest.fixture(scope="module")
def found(
    tmp_path_factory: pytest.TempPathFactory, engine: Engine, client: DockerClient, images: Images
) -> Iterator[Found]:
    folder = tmp_path_factory.mktemp("setup")
    library = {"name": "nas", "mountPath": "/mnt/nas", "source": {"kind": "volume"}}
    made = OneHost.create(
        folder, "setup", engine, client, images, setup=SETUP, storage={"externalLibraries": [library]}
    )
    try:
        with Stranger(made.door()) as stranger:
            first = made.up()
            until = time.monotonic() + 30
            while not stranger.answers and time.monotonic() < until:
                time.sleep(_PAUSE)
        yield Found(made, stranger, first)
    finally:
        made.remove()


def _output(one: OneHost, name: str) -> Any:
    return json.loads(one.stack.engine.run("stack", "output", "--json", "--show-secrets").stdout)[name]


def test_no_door_answers_before_there_is_an_administrator_and_none_makes_one(found: Found) -> None:
    assert found.stranger.answers
    assert {told for _, told in found.stranger.answers} <= {True, None}
    assert {status for status, _ in found.stranger.answers} <= {403, 429}
    people = found.one.door().request(
        "GET", "/api/admin/users", headers={"x-api-key": _output(found.one, "apiKeys")["homepage"]}
    )
    assert [one["email"] for one in people.json()] == [ADA, BOB]


def test_the_passwords_of_the_outputs_open_and_a_second_up_changes_nothing(found: Found) -> None:
    passwords = {ADA: _output(found.one, "administratorPassword"), **_output(found.one, "peoplePasswords")}
    assert passwords.keys() == {ADA, BOB}
    for email, password in passwords.items():
        given = json.dumps({"email": email, "password": password}).encode()
        answer = found.one.door().request(
            "POST", "/api/auth/login", given, {"Content-Type": "application/json"}
        )
        assert answer.status == 201, email
    assert changes(found.one.up()) == {}


def test_no_secret_is_in_a_log_a_command_line_an_inspection_or_the_plain_state(found: Found) -> None:
    one = found.one
    secrets = [
        _output(one, "administratorPassword"),
        *_output(one, "peoplePasswords").values(),
        *_output(one, "apiKeys").values(),
    ]
    assert len(secrets) == 4
    said = "\n".join(
        container.logs().decode(errors="replace")
        for container in one.client.containers.list(all=True, filters={"label": f"immich.stack={one.name}"})
    )
    assert "of setup begins" in said
    state = one.stack.engine.run("stack", "export").stdout
    shown = [said, host.inspect_text(one.client), state, found.first.text, *found.stranger.lines]
    assert not [secret for secret in secrets for text in shown if secret in text]


def test_a_refusal_is_the_updates_failure_in_immichs_words_and_the_next_one_goes_on(found: Found) -> None:
    one = found.one
    one.stack.change("setup", administrator={"email": "zed@example.com", "name": "Zed"})
    before = one.container("server").id
    failed = one.up(check=False)
    assert failed.returncode != 0
    assert f"Immich has an administrator already ({ADA})" in " ".join(failed.text.split())
    assert one.container("server").id == before
    one.stack.change("setup", **{**SETUP, "people": [{"email": BOB, "name": "Robert"}]})
    one.up()
    people = one.door().request(
        "GET", "/api/admin/users", headers={"x-api-key": _output(one, "apiKeys")["checks"]}
    )
    assert [person["name"] for person in people.json()] == ["Ada", "Robert"]
