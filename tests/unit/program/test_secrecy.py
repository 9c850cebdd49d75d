"""Where secrets are, and where they are not, in what the whole program registers."""

from __future__ import annotations

import base64
import json

import pytest

from tests.harness.mocks import UNKNOWN, Run, Secret
from tests.harness.program import RANDOM_PASSWORD, random_text, texts, unwrapped
from tests.unit.program.secrecy import envelopes, holds, secret_values, unknowns
from tests.unit.program.stacks import CLUSTERS, EVERY, RUNS, STACKS

WITH_VALUES = [
    name for name in EVERY if STACKS[name].sections.get("secrets", {}).get("kind") != "external-secrets"
]


def string_data(run: Run, name: str) -> dict[str, str]:
    (found,) = [
        one for one in run.of_type("kubernetes:core/v1:Secret") if one.props["metadata"]["name"] == name
    ]
    return unwrapped(found.props["stringData"])


@pytest.mark.parametrize("stack", EVERY)
def test_no_secret_stands_outside_an_envelope(stack: str) -> None:
    values = secret_values(stack)
    assert values or stack not in WITH_VALUES
    run = RUNS[stack]
    assert [one.urn for one in run.resources if holds(one, values)] == []
    assert not any(value in text for text in texts(run.outputs) for value in values)
    assert not any(value in line for line in run.log for value in values)


@pytest.mark.parametrize("stack", [name for name in WITH_VALUES if name in CLUSTERS])
def test_only_the_data_of_secrets_is_in_an_envelope_and_it_is_marked_for_the_state(stack: str) -> None:
    run = RUNS[stack]
    found = [(one, path) for one in run.resources for path, _ in envelopes(one.props)]
    assert found
    for one, path in found:
        assert one.type == "kubernetes:core/v1:Secret", f"{one.urn} has a secret at {path}"
        assert path == "stringData"
        assert {"data", "stringData"} <= set(one.secret_outputs)


@pytest.mark.parametrize("stack", CLUSTERS)
def test_every_secret_object_has_its_data_in_an_envelope(stack: str) -> None:
    for one in RUNS[stack].of_type("kubernetes:core/v1:Secret"):
        assert isinstance(one.props["stringData"], Secret), one.urn
        assert "data" not in one.props


@pytest.mark.parametrize("stack", EVERY)
def test_outputs_are_plain(stack: str) -> None:
    outputs = RUNS[stack].outputs
    place = "namespace" if stack in CLUSTERS else "containers"
    assert {"url", "version", place, "nextSteps"} <= outputs.keys()
    # The password of copies is told to whoever asks for it: without it they are worth nothing.
    told = {"backupPassword"} & outputs.keys()
    assert bool(told) == _makes_the_password_of_copies(stack)
    assert all(isinstance(outputs[name], Secret) for name in told)
    # What people sign in with is told as well: tests/unit/setup shows that it is secret.
    told |= {"administratorPassword", "apiKeys", "peoplePasswords"}
    assert list(envelopes({name: one for name, one in outputs.items() if name not in told})) == []


def _makes_the_password_of_copies(stack: str) -> bool:
    """Whether it has copies, and their password is its own and not one of an external store."""
    sections = STACKS[stack].sections
    external = sections.get("secrets", {}).get("kind") == "external-secrets"
    return bool(sections.get("backup", {}).get("targets")) and not external


def test_secrets_carry_the_values_of_the_config_and_else_random_ones() -> None:
    operated = STACKS["operated"].secrets
    run = RUNS["operated"]
    assert string_data(run, "immich-database") == {"password": operated["databasePassword"]}
    assert string_data(run, "immich-database-owner") == {
        "username": "immich",
        "password": operated["databasePassword"],
    }
    assert string_data(run, "immich-backup") == {
        "ACCESS_KEY_ID": operated["backupAccessKeyId"],
        "SECRET_ACCESS_KEY": operated["backupSecretAccessKey"],
    }
    assert string_data(run, "immich-cache")["password"] == random_text("cache-password")
    # One that is not used now is kept: it is protected, and serves again when the config gives none.
    made = {one.name for one in run.of_type(RANDOM_PASSWORD)}
    assert made == {"database-password", "cache-password", "fingerprint-key"}


