"""The provider itself: the steps of a resource's life, on a live cluster or in a directory of manifests."""

from __future__ import annotations

import threading

from toolchain.offline.plugins.changes import Change
from toolchain.offline.plugins.kubernetes import render
from toolchain.offline.plugins.kubernetes.client import UnreachableError
from toolchain.offline.plugins.kubernetes.live import Cluster
from toolchain.offline.plugins.kubernetes.naming import named, random_suffix
from toolchain.offline.plugins.kubernetes.objects import (
    FIELD_MANAGER_KEY,
    INPUTS_KEY,
    annotation,
    as_official,
    from_state,
    group_kind,
    hide_secret_data,
    identifier,
    is_cluster_scoped,
    name_of,
    namespace_of,
    object_kind,
    parse_identifier,
    to_state,
)
from toolchain.offline.plugins.kubernetes.pruning import importable_inputs, prune
from toolchain.offline.plugins.kubernetes.replacement import (
    must_delete_first,
    replaces,
    wants_replacement_when_unready,
)
from toolchain.offline.plugins.kubernetes.settings import Settings, check_settings, diff_settings
from toolchain.offline.plugins.kubernetes.waiting import NotReadyError
from toolchain.offline.plugins.provider import (
    Checked,
    CheckRequest,
    Created,
    CreateRequest,
    DeleteRequest,
    Diff,
    DiffRequest,
    Provider,
    ProviderError,
    ReadRequest,
    ReadResult,
    Resource,
    ResourceInitError,
    Severity,
    UpdateRequest,
)
from toolchain.offline.plugins.structural import compare
from toolchain.offline.plugins.values import (
    UNKNOWN,
    Object,
    Unknown,
    as_object,
    as_text,
    contains_secret,
    mark_secrets,
    reveal_object,
    without_nulls,
)

VERSION = "4.34.2"


