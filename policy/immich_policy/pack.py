"""The rules as a policy pack: what the engine sends becomes plain data once, and every rule is a policy of its own.

Three things follow from how the SDK works. It calls every policy of a pack in order for one request, and none of them
knows of the others, so `_Round` carries what they share. A policy that meets an unknown value is made advisory and an
exception ends the whole run, so unknown values are replaced (`UNKNOWN`) and exceptions become violations. The settings
of all rules are those of the first policy, `immich-pack`, and the last one, `immich-report`, tells what was not judged.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar, cast

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyConfigSchema,
    PolicyPack,
    PolicyResource,
    ReportViolation,
    Severity,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

from immich_policy import config as configuration
from immich_policy import model, once
from immich_policy.config import Config
from immich_policy.judging import Report, judge, message
from immich_policy.model import UNKNOWN, Plain, Registered, Rule, Stack
from immich_policy.own import is_own
from immich_policy.reading.unseen import unseen
from immich_policy.rules import ALL, FAMILIES

T = TypeVar("T")

PACK = "immich-pack"
"""Name of the first policy; the configuration of the pack is under it."""
REPORT = "immich-report"
"""Name of the last policy."""


def known(value: object) -> Plain:
    """A value of the SDK without its proxies, unknown values as `UNKNOWN`."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        entries = cast("Mapping[str, object]", value)
        return {key: _read(entries.__getitem__, key) for key in entries}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        listed = cast("Sequence[object]", value)
        return [_read(listed.__getitem__, index) for index in range(len(listed))]
    return model.plain(value)


def _read(get: Callable[[T], object], key: T) -> Plain:
    try:
        return known(get(key))
    except UnknownValueError:
        return UNKNOWN


def _registered(one: PolicyResource) -> Registered:
    return model.registered(
        one.resource_type,
        one.name,
        known(one.props),
        urn=one.urn,
        parent=one.parent.urn if one.parent else "",
        dependencies=sorted({it.urn for it in one.dependencies}),
        protect=bool(one.opts.protect),
    )


class _Round:
    """What the policies of one request share. A policy that is not behind the last one begins the next request."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._lock = threading.Lock()
        self._last = -1
        self._stack = Stack(())
        self.config = Config()
        self.problems: list[str] = []
        self.report = Report()
        self._rules = tuple(rules)

    def enter(self, index: int, args: StackValidationArgs) -> Stack:
        """The stack of the request that the policy at `index` is asked in."""
        with self._lock:
            if index <= self._last or self._last < 0:
                self._stack = Stack(_registered(one) for one in args.resources)
                self.config, self.problems = Config(), []
                self.report = Report(expected=self._rules)
            self._last = index
            return self._stack

    def configure(self, values: object) -> None:
        """Take the settings of `immich-pack`."""
        # One file serves the packs of all families.
        self.config, self.problems = configuration.read(
            known(values), frozenset(rule.name for rule in (*self._rules, *ALL))
        )


Validate = Callable[[StackValidationArgs, ReportViolation], None]


def policies(rules: Iterable[Rule] = ALL) -> list[Policy]:
    """The pack's policies: `immich-pack`, one for each rule, `immich-report`."""
    listed = tuple(rules)
    together = _Round(listed)
    found: list[Policy] = [
        StackValidationPolicy(
            PACK,
            "The configuration of the pack can be understood.",
            _settings(together),
            EnforcementLevel.MANDATORY,
            PolicyConfigSchema(properties=configuration.SCHEMA),
            display_name="Settings of the pack",
            severity=Severity.HIGH,
            url=f"{model.PAGE}#configuration",
        )
    ]
    found += [_policy(rule, index, together) for index, rule in enumerate(listed, start=1)]
    found.append(
        StackValidationPolicy(
            REPORT,
            "What the pack did not judge, and why.",
            _report(together, len(listed) + 1),
            EnforcementLevel.ADVISORY,
            display_name="Report",
            severity=Severity.LOW,
            url=f"{model.PAGE}#report",
        )
    )
    return found


def _settings(together: _Round) -> Validate:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        together.enter(0, args)
        together.configure(args.get_config())
        for problem in together.problems:
            report(f"{problem}. Change: the file of --policy-pack-config, under {PACK}", None)

    return validate


def _policy(rule: Rule, index: int, together: _Round) -> Policy:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        stack = together.enter(index, args)
        verdict = judge(rule, stack, together.config)
        own = stack.once(is_own)
        together.report.verdicts.append(verdict)
        for finding in verdict.findings:
            report(message(finding, rule, own=own), finding.resource.urn)
        if verdict.failure:
            off = f'{{"rules": {{"{rule.name}": {{"off": "<reason>"}}}}}}'
            report(
                f"the rule {rule.name} could not judge what is registered ({verdict.failure}). This is a mistake in "
                f"the rule. Until it is mended, turn it off with a reason: {off} in the configuration of {PACK}",
                None,
            )

    return StackValidationPolicy(
        rule.name,
        rule.title,
        validate,
        EnforcementLevel(rule.level.value),
        display_name=rule.title,
        severity=Severity(rule.severity.value),
        tags=[rule.family],
        remediation_steps=rule.remediation,
        url=rule.link,
    )


def _report(together: _Round, index: int) -> Validate:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        together.report.unseen = tuple(unseen(together.enter(index, args)))
        for line in together.report.lines():
            report(line, None)

    return validate


def serve(family: str | None = None) -> None:
    """Answer the engine until it ends the process, with every rule or with those of one family.

    Nothing may be printed before: the first line is the port.
    """
    once.convert_once()
    name, rules = ("immich", ALL) if family is None else (f"immich-{family}", FAMILIES[family])
    PolicyPack(name, policies(rules), EnforcementLevel.MANDATORY)
