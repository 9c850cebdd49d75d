"""A stack with `immich:setup`: order, secrets, outputs, what the next update says."""

from __future__ import annotations

import functools
import json
import re
from typing import Any

import pytest
from pydantic import TypeAdapter

from components.model.secret_text import SecretPart, SecretText, derived
from components.settings.reader import read_settings
from components.setup.plan import changes, plan, told
from components.setup.scopes import SCOPES
from components.setup.settings import Setup
from components.stack.next_steps import steps
from components.upgrade import gate
from components.upgrade.deployed import Last, last_of
from tests.harness.mocks import Recorded, Run
from tests.harness.program import CONTAINER, Stack, host_stack, needs, run_stack, texts, unwrapped

SECTION: dict[str, Any] = {
    "administrator": {"email": "ada@example.com", "name": "Ada"},
    "people": [{"email": "bob@example.com", "name": "Bob"}],
    "libraries": [{"name": "NAS", "owner": "bob@example.com", "importPaths": ["/mnt/nas/old"]}],
    "keys": [{"name": "homepage", "scopes": ["server.statistics"]}],
}
LIBRARY = {"name": "nas", "mountPath": "/mnt/nas", "source": {"kind": "hostPath", "path": "/srv/nas"}}
SECRETS = {"administratorPassword": "first-password-of-ada", "setupApiKey": "key-of-the-task"}
LAN = {"expose": [{"kind": "publishedPort", "address": "192.168.1.2"}]}
ROUTE = {"kind": "httpRoute", "door": "lan", "gateway": "inside", "gatewayNamespace": "gateway"}


def _host(**sections: Any) -> Run:
    given = {
        "docker": {},
        "proxy": LAN,
        "storage": {"externalLibraries": [LIBRARY]},
        "setup": SECTION,
        **sections,
    }
    made = host_stack("home", given)
    sections = {name: section for name, section in made.sections.items() if section is not None}
    return run_stack(Stack(made.name, sections, {**made.secrets, **SECRETS}))


def _cluster(**sections: Any) -> Run:
    given = {
        "host": {"name": "photos.example.com"},
        "storage": {"externalLibraries": [LIBRARY]},
        "proxy": {"kind": "none", "expose": [ROUTE]},
        "setup": SECTION,
        **sections,
    }
    return run_stack(Stack("test", given, {**SECRETS, "cloudflareApiToken": "t" * 40}))


host = functools.cache(_host)
cluster = functools.cache(_cluster)


def _container(run: Run, name: str) -> Recorded:
    return next(one for one in run.of_type(CONTAINER) if one.name == f"immich-home-{name}")


def _object(run: Run, kind: str, name: str) -> Recorded:
    return next(
        one for one in run.resources if one.type.endswith(f":{kind}") and one.name.endswith(f"/{name}")
    )


def _setup(section: dict[str, Any]) -> Setup:
    return TypeAdapter(Setup).validate_python(section, by_alias=True, by_name=False)


def test_on_a_host_no_port_opens_before_the_task_has_ended() -> None:
    run = host()
    task, done = (
        _container(run, "setup"),
        next(one for one in run.resources if one.name == "immich-home-setup-done"),
    )
    assert task.urn in needs(run, done)
    assert done.urn in needs(run, _container(run, "proxy"))
    assert _container(run, "server").urn in needs(run, task)
    assert [one.name for one in run.of_type(CONTAINER) if unwrapped(one.props).get("ports")] == [
        "immich-home-proxy"
    ]


def test_on_a_cluster_no_route_is_made_before_the_job_has_ended() -> None:
    run = cluster()
    job = _object(run, "Job", "immich-setup")
    assert _object(run, "Deployment", "immich-server").urn in needs(run, job)
    (route,) = (one for one in run.resources if one.type.endswith(":HTTPRoute"))
    assert job.urn in needs(run, route)


def test_a_tunnel_waits_as_well() -> None:
    tunnel = {"accountId": "a" * 32, "zoneId": "b" * 32, "zone": "example.com", "tunnel": {}}
    run = _cluster(proxy={"expose": [], "maxUpload": "100M"}, cloudflare=tunnel)
    job = _object(run, "Job", "immich-setup")
    assert job.urn in needs(run, _object(run, "Deployment", "immich-proxy"))
    assert job.urn in needs(run, _object(run, "Deployment", "immich-cloudflared"))


def test_the_task_runs_again_when_what_it_reads_changes() -> None:
    def annotations(run: Run) -> dict[str, str]:
        return dict(_object(run, "Job", "immich-setup").props["spec"]["template"]["metadata"]["annotations"])

    before = annotations(cluster())
    assert annotations(_cluster()) == before
    assert annotations(_cluster(setup={**SECTION, "keys": []})) != before
    assert {"immich/secret-setup-api-key", "immich/secret-administrator-password"} <= before.keys()


@pytest.mark.parametrize("run", [host, cluster], ids=["host", "cluster"])
def test_passwords_and_keys_are_in_files_alone_and_outputs_are_secret(run: Any) -> None:
    found = run()
    hidden = [*SECRETS.values(), derived(SECRETS["setupApiKey"], "key/homepage/")]
    for one in found.resources:
        open_texts = "\n".join(texts(one.props))
        assert not [secret for secret in hidden if secret in open_texts], one.name
    outside = "\n".join(texts(found.outputs))
    assert not [secret for secret in hidden if secret in outside]
    assert unwrapped(found.outputs["administratorPassword"]) == SECRETS["administratorPassword"]
    assert unwrapped(found.outputs["apiKeys"]) == {
        name: derived(SECRETS["setupApiKey"], f"key/{name}/") for name in ("checks", "homepage")
    }
    assert unwrapped(found.outputs["peoplePasswords"]) == {
        "bob@example.com": derived(SECRETS["setupApiKey"], "person/bob@example.com/")
    }
    assert unwrapped(found.outputs["setup"]) == told(_setup(SECTION))


