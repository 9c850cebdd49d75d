"""A stand-in for any provider plugin in previews: it takes every input as it is, and makes nothing."""

from __future__ import annotations

import os
import sys

from toolchain.offline.plugins.provider import Checked, CheckRequest, Created, CreateRequest, Provider
from toolchain.offline.plugins.server import serve


class EchoProvider(Provider):
    """Every type of the package that ECHO_NAME says."""

    def __init__(self) -> None:
        self.name = os.environ["ECHO_NAME"]
        self.version = "1.0.0"

    def check(self, request: CheckRequest) -> Checked:
        return Checked(inputs=request.news)

    def create(self, request: CreateRequest) -> Created:
        return Created(id="", outputs=request.inputs)


if __name__ == "__main__":
    sys.exit(serve(EchoProvider()))
