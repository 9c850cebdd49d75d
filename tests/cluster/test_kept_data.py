"""Data that leaves a program and comes back, on a real API server with the real engine: two objects of a component."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from tests.harness.engine import Engine, Missing, find_cli
from tests.harness.kube import Kube
from toolchain import kept_data
from toolchain.offline.plugins.kubernetes.client import Client
from toolchain.offline.plugins.kubernetes.objects import GroupKind
from toolchain.offline.plugins.kubernetes.settings import Settings

pytestmark = [pytest.mark.cluster, pytest.mark.engine]

PROGRAM = """
import pulumi, pulumi_kubernetes as k8s
provider = k8s.Provider("cluster", kubeconfig={kubeconfig!r})
labels = {{"app.kubernetes.io/name": "immich", "app.kubernetes.io/instance": "test"}}
"""
DATA = """
backup = pulumi.ComponentResource("immich:index:Backup", "backup", {{}})
opts = pulumi.ResourceOptions(parent=backup, provider=provider, protect=True, retain_on_delete=True)
name = "{namespace}-photos"
volume = k8s.core.v1.PersistentVolume(name, metadata={{"name": name, "labels": labels}}, opts=opts, spec={{
    "accessModes": ["ReadWriteMany"], "capacity": {{"storage": "1Ti"}},
    "nfs": {{"server": "10.0.0.9", "path": "/photos"}},
    "persistentVolumeReclaimPolicy": "Retain", "claimRef": {{"namespace": "{namespace}", "name": "photos"}}}})
k8s.core.v1.PersistentVolumeClaim("photos", metadata={{"name": "photos", "namespace": "{namespace}", "labels": labels}},
    spec={{"accessModes": ["ReadWriteMany"], "storageClassName": "", "volumeName": name,
           "resources": {{"requests": {{"storage": "1Ti"}}}}}},
    opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[volume])))
"""


def test_what_holds_data_is_let_go_of_by_the_commands_that_are_told_and_taken_back_later(
    kube: Kube, tmp_path: Path
) -> None:
    cli = find_cli()
    if isinstance(cli, Missing):
        pytest.skip(cli.reason)
    engine, namespace = Engine.create(tmp_path, cli, plugins=("kubernetes",)), kube.new_namespace("kept")
    client = Client(Settings(kubeconfig=str(kube.kubeconfig)))
    with_data = (PROGRAM + DATA).format(kubeconfig=str(kube.kubeconfig), namespace=namespace)

    def live() -> list[object]:
        found = [
            client.get(GroupKind("v1", "PersistentVolume"), "", f"{namespace}-photos"),
            client.get(GroupKind("v1", "PersistentVolumeClaim"), namespace, "photos"),
        ]
        return [one and one["metadata"]["uid"] for one in found]  # pyright: ignore  # an object of the API

    engine.program(with_data)
    engine.up()
    born, urns = live(), {one["urn"] for one in engine.resources().values() if one["custom"]}
    assert None not in born
    engine.program(PROGRAM.format(kubeconfig=str(kube.kubeconfig)))
    assert engine.preview(check=False).returncode != 0
    lines = [
        line.strip() for line in kept_data.refused("test", engine.export(), engine.env, engine.directory)
    ]
    commands = [shlex.split(line) for line in lines if line.startswith("pulumi ")]
    # Also the second, although the engine's own plan ends at the first.
    assert {command[-1] for command in commands} == urns
    for command in commands:
        subprocess.run(command, cwd=engine.directory, env=engine.env, check=True, capture_output=True)
    engine.up()
    assert engine.resources() == {}
    assert live() == born

    engine.program(with_data)
    kept_data.take_back("test", engine.export(), client, engine.env, engine.directory)
    assert engine.up().changes == {}
    assert live() == born
    assert all(one["protect"] for one in engine.resources().values() if one["custom"])
