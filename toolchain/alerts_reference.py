"""Writes docs/alerts.md from the rule files: `python -m toolchain.alerts_reference`."""

from __future__ import annotations

from components.monitoring.metric_names import FAMILIES
from components.monitoring.plan import SOURCES, MonitoringPlan
from components.monitoring.rule_files import Rule, alerts
from toolchain.paths import ROOT

PATH = ROOT / "docs" / "alerts.md"
_TITLES = {
    "server": "Server",
    "queues": "Queues",
    "library": "Library",
    "database": "Database",
    "cache": "Cache",
    "edge": "Doors",
    "host": "Host",
    "backup": "Backups",
}
_WHO = {
    "critical": "photos are lost or nobody gets in: wake somebody",
    "warning": "within a day",
    "info": "at the next occasion",
}


def plans() -> tuple[MonitoringPlan, ...]:
    """Two deployments that between them have every alert."""
    return (
        MonitoringPlan(
            stack="prod",
            platform="kubernetes",
            sources=SOURCES - {"node", "postgres"},
            namespace="immich",
            database_namespace="immich",
            instances=3,
            base_backup_age=26 * 3600,
            tunnel_connectors=2,
            backups={"dump": 26 * 3600},
            drill_days=35,
            service_tokens={"phones": 4_000_000_000},
        ),
        MonitoringPlan(
            stack="home",
            platform="docker",
            sources=SOURCES - {"kubernetes", "cloudnative-pg"},
            tunnel_connectors=1,
            backups={"dump": 26 * 3600},
            drill_days=35,
        ),
    )


def document() -> str:
    """The whole page."""
    found: dict[str, list[Rule]] = {}
    for plan in plans():
        for alert in alerts(plan):
            found.setdefault(alert.name, []).append(alert)
    lines = [
        "# Alerts",
        "",
        "Written by `python -m toolchain.alerts_reference` from `components/monitoring/alerts/*.yaml`. A deployment",
        "has those that it has what they need for: sources (named at the end), replicas, an archive, drills, doors or",
        "a service token. Expressions are those of an example: a deployment has labels of its own in them.",
        "Errors and slow answers are known where nginx's access log (`monitoring.accessLog`) or a Traefik is read:",
        "Immich counts no requests (2.5.0 to 3.0.3), and nginx's own counter knows neither status nor time.",
        "",
        *(f"- **{severity}**: {who}" for severity, who in _WHO.items()),
        "",
        "| alert | severity | after | rings when |",
        "| --- | --- | --- | --- |",
    ]
    ordered = [same for part in _TITLES for same in found.values() if same[0].part == part]
    for first, *_ in ordered:
        alert, told = first.body, _plain(first.body["annotations"]["summary"])
        lines.append(
            f"| [{first.name}](#{first.name.lower()}) | {alert['labels']['severity']} | {alert['for']} | {told} |"
        )
    for part, title in _TITLES.items():
        lines += ["", f"## {title}"]
        for same in ordered:
            if same[0].part == part:
                lines += _section(same)
    lines += ["", "## Sources", "", "| source | where its names were read |", "| --- | --- |"]
    lines += [f"| {source} | {family.read_in} |" for source, family in FAMILIES.items()]
    return "\n".join(lines) + "\n"


def _section(same: list[Rule]) -> list[str]:
    first = same[0].body
    told = f"{_plain(first['annotations']['summary'])} ({first['labels']['severity']}, after {first['for']})."
    lines = ["", f"### {first['alert']}", "", told, ""]
    for description in dict.fromkeys(rule.body["annotations"]["description"] for rule in same):
        lines += [_plain(description), ""]
    shown: dict[str, str] = {}
    for rule in same:
        shown.setdefault(rule.needs, rule.expr)
    for needs, expr in shown.items():
        lines += [f"Needs {needs}:", "", "    " + expr, ""]
    return lines[:-1]


def _plain(summary: str) -> str:
    """A summary without its template: `{{ $labels.volume }}` is `<volume>`."""
    text = summary
    while "{{" in text:
        before, rest = text.split("{{", 1)
        inside, after = rest.split("}}", 1)
        words = inside.split()
        if words and words[0] in {"with", "else", "end"}:
            shown = " or " if words[0] == "else" else ""
        else:
            shown = "N" if "$value" in words else f"<{_label(words)}>"
        text = before + shown + after
    return text.replace("<", "*").replace(">", "*")


def _label(words: list[str]) -> str:
    named = [word.removeprefix("$labels.") for word in words if word.startswith("$labels.")]
    return " or ".join(named) if named else "status"


def main() -> None:
    """Write the page."""
    PATH.write_text(document(), encoding="utf-8")


if __name__ == "__main__":
    main()
