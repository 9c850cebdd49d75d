"""The report: what a person wants to know of a preview, the worst first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from toolchain.pr_report import doors, images, markdown
from toolchain.pr_report.data import Touch, touches
from toolchain.pr_report.events import Finding, Preview, Step
from toolchain.pr_report.grouping import DESTROYS, by_component, component_of, counts

_MANY: Final = 8
"""Resources of one operation in a component that are named; of more, the kinds are counted."""
_PATHS: Final = 6
"""Properties of a resource that are named."""
_VERBS: Final = {
    "create": "created",
    "update": "updated",
    "replace": "replaced",
    "delete": "deleted",
    "import": "imported",
    "forget": "forgotten",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that a report is made from."""

    stack: str
    preview: Preview
    before: doors.Table | None
    """None when the stack is new."""
    after: doors.Table
    base: str
    """What the doors before are those of."""
    compared_with: str
    """What the preview compares with, as a sentence; Markdown."""
    failure: str = ""
    """Why there is no complete preview, in words of the toolchain or of the CLI; empty when there is one."""
    notes: tuple[str, ...] = field(default=())
    """Sentences for the reader; Markdown."""


def marker(stack: str) -> str:
    """The first line, by which a workflow finds the comment that it edits."""
    return f"<!-- immich-preview {stack} -->"


def failed(facts: Facts) -> bool:
    """Whether the change must not be merged: the preview did not succeed, or a mandatory policy is violated."""
    return bool(facts.failure or facts.preview.violated or not facts.preview.succeeded)


def write(facts: Facts) -> str:
    """The report, however long."""
    preview = facts.preview
    sections = [
        f"{marker(facts.stack)}\n## Preview of {markdown.code(facts.stack)}: {headline(facts)}",
        "\n\n".join([facts.compared_with, *facts.notes]),
        _failure(facts),
        _policies(preview),
        _data(touches(preview.steps)),
        _lost(preview.steps),
        _images(images.changes(preview.steps)),
        f"### Ways in\n\nThe settings at {markdown.code(facts.base)} and here.\n\n"
        + doors.section(facts.before, facts.after),
        _changes(preview.steps),
    ]
    return "\n\n".join(one for one in sections if one) + "\n"


def cut(text: str, stack: str) -> str:
    """The report, or as much of it as a comment on GitHub may have."""
    again = markdown.code(f"make preview STACK={stack}")
    sentence = (
        f"This report was cut: GitHub takes {markdown.LIMIT:,} characters. {again} shows what is missing."
    )
    return markdown.fit(text, sentence)


def headline(facts: Facts) -> str:
    """One line: how it ended, and how many resources change."""
    preview = facts.preview
    counted = ", ".join(f"{number} {_VERBS[op]}" for op, number in counts(preview.steps).items())
    if preview.violated:
        rules = len({one.policy for one in preview.violated})
        return f"stopped by {rules} {'policy' if rules == 1 else 'policies'}" + (
            f" ({counted})" if counted else ""
        )
    if failed(facts):
        return "failed"
    return counted or "nothing changes"


def _failure(facts: Facts) -> str:
    reasons = list(dict.fromkeys([*facts.preview.errors, *filter(None, [facts.failure])]))
    if not reasons:
        return (
            ""
            if facts.preview.succeeded or facts.preview.violated
            else "### Why it failed\n\nThe CLI does not say."
        )
    return "### Why it failed\n\n" + markdown.block("\n\n".join(reasons))


def _policies(preview: Preview) -> str:
    if not preview.findings:
        told = f"{len(preview.passed)} policies found nothing." if preview.passed else "No policy was asked."
        return f"### Policies\n\n{told}"
    ordered = sorted(preview.findings, key=lambda one: (one.level != "mandatory", one.policy, one.resource))
    rows = [
        [_level(one), markdown.code(one.policy), markdown.code(one.resource), markdown.lines(one.message)]
        for one in ordered
    ]
    rules = {level: len({one.policy for one in ordered if one.level == level}) for level in _levels(ordered)}
    told = ", ".join(f"{number} {level}" for level, number in rules.items())
    return "\n\n".join(
        [
            "### Policies",
            f"Violated: {told}. {len(preview.passed)} found nothing.",
            markdown.table(["level", "policy", "resource", "finding"], rows),
        ]
    )


def _levels(found: Sequence[Finding]) -> list[str]:
    return list(dict.fromkeys(one.level for one in found))


def _level(finding: Finding) -> str:
    level = markdown.text(finding.level)
    return f"**{level}**" if finding.level == "mandatory" else level


def _data(found: Sequence[Touch]) -> str:
    if not found:
        return ""
    lines = ["### **Touches data**", ""]
    for one in found:
        kept = "; the engine refuses this" if one.loses and one.step.protected else ""
        what = f"{_VERBS[one.step.op]}: {_named(one.step)} ({markdown.text(one.why)}{kept})"
        lines.append(f"- **{what}**{_paths(one.step)}")
    return "\n".join(lines)


def _lost(steps: Sequence[Step]) -> str:
    lost = [step for step in steps if step.op in DESTROYS]
    if not lost:
        return ""
    lines = [f"- {_VERBS[step.op]}: {_named(step)}{_paths(step)}" for step in lost]
    if len(lines) > 2 * _MANY:
        listed = markdown.details(f"{len(lines)} resources", "\n".join(lines))
        return f"### Replaced or deleted\n\n{listed}"
    return "\n".join(["### Replaced or deleted", "", *lines])


def _images(found: Sequence[images.Change]) -> str:
    if not found:
        return ""
    rows = [
        [
            markdown.code(one.repository),
            _versions(one.before),
            _versions(one.after)
            + ("<br>**downgrade: Immich does not support going back**" if one.downgrade else ""),
            "<br>".join(f"<{link}>" for link in one.links) or "–",
        ]
        for one in found
    ]
    return "### Images\n\n" + markdown.table(["image", "before", "after", "what is new"], rows)


def _versions(found: Sequence[images.Image]) -> str:
    return "<br>".join(markdown.code(one.version) for one in found) or "–"


def _changes(steps: Sequence[Step]) -> str:
    if not steps:
        return ""
    rows = [
        [
            markdown.text(group.component),
            ", ".join(f"{number} {_VERBS[op]}" for op, number in group.counts.items()),
            "<br>".join(_summaries(group.steps, list(group.counts))),
        ]
        for group in by_component(steps)
    ]
    return "### What changes\n\n" + markdown.table(["component", "how many", "what"], rows)


def _summaries(steps: Sequence[Step], operations: Sequence[str]) -> list[str]:
    lines: list[str] = []
    for op in operations:
        members = [step for step in steps if step.op == op]
        if len(members) > _MANY or (op == "create" and len(members) > 2):
            kinds = dict.fromkeys(step.kind for step in members)
            told = ", ".join(f"{sum(one.kind == kind for one in members)} {kind}" for kind in kinds)
            lines.append(f"{_VERBS[op]}: {markdown.text(told)}")
        else:
            lines += [f"{_VERBS[op]}: {_named(step, component=False)}{_paths(step)}" for step in members]
    return lines


def _named(step: Step, *, component: bool = True) -> str:
    where = f" of {markdown.text(component_of(step))}" if component else ""
    return f"{markdown.text(step.kind)} {markdown.code(step.name)}{where}"


def _paths(step: Step) -> str:
    if not step.paths or step.op not in {"update", "replace"}:
        return ""
    shown = ", ".join(markdown.code(path) for path in step.paths[:_PATHS])
    more = len(step.paths) - _PATHS
    return f": {shown}" + (f" and {more} more" if more > 0 else "")
