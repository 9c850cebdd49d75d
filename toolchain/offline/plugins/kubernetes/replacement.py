"""Which changes make an object anew: the table of pulumi-kubernetes (provider/pkg/provider/diff.go).

Any other field that the API server refuses to change fails there, as with the official plugin.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from toolchain.offline.plugins.changes import Change
from toolchain.offline.plugins.kubernetes.objects import annotation, identifier, is_true, name_of, object_kind
from toolchain.offline.plugins.kubernetes.settings import Settings
from toolchain.offline.plugins.values import Object, as_text, dig

_VOLUME_SOURCES = (
    "awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "csi", "fc", "flexVolume",
    "flocker", "gcePersistentDisk", "glusterfs", "hostPath", "iscsi", "local", "nfs",
    "photonPersistentDisk", "portworxVolume", "quobyte", "rbd", "scaleIO", "storageos", "vsphereVolume",
)  # fmt: skip

_POD_FIELDS = (
    "affinity", "automountServiceAccountToken", "containers", "dnsConfig", "dnsPolicy",
    "enableServiceLinks", "hostAliases", "hostIPC", "hostNetwork", "hostPID", "hostname",
    "imagePullSecrets", "initContainers", "nodeName", "nodeSelector", "overhead", "preemptionPolicy",
    "priority", "priorityClassName", "readinessGates", "restartPolicy", "runtimeClassName", "schedulerName",
    "securityContext", "serviceAccount", "serviceAccountName", "shareProcessNamespace", "subdomain",
    "terminationGracePeriodSeconds", "volumes",
)  # fmt: skip

_BINDING = ("roleRef",)

_FIELDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("apps", "Deployment"): ("spec.selector",),
    ("apps", "StatefulSet"): (
        "spec.podManagementPolicy",
        "spec.revisionHistoryLimit",
        "spec.selector",
        "spec.serviceName",
        "spec.volumeClaimTemplates",
    ),
    ("batch", "Job"): (
        "spec.completions",
        "spec.parallelism",
        "spec.selector",
        "spec.template",
    ),
    ("", "PersistentVolume"): tuple(f"spec.{source}" for source in _VOLUME_SOURCES),
    ("", "PersistentVolumeClaim"): (
        "spec.accessModes",
        "spec.selector",
        "spec.storageClassName",
        "spec.volumeName",
    ),
    ("", "Pod"): tuple(f"spec.{field}" for field in _POD_FIELDS),
    ("", "ResourceQuota"): ("spec.scopes",),
    ("", "Secret"): ("type",),
    ("", "Service"): ("spec.clusterIP",),
    ("rbac.authorization.k8s.io", "RoleBinding"): _BINDING,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): _BINDING,
    ("storage.k8s.io", "StorageClass"): ("parameters", "provisioner"),
}

_IDENTITY = ("apiVersion", "kind", "metadata.name", "metadata.namespace")
_INDEX = re.compile(r"\[\d+\]")


def _is_immutable(item: Object) -> bool:
    return dig(item, "immutable") is True


def replacing_fields(item: Object, settings: Settings) -> tuple[str, ...]:
    """The field paths whose change needs a new object of this type."""
    kind = object_kind(item)
    fields = _FIELDS.get((kind.group, kind.kind), ())
    if (
        kind.group == ""
        and kind.kind == "ConfigMap"
        and (not settings.config_map_mutable or _is_immutable(item))
    ):
        fields = (*fields, "binaryData", "data")
    if kind.group == "" and kind.kind == "Secret" and (not settings.secret_mutable or _is_immutable(item)):
        fields = (*fields, "stringData", "data")
    return _IDENTITY + fields


def replaces(old: Object, new: Object, settings: Settings) -> Callable[[str], bool]:
    """For a change between these inputs: whether the property at a path needs a new object."""
    # An object that is immutable now may be left immutable only by a new one.
    fields = set(replacing_fields(new, settings)) | set(replacing_fields(old, settings))
    if _is_immutable(old) and not _is_immutable(new):
        fields.add("immutable")

    def rule(path: str) -> bool:
        bare = _INDEX.sub("", path)
        return any(bare == field or bare.startswith((f"{field}.", f"{field}[")) for field in fields)

    return rule


def must_delete_first(live: Object, new: Object, changes: dict[str, Change]) -> bool:
    """Whether the old object must go before the new one can exist: it has the same fixed name and namespace."""
    return (
        any(change.replace for change in changes.values())
        and bool(name_of(new))
        and not is_true(new, "autonamed")
        and identifier(new) == identifier(live)
    )


def wants_replacement_when_unready(item: Object) -> bool:
    """Whether a Job asks to be made anew while it has not succeeded (`pulumi.com/replaceUnready`)."""
    return annotation(item, "replaceUnready") == "true" and as_text(item.get("kind")) == "Job"