class KubernetesProvider(Provider):
    """`kubernetes:<group>/<version>:<Kind>` for every kind, built in or not."""

    name = "kubernetes"
    version = VERSION
    supports_autonaming = True

    def __init__(self) -> None:
        self._settings = Settings()
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self._cluster: Cluster | None = None
        self._warned_unreachable = False

    # -- the provider's own settings

    def check_config(self, olds: Object | None, news: Object) -> Checked:
        return Checked(inputs=news, failures=check_settings(news))

    def diff_config(self, old_inputs: Object, news: Object) -> Diff:
        return diff_settings(old_inputs, news)

    def configure(self, settings: Object) -> None:
        self._settings = Settings.read(settings, self.host.root)
        self._cluster = None

    def cancel(self) -> None:
        self._cancelled.set()

    def _live(self) -> Cluster:
        """The cluster; connecting is put off until something needs it, so a preview does not pay for it."""
        with self._lock:
            if self._cluster is None:
                self._cluster = Cluster(self._settings, self._cancelled)
            return self._cluster

    # -- inputs

    def check(self, request: CheckRequest) -> Checked:
        kind = group_kind(request.type)
        inputs = as_object(without_nulls(request.news))
        inputs = {**inputs, "apiVersion": kind.api_version, "kind": kind.kind}
        if not isinstance(inputs.get("metadata"), (dict, Unknown)):
            inputs["metadata"] = {}
        inputs = named(inputs, request.olds, request.name, request.seed, request.autonaming)
        if self._settings.namespace and not isinstance(inputs["metadata"], Unknown):
            given = as_object(inputs["metadata"])
            if not given.get("namespace") and self._is_namespaced(inputs):
                inputs["metadata"] = {**given, "namespace": self._settings.namespace}
        inputs = hide_secret_data(inputs)
        if self._settings.render_directory is not None and contains_secret(inputs):
            self._warn(request, "the rendered YAML will contain a secret value in plain text")
        return Checked(inputs=inputs)

    def _is_namespaced(self, item: Object) -> bool:
        if self._settings.render_directory is not None:
            return not is_cluster_scoped(as_text(item.get("kind")))
        return self._live().is_namespaced(object_kind(item))

    def diff(self, request: DiffRequest) -> Diff:
        live_before = from_state(request.olds)
        olds = request.old_inputs or as_object(request.olds.get(INPUTS_KEY))
        old, new = (self._canonical(reveal_object(item)) for item in (olds, request.news))
        old, new = as_official(old, new), as_official(new, old)
        changes = compare(old, new, replaces(old, new, self._settings))
        changes = {path: change for path, change in changes.items() if not _ignored(path, request.ignore)}
        if wants_replacement_when_unready(new) and self._settings.render_directory is None:
            changes |= self._unready(live_before)
        return Diff(
            changes=changes,
            delete_before_replace=must_delete_first(self._canonical(live_before), new, changes),
            force_update=self._settings.always_render and self._settings.render_directory is not None,
        )

    def _unready(self, live_before: Object) -> dict[str, Change]:
        cluster = self._live()
        job = cluster.read(object_kind(live_before), namespace_of(live_before), name_of(live_before))
        if job is None or not cluster.waiter.not_ready_now(job, job):
            return {}
        return {'metadata.annotations["pulumi.com/replaceUnready"]': Change(kind="update", replace=True)}

    def _canonical(self, item: Object) -> Object:
        """The object with its namespace written out, since no namespace and `default` are the same place."""
        given = item.get("metadata")
        if (
            not isinstance(given, dict)
            or given.get("namespace")
            or is_cluster_scoped(as_text(item.get("kind")))
        ):
            return item
        return {**item, "metadata": {**given, "namespace": "default"}}

    # -- objects

    def create(self, request: CreateRequest) -> Created:
        inputs = request.inputs
        if request.preview:
            self._probe(request)
            return Created(id="", outputs=inputs)
        manager = annotation(inputs, "patchFieldManager") or f"pulumi-kubernetes-{random_suffix(b'')}"
        if self._settings.render_directory is not None:
            self._render(request, inputs)
            return Created(id=identifier(inputs), outputs=self._state(inputs, inputs, manager))
        cluster = self._live()
        made = cluster.create(inputs, manager)
        made = self._awaited(request, made, inputs, manager, request.timeout, updating=False)
        return Created(id=identifier(made), outputs=self._state(made, inputs, manager))

    def update(self, request: UpdateRequest) -> Object:
        before = from_state(request.olds)
        if request.preview:
            self._probe(request)
            return _expected(before, request.news)
        manager = annotation(request.news, "patchFieldManager") or self._manager(request.olds)
        directory = self._settings.render_directory
        if directory is not None:
            if render.manifest_path(directory, before) != render.manifest_path(
                directory, reveal_object(request.news)
            ):
                render.remove(directory, before)
            self._render(request, request.news)
            return self._state(request.news, request.news, manager)
        changed = self._live().update(request.news, before, request.ignore, manager)
        changed = self._awaited(request, changed, request.news, manager, request.timeout, updating=True)
        return self._state(changed, request.news, manager)

    def read(self, request: ReadRequest) -> ReadResult | None:
        directory = self._settings.render_directory
        if directory is not None:
            return self._read_rendered(request)
        kind = group_kind(request.type)
        namespace, name = parse_identifier(request.id)
        try:
            found = self._live().read(kind, namespace, name)
        except UnreachableError as error:
            return self._read_unreachable(request, error)
        if found is None:
            return None
        imported = not request.inputs
        # Inputs that name no namespace must not gain one: that would show as a difference for ever.
        inputs = importable_inputs(found) if imported else prune(found, request.inputs)
        manager = self._manager(request.outputs)
        outputs = self._state(found, inputs, manager)
        if not imported:
            problem = self._live().waiter.not_ready_now(found, request.inputs)
            if problem:
                raise ResourceInitError(
                    f"{kind.kind} {request.id} is not ready: {problem}",
                    identifier=request.id,
                    outputs=outputs,
                    inputs=inputs,
                    reasons=[problem],
                )
        return ReadResult(id=request.id or identifier(found), outputs=outputs, inputs=inputs)

    def _read_rendered(self, request: ReadRequest) -> ReadResult | None:
        directory = self._settings.render_directory
        if directory is None or not request.outputs:
            raise ProviderError(
                f"{request.id}: rendered manifests cannot be imported or looked up, there is no cluster to "
                f"ask"
            )
        if not render.exists(directory, from_state(request.outputs)):
            return None
        return ReadResult(id=request.id, outputs=request.outputs, inputs=request.inputs)

    def _read_unreachable(self, request: ReadRequest, error: ProviderError) -> ReadResult | None:
        if self._settings.delete_unreachable:
            self._warn(
                request, f"{error}; deleteUnreachable is set, so the resource is dropped from the state"
            )
            return None
        if self._settings.skip_unreachable:
            self._warn(request, f"{error}; skipUpdateUnreachable is set, so the resource is kept as it was")
            return ReadResult(id=request.id, outputs=request.outputs, inputs=request.inputs)
        raise error

    def delete(self, request: DeleteRequest) -> None:
        before = from_state(request.outputs)
        inputs = reveal_object(request.inputs or as_object(request.outputs.get(INPUTS_KEY)))
        directory = self._settings.render_directory
        if directory is not None:
            render.remove(directory, before)
            return
        try:
            self._live().delete(
                before,
                inputs,
                timeout=request.timeout,
                say=lambda text: self._say(request, text),
                warn=lambda text: self._warn(request, text),
            )
        except UnreachableError as error:
            if not self._settings.delete_unreachable:
                raise
            self._warn(
                request, f"{error}; deleteUnreachable is set, so the resource is dropped from the state"
            )

    # -- shared steps

    def _render(self, request: Resource, inputs: Object) -> None:
        directory = self._settings.render_directory
        if directory is None:
            raise AssertionError("only called when rendering")
        path = render.write(directory, inputs)
        self._say(request, f"rendered {path}")

    def _awaited(
        self, request: Resource, item: Object, inputs: Object, manager: str, timeout: float, *, updating: bool
    ) -> Object:
        """The object once it is ready. From here on it exists, so every failure must leave it in the state."""
        cluster = self._live()
        try:
            ready = cluster.waiter.until_ready(
                item,
                reveal_object(inputs),
                timeout=timeout,
                updating=updating,
                say=lambda text: self._say(request, text),
                warn=lambda text: self._warn(request, text),
            )
        except ProviderError as error:
            last, reasons = (
                (error.live, error.reasons) if isinstance(error, NotReadyError) else (item, [str(error)])
            )
            verb = "updated" if updating else "created"
            raise ResourceInitError(
                f"{identifier(last)} was {verb} but did not become ready: {error}. It stays; the next update "
                f"waits for "
                "it again",
                identifier=identifier(last),
                outputs=self._state(last, inputs, manager),
                reasons=reasons,
            ) from None
        if as_text(item.get("kind")) == "CustomResourceDefinition":
            cluster.client.forget_types()
        return ready

    def _state(self, item: Object, inputs: Object, manager: str) -> Object:
        version = as_text(inputs.get("apiVersion")) or as_text(item.get("apiVersion"))
        return to_state(reveal_object(item), inputs, api_version=version, field_manager=manager)

    def _manager(self, outputs: Object) -> str:
        return as_text(outputs.get(FIELD_MANAGER_KEY)) or f"pulumi-kubernetes-{random_suffix(b'')}"

    def _probe(self, request: Resource) -> None:
        """In a preview: say once when the API server is not there, as the update will fail."""
        if self._settings.render_directory is not None or self._warned_unreachable:
            return
        try:
            self._live().probe()
        except UnreachableError as error:
            with self._lock:
                first, self._warned_unreachable = not self._warned_unreachable, True
            if first:
                self._warn(request, f"{error}. This is only a preview: an update would fail")

    def _say(self, request: Resource, text: str) -> None:
        self.host.log(Severity.INFO, text, request.urn, status=True)

    def _warn(self, request: Resource, text: str) -> None:
        self.host.log(Severity.WARNING, text, request.urn)


def _ignored(path: str, ignored: list[str]) -> bool:
    return any(path == prefix or path.startswith((f"{prefix}.", f"{prefix}[")) for prefix in ignored)


def _expected(before: Object, news: Object) -> Object:
    """In a preview: the outputs after an update as far as they are known. The status is the cluster's to say."""
    merged = _overlaid(before, news)
    if "status" in before:
        merged["status"] = UNKNOWN
    return hide_secret_data(mark_secrets(merged, news))


def _overlaid(before: Object, news: Object) -> Object:
    merged = dict(before)
    for key, value in news.items():
        old = merged.get(key)
        merged[key] = _overlaid(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged
