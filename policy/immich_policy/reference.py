"""`docs/policies.md` from the rules themselves: `PYTHONPATH=policy python -m immich_policy.reference` writes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import yaml

from immich_policy.config import SCHEMA, Config
from immich_policy.judging import judge
from immich_policy.model import PAGE, Registered, Rule, Stack, mapping, registered, text
from immich_policy.own import SETTINGS
from immich_policy.rules import ALL, FAMILIES

TITLES: Final[Mapping[str, str]] = {
    "uploads": "Uploads",
    "proxies": "Proxies and addresses",
    "exposure": "What can be reached",
    "workloads": "Containers",
    "data": "Data",
    "secrets": "Secrets",
}
"""Family -> its title on the page."""
ROOT: Final = Path(__file__).resolve().parents[2]
LAYOUTS: Final = ROOT / "tests" / "policy" / "foreign"

_INTRODUCTION: Final = """\
# Policies

<!-- Generated: PYTHONPATH=policy python -m immich_policy.reference -->

The pack in `policy/` judges what a program registers, before anything is changed. It imports nothing of this program,
so it works on other Immich programs too. A rule that is broken stops `make preview` and `make up` with the resource,
the value, the reason and what to change; in a stack of this project it names the setting.

`policy/` has all rules, and `policy/<family>` those of one: `uploads`, `proxies`, `exposure`, `workloads`, `data`,
`secrets`. For a program of your own, with `pip install -r policy/requirements.txt` in the environment of the CLI:

    pulumi preview --policy-pack path/to/policy
    pulumi preview --policy-pack path/to/policy/uploads --policy-pack path/to/policy/proxies

What a preview does not know yet is counted in the output, never taken for right or wrong. A rule is turned off, or one
finding of it allowed, in the file of `--policy-pack-config`, each with a reason that appears in the output:

```json
{"immich-pack": {"rules": {"workloads-limits": {"off": "a machine with nothing else on it"}}}}
```
"""


_REPORT: Final = """\
## Report

The policy `immich-report` tells, without stopping anything, which rules are off and why, which findings are allowed,
which checks could not be made, and what is not judged at all: what a chart makes of the values of a release (Helm, Argo
CD, Flux, k3s), services of Swarm, commands that start containers, other kinds of resources with an image of Immich's.

Which database, cache, nginx and volume is Immich's the rules take from what its server is connected to. Other programs
beside it are left alone, except for what hands over the host (`workloads-host-files`) and for readable secrets.
"""


def layouts() -> dict[str, dict[str, Any]]:
    """The layouts that nobody here wrote: file name without ending -> document."""
    return {
        path.stem: cast("dict[str, Any]", yaml.safe_load(path.read_text(encoding="utf-8")))
        for path in sorted(LAYOUTS.glob("*.yaml"))
    }


def layout_resources(document: Mapping[str, Any]) -> list[Registered]:
    """Resources of a layout."""
    return [
        registered(
            text(one, "type"), text(one, "name"), mapping(one, "props"), protect=one.get("protect", False)
        )
        for one in cast("list[dict[str, Any]]", document["resources"])
    ]


def counts(document: Mapping[str, Any]) -> Counter[str]:
    """Rule -> number of findings in a layout."""
    stack = Stack(layout_resources(document))
    found: Counter[str] = Counter()
    for rule in ALL:
        number = len(judge(rule, stack, Config()).findings)
        if number:
            found[rule.name] = number
    return found


def markdown() -> str:
    """The page."""
    parts = [_INTRODUCTION, _configuration(), _contents()]
    for family, rules in FAMILIES.items():
        parts.append(f"## {TITLES[family]}\n")
        parts += [_section(rule) for rule in rules]
    parts.append(_layouts())
    return "\n".join(parts).rstrip("\n") + "\n"


def _configuration() -> str:
    rows = "\n".join(f"| `{name}` | {one['description']} |" for name, one in SCHEMA.items())
    return (
        f"## Configuration\n\nKeys of `immich-pack`:\n\n| key | meaning |\n| --- | --- |\n{rows}\n\n{_REPORT}"
    )


def _contents() -> str:
    rows = "\n".join(
        f"| [{rule.name}](#{rule.name}) | {rule.severity.value} | {rule.title} |" for rule in ALL
    )
    return f"## Rules\n\n| rule | severity | what must be so |\n| --- | --- | --- |\n{rows}\n"


def _section(rule: Rule) -> str:
    setting = SETTINGS.get(rule.name)
    lines = [
        f"### {rule.name}\n",
        f"{rule.title}\n",
        f"- **Why**: {rule.why}",
        f"- **How to fix**: {rule.remediation}",
        *([f"- **Setting of this project**: `immich:{setting}`"] if setting else []),
        f"- **Severity**: {rule.severity.value}; {rule.level.value}\n",
    ]
    return "\n".join(lines)


def _layouts() -> str:
    found = layouts()
    counted = {name: counts(document) for name, document in found.items()}
    rules = [rule.name for rule in ALL if any(rule.name in one for one in counted.values())]
    head = " | ".join(["rule", *found])
    rows = "\n".join(
        f"| [{rule}](#{rule}) | " + " | ".join(str(counted[name][rule] or "") for name in found) + " |"
        for rule in rules
    )
    described = "\n".join(
        f"- `{name}`: {one['title']}. {' '.join(str(one['about']).split())}" for name, one in found.items()
    )
    return (
        "## What the pack says of other layouts\n\nThe number of findings in some layouts, which are in "
        f"`tests/policy/foreign/`:\n\n{described}\n\n| {head} |\n|{' --- |' * (len(found) + 1)}\n{rows}\n"
    )


if __name__ == "__main__":
    PAGE.write_text(markdown(), encoding="utf-8")
