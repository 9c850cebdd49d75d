"""`make verify` and `make status` of a stack on a real API server; pods are simulated, so nothing answers in them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.harness.kube import Kube
from tests.harness.stacks import Deployment, free_text, require_cli

pytestmark = [pytest.mark.cluster, pytest.mark.engine]


def told(stack: Deployment, kubeconfig: Path, module: str, *arguments: str) -> dict[str, Any]:
    """What the command line says, with the settings of this stack."""
    root = stack.engine.directory
    # The commands read Pulumi.<stack>.yaml of the project that they are part of.
    code = f"import sys; from pathlib import Path; from toolchain import stack; root = Path({str(root)!r}); "
    code += "stack.settings_file.__defaults__ = (root,); "
    code += f"from {module}.__main__ import main; sys.argv = ['verify', *sys.argv[1:]]; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, stack.engine.stack, "--json", *arguments],
        env={**os.environ, "KUBECONFIG": str(kubeconfig)}, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.stderr == "", done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_pods_and_services_of_a_real_api_server_are_judged(kube_with_nodes: Kube, tmp_path: Path) -> None:
    where = f"verify-{free_text()}"
    sections = {"kubernetes": {"namespace": where}}
    stack = Deployment.create(
        tmp_path, require_cli(), "verify", sections, kubeconfig=kube_with_nodes.kubeconfig
    )
    stack.up()

    def ask(*groups: str) -> dict[tuple[str, str], dict[str, Any]]:
        found = told(stack, kube_with_nodes.kubeconfig, "toolchain.verify", "--only", ",".join(groups))
        return {(one["subject"], one["name"]): one for one in found["checks"]}

    found = ask("containers", "versions", "published-ports")
    assert {one["outcome"] for one in found.values()} == {"pass"}, found
    assert {about for about, _ in found} >= {"container server", "container database", "exposure"}
    # Simulated pods run nothing: what needs one says so, and nothing is called well.
    inside = ask("machine-learning", "inside")
    assert {one["outcome"] for one in inside.values()} <= {"not-checked", "fail"}
    service = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "shortcut", "namespace": where},
        "spec": {"type": "NodePort", "ports": [{"port": 5432}], "selector": {"a": "b"}},
    }  # fmt: skip
    assert kube_with_nodes.api.request("POST", f"/api/v1/namespaces/{where}/services", service).ok
    opened = ask("published-ports")["exposure", "published-ports"]
    assert opened["outcome"] == "fail"
    assert "shortcut (NodePort)" in opened["found"]

    status = told(stack, kube_with_nodes.kubeconfig, "toolchain.status")
    assert {one["workload"] for one in status["components"]} >= {
        "server",
        "database",
        "cache",
        "machine-learning",
    }
    assert {one["health"] for one in status["components"]} == {"healthy"}
    assert status["problems"], "no command can be run in simulated pods"
