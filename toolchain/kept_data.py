"""What holds data and leaves the settings: how to let go of it, and how it comes back.

The engine refuses to delete it in the preview, one resource at a time. Once let go of, it stays on the cluster under
its name, where nothing of that name can be created.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from toolchain.deployment import Json, Resource, items, mapping, mentioning, resources
from toolchain.interrupted import adopt
from toolchain.paths import ROOT
from toolchain.progress import warn

if TYPE_CHECKING:
    from toolchain.offline.plugins.kubernetes.client import Client

_KINDS: Final = ("PersistentVolume", "PersistentVolumeClaim")


_KEEP: Final = (
    "(umask 077; pulumi stack export --show-secrets --stack {stack} --file .toolchain/passwords-{stack}.json)"
)
"""A random password is in the state and nowhere else: this file has it afterwards."""


def letting_go(stack: str, found: Iterable[Resource]) -> list[str]:
    """Commands after which the engine forgets these resources when they are not in the program."""
    return [f"pulumi state unprotect --stack {stack} --yes {shlex.quote(one.urn)}" for one in found]


def refused(stack: str, state: Json | None, env: Mapping[str, str], cwd: Path = ROOT) -> list[str]:
    """Lines for the person after a plan that failed: what holds data and is no longer asked for; none without any."""
    kept = [one for one in resources(state) if one.flag("protect")]
    plan = _plan(stack, env, cwd) if kept else []
    if not any(op == "delete" for op, _, _ in plan):
        return []
    # The engine's plan ends at the first that it refuses.
    asked = {new.urn for op, _, new in plan if op != "delete"}
    leaving = [one for one in kept if one.urn not in asked]
    if not leaving:
        return []
    width = max(len(one.type) for one in leaving)
    return [
        "",
        f"What holds data is not in the settings any more ({len(leaving)}). Nothing was changed:",
        *(f"  {one.type:<{width}}  {one.name}" for one in leaving),
        f"Put it back into Pulumi.{stack}.yaml, or let go of it. It then stays where it is, with its data:",
        '  eval "$(make -s env)"',
        *(
            ["  " + _KEEP.format(stack=stack)]
            if any(one.type.startswith("random:") for one in leaving)
            else []
        ),
        *(f"  {line}" for line in letting_go(stack, leaving)),
        f"  make up STACK={stack}",
        "With the same settings a later update takes it back.",
    ]


def take_back(stack: str, state: Json, client: Client, env: Mapping[str, str], cwd: Path = ROOT) -> None:
    """Put claims and volumes of this stack that are on the cluster, but not in its state, into the state again.

    Only those that the settings ask for under the same name. Without any of them nothing is planned.
    """
    from toolchain.offline.plugins.kubernetes.objects import identifier
    from toolchain.offline.plugins.provider import ProviderError
    from toolchain.offline.plugins.values import as_object, plain

    known = {one.text("id") for one in resources(state)}
    try:
        there = {one for one in _present(stack, client) if one[1] not in known}
    except ProviderError:
        return  # Who may not list them finds them taken, if they are there.
    if not known or not there:
        return
    made = [new for op, _, new in _plan(stack, env, cwd) if op == "create"]
    wanted = [
        Resource({**new.state, "id": found})
        for new in made
        if (new.type, found := identifier(as_object(plain(new.inputs)))) in there
    ]
    if wanted:
        warn(f"{len(wanted)} claims and volumes of {stack} are on the cluster still: they are taken back")
        adopt(stack, state, _with_components(wanted, made, state), env, cwd)


def _with_components(wanted: list[Resource], made: list[Resource], state: Json) -> list[Resource]:
    """The components that they are children of, where the state has them no more, before them; no mention of others."""
    planned = {one.urn: one for one in made if not one.flag("custom")}
    above: dict[str, Resource] = {}
    for one in wanted:
        chain: list[Resource] = []
        while (parent := planned.get((chain or [one])[-1].text("parent"))) is not None:
            chain.append(parent)
        above |= {component.urn: component for component in reversed(chain)}
    found = [*above.values(), *wanted]
    known = frozenset(one.urn for one in (*resources(state), *found))
    return [Resource(mentioning(one.state, known)) for one in found]


def _present(stack: str, client: Client) -> Iterable[tuple[str, str]]:
    from toolchain.offline.plugins.kubernetes.objects import GroupKind, identifier

    selector = f"app.kubernetes.io/name=immich,app.kubernetes.io/instance={stack}"
    for kind in _KINDS:
        for one in client.list(GroupKind("v1", kind), labelSelector=selector):
            yield f"kubernetes:core/v1:{kind}", identifier(one)


def _plan(stack: str, env: Mapping[str, str], cwd: Path) -> list[tuple[str, Resource, Resource]]:
    """Operation, resource before and after of each step that the engine plans, also where it refuses some."""
    command = ["pulumi", "preview", "--json", "--show-sames", "--stack", stack, "--non-interactive"]
    answer = subprocess.run(command, cwd=cwd, env=dict(env), capture_output=True, text=True, check=False)
    try:
        steps = [mapping(step) for step in items(mapping(json.loads(answer.stdout)).get("steps"))]
    except ValueError:
        return []  # The program failed, and said why.
    return [
        (
            str(step.get("op")),
            Resource(mapping(step.get("oldState"))),
            Resource(mapping(step.get("newState"))),
        )
        for step in steps
    ]
