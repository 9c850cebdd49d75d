"""Kubernetes objects as Pulumi sees them: type tokens, identifiers, and the form that is stored in the state."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from toolchain.offline.plugins.provider import ProviderError
from toolchain.offline.plugins.values import (
    Object,
    Secret,
    Value,
    as_object,
    as_text,
    contains_unknown,
    dig,
    mark_secrets,
    reveal,
    reveal_object,
)

# Keys of the state beside the object's own, as the official plugin writes them.
INPUTS_KEY = "__inputs"
API_VERSION_KEY = "__initialApiVersion"
FIELD_MANAGER_KEY = "__fieldManager"

ANNOTATION_PREFIX = "pulumi.com/"

# Set by the API server and never by a program.
SERVER_METADATA = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
)

_CLUSTER_SCOPED = frozenset(
    {
        "APIService",
        "CSIDriver",
        "CSINode",
        "CertificateSigningRequest",
        "ClusterRole",
        "ClusterRoleBinding",
        "ComponentStatus",
        "CustomResourceDefinition",
        "FlowSchema",
        "IngressClass",
        "MutatingWebhookConfiguration",
        "Namespace",
        "Node",
        "PersistentVolume",
        "PriorityClass",
        "PriorityLevelConfiguration",
        "RuntimeClass",
        "StorageClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
        "VolumeAttachment",
    }
)


@dataclass(frozen=True)
class GroupKind:
    """An apiVersion (`v1`, `apps/v1`) and a kind."""

    api_version: str
    kind: str

    @property
    def group(self) -> str:
        """The API group, "" for the core group."""
        return self.api_version.rpartition("/")[0]

    def __str__(self) -> str:
        return f"{self.api_version}/{self.kind}"


def group_kind(token: str) -> GroupKind:
    """The object type of a type token such as `kubernetes:apps/v1:Deployment`.

    Raises ProviderError for tokens that are not plain objects (Helm, Kustomize, `*Patch`, `*List`).
    """
    parts = token.split(":")
    if len(parts) != 3 or "/" not in parts[1] or parts[1].startswith(("helm.sh/", "kustomize/", "yaml/")):
        raise ProviderError(
            f"{token} is not in the offline plugin 'kubernetes', which knows plain objects only: use the "
            f"official plugin"
        )
    group_version, kind = parts[1], parts[2]
    if kind.endswith("Patch") and not kind.startswith("Patch"):
        raise ProviderError(
            f"{token} is a Patch resource, which is not in the offline plugin 'kubernetes': manage the whole "
            f"{kind.removesuffix('Patch')} with `import_`, or use the official plugin"
        )
    group, _, version = group_version.rpartition("/")
    if group == "core":
        return GroupKind(version, kind)
    return GroupKind(f"{group}/{version}", kind)


def object_kind(item: Object) -> GroupKind:
    """The type that the object itself states."""
    return GroupKind(as_text(item.get("apiVersion")), as_text(item.get("kind")))


def metadata(item: Object) -> Object:
    """The object's metadata, {} when there is none."""
    return as_object(item.get("metadata"))


def name_of(item: Object) -> str:
    """`metadata.name`, "" when there is none or it is not known."""
    return as_text(metadata(item).get("name"))


def namespace_of(item: Object) -> str:
    """`metadata.namespace`, "" when there is none or it is not known."""
    return as_text(metadata(item).get("namespace"))


def annotation(item: Object, name: str) -> str:
    """The value of the annotation `pulumi.com/<name>`, "" when there is none."""
    return as_text(dig(item, "metadata", "annotations", ANNOTATION_PREFIX + name))


def is_true(item: Object, name: str) -> bool:
    """Whether the annotation `pulumi.com/<name>` is "true"."""
    return annotation(item, name) == "true"


def is_cluster_scoped(kind: str) -> bool:
    """Whether a built-in kind has no namespace; used only where no API server can be asked."""
    return kind in _CLUSTER_SCOPED


