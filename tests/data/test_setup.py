"""The task of `immich:setup`: its script, run by Node.js, against the stand-in of the server and a real PostgreSQL."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data.conftest import need
from tests.data.immich_server import VALUES, ImmichServer
from tests.data.postgres_process import Postgres
from tests.edge.running import free_ports
from tests.harness.examples import examples

ADA, BOB, CY = "ada@example.com", "bob@example.com", "cy@example.com"
ALONE: dict[str, Any] = {"administrator": {"email": ADA, "name": "Ada"}}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for name in ("a", "b", "c"):
        (folder / name).mkdir()
    return folder


@pytest.fixture(scope="module")
def server(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImmichServer]:
    need(node="nodejs")
    with postgres.database() as database:
        found = ImmichServer(database, tmp_path_factory.mktemp("immich"), oauth=True)
        yield found
        found.end()


@pytest.fixture
def immich(server: ImmichServer) -> ImmichServer:
    """Nobody is there."""
    server.empty()
    return server


def _full(photos: Path) -> dict[str, Any]:
    return {
        "administrator": {"email": ADA, "name": "Ada", "storageLabel": "ada", "quota": "50Gi"},
        "people": [
            {"email": BOB, "name": "Bob O'Hara", "quota": "10Gi"},
            {"email": CY, "name": "Cy", "administrator": True, "password": False},
        ],
        "libraries": [{"name": "NAS", "owner": BOB, "importPaths": [str(photos / "a")]}],
        "keys": [
            {"name": "homepage", "scopes": ["server.statistics"]},
            {"name": "upload", "owner": BOB, "scopes": ["asset.upload"]},
        ],
    }


def _done(immich: ImmichServer, section: dict[str, Any], values: dict[str, str] = VALUES) -> str:
    run = immich.run(section, values)
    assert run.code == 0, run
    return run.output


def _refused(immich: ImmichServer, section: dict[str, Any], values: dict[str, str] = VALUES) -> str:
    run = immich.run(section, values)
    assert run.code == 1, run
    return run.errors


def _by_hand(immich: ImmichServer, email: str = ADA) -> str:
    """An administrator as a person makes one; a key with every permission."""
    account = {"email": email, "name": "By hand", "password": "hers"}
    assert immich.ask("POST", "/auth/admin-sign-up", account)[0] == 201
    token = immich.ask("POST", "/auth/login", account)[1]["accessToken"]
    status, made = immich.ask("POST", "/api-keys", {"name": "hers", "permissions": ["all"]}, token=token)
    assert status == 201
    return str(made["secret"])


def test_the_administrator_is_made_and_signs_in_with_the_password_that_the_outputs_show(
    immich: ImmichServer,
) -> None:
    assert f"administrator {ADA}: made" in _done(immich, ALONE)
    assert (
        immich.ask("POST", "/auth/login", {"email": ADA, "password": VALUES["administratorPassword"]})[0]
        == 201
    )
    assert _done(immich, ALONE) == "nothing to change\n"


def test_everything_of_the_file_is_there_and_a_second_run_changes_nothing(
    immich: ImmichServer, photos: Path
) -> None:
    _done(immich, _full(photos))
    state = immich.state()
    assert state["people"][ADA] == ["Ada", True, "ada", 50 * 2**30, False, True, True]
    assert state["people"][BOB] == ["Bob O'Hara", False, None, 10 * 2**30, False, True, True]
    assert state["people"][CY] == ["Cy", True, None, None, False, False, False]
    ((name, owner, paths, _, removed, scanned),) = state["libraries"]
    assert (name, owner, paths, removed, scanned) == ("NAS", BOB, [str(photos / "a")], False, True)
    assert {key[1]: key[2] for key in state["keys"]} == {
        "checks": ADA,
        "homepage": ADA,
        "setup": ADA,
        "upload": BOB,
    }
    immich.requests.clear()
    assert _done(immich, _full(photos)) == "nothing to change\n"
    assert {request.split()[0] for request in immich.requests} == {"GET"}
    assert immich.state() == state


def test_keys_may_what_the_file_says_and_no_more(immich: ImmichServer, photos: Path) -> None:
    _done(immich, _full(photos))
    assert immich.ask("GET", "/admin/users", key=immich.key("checks"))[0] == 200
    status, answer = immich.ask("GET", "/admin/users", key=immich.key("homepage"))
    assert (status, answer) == (403, {"message": "Missing required permission: adminUser.read"})
    # Bob is no administrator, whatever his key's scopes are.
    assert immich.ask("GET", "/libraries", key=immich.key("upload")) == (403, {"message": "Forbidden"})


def test_the_tasks_own_key_may_remove_only_where_something_is_to_be_removed(
    immich: ImmichServer, photos: Path
) -> None:
    _done(immich, ALONE)
    assert immich.ask("DELETE", "/libraries/6d1f0c26-0000-4000-8000-000000000000", key="k" * 40)[0] == 403
    _done(immich, {**ALONE, "remove": {"libraries": ["None"], "people": [BOB]}})
    own = next(key for key in immich.state()["keys"] if key[1] == "setup")
    assert {"adminUser.delete", "library.delete"} < set(own[3])
    _done(immich, ALONE)
    own = next(key for key in immich.state()["keys"] if key[1] == "setup")
    assert not {"adminUser.delete", "library.delete", "all"} & set(own[3])


def test_a_renewed_key_and_one_that_left_the_file_end(immich: ImmichServer, photos: Path) -> None:
    _done(immich, _full(photos))
    section = _full(photos)
    section["keys"] = [{"name": "homepage", "scopes": ["adminUser.read"], "renew": "2"}]
    assert "key upload: ended" in _done(immich, section)
    assert immich.ask("GET", "/admin/users", key=immich.key("homepage"))[0] == 401
    assert immich.ask("GET", "/admin/users", key=immich.key("upload"))[0] == 401
    assert immich.ask("GET", "/admin/users", key=immich.key("homepage", renew="2"))[0] == 200


def test_a_release_before_2_6_has_the_hashes_of_keys_as_texts(immich: ImmichServer, photos: Path) -> None:
    immich.psql.rows("ALTER TABLE api_key ALTER key TYPE varchar USING encode(key, 'base64')")
    try:
        _done(immich, _full(photos))
        assert immich.ask("GET", "/admin/users", key=immich.key("checks"))[0] == 200
        ((text,),) = immich.psql.rows("SELECT key FROM api_key WHERE name = 'homepage'")
        assert text == base64.b64encode(hashlib.sha256(immich.key("homepage").encode()).digest()).decode()
        assert _done(immich, _full(photos)) == "nothing to change\n"
    finally:
        immich.psql.rows("ALTER TABLE api_key ALTER key TYPE bytea USING decode(key, 'base64')")


def test_keys_that_somebody_made_by_hand_stay(immich: ImmichServer) -> None:
    key = _by_hand(immich)
    _done(immich, ALONE)
    assert immich.ask("GET", "/admin/users", key=key)[0] == 200


def test_a_password_that_its_owner_changed_stays_until_a_reset_is_asked_for(
    immich: ImmichServer, photos: Path
) -> None:
    section = _full(photos)
    _done(immich, section)
    people = immich.ask("GET", "/admin/users", key=immich.key("checks"))[1]
    for one in people:
        assert immich.ask("PUT", f"/admin/users/{one['id']}", {"password": "own"}, key="k" * 40)[0] == 200
    changed = immich.passwords()
    _done(immich, section)
    assert immich.passwords() == changed
    section["administrator"]["resetPassword"] = section["people"][0]["resetPassword"] = "1"
    section["people"][0]["name"] = "Bob"
    _done(immich, section)
    reset = immich.passwords()
    assert {email for email in reset if reset[email] != changed[email]} == {ADA, BOB}
    assert (
        immich.ask("POST", "/auth/login", {"email": ADA, "password": VALUES["administratorPassword"]})[0]
        == 201
    )
    _done(immich, section)
    assert immich.passwords() == reset
    section["people"][0]["resetPassword"] = "2"
    _done(immich, section)
    assert {email for email in reset if immich.passwords()[email] != reset[email]} == {BOB}


def test_an_immich_with_its_own_administrator_is_taken_over_and_what_is_there_stays(
    immich: ImmichServer, photos: Path
) -> None:
    key = _by_hand(immich)
    other = {"email": "dd@example.com", "name": "D", "password": "x"}
    immich.ask("POST", "/admin/users", other, key=key)
    ada = immich.ask("GET", "/admin/users", key=key)[1][0]["id"]
    made = {"ownerId": ada, "name": "New External Library", "importPaths": [str(photos / "b")]}
    immich.ask("POST", "/libraries", made, key=key)
    before = immich.passwords()
    section = {**ALONE, "libraries": [{"name": "Holidays", "owner": ADA, "importPaths": [str(photos / "b")]}]}
    told = _done(immich, section, {**VALUES, "setupApiKey": key})
    assert "person dd@example.com: not in the file, left alone" in told
    assert "library Holidays: name changed" in told
    assert immich.passwords() == before
    assert [one[0] for one in immich.state()["libraries"]] == ["Holidays"]
    assert immich.ask("GET", "/admin/users", key=key)[0] == 200


def test_a_given_key_ends_the_tasks_own_one_and_the_other_way_round(immich: ImmichServer) -> None:
    key = _by_hand(immich)
    _done(immich, ALONE)
    assert immich.ask("GET", "/admin/users", key=VALUES["setupApiKey"])[0] == 200
    assert "key setup: ended" in _done(immich, ALONE, {**VALUES, "setupApiKey": key})
    assert immich.ask("GET", "/admin/users", key=VALUES["setupApiKey"])[0] == 401
    assert "key setup: written" in _done(immich, ALONE)
    assert immich.ask("GET", "/admin/users", key=key)[0] == 200


def test_a_given_key_of_somebody_else_is_refused_and_nothing_is_changed(immich: ImmichServer) -> None:
    key = _by_hand(immich)
    before = immich.state()
    told = _refused(immich, {"administrator": {"email": BOB, "name": "Bob"}}, {**VALUES, "setupApiKey": key})
    assert told == (
        f"immich:setupApiKey is a key of {ADA}, and immich:setup.administrator.email is {BOB}: give a key of that "
        "administrator\n"
    )
    assert immich.state() == before


def test_another_administrator_than_the_files_is_told(immich: ImmichServer) -> None:
    _by_hand(immich)
    told = _refused(immich, {"administrator": {"email": BOB, "name": "Bob"}})
    assert f"Immich has an administrator already ({ADA})" in told


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"importPaths": ["{photos}/a", "{photos}/none"]},
            "400 Invalid import path: Path does not exist (ENOENT)",
        ),
        ({"owner": CY}, f"{BOB} owns the library NAS with"),
    ],
)
def test_what_immich_refuses_of_a_library_is_told_in_its_words(
    immich: ImmichServer, photos: Path, change: dict[str, Any], words: str
) -> None:
    _done(immich, _full(photos))
    before = immich.state()
    section = _full(photos)
    section["libraries"][0] |= json.loads(json.dumps(change).replace("{photos}", str(photos)))
    assert words in _refused(immich, section)
    assert immich.state() == before


def test_two_libraries_of_the_file_are_never_one_in_immich(immich: ImmichServer, photos: Path) -> None:
    key = _by_hand(immich)
    ada = immich.ask("GET", "/admin/users", key=key)[1][0]["id"]
    immich.ask(
        "POST", "/libraries", {"ownerId": ada, "name": "A", "importPaths": [str(photos / "b")]}, key=key
    )
    made = [{"name": name, "owner": ADA, "importPaths": [str(photos / name.lower())]} for name in ("A", "B")]
    _done(immich, {**ALONE, "libraries": made})
    assert [(one[0], one[2]) for one in immich.state()["libraries"]] == [
        ("A", [str(photos / "a")]),
        ("B", [str(photos / "b")]),
    ]


def test_a_library_is_made_by_the_next_run_where_its_folder_was_not_there(
    immich: ImmichServer, photos: Path
) -> None:
    section = _full(photos)
    section["libraries"][0]["importPaths"] = [str(photos / "none")]
    assert "400 Invalid import path" in _refused(immich, section)
    _done(immich, _full(photos))
    assert [(one[0], one[2]) for one in immich.state()["libraries"]] == [("NAS", [str(photos / "a")])]


def test_without_permission_to_set_up_the_refusal_is_immichs(postgres: Postgres, tmp_path: Path) -> None:
    need(node="nodejs")
    with postgres.database() as database:
        closed = ImmichServer(database, tmp_path, allow_setup=False)
        assert _refused(closed, ALONE) == "POST /auth/admin-sign-up: 400 Admin setup is disabled\n"
        assert closed.state()["people"] is None
        closed.end()


def test_without_openid_connect_an_account_without_a_password_is_immichs_to_refuse(
    postgres: Postgres, tmp_path: Path
) -> None:
    need(node="nodejs")
    with postgres.database() as database:
        plain = ImmichServer(database, tmp_path)
        section = {**ALONE, "people": [{"email": BOB, "name": "Bob", "password": False}]}
        assert _refused(plain, section) == "POST /admin/users: 400 password is required\n"
        plain.end()


def test_maintenance_is_waited_for_and_told_where_it_does_not_end(immich: ImmichServer) -> None:
    _done(immich, ALONE)
    immich.maintain(on=True)
    assert "Immich is in maintenance mode" in _refused(immich, ALONE)
    task = immich.start(ALONE, wait=60)
    assert task.stdout is not None
    assert "maintenance mode" in task.stdout.readline()
    immich.maintain(on=False)
    assert task.communicate(timeout=60) == ("nothing to change\n", "")


def test_a_server_that_does_not_answer_is_told(immich: ImmichServer) -> None:
    (port,) = free_ports(1)
    assert (
        immich.run(ALONE, port=port).errors
        == "Immich is not ready: GET /server/config: no answer (ECONNREFUSED)\n"
    )


def test_people_and_libraries_go_only_where_the_file_says_so(immich: ImmichServer, photos: Path) -> None:
    _done(immich, _full(photos))
    told = _done(immich, ALONE)
    assert "library NAS: not in the file, left alone" in told
    assert [one[4] for one in immich.state()["libraries"]] == [False]
    section = {**ALONE, "remove": {"people": [BOB], "libraries": ["NAS"]}}
    told = _done(immich, section)
    assert "library NAS: removed" in told
    assert f"person {BOB}: in Immich's trash" in told
    state = immich.state()
    assert {email: one[4] for email, one in state["people"].items()} == {ADA: False, BOB: True, CY: False}
    assert [one[4] for one in state["libraries"]] == [True]
    assert "nothing to change" in _done(immich, section)
    assert f"person {BOB} is in Immich's trash" in _refused(immich, _full(photos))


def test_no_secret_is_in_what_the_task_says(immich: ImmichServer, photos: Path) -> None:
    section = _full(photos)
    secrets = [*VALUES.values(), *(immich.key(name) for name in ("checks", "homepage", "upload"))]
    runs = [immich.run(section), immich.run(section)]
    section["libraries"][0]["importPaths"] = ["/none"]
    runs.append(immich.run(section))
    immich.psql.rows("ALTER TABLE api_key RENAME TO elsewhere")
    try:
        runs.append(immich.run(section))
    finally:
        immich.psql.rows("ALTER TABLE elsewhere RENAME TO api_key")
    assert 'relation "api_key" does not exist' in runs[-1].errors
    said = "".join(run.output + run.errors for run in runs)
    assert not [one for one in secrets if one in said]


# Any file, any state before it

_PEOPLE = st.lists(
    st.fixed_dictionaries(
        {
            "email": st.sampled_from([BOB, CY, "dd@example.com"]),
            "name": st.sampled_from(["B", 'C "D"', "É'"]),
        },
        optional={
            "administrator": st.booleans(),
            "quota": st.sampled_from(["1Gi", "20Gi"]),
            "resetPassword": st.sampled_from(["1", "2"]),
        },
    ),
    max_size=3,
    unique_by=lambda one: one["email"],
)
_LIBRARIES = st.lists(st.sampled_from("abc"), max_size=3, unique=True)
_SCOPES = st.lists(
    st.sampled_from(["asset.read", "asset.upload", "job.read"]), min_size=1, max_size=3, unique=True
)
_KEYS = st.dictionaries(st.sampled_from(["one", "two", "three"]), _SCOPES, max_size=2)


@st.composite
def _sections(draw: st.DrawFn) -> dict[str, Any]:
    people = draw(_PEOPLE)
    owners = [ADA, *(one["email"] for one in people)]
    return {
        "administrator": {"email": ADA, "name": draw(st.sampled_from(["Ada", "A."]))},
        "people": people,
        "libraries": [
            # Always the same owner: Immich cannot give a library to another.
            {"name": f"{folder}-{draw(st.sampled_from('xy'))}", "owner": ADA, "importPaths": [folder]}
            for folder in draw(_LIBRARIES)
        ],
        "keys": [
            {"name": name, "owner": draw(st.sampled_from(owners)), "scopes": scopes}
            for name, scopes in draw(_KEYS).items()
        ],
    }


def _there(section: dict[str, Any], photos: Path) -> dict[str, Any]:
    found = copy.deepcopy(section)
    for library in found["libraries"]:
        library["importPaths"] = [str(photos / path) for path in library["importPaths"]]
    return found


_any = settings(
    max_examples=examples(4), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@_any
@given(before=_sections(), after=_sections(), data=st.data())
def test_two_runs_change_nothing_and_the_order_of_the_file_does_not_matter(
    server: ImmichServer, photos: Path, before: dict[str, Any], after: dict[str, Any], data: st.DataObject
) -> None:
    after = _there(after, photos)
    shuffled = {
        name: data.draw(st.permutations(value)) if isinstance(value, list) else value
        for name, value in after.items()
    }
    found: list[Any] = []
    for section in (after, shuffled):
        server.empty()
        _done(server, _there(before, photos))
        _done(server, section)
        found.append(server.state())
        assert "nothing to change" in _done(server, section)
        assert server.state() == found[-1]
    assert found[0] == found[1]


@_any
@given(before=_sections(), after=_sections())
def test_nobody_and_nothing_is_removed_by_itself(
    server: ImmichServer, photos: Path, before: dict[str, Any], after: dict[str, Any]
) -> None:
    server.empty()
    _done(server, _there(before, photos))
    there = server.state()
    _done(server, _there(after, photos))
    now = server.state()
    assert there["people"].keys() <= now["people"].keys()
    assert not any(person[4] for person in now["people"].values())
    assert len(now["libraries"] or []) >= len(there["libraries"] or [])
    assert not any(library[4] for library in now["libraries"] or [])


@_any
@given(
    before=_sections(),
    after=_sections(),
    at=st.tuples(st.integers(1, 25), st.sampled_from(["before", "after"])),
)
def test_a_run_that_is_killed_at_any_request_is_made_good_by_the_next(
    server: ImmichServer, photos: Path, before: dict[str, Any], after: dict[str, Any], at: Any
) -> None:
    before, after = _there(before, photos), _there(after, photos)
    found: list[Any] = []
    for kill in (None, at):
        server.empty()
        _done(server, before)
        server.requests.clear()
        server.kill = kill
        run = server.run(after)
        assert run.code == (0 if kill is None or len(server.requests) < at[0] else -9), run
        server.kill = None
        _done(server, after)
        found.append(server.state())
    assert found[0] == found[1]
