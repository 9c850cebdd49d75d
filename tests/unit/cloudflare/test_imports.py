"""pulumi-cloudflare costs seconds: only stacks with the section pay them."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.harness.program import ROOT

IMPORTS = """
import json, sys
from tests.unit.cloudflare.programs import run
run(None, hidden={})
print(json.dumps(sorted(name for name in sys.modules if "cloudflare" in name and not name.startswith("tests."))))
"""


def test_a_stack_without_the_section_imports_nothing_of_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], capture_output=True, text=True, cwd=ROOT, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []
