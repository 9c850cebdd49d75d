"""The policy pack in `make up` and `make preview`: where it is, and what it is told of a stack.

The pack judges what is registered and knows no settings. What a stack declares beside that, the largest upload, the
plan at Cloudflare and the pods' networks, is read from `Pulumi.<stack>.yaml` here; exceptions of a stack with their
reasons are in `policy/config/<stack>.json`, in the pack's own form.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, cast

from toolchain.failure import ToolchainError, exit_with
from toolchain.paths import ROOT

if TYPE_CHECKING:
    from components.settings.model import Settings

PACK: Final = ROOT / "policy"
_SETTINGS: Final = "immich-pack"
"""The policy of the pack that has the configuration of all (policy/immich_policy/pack.py)."""


@contextmanager
def options(stack: str, settings: Path, pack: Path = PACK) -> Generator[list[str]]:
    """Options of the CLI that have `stack`, whose settings are the file `settings`, judged by the pack.

    Raises `ToolchainError` for a file of exceptions that cannot be used. Settings with mistakes give no declarations:
    the program reports those.
    """
    with TemporaryDirectory(prefix="immich-policy-") as folder:
        file = Path(folder) / "config.json"
        file.write_text(json.dumps(configuration(stack, settings, pack)), encoding="utf-8")
        yield ["--policy-pack", str(pack), "--policy-pack-config", str(file)]


def configuration(stack: str, settings: Path, pack: Path = PACK) -> dict[str, object]:
    """The pack's configuration for a stack: what it declares, and its exceptions."""
    from toolchain.stack_settings import settings_without_secrets, stack_texts

    told: dict[str, object] = {}
    try:
        found, _ = settings_without_secrets(stack, *stack_texts(settings))
    except ToolchainError:
        pass
    else:
        told = declared(found)
    return {_SETTINGS: told | exceptions(pack / "config" / f"{stack}.json")}


def declared(settings: Settings) -> dict[str, object]:
    """What the pack cannot see in what is registered."""
    from components.proxy.doors import readable

    told: dict[str, object] = {"uploadSize": readable(int(settings.proxy.max_upload.amount))}
    if settings.cloudflare is not None:
        told["cloudflarePlan"] = settings.cloudflare.plan
    if settings.docker is None:
        told["podRanges"] = [str(network) for network in settings.kubernetes.pod_cidrs]
    return told


def exceptions(file: Path) -> dict[str, object]:
    """A stack's own configuration of the pack; empty where there is none. Raises `ToolchainError` for what is none."""
    if not file.is_file():
        return {}
    try:
        document: object = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ToolchainError(f"{file.relative_to(file.parents[2])} is not JSON: {error}") from None
    given = cast("dict[str, object]", document).get(_SETTINGS) if isinstance(document, dict) else None
    if not isinstance(given, dict):
        raise ToolchainError(
            f"{file.relative_to(file.parents[2])} must be an object with the key {_SETTINGS} (docs/policies.md)"
        )
    return cast("dict[str, object]", given)


def main() -> int:
    """`python -m toolchain.policies STACK` prints the pack's configuration, for other commands of the CLI."""
    from toolchain.paths import settings_file

    if len(sys.argv) != 2:
        raise ToolchainError("usage: python -m toolchain.policies STACK")
    print(json.dumps(configuration(sys.argv[1], settings_file(sys.argv[1])), indent=2))
    return 0


if __name__ == "__main__":
    exit_with(main)
