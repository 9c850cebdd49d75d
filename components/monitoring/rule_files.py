"""Alerts and recorded series: rule files of Prometheus in the folder `alerts`, filled in for a deployment.

There is one for each part, and promtool checks them as they stand. Beside what Prometheus knows they have:

- `needs`, a label of a group: what the deployment must have, sources or facts of `MonitoringPlan` with and, or, not.
- Words in capitals, in the place of numbers and texts (`placeholders.values`). A rule whose label is QUEUE, EXPORTER,
  BACKUP or TOKEN is there once for each.
- `for`, a label of an alert: a placeholder in the place of its duration.

Selectors by `job="immich-..."` get the deployment's namespace (`placeholders.selecting`). Every rule gets the label
`stack`, an alert also `part` and the annotation `runbook_url`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from components.monitoring.metric_names import QUEUES
from components.monitoring.placeholders import filled, selecting, values
from components.monitoring.plan import EXPORTERS, MonitoringPlan

FOLDER: Final = Path(__file__).with_name("alerts")
INTERVAL: Final = "30s"
"""Between two evaluations, as between two scrapes."""
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """An alert or a recorded series of one deployment."""

    part: str
    """Name of its file."""
    needs: str
    """What the deployment must have for it."""
    body: Mapping[str, Any]
    """As a rule file and a PrometheusRule have it."""

    @property
    def name(self) -> str:
        """Of the alert or the series."""
        return self.body.get("alert") or self.body["record"]

    @property
    def expr(self) -> str:
        """PromQL."""
        return self.body["expr"]


def rules(plan: MonitoringPlan) -> tuple[Rule, ...]:
    """Every rule that the deployment has what it needs for."""
    found: list[Rule] = []
    for part, groups in _read().items():
        for group in groups:
            needs = group["labels"]["needs"]
            if fits(needs, plan):
                found += [
                    Rule(part=part, needs=needs, body=_body(rule, part, plan, row))
                    for rule in group["rules"]
                    for row in _rows(rule, plan)
                ]
    return tuple(found)


def alerts(plan: MonitoringPlan) -> tuple[Rule, ...]:
    """Those that tell somebody something."""
    return tuple(rule for rule in rules(plan) if "alert" in rule.body)


def rule_body(plan: MonitoringPlan) -> dict[str, Any]:
    """`spec` of a PrometheusRule, and a whole rule file: a group for each part, whose rules follow each other."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for rule in rules(plan):
        groups.setdefault(rule.part, []).append(rule.body)
    return {
        "groups": [
            {"name": f"immich-{plan.stack}-{part}", "interval": INTERVAL, "rules": bodies}
            for part, bodies in groups.items()
        ]
    }


def rule_file(plan: MonitoringPlan) -> str:
    """The same as YAML, for `rule_files` of Prometheus."""
    return yaml.safe_dump(rule_body(plan), sort_keys=False, width=120, allow_unicode=True)


def fits(needs: str, plan: MonitoringPlan) -> bool:
    """Whether a deployment has what a group needs: `a and not b or c`."""

    def has(word: str) -> bool:
        return (word.removeprefix("not ") in plan.facts) != word.startswith("not ")

    return any(all(has(word) for word in every.split(" and ")) for every in needs.split(" or "))


@cache
def _read() -> dict[str, list[dict[str, Any]]]:
    return {
        file.stem: yaml.load(file.read_text(encoding="utf-8"), _LOADER)["groups"]  # noqa: S506  safe, and our own
        for file in sorted(FOLDER.glob("*.yaml"))
    }


def _rows(rule: Mapping[str, Any], plan: MonitoringPlan) -> Sequence[Mapping[str, str]]:
    """Values of what a rule is repeated for; one without values for others."""
    each: dict[str, list[dict[str, str]]] = {
        "QUEUE": [{"QUEUE": one.name, "QUEUE_JOBS": one.jobs, "QUEUE_METRIC": one.metric} for one in QUEUES],
        "EXPORTER": [{"EXPORTER": plan.jobs[job]} for job in EXPORTERS if job in plan.sources],
        "BACKUP": [{"BACKUP": name, "BACKUP_SECONDS": str(age)} for name, age in plan.backups.items()],
        "TOKEN": [{"TOKEN": name, "TOKEN_ENDS": str(end)} for name, end in plan.service_tokens.items()],
        "": [{}],
    }
    return each[next((text for text in rule.get("labels", {}).values() if text in each), "")]


def _body(rule: Mapping[str, Any], part: str, plan: MonitoringPlan, row: Mapping[str, str]) -> dict[str, Any]:
    made: dict[str, Any] = filled(dict(rule), {**values(plan), **row})
    made["expr"] = selecting(made["expr"], plan)
    made["labels"] = {**made.get("labels", {}), "stack": plan.stack}
    if "alert" in made:
        made["for"] = made["labels"].pop("for", made["for"])
        made["labels"]["part"] = part
        made["annotations"]["runbook_url"] = f"{plan.runbooks}#{made['alert'].lower()}"
    return made
