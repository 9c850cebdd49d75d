"""Kubernetes as a platform."""

from components.platform.kubernetes.platform import KubernetesOptions, KubernetesPlatform

__all__ = ["KubernetesOptions", "KubernetesPlatform"]
