"""The offline kubernetes plugin against a real API server, driven by the real engine."""

from __future__ import annotations

import json
import threading
import time
import uuid
from pathlib import Path

import pytest
import yaml

from tests.harness.engine import Engine, Missing, Result, find_cli
from tests.harness.kube import Kube
from tests.harness.live_api import LiveApi

pytestmark = [
    pytest.mark.deep(unless_changed=("toolchain/offline/plugins",)),
    pytest.mark.cluster,
    pytest.mark.engine,
]

HEADER = """
import pulumi
import pulumi_kubernetes as k8s
provider = k8s.Provider("cluster", kubeconfig={kubeconfig!r}, **{settings!r})
opts = pulumi.ResourceOptions(provider=provider)
ns = {namespace!r}
"""


class Lab:
    """One project on the cluster, with a namespace of its own."""

    def __init__(self, engine: Engine, kube: Kube) -> None:
        self.engine = engine
        self.kubeconfig = str(kube.kubeconfig)
        self.api = LiveApi(self.kubeconfig)
        self.namespace = kube.new_namespace("plugin")

    def program(self, body: str, **settings: object) -> None:
        self.engine.program(
            HEADER.format(kubeconfig=self.kubeconfig, namespace=self.namespace, settings=settings) + body
        )

    def up(self, body: str, *, check: bool = True, **settings: object) -> Result:
        self.program(body, **settings)
        return self.engine.up(check=check)

    def config_map(self, name: str) -> dict[str, object] | None:
        return self.api.get("v1", "ConfigMap", name, self.namespace)


@pytest.fixture
def lab(kube: Kube, tmp_path: Path) -> Lab:
    cli = find_cli()
    if isinstance(cli, Missing):
        pytest.skip(cli.reason)
    return Lab(Engine.create(tmp_path, cli), kube)


CONFIG = """
k8s.core.v1.ConfigMap("settings", metadata={{"name": "settings", "namespace": ns}}, data={data!r}, opts=opts)
"""


def test_a_second_up_changes_nothing(lab: Lab) -> None:
    body = (
        CONFIG.format(data={"a": "1"})
        + """
k8s.core.v1.Secret("token", metadata={"name": "token", "namespace": ns}, string_data={"t": "words"}, opts=opts)
k8s.core.v1.Service("svc", metadata={"name": "svc", "namespace": ns}, spec={"ports": [{"port": 80}]}, opts=opts)
k8s.core.v1.ServiceAccount("auto", metadata={"namespace": ns}, opts=opts)
"""
    )
    first = lab.up(body)
    assert first.ops == {
        "settings": ["create"], "token": ["create"], "svc": ["create"], "auto": ["create"],
    }  # fmt: skip
    assert lab.up(body).changes == {}
    assert lab.engine.refresh().changes.keys() <= {"settings", "token", "svc", "auto"}
    assert lab.up(body).changes == {}


def test_secret_data_is_in_the_cluster_but_not_in_plain_state(lab: Lab) -> None:
    result = lab.up(
        'k8s.core.v1.Secret("token", metadata={"name": "token", "namespace": ns}, '
        'string_data={"t": "top-secret-words"}, opts=opts)\n'
    )
    stored = json.dumps(lab.engine.export())
    found = lab.api.get("v1", "Secret", "token", lab.namespace)
    assert found is not None
    assert found["data"] == {"t": "dG9wLXNlY3JldC13b3Jkcw=="}
    assert '"ciphertext"' in stored
    assert "top-secret-words" not in stored + result.text
    assert "dG9wLXNlY3JldC13b3Jkcw" not in stored + result.text


def test_a_generated_name_is_kept_by_later_updates(lab: Lab) -> None:
    body = 'k8s.core.v1.ConfigMap("auto", metadata={{"namespace": ns}}, data={{"a": {value!r}}}, opts=opts)\n'
    lab.up(body.format(value="1"), enable_config_map_mutable=True)
    before = lab.engine.resources()["auto"]["id"]
    changed = lab.up(body.format(value="2"), enable_config_map_mutable=True)
    assert changed.changes == {"auto": ["update"]}
    assert lab.engine.resources()["auto"]["id"] == before
    assert before.startswith(f"{lab.namespace}/auto-")


def test_a_mutable_config_map_is_updated_in_place_and_loses_removed_keys(lab: Lab) -> None:
    lab.up(CONFIG.format(data={"a": "1", "b": "2"}), enable_config_map_mutable=True)
    before = lab.config_map("settings")
    changed = lab.up(CONFIG.format(data={"a": "3"}), enable_config_map_mutable=True)
    after = lab.config_map("settings")
    assert before is not None
    assert after is not None
    assert changed.changes == {"settings": ["update"]}
    assert after["data"] == {"a": "3"}
    assert after["metadata"]["uid"] == before["metadata"]["uid"]  # pyright: ignore[reportIndexIssue] - JSON of the API


