"""States that other plugins made: recognised, refused, and continued when asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2 as p

from toolchain import plugin_origin
from toolchain.deployment import Json, resources
from toolchain.failure import ToolchainError
from toolchain.offline.plugins.docker.plugin import DockerProvider
from toolchain.offline.plugins.random import RandomProvider
from toolchain.offline.plugins.server import Servicer
from toolchain.offline.plugins.values import from_struct, to_struct

VOLUME_URN = "urn:pulumi:s::immich::docker:index/volume:Volume::database"
RECORD_URN = "urn:pulumi:s::immich::cloudflare:index/dnsRecord:DnsRecord::photos"
PASSWORD_URN = "urn:pulumi:s::immich::random:index/randomPassword:RandomPassword::database"

OFFICIAL_VOLUME: dict[str, Any] = {
    "urn": VOLUME_URN,
    "type": "docker:index/volume:Volume",
    "custom": True,
    "inputs": {
        "__defaults": [],
        "driver": "local",
        "labels": [{"__defaults": [], "label": "a", "value": "b"}],
        "name": "v",
    },
    "outputs": {
        "__meta": '{"schema_version":"1"}',
        "__pulumi_raw_state_delta": {"obj": {"ps": {"labels": {"arr": {"el": {"0": {"obj": {}}}}}}}},
        "cluster": None,
        "driver": "local",
        "labels": [{"label": "a", "value": "b"}],
        "name": "v",
    },
}
"""As pulumi-docker just after 5.1.0 wrote it."""

PLAIN_INPUTS: dict[str, Any] = {"driver": "local", "labels": [{"label": "a", "value": "b"}], "name": "v"}
RECORD: dict[str, Any] = {
    "urn": RECORD_URN,
    "type": "cloudflare:index/dnsRecord:DnsRecord",
    "outputs": {"name": "photos"},
}


def state(*found: dict[str, Any]) -> Json:
    return {"version": 3, "deployment": {"resources": list(found)}}


def of_offline(found: dict[str, Any]) -> dict[str, Any]:
    bridge = ("__meta", "__pulumi_raw_state_delta")
    return {**found, "outputs": {key: value for key, value in found["outputs"].items() if key not in bridge}}


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[Json]:
    """The states that the backend is given."""
    given: list[Json] = []
    monkeypatch.setattr(plugin_origin, "restore", lambda _stack, what, *_: given.append(what))
    return given


def here(folder: Path, *offline: str) -> Path:
    """A folder with start scripts of these offline plugins."""
    for name in offline:
        (folder / f"pulumi-resource-{name}").touch()
    return folder


@pytest.mark.parametrize(
    ("found", "offline", "says"),
    [
        (OFFICIAL_VOLUME, ("docker",), "docker: made by the official plugin, here is the offline one"),
        (of_offline(OFFICIAL_VOLUME), (), "docker: made by the offline plugin, here is the official one"),
        (RECORD, (), "cloudflare: made by the offline plugin, here is the official one"),
    ],
)
def test_a_state_of_another_plugin_is_refused_with_what_to_do(
    tmp_path: Path, written: list[Json], found: dict[str, Any], offline: tuple[str, ...], says: str
) -> None:
    with pytest.raises(ToolchainError) as told:
        plugin_origin.check("home", state(found), {}, change=False, write=True, own=here(tmp_path, *offline))
    assert says in str(told.value)
    assert "make up STACK=home ARGS=--change-plugins" in str(told.value)
    assert written == []


@pytest.mark.parametrize(
    ("found", "offline"),
    [
        (OFFICIAL_VOLUME, ("cloudflare", "kubernetes")),
        (of_offline(OFFICIAL_VOLUME), ("docker",)),
        ({"urn": PASSWORD_URN, "type": "random:index/randomPassword:RandomPassword", "outputs": {}}, ()),
    ],
)
def test_a_state_of_the_plugins_that_are_here_is_continued_as_it_is(
    tmp_path: Path, written: list[Json], found: dict[str, Any], offline: tuple[str, ...]
) -> None:
    given = state(found)
    assert (
        plugin_origin.check("home", given, {}, change=False, write=True, own=here(tmp_path, *offline))
        is given
    )
    assert plugin_origin.check("home", {}, {}, change=False, write=True, own=tmp_path) == {}
    assert written == []


def test_a_change_that_is_asked_for_leaves_nothing_that_only_the_official_plugins_read(
    tmp_path: Path, written: list[Json]
) -> None:
    own = here(tmp_path, "docker")
    fit = plugin_origin.check("home", state(OFFICIAL_VOLUME), {}, change=True, write=True, own=own)
    assert written == [fit]
    assert resources(fit)[0].inputs == PLAIN_INPUTS
    assert resources(fit)[0].state["outputs"] == {**PLAIN_INPUTS, "cluster": None}
    assert plugin_origin.check("home", fit, {}, change=False, write=True, own=own) is fit


def test_a_preview_that_is_asked_for_writes_nothing(tmp_path: Path, written: list[Json]) -> None:
    given = state(OFFICIAL_VOLUME)
    own = here(tmp_path, "docker")
    assert plugin_origin.check("home", given, {}, change=True, write=False, own=own) is given
    assert written == []


def test_what_the_offline_cloudflare_plugin_noted_is_forgotten_before_the_official_one_goes_on(
    tmp_path: Path, written: list[Json]
) -> None:
    given = state(RECORD, OFFICIAL_VOLUME)
    fit = plugin_origin.check("home", given, {}, change=True, write=True, own=tmp_path)
    assert [found.urn for found in resources(fit)] == [VOLUME_URN]
    assert written == [fit]


class Context:
    """The part of gRPC's context that a plugin uses."""

    def abort(self, code: grpc.StatusCode, details: str) -> None:
        raise AssertionError(f"{code}: {details}")


