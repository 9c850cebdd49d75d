"""Programs of somebody else, as in examples/: what each registers, with which provider, and who gets through."""

from __future__ import annotations

import functools
import re
import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from components.model.naming import selector
from tests.harness import mocks
from tests.harness.mocks import Recorded, Run, Secret
from tests.harness.policy_eval import Outside, Pod, open_between
from tests.harness.program import texts, unwrapped

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted(path.parent.name for path in ROOT.glob("examples/*/__main__.py"))
CONFIG = {"project:accountId": "0" * 32, "project:zoneId": "1" * 32, "project:apiToken": "a" * 40}
DATA = re.compile(r"(db|photos-cache|family-cache|club-cache|media)$")
pytestmark = pytest.mark.filterwarnings("ignore:cloudflare.index:DeprecationWarning")
POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"


def computed(resource: Recorded) -> Mapping[str, Any]:
    if resource.type == "random:index/randomPassword:RandomPassword":
        return {"result": f"made-{resource.name}"}
    if resource.type == "docker:index/remoteImage:RemoteImage":
        return {"imageId": "sha256:1"}
    if resource.type == "docker:index/container:Container":
        return {"exitCode": 0}
    if resource.type.endswith(":ZeroTrustAccessApplication"):
        return {"aud": "audience"}
    return {}


@functools.cache
def ran(name: str, *, preview: bool = False) -> Run:
    program = ROOT / "examples" / name / "__main__.py"
    return mocks.run(
        lambda: runpy.run_path(str(program), run_name="__main__"),
        project="project",
        config=CONFIG,
        secret_keys=["project:apiToken"],
        preview=preview,
        computed=computed,
    )


def manifest(run: Run, kind: str, name: str) -> dict[str, Any]:
    found = [one for one in run.resources if one.props.get("kind") == kind]
    (one,) = [one for one in found if one.props["metadata"]["name"] == name]
    return unwrapped(one.props)


def pod(namespace: str, workload: str) -> Pod:
    return Pod(namespace, selector(workload))


def policies(run: Run) -> list[dict[str, Any]]:
    return [unwrapped(one.props) for one in run.of_type(POLICY)]


@pytest.mark.parametrize("preview", [False, True], ids=["up", "preview"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_nothing_goes_to_a_default_provider_of_a_cluster_an_engine_or_cloudflare(
    name: str, preview: bool
) -> None:
    run = ran(name, preview=preview)
    ours = [
        one
        for one in run.resources
        if one.custom and one.type.split(":")[0] in {"kubernetes", "docker", "cloudflare"}
    ]
    assert ours
    assert [one.urn for one in ours if not one.provider] == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_holds_data_is_protected_and_passwords_are_secret(name: str) -> None:
    run = ran(name)
    kinds = ("kubernetes:core/v1:PersistentVolumeClaim", "docker:index/volume:Volume")
    data = [one for one in run.of_type(*kinds) if DATA.search(one.name) and "-secret-" not in one.name]
    assert [one.urn for one in data if not one.protect] == []
    assert bool(data) == name.startswith(("database", "two", "managed"))
    shown = [text for one in run.resources for text in texts(one.props) if text.startswith("made-")]
    assert shown == []


def test_a_database_alone_is_reached_from_the_namespace_that_is_allowed_and_from_nowhere_else() -> None:
    found = policies(ran("database"))
    database = pod("photo-data", "photos-db")
    immich = Pod("photos", {})
    assert open_between(found, immich, database, 5432)
    assert not open_between(found, Pod("other", {}), database, 5432)
    assert not open_between(found, Outside("192.0.2.1"), database, 5432)


def test_outputs_of_other_resources_reach_what_is_registered() -> None:
    claim = manifest(ran("database"), "PersistentVolumeClaim", "immich-photos-db")
    assert claim["spec"]["storageClassName"] == "fast"
    server = manifest(ran("managed-database"), "Deployment", "immich-server")
    env = {
        one["name"]: one.get("value") for one in server["spec"]["template"]["spec"]["containers"][0]["env"]
    }
    assert env["DB_HOSTNAME"] == "instance-id.eu-central-1.rds.amazonaws.com"
    assert env["DB_SSL_MODE"] == "verify-full"
    nginx = manifest(ran("proxy"), "ConfigMap", "immich-photos-proxy")
    assert "immich-server.photos.svc.cluster.local:2283" in nginx["data"]["nginx.conf"]


def test_a_network_of_the_engine_that_is_allowed_is_joined() -> None:
    run = ran("database-on-a-host")
    (database,) = [
        one
        for one in run.of_type("docker:index/container:Container")
        if one.name == "immich-photo-data-photos-db"
    ]
    names = [one["name"] for one in unwrapped(database.props)["networksAdvanced"]]
    assert "photos" in names
    assert run.outputs["database"] == "immich-photo-data-photos-db"
    assert run.outputs["cache"] == "redis://immich-photo-data-photos-cache:6379/0"


def test_two_deployments_share_no_object_and_do_not_reach_each_other() -> None:
    found = policies(ran("two-deployments"))
    family = pod("family-photos", "family-server")
    for name, port in (("db", 5432), ("cache", 6379), ("ml", 3003)):
        assert open_between(found, family, pod("family-photos", f"family-{name}"), port)
        assert not open_between(found, family, pod("club-photos", f"club-{name}"), port)


def test_a_component_tells_what_others_need_of_it() -> None:
    outputs = ran("database").outputs
    assert outputs["host"] == "immich-photos-db.photo-data.svc.cluster.local"
    assert outputs["password"] == Secret("made-photos-db-database-password")
    assert ran("proxy").outputs == {"urls": ["http://photos.example.com"]}
    assert ran("cloudflare-tunnel").outputs == {
        "tunnelId": "photos-tunnel-id",
        "hostnames": ["photos.example.com"],
    }
