from __future__ import annotations
import time
from dataclasses import replace
import pytest
from tests.docker.stacks import Place
from tests.docker.verifying import standing
pytestmark = [pytest.mark.docker, pytest.mark.engine]

def test_debug(place: Place, tmp_path):
    t = time.time()
    with standing(place, tmp_path / "x") as v:
        print("UP", time.time() - t)
        for size in (1_000_000, 20_000_000, 99_900_000):
            t = time.time()
            target = replace(v.target, options=replace(v.target.options, size=size))
            print(size, [c for c in v.ask("upload", target=target) if c.name == "upload"], time.time() - t)
        print(v.container("server").logs(tail=20).decode())
        print(v.container("proxy").logs(tail=20).decode())
        t = time.time(); v.ask(); print("ALL", time.time() - t)
        import threading, sys
    print("DOWN", time.time() - t)
