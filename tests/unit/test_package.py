"""The components as a package that `pip install .` makes: importable outside of a checkout, with all that they read."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import components

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import components as immich
from pathlib import Path
from components.templates import render

for name in dir(immich):
    getattr(immich, name)
print(Path(immich.__file__).parent)
values = {"role": "immich", "files": [], "folder": "/folder", "sockets": "/sockets"}
print(render("database-start.sh.j2", values).splitlines()[0])
"""


def test_an_installed_package_has_every_public_name_and_all_that_it_reads(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    shutil.copytree(ROOT / "components", source / "components", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    uv = str(Path(sys.executable).parent / "uv")
    options = [
        "--no-deps",
        "--no-build-isolation",
        "--offline",
        "--python",
        sys.executable,
        "--target",
        str(target),
    ]
    subprocess.run([uv, "pip", "install", "--quiet", *options, str(source)], check=True)
    (metadata,) = target.glob("*.dist-info/METADATA")
    assert "License-Expression: Apache-2.0" in metadata.read_text(encoding="utf-8")
    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM],
        check=True, capture_output=True, text=True, cwd=tmp_path, env={"PYTHONPATH": str(target)},
    ).stdout.splitlines()  # fmt: skip
    assert told == [str(target / "components"), "#!/bin/bash"]
    assert _read_files(target) == _read_files(ROOT)


def _read_files(root: Path) -> set[Path]:
    """What the components read beside their modules: templates, rules, dashboards, images."""
    kinds = {".j2", ".yaml", ".json", ".pyi", ".typed"}
    return {path.relative_to(root) for path in (root / "components").rglob("*") if path.suffix in kinds}


def test_every_public_name_is_there_and_another_is_an_error_of_an_attribute() -> None:
    assert {"Database", "Cache", "MachineLearning", "Server", "Proxy", "Cloudflare", "Storage"} <= set(
        dir(components)
    )
    assert not hasattr(components, "Databse")


def test_pulumi_install_takes_the_locked_packages_of_the_program() -> None:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    (included,) = [line.removeprefix("-r ") for line in lines if not line.startswith("#")]
    assert "--hash=sha256:" in (ROOT / included).read_text(encoding="utf-8")
    wanted = (ROOT / "requirements" / "runtime.in").read_text(encoding="utf-8").splitlines()
    locked = (ROOT / included).read_text(encoding="utf-8").splitlines()
    pinned = [line for line in wanted if "==" in line]
    assert len(pinned) >= 5
    assert [line for line in pinned if f"{line} \\" not in locked] == []