def test_a_config_map_with_a_fixed_name_is_deleted_and_made_anew_when_its_data_changes(lab: Lab) -> None:
    lab.up(CONFIG.format(data={"a": "1"}))
    changed = lab.up(CONFIG.format(data={"a": "2"}))
    after = lab.config_map("settings")
    assert changed.changes == {"settings": ["delete-replaced", "replace", "create-replacement"]}
    assert after is not None
    assert after["data"] == {"a": "2"}


def test_an_object_that_exists_already_is_refused_with_what_to_do(lab: Lab) -> None:
    lab.api.create(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "settings", "namespace": lab.namespace},
        }
    )
    failed = lab.up(CONFIG.format(data={"a": "1"}), check=False)
    assert failed.returncode != 0
    assert f"ConfigMap {lab.namespace}/settings already exists" in failed.text
    assert "pulumi import" in failed.text
    assert "Traceback" not in failed.text
    assert "settings" not in lab.engine.resources()


def test_upsert_takes_over_an_object_that_exists(lab: Lab) -> None:
    lab.api.create(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "settings", "namespace": lab.namespace},
        }
    )
    lab.up(CONFIG.format(data={"a": "1"}), upsert_existing_objects=True)
    found = lab.config_map("settings")
    assert found is not None
    assert found["data"] == {"a": "1"}


def test_refresh_sees_a_manual_change_and_up_undoes_it(lab: Lab) -> None:
    body = CONFIG.format(data={"a": "1"})
    lab.up(body, enable_config_map_mutable=True)
    lab.api.patch(
        "v1",
        "ConfigMap",
        "settings",
        lab.namespace,
        {"data": {"a": "by hand", "other": "x"}},
        field_manager="kubectl",
    )
    lab.engine.refresh()
    assert lab.engine.resources()["settings"]["inputs"]["data"] == {"a": "by hand"}
    assert lab.up(body, enable_config_map_mutable=True).changes == {"settings": ["update"]}
    found = lab.config_map("settings")
    assert found is not None
    assert found["data"]["a"] == "1"  # pyright: ignore[reportIndexIssue] - JSON of the API


def test_a_field_that_someone_else_manages_is_a_conflict_until_it_is_forced(lab: Lab) -> None:
    plain = """
k8s.core.v1.ConfigMap("settings", metadata={"name": "settings", "namespace": ns%s}, data={"a": %r}, opts=opts)
"""
    mutable = {"enable_config_map_mutable": True}
    lab.up(plain % ("", "1"), **mutable)
    lab.up(plain % ("", "2"), **mutable)
    lab.api.patch(
        "v1", "ConfigMap", "settings", lab.namespace, {"data": {"a": "by hand"}}, field_manager="operator"
    )
    refused = lab.up(plain % ("", "3"), check=False, **mutable)
    assert refused.returncode != 0
    assert "someone else manages a field" in refused.text
    assert "operator" in refused.text
    lab.up(plain % (', "annotations": {"pulumi.com/patchForce": "true"}', "3"), **mutable)
    found = lab.config_map("settings")
    assert found is not None
    assert found["data"] == {"a": "3"}


def test_an_object_deleted_by_hand_is_made_again_after_a_refresh(lab: Lab) -> None:
    body = CONFIG.format(data={"a": "1"})
    lab.up(body)
    lab.api.delete("v1", "ConfigMap", "settings", lab.namespace)
    assert lab.engine.up("--refresh").ops["settings"][-1] == "create"
    assert lab.config_map("settings") is not None


def test_an_existing_object_is_imported_and_then_unchanged(lab: Lab) -> None:
    lab.api.create(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "settings", "namespace": lab.namespace, "labels": {"l": "m"}},
            "data": {"a": "1"},
        }
    )
    lab.engine.run(
        "import", "kubernetes:core/v1:ConfigMap", "settings", f"{lab.namespace}/settings",
        "--yes", "--protect=false", "--generate-code=false", "--stack", "test", env={"KUBECONFIG": lab.kubeconfig},
    )  # fmt: skip
    stored = lab.engine.resources()["settings"]["inputs"]
    assert stored["data"] == {"a": "1"}
    assert stored["metadata"] == {"name": "settings", "namespace": lab.namespace, "labels": {"l": "m"}}
    assert "status" not in stored


def test_a_deployment_with_a_new_selector_is_replaced_and_with_new_replicas_updated(lab: Lab) -> None:
    body = """
labels = {"app": %r}
k8s.apps.v1.Deployment("web",
    metadata={"name": "web", "namespace": ns, "annotations": {"pulumi.com/skipAwait": "true"}},
    spec={"replicas": %d, "selector": {"match_labels": labels}, "template": {"metadata": {"labels": labels},
          "spec": {"containers": [{"name": "c", "image": "example.invalid/i:1", "resources": {
              "requests": {"cpu": "0.5", "memory": "1024Mi"}}}]}}}, opts=opts)
"""
    lab.up(body % ("a", 1))
    assert lab.up(body % ("a", 0)).changes == {"web": ["update"]}
    lab.engine.refresh()
    assert lab.up(body % ("a", 0)).changes == {}
    assert "delete-replaced" in lab.up(body % ("b", 0)).changes["web"]


