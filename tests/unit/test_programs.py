"""The programs that are built for tests: of which versions, and that the documentation says so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from components import versions
from tests.harness.program import ROOT
from toolchain import programs

PINNED = {
    "restic": versions.IMAGES["restic"].version,
    "rclone": versions.IMAGES["rclone"].version,
    "prometheus": versions.IMAGES["prometheus"].version,
    "alertmanager": versions.IMAGES["alertmanager"].version,
    "node_exporter": versions.IMAGES["volumes-exporter"].version,
    "blackbox_exporter": versions.IMAGES["doors-exporter"].version,
    "postgres_exporter": versions.IMAGES["postgres-exporter"].version,
    "redis_exporter": versions.IMAGES["valkey-exporter"].version,
    "nginx-prometheus-exporter": versions.IMAGES["nginx-exporter"].version,
    "prometheus-nginxlog-exporter": versions.IMAGES["access-log-exporter"].version,
}
TABLE = re.compile(r"^\| `([^`]+)` \| (\S+) \| (\S+) \| `([^`]+)`", re.MULTILINE)


@pytest.mark.parametrize("name", programs.PROGRAMS)
def test_the_pinned_version_is_built_or_the_table_says_why_not(name: str) -> None:
    pinned, built = PINNED[name].removeprefix("v"), programs.version(name)
    assert (pinned == built) is (name not in programs.DIFFERENT)


def test_the_documentation_has_every_version() -> None:
    told = TABLE.findall((ROOT / "docs" / "testing.md").read_text(encoding="utf-8"))
    assert {name: tuple(rest) for name, *rest in told} == {
        name: (PINNED[name].removeprefix("v"), programs.version(name), program.module)
        for name, program in programs.PROGRAMS.items()
    }


def test_every_folder_is_a_program_and_names_no_address_of_a_proxy() -> None:
    folders = {path.parent.name for path in Path(programs.__file__).parent.glob("*/go.mod")}
    assert folders == set(programs.PROGRAMS)
    assert {name for names in programs.TIERS.values() for name in names} <= folders
    files = list(Path(programs.__file__).parent.glob("*/go.*"))
    assert len(files) == 2 * len(folders)
    assert [path for path in files if "https://" in path.read_text(encoding="utf-8")] == []


@pytest.mark.parametrize("name", programs.PROGRAMS)
def test_a_program_is_stamped_with_the_version_that_it_is(name: str) -> None:
    recipe = programs.recipe(name)
    assert next(iter(recipe.packages)) == name
    assert programs.PROGRAMS[name].stamp == "" or recipe.ldflags.endswith(programs.version(name))
