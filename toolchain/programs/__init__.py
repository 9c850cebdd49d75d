"""The programs that stacks run, built for tests at the versions that components/versions.py pins.

Each folder here has the go.mod of one; versions, `replace` lines, tags and linker flags are those of its own release.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from toolchain import go_build
from toolchain.failure import ToolchainError
from toolchain.paths import TOOLCHAIN
from toolchain.progress import warn

BIN: Final = TOOLCHAIN / "programs"
"""Where they are. Not .toolchain/bin: a person's own restic stays the one in their shell."""
_HERE: Final = Path(__file__).parent
_COMMON: Final = "github.com/prometheus/common/version.Version"


@dataclass(frozen=True)
class Program:
    """What one folder builds."""

    module: str
    stamp: str = ""
    """Go variable with the version; empty where the sources say it."""
    tags: str = ""
    added: Mapping[str, str] = field(default_factory=dict[str, str])


PROGRAMS: Final[Mapping[str, Program]] = {
    # Tags: DefaultBuildTags of its build.go.
    "restic": Program("github.com/restic/restic", tags="selfupdate,disable_grpc_modules"),
    "rclone": Program("github.com/rclone/rclone", stamp="github.com/rclone/rclone/fs.Version"),
    # Without `builtinassets`: the pages are made by npm and are not in the module. The API is all there.
    "prometheus": Program("github.com/prometheus/prometheus", stamp=_COMMON, tags="netgo"),
    "alertmanager": Program(
        "github.com/prometheus/alertmanager",
        stamp=_COMMON,
        tags="netgo",
        # Its pages are made by npm too, and it does not compile without any.
        added={"github.com/prometheus/alertmanager/ui/app/dist/index.html": "no pages in this build\n"},
    ),
    "node_exporter": Program("github.com/prometheus/node_exporter", stamp=_COMMON),
    "blackbox_exporter": Program("github.com/prometheus/blackbox_exporter", stamp=_COMMON),
    "postgres_exporter": Program("github.com/prometheus-community/postgres_exporter", stamp=_COMMON),
    "redis_exporter": Program("github.com/oliver006/redis_exporter", stamp="main.BuildVersion"),
    "nginx-prometheus-exporter": Program("github.com/nginx/nginx-prometheus-exporter", stamp=_COMMON),
    "prometheus-nginxlog-exporter": Program(
        "github.com/martin-helmich/prometheus-nginxlog-exporter", stamp=_COMMON
    ),
}
"""By folder. A folder is named after its program; that of prometheus has promtool too."""

DIFFERENT: Final[Mapping[str, str]] = {
    "postgres_exporter": "the module proxy does not serve the pinned version",
    "redis_exporter": "the module proxy does not serve the pinned version",
}
"""Program -> why another version than the pinned one is built: the nearest that can be had."""

_EXPORTERS: Final = tuple(name for name in PROGRAMS if name.endswith("exporter"))
TIERS: Final[Mapping[str, tuple[str, ...]]] = {
    "data": ("restic", "rclone"),
    "monitoring": ("prometheus", *_EXPORTERS),
    "docker": tuple(PROGRAMS),
    "node": tuple(PROGRAMS),
}
"""Tier of tests -> the programs that it runs."""


def version(name: str) -> str:
    """The version that is built, as its release is named, without `v`."""
    found = _plain(name).version(PROGRAMS[name].module).removeprefix("v")
    # As a module, Prometheus 3.15.0 is v0.315.0.
    return re.sub(r"^0\.(\d)(\d\d)\.", lambda part: f"{part[1]}.{int(part[2])}.", found)


def recipe(name: str) -> go_build.Build:
    """How a program is built."""
    program = PROGRAMS[name]
    # rclone's and redis_exporter's releases are stamped with the tag, `v` included.
    said = version(name) if program.stamp == _COMMON else f"v{version(name)}"
    return go_build.Build(
        _HERE / name,
        ldflags=f"-X {program.stamp}={said}" if program.stamp else "",
        tags=program.tags,
        added=program.added,
    )


def _plain(name: str) -> go_build.Build:
    return go_build.Build(_HERE / name)


def ensure(tiers: Iterable[str], env: Mapping[str, str]) -> dict[str, str]:
    """Build what the tiers run and this machine has not yet; gives the environment in which it is found first.

    What cannot be built is told, and left to what else PATH has: the tier says by name what it lacks.
    """
    wanted = {name for tier in tiers for name in TIERS.get(tier, ())}
    for name in PROGRAMS:
        if name in wanted:
            try:
                go_build.ensure(recipe(name), BIN, env)
            except ToolchainError as error:
                warn(str(error))
    return {**env, "PATH": on_path(env.get("PATH", os.defpath))}


def missing(name: str) -> str:
    """Why a program cannot be used: it is not built, or of other sources; empty where it can."""
    if go_build.is_built(recipe(name), BIN):
        return ""
    return f"{name} {version(name)} is not built (python -m toolchain.programs, needs Go)"


def executables(name: str) -> list[Path]:
    """The files that the build of a program makes."""
    return [BIN / file for file in _plain(name).packages]


def on_path(path: str) -> str:
    """A PATH on which the built programs come first."""
    return os.pathsep.join([str(BIN), *(entry for entry in path.split(os.pathsep) if entry != str(BIN))])
