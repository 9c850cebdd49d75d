"""The pack as the engine calls it, without the engine: the SDK's own servicer, which is private, wrapped once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf import struct_pb2
from pulumi.runtime import proto
from pulumi_policy import EnforcementLevel, Policy
from pulumi_policy.policy import _PolicyAnalyzerServicer
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE

from immich_policy.model import UNKNOWN

ADVISORY, MANDATORY, DISABLED = proto.ADVISORY, proto.MANDATORY, proto.DISABLED
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"


@dataclass(frozen=True)
class Said:
    """One diagnostic."""

    policy: str
    level: int
    message: str
    urn: str


class Servicer:
    """A pack that was started and configured."""

    def __init__(
        self,
        policies: list[Policy],
        config: Mapping[str, Any] | None = None,
        levels: Mapping[str, proto.EnforcementLevel.ValueType] | None = None,
    ) -> None:
        self._servicer = _PolicyAnalyzerServicer("immich", "1.0.0", policies, EnforcementLevel.MANDATORY)
        request = proto.ConfigureAnalyzerRequest()
        for policy in policies:
            own = request.policyConfig[policy.name]
            level = policy.enforcement_level
            default = ADVISORY if level is EnforcementLevel.ADVISORY else MANDATORY
            own.enforcementLevel = (levels or {}).get(policy.name, default)
            own.properties.update((config or {}).get(policy.name, {}))
        self._servicer.Configure(request, None)

    def info(self) -> Any:
        """What the engine is told about the pack."""
        return self._servicer.GetAnalyzerInfo(None, None)

    def analyze(self, resources: Sequence[Mapping[str, Any]]) -> list[Said]:
        """Judge a stack."""
        request = proto.AnalyzeStackRequest()
        for one in resources:
            urn = f"urn:pulumi:s::p::{one['type']}::{one['name']}"
            sent = request.resources.add(type=one["type"], name=one["name"], urn=urn)
            sent.options.protect = one.get("protect", False)
            sent.properties.CopyFrom(_struct(one["props"]))
        answer = self._servicer.AnalyzeStack(request, None)
        return [Said(it.policyName, it.enforcementLevel, it.message, it.urn) for it in answer.diagnostics]


def secret(value: Any) -> dict[str, Any]:
    """A value in the envelope of a secret."""
    return {_SIGNATURE: _SECRET, "value": value}


def _struct(props: Mapping[str, Any]) -> struct_pb2.Struct:
    made = struct_pb2.Struct()
    made.update(_sent(props))
    return made


def _sent(value: Any) -> Any:
    if value is UNKNOWN:
        return UNKNOWN_STRING_VALUE
    if isinstance(value, Mapping):
        return {key: _sent(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_sent(inner) for inner in value]
    return value
