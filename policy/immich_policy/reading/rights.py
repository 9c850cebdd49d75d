"""What the account of a pod may do in its cluster, by registered roles and bindings (rbac.authorization.k8s.io/v1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from immich_policy.model import Plain, Registered, Stack, mapping, mappings, strings, text
from immich_policy.reading.containers import Container
from immich_policy.reading.names import namespace, object_name

GROUP: Final = "rbac.authorization.k8s.io"
_WIDE: Final = {
    "cluster-admin": "may do everything",
    "admin": "reads every Secret and starts pods",
    "edit": "reads every Secret and starts pods",
    "system:masters": "may do everything",
}
"""Roles that every cluster has."""
_READING: Final = frozenset({"get", "list", "watch", "*"})
_STARTING: Final = frozenset({"pods/exec", "pods/attach", "nodes/proxy", "serviceaccounts/token"})
_POWERS: Final = frozenset({"escalate", "bind", "impersonate"})


def granted(stack: Stack, one: Container) -> Iterator[tuple[Registered, str]]:
    """Bindings that give a pod's account too much, each with what that is in words."""
    space = namespace(one.resource)
    account = text(one.pod, "serviceAccountName") or text(one.pod, "serviceAccount") or "default"
    for binding in stack.of_kind("RoleBinding", "ClusterRoleBinding", group=GROUP):
        if not any(_is(subject, account, space) for _, subject in mappings(binding.props, "subjects")):
            continue
        role = mapping(binding.props, "roleRef")
        name, kind = text(role, "name"), text(role, "kind")
        if kind == "ClusterRole" and name in _WIDE:
            yield binding, f"{_WIDE[name]} (by {name})"
            continue
        for found in stack.of_kind(kind, group=GROUP) if kind in {"Role", "ClusterRole"} else ():
            same = kind == "ClusterRole" or namespace(found) == namespace(binding)
            if object_name(found) == name and same:
                yield from ((binding, f"{what} (by {name})") for what in _too_much(found))


def _is(subject: dict[str, Plain], account: str, space: str) -> bool:
    if text(subject, "kind") == "ServiceAccount":
        return text(subject, "name") == account and text(subject, "namespace") in {"", space}
    groups = {"system:serviceaccounts", f"system:serviceaccounts:{space}", "system:authenticated"}
    return text(subject, "kind") == "Group" and text(subject, "name") in groups


def _too_much(role: Registered) -> Iterator[str]:
    for _, rule in mappings(role.props, "rules"):
        verbs, resources = set(strings(rule, "verbs")), set(strings(rule, "resources"))
        named = bool(strings(rule, "resourceNames"))
        if "*" in resources and "*" in verbs:
            yield "may do everything"
        elif not named and resources & {"secrets", "*"} and verbs & _READING:
            yield "reads Secrets"
        if resources & _STARTING and verbs & {"create", "get", "*"}:
            yield f"may use {', '.join(sorted(resources & _STARTING))}"
        if verbs & _POWERS:
            yield f"may {', '.join(sorted(verbs & _POWERS))}"
