"""What `pulumi preview --json` says, read from the stream of its engine events.

The CLI's digest leaves out what policies found; the stream (PULUMI_ENABLE_STREAMING_JSON_PREVIEW) has one JSON object
a line with everything. The engine has masked secrets in it already.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from toolchain.deployment import Json, items, mapping

STREAM: Final = {"PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true"}
"""Environment that makes `preview --json` write events as they happen."""

_STACK: Final = "pulumi:pulumi:Stack"
_OPERATIONS: Final = {
    "create": "create",
    "update": "update",
    "delete": "delete",
    "import": "import",
    "replace": "replace",
    "create-replacement": "replace",
    "delete-replaced": "replace",
    "discard-replaced": "replace",
    "import-replacement": "replace",
    "discard": "forget",
}
"""The engine's operations that change something -> how the report calls them."""


@dataclass(frozen=True, slots=True)
class Step:
    """What would be done to one resource."""

    op: str
    """`create`, `update`, `replace`, `delete`, `import` or `forget`."""
    urn: str
    type: str
    old: Json
    """Its state before; empty when there was none."""
    new: Json
    """Its state after; empty when it goes."""
    paths: tuple[str, ...] = ()
    """The properties that differ."""

    @property
    def name(self) -> str:
        """Its Pulumi name."""
        return self.urn.rsplit("::", 1)[-1]

    @property
    def kind(self) -> str:
        """The last part of its type: `Deployment`."""
        return self.type.rsplit(":", 1)[-1]

    @property
    def parent(self) -> str:
        """URN of its parent; empty for what has none."""
        value = self.new.get("parent") or self.old.get("parent")
        return value if isinstance(value, str) else ""

    @property
    def protected(self) -> bool:
        """Whether the engine refuses to delete or replace it: what counts is the state before, if there was one."""
        return (self.old or self.new).get("protect") is True


@dataclass(frozen=True, slots=True)
class Finding:
    """What one policy found."""

    policy: str
    level: str
    """`mandatory`, `advisory` or `remediate`."""
    urn: str
    message: str
    """Without the policy's description, which the engine writes in front."""

    @property
    def resource(self) -> str:
        """Name of the resource; `the stack` when it is about all of them."""
        return "the stack" if f"::{_STACK}::" in self.urn else self.urn.rsplit("::", 1)[-1]


@dataclass(slots=True)
class Preview:
    """A preview as a whole."""

    steps: list[Step] = field(default_factory=list[Step])
    """What would change, in the engine's order, one a resource."""
    findings: list[Finding] = field(default_factory=list[Finding])
    errors: list[str] = field(default_factory=list[str])
    passed: set[str] = field(default_factory=set[str])
    """Policies that found nothing."""
    unchanged: int = 0
    """Resources that stay as they are."""
    finished: bool = False
    """Whether the engine told how it ended; without that, the list may lack something."""
    succeeded: bool = False

    @property
    def violated(self) -> list[Finding]:
        """Findings that stop a preview."""
        return [one for one in self.findings if one.level == "mandatory"]


def read(lines: Iterable[str]) -> Preview:
    """A preview from the lines that the CLI printed; lines that are no event are passed over."""
    preview = Preview()
    steps: dict[str, Step] = {}
    failed: set[str] = set()
    for line in lines:
        event = _event(line)
        if metadata := mapping(mapping(event.get("resourcePreEvent")).get("metadata")):
            _step(metadata, steps)
        elif found := mapping(event.get("policyEvent")):
            preview.findings.append(_finding(found))
        elif said := mapping(event.get("diagnosticEvent")):
            _diagnostic(said, preview)
        elif judged := mapping(event.get("policyAnalyzeStackSummaryEvent")):
            preview.passed |= {str(name) for name in items(judged.get("passed"))}
            failed |= {str(name) for name in items(judged.get("failed"))}
        elif summary := mapping(event.get("summaryEvent")):
            preview.finished = True
            preview.succeeded = summary.get("result", "succeeded") == "succeeded"
            same = mapping(summary.get("resourceChanges")).get("same")
            preview.unchanged = same if isinstance(same, int) else 0
    preview.steps = list(steps.values())
    preview.passed -= failed | {one.policy for one in preview.findings}
    return preview


def _event(line: str) -> Json:
    if not line.startswith("{"):
        return {}
    try:
        return mapping(json.loads(line))
    except ValueError:
        return {}


def _step(metadata: Json, steps: dict[str, Step]) -> None:
    op, urn, kind = (
        _OPERATIONS.get(str(metadata.get("op"))),
        str(metadata.get("urn")),
        str(metadata.get("type")),
    )
    if op is None or kind == _STACK:
        return
    step = Step(op, urn, kind, mapping(metadata.get("old")), mapping(metadata.get("new")), _paths(metadata))
    known = steps.get(urn)
    if known is not None and known.op == "replace":
        # One replacement is three events; the one that tells most of it is kept.
        step = Step(
            "replace", urn, kind, known.old or step.old, known.new or step.new, known.paths or step.paths
        )
    steps[urn] = step


def _paths(metadata: Json) -> tuple[str, ...]:
    found = list(mapping(metadata.get("detailedDiff"))) or [str(one) for one in items(metadata.get("diffs"))]
    return tuple(found)


def _finding(found: Json) -> Finding:
    message = str(found.get("message", "")).strip()
    description, separator, rest = message.partition("\n")
    return Finding(
        policy=str(found.get("policyName")),
        level=str(found.get("enforcementLevel")),
        urn=str(found.get("resourceUrn", "")),
        message=rest.strip() if separator else description,
    )


def _diagnostic(said: Json, preview: Preview) -> None:
    message = str(said.get("message", "")).strip()
    if said.get("severity") == "error" and message and message != "preview failed":
        preview.errors.append(message)
