"""gRPC around a `Provider`: handshake, translation of values, errors, and a quiet end of the process."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Protocol, TypeVar

import grpc

from toolchain.offline.plugins import protocol
from toolchain.offline.plugins.changes import Change
from toolchain.offline.plugins.provider import (
    Autonaming,
    CheckRequest,
    CreateRequest,
    DeleteRequest,
    Diff,
    DiffRequest,
    Failure,
    Host,
    Provider,
    ProviderError,
    ReadRequest,
    ResourceInitError,
    Severity,
    UpdateRequest,
)
from toolchain.offline.plugins.values import from_struct, state_from_struct, to_struct

if TYPE_CHECKING:
    from google.protobuf.empty_pb2 import Empty
    from pulumi.runtime.proto import engine_pb2, plugin_pb2
    from pulumi.runtime.proto import provider_pb2 as p
    from pulumi.runtime.proto.provider_pb2_grpc import ResourceProviderServicer
else:
    from google.protobuf.empty_pb2 import Empty

    p = protocol.load("provider_pb2")
    plugin_pb2 = protocol.load("plugin_pb2")
    ResourceProviderServicer = protocol.load("provider_pb2_grpc").ResourceProviderServicer

_MESSAGE_LIMIT = 400 * 1024 * 1024  # bytes; the engine's own limit
_OPTIONS = [
    ("grpc.max_receive_message_length", _MESSAGE_LIMIT),
    ("grpc.max_send_message_length", _MESSAGE_LIMIT),
]
_WORKERS = 48  # the engine works on many resources at once, and an awaited one holds its thread

Answer = TypeVar("Answer")
Context = grpc.ServicerContext


class _Send(Protocol):
    """A call without its options; the parameter's name is gRPC's."""

    def __call__(self, request: engine_pb2.LogRequest) -> object: ...


class EngineLog:
    """Sends messages to the engine, which shows them beside the resource."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._lock = threading.Lock()
        self._send: _Send | None = None

    def __call__(self, severity: Severity, message: str, urn: str = "", *, status: bool = False) -> None:
        if not self._address:
            print(message, file=sys.stderr, flush=True)
            return
        request = protocol.engine_pb2.LogRequest(
            severity=self._level(severity), message=message, urn=urn, ephemeral=status
        )
        try:
            self._sender()(request)
        except grpc.RpcError:
            # The engine has gone: the operation's own answer will not arrive either, and stderr is still
            # read.
            print(message, file=sys.stderr, flush=True)

    def _level(self, severity: Severity) -> engine_pb2.LogSeverity.ValueType:
        return protocol.engine_pb2.LogSeverity.Value(severity.name)

    def _sender(self) -> _Send:
        with self._lock:
            if self._send is None:
                channel = grpc.insecure_channel(self._address, options=_OPTIONS)
                self._send = channel.unary_unary(
                    "/pulumirpc.Engine/Log",
                    request_serializer=protocol.engine_pb2.LogRequest.SerializeToString,
                    response_deserializer=Empty.FromString,
                )
            return self._send


