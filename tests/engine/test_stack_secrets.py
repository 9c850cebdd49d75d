"""No secret's value is anywhere that it must not be: what commands print, outputs, files, environments, the state."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.engine.conftest import Deployed
from tests.harness.objects import at, items, kind_of, pods_of
from tests.harness.stacks import REPOSITORY_STACKS, Deployment

pytestmark = pytest.mark.engine

every_stack = pytest.mark.parametrize(
    "name",
    [name if name == "prod" else pytest.param(name, marks=pytest.mark.deep) for name in REPOSITORY_STACKS],
)
_ENCRYPTED = "1b47061264138c4ac30d75fd1eb44270"
"""Signature of an encrypted value in a state (pulumi, sdk/go/common/resource/properties.go: SecretSig)."""
FEWEST = 8
"""Characters of a secret: shorter plaintexts, such as the user name beside a password, are no secrets."""


def secret_values(stack: Deployment) -> dict[str, str]:
    """Where it is -> every secret of the state and of the config, as it is and in base64."""
    found = {f"config {key}": value for key, value in stack.secrets.items()}
    found |= dict(_random(stack.export(show_secrets=True)))
    encoded = {
        f"{name} in base64": base64.b64encode(value.encode()).decode() for name, value in found.items()
    }
    return {name: value for name, value in {**found, **encoded}.items() if len(value) >= FEWEST}


def _random(state: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for resource in state["deployment"]["resources"]:
        if resource["type"].startswith("random:"):
            yield resource["urn"].rsplit("::", 1)[-1], json.loads(resource["outputs"]["result"]["plaintext"])


def leaks(values: dict[str, str], text: str) -> list[str]:
    """Names, never values, of the secrets that are in a text."""
    return [name for name, value in values.items() if value in text]


@every_stack
def test_no_secret_is_printed_stored_in_the_clear_or_rendered_outside_of_secrets(
    deployed: Deployed, name: str
) -> None:
    stack = deployed(name)
    values = secret_values(stack)
    # External secrets are in their store alone: the program of that stack has none to leak.
    assert bool(values) == (name != "vanillax")

    stack.run("stack", "output", "--json")
    stack.run("stack")
    stack.run("config")
    stack.change("server", logLevel="debug")
    stack.up("--diff")
    stack.do("refresh", "--diff")
    printed = "\n".join(stack.said)
    assert "immich" in printed
    assert leaks(values, printed) == []

    for file in stack.state_files:
        assert leaks(values, file.read_text(encoding="utf-8", errors="replace")) == [], file.name
    assert leaks(values, stack.settings_file.read_text(encoding="utf-8")) == []
    for document in stack.manifests():
        if kind_of(document) != "Secret":
            assert leaks(values, json.dumps(document)) == [], at(document, "metadata", "name")
    for file, (_, text) in stack.files().items():
        if "v1-secret-" not in file:
            assert leaks(values, text) == [], file


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_every_secret_is_encrypted_in_the_state_and_whole_in_the_secrets_that_are_rendered(
    deployed: Deployed, name: str
) -> None:
    stack = deployed(name)
    values = {key: value for key, value in secret_values(stack).items() if not key.endswith("in base64")}
    closed = [text for file, (_, text) in stack.files().items() if "v1-secret-" in file]
    used = {key for key in values if key != "fingerprint-key"}
    assert {key for key in used if not any(leaks({key: values[key]}, text) for text in closed)} == set()
    # The grep above would also be silent about a state that does not hold them at all.
    state = json.dumps(stack.export(show_secrets=True))
    assert set(leaks(values, state)) == set(values)
    assert leaks(values, json.dumps(stack.export())) == []


@every_stack
def test_no_password_is_in_the_environment_of_a_container(deployed: Deployed, name: str) -> None:
    stack = deployed(name)
    variables = [
        variable
        for document in stack.manifests()
        for pods in pods_of(document)
        for container in pods.containers
        for variable in items(container, "env")
    ]
    assert variables
    values = secret_values(stack)
    assert [one["name"] for one in variables if leaks(values, str(one.get("value", "")))] == []


def test_with_external_secrets_nothing_secret_is_rendered_or_kept(deployed: Deployed) -> None:
    stack = deployed("vanillax")
    documents = stack.manifests()
    assert not [one for one in documents if kind_of(one) == "Secret"]
    assert len([one for one in documents if kind_of(one) == "ExternalSecret"]) >= 3
    assert not [one for one in stack.state() if one.type.startswith(("random:", "kubernetes:core/v1:Secret"))]
    # Whatever the engine would encrypt is a secret; there is nothing.
    assert _ENCRYPTED not in json.dumps(stack.export()["deployment"]["resources"])
    assert _ENCRYPTED in json.dumps(deployed("dev").export()["deployment"]["resources"])
