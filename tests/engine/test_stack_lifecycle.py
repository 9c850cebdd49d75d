"""The stacks of this repository, rendered, through their life: up, up again, refresh, change, destroy, up."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.engine.conftest import Deployed
from tests.harness.objects import at, items, kind_of, of_kind
from tests.harness.stacks import REPOSITORY_STACKS, Deployment, changes, data_bearing, steps

pytestmark = pytest.mark.engine

every_stack = pytest.mark.parametrize(
    "name",
    [name if name == "prod" else pytest.param(name, marks=pytest.mark.deep) for name in REPOSITORY_STACKS],
)


@every_stack
def test_a_second_up_does_nothing_also_after_a_refresh_and_writes_no_file(
    deployed: Deployed, name: str
) -> None:
    stack = deployed(name)
    before = stack.files()
    second = stack.up("--expect-no-changes")
    assert (steps(second), changes(second)) == ([], {})
    assert changes(stack.do("refresh", "--expect-no-changes")) == {}
    assert stack.files() == before


@pytest.mark.deep
@every_stack
def test_a_preview_and_an_up_with_refresh_find_nothing_to_do(deployed: Deployed, name: str) -> None:
    stack = deployed(name)
    before = stack.files()
    assert changes(stack.do("preview", "--expect-no-changes")) == {}
    assert changes(stack.do("up", "--refresh", "--expect-no-changes")) == {}
    assert stack.files() == before


@pytest.mark.deep
@every_stack
def test_a_change_of_time_zone_and_log_level_updates_the_server_and_what_runs_by_its_clock_alone(
    deployed: Deployed, name: str
) -> None:
    stack = deployed(name)
    before = stack.files()
    stack.change("server", timezone="Australia/Eucla", logLevel="warn")
    done = steps(stack.up())
    servers = {
        f"{at(one, 'metadata', 'namespace')}/{at(one, 'metadata', 'name')}"
        for one in of_kind(stack.manifests(), "Deployment")
        if any(
            variable["name"] == "IMMICH_LOG_LEVEL"
            for container in items(one, "spec", "template", "spec", "containers")
            for variable in items(container, "env")
        )
    }
    assert servers
    # Backups and drills are told the time by the same setting; copies have the settings beside them.
    copies = name != "dev"
    expected = {("Deployment", one) for one in servers} | {("CronJob", "immich/immich-backup")}
    if copies:
        expected |= {("CronJob", "immich/immich-drill"), ("ConfigMap", "immich/immich-backup-stack")}
    assert {(step.op, step.kind, step.name) for step in done} == {("update", *one) for one in expected}
    rewritten = {file for file, written in stack.files().items() if before.get(file) != written}
    assert len(rewritten) == len(expected)
    assert all("Australia/Eucla" in stack.files()[file][1] for file in rewritten)


@every_stack
def test_what_holds_data_is_protected_and_retained(deployed: Deployed, name: str) -> None:
    data = deployed(name).data()
    assert data
    bare = [one.urn for one in data if not one.flag("protect")]
    assert bare == []
    # A random value has nothing outside of the state that could be retained.
    objects = [one for one in data if one.type.startswith("kubernetes:")]
    assert [one.urn for one in objects if not one.flag("retainOnDelete")] == []


@every_stack
def test_destroy_keeps_what_holds_data_and_up_finds_it_again(deployed: Deployed, name: str) -> None:
    stack = deployed(name)
    data = {one.urn: one.inputs for one in stack.data()}
    passwords = _texts_of_random(stack)
    first = {file: text for file, (_, text) in stack.files().items()}

    done = stack.do("destroy", "--exclude-protected")
    assert {step.op for step in steps(done)} == {"delete"}
    assert [step.urn for step in steps(done) if data_bearing(step.urn, step.inputs)] == []
    assert {one.urn: one.inputs for one in stack.data()} == data
    # A Secret stays where a database that stays needs it, and so does the file of what its operator asks it.
    manifests = stack.manifests()
    left = {kind_of(one) for one in manifests}
    assert not left & {"Deployment", "StatefulSet", "Service", "CronJob", "NetworkPolicy", "HTTPRoute"}
    asked = {
        reference["name"]
        for cluster in of_kind(manifests, "Cluster")
        for reference in cluster["spec"].get("monitoring", {}).get("customQueriesConfigMap", [])
    }
    assert {one["metadata"]["name"] for one in of_kind(manifests, "ConfigMap")} == asked

    assert not [step for step in steps(stack.up()) if data_bearing(step.urn, step.inputs)]
    assert _texts_of_random(stack) == passwords
    again = {file: text for file, (_, text) in stack.files().items()}
    assert again.keys() == first.keys()
    assert {file for file in first if "secret" in file and again[file] != first[file]} == set()


def test_plain_destroy_refuses_because_of_what_holds_data(deployed: Deployed) -> None:
    stack = deployed("dev")
    before = stack.files()
    refused = stack.run("destroy", "--yes", check=False)
    assert refused.returncode != 0
    assert "protect" in refused.text
    assert stack.files() == before


@every_stack
def test_rendered_secrets_are_closed_to_other_users(deployed: Deployed, name: str) -> None:
    stack = deployed(name)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in stack.rendered.rglob("*.yaml")}
    secrets = {path for path in modes if path.name.startswith("v1-secret-")}
    assert {modes[path] for path in secrets} <= {0o600}
    assert not any(modes[path] & 0o022 for path in modes)
    has_secrets = name != "vanillax"
    assert bool(secrets) == has_secrets
    assert bool(of_kind(stack.manifests(), "Secret")) == has_secrets


@pytest.mark.deep
def test_one_stack_is_one_state_and_one_directory(deployed: Deployed, cli: Path, tmp_path: Path) -> None:
    stack = deployed("dev")
    before = stack.files()
    other = Deployment.create(tmp_path, cli, "other", {"kubernetes": {"target": "render"}})
    other.up()
    assert stack.files() == before
    assert _texts_of_random(other).isdisjoint(_texts_of_random(stack))


def _texts_of_random(stack: Deployment) -> set[str]:
    shown = stack.export(show_secrets=True)["deployment"]["resources"]
    return {
        one["outputs"]["result"]["plaintext"]
        for one in shown
        if one["type"].startswith("random:") and "fingerprint" not in one["urn"]
    }
