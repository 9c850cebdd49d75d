"""The providers of a stack, each explicit.

Of the environment they take $KUBECONFIG, and $CLOUDFLARE_API_TOKEN where a stack uses Cloudflare and has no token.
"""

from __future__ import annotations

import os

import pulumi

from components.platform.kubernetes import KubernetesOptions, KubernetesPlatform
from components.platform.kubernetes.secrets import ExternalStore
from components.platform.specs import LanAllowance
from components.settings.machine_learning import BundledMachineLearning
from components.settings.model import Settings
from components.settings.secret_source import ExternalSecrets


def providers(settings: Settings, stack: str) -> list[pulumi.ProviderResource]:
    """One provider for each package that the stack uses."""
    found: list[pulumi.ProviderResource] = [_kubernetes(settings, stack)]
    cloudflare = settings.cloudflare
    makes_tunnel = (
        cloudflare is not None and cloudflare.tunnel is not None and cloudflare.tunnel.existing is None
    )
    if makes_tunnel or not isinstance(settings.secrets, ExternalSecrets):
        from pulumi_random import Provider as RandomProvider

        found.append(RandomProvider("random"))
    if cloudflare is not None:
        from components import cloudflare_api

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


def render_directory(settings: Settings, stack: str) -> str | None:
    """Where manifests are written, or None where a cluster is talked to.

    $IMMICH_RENDER_DIRECTORY renders a stack that otherwise talks to its cluster (`make render`).
    """
    asked = os.environ.get("IMMICH_RENDER_DIRECTORY")
    return asked or (f"rendered/{stack}" if settings.kubernetes.target == "render" else None)


def platform(settings: Settings, stack: str, opts: pulumi.ResourceOptions) -> KubernetesPlatform:
    """The platform that realises the components."""
    cluster = settings.kubernetes
    store = settings.secrets
    external = isinstance(store, ExternalSecrets)
    learning = settings.machine_learning
    opened = settings.server.gpu.opened(settings.server.acceleration)
    if isinstance(learning, BundledMachineLearning):
        opened += learning.gpu.opened(learning.backend)
    options = KubernetesOptions(
        stack=stack,
        namespace=cluster.namespace,
        create_namespace=cluster.create_namespace,
        cluster_domain=cluster.cluster_domain,
        network_policies=cluster.network_policies,
        pod_security=cluster.pod_security,
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
        secret_names={str(name): str(given) for name, given in store.names.items()} if external else {},
    )
    return KubernetesPlatform(options, bool(opened), opts)
