"""One host with a container engine."""

from components.platform.docker.options import DockerOptions
from components.platform.docker.platform import DockerPlatform

__all__ = ["DockerOptions", "DockerPlatform"]
