"""`python -m toolchain.programs [tier ...]`: build what the tiers run, of all tiers where none is named."""

from __future__ import annotations

import os
import sys

from toolchain import go_build, programs

programs.ensure(sys.argv[1:] or list(programs.TIERS), os.environ)
for name in programs.PROGRAMS:
    seconds = go_build.seconds(programs.recipe(name), programs.BIN)
    print(f"{name:<30}{programs.version(name):<10}{f'built in {seconds:.0f} s' if seconds else 'not built'}")
