"""The components for programs in other languages: a plugin that the real engine asks for its schema and objects."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml

from tests.harness.engine import ROOT, Engine

pytestmark = pytest.mark.engine

PROGRAM = """
import pulumi, pulumi_kubernetes

render = pulumi_kubernetes.Provider("render", render_yaml_to_directory="rendered")


def remote(kind, name, **arguments):
    props = {"host": None, "url": None, "urls": None, "password": None, **arguments}
    options = pulumi.ResourceOptions(providers=[render])
    return pulumi.ComponentResource(f"immich:index:{kind}", name, props, options, True)


database = remote("Database", "db", namespace="data", settings={"size": "50Gi"}, allowNamespaces=["photos"])
remote("Cache", "cache", namespace="cache")
remote("MachineLearning", "ml", namespace="ml", version="3.3.1", settings={"backend": "cuda"})
remote("Proxy", "edge", namespace="edge", hostnames=["photos.example.com"], server="immich.photos.svc")
pulumi.export("host", database.host)
"""


@pytest.fixture
def engine(tmp_path: Path, cli: Path) -> Engine:
    made = Engine.create(tmp_path, cli, plugins=("kubernetes", "random"))
    shim = tmp_path / "bin" / "pulumi-resource-immich"
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{ROOT / "plugin" / "__main__.py"}" "$@"\n')
    shim.chmod(0o755)
    return made


def test_programs_of_every_language_get_the_components(engine: Engine, tmp_path: Path) -> None:
    schema = json.loads(
        engine.run("package", "get-schema", str(tmp_path / "bin" / "pulumi-resource-immich")).stdout
    )
    found = {token.rsplit(":", 1)[-1]: one for token, one in schema["resources"].items()}
    assert set(found) == {"Cache", "Cloudflare", "Database", "MachineLearning", "Proxy"}
    assert all(one["isComponent"] for one in found.values())
    assert set(found["Database"]["properties"]) == {"host", "port", "username", "password"}
    assert found["Proxy"]["requiredInputs"] == ["hostnames", "server"]

    example = yaml.safe_load(
        (ROOT / "examples" / "other-languages" / "Pulumi.yaml").read_text(encoding="utf-8")
    )
    used = {one["type"]: one["properties"] for one in example["resources"].values()}
    for kind in ("Database", "MachineLearning"):
        assert set(used[f"immich:{kind}"]) <= set(found[kind]["inputProperties"])

    engine.program(PROGRAM)
    done = engine.operate("up")
    assert {op for ops in done.ops.values() for op in ops} == {"create"}
    assert engine.outputs()["host"] == "immich-db.data.svc.cluster.local"
    rendered = {path.name for path in engine.directory.rglob("rendered/**/*.yaml")}
    assert any("statefulset" in name and "immich-db" in name for name in rendered)
    assert any("deployment" in name and "immich-ml" in name for name in rendered)


def test_a_mistake_is_told_by_the_component_that_it_is_in(engine: Engine) -> None:
    engine.program(PROGRAM.replace('namespace="cache"', 'namespace="cache", settings={"siez": "1Gi"}'))
    done = engine.preview(check=False)
    assert done.returncode != 0
    assert "siez" in done.text


def test_a_name_that_no_object_could_have_is_refused_with_what_is_accepted(engine: Engine) -> None:
    engine.program(PROGRAM.replace('"db"', '"photosDb"'))
    done = engine.preview(check=False)
    assert done.returncode != 0
    assert "the name 'photosDb' cannot be part of an object's name" in done.text
