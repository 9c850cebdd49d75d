"""How a stack is set up on its cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi

from components.model.specs import LanAllowance
from components.platform.kubernetes.existing_secrets import Entry
from components.platform.kubernetes.secrets import ExternalStore


@dataclass(frozen=True, kw_only=True, slots=True)
class KubernetesPlatformArgs:
    """How the namespace is set up."""

    namespace: str
    """Namespace of everything."""
    stack: str = field(default_factory=pulumi.get_stack)
    """Label `app.kubernetes.io/instance` of every object."""
    create_namespace: bool = True
    """Whether the namespace is made, protected and kept; false where it exists already."""
    cluster_domain: str = "cluster.local"
    """DNS domain of the cluster."""
    network_policies: str = "kubernetes"
    """`kubernetes`, `cilium` or `none`."""
    pod_security: str = "auto"
    """Level enforced on a namespace that is made: `restricted`, `baseline`, `privileged`, or `auto`, the strictest that
    the workloads permit."""
    privileged: bool = False
    """Whether a workload opens devices of its node, such as a GPU without a device plugin."""
    pod_cidrs: tuple[str, ...] = ("10.244.0.0/16",)
    """Networks of the pods, whose proxies are believed (kubeadm's and kind's default; k3s 10.42.0.0/16)."""
    lan_allowances: tuple[LanAllowance, ...] = ()
    """Machines of the LAN that Cilium lets pods reach."""
    external_store: ExternalStore | None = None
    """Where External Secrets takes values from; None makes Secrets."""
    existing_secrets: Mapping[str, Entry] = field(default_factory=dict[str, Entry])
    """Config key of a secret -> name and key of the Secret in the namespace that has its value."""
    secret_names: Mapping[str, str] = field(default_factory=dict[str, str])
    """Other object names for published secrets, by logical name."""
    server_volumes: frozenset[str] = frozenset()
    """Volumes that the server mounts: tasks that are registered before it run on its node where they share one."""
