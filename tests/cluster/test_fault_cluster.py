"""Faults with a cluster: the engine killed amid an up, and the API server gone."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.standins import load_stand_ins
from tests.harness.clones import Clone
from tests.harness.killing import left_after, run_and_kill
from tests.harness.kube import Kube
from tests.harness.objects import Manifest, at
from tests.harness.stacks import Deployment, changes, free_text, require_cli
from toolchain import crds
from toolchain.offline.cluster.lifecycle import Options, start, stop

pytestmark = [
    pytest.mark.deep(
        unless_changed=(
            "toolchain/offline/cluster",
            "tests/harness",
        )
    ),
    pytest.mark.cluster,
    pytest.mark.engine,
]

KINDS = {
    "deployments": "/apis/apps/v1",
    "statefulsets": "/apis/apps/v1",
    "services": "/api/v1",
    "secrets": "/api/v1",
    "configmaps": "/api/v1",
    "persistentvolumeclaims": "/api/v1",
    "serviceaccounts": "/api/v1",
    "networkpolicies": "/apis/networking.k8s.io/v1",
}


def present(kube: Kube, where: str) -> dict[str, list[str]]:
    """Kind -> names of all objects in a namespace."""
    found: dict[str, list[str]] = {}
    for plural, prefix in KINDS.items():
        answer = kube.api.request("GET", f"{prefix}/namespaces/{where}/{plural}")
        assert answer.ok, answer.message
        found[plural] = sorted(str(at(one, "metadata", "name")) for one in answer.body["items"])
    return found


def secret(kube: Kube, where: str, name: str) -> Manifest:
    answer = kube.api.request("GET", f"/api/v1/namespaces/{where}/secrets/{name}")
    assert answer.ok, answer.message
    return answer.body["data"]


@pytest.mark.parametrize("seed", [11, 12])
def test_make_up_after_a_killed_one_converges_without_doubles(kube: Kube, tmp_path: Path, seed: int) -> None:
    """The person runs the same command again and need not know that anything was left behind."""
    chance = random.Random(seed)
    clone = Clone.create(tmp_path, require_cli())
    clone.env["KUBECONFIG"] = str(kube.kubeconfig)
    where = f"killed-{free_text()}"
    # `make` asks the policy pack first, which wants a dump.
    settings = {
        "config": {"immich:kubernetes": {"target": "cluster", "namespace": where}, "immich:backup": {}}
    }
    (clone.directory / "Pulumi.fault.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    chosen, created = chance.randrange(2, 26), 0

    def when(line: str) -> bool:
        nonlocal created
        created += " creating (0s)" in line and "kubernetes:" in line
        return created >= chosen

    up = [sys.executable, "-m", "toolchain.stack", "up", "fault"]
    run_and_kill(up, clone.directory, clone.env, when)
    assert left_after(clone.directory) == []
    half = present(kube, where)

    done = clone.make("up", "fault")
    assert done.returncode == 0, done.text
    assert "was killed" in done.text
    again = clone.make("up", "fault")
    assert again.returncode == 0
    assert "was killed" not in again.text
    assert "pending" not in again.text
    assert "created" not in again.text

    whole = present(kube, where)
    assert len(whole["deployments"]) == 3
    assert len(whole["statefulsets"]) == 2
    # What the killed run had made is still the same, and there is nothing that the program does not know.
    assert {(kind, name) for kind, names in half.items() for name in names} <= {
        (kind, name) for kind, names in whole.items() for name in names
    }
    assert all(len(names) == len(set(names)) for names in whole.values())
    state = clone.pulumi("stack", "--show-urns", "--stack", "fault").text
    for kind, names in whole.items():
        for name in names:
            assert f"{where}/{name}" in state, f"{kind} {name} is not in the state"


@pytest.fixture
def own(cluster_parts: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kube, Options]]:
    """An API server that only this test has, to be stopped and started."""
    root, options = tmp_path_factory.mktemp("cluster"), Options(crds=crds.find())
    try:
        yield Kube(start(root, options, lambda _line: None)), options
    finally:
        stop(root)


def test_an_api_server_that_goes_away_amid_an_up_is_told_and_nothing_is_forgotten(
    own: tuple[Kube, Options], tmp_path: Path
) -> None:
    kube, options = own
    load_stand_ins(kube.api)
    sections: dict[str, Any] = {"kubernetes": {"namespace": "gone"}}
    stack = Deployment.create(tmp_path, require_cli(), "gone", sections, kubeconfig=kube.kubeconfig)
    lines: list[str] = []
    with stack.engine.begin("up", "--yes", "--skip-preview") as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if any(f"{one} created" in line for one in ("gone/immich-media", "gone/immich-cache")):
                kube.api.close()
                assert stop(kube.status.root, keep=True)
                break
        lines.append(process.stdout.read())
    said = "".join(lines)
    assert process.returncode != 0
    assert "cannot be reached" in said
    assert "check that the cluster runs" in said
    assert "Traceback" not in said
    known = {one.urn for one in stack.state() if one.type.startswith("kubernetes:")}
    assert len(known) >= 2

    # While it is away, a preview and an up say so, and keep the state.
    contents = stack.contents()
    for command in ("preview", "up", "refresh"):
        away = stack.do(command, check=False)
        # A preview needs no answer, but says that an update would fail.
        assert (away.returncode == 0) == (command == "preview"), command
        assert "cannot be reached" in away.text, command
        assert "Traceback" not in away.text
    assert stack.contents() == contents, "the state changed while the API server was away"

    # It is back, at another address, with what it had.
    back = replace(kube, status=start(kube.status.root, options, lambda _line: None))
    stack.up()
    assert known <= {one.urn for one in stack.state()}
    assert changes(stack.up("--refresh", "--expect-no-changes")) == {}
    whole = present(back, "gone")
    back.api.close()
    assert len(whole["deployments"]) == 3
    assert len(whole["statefulsets"]) == 2


def test_a_cluster_that_is_not_there_is_told_before_anything_is_made(
    tmp_path: Path, cluster_parts: None
) -> None:
    nowhere = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "nowhere",
        # Port 9 is discard's, and nobody listens there.
        "clusters": [{"name": "nowhere", "cluster": {"server": "https://127.0.0.1:9"}}],
        "contexts": [{"name": "nowhere", "context": {"cluster": "nowhere", "user": "nobody"}}],
        "users": [{"name": "nobody", "user": {"token": "nothing"}}],
    }
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(nowhere), encoding="utf-8")
    stack = Deployment.create(
        tmp_path / "stack",
        require_cli(),
        "nowhere",
        {"host": {"name": "photos.example.com"}},
        kubeconfig=kubeconfig,
    )
    for command in ("preview", "up"):
        refused = stack.do(command, check=False)
        assert (refused.returncode == 0) == (command == "preview"), command
        assert "https://127.0.0.1:9 cannot be reached" in refused.text
        assert "Traceback" not in refused.text
    assert not [one for one in stack.state() if one.type.startswith("kubernetes:")]
    stack.change("kubernetes", context="elsewhere")
    wrong = stack.do("preview", check=False)
    assert wrong.returncode != 0
    assert "no context 'elsewhere'" in wrong.text
    assert "nowhere" in wrong.text
