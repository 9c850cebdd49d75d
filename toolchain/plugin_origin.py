"""Which plugins made a stack's state, and what continuing it with others needs.

The official plugins of Docker and Cloudflare are built on Pulumi's Terraform bridge, which leaves `__meta` and
`__pulumi_raw_state_delta` in the outputs that it writes (pulumi-terraform-bridge, unstable/reservedkeys); the offline
ones leave neither. The plugins of Kubernetes and random continue each other's states as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from toolchain.deployment import Json, Resource, items, mapping, resources, restore, without
from toolchain.failure import ToolchainError
from toolchain.paths import BIN, ROOT

CHANGE: Final = "--change-plugins"
"""Option of `make up`, `make preview`, `make refresh` and `make destroy`: continue with the plugins that are here."""

_BRIDGED: Final = ("cloudflare", "docker")
_MADE_UP: Final = "cloudflare"
"""The offline plugin that reaches nothing: what it made exists in the state only."""


def check(
    stack: str,
    state: Json,
    env: Mapping[str, str],
    *,
    change: bool,
    write: bool,
    own: Path = BIN,
    cwd: Path = ROOT,
) -> Json:
    """The state to continue with. Raises ToolchainError where other plugins than those here made it, unless `change`.

    With `change` and `write` the state is made fit for the plugins that are here: without what only the official ones
    read, and without objects that the offline Cloudflare plugin only noted.
    """
    found = resources(state)
    other = [
        name for name in _BRIDGED if _official(name, found) is (own / f"pulumi-resource-{name}").is_file()
    ]
    if not other:
        return state
    if not change:
        raise ToolchainError(_refusal(stack, other, found))
    if not write:
        return state
    noted = _of(_MADE_UP, found) if _MADE_UP in other and not _official(_MADE_UP, found) else []
    kept = without(state, frozenset(item.urn for item in noted))
    fit = {**kept, "deployment": _plain(mapping(kept.get("deployment")))}
    restore(stack, fit, env, cwd)
    return fit


def _of(name: str, found: list[Resource]) -> list[Resource]:
    return [item for item in found if item.type.startswith(f"{name}:")]


def _official(name: str, found: list[Resource]) -> bool | None:
    """Whether the official plugin made any of these resources; None where there are none of this package."""
    from toolchain.offline.plugins.values import BRIDGE_OUTPUTS

    own = _of(name, found)
    if not own:
        return None
    return any(key in mapping(item.state.get("outputs")) for item in own for key in BRIDGE_OUTPUTS)


def _refusal(stack: str, other: list[str], found: list[Resource]) -> str:
    lines = ["Other plugins than those of this machine made the state of the stack " + stack + ":"]
    for name in other:
        made, here = ("official", "offline") if _official(name, found) else ("offline", "official")
        lines.append(f"  {name}: made by the {made} plugin, here is the {here} one")
        if name == _MADE_UP:
            lines.append(
                "    the offline one does not reach Cloudflare: its objects exist in the state only"
                + ("" if made == "official" else ", and would be created")
            )
    lines.append("Nothing was planned or changed.")
    if any(_official(name, found) for name in other):
        lines.append(
            "The official plugins, where they can be downloaded: rm -rf .toolchain/failed && make setup"
        )
    lines.append(f"To continue with those that are here: make up STACK={stack} ARGS={CHANGE}")
    return "\n".join(lines)


def _plain(deployment: Json) -> Json:
    from toolchain.offline.plugins.values import as_object, plain, without_bridge_keys

    listed = [mapping(item) for item in items(deployment.get("resources"))]
    return {
        **deployment,
        "resources": [
            item
            | {
                key: without_bridge_keys(as_object(plain(item[key])))
                for key in ("inputs", "outputs")
                if key in item
            }
            for item in listed
        ],
    }
