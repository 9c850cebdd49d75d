"""A program without an engine: what it registers is recorded as it would go over the wire.

Each run has a thread, an event loop and a context (config, root resource, monitor) of its own, so that runs leave no
trace in each other. Numbers are whole where they can be, secrets stay in their envelopes as :class:`Secret`.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from unittest import mock

from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime import mocks, rpc, settings
from pulumi.runtime import resource as registration
from pulumi.runtime.config import set_all_config
from pulumi.runtime.proto import engine_pb2, resource_pb2, source_pb2
from pulumi.runtime.stack import run_in_stack

SECONDS = 60.0
"""The longest that a program under test may take."""

SPOILING = ("PULUMI_CONFIG", "PULUMI_CONFIG_SECRET_KEYS", "IMMICH_RENDER_DIRECTORY")
"""Variables of the caller's environment that would change what a program does."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A value in a secret envelope."""

    value: Any


class Unknown:
    """A value that is known only after the update."""

    def __repr__(self) -> str:
        return "<unknown>"


UNKNOWN = Unknown()
_PROCESS = threading.Lock()


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """One registered resource."""

    type: str
    name: str
    urn: str
    custom: bool
    props: dict[str, Any]
    parent: str
    provider: str
    """`<urn>::<id>` of the provider; empty where the resource would take the default provider."""
    protect: bool
    retain_on_delete: bool
    delete_before_replace: bool
    dependencies: tuple[str, ...]
    timeouts: Mapping[str, str]
    """Custom timeouts by operation: `create`, `update`, `delete`."""
    secret_outputs: tuple[str, ...]


@dataclass(slots=True)
class Run:
    """What a program did."""

    resources: list[Recorded] = field(default_factory=list[Recorded])
    outputs: dict[str, Any] = field(default_factory=dict[str, Any])
    log: list[str] = field(default_factory=list[str])

    def of_type(self, *types: str) -> list[Recorded]:
        """Resources of these types."""
        return [one for one in self.resources if one.type in types]

    def by_urn(self, urn: str) -> Recorded:
        """The resource of a URN."""
        return next(one for one in self.resources if one.urn == urn)


Outputs = Callable[[Recorded], Mapping[str, Any]]
"""Output properties of a resource beside its inputs, as a provider would compute them. None are there in a preview."""


_OF_THE_PAST = {"pulumi:pulumi:readStackOutputs", "pulumi:pulumi:readStackResourceOutputs"}


