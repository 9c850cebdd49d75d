"""The providers of a stack, each explicit.

Of the environment they take $KUBECONFIG or $DOCKER_HOST, and $CLOUDFLARE_API_TOKEN where a stack uses Cloudflare and
has no token.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pulumi

from components.cache.settings import BundledCache
from components.database.settings import BundledDatabase
from components.machine_learning.settings import BundledMachineLearning
from components.model.specs import LanAllowance
from components.settings.model import Settings
from components.settings.secret_source import ExternalSecrets

if TYPE_CHECKING:
    from components.platform.docker.platform import DockerPlatform
    from components.platform.kubernetes.platform import KubernetesPlatform
    from components.settings.docker import Docker


def providers(settings: Settings, stack: str) -> list[pulumi.ProviderResource]:
    """One provider for each package that the stack uses."""
    found: list[pulumi.ProviderResource] = [
        _kubernetes(settings, stack) if settings.docker is None else _docker(settings.docker)
    ]
    cloudflare = settings.cloudflare
    makes_tunnel = (
        cloudflare is not None and cloudflare.tunnel is not None and cloudflare.tunnel.existing is None
    )
    if makes_tunnel or not isinstance(settings.secrets, ExternalSecrets):
        from pulumi_random import Provider as RandomProvider

        found.append(RandomProvider("random"))
    if cloudflare is not None:
        from components.cloudflare import api as cloudflare_api

        found.append(cloudflare_api.provider())
    return found


def _kubernetes(settings: Settings, stack: str) -> pulumi.ProviderResource:
    from pulumi_kubernetes import Provider

    directory = render_directory(settings, stack)
    if directory is not None:
        return Provider(
            "kubernetes",
            render_yaml_to_directory=directory,
            enable_config_map_mutable=True,
            enable_secret_mutable=True,
        )
    return Provider(
        "kubernetes",
        context=settings.kubernetes.context,
        # A changed kubeconfig is not another cluster.
        cluster_identifier=stack,
        # With fixed names a replacement would leave a gap in which starting pods fail.
        enable_config_map_mutable=True,
        enable_secret_mutable=True,
    )


def _docker(docker: Docker) -> pulumi.ProviderResource:
    """Raises `pulumi.RunError`, which the engine shows without a traceback, when no container engine answers."""
    from pulumi_docker import Provider

    from components.platform.docker.reach import silence

    reason = silence(docker.host, os.environ, tls_folder=docker.tls_folder, ssh_options=docker.ssh_options)
    if reason is not None:
        raise pulumi.RunError(f"{reason}. Nothing was planned or changed")
    return Provider(
        "docker",
        host=docker.host,
        cert_path=docker.tls_folder,
        ssh_opts=list(docker.ssh_options) or None,
    )


def render_directory(settings: Settings, stack: str) -> str | None:
    """Where manifests are written, or None where a cluster is talked to.

    $IMMICH_RENDER_DIRECTORY renders a stack that otherwise talks to its cluster (`make render`).
    """
    if settings.docker is not None:
        return None
    asked = os.environ.get("IMMICH_RENDER_DIRECTORY")
    return asked or (f"rendered/{stack}" if settings.kubernetes.target == "render" else None)


def platform_of(
    settings: Settings, stack: str, opts: pulumi.ResourceOptions
) -> KubernetesPlatform | DockerPlatform:
    """The platform that realises the components."""
    if settings.docker is not None:
        return _host(settings, settings.docker, stack, opts)
    return _cluster(settings, stack, opts)


def _host(settings: Settings, docker: Docker, stack: str, opts: pulumi.ResourceOptions) -> DockerPlatform:
    from components.platform.docker.options import DockerPlatformArgs
    from components.platform.docker.platform import DockerPlatform
    from components.stack.host_networks import subnets
    from components.versions import current

    limits = {"max-size": str(docker.logs.max_size).lower(), "max-file": str(docker.logs.max_files)}
    args = DockerPlatformArgs(
        stack=stack,
        subnets=subnets(stack, docker),
        joined=linked_workloads(settings),
        files_image=str(docker.files_image or current("busybox")),
        podman=docker.engine == "podman",
        cdi=docker.cdi,
        hides_clients=docker.hides_clients,
        selinux=docker.selinux,
        restart=docker.restart,
        log_driver=docker.logs.driver,
        log_options=limits if docker.logs.driver != "journald" else {},
        dns=tuple(str(one) for one in docker.dns),
    )
    return DockerPlatform("platform", args, opts)


def linked_workloads(settings: Settings) -> frozenset[str]:
    """Workloads that others are linked to."""
    tunnel = settings.cloudflare is not None and settings.cloudflare.tunnel is not None
    found = {
        "server": settings.proxy.kind == "nginx",
        "proxy": tunnel,
        "database": isinstance(settings.database, BundledDatabase),
        "cache": isinstance(settings.cache, BundledCache),
        "machine-learning": isinstance(settings.machine_learning, BundledMachineLearning),
        "backup-rclone": settings.backup is not None and settings.backup.needs_rclone,
    }
    return frozenset(name for name, linked in found.items() if linked)


def _cluster(settings: Settings, stack: str, opts: pulumi.ResourceOptions) -> KubernetesPlatform:
    from components.platform.kubernetes.options import KubernetesPlatformArgs
    from components.platform.kubernetes.platform import KubernetesPlatform
    from components.platform.kubernetes.secrets import ExternalStore
    from components.storage.component import server_mounts

    cluster = settings.kubernetes
    store = settings.secrets
    external = isinstance(store, ExternalSecrets)
    existing = {} if external else store.existing
    learning = settings.machine_learning
    opened = settings.server.gpu.opened(settings.server.acceleration)
    if isinstance(learning, BundledMachineLearning):
        opened += learning.gpu.opened(learning.backend)
    args = KubernetesPlatformArgs(
        stack=stack,
        namespace=cluster.namespace,
        create_namespace=cluster.create_namespace,
        cluster_domain=cluster.cluster_domain,
        network_policies=cluster.network_policies,
        pod_security=cluster.pod_security,
        privileged=bool(opened),
        pod_cidrs=cluster.pod_cidrs,
        lan_allowances=tuple(
            LanAllowance(address=one.address, port=one.port) for one in cluster.lan_allowances
        ),
        external_store=ExternalStore(
            name=store.store.name,
            kind=store.store.kind,
            refresh_interval=store.refresh_interval,
            values={key: (value.key, value.property) for key, value in store.values.items()},
        )
        if external
        else None,
        existing_secrets={key: (str(one.name), one.key) for key, one in existing.items()},
        server_volumes=frozenset(mount.volume for mount in server_mounts(settings.storage)),
        secret_names={str(name): str(given) for name, given in store.names.items()} if external else {},
    )
    return KubernetesPlatform("platform", args, opts)
