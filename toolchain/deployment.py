"""What `pulumi stack export` says, read without knowing more than is needed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from toolchain.failure import ToolchainError
from toolchain.paths import ROOT

Json = dict[str, object]
PROVIDER_PREFIX = "pulumi:providers:"


@dataclass(frozen=True)
class Resource:
    """One resource of a state."""

    state: Json

    def text(self, key: str) -> str:
        """A string property of the state; empty when it is absent."""
        value = self.state.get(key)
        return value if isinstance(value, str) else ""

    @property
    def urn(self) -> str:
        """Its URN."""
        return self.text("urn")

    @property
    def type(self) -> str:
        """Its type token, such as `kubernetes:core/v1:Secret`."""
        return self.text("type")

    @property
    def name(self) -> str:
        """Its Pulumi name."""
        return self.urn.rsplit("::", 1)[-1]

    @property
    def provider(self) -> str:
        """URN of its provider; empty for components and providers."""
        return self.text("provider").rsplit("::", 1)[0]

    @property
    def inputs(self) -> Json:
        """Its inputs; secrets in them are encrypted."""
        return mapping(self.state.get("inputs"))

    def flag(self, key: str) -> bool:
        """A boolean property of the state, such as `protect` or `custom`."""
        return self.state.get(key) is True


def mapping(value: object) -> Json:
    """The value when it is a JSON object, else an empty one."""
    return cast("Json", value) if isinstance(value, dict) else {}


def items(value: object) -> list[object]:
    """The value when it is a JSON array, else an empty one."""
    return cast("list[object]", value) if isinstance(value, list) else []


def export(stack: str, env: Mapping[str, str], cwd: Path = ROOT) -> Json | None:
    """The stack's state with its secrets encrypted; None when the backend does not know the stack."""
    answer = subprocess.run(
        ["pulumi", "stack", "export", "--stack", stack, "--non-interactive"],
        cwd=cwd,
        env=dict(env),
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode == 0:
        return mapping(json.loads(answer.stdout))
    if "no stack named" in answer.stderr:
        return None
    raise ToolchainError(f"The state of the stack {stack} could not be read:\n{answer.stderr.strip()}")


def restore(stack: str, state: Json, env: Mapping[str, str], cwd: Path = ROOT) -> None:
    """Make `state` the stack's state; ToolchainError with the CLI's words when it refuses."""
    answer = subprocess.run(
        ["pulumi", "stack", "import", "--stack", stack, "--non-interactive"],
        cwd=cwd,
        env=dict(env),
        input=json.dumps(state),
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode != 0:
        raise ToolchainError(f"The state of the stack {stack} could not be written:\n{answer.stderr.strip()}")


def output(stack: str, env: Mapping[str, str], *given: str, cwd: Path = ROOT) -> Json | None:
    """The outputs of a stack, or the one that is `given` by name, beside options; None where they cannot be read."""
    answer = subprocess.run(
        ["pulumi", "stack", "output", *given, "--json", "--stack", stack, "--non-interactive"],
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return mapping(json.loads(answer.stdout)) if answer.returncode == 0 else None


def resources(state: Json | None) -> list[Resource]:
    """The resources of a state, in its order."""
    found = items(mapping((state or {}).get("deployment")).get("resources"))
    return [Resource(mapping(entry)) for entry in found]


def without(state: Json, urns: frozenset[str]) -> Json:
    """The state without some resources, and without any mention of them in the others."""
    left = [resource for resource in resources(state) if resource.urn not in urns]
    known = frozenset(resource.urn for resource in left)
    kept = [mentioning(resource.state, known) for resource in left]
    return {**state, "deployment": {**mapping(state.get("deployment")), "resources": kept}}


def mentioning(resource: Json, known: frozenset[str]) -> Json:
    """A resource of a state that mentions no others than these."""
    result = dict(resource)
    for key in ("parent", "deletedWith"):
        if result.get(key) and result[key] not in known:
            del result[key]
    if "dependencies" in result:
        result["dependencies"] = [urn for urn in items(result["dependencies"]) if urn in known]
    if "propertyDependencies" in result:
        result["propertyDependencies"] = {
            name: [urn for urn in items(of) if urn in known]
            for name, of in mapping(result["propertyDependencies"]).items()
        }
    return result
