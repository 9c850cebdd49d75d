"""Serve the offline kubernetes provider."""

from __future__ import annotations

import sys

from toolchain.plugins.kubernetes.plugin import KubernetesProvider
from toolchain.plugins.server import serve

if __name__ == "__main__":
    sys.exit(serve(KubernetesProvider()))
