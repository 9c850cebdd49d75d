"""`python -m toolchain.programs [tier ...]`: build what the tiers run, of all tiers where none is named."""

from __future__ import annotations

import os
import sys

from toolchain import programs

programs.ensure(sys.argv[1:] or list(programs.TIERS), os.environ)
