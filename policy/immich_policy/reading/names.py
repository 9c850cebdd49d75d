"""How resources are called in a cluster."""

from __future__ import annotations

from immich_policy.model import Plain, Registered, mapping, text


def namespace(one: Registered) -> str:
    """Namespace of a Kubernetes resource; `default` where none is written."""
    return text(one.props, "metadata", "namespace") or "default"


def object_name(one: Registered) -> str:
    """`metadata.name`, or the logical name where that is left to Pulumi."""
    return text(one.props, "metadata", "name") or one.name.rsplit("/", 1)[-1]


def chosen(service: Registered, labels: dict[str, Plain], space: str) -> bool:
    """Whether a Service selects pods with these labels in a namespace."""
    selector = mapping(service.props, "spec", "selector")
    return bool(selector) and namespace(service) == space and selector.items() <= labels.items()
