"""From a stack's name to a `Target`: its settings, its platform, what the command line says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from components.setup.settings import CHECKS
from toolchain import environment
from toolchain.deployment import output
from toolchain.failure import ToolchainError
from toolchain.paths import settings_file
from toolchain.stack_settings import settings_without_secrets, stack_texts
from toolchain.verify.running import Running, RunningError
from toolchain.verify.target import Options, Target, chosen_doors
from toolchain.verify.wire import Wire

if TYPE_CHECKING:
    from components.settings.model import Settings


def open_target(
    stack: str,
    options: Options,
    connect: Mapping[str, tuple[str, int]],
    environ: Mapping[str, str] = os.environ,
) -> Target:
    """A stack that is deployed. ToolchainError where there is none, or where nobody can ask it."""
    settings = deployed(stack)
    found = chosen_doors(settings, options.door)
    if options.door is not None and not found:
        known = ", ".join(sorted({door.name for door in chosen_doors(settings, None)})) or "none"
        raise ToolchainError(f"The stack {stack} has no door {options.door!r}: it has {known}")
    return Target(
        stack=stack,
        settings=settings,
        running=open_running(stack, settings, environ),
        wire=Wire(connect=connect),
        options=replace(options, api_key=api_key(stack, settings, options.api_key_variable, environ)),
        doors=found,
    )


def deployed(stack: str) -> Settings:
    """The settings of a stack of which something runs. ToolchainError for one that only writes manifests."""
    settings, _ = settings_without_secrets(stack, *stack_texts(settings_file(stack)))
    if settings.docker is None and settings.kubernetes.target == "render":
        raise ToolchainError(
            f"The stack {stack} only writes manifests (immich:kubernetes.target is render): nothing of it runs. "
            "Choose a stack that is deployed with STACK=..."
        )
    return settings


def api_key(stack: str, settings: Settings, variable: str, environ: Mapping[str, str]) -> str | None:
    """The key of the environment, else the one that the deployment made for checks; None where there is neither."""
    if given := environ.get(variable):
        return given
    if settings.setup is None or settings.setup.administrator is None:
        return None
    made = output(stack, environment.full(environ), "apiKeys", "--show-secrets")
    key = made.get(CHECKS) if made is not None else None
    return key if isinstance(key, str) else None


def open_running(stack: str, settings: Settings, environ: Mapping[str, str] = os.environ) -> Running:
    """The platform of a stack. ToolchainError where it does not answer."""
    try:
        if settings.docker is not None:
            from components.monitoring.exporters import NETWORK
            from components.platform.docker.reach import silence
            from toolchain.verify.docker_host import DockerHost

            docker = settings.docker
            folder = str(docker.tls_folder) if docker.tls_folder else None
            host = str(docker.host) if docker.host else None
            if (why := silence(host, environ, tls_folder=folder, ssh_options=docker.ssh_options)) is not None:
                raise ToolchainError(why)
            # Its Prometheus is of another stack, and docs say to let it in.
            joined = (NETWORK,) if settings.monitoring.kind == "scrape-only" else ()
            return DockerHost.connect(stack, settings.docker, environ, joined)
        from toolchain.verify.cluster import KubernetesCluster

        return KubernetesCluster.connect(stack, settings.kubernetes)
    except RunningError as error:
        raise ToolchainError(str(error)) from None
