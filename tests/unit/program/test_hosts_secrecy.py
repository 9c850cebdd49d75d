"""Where secrets are, and where they are not, in what a stack on one host registers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.harness.mocks import Secret
from tests.harness.program import random_text, texts, unwrapped
from tests.unit.program.secrecy import envelopes, secret_values, unknowns
from tests.unit.program.stacks import HOSTS, RUNS, STACKS

CONTAINER = "docker:index/container:Container"


def uploads(stack: str, workload: str) -> dict[str, str]:
    """Files of a workload's loader: path -> text."""
    (found,) = [
        one for one in RUNS[stack].of_type(CONTAINER) if one.name == f"immich-{stack}-{workload}-files"
    ]
    return {one["file"]: one["content"] for one in unwrapped(found.props)["uploads"]}


@pytest.mark.parametrize("stack", HOSTS)
def test_a_secret_is_in_the_uploads_of_a_loader_and_nowhere_else(stack: str) -> None:
    values = secret_values(stack)
    seen = 0
    for one in RUNS[stack].of_type("docker:index/container:Container", "docker:index/volume:Volume",
                                   "docker:index/network:Network", "docker:index/remoteImage:RemoteImage"):  # fmt: skip
        found: dict[str, Any] = unwrapped(one.props)
        for text in texts({key: value for key, value in found.items() if key != "uploads"}):
            assert not any(value in text for value in values), one.urn
        held = [text for text in texts(found.get("uploads", [])) if any(value in text for value in values)]
        assert not held or one.name.endswith("-files"), one.urn
        seen += len(held)
    assert seen >= 3, "the password of the database twice and that of the cache"


@pytest.mark.parametrize("stack", HOSTS)
def test_every_upload_with_a_secret_in_it_is_in_an_envelope_and_nothing_else_is(stack: str) -> None:
    values = secret_values(stack)
    for one in RUNS[stack].of_type(CONTAINER):
        found = [path for path, _ in envelopes(one.props)]
        assert set(found) <= {"uploads[].content"}, one.urn
        for upload in one.props.get("uploads", []):
            text: str = unwrapped(upload["content"])
            secret = any(value in text for value in values)
            assert isinstance(upload["content"], Secret) or not secret, one.urn


@pytest.mark.parametrize("stack", HOSTS)
def test_in_a_preview_only_secrets_their_fingerprints_and_ids_of_images_are_unknown(stack: str) -> None:
    run = RUNS.preview(stack)
    assert len(run.resources) == len(RUNS[stack].resources)
    found = {
        (one.type.rpartition(":")[2], path)
        for one in run.resources
        if one.type.startswith("docker:")
        for path in unknowns(one.props)
    }
    assert found <= {
        ("Container", "image"),
        ("Container", "uploads[].content"),
        ("Container", "labels[].value"),
        # A container beside another one: in whose network it is.
        ("Container", "networkMode"),
    }
    for one in run.of_type(CONTAINER):
        for label in one.props["labels"]:
            unknown = list(unknowns(label))
            assert not unknown or label["label"].startswith("immich.secret-"), label["label"]


def test_files_have_the_values_of_the_config_and_else_random_ones() -> None:
    assert uploads("home", "database")["/staging/0/password"] == random_text("database-password")
    assert uploads("home", "server")["/staging/1/password"] == random_text("cache-password")
    assert (
        f'requirepass "{random_text("cache-password")}"\n'
        in uploads("home", "cache")["/staging/0/valkey.conf"]
    )
    given = STACKS["homelab"].secrets["oauthClientSecret"]
    document = json.loads(uploads("homelab", "server")["/staging/2/immich.json"])
    assert document["oauth"]["clientSecret"] == given
    tunnel = uploads("skylab", "cloudflared")["/staging/0/credentials.json"]
    assert tunnel == STACKS["skylab"].secrets["cloudflareTunnelCredentials"]


@pytest.mark.parametrize("stack", HOSTS)
def test_variables_name_files_and_never_a_password(stack: str) -> None:
    for one in RUNS[stack].of_type(CONTAINER):
        for text in unwrapped(one.props).get("envs", []):
            name, _, value = text.partition("=")
            if any(word in name for word in ("PASSWORD", "SECRET", "TOKEN", "CREDENTIAL")):
                assert name.endswith("_FILE"), f"{one.name} {name}"
                assert value.startswith("/run/secrets/"), f"{one.name} {name}"