def identifier(item: Object) -> str:
    """Pulumi's ID of an object: `namespace/name`, or `name` without a namespace."""
    namespace = namespace_of(item)
    return f"{namespace}/{name_of(item)}" if namespace else name_of(item)


def parse_identifier(text: str) -> tuple[str, str]:
    """Namespace ("" for none) and name of an ID."""
    namespace, _, name = text.rpartition("/")
    return namespace, name


def is_secret_object(item: Object) -> bool:
    """Whether the object is a v1 Secret."""
    return object_kind(item) == GroupKind("v1", "Secret")


def hide_secret_data(item: Object) -> Object:
    """The object with `data` and `stringData` secret if it is a v1 Secret, whatever the program marked."""
    if not is_secret_object(item):
        return item
    hidden = dict(item)
    for key in ("data", "stringData"):
        value = hidden.get(key)
        if value is not None and not isinstance(value, Secret):
            hidden[key] = Secret(reveal(value))
    return hidden


def encoded_secret_data(item: Object) -> Object:
    """The `data` that the API server makes of a Secret's `data` and `stringData`."""
    encoded: Object = dict(as_object(reveal(item.get("data"))))
    for key, value in as_object(reveal(item.get("stringData"))).items():
        encoded[key] = base64.b64encode(as_text(value).encode()).decode()
    return encoded


def as_official(item: Object, beside: Object) -> Object:
    """Inputs as the official plugin stores them: without the empty class of a PersistentVolume, and with a Secret's
    texts encoded, which is done where only one of `item` and `beside` has texts.
    """
    if (
        object_kind(item) == GroupKind("v1", "PersistentVolume")
        and dig(item, "spec", "storageClassName") == ""
    ):
        spec = {key: value for key, value in as_object(item["spec"]).items() if key != "storageClassName"}
        return {**item, "spec": spec}
    known = not contains_unknown(item) and not contains_unknown(beside)
    if not (is_secret_object(item) and known and ("stringData" in item) != ("stringData" in beside)):
        return item
    rest = {key: value for key, value in item.items() if key != "stringData"}
    return {**rest, "data": encoded_secret_data(item)}


def decoded_text(value: Value) -> Value:
    """What base64 `data` says as text, or the value itself when it is not text."""
    try:
        return base64.b64decode(as_text(value), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return value


def to_state(live: Object, inputs: Object, *, api_version: str, field_manager: str) -> Object:
    """The outputs to store: the live object, secret where the inputs are, and the inputs beside it."""
    marked = mark_secrets(live, inputs)
    return {
        **hide_secret_data(underscored(marked)),
        INPUTS_KEY: hide_secret_data(inputs),
        API_VERSION_KEY: api_version,
        FIELD_MANAGER_KEY: field_manager,
    }


def from_state(outputs: Object) -> Object:
    """The live object in stored outputs, without secret envelopes and without the keys beside it."""
    beside = (INPUTS_KEY, API_VERSION_KEY, FIELD_MANAGER_KEY)
    return dashed(reveal_object({key: value for key, value in outputs.items() if key not in beside}))


def dashed(item: Object) -> Object:
    """The object with the SDK's `x_kubernetes_*` names of a CustomResourceDefinition's schema as Kubernetes
    has them.
    """
    if as_text(item.get("kind")) != "CustomResourceDefinition":
        return item
    return as_object(_renamed(item, "x_kubernetes_", "_", "-"))


def underscored(item: Object) -> Object:
    """The inverse of `dashed`."""
    if as_text(item.get("kind")) != "CustomResourceDefinition":
        return item
    return as_object(_renamed(item, "x-kubernetes-", "-", "_"))


def _renamed(value: Value, prefix: str, old: str, new: str) -> Value:
    if isinstance(value, dict):
        return {
            key.replace(old, new) if key.startswith(prefix) else key: _renamed(element, prefix, old, new)
            for key, element in value.items()
        }
    if isinstance(value, list):
        return [_renamed(element, prefix, old, new) for element in value]
    return value
