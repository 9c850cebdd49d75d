"""Serve the offline docker provider."""

from __future__ import annotations

import sys

from toolchain.offline.plugins.docker.plugin import DockerProvider
from toolchain.offline.plugins.server import serve

if __name__ == "__main__":
    sys.exit(serve(DockerProvider()))