CONTEXT = cast("grpc.ServicerContext", Context())


def test_the_offline_docker_plugin_reads_what_the_official_one_wrote_without_a_difference() -> None:
    servicer = Servicer(DockerProvider(), "")
    old, inputs = to_struct(OFFICIAL_VOLUME["outputs"]), to_struct(OFFICIAL_VOLUME["inputs"])
    asked = p.DiffRequest(urn=VOLUME_URN, id="v", olds=old, old_inputs=inputs, news=to_struct(PLAIN_INPUTS))
    assert servicer.Diff(asked, CONTEXT).changes == p.DiffResponse.DIFF_NONE
    changed: dict[str, Any] = {**PLAIN_INPUTS, "labels": [{"label": "a", "value": "c"}]}
    asked = p.DiffRequest(urn=VOLUME_URN, id="v", olds=old, old_inputs=inputs, news=to_struct(changed))
    assert servicer.Diff(asked, CONTEXT).changes == p.DiffResponse.DIFF_SOME
    update = p.UpdateRequest(urn=VOLUME_URN, id="v", olds=old, old_inputs=inputs, news=inputs, preview=True)
    assert not [
        key for key in from_struct(servicer.Update(update, CONTEXT).properties) if key.startswith("__p")
    ]


def test_a_password_that_the_official_random_plugin_made_is_kept() -> None:
    servicer = Servicer(RandomProvider(), "")
    given: dict[str, Any] = {"length": 32, "special": False}
    checked = servicer.Check(p.CheckRequest(urn=PASSWORD_URN, news=to_struct(given)), CONTEXT).inputs
    old = to_struct({**given, "__defaults": []})
    asked = p.DiffRequest(
        urn=PASSWORD_URN, id="none", olds=to_struct({"result": "x"}), old_inputs=old, news=checked
    )
    assert servicer.Diff(asked, CONTEXT).changes == p.DiffResponse.DIFF_NONE
    longer = to_struct({"length": 33, "special": False, "__defaults": []})
    asked = p.DiffRequest(
        urn=PASSWORD_URN, id="none", olds=to_struct({"result": "x"}), old_inputs=longer, news=checked
    )
    assert list(servicer.Diff(asked, CONTEXT).replaces) == ["length"]


def test_the_piece_of_an_official_state_is_recognised(tmp_path: Path) -> None:
    piece = Path(__file__).resolve().parents[3] / "shared/proof/states/docker-official-home.json"
    if not piece.is_file():
        pytest.skip("no state of the official plugin beside the checkout")
    given = state(*json.loads(piece.read_text(encoding="utf-8")))
    with pytest.raises(ToolchainError, match="docker: made by the official plugin"):
        plugin_origin.check("home", given, {}, change=False, write=False, own=here(tmp_path, "docker"))
