"""`make bench`: what a preview of this program costs, as a ratio to the preview of an empty Pulumi Python program.

Both run with the same CLI, in turns (A B A B ...), each from a state of its own that is thrown away, and the stacks
render instead of talking to a cluster. Seconds are wall time; memory is the peak of the summed resident sizes of the
CLI and everything that it started, sampled every 20 ms (shared pages count in each process).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from toolchain import environment, policies
from toolchain.deployment import items, mapping
from toolchain.failure import ToolchainError, exit_with
from toolchain.paths import ROOT, VENV, settings_file
from toolchain.rendered import DIRECTORY_VARIABLE
from toolchain.stack import without_salt

_SAMPLE: Final = 0.02  # seconds
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_PROJECT: Final = "name: empty\nruntime:\n  name: python\n  options:\n    virtualenv: {venv}\n"


@dataclass
class Subject:
    """A program that is previewed."""

    name: str
    directory: Path
    stack: str
    options: list[str]
    env: dict[str, str]
    seconds: list[float] = field(default_factory=list[float])
    megabytes: list[float] = field(default_factory=list[float])
    resources: int = 0


@dataclass(frozen=True)
class Row:
    """The result for one program; ratios are to the empty one."""

    program: str
    resources: int
    seconds: float
    seconds_ratio: float
    peak_mb: float
    peak_ratio: float


def tree_rss(root: int) -> int:
    """Resident bytes of a process and its descendants."""
    parents: dict[int, int] = {}
    sizes: dict[int, int] = {}
    if Path("/proc/self/stat").exists():
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue  # it ended meanwhile
                parents[int(entry.name)], sizes[int(entry.name)] = int(fields[1]), int(fields[21]) * _PAGE
    else:
        listing = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid=,rss="], capture_output=True, text=True, check=True
        )
        for line in listing.stdout.splitlines():
            pid, parent, kibibytes = (int(value) for value in line.split())
            parents[pid], sizes[pid] = parent, kibibytes * 1024
    members = {root}
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in members} - members
        members |= more
        grown = bool(more)
    return sum(sizes.get(pid, 0) for pid in members)


def preview(subject: Subject) -> None:
    """Preview once and add seconds, megabytes and the number of resources to the subject."""
    command = ["pulumi", "preview", "--json", "--non-interactive", "--stack", subject.stack, *subject.options]
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        started = time.monotonic()
        process = subprocess.Popen(
            command, cwd=subject.directory, env=subject.env, stdout=output, stderr=errors
        )
        peak = 0
        while process.poll() is None:
            peak = max(peak, tree_rss(process.pid))
            time.sleep(_SAMPLE)
        seconds = time.monotonic() - started
        output.seek(0)
        answer = output.read()
        if process.returncode != 0:
            errors.seek(0)
            raise ToolchainError(
                f"The preview of {subject.name} failed:\n{_messages(answer)}"
                + errors.read()[-2000:].decode(errors="replace")
            )
    subject.seconds.append(seconds)
    subject.megabytes.append(peak / 1e6)
    steps = [mapping(step) for step in items(mapping(json.loads(answer)).get("steps"))]
    subject.resources = sum(1 for step in steps if step.get("op") != "delete")


def _messages(answer: bytes) -> str:
    try:
        digest = mapping(json.loads(answer))
    except ValueError:
        return answer[-2000:].decode(errors="replace")
    return "".join(str(mapping(entry).get("message", "")) for entry in items(digest.get("diagnostics")))


def subjects(
    stacks: list[str], secrets: list[str], scratch: Path, base: Mapping[str, str], *, judged: bool = False
) -> list[Subject]:
    """The empty program first, then one subject a stack, each with a new stack in a backend of its own.

    `judged` adds each stack with an empty policy pack, and with this project's.
    """
    backend = scratch / "state"
    backend.mkdir()
    env = {name: value for name, value in base.items() if name != "KUBECONFIG"}
    env["PULUMI_BACKEND_URL"] = f"file://{backend}"
    empty = scratch / "empty"
    empty.mkdir()
    (empty / "Pulumi.yaml").write_text(_PROJECT.format(venv=json.dumps(str(VENV))), encoding="utf-8")
    (empty / "__main__.py").write_text("", encoding="utf-8")
    found = [Subject("empty program", empty, "empty", [], env)]
    _cli(empty, env, "stack", "init", "empty", "--no-select")
    names = scratch / "names"
    names.mkdir()
    shutil.copy(ROOT / "Pulumi.yaml", names)
    for stack in stacks:
        # A copy of the settings without their own salt: the CLI writes that of this backend's stack into it.
        settings = names / f"Pulumi.{stack}.yaml"
        settings.write_bytes(without_salt(settings_file(stack).read_bytes(), None))
        _cli(names, env, "stack", "init", stack, "--no-select")
        render_env = {**env, DIRECTORY_VARIABLE: str(scratch / "rendered" / stack)}
        for key in (name.removeprefix(f"{stack}:") for name in secrets if name.startswith(f"{stack}:")):
            _cli(
                ROOT,
                env,
                "config",
                "set",
                "--config-file",
                str(settings),
                "--stack",
                stack,
                "--secret",
                key,
                "stand-in",
            )
        found.append(Subject(stack, ROOT, stack, ["--config-file", str(settings)], render_env))
        if not judged:
            continue
        plain = found[-1]
        configuration = scratch / f"{stack}.json"
        configuration.write_text(json.dumps(policies.configuration(stack, settings)), encoding="utf-8")
        for name, pack in (
            ("empty pack", ["--policy-pack", str(_empty_pack(scratch))]),
            ("policies", ["--policy-pack", str(policies.PACK), "--policy-pack-config", str(configuration)]),
        ):
            found.append(Subject(f"{stack}, {name}", ROOT, stack, [*plain.options, *pack], render_env))
    return found


def _empty_pack(scratch: Path) -> Path:
    """A pack with a policy that judges nothing: what of the cost is the start of its process."""
    folder = scratch / "pack"
    folder.mkdir(exist_ok=True)
    (folder / "PulumiPolicy.yaml").write_text("runtime: python\nversion: 1.0.0\n", encoding="utf-8")
    (folder / "__main__.py").write_text(
        "from pulumi_policy import PolicyPack, StackValidationPolicy\n\n"
        "PolicyPack('empty', [StackValidationPolicy('nothing', 'judges nothing', lambda _args, _report: None)])\n",
        encoding="utf-8",
    )
    return folder


def _cli(directory: Path, env: Mapping[str, str], *arguments: str) -> None:
    done = subprocess.run(
        ["pulumi", *arguments, "--non-interactive"],
        cwd=directory,
        env=dict(env),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ToolchainError(f"`pulumi {' '.join(arguments[:2])}` failed:\n{done.stderr.strip()}")


def measure(stacks: list[str], secrets: list[str], rounds: int, *, judged: bool = False) -> list[Row]:
    """Preview everything once unmeasured (caches), then `rounds` times in turns, and compare medians."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        everything = subjects(stacks, secrets, Path(directory), environment.full(), judged=judged)
        for subject in everything:
            preview(subject)
            subject.seconds.clear()
            subject.megabytes.clear()
        for _ in range(rounds):
            for subject in everything:
                preview(subject)
    seconds = statistics.median(everything[0].seconds)
    peak = statistics.median(everything[0].megabytes)
    return [
        Row(
            program=subject.name,
            resources=subject.resources,
            seconds=round(statistics.median(subject.seconds), 3),
            seconds_ratio=round(statistics.median(subject.seconds) / seconds, 2),
            peak_mb=round(statistics.median(subject.megabytes), 1),
            peak_ratio=round(statistics.median(subject.megabytes) / peak, 2),
        )
        for subject in everything
    ]


def main() -> int:
    """Measure and print a table, or JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.preview", description="Cost of a preview.")
    parser.add_argument(
        "stacks", nargs="*", default=["dev", "prod"], help="stacks to preview (default: dev prod)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="measured previews of each (default: 5)")
    parser.add_argument(
        "--secret",
        action="append",
        default=[],
        metavar="STACK:KEY",
        help="secret setting that a stack needs and its file does not hold: a stand-in is set for it",
    )
    parser.add_argument(
        "--policies", action="store_true", help="also with an empty policy pack and with this project's"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args()
    rows = measure(given.stacks, given.secret, given.rounds, judged=given.policies)
    if given.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return 0
    print(f"preview, median of {given.rounds} in turns, Python {sys.version.split()[0]}")
    print(f"{'program':<18}{'resources':>10}{'seconds':>10}{'ratio':>8}{'peak MB':>10}{'ratio':>8}")
    for row in rows:
        print(
            f"{row.program:<18}{row.resources:>10}{row.seconds:>10.2f}{row.seconds_ratio:>8.2f}"
            f"{row.peak_mb:>10.0f}{row.peak_ratio:>8.2f}"
        )
    return 0


if __name__ == "__main__":
    exit_with(main)
