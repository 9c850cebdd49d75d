"""What a container may do: users, privileges, namespaces."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial

from immich_policy.config import Config
from immich_policy.model import (
    UNKNOWN,
    Finding,
    Judgement,
    Plain,
    Severity,
    Stack,
    Unjudged,
    dig,
    family_rule,
    flag,
    mapping,
    strings,
    text,
)
from immich_policy.reading.containers import Container
from immich_policy.reading.parts import immich_pods, of_immich

_NON_ROOT_IMAGES = frozenset({"nginx-unprivileged", "cloudflared"})
"""Images whose own user is not root."""
_DROPPING = re.compile(r"(?:^|/)(?:postgres|redis|valkey)\Z|vchord-postgres\Z|(?:^|/)pgvecto(?:r|-rs)\Z")
_DROPPED_FOR = frozenset({"postgres", "redis-server", "valkey-server"})
"""Programs for which their entry points leave root; for a shell they do not."""
_POWERS = re.compile(
    r"ALL|SYS_(?!NICE\Z|CHROOT\Z)\w+|SYSLOG|NET_ADMIN|DAC_READ_SEARCH|BPF|PERFMON|MAC_\w+|LINUX_IMMUTABLE"
)
"""Capabilities with which a container leaves its bounds, or changes the host (capabilities(7), Linux 6.12)."""
_UNCONFINED = re.compile(r"(?:seccomp|apparmor|systempaths)[=:]unconfined\Z")


def finding(one: Container, path: str, message: str, setting: str) -> Finding:
    """A finding about a container, which the message names."""
    return Finding(resource=one.resource, path=path, message=f"{one.says()} {message}", setting=setting)


def lasting(stack: Stack) -> list[Container]:
    """Containers of Immich's workloads but those that end before others begin."""
    return [one for one in immich_pods(stack) if not one.init]


