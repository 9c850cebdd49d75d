"""The provider itself: the steps of a resource's life, for the four kinds of object."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from toolchain.offline.plugins.docker import (
    container_fields,
    container_state,
    containers,
    images,
    networks,
    volumes,
)
from toolchain.offline.plugins.docker.connection import Engine, UnreachableError
from toolchain.offline.plugins.docker.schema import (
    Field,
    changes,
    failures,
    inputs_of,
    refreshed_inputs,
    same,
    settled,
    with_defaults,
)
from toolchain.offline.plugins.docker.settings import Settings, check_settings
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
from toolchain.offline.plugins.values import (
    DEFAULTED,
    UNKNOWN,
    Object,
    Secret,
    as_object,
    as_text,
    contains_secret,
    reveal_object,
    without_nulls,
)

VERSION = "5.2.0"

_NETWORK: Final = "docker:index/network:Network"
_VOLUME: Final = "docker:index/volume:Volume"
_IMAGE: Final = "docker:index/remoteImage:RemoteImage"
_CONTAINER: Final = "docker:index/container:Container"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One resource type. `state` makes outputs of the engine's description and the outputs before."""

    fields: Mapping[str, Field]
    computed: tuple[str, ...]
    inspect: Callable[[Engine, str], Object | None]
    state: Callable[[Object, Object], Object]
    autonamed: bool = True
    deletes_first: bool = False


KINDS: Final = {
    _NETWORK: Kind(
        fields=networks.FIELDS, computed=networks.COMPUTED, inspect=networks.inspect, state=networks.state
    ),
    _VOLUME: Kind(
        fields=volumes.FIELDS, computed=volumes.COMPUTED, inspect=volumes.inspect, state=volumes.state
    ),
    _IMAGE: Kind(
        fields=images.FIELDS,
        computed=images.COMPUTED,
        inspect=images.inspect,
        state=images.state,
        autonamed=False,
    ),
    _CONTAINER: Kind(
        fields=container_fields.FIELDS,
        computed=container_fields.COMPUTED,
        inspect=containers.inspect,
        state=container_state.read,
        deletes_first=True,
    ),
}


