"""`python -m toolchain.baseline STACK`: measure, keep, compare with the last run."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Sequence

from components.machine_learning.settings import BundledMachineLearning
from components.proxy.doors import widest
from toolchain.baseline import store
from toolchain.baseline.measure import PICTURES, measure, session
from toolchain.failure import ToolchainError, exit_with
from toolchain.verify.__main__ import connections
from toolchain.verify.checks.doors import site
from toolchain.verify.opening import open_target
from toolchain.verify.target import VARIABLE, Options, Target


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """The command line. It ends the process with 2 for a mistake."""
    parser = argparse.ArgumentParser(
        allow_abbrev=False,
        prog="python -m toolchain.baseline",
        description="Measure uploads, thumbnails, search and machine learning, and compare with the last run.",
    )
    parser.add_argument("stack", help="its settings are in Pulumi.STACK.yaml")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument(
        "--door", choices=("internet", "lan", "cluster"), help="the door to come by; else the widest"
    )
    parser.add_argument("--pictures", type=int, default=PICTURES, help=f"how many (default {PICTURES})")
    parser.add_argument("--api-key-env", default=VARIABLE, help="variable with a key of Immich's API")
    parser.add_argument(
        "--connect", action="append", default=[], metavar="HOST:PORT=HOST:PORT",
        help="connect elsewhere than the door's address says; may be repeated",
    )  # fmt: skip
    return parser.parse_args(given)


def run(target: Target, *, pictures: int, as_json: bool) -> str:
    """One run, kept; what to print. ToolchainError without a door, a key, or a single number."""
    door = widest(target.doors)
    if door is None:
        raise ToolchainError(f"The stack {target.stack} has no door to measure through")
    key = target.options.api_key
    if key is None:
        raise ToolchainError(
            f"{target.options.api_key_variable} is not set: name the administrator in immich:setup, which makes a key "
            "for this; or give one of Immich's API (Account Settings > API Keys) with asset.upload, asset.view, "
            "asset.read and asset.delete, and job.read for the time of machine learning"
        )
    with session(target.wire, site(target, door), key) as opened:
        found = measure(opened, pictures=pictures, gpu=_has_gpu(target))
    if all(one.value is None for one in found):
        raise ToolchainError(f"Nothing could be measured by {door.url}: {found[0].what}")
    path = store.file(target.stack)
    runs = store.read(path)
    before = runs[-1] if runs else None
    store.append(path, store.run_of(time.time(), target.settings.server.version, found))
    if as_json:
        return json.dumps(store.data(target.stack, found, before), indent=2)
    when = "" if before is None else f", {len(runs)} runs before, the last with {before.get('version')}"
    return f"{target.stack} by {door.url}{when}\n\n{store.table(found, before)}"


def _has_gpu(target: Target) -> bool:
    settings = target.settings.machine_learning
    return isinstance(settings, BundledMachineLearning) and settings.backend != "cpu"


def main() -> int:
    """`python -m toolchain.baseline STACK`."""
    given = arguments(sys.argv[1:])
    if not 1 <= given.pictures <= 1000:
        raise ToolchainError(f"--pictures {given.pictures}: expected 1 to 1000")
    options = Options(door=given.door, api_key_variable=given.api_key_env)
    target = open_target(given.stack, options, connections(given.connect))
    print(run(target, pictures=given.pictures, as_json=given.json))
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    exit_with(main)
