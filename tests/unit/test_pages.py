"""Pages: each is in the index, and links between them lead somewhere."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.harness.program import ROOT

_LISTED = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
PAGES = [
    name for name in _LISTED.stdout.splitlines() if not name.startswith("tests/") and (ROOT / name).exists()
]
LINK = re.compile(r"\]\((?!https?:|mailto:|#)(?P<path>[^)#\s]+)(?:#(?P<heading>[^)\s]+))?\)")


def anchors(page: Path) -> set[str]:
    """Of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_every_link_to_a_file_leads_to_one_and_to_a_heading_that_it_has(name: str) -> None:
    page = ROOT / name
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for match in LINK.finditer(text):
        target = (page.parent / match["path"]).resolve()
        assert target.exists(), f"{name}: {match[0]}"
        if match["heading"] and target.suffix == ".md":
            assert match["heading"] in anchors(target), f"{name}: {match[0]}"


GNU_ONLY = re.compile(
    r"grep -\w*P|sed -i |readlink -f|date (-u )?-d|stat -c|xargs [^|]*-[rd]\b|du -\w*b\b|base64 -w|sort -V|head -n -"
    r"|hostname -I|find [^|\n]*-printf|cp -\w*t |df --|\bsha256sum\b|\btac\b|--reflink"
)
"""What macOS's and other BSD's tools do not know."""
SHELL = (
    "Makefile",
    "docs/*.md",
    "docs/runbooks/*.md",
    "README.md",
    "components/recovery/templates/*.j2",
    "components/stack/*.py",
)


def test_commands_for_people_have_no_flag_of_gnus_tools_alone() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for pattern in SHELL
        for path in ROOT.glob(pattern)
        for match in GNU_ONLY.finditer(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_every_page_of_the_documentation_is_in_its_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    listed = {match["path"] for match in LINK.finditer(index)}
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert pages <= listed, pages - listed
