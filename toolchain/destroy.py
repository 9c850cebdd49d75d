"""`make destroy`: remove what holds no data, then say what stays, why, and how to remove it on purpose."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence

from toolchain import environment, interrupted, plugin_origin
from toolchain.deployment import PROVIDER_PREFIX, Resource, export, mapping, resources
from toolchain.failure import ToolchainError, exit_with
from toolchain.kept_data import letting_go
from toolchain.paths import settings_file
from toolchain.render import files_only
from toolchain.stack import run, tidy_settings


def staying(found: Sequence[Resource]) -> list[Resource]:
    """What a person should know of: protected resources; not what they merely need, such as a provider."""
    return [resource for resource in found if resource.flag("protect")]


def kubernetes_object(resource: Resource) -> str:
    """`kubectl` arguments that name an object, such as `-n immich persistentvolumeclaim/media`; empty for others."""
    if not resource.type.startswith("kubernetes:"):
        return ""
    group_version, _, kind = resource.type.removeprefix("kubernetes:").partition(":")
    group = group_version.rpartition("/")[0]
    suffix = f".{group}" if "." in group else ""
    metadata = mapping(mapping(resource.state.get("outputs")).get("metadata"))
    name, namespace = metadata.get("name"), metadata.get("namespace")
    if not isinstance(name, str):
        return ""
    where = f"-n {shlex.quote(namespace)} " if isinstance(namespace, str) and kind != "Namespace" else ""
    return f"{where}{kind.lower()}{suffix}/{shlex.quote(name)}"


def report(stack: str, left: Sequence[Resource], files: frozenset[str] = frozenset()) -> list[str]:
    """Lines for the person: a table of what stays and the commands that remove it.

    `files` are the URNs of resources that are rendered manifests and nothing more.
    """
    if not left:
        return []
    width = max(len(resource.type) for resource in left)
    lines = ["", f"What holds data stays ({len(left)}):"]
    lines += [f"  {resource.type:<{width}}  {resource.name}" for resource in left]
    lines += ["", "To remove it on purpose, with the data in it, in this order:", '  eval "$(make -s env)"']
    own = (resource for resource in left if not resource.type.startswith(PROVIDER_PREFIX))
    lines += [f"  {line}" for line in letting_go(stack, own)]
    lines.append(f"  pulumi destroy --stack {stack}")
    objects = [
        found for resource in left if resource.urn not in files and (found := kubernetes_object(resource))
    ]
    if objects:
        lines.append("and then in the cluster, because these are retained there even then:")
        lines += [f"  kubectl delete {name}" for name in objects]
    volumes = [resource.name for resource in left if resource.type == "docker:index/volume:Volume"]
    if volumes:
        lines.append("and then on the host, because these are retained there even then:")
        lines += [f"  docker volume rm {shlex.quote(name)}" for name in volumes]
    if any(resource.urn in files for resource in left):
        lines.append(
            f"What was applied to a cluster from rendered/{stack} is still there: no command above reaches it."
        )
    return lines


def main() -> int:
    """`python -m toolchain.destroy STACK [CLI options]`."""
    if len(sys.argv) < 2:
        raise ToolchainError("usage: python -m toolchain.destroy STACK [options of the CLI]")
    stack, *options = sys.argv[1:]
    env = environment.full(os.environ)
    with tidy_settings(settings_file(stack), env):
        interrupted.release_lock(stack, env)
        if (before := export(stack, env)) is None:
            print(f"The stack {stack} does not exist: there is nothing to remove.")
            return 0
        change = plugin_origin.CHANGE in options
        options = [option for option in options if option != plugin_origin.CHANGE]
        before = plugin_origin.check(stack, before, env, change=change, write=True)
        interrupted.repair(stack, before, env)
        code = run(["destroy", "--exclude-protected", "--yes", "--stack", stack, *options], env)
        if code != 0:
            return code
        state = export(stack, env)
        if lines := report(stack, staying(resources(state)), files_only(state)):
            print("\n".join(lines))
    return code


if __name__ == "__main__":
    exit_with(main)