def test_a_password_survives_valkeys_configuration_whatever_is_in_it() -> None:
    config = string_data(RUNS["dev"], "immich-cache")["valkey.conf"]
    assert f'requirepass "{random_text("cache-password")}"\n' in config


def test_immichs_own_file_has_its_secrets_and_is_json() -> None:
    secrets = STACKS["operated"].secrets
    document = json.loads(string_data(RUNS["operated"], "immich-app")["immich.json"])
    assert document["oauth"]["clientSecret"] == secrets["oauthClientSecret"]
    assert document["notifications"]["smtp"]["transport"]["password"] == secrets["smtpPassword"]


def test_a_cache_behind_tls_is_reached_by_a_url_that_only_the_secret_has() -> None:
    run = RUNS["external"]
    url = string_data(run, "immich-cache")["url"]
    assert url.startswith("ioredis://")
    options = json.loads(base64.b64decode(url.removeprefix("ioredis://")))
    assert options == {
        "host": "cache.example.com",
        "port": 6379,
        "db": 0,
        "username": "immich",
        "password": STACKS["external"].secrets["cachePassword"],
        "tls": {"servername": "cache.example.com"},
    }


def test_with_an_external_store_nothing_secret_is_registered_at_all() -> None:
    run = RUNS["fetched"]
    assert run.of_type("kubernetes:core/v1:Secret", RANDOM_PASSWORD) == []
    assert [one.urn for one in run.resources if list(envelopes(one.props))] == []


def pod_annotations(run: Run, workload: str) -> dict[str, str]:
    (found,) = [
        one
        for one in run.of_type("kubernetes:apps/v1:Deployment", "kubernetes:apps/v1:StatefulSet")
        if one.props["metadata"]["name"] == workload
    ]
    return found.props["spec"]["template"]["metadata"]["annotations"]


def test_pods_restart_when_a_secret_that_they_read_changes() -> None:
    from dataclasses import replace

    from tests.harness.program import run_stack

    before = pod_annotations(RUNS["operated"], "immich-server")
    changed = replace(
        STACKS["operated"], secrets={**STACKS["operated"].secrets, "databasePassword": "another password"}
    )
    after = pod_annotations(run_stack(changed), "immich-server")
    assert {key for key in before if before[key] != after[key]} == {"immich/secret-database-password"}
    assert {
        f"immich/secret-{name}"
        for name in ("database-password", "cache-password", "oauth-client-secret", "smtp-password")
    } <= before.keys()


def test_immichs_pods_restart_when_its_file_changes() -> None:
    from dataclasses import replace

    from tests.harness.program import run_stack

    sections = {**STACKS["operated"].sections}
    sections["app"] = {**sections["app"], "trash": {"days": 7}}
    before = pod_annotations(RUNS["operated"], "immich-microservices")
    after = pod_annotations(run_stack(replace(STACKS["operated"], sections=sections)), "immich-microservices")
    assert {key for key in before if before[key] != after[key]} == {"immich/revision-app"}


@pytest.mark.parametrize("stack", CLUSTERS)
def test_in_a_preview_only_secrets_and_their_fingerprints_are_unknown(stack: str) -> None:
    run = RUNS.preview(stack)
    assert len(run.resources) == len(RUNS[stack].resources)
    found = {path for one in run.resources for path in unknowns(one.props)}
    others = {
        path for path in found if not path.startswith("spec.template.metadata.annotations.immich/secret-")
    }
    assert others <= {"stringData"}
    for one in run.resources:
        if one.type.startswith("kubernetes:"):
            assert isinstance(one.props["metadata"]["name"], str)
            assert one.props["metadata"].get("namespace", "") is not UNKNOWN
