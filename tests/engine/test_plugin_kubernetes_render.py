"""The offline kubernetes plugin writing manifests, driven by the real engine and without any cluster."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path

import pytest
import yaml

from tests.harness.engine import Engine, Missing, find_cli

pytestmark = [pytest.mark.deep(unless_changed=("toolchain/offline/plugins",)), pytest.mark.engine]

HEADER = """
import pulumi
import pulumi_kubernetes as k8s
provider = k8s.Provider("render", render_yaml_to_directory="out")
opts = pulumi.ResourceOptions(provider=provider)
"""
CONFIG = """
k8s.core.v1.ConfigMap("settings", metadata={{"name": "settings", "namespace": "n"}}, data={data!r}, opts=opts)
"""
SETTINGS = "1-manifest/v1-configmap-n-settings.yaml"


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    cli = find_cli()
    if isinstance(cli, Missing):
        pytest.skip(cli.reason)
    return Engine.create(tmp_path, cli)


def out(engine: Engine) -> Path:
    return engine.directory / "out"


def files(engine: Engine) -> set[str]:
    return {str(path.relative_to(out(engine))) for path in out(engine).rglob("*") if path.is_file()}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_manifests_are_named_and_formed_as_the_official_plugin_does(engine: Engine) -> None:
    engine.program(
        HEADER
        + CONFIG.format(data={"a": "1e3", "b": "yes"})
        + """
k8s.apps.v1.Deployment("web", metadata={"name": "web", "namespace": "n"}, spec={"replicas": 2,
    "selector": {"match_labels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {
        "containers": [{"name": "c", "image": "i:1", "ports": [{"container_port": 80}]}]}}}, opts=opts)
k8s.core.v1.Namespace("space", metadata={"name": "n"}, opts=opts)
k8s.apiextensions.v1.CustomResourceDefinition("crd", metadata={"name": "things.example.org"}, spec={
    "group": "example.org", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"},
    "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"open_apiv3_schema": {
        "type": "object", "x_kubernetes_preserve_unknown_fields": True}}}]}, opts=opts)
k8s.apiextensions.CustomResource("thing", api_version="example.org/v1", kind="Thing",
    metadata={"name": "thing", "namespace": "n"}, spec={"size": 2}, opts=opts)
