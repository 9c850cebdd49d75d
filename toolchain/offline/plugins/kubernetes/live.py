"""Objects on a live API server: create, server-side apply, read, delete."""

from __future__ import annotations

import threading

from toolchain.offline.plugins.kubernetes.client import ApiError, Client, MissingKindError
from toolchain.offline.plugins.kubernetes.objects import (
    GroupKind,
    annotation,
    dashed,
    identifier,
    is_true,
    name_of,
    namespace_of,
    object_kind,
)
from toolchain.offline.plugins.kubernetes.ownership import CREATE_MANAGER, take_over, with_ignored
from toolchain.offline.plugins.kubernetes.settings import Settings
from toolchain.offline.plugins.kubernetes.waiting import Say, Waiter
from toolchain.offline.plugins.provider import ProviderError
from toolchain.offline.plugins.values import Object, reveal_object

# A type or namespace that was made a moment ago may not be known everywhere yet.
_RETRY_PAUSES = (0.5, 1.0, 2.0)

_PROPAGATION = {"orphan": "Orphan", "background": "Background"}


class Cluster:
    """One live cluster."""

    def __init__(self, settings: Settings, cancelled: threading.Event) -> None:
        self.settings = settings
        self.client = Client(settings)
        self.waiter = Waiter(client=self.client, cancelled=cancelled)
        self._cancelled = cancelled
        self._probe_lock = threading.Lock()
        self._answered = False

    def is_namespaced(self, kind: GroupKind) -> bool:
        """Whether objects of the type live in a namespace; assumed so for a type that is not there yet."""
        try:
            return self.client.endpoint(kind).namespaced
        except MissingKindError:
            return True

    def probe(self) -> None:
        """Raises UnreachableError when the API server does not answer; asks it once only."""
        with self._probe_lock:
            if not self._answered:
                self.client.request("GET", "/version")
                self._answered = True

    def create(self, inputs: Object, manager: str) -> Object:
        """Make the object and return it as the server has it; it need not be ready yet.

        Raises ProviderError when it exists already (unless `upsertExistingObjects` is set) or is refused.
        """
        item = dashed(reveal_object(inputs))
        for pause in (*_RETRY_PAUSES, None):
            try:
                return self._create_once(item, manager)
            except MissingKindError:
                if pause is None or self._cancelled.wait(pause):
                    raise
                self.client.forget_types()
            except ApiError as error:
                if error.code != 404 or pause is None or self._cancelled.wait(pause):
                    raise self._explained(error, item) from None
        raise AssertionError("the last attempt returns or raises")

    def _create_once(self, item: Object, manager: str) -> Object:
        if self.settings.upsert:
            return self.client.apply(item, manager, force=self._force(item))
        return self.client.create(item, CREATE_MANAGER)

    def _force(self, item: Object) -> bool:
        return self.settings.patch_force or is_true(item, "patchForce")

    def update(self, inputs: Object, live_before: Object, ignored: list[str], manager: str) -> Object:
        """Bring the object to the inputs with server-side apply and return it; it need not be ready yet."""
        item = dashed(reveal_object(inputs))
        kind, namespace, name = object_kind(item), namespace_of(live_before), name_of(live_before)
        live = self.client.get(kind, namespace, name)
        if live is None:
            raise ProviderError(
                f"{kind.kind} {identifier(live_before)} is not on {self.client.server} any more: run `pulumi "
                f"refresh`, "
                "then the command again"
            )
        try:
            patch = take_over(live, manager)
            if patch:
                live = self.client.json_patch(live, patch, manager)
            item = with_ignored(item, live, ignored, manager)
            return self.client.apply(item, manager, force=self._force(item))
        except ApiError as error:
            raise self._explained(error, item) from None

    def read(self, kind: GroupKind, namespace: str, name: str) -> Object | None:
        """The live object, None when it, or its type, does not exist."""
        try:
            return self.client.get(kind, namespace, name)
        except MissingKindError:
            return None

    def delete(self, live: Object, inputs: Object, *, timeout: float, say: Say, warn: Say) -> None:
        """Remove the object and wait until it is gone; what is gone already is fine."""
        item = inputs or live
        wish = annotation(item, "deletionPropagationPolicy").lower()
        propagation = _PROPAGATION.get(wish, "Foreground")
        if propagation == "Foreground" and not self.waiter.has_nodes():
            # Foreground deletion is finished by a controller, which a bare API server does not have.
            propagation = "Background"
        kind = object_kind(live)
        try:
            if self.client.delete(kind, namespace_of(live), name_of(live), propagation):
                self.waiter.until_gone(live, item, timeout=timeout, say=say, warn=warn)
        except MissingKindError:
            return  # the type went, and every object of it with it
        except ApiError as error:
            raise self._explained(error, live) from None
        if kind.kind == "CustomResourceDefinition":
            self.client.forget_types()

    def _explained(self, error: ApiError, item: Object) -> ProviderError:
        """The API server's refusal, with what to do about it."""
        what = f"{object_kind(item).kind} {identifier(item)}"
        if error.reason == "AlreadyExists":
            return ProviderError(
                f"{what} already exists on {self.client.server}. To manage the existing object run `pulumi "
                f"import "
                f"<type> <name> {identifier(item)}`; if a resource was renamed give it an alias; to take "
                f"over whatever "
                "exists set upsertExistingObjects on the provider"
            )
        if error.reason == "Conflict":
            return ProviderError(
                f"{what}: someone else manages a field that this program sets: {error}. Leave the field out "
                f"or ignore "
                'its changes, or take it over with the annotation pulumi.com/patchForce: "true"'
            )
        if error.code == 403:
            return ProviderError(f"{what}: the kubeconfig's user may not do this: {error}")
        if error.code == 404 and object_kind(item).kind != "Namespace" and "namespaces" in str(error):
            return ProviderError(
                f"{what}: {error}: create the namespace first, or make the object depend on it"
            )
        return ProviderError(f"{what} was refused by the API server {self.client.server}: {error}")
