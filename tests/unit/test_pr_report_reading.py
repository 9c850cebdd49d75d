"""Recorded previews of the real engine, read and grouped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from toolchain.pr_report import data, events, grouping, images

CASES = Path(__file__).resolve().parent / "pr_report_cases"
SERVER = "ghcr.io/immich-app/immich-server"
IMMICH = "urn:pulumi:dev::immich::immich:index:Immich$immich:index"


def recorded(name: str) -> events.Preview:
    return events.read((CASES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines())


def step(
    op: str, kind: str, name: str, *, old: dict[str, object] | None = None, **more: object
) -> events.Step:
    urn = f"{IMMICH}:Server${kind}::{name}"
    state: dict[str, object] = {"urn": urn, "parent": f"{IMMICH}:Server::server", **more}
    return events.Step(op, urn, kind, old if old is not None else ({} if op == "create" else state), state)


def test_a_preview_that_changes_nothing_has_no_steps_and_counts_what_stays() -> None:
    preview = recorded("nothing")
    assert (preview.steps, preview.errors, preview.violated) == ([], [], [])
    assert preview.succeeded
    assert preview.unchanged == 41
    assert "uploads-nginx-size" in preview.passed


def test_the_three_events_of_a_replacement_are_one_step() -> None:
    (found,) = recorded("other-class").steps
    assert (found.op, found.kind, found.name) == (
        "replace",
        "PersistentVolumeClaim",
        "immich/immich-machine-learning-cache",
    )
    assert found.paths == ("spec.storageClassName",)
    assert found.old
    assert found.new


def test_a_policy_that_is_violated_is_no_policy_that_passed() -> None:
    preview = recorded("refused")
    (mandatory,) = preview.violated
    assert (mandatory.policy, mandatory.resource) == ("uploads-nginx-size", "immich/immich-proxy")
    assert mandatory.message.startswith("immich/immich-proxy (kubernetes:core/v1:ConfigMap)")
    assert "uploads-nginx-size" not in preview.passed
    assert not preview.succeeded
    assert {one.resource for one in preview.findings if one.level == "advisory"} == {"the stack"}


def test_what_the_program_says_of_a_wrong_setting_is_the_error() -> None:
    preview = recorded("wrong-setting")
    (error,) = preview.errors
    assert "immich:server.nosuch" in error
    assert not preview.succeeded


def test_lines_that_are_no_events_are_passed_over_and_an_unfinished_stream_is_told() -> None:
    preview = events.read(["warning: something", "{", "[]", '{"sequence": 1}', '{"resourcePreEvent": 3}'])
    assert preview == events.Preview()
    assert not preview.finished


def test_changes_are_grouped_by_their_component_and_what_goes_comes_first() -> None:
    groups = grouping.by_component(recorded("no-proxy").steps)
    assert [(group.component, group.counts) for group in groups] == [
        ("Platform", {"delete": 1, "update": 1}),
        ("Proxy", {"delete": 3}),
    ]


def test_a_component_that_loses_something_comes_before_those_that_do_not() -> None:
    parents = {
        "create": f"{IMMICH}:Cache::cache",
        "update": f"{IMMICH}:Proxy::proxy",
        "delete": f"{IMMICH}:Server::server",
    }
    steps = [events.Step(op, f"u{op}", "a:b:C", {}, {"parent": parent}) for op, parent in parents.items()]
    assert [group.component for group in grouping.by_component(steps)] == ["Server", "Cache", "Proxy"]


def test_a_component_is_called_by_its_name_too_where_its_type_does_not_say_it() -> None:
    base = step("create", "kubernetes:core/v1:Secret", "a")
    named = events.Step("create", base.urn, base.type, {}, {"parent": f"{IMMICH}:Backup::nightly"})
    rootless = events.Step(
        "create", base.urn, base.type, {}, {"parent": "urn:x::y::pulumi:pulumi:Stack::y-x"}
    )
    assert [grouping.component_of(one) for one in (base, named, rootless)] == [
        "Server",
        "Backup nightly",
        "stack",
    ]


def test_a_protected_claim_that_would_be_replaced_touches_data_and_loses() -> None:
    touched = data.touches(recorded("other-media").steps)
    first = touched[0]
    assert (first.step.name, first.step.op, first.why, first.loses) == (
        "immich/immich-media",
        "replace",
        "protected",
        True,
    )
    assert {one.step.kind for one in touched} >= {"PersistentVolume", "PersistentVolumeClaim"}


def test_an_image_of_the_server_touches_no_data() -> None:
    assert data.touches(recorded("downgrade").steps) == []


@pytest.mark.parametrize(
    ("op", "kind", "urn", "paths", "why"),
    [
        ("update", "docker:index/volume:Volume", "Server$x::media", (), "a volume"),
        ("update", "kubernetes:postgresql.cnpg.io/v1:Cluster", "Database$x::db", (), "database"),
        (
            "update",
            "kubernetes:apps/v1:StatefulSet",
            "Database$x::db",
            ("spec.replicas",),
            "runs the database",
        ),
        ("create", "kubernetes:core/v1:Service", "Database$x::db", (), ""),
        (
            "update",
            "docker:index/container:Container",
            "Server$x::s",
            ("mounts[0].target",),
            "what it mounts changes",
        ),
        ("replace", "docker:index/container:Container", "Server$x::s", ("mounts",), "what it mounts changes"),
        ("update", "docker:index/container:Container", "Server$x::s", ("envs[0]", "uploads[0].content"), ""),
        ("create", "kubernetes:apps/v1:Deployment", "Server$x::s", (), ""),
    ],
)
def test_what_touches_data_is_told_with_its_reason(
    op: str, kind: str, urn: str, paths: tuple[str, ...], why: str
) -> None:
    assert data.reason(events.Step(op, f"{IMMICH}:{urn}", kind, {}, {}, paths)) == why


def test_protection_that_is_only_now_given_does_not_count_as_the_engine_s_refusal() -> None:
    kind = "kubernetes:core/v1:ConfigMap"
    assert not events.Step("delete", "u", kind, {"protect": False}, {"protect": True}).protected
    assert events.Step("delete", "u", kind, {"protect": True}, {}).protected
    assert events.Step("create", "u", kind, {}, {"protect": True}).protected


def test_both_images_of_a_release_are_told_with_its_notes_and_as_a_downgrade() -> None:
    found = images.changes(recorded("downgrade").steps)
    assert [one.repository for one in found] == ["ghcr.io/immich-app/immich-machine-learning", SERVER]
    assert all(one.links == ["https://github.com/immich-app/immich/releases/tag/v3.3.0"] for one in found)
    assert all(one.downgrade for one in found)


def test_an_image_that_stays_is_not_told() -> None:
    same: dict[str, object] = {"inputs": {"spec": {"containers": [{"image": f"{SERVER}:v3.3.1"}]}}}
    assert images.changes([step("update", "kubernetes:apps/v1:Deployment", "s", old=same, **same)]) == []


def test_a_later_release_is_no_downgrade_and_one_of_another_program_never_is() -> None:
    def changed(repository: str, before: str, after: str) -> images.Change:
        old: dict[str, object] = {"inputs": {"image": f"{repository}:{before}"}}
        (found,) = images.changes(
            [step("update", "x:y:Z", "s", old=old, inputs={"image": f"{repository}:{after}"})]
        )
        return found

    assert not changed(SERVER, "v3.9.1", "v3.10.0").downgrade
    assert changed(SERVER, "v3.10.0", "v3.9.1").downgrade
    assert not changed("docker.io/valkey/valkey", "9.1.2", "9.1.1").downgrade


@pytest.mark.parametrize(
    ("reference", "address"),
    [
        (f"{SERVER}:v3.3.1@sha256:{'0' * 64}", "https://github.com/immich-app/immich/releases/tag/v3.3.1"),
        (
            "ghcr.io/immich-app/immich-machine-learning:v3.3.1-cuda",
            "https://github.com/immich-app/immich/releases/tag/v3.3.1",
        ),
        ("docker.io/valkey/valkey:9.1.2", "https://github.com/valkey-io/valkey/releases/tag/9.1.2"),
        (
            "docker.io/nginxinc/nginx-unprivileged:1.31.6-alpine",
            "https://github.com/nginx/nginx/releases/tag/release-1.31.6",
        ),
        ("ghcr.io/immich-app/postgres:18-vectorchord1.1.1", "https://github.com/immich-app/base-images"),
        ("ghcr.io/someone/some-thing:1", "https://github.com/someone/some-thing"),
        ("someone/thing:1.2.3", "https://hub.docker.com/r/someone/thing"),
        ("docker.io/library/redis:8", "https://hub.docker.com/_/redis"),
        ("registry.example.com:5000/a/b:1", ""),
    ],
)
def test_every_image_leads_to_what_is_new_in_it(reference: str, address: str) -> None:
    image = images.parse(reference)
    assert image is not None
    assert images.notes(image) == address


@pytest.mark.parametrize("text", ["sha256:" + "0" * 64, "redis", "04da6b54-80e4-46f7-96ec-b56ff0331ba9", ""])
def test_what_names_no_repository_is_no_image(text: str) -> None:
    assert images.parse(text) is None


def test_an_image_of_a_docker_host_is_read_from_its_resource() -> None:
    kind = "docker:index/remoteImage:RemoteImage"
    old: dict[str, object] = {"inputs": {"name": f"{SERVER}:v3.3.0"}}
    (found,) = images.changes([step("replace", kind, "server", old=old, inputs={"name": f"{SERVER}:v3.3.1"})])
    assert [one.tag for one in (*found.before, *found.after)] == ["v3.3.0", "v3.3.1"]


def test_recordings_hold_nothing_of_a_machine() -> None:
    for path in sorted(CASES.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            assert "file://" not in line
            assert "/tmp/" not in line
            assert json.loads(line)