class Servicer(ResourceProviderServicer):
    """The provider protocol, version 3, without components (Construct, Call)."""

    def __init__(self, provider: Provider, engine_address: str) -> None:
        self._provider = provider
        self._start(engine_address)

    def _start(self, engine_address: str) -> None:
        self._provider.start(Host(root=Path.cwd(), log=EngineLog(engine_address)))

    def Handshake(self, request: p.ProviderHandshakeRequest, context: Context) -> p.ProviderHandshakeResponse:
        self._start(request.engine_address)
        return p.ProviderHandshakeResponse(
            accept_secrets=True,
            accept_resources=False,
            accept_outputs=False,
            supports_autonaming_configuration=self._provider.supports_autonaming,
        )

    def GetPluginInfo(self, request: Empty, context: Context) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version=self._provider.version)

    def GetSchema(self, request: p.GetSchemaRequest, context: Context) -> p.GetSchemaResponse:
        return p.GetSchemaResponse(
            schema=f'{{"name": "{self._provider.name}", "version": "{self._provider.version}"}}'
        )

    def CheckConfig(self, request: p.CheckRequest, context: Context) -> p.CheckResponse:
        olds = from_struct(request.olds) if request.HasField("olds") else None
        checked = self._run(context, lambda: self._provider.check_config(olds, from_struct(request.news)))
        return p.CheckResponse(inputs=to_struct(checked.inputs), failures=_failures(checked.failures))

    def DiffConfig(self, request: p.DiffRequest, context: Context) -> p.DiffResponse:
        olds = from_struct(request.old_inputs if request.HasField("old_inputs") else request.olds)
        return _diff(self._run(context, lambda: self._provider.diff_config(olds, from_struct(request.news))))

    def Configure(self, request: p.ConfigureRequest, context: Context) -> p.ConfigureResponse:
        self._run(context, lambda: self._provider.configure(from_struct(request.args)))
        return p.ConfigureResponse(
            acceptSecrets=True,
            supportsPreview=True,
            acceptResources=False,
            acceptOutputs=False,
            supports_autonaming_configuration=self._provider.supports_autonaming,
        )

    def Check(self, request: p.CheckRequest, context: Context) -> p.CheckResponse:
        mode = request.autonaming
        olds = state_from_struct(request.olds)
        asked = CheckRequest(
            urn=request.urn,
            olds=olds or None,
            news=from_struct(request.news),
            seed=request.randomSeed,
            autonaming=Autonaming(disabled=mode.mode == mode.DISABLE, proposed_name=mode.proposed_name)
            if request.HasField("autonaming")
            else None,
        )
        checked = self._run(context, lambda: self._provider.check(asked))
        return p.CheckResponse(inputs=to_struct(checked.inputs), failures=_failures(checked.failures))

    def Diff(self, request: p.DiffRequest, context: Context) -> p.DiffResponse:
        asked = DiffRequest(
            urn=request.urn,
            id=request.id,
            olds=state_from_struct(request.olds),
            old_inputs=state_from_struct(request.old_inputs),
            news=from_struct(request.news),
            ignore=list(request.ignoreChanges),
        )
        return _diff(self._run(context, lambda: self._provider.diff(asked)))

    def Create(self, request: p.CreateRequest, context: Context) -> p.CreateResponse:
        asked = CreateRequest(
            urn=request.urn,
            inputs=from_struct(request.properties),
            preview=request.preview,
            timeout=request.timeout,
        )
        created = self._run(context, lambda: self._provider.create(asked))
        return p.CreateResponse(id=created.id, properties=to_struct(created.outputs))

    def Read(self, request: p.ReadRequest, context: Context) -> p.ReadResponse:
        asked = ReadRequest(
            urn=request.urn,
            id=request.id,
            outputs=state_from_struct(request.properties),
            inputs=state_from_struct(request.inputs),
        )
        result = self._run(context, lambda: self._provider.read(asked))
        if result is None:
            return p.ReadResponse(id="")
        return p.ReadResponse(
            id=result.id, properties=to_struct(result.outputs), inputs=to_struct(result.inputs)
        )

    def Update(self, request: p.UpdateRequest, context: Context) -> p.UpdateResponse:
        asked = UpdateRequest(
            urn=request.urn,
            id=request.id,
            olds=state_from_struct(request.olds),
            old_inputs=state_from_struct(request.old_inputs),
            news=from_struct(request.news),
            preview=request.preview,
            timeout=request.timeout,
            ignore=list(request.ignoreChanges),
        )
        return p.UpdateResponse(
            properties=to_struct(self._run(context, lambda: self._provider.update(asked)))
        )

    def Delete(self, request: p.DeleteRequest, context: Context) -> Empty:
        asked = DeleteRequest(
            urn=request.urn,
            id=request.id,
            outputs=state_from_struct(request.properties),
            inputs=state_from_struct(request.old_inputs),
            timeout=request.timeout,
        )
        self._run(context, lambda: self._provider.delete(asked))
        return Empty()

    def Invoke(self, request: p.InvokeRequest, context: Context) -> p.InvokeResponse:
        result = self._run(context, lambda: self._provider.invoke(request.tok, from_struct(request.args)))
        response = p.InvokeResponse()
        getattr(response, "return").CopyFrom(to_struct(result))  # "return" is a keyword of Python
        return response

    def Cancel(self, request: Empty, context: Context) -> Empty:
        self._provider.cancel()
        return Empty()

    def Attach(self, request: plugin_pb2.PluginAttach, context: Context) -> Empty:
        self._start(request.address)
        return Empty()

    def _run(self, context: Context, work: Callable[[], Answer]) -> Answer:
        try:
            return work()
        except ResourceInitError as error:
            _abort_not_ready(context, error)
        except ProviderError as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
        except Exception as error:  # noqa: BLE001 - a defect here: the engine must get an answer, the log the place
            traceback.print_exc()
            context.abort(
                grpc.StatusCode.INTERNAL,
                f"the offline plugin '{self._provider.name}' failed: {type(error).__name__}: {error}",
            )


def _abort_not_ready(context: Context, error: ResourceInitError) -> NoReturn:
    detail = p.ErrorResourceInitFailed(
        id=error.identifier,
        properties=to_struct(error.outputs),
        reasons=error.reasons,
        inputs=to_struct(error.inputs) if error.inputs is not None else None,
    )
    status = protocol.status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(error))
    status.details.add().Pack(detail)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.UNKNOWN, str(error))


def _failures(failures: list[Failure]) -> list[p.CheckFailure]:
    return [p.CheckFailure(property=failure.property, reason=failure.reason) for failure in failures]


def _kind(change: Change) -> p.PropertyDiff.Kind.ValueType:
    return p.PropertyDiff.Kind.Value(change.kind.upper() + ("_REPLACE" if change.replace else ""))


def _diff(diff: Diff) -> p.DiffResponse:
    changed = bool(diff.changes) or diff.force_update
    return p.DiffResponse(
        changes=p.DiffResponse.DIFF_SOME if changed else p.DiffResponse.DIFF_NONE,
        replaces=[path for path, change in diff.changes.items() if change.replace],
        diffs=sorted({path.split(".")[0].split("[")[0] for path in diff.changes}),
        detailedDiff={
            path: p.PropertyDiff(kind=_kind(change), inputDiff=True) for path, change in diff.changes.items()
        },
        hasDetailedDiff=bool(diff.changes),
        deleteBeforeReplace=diff.delete_before_replace,
    )


def serve(provider: Provider) -> int:
    """Run the provider until the engine or the user ends it; returns the process's exit code.

    The engine's address is the last argument, if there is one. The port is the first line on stdout. SIGINT,
    SIGTERM and the death of the parent process end it without a word.
    """
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    parent = os.getppid()
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: done.set())
    server = grpc.server(ThreadPoolExecutor(_WORKERS), options=_OPTIONS)
    servicer = Servicer(provider, arguments[-1] if arguments else "")
    protocol.load("provider_pb2_grpc").add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    while not done.wait(1.0):
        if os.getppid() != parent:
            break
    provider.cancel()
    server.stop(0.5).wait()
    # Threads that wait on the network would hold the interpreter's normal exit.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
