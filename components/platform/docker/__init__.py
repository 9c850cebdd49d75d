"""One host with a container engine."""

from components.platform.docker.options import DockerPlatformArgs
from components.platform.docker.platform import DockerPlatform

__all__ = ["DockerPlatform", "DockerPlatformArgs"]
