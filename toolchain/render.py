"""`make render`: write the whole tree `rendered/<stack>/`, also when the engine would say that nothing changed.

The kubernetes plugin writes a file only when it creates or updates a resource. A stack that renders (its setting
`immich:kubernetes` has `target: render`) has nothing but such files to its Kubernetes resources, so they are taken out
of its state and made again; passwords and everything else stay. A stack that talks to a cluster keeps its state
untouched: the rendering works on a copy in a backend of its own, with IMMICH_RENDER_DIRECTORY telling the program to
render, and stops before anything but Kubernetes manifests and random values would be made. The policy pack is asked
first, as `make preview` does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from toolchain import environment, plugin_origin, policies, rendered
from toolchain.deployment import Json, Resource, export, items, mapping, resources, restore, without
from toolchain.failure import ToolchainError, exit_with
from toolchain.paths import BIN, RENDER_STATE, RENDERED, ROOT, settings_file
from toolchain.rendered import DIRECTORY_VARIABLE, target_of
from toolchain.stack import ensure, run, tidy_settings

_PROVIDER: Final = "pulumi:providers:kubernetes"
_RENDERS: Final = "renderYamlToDirectory"
_HARMLESS: Final = ("kubernetes:", "random:", "pulumi:")
_NO_CHANGE: Final = frozenset({"same", "read", "refresh"})


def renders(found: list[Resource]) -> frozenset[str]:
    """URNs of the providers that write files instead of talking to a cluster."""
    return frozenset(item.urn for item in found if item.type == _PROVIDER and _RENDERS in item.inputs)


def files_only(state: Json | None) -> frozenset[str]:
    """URNs of the resources that are nothing but rendered files."""
    found = resources(state)
    providers = renders(found)
    return frozenset(item.urn for item in found if item.provider in providers)


def of_kubernetes(state: Json | None) -> frozenset[str]:
    """URNs of every Kubernetes resource and Kubernetes provider."""
    return frozenset(
        item.urn for item in resources(state) if item.type == _PROVIDER or item.type.startswith("kubernetes:")
    )


def unwanted(preview: Json, offline: frozenset[str]) -> list[str]:
    """What a previewed rendering would do beyond rendering: `create cloudflare:...::name`, one a step.

    `offline` names the packages whose plugin reaches nothing outside this machine.
    """
    found: list[str] = []
    for step in map(mapping, items(preview.get("steps"))):
        resource = Resource(mapping(step.get("newState")) or mapping(step.get("oldState")))
        operation = str(step.get("op"))
        harmless = resource.type.startswith(_HARMLESS) or resource.type.split(":")[0] in offline
        if operation not in _NO_CHANGE and resource.flag("custom") and not harmless:
            found.append(f"{operation} {resource.type} {resource.name}")
    return found


def _offline_packages() -> frozenset[str]:
    return frozenset(path.name.removeprefix("pulumi-resource-") for path in BIN.glob("pulumi-resource-*"))


def _preview(stack: str, env: Mapping[str, str]) -> Json:
    """What an update would do; `ToolchainError` with the CLI's words where it fails or the policy pack stops it."""
    with policies.options(stack, settings_file(stack)) as judged:
        command = ["pulumi", "preview", "--stack", stack, "--non-interactive", *judged]
        answer = _asked([*command, "--json"], env)
        if answer.returncode == 0:
            return mapping(json.loads(answer.stdout))
        # The digest says nothing of policies.
        answer = _asked(command, env)
    raise ToolchainError(
        f"{(answer.stdout + answer.stderr).strip()}\n\nNothing was rendered: see above what stops {stack}; "
        f"`make preview STACK={stack}` shows it again"
    )


def _asked(command: Sequence[str], env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, env=dict(env), capture_output=True, text=True, check=False)


def _in_place(stack: str, env: Mapping[str, str], directory: Path) -> int:
    state = plugin_origin.check(stack, ensure(stack, env), env, change=False, write=False)
    _preview(stack, env)
    if gone := files_only(state):
        restore(stack, without(state, gone), env)
    rendered.clear(directory)
    return run(["up", "--yes", "--skip-preview", "--stack", stack], env)


def _copy(env: Mapping[str, str], directory: Path) -> dict[str, str]:
    return {**env, "PULUMI_BACKEND_URL": f"file://{RENDER_STATE}", DIRECTORY_VARIABLE: str(directory)}


def _on_a_copy(stack: str, env: Mapping[str, str], directory: Path) -> int:
    RENDER_STATE.mkdir(parents=True, exist_ok=True)
    copy_env = _copy(env, directory)
    original = export(stack, env)
    copy = ensure(stack, copy_env)
    if found := (original if resources(original) else copy):
        restore(stack, without(found, of_kubernetes(found)), copy_env)
    preview = _preview(stack, copy_env)
    if not renders(
        [Resource(mapping(mapping(step).get("newState"))) for step in items(preview.get("steps"))]
    ):
        raise ToolchainError(
            f"The program of the stack {stack} does not render although {DIRECTORY_VARIABLE} is set: nothing was done."
        )
    if stopped := unwanted(preview, _offline_packages()):
        listed = "\n".join(f"  {line}" for line in stopped)
        raise ToolchainError(
            f"Rendering {stack} needs what does not exist yet, and a rendering must not make it:\n{listed}\n"
            f"Run `make up STACK={stack}` first."
        )
    rendered.clear(directory)
    return run(["up", "--yes", "--skip-preview", "--stack", stack], copy_env)


def main() -> int:
    """`python -m toolchain.render STACK`."""
    from toolchain import (
        stack_file,
    )  # only here: setup runs modules of this package before anything is installed

    if not 2 <= len(sys.argv) <= 3:
        raise ToolchainError(
            "usage: python -m toolchain.render STACK [FOLDER]   (make render STACK=... OUTPUT=folder)"
        )
    stack = sys.argv[1]
    path = settings_file(stack)
    # The official plugin refuses to render while a kubeconfig is named.
    env = {name: value for name, value in environment.full(os.environ).items() if name != "KUBECONFIG"}
    directory = RENDERED / stack
    with tidy_settings(path, env), rendered.closed_secrets(directory):
        in_place = target_of(stack_file.read(path).values) == "render"
        way = _in_place if in_place else _on_a_copy
        code = way(stack, env, directory)
    if code == 0:
        count, secrets = len(rendered.manifests(directory)), rendered.set_modes(directory)
        print(f"rendered/{stack}: {count} manifests, {secrets} of them Secrets (mode 0600, git-ignored)")
        if len(sys.argv) == 3:
            _publish(stack, env if in_place else _copy(env, directory), directory, Path(sys.argv[2]))
    return code


def _publish(stack: str, env: Mapping[str, str], directory: Path, output: Path) -> None:
    from toolchain import gitops  # as above

    told = gitops.publish(stack, export(stack, env), directory, output, secrets=env.get("SECRETS") == "yes")
    print(f"{output}: {told.manifests} manifests in {told.waves} waves, kustomization.yaml, flux.yaml")
    if told.left_out:
        print(
            f"{len(told.left_out)} Secrets are not in it: {', '.join(told.left_out)}. The cluster must have them first "
            "(docs/gitops.md); SECRETS=yes writes them as well"
        )


if __name__ == "__main__":
    exit_with(main)