class Recorder(mocks.MockMonitor):
    """A monitor that keeps every registration and answers with the inputs and `computed` outputs."""

    def __init__(self, run: Run, *, project: str, stack: str, preview: bool, computed: Outputs) -> None:
        super().__init__(_NoMocks())
        self._run = run
        self._at = f"{stack}::{project}"
        self._preview = preview
        self._computed = computed
        self._lock = threading.Lock()

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        """Like the engine's; the base class takes the stack's name from a thread that does not have it."""
        above = parent.split("::")[2] if parent and "pulumi:pulumi:Stack" not in parent else ""
        return f"urn:pulumi:{self._at}::{above}{'$' if above else ''}{type_}::{name}"

    def Invoke(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        """The program asks what earlier updates left: nothing. The base class would leave an event loop behind."""
        if request.tok not in _OF_THE_PAST:
            return super().Invoke(request)
        answer = struct_pb2.Struct()
        answer.update({"outputs": {}})
        response = resource_pb2.ResourceInvokeResponse()
        getattr(response, "return").CopyFrom(answer)
        return response

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        """Keep a registration; its URN must be new."""
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type == "pulumi:pulumi:Stack":
            return resource_pb2.RegisterResourceResponse(urn=urn)
        timeouts = {name: getattr(request.customTimeouts, name) for name in ("create", "update", "delete")}
        recorded = Recorded(
            type=request.type,
            name=request.name,
            urn=urn,
            custom=request.custom,
            props=cast("dict[str, Any]", decode(request.object)),
            parent=request.parent,
            provider=request.provider,
            protect=request.protect,
            retain_on_delete=request.retainOnDelete,
            delete_before_replace=request.deleteBeforeReplace,
            dependencies=tuple(sorted(request.dependencies)),
            timeouts={name: text for name, text in timeouts.items() if text},
            secret_outputs=tuple(request.additionalSecretOutputs),
        )
        with self._lock:
            if any(one.urn == urn for one in self._run.resources):
                raise ValueError(f"duplicate resource URN {urn}")
            self._run.resources.append(recorded)
        state = struct_pb2.Struct()
        state.CopyFrom(request.object)
        if request.custom and not self._preview:
            for name, value in self._computed(recorded).items():
                state.fields[name].CopyFrom(_encode(value, secret=name in recorded.secret_outputs))
        resource_id = "" if self._preview or not request.custom else f"{request.name}-id"
        return resource_pb2.RegisterResourceResponse(urn=urn, id=resource_id, object=state)

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        """Keep the stack's outputs."""
        if "pulumi:pulumi:Stack" in request.urn:
            self._run.outputs = cast("dict[str, Any]", decode(request.outputs))
        return empty_pb2.Empty()


class _NoMocks(mocks.Mocks):
    """The recorder answers by itself; a function call is an error, since programs under test make none."""

    def call(self, args: mocks.MockCallArgs) -> Any:
        raise NotImplementedError(f"the program calls {args.token}; give the recorder an answer")

    def new_resource(self, args: mocks.MockResourceArgs) -> Any:
        raise NotImplementedError(f"the program reads {args.typ}; give the recorder an answer")


def decode(value: Any) -> Any:
    """A protobuf value or struct as plain data; secret envelopes become :class:`Secret`."""
    if isinstance(value, struct_pb2.Struct):
        found = {name: decode(inner) for name, inner in value.fields.items()}
        if found.get(rpc._special_sig_key) == rpc._special_secret_sig:
            return Secret(found["value"])
        if rpc._special_sig_key in found:
            raise ValueError(f"a special value that these tests do not know: {found[rpc._special_sig_key]}")
        return found
    match value.WhichOneof("kind"):
        case "struct_value":
            return decode(value.struct_value)
        case "list_value":
            return [decode(inner) for inner in value.list_value.values]
        case "number_value":
            return int(value.number_value) if value.number_value.is_integer() else value.number_value
        case "string_value":
            return UNKNOWN if value.string_value == rpc.UNKNOWN else value.string_value
        case "bool_value":
            return value.bool_value
        case _:
            return None


def _encode(value: Any, *, secret: bool) -> Any:
    plain = struct_pb2.Struct()
    plain.update({"value": value})
    if not secret:
        return plain.fields["value"]
    plain.update({rpc._special_sig_key: rpc._special_secret_sig})
    return struct_pb2.Value(struct_value=plain)


class _Engine(mocks.MockEngine):
    """Keeps what the program logs, debugging apart."""

    def __init__(self, run: Run) -> None:
        super().__init__(None)
        self._run = run

    def Log(self, request: Any) -> None:  # noqa: N802 - the protocol's name
        if request.severity != engine_pb2.DEBUG:
            self._run.log.append(request.message)


def run(
    program: Callable[[], object],
    *,
    project: str = "immich",
    stack: str = "test",
    config: Mapping[str, str] | None = None,
    secret_keys: Sequence[str] = (),
    preview: bool = False,
    computed: Outputs = lambda _: {},
) -> Run:
    """Run `program` as the language host would, and give back what it did.

    `config` has full keys (`immich:server`) and texts. Whatever the program raises is raised here.
    """
    found = Run()
    errors: list[BaseException] = []

    def reported(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # What failed as a consequence of the error that the caller gets is of no use beside it.
        if not errors:
            loop.default_exception_handler(context)

    def inside() -> None:
        set_all_config(dict(config or {}), list(secret_keys))
        recorder = Recorder(found, project=project, stack=stack, preview=preview, computed=computed)
        ambient = mocks.MockSettings(
            monitor=recorder,
            monitor_features=set(recorder.GetDeploymentInfo(empty_pb2.Empty()).supportedFeatures),
            engine=_Engine(found),
            project=project,
            stack=stack,
            dry_run=preview,
        )
        settings.configure(ambient)
        settings.ROOT.set(None)
        # The runner owns the loop: it is closed, with its threads, when the program is done.
        with asyncio.Runner() as runner:
            runner.get_loop().set_exception_handler(reported)
            runner.run(run_in_stack(cast("Any", program)))

    def guarded(context: contextvars.Context) -> None:
        try:
            context.run(inside)
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            errors.append(error)

    # The environment and `sys.modules["__main__"]` belong to the process: one run at a time.
    # Where in the source a resource is registered is not recorded, and takes an eighth of the time to find out.
    nowhere = mock.patch.object(registration, "_get_stack_trace", source_pb2.StackTrace)
    with _PROCESS, mock.patch.dict(os.environ), nowhere:
        for name in SPOILING:
            os.environ.pop(name, None)
        thread = threading.Thread(target=guarded, args=(contextvars.copy_context(),), daemon=True)
        thread.start()
        thread.join(SECONDS)
    if thread.is_alive():
        raise TimeoutError(f"the program did not end within {SECONDS} s")
    if errors:
        raise errors[0]
    return found