def _non_root(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    for one in lasting(stack):
        own = one.parsed is not None and one.parsed.name in _NON_ROOT_IMAGES
        own = own or _drops_root(one)
        yield from _docker_user(one, own=own) if one.docker else _pod_user(one, own=own)


def _drops_root(one: Container) -> bool:
    """Whether a container that is given no user leaves root by itself.

    The entry points of the official PostgreSQL, Valkey and Redis images do (docker-entrypoint.sh: gosu or setpriv), as
    long as they are what is started; images of LinuxServer.io and ImageGenius run as PUID.
    """
    image = one.parsed
    if image is None or one.roles == frozenset():
        return False
    if "linuxserver" in image.repository or "imagegenius" in image.repository:
        puid = one.variable("PUID")
        return puid is None or str(puid[1]).strip() != "0"
    entry, arguments = (
        strings(one.props, key) for key in (("entrypoints", "command") if one.docker else ("command", "args"))
    )
    program = arguments[0].rsplit("/", 1)[-1] if arguments else "-"
    kept = not entry or entry[0].endswith("docker-entrypoint.sh")
    started = program.startswith("-") or program.endswith(".conf") or program in _DROPPED_FOR
    return kept and started and _DROPPING.search(image.repository) is not None


def _docker_user(one: Container, *, own: bool) -> Iterator[Judgement]:
    user = dig(one.props, "user")
    if user is UNKNOWN:
        yield Unjudged(resource=one.resource, path="user")
    elif str(user or "").split(":")[0] in {"", "0", "root"} and not (own and not user):
        yield finding(one, "user", "runs as root", "user: 1000:1000")


def _pod_user(one: Container, *, own: bool) -> Iterator[Judgement]:
    non_root, user = _effective(one, "runAsNonRoot"), _effective(one, "runAsUser")
    path = one.at("securityContext", "runAsNonRoot")
    if user is not False and user == 0:
        yield finding(one, one.at("securityContext", "runAsUser"), "runs as root (user 0)", "runAsUser: 1000")
    elif UNKNOWN in (non_root, user):
        yield Unjudged(resource=one.resource, path=path)
    elif not flag({"it": non_root}, "it") and user is None and not own:
        yield finding(one, path, "may run as root", "runAsNonRoot: true and runAsUser: 1000")


def _effective(one: Container, key: str) -> Plain:
    own = dig(one.props, "securityContext", key)
    return dig(one.pod, "securityContext", key) if own is None else own


def _privileged(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    setting = "leave it out; give devices and single capabilities by name"
    for one in of_immich(stack):
        yield from _unconfined(one)
        context = one.props if one.docker else mapping(one.props, "securityContext")
        for key, words in (
            ("privileged", "is privileged"),
            ("allowPrivilegeEscalation", "may gain privileges"),
        ):
            path = one.at(key) if one.docker else one.at("securityContext", key)
            if dig(context, key) is UNKNOWN:
                yield Unjudged(resource=one.resource, path=path)
            elif flag(context, key):
                yield finding(one, path, words, setting)
        added = strings(context, "capabilities", "adds" if one.docker else "add")
        wide = sorted(
            name for one_ in added if _POWERS.fullmatch(name := one_.upper().removeprefix("CAP_")) is not None
        )
        if wide:
            path = one.at("capabilities") if one.docker else one.at("securityContext", "capabilities")
            yield finding(one, path, f"has the capabilities {', '.join(wide)}", setting)


def _unconfined(one: Container) -> Iterator[Finding]:
    """Filters of the kernel that a container is without."""
    setting = "leave it out: the engine's own profile (RuntimeDefault) is enough for Immich"
    if one.docker:
        for index, option in enumerate(strings(one.props, "securityOpts")):
            if _UNCONFINED.match(option):
                yield finding(one, one.at("securityOpts", index), f"has {option}", setting)
        return
    for key in ("seccompProfile", "appArmorProfile"):
        if text(mapping({"it": _effective(one, key)}, "it"), "type") == "Unconfined":
            yield finding(one, one.at("securityContext", key), f"has {key} Unconfined", setting)
    if text(one.props, "securityContext", "procMount") == "Unmasked":
        yield finding(one, one.at("securityContext", "procMount"), "sees all of /proc (Unmasked)", setting)


def _host(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    seen: set[tuple[int, str]] = set()
    parts = immich_pods(stack)
    for one in of_immich(stack):
        keys = (
            ("networkMode", "pidMode", "ipcMode", "usernsMode")
            if one.docker
            else ("hostNetwork", "hostPID", "hostIPC")
        )
        for key in keys:
            value = dig(one.props if one.docker else one.pod, key)
            path = key if one.docker else one.in_pod(key)
            if (id(one.resource), path) in seen:
                continue
            seen.add((id(one.resource), path))
            if value is UNKNOWN:
                if one in parts:
                    yield Unjudged(resource=one.resource, path=path)
            elif value == "host" if one.docker else flag({"it": value}, "it"):
                message = f"{key} shares a namespace of the host with {one.resource.name}"
                setting = "leave it out; publish single ports instead"
                yield Finding(resource=one.resource, path=path, message=message, setting=setting)


_rule = partial(family_rule, "workloads")

RULES = (
    _rule(
        "non-root",
        Severity.HIGH,
        "No container runs as root.",
        "Immich reads files of strangers with large libraries; root in the container makes a flaw in one of them a way "
        "to the volume of everybody, and to the host.",
        "Set `runAsNonRoot` and `runAsUser`, or Docker's `user`; give the folders to that user.",
        judge=_non_root,
    ),
    _rule(
        "privileged",
        Severity.CRITICAL,
        "No container is privileged, may gain privileges, has a capability that amounts to it, or goes unfiltered.",
        "A privileged container is root on the host; without the kernel's filters (seccomp, AppArmor) one flaw makes "
        "it so.",
        "Give a GPU by device or resource name; that needs no privilege.",
        judge=_privileged,
    ),
    _rule(
        "host-namespaces",
        Severity.HIGH,
        "No container shares the network, the processes or the memory of the host.",
        "With the host's network every port of the container is open on the host, past network "
        "policies, and peers have "
        "the host's address.",
        "Leave `hostNetwork`, `hostPID`, `hostIPC` and Docker's mode `host` out.",
        judge=_host,
    ),
)
