"""Pulumi's generated protocol messages, loaded without executing the `pulumi` package itself.

`import pulumi.runtime.proto` runs `pulumi/__init__.py`, the whole SDK, which a plugin does not need and which
more than doubles the time to its first line of output. In a plugin's process the parent packages are
therefore registered as bare packages that only say where their files are.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pulumi.runtime.proto import engine_pb2, plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

__all__ = ["engine_pb2", "load", "plugin_pb2", "provider_pb2", "provider_pb2_grpc", "status_pb2"]

_PARENTS = ("pulumi", "pulumi.runtime", "pulumi.runtime.proto")


def _register_bare_parents() -> None:
    if "pulumi" in sys.modules:
        return  # the real package is in use in this process (tests, tools): nothing to save any more
    spec = importlib.util.find_spec("pulumi")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            "the Python package 'pulumi' is not installed: run `make setup`", name="pulumi"
        )
    folder = Path(next(iter(spec.submodule_search_locations)))
    for name in _PARENTS:
        module = ModuleType(name)
        module.__path__ = [str(folder.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = module


def load(name: str) -> ModuleType:
    """The generated module of that name, such as `provider_pb2`."""
    _register_bare_parents()
    return importlib.import_module(f"pulumi.runtime.proto.{name}")


def __getattr__(name: str) -> ModuleType:
    # Loaded on first use: the status and engine messages are needed only when something is logged or fails.
    if name in __all__:
        module = load(name)
        globals()[name] = module
        return module
    raise AttributeError(name)