"""
    )
    engine.up()
    assert files(engine) == {
        SETTINGS,
        "1-manifest/apps_v1-deployment-n-web.yaml",
        "1-manifest/v1-namespace-default-n.yaml",
        "1-manifest/example.org_v1-thing-n-thing.yaml",
        "0-crd/apiextensions.k8s.io_v1-customresourcedefinition-default-things.example.org.yaml",
    }
    text = (out(engine) / "1-manifest/apps_v1-deployment-n-web.yaml").read_text()
    assert "replicas: 2\n" in text
    assert "containerPort: 80\n" in text
    assert yaml.safe_load((out(engine) / SETTINGS).read_text())["data"] == {"a": "1e3", "b": "yes"}
    assert "a: '1e3'" in (out(engine) / SETTINGS).read_text()
    crd = next((out(engine) / "0-crd").iterdir()).read_text()
    assert "x-kubernetes-preserve-unknown-fields: true" in crd
    assert engine.up().changes == {}


def test_a_secret_is_readable_by_its_owner_only_and_never_in_plain_state(engine: Engine) -> None:
    engine.program(
        HEADER
        + 'k8s.core.v1.Secret("token", metadata={"name": "t"}, string_data={"t": "top-secret-words"}, opts=opts)\n'
        + CONFIG.format(data={"a": "1"})
    )
    result = engine.up()
    secret = out(engine) / "1-manifest/v1-secret-default-t.yaml"
    assert mode(secret) == 0o600
    assert mode(out(engine) / SETTINGS) == 0o644
    assert yaml.safe_load(secret.read_text())["stringData"] == {"t": "top-secret-words"}
    stored = json.dumps(engine.export())
    assert "ciphertext" in stored
    assert "top-secret-words" not in stored + result.text
    assert "secret value in plain text" in result.text


def test_an_update_rewrites_the_file_and_a_removed_resource_removes_it(engine: Engine) -> None:
    other = CONFIG.replace("settings", "other").format(data={"x": "y"})
    engine.program(HEADER + CONFIG.format(data={"a": "1"}) + other)
    engine.up()
    engine.program(
        HEADER.replace('"out"', '"out", enable_config_map_mutable=True') + CONFIG.format(data={"a": "2"})
    )
    changed = engine.up()
    assert changed.changes == {"settings": ["update"], "other": ["delete"]}
    assert yaml.safe_load((out(engine) / SETTINGS).read_text())["data"] == {"a": "2"}
    assert files(engine) == {SETTINGS}
    engine.destroy()
    assert files(engine) == set()


def test_a_replacement_leaves_the_new_file_in_place(engine: Engine) -> None:
    engine.program(HEADER + CONFIG.format(data={"a": "1"}))
    engine.up()
    engine.program(HEADER + CONFIG.format(data={"a": "2"}))
    assert engine.up().changes == {"settings": ["delete-replaced", "replace", "create-replacement"]}
    assert yaml.safe_load((out(engine) / SETTINGS).read_text())["data"] == {"a": "2"}


def test_a_deleted_directory_is_written_again_by_an_up_with_refresh(engine: Engine) -> None:
    engine.program(HEADER + CONFIG.format(data={"a": "1"}))
    engine.up()
    before = (out(engine) / SETTINGS).read_bytes()
    shutil.rmtree(out(engine))
    engine.up("--refresh")
    assert (out(engine) / SETTINGS).read_bytes() == before
    assert engine.up("--refresh").ops["settings"][-1] == "same"


def test_a_preview_writes_nothing(engine: Engine) -> None:
    engine.program(HEADER + CONFIG.format(data={"a": "1"}))
    assert engine.preview().ops == {"settings": ["create"]}
    assert not out(engine).exists()


def test_a_generated_name_stays_the_same(engine: Engine) -> None:
    body = 'k8s.core.v1.ConfigMap("auto", data={{"a": {value!r}}}, opts=opts)\n'
    header = HEADER.replace('"out"', '"out", enable_config_map_mutable=True')
    engine.program(header + body.format(value="1"))
    engine.up()
    first = files(engine)
    engine.program(header + body.format(value="2"))
    assert engine.up().changes == {"auto": ["update"]}
    assert files(engine) == first
    assert next(iter(first)).startswith("1-manifest/v1-configmap-default-auto-")


def test_disabled_autonaming_asks_for_a_name(engine: Engine) -> None:
    engine.run("config", "set", "--path", "pulumi:autonaming.mode", "disabled", "--stack", "test")
    engine.program(HEADER + 'k8s.core.v1.ConfigMap("auto", data={"a": "1"}, opts=opts)\n')
    failed = engine.up(check=False)
    assert failed.returncode != 0
    assert "auto: autonaming is disabled, so metadata.name must be given" in failed.text


def test_rendering_and_a_context_exclude_each_other(engine: Engine) -> None:
    engine.program(HEADER.replace('"out"', '"out", context="prod"') + CONFIG.format(data={}))
    failed = engine.up(check=False)
    assert failed.returncode != 0
    assert '"context" arg is not compatible with "renderYamlToDirectory" arg' in failed.text


def test_rendering_needs_no_kubeconfig_even_when_the_environment_names_one(engine: Engine) -> None:
    engine.program(HEADER + CONFIG.format(data={"a": "1"}))
    engine.up(env={"KUBECONFIG": "/nonexistent/kubeconfig"})
    assert files(engine) == {SETTINGS}


def test_a_patch_resource_is_refused_with_what_to_use_instead(engine: Engine) -> None:
    engine.program(
        HEADER + 'k8s.core.v1.ConfigMapPatch("p", metadata={"name": "x"}, data={"a": "1"}, opts=opts)\n'
    )
    failed = engine.up(check=False)
    assert failed.returncode != 0
    assert "ConfigMapPatch is a Patch resource" in failed.text
    assert "Traceback" not in failed.text


def test_a_missing_kubeconfig_is_one_sentence(engine: Engine) -> None:
    program = (HEADER + CONFIG.format(data={"a": "1"})).replace('render_yaml_to_directory="out"', "")
    engine.program(program)
    failed = engine.up(check=False, env={"KUBECONFIG": "/nonexistent/kubeconfig"})
    assert failed.returncode != 0
    assert "cannot read the kubeconfig /nonexistent/kubeconfig: No such file or directory" in failed.text
    assert "Traceback" not in failed.text
