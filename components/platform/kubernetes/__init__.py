"""Kubernetes as a platform."""

from components.platform.kubernetes.platform import KubernetesPlatform, KubernetesPlatformArgs

__all__ = ["KubernetesPlatform", "KubernetesPlatformArgs"]
