"""A new value for a secret is one setting and an update: who is told first, who restarts, and what stays."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests.engine.conftest import Deployed
from tests.harness.stacks import Deployment, Step, data_bearing, steps

pytestmark = pytest.mark.engine

NEW = "Rotated0123456789abcdefRotated0123456789"


def rotate(stack: Deployment, key: str, value: str = NEW) -> list[Step]:
    """Give a secret another value and bring the stack up."""
    stack.set_secret(key, value)
    return steps(stack.up())


def changed(done: list[Step]) -> set[str]:
    """Names of what was changed, without namespaces."""
    return {step.name.rpartition("/")[2] for step in done}


def place(done: list[Step], kind: str, name: str) -> int:
    """When it began."""
    return next(
        index for index, step in enumerate(done) if (step.kind, step.name.rpartition("/")[2]) == (kind, name)
    )


def holders(stack: Deployment, value: str) -> set[str]:
    """Rendered files that hold a value, in base64 as Secrets have it or as it is."""
    encoded = base64.b64encode(value.encode()).decode()
    return {file for file, (_, text) in stack.files().items() if value in text or encoded in text}


def test_the_database_learns_its_new_password_before_those_who_use_it(deployed: Deployed) -> None:
    stack = deployed("dev")
    done = rotate(stack, "databasePassword")
    assert {"immich-database", "immich-server"} <= changed(done)
    assert {step.op for step in done} == {"update"}
    secret = place(done, "Secret", "immich-database")
    assert secret < place(done, "StatefulSet", "immich-database") < place(done, "Deployment", "immich-server")
    assert {"immich-cache", "immich-machine-learning", "immich-proxy"}.isdisjoint(changed(done))
    assert not [step for step in done if data_bearing(step.urn, step.inputs)]
    assert {Path(file).name.startswith("v1-secret-") for file in holders(stack, NEW)} == {True}
    assert steps(stack.up("--expect-no-changes")) == []


@pytest.mark.deep
def test_the_cache_and_those_who_use_it_get_its_new_password(deployed: Deployed) -> None:
    stack = deployed("dev")
    done = rotate(stack, "cachePassword")
    assert {"immich-cache", "immich-server"} <= changed(done)
    assert {"immich-database", "immich-machine-learning", "immich-proxy"}.isdisjoint(changed(done))
    assert place(done, "StatefulSet", "immich-cache") < place(done, "Deployment", "immich-server")
    assert not [step for step in done if data_bearing(step.urn, step.inputs)]
    assert steps(stack.up("--expect-no-changes")) == []


@pytest.mark.deep
def test_the_old_value_is_nowhere_afterwards(deployed: Deployed) -> None:
    stack = deployed("dev")
    rotate(stack, "databasePassword", f"{NEW}first")
    rotate(stack, "databasePassword", f"{NEW}second")
    assert holders(stack, f"{NEW}first") == set()
    assert holders(stack, f"{NEW}second") != set()
    printed = "\n".join(stack.said)
    assert NEW not in printed


@pytest.mark.deep
def test_a_new_tunnel_token_restarts_the_connector_alone(cli: Path, tmp_path: Path) -> None:
    config = {
        "kubernetes": {"target": "render"},
        "host": {"name": "photos.example.com"},
        "proxy": {"maxUpload": "100M"},
        "cloudflare": {
            "zone": "example.com",
            "zoneId": "1" * 32,
            "accountId": "0" * 32,
            "tunnel": {
                "existing": {
                    "id": "11111111-2222-4333-8444-555555555555",
                    "credentials": "token",
                    "configuration": "keep",
                }
            },
        },
    }
    stack = Deployment.create(tmp_path, cli, "tunnel", config)
    stack.up()
    done = rotate(stack, "cloudflareTunnelToken", base64.b64encode(b'{"a":"0","t":"1","s":"Mg=="}').decode())
    assert changed(done) == {"immich-cloudflared"}
    assert {step.op for step in done} == {"update"}
    assert steps(stack.up("--expect-no-changes")) == []


@pytest.mark.deep
def test_a_new_password_of_the_copies_changes_their_secret_and_restarts_nothing_else(
    cli: Path, tmp_path: Path
) -> None:
    target = {"kind": "rest", "name": "offsite", "url": "https://backup.example.com:8000/immich"}
    config = {"kubernetes": {"target": "render"}, "backup": {"targets": [target]}}
    stack = Deployment.create(tmp_path, cli, "copies", config)
    stack.up()
    done = rotate(stack, "backupPassword")
    assert place(done, "Secret", "immich-backup-files") >= 0
    assert {"immich-server", "immich-database", "immich-cache"}.isdisjoint(changed(done))
    assert {step.op for step in done} == {"update"}
    assert steps(stack.up("--expect-no-changes")) == []
