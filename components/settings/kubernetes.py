"""The cluster: where manifests go, namespace, networks, isolation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from components.fields.base import Section, WholeNumber
from components.model.values import Cidr, Hostname, ObjectName, ServerAddress


class LanAllowance(Section):
    """A machine of the local network that nodes or pods must reach although the LAN is closed to pods."""

    address: ServerAddress
    """Its address."""
    port: WholeNumber = Field(default=2049, ge=1, le=65535)
    """TCP port; 2049 is NFS."""


class Kubernetes(Section):
    """The cluster."""

    target: Literal["render", "cluster"] = "cluster"
    """`cluster` talks to the API server; `render` writes manifests to `rendered/<stack>/` and needs no cluster."""
    context: str | None = None
    """Context of the kubeconfig; none is its current one. The file is $KUBECONFIG or ~/.kube/config."""
    namespace: ObjectName = ObjectName("immich")
    """Namespace of Immich; made, protected and kept."""
    create_namespace: bool = True
    """Whether this program makes the namespace; false where it exists already."""
    pod_cidrs: Annotated[tuple[Cidr, ...], Field(min_length=1)] = (Cidr("10.244.0.0/16"),)
    """Networks of the pods (kubeadm's and kind's default; k3s 10.42.0.0/16): what the server may trust as a proxy."""
    network_policies: Literal["kubernetes", "cilium", "none"] = "kubernetes"
    """`kubernetes` makes NetworkPolicies, `cilium` CiliumNetworkPolicies with DNS names, `none` nothing."""
    lan_allowances: tuple[LanAllowance, ...] = ()
    """Machines of the LAN that Cilium lets pods reach, such as the NAS on 2049."""
    cluster_domain: Hostname = Hostname("cluster.local")
    """DNS domain of the cluster."""
    monitoring_namespace: ObjectName | None = None
    """Where Prometheus runs: its pods may then reach the ports with metrics, and nobody else may."""
    pod_security: Literal["auto", "restricted", "baseline", "privileged"] = "auto"
    """Level enforced on the namespace; auto is the strictest that the settings permit."""
