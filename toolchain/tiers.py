"""`make test` and `make test-all`: get what tests need that this machine can have, run every tier, print a table.

A tier is a folder of tests/. `python -m toolchain.tiers [--deep] [tier ...] [-- pytest options]` runs the named ones;
`--deep` adds the tests that are marked `deep` (tests/conftest.py).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from toolchain import crds, environment, programs
from toolchain.failure import ToolchainError, exit_with
from toolchain.offline.cluster import real_node
from toolchain.paths import ROOT, VENV_PYTHON, is_installed
from toolchain.progress import run_visibly, warn

ORDER: Final = ("unit", "policy", "engine", "cluster", "edge", "docker", "node", "data", "monitoring")
"""Cheapest first."""
BUDGETS: Final[Mapping[str, int]] = {
    "unit": 45,
    "policy": 30,
    "engine": 90,
    "cluster": 75,
    "edge": 75,
    "docker": 150,
    "node": 180,
    "data": 60,
    "monitoring": 60,
}
"""Seconds that a tier may take on two idle cores, once everything is built: ten minutes in all in `make test`, which
leaves `node` to the deep run."""
SLOWEST: Final = 10
"""How many of the slowest tests are listed."""

_NO_TESTS: Final = 5  # pytest's exit code when it collected nothing
_WORKERS: Final = {"cluster": "3", "docker": "2", "node": "1", "edge": "2", "data": "4", "monitoring": "2"}
"""xdist workers of tiers whose tests start servers, more where they mostly wait; the others take one a core."""
_BY_FILE: Final = {"unit", "policy", "data"}
"""Tiers whose tests go to workers by their file: what a file computes once, one worker computes once."""
_POSTGRESQL: Final = ("/usr/lib/postgresql/*/bin/initdb", "postgresql")
_DOCKER: Final = (
    ("dockerd", "docker.io"),
    ("ip", "iproute2"),
    ("iptables", "iptables"),
    ("openssl", "openssl"),
    ("/usr/sbin/sshd", "openssh-server"),
)
_PACKAGES: Final[Mapping[str, Sequence[tuple[str, str]]]] = {
    "edge": (("nginx", "nginx"),),
    # The images of that tier are made of Debian's packages, which its own builder downloads, and of our programs.
    "docker": _DOCKER,
    "cluster": (("etcd", "etcd-server"),),
    # Its images are those of the docker tier.
    "node": (*_DOCKER, ("etcd", "etcd-server"), *real_node.PACKAGES.items()),
    "data": (
        _POSTGRESQL,
        ("zstd", "zstd"),
        ("busybox", "busybox"),
        ("faketime", "faketime"),
        ("/usr/sbin/sshd", "openssh-server"),
        ("/usr/lib/*/libnss_wrapper.so", "libnss-wrapper"),
    ),
    "monitoring": (
        _POSTGRESQL,
        ("redis-server", "redis-server"),
        ("nginx", "nginx"),
        ("openssl", "openssl"),
    ),
}
"""Tier -> program, or a pattern for a file, and Debian's package that has it."""


@dataclass
class Result:
    """How a tier ended."""

    tier: str
    seconds: float = 0.0
    passed: int = 0
    failed: int = 0
    errors: int = 0
    skipped: Counter[str] = field(default_factory=Counter[str])
    """Reason -> number of tests."""
    times: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    """Seconds and name of every test that ran."""
    missing: str = ""
    """Why the whole tier did not run; empty when it did."""
    exit_code: int = 0

    @property
    def good(self) -> bool:
        """Whether nothing failed."""
        return self.exit_code in {0, _NO_TESTS}


def tiers(tests: Path = ROOT / "tests") -> list[str]:
    """The tiers that have tests, cheapest first."""
    found = {path.parent.relative_to(tests).parts[0] for path in tests.glob("*/**/test_*.py")}
    return [tier for tier in ORDER if tier in found] + sorted(found - set(ORDER))


