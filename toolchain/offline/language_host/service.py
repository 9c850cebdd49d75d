"""The gRPC service that the engine talks to (language.proto of Pulumi)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

from toolchain.offline.language_host.policy_process import run_plugin
from toolchain.offline.language_host.program import Outcome
from toolchain.versions import PULUMI

if TYPE_CHECKING:
    import grpc
    from google.protobuf.empty_pb2 import Empty


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """Answers what `up`, `preview`, `refresh`, `destroy`, `import`, `about` and policy packs ask for.

    Code generation and `pulumi install` are not offered: `make setup` installs the locked requirements.
    """

    def __init__(self, run_program: Callable[[language_pb2.RunRequest], Outcome]) -> None:
        self._run_program = run_program

    def Handshake(
        self, request: language_pb2.LanguageHandshakeRequest, context: grpc.ServicerContext
    ) -> language_pb2.LanguageHandshakeResponse:
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version=PULUMI)

    def GetRequiredPlugins(
        self, request: language_pb2.GetRequiredPluginsRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetRequiredPluginsResponse:
        return language_pb2.GetRequiredPluginsResponse()

    def GetRequiredPackages(
        self, request: language_pb2.GetRequiredPackagesRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetRequiredPackagesResponse:
        # Empty on purpose: each resource names its plugin's version, and `make setup` has put the plugins in place.
        return language_pb2.GetRequiredPackagesResponse()

    def Run(
        self, request: language_pb2.RunRequest, context: grpc.ServicerContext
    ) -> language_pb2.RunResponse:
        outcome = self._run_program(request)
        return language_pb2.RunResponse(error=outcome.error, bail=outcome.bail)

    def RunPlugin(
        self, request: language_pb2.RunPluginRequest, context: grpc.ServicerContext
    ) -> Iterator[language_pb2.RunPluginResponse]:
        return run_plugin(request, context)

    def About(
        self, request: language_pb2.AboutRequest, context: grpc.ServicerContext
    ) -> language_pb2.AboutResponse:
        version = ".".join(str(part) for part in sys.version_info[:3])
        return language_pb2.AboutResponse(executable=sys.executable, version=version)

    def GetProgramDependencies(
        self, request: language_pb2.GetProgramDependenciesRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetProgramDependenciesResponse:
        from importlib.metadata import distributions  # needed by `pulumi about` alone

        installed = {found.metadata["Name"]: found.version for found in distributions()}
        return language_pb2.GetProgramDependenciesResponse(
            dependencies=[
                language_pb2.DependencyInfo(name=name, version=version)
                for name, version in sorted(installed.items())
            ]
        )

    def Cancel(self, request: Empty, context: grpc.ServicerContext) -> Empty:
        from google.protobuf.empty_pb2 import Empty as Nothing

        return Nothing()
