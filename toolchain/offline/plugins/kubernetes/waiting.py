"""Waiting for an object to be ready or gone, with progress on the user's screen, a time limit, and an early
end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from toolchain.offline.plugins.kubernetes.client import ApiError, Client, InterruptedWaitError
from toolchain.offline.plugins.kubernetes.objects import (
    GroupKind,
    annotation,
    is_true,
    name_of,
    namespace_of,
    object_kind,
)
from toolchain.offline.plugins.kubernetes.readiness import (
    CHECKS,
    READ_CHECKS,
    SETTLE_SECONDS,
    State,
    Watching,
    default_timeout,
    established,
    pod_problems,
)
from toolchain.offline.plugins.kubernetes.waitfor import wait_conditions
from toolchain.offline.plugins.provider import ProviderError
from toolchain.offline.plugins.values import Object, as_text, dig

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 2.0
_NO_NODES_GRACE = 3.0
_NO_NODES_DELETE_GRACE = 10.0

# Kinds for which the official plugin also skips waiting for deletion when skipAwait is set.
_SKIP_DELETE_KINDS = frozenset(
    {"Namespace", "Pod", "ReplicationController", "DaemonSet", "Deployment", "StatefulSet", "Job"}
)

Say = Callable[[str], None]


class NotReadyError(ProviderError):
    """The object was made or changed, but did not become ready; `live` is its last known state."""

    def __init__(self, message: str, reasons: list[str], live: Object) -> None:
        super().__init__(message)
        self.reasons = reasons
        self.live = live


def seconds_allowed(inputs: Object, from_program: float, default: float) -> float:
    """The time limit: `custom_timeouts` of the program, else `pulumi.com/timeoutSeconds`, else the default."""
    if from_program:
        return from_program
    text = annotation(inputs, "timeoutSeconds")
    if not text:
        return default
    if not text.isdigit() or int(text) == 0:
        raise ProviderError(
            f"the annotation pulumi.com/timeoutSeconds is {text!r} and must be a number of seconds"
        )
    return float(text)


@dataclass(kw_only=True)
class Waiter:
    """Waits on one API server; `cancelled` ends every wait."""

    client: Client
    cancelled: threading.Event

    def has_nodes(self) -> bool:
        """Whether anything can run on the cluster; true when that may not be asked."""
        try:
            return bool(self.client.list(GroupKind("v1", "Node"), limit="1"))
        except ApiError as error:
            if error.code == 403:
                return True
            raise

    def until_ready(
        self, live: Object, inputs: Object, *, timeout: float, updating: bool, say: Say, warn: Say
    ) -> Object:
        """The object once it is ready. Raises NotReadyError when it fails or the time is up, InterruptedWaitError on
        interruption.
        """
        if is_true(inputs, "skipAwait"):
            return live
        kind = object_kind(live)
        if kind.kind == "CustomResourceDefinition":
            return self._poll(
                live, lambda item: State(ready=established(item), message="waiting for the type"), 60.0, say
            )
        wanted = wait_conditions(inputs)
        limit = seconds_allowed(inputs, timeout, default_timeout(kind))
        watching = Watching(client=self.client, updating=updating)
        started = time.monotonic()
        if wanted:
            nodeless = not self.has_nodes()

            def all_conditions(item: Object) -> State:
                states = [condition(item) for condition in wanted]
                open_states = [state for state in states if not state.ready]
                untouched = (
                    nodeless and item.get("status") is None and time.monotonic() - started > _NO_NODES_GRACE
                )
                if untouched and open_states:
                    warn(
                        f"{kind.kind} {name_of(item)}: the cluster has no nodes and nothing acts on it: not "
                        f"waiting"
                    )
                return State(
                    ready=untouched or not open_states, message="; ".join(s.message for s in open_states)
                )

            return self._poll(live, all_conditions, limit, say)
        check = CHECKS.get(kind)
        if check is None:
            return live
        if not check(live, watching).ready and not self.has_nodes():
            warn(f"{kind.kind} {name_of(live)}: the cluster has no nodes: not waiting for readiness")
            return live

        def one(item: Object) -> State:
            watching.elapsed = time.monotonic() - started
            return check(item, watching)

        return self._poll(live, one, limit, say)

    def not_ready_now(self, live: Object, inputs: Object) -> str:
        """For a refresh: why the object is not ready at this moment, "" when it is or when it cannot be told."""
        check = READ_CHECKS.get(object_kind(live))
        if check is None or is_true(inputs, "skipAwait") or wait_conditions(inputs):
            return ""
        state = check(live, Watching(client=self.client, elapsed=SETTLE_SECONDS * 2))
        return "" if state.ready or not self.has_nodes() else state.message

    def _poll(self, live: Object, check: Callable[[Object], State], limit: float, say: Say) -> Object:
        kind, namespace, name = object_kind(live), namespace_of(live), name_of(live)
        deadline = time.monotonic() + limit
        pause, said = _FIRST_PAUSE, ""
        while True:
            state = check(live)
            if state.ready:
                return live
            if state.failed or time.monotonic() >= deadline:
                problems = pod_problems(self.client, live)
                why = state.message if state.failed else f"not ready after {limit:.0f} s: {state.message}"
                raise NotReadyError(f"{kind.kind} {name}: {why}", [why, *problems], live)
            if state.message != said:
                said = state.message
                say(said)
            if self.cancelled.wait(min(pause, max(0.0, deadline - time.monotonic()))):
                why = f"interrupted while {state.message}"
                raise NotReadyError(f"{kind.kind} {name}: {why}", [why], live)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
            current = self.client.get(kind, namespace, name)
            if current is None:
                raise ProviderError(f"{kind.kind} {name} was deleted by someone else while it was awaited")
            live = current

    def until_gone(self, live: Object, inputs: Object, *, timeout: float, say: Say, warn: Say) -> None:
        """Return once the object does not exist any more, or another one of the same name does."""
        kind, namespace, name = object_kind(live), namespace_of(live), name_of(live)
        if is_true(inputs, "skipAwait") and kind.kind in _SKIP_DELETE_KINDS:
            return
        limit = seconds_allowed(inputs, timeout, 600.0)
        started = time.monotonic()
        uid = dig(live, "metadata", "uid")
        pause, nodeless = 0.05, None
        while True:
            current = self.client.get(kind, namespace, name)
            if current is None or (uid is not None and dig(current, "metadata", "uid") != uid):
                return
            elapsed = time.monotonic() - started
            holders = _holders(current)
            if elapsed >= limit:
                raise ProviderError(
                    f"{kind.kind} {name} was told to go but still exists after {limit:.0f} s (held by "
                    f"{holders}): "
                    "remove what uses it, then run the command again"
                )
            if elapsed > _NO_NODES_DELETE_GRACE:
                nodeless = (not self.has_nodes()) if nodeless is None else nodeless
                if nodeless:
                    warn(
                        f"{kind.kind} {name}: the cluster has no nodes: not waiting until it is gone (held "
                        f"by {holders})"
                    )
                    return
            if elapsed > 1.0:
                say(f"waiting until it is gone (held by {holders})")
            if self.cancelled.wait(pause):
                raise InterruptedWaitError(f"{kind.kind} {name}: interrupted while waiting until it is gone")
            pause = min(pause * 1.7, _LONGEST_PAUSE)


def _holders(item: Object) -> str:
    """What keeps a deleted object: its finalizers, or its Pods' time to end."""
    names: list[str] = []
    for path in (("metadata", "finalizers"), ("spec", "finalizers")):
        listed = dig(item, *path)
        names += [as_text(entry) for entry in listed] if isinstance(listed, list) else []
    return "finalizer " + ", ".join(names) if names else "its termination grace period"