def provide(wanted: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Install or build what the tiers need, where that is possible without a question; gives their environment."""
    env = environment.full(environ)
    packages = {
        package: None
        for tier in wanted
        for program, package in _PACKAGES.get(tier, ())
        if not is_installed(program)
    }
    _provide_packages(list(packages))
    real = "node" in wanted and not real_node.missing_parts()
    if real or "cluster" in wanted:
        _provide_cluster(env, with_node=real)
        folder = crds.find(env)
        if folder is None:
            warn("there are no CRDs here: run `make crds`, or name a folder with CRDS=...")
        else:
            env["CRDS"] = str(folder)
    return programs.ensure(wanted, env)


def _provide_packages(packages: Sequence[str]) -> None:
    if not packages or shutil.which("apt-get") is None or os.geteuid() != 0:
        return
    # A package script must not start the service: tests start their own.
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    try:
        run_visibly("updating apt's lists", ["apt-get", "update", "-qq"], env=env, timeout=300)
        run_visibly(
            f"installing {', '.join(packages)}",
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
            env=env,
            timeout=900,
        )
    except ToolchainError as error:
        warn(str(error))  # the tier says by name what it lacks


def _provide_cluster(env: Mapping[str, str], *, with_node: bool) -> None:
    if shutil.which("etcd") is None or shutil.which("go", path=env["PATH"]) is None:
        return
    from toolchain.offline.cluster.build import ensure_built
    from toolchain.offline.cluster.layout import ClusterError

    try:
        ensure_built(real_node=with_node)
    except ClusterError as error:
        warn(str(error))  # as above


def read_report(report: Path, result: Result) -> None:
    """Count what a JUnit report says."""
    if not report.exists():
        return
    for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314  our own file
        skipped = case.find("skipped")
        if case.find("failure") is not None:
            result.failed += 1
        elif case.find("error") is not None:
            result.errors += 1
        elif skipped is not None and skipped.get("type") != "pytest.xfail":
            result.skipped[skipped.get("message", "no reason given")] += 1
        else:
            result.passed += 1
        result.times.append((float(case.get("time", 0)), f"{case.get('classname')}::{case.get('name')}"))


def run(tier: str, env: Mapping[str, str], options: Sequence[str]) -> Result:
    """Run one tier's tests with pytest, in parallel and in random order."""
    result = Result(tier)
    with tempfile.TemporaryDirectory(prefix="tests-") as directory:
        report = Path(directory) / "report.xml"
        started = time.monotonic()
        print(f"\n##### {tier}", flush=True)
        command = [str(VENV_PYTHON), "-m", "pytest", f"tests/{tier}", "-n", _WORKERS.get(tier, "auto"), "-q"]
        if tier in _BY_FILE:
            command += ["--dist", "loadfile"]
        finished = subprocess.run(
            [*command, f"--junit-xml={report}", *options], cwd=ROOT, env=dict(env), check=False
        )
        result.seconds = time.monotonic() - started
        result.exit_code = finished.returncode
        read_report(report, result)
    if result.exit_code == _NO_TESTS:
        result.missing = "no test was collected"
    return result


def summary(results: Sequence[Result], *, deep: bool = False) -> list[str]:
    """A table of the tiers, every reason for a skip, the slowest tests, and a closing line in pytest's own form."""
    lines = ["", "tier         tests  failed  skipped  seconds  budget"]
    for result in results:
        broken = result.failed + result.errors
        budget = "" if deep else BUDGETS.get(result.tier, "")
        lines.append(
            f"{result.tier:<10}{result.passed + broken:>8}{broken:>8}{sum(result.skipped.values()):>9}"
            f"{result.seconds:>9.1f}{budget:>8}"
        )
    for result in results:
        if result.missing:
            lines.append(f"skipped: the tier {result.tier}: {result.missing}")
        lines += [
            f"skipped: {number} of {result.tier}: {reason}"
            for reason, number in sorted(result.skipped.items())
        ]
        if not result.good and not result.failed and not result.errors:
            lines.append(f"failed: the tier {result.tier} ended with pytest's exit code {result.exit_code}")
    slowest = sorted((one for result in results for one in result.times), reverse=True)[:SLOWEST]
    lines += ["", "slowest tests", *(f"{seconds:>8.1f} s  {name}" for seconds, name in slowest)]
    counts = {
        "failed": sum(result.failed for result in results),
        "passed": sum(result.passed for result in results),
        "skipped": sum(sum(result.skipped.values()) for result in results),
        "error": sum(result.errors for result in results),
    }
    told = ", ".join(f"{number} {name}" for name, number in counts.items() if number) or "no tests ran"
    lines.append(f"===== {told} in {sum(result.seconds for result in results):.2f}s =====")
    return lines


def main() -> int:
    """Run the tiers; 1 when anything failed, or when nothing ran at all."""
    deep = "--deep" in sys.argv[1:2]
    arguments = sys.argv[1 + deep :]
    split = arguments.index("--") if "--" in arguments else len(arguments)
    named, options = arguments[:split], arguments[split + 1 :]
    existing = tiers()
    if unknown := [tier for tier in named if tier not in existing]:
        raise ToolchainError(f"There is no tier {unknown[0]!r}; there are: {', '.join(existing)}.")
    wanted = named or existing
    # A node takes minutes to build: only the deep run has it built.
    env = provide([tier for tier in wanted if deep or tier != "node"], os.environ)
    results = [run(tier, env, [*(["--deep"] if deep else []), *options]) for tier in wanted]
    print("\n".join(summary(results, deep=deep)), flush=True)
    return (
        0
        if results and all(result.good for result in results) and any(result.passed for result in results)
        else 1
    )


if __name__ == "__main__":
    exit_with(main)
