"""Versions of the tools, each in one place. The plugins' versions are those of the Python SDKs in requirements/."""

from __future__ import annotations

from typing import Final

# renovate: datasource=github-releases depName=pulumi/pulumi extractVersion=^v(?<version>.+)$
PULUMI: Final = "3.259.0"
"""CLI that is downloaded or built, and the version that toolchain/go.mod requires."""

PULUMI_SUPPORTED: Final = ("3.229.0", "4.0.0")
"""CLIs on PATH that are used as they are: from the first (it has `pulumi policy analyze`) to before the second."""

# renovate: datasource=pypi depName=pulumi-kubernetes
KUBERNETES_PLUGIN: Final = "4.34.2"
# renovate: datasource=pypi depName=pulumi-random
RANDOM_PLUGIN: Final = "4.21.4"
# renovate: datasource=pypi depName=pulumi-docker
DOCKER_PLUGIN: Final = "5.2.0"
# renovate: datasource=pypi depName=pulumi-cloudflare
CLOUDFLARE_PLUGIN: Final = "6.23.1"

PLUGINS: Final = {
    "kubernetes": KUBERNETES_PLUGIN,
    "random": RANDOM_PLUGIN,
    "docker": DOCKER_PLUGIN,
    "cloudflare": CLOUDFLARE_PLUGIN,
}
"""Resource plugins by name, in the order in which they are installed."""

# renovate: datasource=github-releases depName=kubernetes/kubernetes extractVersion=^v(?<version>.+)$
KUBERNETES: Final = "1.36.3"
"""The throw-away cluster's API server; toolchain/offline/cluster/go.mod requires it."""
# renovate: datasource=github-releases depName=kubernetes-sigs/kwok extractVersion=^v(?<version>.+)$
KWOK: Final = "0.8.0"
"""What makes pods of the throw-away cluster Ready; toolchain/offline/cluster/go.mod requires it."""

GO: Final = "1.26.6"
"""Oldest Go that builds the CLI; a Go from 1.21 on fetches it by itself."""

PYTHON: Final = (3, 11)
"""Oldest Python."""