def test_destroy_removes_every_object(lab: Lab) -> None:
    lab.up(CONFIG.format(data={"a": "1"}))
    lab.engine.destroy()
    assert lab.config_map("settings") is None
    assert lab.engine.resources() == {}


def test_a_missing_type_is_one_sentence_that_says_what_to_install(lab: Lab) -> None:
    failed = lab.up(
        'k8s.apiextensions.CustomResource("db", api_version="absent.example.org/v1", kind="Cluster", '
        'metadata={"name": "db", "namespace": ns}, opts=opts)\n',
        check=False,
    )
    assert failed.returncode != 0
    assert "does not know Cluster in absent.example.org/v1" in failed.text
    assert "install the CustomResourceDefinitions of absent.example.org" in failed.text
    assert "Traceback" not in failed.text


@pytest.mark.parametrize("command", ["up", "refresh", "destroy"])
def test_an_unreachable_server_fails_clearly_and_keeps_the_state(lab: Lab, command: str) -> None:
    lab.up(CONFIG.format(data={"a": "1"}), cluster_identifier="one")
    before = lab.engine.resources()
    document = yaml.safe_load(Path(lab.kubeconfig).read_text())
    document["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
    lab.kubeconfig = json.dumps(document)
    if command == "up":
        failed = lab.up(CONFIG.format(data={"a": "2"}), check=False, cluster_identifier="one")
    else:
        lab.program(CONFIG.format(data={"a": "1"}), cluster_identifier="one")
        # A refresh or destroy uses the provider of the state: bring that to the new kubeconfig, then run it.
        lab.engine.up(check=False)
        failed = lab.engine.operate(command, check=False)
    assert failed.returncode != 0
    assert "https://127.0.0.1:9 cannot be reached (connection refused)" in failed.text
    assert "Traceback" not in failed.text
    assert lab.engine.resources().keys() == before.keys()


CRD = """
schema = {{"type": "object", "x_kubernetes_preserve_unknown_fields": True}}
crd = k8s.apiextensions.v1.CustomResourceDefinition("crd", metadata={{"name": "things.{group}"}}, spec={{
    "group": "{group}", "scope": "Namespaced", "names": {{"plural": "things", "singular": "thing", "kind": "Thing"}},
    "versions": [{{"name": "v1", "served": True, "storage": True, "subresources": {{"status": {{}}}},
        "schema": {{"open_apiv3_schema": schema}}}}]}}, opts=opts)
k8s.apiextensions.CustomResource("thing", api_version="{group}/v1", kind="Thing", spec={{"size": 2}},
    metadata={{"name": "thing", "namespace": ns, "annotations": {{"pulumi.com/waitFor": {wait!r}}}}},
    opts=pulumi.ResourceOptions(provider=provider, depends_on=[crd],
        custom_timeouts=pulumi.CustomTimeouts(create={timeout!r}, update={timeout!r})))
"""


def _act_as_controller(
    lab: Lab, group: str, states: list[dict[str, object]], pause: float
) -> threading.Thread:
    def work() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if lab.api.get(f"{group}/v1", "Thing", "thing", lab.namespace) is not None:
                break
            time.sleep(0.1)
        for state in states:
            lab.api.patch_status(f"{group}/v1", "Thing", "thing", lab.namespace, state)
            time.sleep(pause)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_a_custom_resource_is_awaited_until_its_condition_holds(lab: Lab) -> None:
    group = f"{uuid.uuid4().hex[:8]}.example.org"
    wait = json.dumps(["condition=Ready", "jsonpath={.status.phase}=Running"])
    controller = _act_as_controller(
        lab,
        group,
        [
            {"conditions": [{"type": "Ready", "status": "False", "message": "starting"}]},
            {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
        ],
        1.5,
    )
    started = time.monotonic()
    result = lab.up(CRD.format(group=group, wait=wait, timeout="60s"))
    controller.join()
    assert time.monotonic() - started > 1.5
    assert "waiting for the condition Ready=True: starting" in result.text
    assert lab.engine.resources()["thing"]["outputs"]["status"]["phase"] == "Running"
    lab.engine.destroy()


def test_a_custom_resource_that_does_not_become_ready_stays_and_the_next_up_waits_again(lab: Lab) -> None:
    group = f"{uuid.uuid4().hex[:8]}.example.org"
    controller = _act_as_controller(lab, group, [{"conditions": [{"type": "Ready", "status": "False"}]}], 0)
    body = CRD.format(group=group, wait="condition=Ready", timeout="3s")
    failed = lab.up(body, check=False)
    controller.join()
    assert failed.returncode != 0
    assert "not ready after 3 s" in failed.text
    assert lab.engine.resources()["thing"]["initErrors"]
    lab.api.patch_status(
        f"{group}/v1", "Thing", "thing", lab.namespace, {"conditions": [{"type": "Ready", "status": "True"}]}
    )
    assert lab.up(body).changes == {"thing": ["update"]}
    assert "initErrors" not in lab.engine.resources()["thing"]
    lab.engine.destroy()