class DockerProvider(Provider):
    """Objects on one engine."""

    name = "docker"
    version = VERSION
    supports_autonaming = True

    def __init__(self) -> None:
        self._settings = Settings()
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._unreachable: UnreachableError | None = None

    # -- the provider's own settings

    def check_config(self, olds: Object | None, news: Object) -> Checked:
        return Checked(inputs=news, failures=check_settings(news))

    def configure(self, settings: Object) -> None:
        found = check_settings(settings)
        if found:
            raise ProviderError(f"docker provider: {found[0].reason}")
        self._settings = Settings.read(settings)

    def cancel(self) -> None:
        self._cancelled.set()
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    def _live(self) -> Engine:
        """The engine, connected to when it is first needed. One that did not answer is not asked again."""
        with self._lock:
            if self._unreachable is not None:
                raise UnreachableError(str(self._unreachable))
            if self._engine is None:
                try:
                    self._engine = Engine(self._settings, self._cancelled)
                except UnreachableError as error:
                    self._unreachable = error
                    raise
            return self._engine

    def _kind(self, request: Resource) -> Kind:
        kind = KINDS.get(request.type)
        if kind is None:
            raise self._unknown_type(request)
        return kind

    # -- inputs

    def check(self, request: CheckRequest) -> Checked:
        kind = self._kind(request)
        if not self._settings.unknown and not self._settings.skip_check:
            self._live()
        inputs = as_object(without_nulls(request.news))
        if kind.autonamed:
            inputs = _named(inputs, request)
        return Checked(inputs=inputs, failures=failures(inputs, kind.fields))

    def diff(self, request: DiffRequest) -> Diff:
        kind = self._kind(request)
        found = changes(request.olds, request.news, kind.fields, request.ignore)
        replaced = any(change.replace for change in found.values())
        return Diff(
            changes=found,
            delete_before_replace=replaced and (kind.deletes_first or _keeps_given_name(request, kind)),
        )

    # -- objects

    def create(self, request: CreateRequest) -> Created:
        kind = self._kind(request)
        full = with_defaults(request.inputs, kind.fields)
        if request.preview:
            left = [key for key, known in kind.fields.items() if known.computed and key not in full]
            return Created(id="", outputs={**full, **dict.fromkeys([*left, *kind.computed], UNKNOWN)})
        given = reveal_object(full)
        engine = self._live()
        if request.type == _CONTAINER:
            return self._create_container(engine, request, given)
        if request.type == _IMAGE:
            live = images.find(
                engine, as_text(given.get("name")), self._settings.registries, as_text(given.get("platform"))
            )
            outputs = images.state(live, given)
            return Created(id=images.identifier(outputs), outputs=hide(outputs, request.inputs))
        module = networks if request.type == _NETWORK else volumes
        identifier = module.create(engine, given)
        live = kind.inspect(engine, identifier)
        if live is None:
            raise ProviderError(f"{request.name}: {identifier} was created and is not there any more")
        return Created(
            id=identifier, outputs=hide(settled(kind.state(live, given), given, kind.fields), request.inputs)
        )

    def _create_container(self, engine: Engine, request: CreateRequest, given: Object) -> Created:
        try:
            identifier, log = containers.create(engine, given, self._settings.registries, self.host.root)
        except containers.StartedError as error:
            live = containers.inspect(engine, error.identifier)
            if live is None:
                raise ProviderError(str(error)) from None
            raise ResourceInitError(
                str(error),
                identifier=error.identifier,
                outputs=hide(self._made(live, given), request.inputs),
                reasons=[str(error)],
            ) from None
        live = containers.inspect(engine, identifier)
        outputs = self._made(live, given) if live is not None else given
        if log:
            outputs["containerLogs"] = log
        return Created(id=identifier, outputs=hide(outputs, request.inputs))

    def _made(self, live: Object, given: Object) -> Object:
        return settled(container_state.read(live, given), given, container_fields.FIELDS)

    def read(self, request: ReadRequest) -> ReadResult | None:
        kind = self._kind(request)
        engine = self._live()
        imported = not request.inputs
        before = reveal_object(request.outputs)
        if request.type == _IMAGE:
            if imported:
                raise ProviderError(
                    f"{request.id}: images cannot be imported: declare the RemoteImage instead"
                )
            live = images.inspect(engine, as_text(before.get("name")))
        else:
            live = kind.inspect(engine, request.id)
        if live is None:
            return None
        if imported:
            # Lists that are read only where the state has them are wanted here.
            before = with_defaults(before, kind.fields)
        outputs = kind.state(live, before)
        inputs = inputs_of(outputs, kind.fields) if imported else request.inputs
        if not imported:
            inputs = refreshed_inputs(inputs, outputs, kind.fields)
        identifier = (
            images.identifier(outputs) if request.type == _IMAGE else as_text(live.get("Id"), request.id)
        )
        hidden = {**request.outputs, **request.inputs}
        return ReadResult(id=identifier, outputs=hide(outputs, hidden), inputs=hide(inputs, hidden))

    def update(self, request: UpdateRequest) -> Object:
        kind = self._kind(request)
        news = with_defaults(request.news, kind.fields)
        kept = {key: value for key, value in request.olds.items() if key not in news and _stays(key, kind)}
        merged: Object = {**kept, **news}
        if request.preview:
            return hide(merged, request.news)
        given = reveal_object(merged)
        engine = self._live()
        if request.type == _CONTAINER:
            recorded = containers.update(engine, request.id, reveal_object(request.olds), given)
            if recorded:
                self.host.log(
                    Severity.WARNING,
                    f"{', '.join(recorded)} changed in the state only: the container keeps the old value until "
                    f"something replaces it, as with the official plugin. List it in replace_on_changes",
                    request.urn,
                )
        elif request.type == _IMAGE:
            live = images.find(
                engine, as_text(given.get("name")), self._settings.registries, as_text(given.get("platform"))
            )
            given = images.state(live, given)
        return hide(given, {**request.olds, **request.news})

    def delete(self, request: DeleteRequest) -> None:
        self._kind(request)
        engine = self._live()
        outputs = reveal_object(request.outputs)
        if request.type == _CONTAINER:
            containers.delete(engine, request.id, outputs)
        elif request.type == _IMAGE:
            images.delete(engine, outputs)
        else:
            module = networks if request.type == _NETWORK else volumes
            module.delete(engine, request.id, timeout=request.timeout)


def _stays(key: str, kind: Kind) -> bool:
    """Whether an output that the program says nothing about stays in an update."""
    return key in kind.computed or (key in kind.fields and kind.fields[key].computed)


def _named(inputs: Object, request: CheckRequest) -> Object:
    """The inputs with a name: the program's, else the one that the object got before, else a new one."""
    if inputs.get("name") is not None:
        return {key: value for key, value in inputs.items() if key != DEFAULTED}
    olds = request.olds or {}
    mode = request.autonaming
    if olds.get("name") is not None and olds.get(DEFAULTED) == ["name"]:
        name = olds["name"]
    elif mode is not None and mode.disabled:
        raise ProviderError(f"{request.name}: autonaming is disabled, so name must be given")
    elif mode is not None and mode.proposed_name:
        name = mode.proposed_name
    else:
        suffix = hashlib.sha256(request.seed).hexdigest() if request.seed else secrets.token_hex(4)
        name = f"{request.name[: 255 - 8]}-{suffix[:7]}"
    return {**inputs, "name": name, DEFAULTED: ["name"]}


def _keeps_given_name(request: DiffRequest, kind: Kind) -> bool:
    """Whether the program fixes the name, so that the new object can only follow the old one."""
    return (
        kind.autonamed
        and DEFAULTED not in request.news
        and same(request.olds.get("name"), request.news.get("name"), kind.fields["name"])
    )


def hide(outputs: Object, source: Object) -> Object:
    """The outputs with every property secret of which any part is secret in `source`."""
    return {
        key: Secret(value) if not isinstance(value, Secret) and contains_secret(source.get(key)) else value
        for key, value in outputs.items()
    }