def test_on_a_cluster_the_keys_are_a_secret_of_their_own() -> None:
    data = unwrapped(_object(cluster(), "Secret", "immich-api-keys").props["stringData"])
    assert data == unwrapped(cluster().outputs["apiKeys"])


def test_what_follows_from_one_secret_tells_nothing_of_another() -> None:
    made = {
        derived(secret, label) for secret in ("a", "b") for label in ("key/one/", "key/one/2", "person/one/")
    }
    assert len(made) == 6
    assert all(re.fullmatch("[0-9a-f]{40}", one) for one in made)


def test_an_external_store_gives_the_same_values() -> None:
    text = SecretText(parts=(SecretPart(key="setupApiKey", derived='key/"one"/'),))
    assert text.external_template() == r'{{ print .setupApiKey ":key/\"one\"/" | sha256sum | trunc 40 }}'
    assert text.resolve({"setupApiKey": "k"}) == derived("k", 'key/"one"/')


def test_left_to_a_person_nothing_is_made_and_no_door_lets_anybody_be_first() -> None:
    run = _host(setup={"administrator": "none"})
    assert not [one for one in run.of_type(CONTAINER) if one.name.endswith("-setup")]
    assert "apiKeys" not in run.outputs
    assert _lets(run, "admin-sign-up") == _lets(run, "start-restore") == ["deny all;"]
    way = {
        "kind": "traefikLabels",
        "door": "lan",
        "network": "traefik",
        "trustedSources": ["10.9.0.0/24"],
        "entryPointReadTimeout": "0s",
    }
    behind = _host(
        setup={"administrator": "none"},
        proxy={"kind": "none", "expose": [way]},
        host={"name": "a.example.com"},
    )
    labels = [one["label"] for one in unwrapped(_container(behind, "server").props)["labels"]]
    assert "traefik.http.routers.immich-home-server-closed.rule" in labels


def test_where_the_program_makes_the_administrator_no_door_lets_a_visitor() -> None:
    assert _lets(host(), "admin-sign-up") == ["deny all;"]
    assert len(_lets(host(), "start-restore")) > 1
    assert len(_lets(_host(setup=None), "admin-sign-up")) > 1


def _lets(run: Run, path: str) -> list[str]:
    """Whom nginx lets through to what begins with another method than GET."""
    (text,) = {
        one["content"]
        for container in run.of_type(CONTAINER)
        for one in unwrapped(container.props).get("uploads", [])
        if one["file"].endswith("/nginx.conf")
    }
    block = text.partition(path)[2].partition("include")[0]
    return [line.strip() for line in block.splitlines() if line.strip().startswith(("allow", "deny"))]


def test_the_next_steps_leave_out_what_the_task_does() -> None:
    given = {
        "storage": {"externalLibraries": [LIBRARY, {"name": "more", "mountPath": "/mnt/more", "source": {}}]},
        "setup": SECTION,
    }
    found = steps(read_settings("home", {key: json.dumps(value) for key, value in given.items()}), "home")
    assert found[0].startswith(
        "sign in as ada@example.com; a new account has this password: pulumi stack output"
    )
    assert [step for step in found if "import path" in step] == [
        "Administration > External Libraries: add the import path /mnt/more and a scan schedule"
    ]


def test_an_update_says_what_will_change_since_the_last_one() -> None:
    before = told(_setup(SECTION))
    assert list(changes(before, _setup(SECTION))) == []
    after = {
        "administrator": {**SECTION["administrator"], "quota": "1Ti"},
        "people": [{"email": "cy@example.com", "name": "Cy"}],
        "remove": {"libraries": ["NAS"]},
    }
    assert list(changes(before, _setup(after))) == [
        "person ada@example.com: will be changed",
        "person cy@example.com: will be made, or taken over where it is there",
        "person bob@example.com: is no longer in the file and stays in Immich; remove it with setup.remove.people",
        "library NAS: will be removed if it is there (setup.remove.libraries)",
        "key homepage: ends",
    ]


def test_an_update_tells_it_before_anything_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("pulumi.log.info", said.append)
    settings = read_settings("home", {"setup": json.dumps({"administrator": SECTION["administrator"]})})
    for last, told_of in (
        (Last(), []),
        (Last(setup=told(_setup(SECTION))), ["person bob@example.com", "library NAS"]),
    ):
        monkeypatch.setattr(gate, "read_last", lambda last=last: last)
        gate.judged_update(settings, "home")
        assert [one.partition(":")[0] for one in said if "stays in Immich" in one] == told_of
    assert last_of({"setup": told(_setup(SECTION))}, {}).setup == told(_setup(SECTION))


def test_no_plan_is_made_without_an_administrator() -> None:
    with pytest.raises(ValueError, match="no plan without an administrator"):
        plan(_setup({"administrator": "none"}), server="http://server:2283", wait=60)


def test_scopes_are_immichs() -> None:
    assert len(SCOPES) == 156
    assert {"all", "asset.upload", "adminAuth.unlinkAll"} <= SCOPES
