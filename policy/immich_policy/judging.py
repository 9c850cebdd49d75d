"""Rules applied to a stack: exceptions, allowances and checks that could not be made, told and counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from immich_policy.config import Allowance, Config
from immich_policy.model import Finding, Registered, Rule, Stack, Unjudged
from immich_policy.own import SETTINGS


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one rule says of a stack."""

    rule: Rule
    findings: tuple[Finding, ...] = ()
    allowed: tuple[tuple[Finding, Allowance], ...] = ()
    """Findings that the configuration accepts."""
    unjudged: tuple[Unjudged, ...] = ()
    off: str = ""
    """Why the rule was not applied."""
    failure: str = ""
    """Class and place of an exception in the rule; its text is left out, since it may have a secret in it."""


def judge(rule: Rule, stack: Stack, config: Config) -> Verdict:
    """Apply one rule. Never raises."""
    if rule.name in config.off:
        return Verdict(rule=rule, off=config.off[rule.name])
    findings: list[Finding] = []
    allowed: list[tuple[Finding, Allowance]] = []
    unjudged: list[Unjudged] = []
    failure = ""
    try:
        for said in rule.judge(stack, config):
            if isinstance(said, Unjudged):
                unjudged.append(said)
                continue
            accepted = [one for one in config.allowed.get(rule.name, ()) if one.covers(said.resource)]
            if accepted:
                allowed.append((said, accepted[0]))
            else:
                findings.append(said)
    except Exception as error:  # noqa: BLE001 - an exception here would end the run without saying which rule it was
        failure = _where(error)
    return Verdict(
        rule=rule,
        findings=_distinct(findings),
        allowed=tuple(allowed),
        unjudged=tuple(dict.fromkeys(unjudged)),
        failure=failure,
    )


def judge_all(rules: Iterable[Rule], resources: Iterable[Registered], config: Config) -> list[Verdict]:
    """Apply rules one after the other."""
    stack = Stack(resources)
    return [judge(rule, stack, config) for rule in rules]


def _distinct(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Findings in a fixed order: engines register resources in any."""
    return tuple(sorted(dict.fromkeys(findings), key=lambda it: (it.resource.urn, it.path, it.message)))


def _where(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" in {trace.tb_frame.f_code.co_name}, line {trace.tb_lineno}" if trace is not None else ""
    return f"{type(error).__name__}{place}"


def message(finding: Finding, rule: Rule, *, own: bool = False) -> str:
    """A finding for people: where, what, why it matters, what to change; in this project's stacks by which setting."""
    setting = f" (immich:{SETTINGS[rule.name]})" if own and rule.name in SETTINGS else ""
    place = f"{finding.resource.name} ({finding.resource.type})"
    return "\n".join(
        (
            f"{place}{f', {finding.path}' if finding.path else ''}: {finding.message}",
            f"Why it matters: {rule.why}",
            f"Change: {finding.setting}{setting}",
            f"Rule: {rule.name} ({rule.link})",
        )
    )


@dataclass(slots=True)
class Report:
    """What is told beside violations, so that nothing is left out silently."""

    verdicts: list[Verdict] = field(default_factory=list[Verdict])
    expected: tuple[Rule, ...] = ()
    """Rules that should have been applied."""
    unseen: tuple[tuple[Registered, str], ...] = ()
    """Resources that the rules do not see, each with what is not judged."""

    def lines(self) -> list[str]:
        """One sentence for each rule that is off, each allowed finding, and what was not or could not be judged."""
        ran = {one.rule.name for one in self.verdicts}
        found = [
            f"The rule {rule.name} was disabled by its enforcement level, without a reason. Give one: "
            f'{{"rules": {{"{rule.name}": {{"off": "<reason>"}}}}}} in the configuration of immich-pack.'
            for rule in self.expected
            if rule.name not in ran
        ]
        found += [f"The rule {one.rule.name} is off: {one.off}" for one in self.verdicts if one.off]
        found += [
            f"Allowed by {one.rule.name}: {said.resource.name}{f', {said.path}' if said.path else ''}: {said.message} "
            f"Reason: {allowance.reason}"
            for one in self.verdicts
            for said, allowance in one.allowed
        ]
        if self.unseen:
            each = "\n".join(f"- {one.name} ({one.type}): {what}" for one, what in self.unseen)
            found.append(f"Not judged:\n{each}")
        waiting = [(one.rule.name, said) for one in self.verdicts for said in one.unjudged]
        if waiting:
            each = "\n".join(
                f"- {name}: {said.resource.name}{f', {said.path}' if said.path else ''} {said.what}"
                for name, said in waiting
            )
            checks = "1 check" if len(waiting) == 1 else f"{len(waiting)} checks"
            found.append(f"{checks} could not be made now:\n{each}")
        return found
