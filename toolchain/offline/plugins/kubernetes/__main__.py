"""Serve the offline kubernetes provider."""

from __future__ import annotations

import sys

from toolchain.offline.plugins.kubernetes.plugin import KubernetesProvider
from toolchain.offline.plugins.server import serve

if __name__ == "__main__":
    sys.exit(serve(KubernetesProvider()))
