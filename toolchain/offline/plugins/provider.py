"""What a provider plugin implements: one method per step of a resource's life, on plain Python values.

`server.py` puts a `Provider` behind gRPC. A method reports a user's mistake or an outside failure by raising
`ProviderError` with one sentence that says what is wrong and what to do; anything else that escapes is a
defect of the plugin and is reported as such.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Protocol

from toolchain.offline.plugins.changes import Change
from toolchain.offline.plugins.values import Object


class ProviderError(Exception):
    """A failure to show to the user as it is."""


class ResourceInitError(ProviderError):
    """The object exists but is not ready: Pulumi records it with these outputs and tries again next time."""

    def __init__(
        self,
        message: str,
        *,
        identifier: str,
        outputs: Object,
        reasons: list[str],
        inputs: Object | None = None,
    ) -> None:
        super().__init__(message)
        self.identifier = identifier
        self.outputs = outputs
        self.inputs = inputs
        self.reasons = reasons


class Severity(Enum):
    """Pulumi's log levels; the values are those of `pulumirpc.LogSeverity`."""

    DEBUG = 0
    INFO = 1
    WARNING = 2
    ERROR = 3


class Log(Protocol):
    """Where a plugin's messages to the user go."""

    def __call__(self, severity: Severity, message: str, urn: str = "", *, status: bool = False) -> None:
        """Show a message, with `urn` beside that resource; `status` ones are shown only while it is worked
        on.
        """


@dataclass(frozen=True, kw_only=True)
class Host:
    """What the engine told the plugin at the start.

    `root` is the directory that the command runs in: relative paths in settings start there.
    """

    root: Path
    log: Log


@dataclass(frozen=True, kw_only=True)
class Resource:
    """Which resource a request is about."""

    urn: str

    @property
    def type(self) -> str:
        """The type token, such as `kubernetes:core/v1:ConfigMap`."""
        return self.urn.split("::")[2].rsplit("$", 1)[-1]

    @property
    def name(self) -> str:
        """The resource's logical name, the last part of its URN."""
        return self.urn.split("::", 3)[3]


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One input that cannot be accepted: `property` is its path ("" for the whole), `reason` what is wrong."""

    property: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Checked:
    """Inputs as they will be stored, or why not."""

    inputs: Object
    failures: list[Failure] = field(default_factory=list[Failure])


@dataclass(frozen=True, kw_only=True)
class Autonaming:
    """Pulumi's `pulumi:autonaming` setting for one resource."""

    disabled: bool
    proposed_name: str


@dataclass(frozen=True, kw_only=True)
class CheckRequest(Resource):
    """`olds` are the inputs stored before (None for a new resource), `seed` makes generated names repeatable."""

    olds: Object | None
    news: Object
    seed: bytes = b""
    autonaming: Autonaming | None = None


@dataclass(frozen=True, kw_only=True)
class Diff:
    """Changed properties by path. No change at all means that there is nothing to do."""

    changes: Mapping[str, Change] = field(default_factory=dict[str, Change])
    delete_before_replace: bool = False
    force_update: bool = False


@dataclass(frozen=True, kw_only=True)
class DiffRequest(Resource):
    """`olds` are the outputs and `old_inputs` the inputs in the state, `ignore` the paths of
    `ignore_changes`.
    """

    id: str
    olds: Object
    old_inputs: Object
    news: Object
    ignore: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, kw_only=True)
class CreateRequest(Resource):
    """`timeout` is in seconds, 0 when the program sets none."""

    inputs: Object
    preview: bool = False
    timeout: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Created:
    """The new object's identifier ("" in a preview) and outputs."""

    id: str
    outputs: Object


@dataclass(frozen=True, kw_only=True)
class ReadRequest(Resource):
    """`outputs` and `inputs` are empty when the object is imported or looked up."""

    id: str
    outputs: Object
    inputs: Object


@dataclass(frozen=True, kw_only=True)
class ReadResult:
    """What an object is now."""

    id: str
    outputs: Object
    inputs: Object


@dataclass(frozen=True, kw_only=True)
class UpdateRequest(Resource):
    """`timeout` is in seconds, 0 when the program sets none."""

    id: str
    olds: Object
    old_inputs: Object
    news: Object
    preview: bool = False
    timeout: float = 0.0
    ignore: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, kw_only=True)
class DeleteRequest(Resource):
    """`timeout` is in seconds, 0 when the program sets none."""

    id: str
    outputs: Object
    inputs: Object
    timeout: float = 0.0


class Provider:
    """A provider with no resource types: subclasses override what they support."""

    name: str = ""
    version: str = ""
    supports_autonaming: bool = False

    def start(self, host: Host) -> None:
        """Called once, before anything else."""
        self.host = host

    def check_config(self, olds: Object | None, news: Object) -> Checked:
        """Judge and complete the provider's own settings."""
        return Checked(inputs=news)

    def diff_config(self, old_inputs: Object, news: Object) -> Diff:
        """Compare the provider's own settings; a replacement also replaces every resource of the provider."""
        from toolchain.offline.plugins.structural import compare

        return Diff(changes=compare(old_inputs, news))

    def configure(self, settings: Object) -> None:
        """Take the provider's settings; called before any resource is touched."""

    def check(self, request: CheckRequest) -> Checked:
        """Judge and complete a resource's inputs."""
        raise self._unknown_type(request)

    def diff(self, request: DiffRequest) -> Diff:
        """Say what changed between state and program."""
        raise self._unknown_type(request)

    def create(self, request: CreateRequest) -> Created:
        """Make the object (not in a preview)."""
        raise self._unknown_type(request)

    def read(self, request: ReadRequest) -> ReadResult | None:
        """Look at the object; None when it does not exist."""
        raise self._unknown_type(request)

    def update(self, request: UpdateRequest) -> Object:
        """Change the object (not in a preview) and return its outputs."""
        raise self._unknown_type(request)

    def delete(self, request: DeleteRequest) -> None:
        """Remove the object; one that is gone already is fine."""
        raise self._unknown_type(request)

    def invoke(self, token: str, arguments: Object) -> Object:
        """Call a function of the provider."""
        raise ProviderError(
            f"the function {token} is not in the offline plugin '{self.name}': use the official plugin for it"
        )

    def cancel(self) -> None:
        """Stop waiting for anything; called when the user interrupts."""

    def _unknown_type(self, request: Resource) -> ProviderError:
        return ProviderError(
            f"the resource type {request.type} is not in the offline plugin '{self.name}': use the official "
            f"plugin"
        )
