"""Programs of examples/, previewed by the real engine against a real API server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.engine import ROOT, Engine, Missing, find_cli
from tests.harness.kube import Kube

pytestmark = [pytest.mark.cluster, pytest.mark.engine]

QUICK = ("managed-database",)
CLUSTERS = sorted(
    path.parent.name
    for path in ROOT.glob("examples/*/__main__.py")
    if "KubernetesPlatform" in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.deep) for name in CLUSTERS]
)
def test_an_example_is_previewed_and_nothing_of_it_is_refused(name: str, kube: Kube, tmp_path: Path) -> None:
    cli = find_cli()
    if isinstance(cli, Missing):
        pytest.skip(cli.reason)
    engine = Engine.create(tmp_path, cli)
    engine.env["KUBECONFIG"] = str(kube.kubeconfig)
    engine.program((ROOT / "examples" / name / "__main__.py").read_text(encoding="utf-8"))
    for key, value in {"accountId": "0" * 32, "zoneId": "1" * 32}.items():
        engine.run("config", "set", "--stack", engine.stack, key, value)
    engine.run("config", "set", "--stack", engine.stack, "--secret", "apiToken", "a" * 40)
    done = engine.preview()
    assert {op for ops in done.ops.values() for op in ops} == {"create"}
    assert any(name.endswith("default-deny") for name in done.ops)
