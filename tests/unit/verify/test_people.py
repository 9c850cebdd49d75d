"""Who and what is in Immich, beside `immich:setup`: for `make status` and `make adopt-people`; and which key asks."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from components.setup.settings import Setup
from tests.unit.verify.parts import Reply, Request, answering, settings, target
from toolchain import deployment, people
from toolchain.people import There, adopted, drift, there
from toolchain.status.report import gather
from toolchain.status.text import text
from toolchain.verify import opening
from toolchain.verify.running import RunningError
from toolchain.verify.target import Options, Target

KEY = "a-key-of-the-api"
ADA, BOB, CY = "ada@example.com", "bob@example.com", "cy@example.com"
PEOPLE: list[dict[str, Any]] = [
    {
        "id": "1",
        "email": ADA,
        "name": "Ada",
        "isAdmin": True,
        "quotaSizeInBytes": None,
        "storageLabel": "admin",
    },
    {
        "id": "2",
        "email": BOB,
        "name": "Bob",
        "isAdmin": False,
        "quotaSizeInBytes": 2**30,
        "storageLabel": None,
    },
    {"id": "3", "email": CY, "name": "Cy", "isAdmin": True, "deletedAt": "2026-11-30T00:00:00Z"},
]
LIBRARIES = [
    {"name": "NAS", "ownerId": "2", "importPaths": ["/mnt/nas"], "exclusionPatterns": ["**/a"]},
]
HERE = There(people={str(one["email"]): one for one in PEOPLE}, libraries=LIBRARIES)
SECTION: dict[str, Any] = {
    "administrator": {"email": ADA, "name": "Ada"},
    "people": [{"email": BOB, "name": "Bob", "quota": "1Gi"}],
    "libraries": [{"name": "NAS", "owner": BOB, "importPaths": ["/mnt/nas"], "exclusionPatterns": ["**/a"]}],
}


def _setup(section: Mapping[str, Any] = SECTION) -> Setup:
    return TypeAdapter(Setup).validate_python(section, by_alias=True, by_name=False)


def _immich(request: Request) -> Reply | None:
    if request.headers.get("x-api-key") != KEY:
        return Reply(401, {"message": "Invalid API key"})
    found = {"/api/admin/users": PEOPLE, "/api/libraries": LIBRARIES}.get(request.path.partition("?")[0])
    return None if found is None else Reply(200, found)


def _target(key: str | None = KEY, **sections: Any) -> Target:
    return target(options=Options(api_key=key), **sections)


def test_what_is_as_the_file_says_is_no_difference() -> None:
    assert list(drift(_setup(), HERE)) == []


def test_every_difference_is_told() -> None:
    section = {
        "administrator": {"email": ADA, "name": "Ada L", "storageLabel": "ada"},
        "people": [
            {"email": CY, "name": "Cy"},
            {"email": "dd@example.com", "name": "D"},
        ],
        "libraries": [
            {"name": "NAS", "owner": ADA, "importPaths": ["/mnt/nas", "/mnt/old"], "exclusionPatterns": []},
            {"name": "Other", "owner": ADA, "importPaths": ["/mnt/other"]},
        ],
    }
    assert list(drift(_setup(section), HERE)) == [
        f'person {ADA}: name is "Ada", not "Ada L"',
        f'person {ADA}: storageLabel is "admin", not "ada"',
        f"person {CY}: is in the trash",
        "person dd@example.com: is not there",
        f"library NAS: owner is {BOB}, not {ADA}",
        'library NAS: importPaths is ["/mnt/nas"], not ["/mnt/nas", "/mnt/old"]',
        'library NAS: exclusionPatterns is ["**/a"], not []',
        "library Other: is not there",
        f"person {BOB}: is not in the file",
    ]
    alone = {"administrator": SECTION["administrator"]}
    assert list(drift(_setup(alone), HERE)) == [
        f"person {BOB}: is not in the file",
        "library NAS: is not in the file",
    ]


def test_what_is_not_in_the_file_is_told_as_settings_that_change_nothing() -> None:
    found = adopted(None, HERE)
    assert found == {
        "administrator": {"email": ADA, "name": "Ada", "storageLabel": "admin"},
        "people": [{"email": BOB, "name": "Bob", "quota": "1Gi"}],
        "libraries": SECTION["libraries"],
    }
    assert list(drift(_setup(found), HERE)) == []
    assert adopted(_setup(), HERE) == {}
    assert adopted(_setup({"administrator": SECTION["administrator"]}), HERE).keys() == {
        "people",
        "libraries",
    }


def test_immich_is_asked_by_the_first_door_that_answers() -> None:
    with answering(_immich, _target()) as (here, seen):
        assert there(here) == HERE
    assert [request.path for request in seen] == ["/api/admin/users?withDeleted=true", "/api/libraries"]
    with (
        answering(_immich, _target("another")) as (here, _),
        pytest.raises(RunningError, match=r"401 .*Invalid"),
    ):
        there(here)
    with pytest.raises(RunningError, match="IMMICH_API_KEY is not set"):
        there(_target(None))
    with pytest.raises(RunningError, match="has no door"):
        there(replace(_target(), doors=()))


def test_status_tells_what_differs_from_the_file_and_why_nobody_could_be_asked() -> None:
    section = {"administrator": {"email": ADA, "name": "Ada"}}
    with answering(_immich, _target(setup=section)) as (here, _):
        told = text(report := gather(here))
        assert report.data()["drift"] == [
            f"person {BOB}: is not in the file",
            "library NAS: is not in the file",
        ]
        assert f"differs from immich:setup  !\n  person {BOB}: is not in the file" in told
    assert gather(_target()).drift is None
    assert any("IMMICH_API_KEY" in one for one in gather(_target(None, setup=section)).problems)


def test_people_are_printed_as_a_part_of_the_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["people", "unit"])
    with answering(_immich, _target()) as (here, _):
        monkeypatch.setattr(people, "open_target", lambda *_: here)
        assert people.main() == 0
    assert yaml.safe_load(capsys.readouterr().out) == {"config": {"immich:setup": adopted(None, HERE)}}


def test_the_key_is_the_environments_else_the_one_that_the_stack_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Sequence[str]] = []

    def run(command: Sequence[str], **_: Any) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, json.dumps({"checks": KEY, "homepage": "other"}), "")

    monkeypatch.setattr(deployment.subprocess, "run", run)
    ours, nobody = settings(setup={"administrator": SECTION["administrator"]}), settings()
    assert opening.api_key("unit", ours, "K", {"K": "given"}) == "given"
    assert opening.api_key("unit", nobody, "K", {}) is None
    assert opening.api_key("unit", settings(setup={"administrator": "none"}), "K", {}) is None
    assert asked == []
    assert opening.api_key("unit", ours, "K", {}) == KEY
    assert asked[0][:4] == ["pulumi", "stack", "output", "apiKeys"]
    monkeypatch.setattr(
        deployment.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 1, "", "no")
    )
    assert opening.api_key("unit", ours, "K", {}) is None
