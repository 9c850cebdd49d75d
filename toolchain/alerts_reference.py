"""Writes docs/alerts.md from the table of alerts: `python -m toolchain.alerts_reference`."""

from __future__ import annotations

from components.monitoring.alerts import alerts
from components.monitoring.alerts_rule import Alert
from components.monitoring.metric_names import FAMILIES
from components.monitoring.plan import SOURCES, MonitoringPlan
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
            sources=SOURCES - {"node", "cadvisor", "postgres"},
            immich_version="3.3.1",
            matchers={"namespace": "immich"},
            library_prefix="cnpg_",
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
            sources=SOURCES - {"kubernetes", "cloudnative-pg", "cert-manager"},
            immich_version="3.3.1",
            backups={"dump": 26 * 3600},
            drill_days=35,
        ),
    )


def document() -> str:
    """The whole page."""
    found: dict[str, list[Alert]] = {}
    for plan in plans():
        for alert in alerts(plan):
            found.setdefault(alert.name, []).append(alert)
    lines = [
        "# Alerts",
        "",
        "Written by `python -m toolchain.alerts_reference` from `components/monitoring/alerts.py`; a deployment has",
        "those whose sources it has. Expressions are those of an example: a deployment has labels of its own in them.",
        "Errors and slow answers are known where nginx's access log (`monitoring.accessLog`) or a Traefik is read:",
        "Immich counts no requests (2.5.0 to 3.0.3), and nginx's own counter knows neither status nor time.",
        "",
        *(f"- **{severity}**: {who}" for severity, who in _WHO.items()),
        "",
        "| alert | severity | after | rings when |",
        "| --- | --- | --- | --- |",
    ]
    ordered = [name for group in _TITLES for name, each in found.items() if each[0].group == group]
    for name in ordered:
        first = found[name][0]
        lines.append(
            f"| [{name}](#{first.anchor}) | {first.severity} | {first.for_} | {_plain(first.summary)} |"
        )
    for group, title in _TITLES.items():
        lines += ["", f"## {title}"]
        for name in ordered:
            if found[name][0].group == group:
                lines += _section(found[name])
    lines += ["", "## Sources", "", "| source | where its names were read |", "| --- | --- |"]
    lines += [f"| {source} | {family.read_in} |" for source, family in FAMILIES.items()]
    return "\n".join(lines) + "\n"


def _section(same: list[Alert]) -> list[str]:
    first = same[0]
    lines = [
        "",
        f"### {first.name}",
        "",
        f"{_plain(first.summary)} ({first.severity}, after {first.for_}).",
        "",
    ]
    said: set[str] = set()
    for alert in same:
        if alert.description not in said:
            said.add(alert.description)
            lines += [_plain(alert.description), ""]
    shown: set[object] = set()
    for alert in same:
        if (alert.needs, alert.any_of) in shown:
            continue
        shown.add((alert.needs, alert.any_of))
        sources = " and ".join(sorted(alert.needs))
        either = " or ".join(sorted(alert.any_of))
        needed = ", with ".join(text for text in (sources, either) if text) or "nothing"
        lines += [f"Needs {needed}:", "", "    " + alert.expr, ""]
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
