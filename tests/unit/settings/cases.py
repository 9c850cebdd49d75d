"""Cases of stack configurations, one file each, as `Pulumi.<stack>.yaml` has them without `immich:`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import yaml

FOLDER = Path(__file__).parent
REFUSED = sorted((FOLDER / "refused").glob("*.yaml"))
ACCEPTED = sorted((FOLDER / "accepted").glob("*.yaml"))


def load(path: Path) -> dict[str, Any]:
    """The case in a file."""
    return cast("dict[str, Any]", yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader))


def texts(case: Mapping[str, Any]) -> dict[str, str]:
    """The texts that Pulumi hands to the program.

    `config` has values as YAML has them, `texts` has texts as they are, `deep` has lists in lists to a depth,
    and what only `secretKeys` names has the empty text that stands for a secret.
    """
    found = {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in case.get("config", {}).items()
    }
    found |= case.get("texts", {})
    found |= {key: '{"x":' + "[" * depth + "]" * depth + "}" for key, depth in case.get("deep", {}).items()}
    return dict.fromkeys(case.get("secretKeys", ()), "") | found
