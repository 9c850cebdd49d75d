"""Record the previews beside this file anew, from the real engine: `python -m tests.unit.pr_report_cases.record`.

What the report does not read is left out of the events, and directories of the machine are.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.harness.engine import ROOT
from tests.harness.stacks import Deployment, require_cli
from toolchain.pr_report.events import STREAM

HERE = Path(__file__).resolve().parent

CASES: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "nothing": {},
    "downgrade": {"server": {"version": "3.3.0"}, "proxy": {"maxUpload": "5Gi"}},
    "no-proxy": {"proxy": {"kind": "none"}},
    "other-media": {"storage": {"media": {"kind": "hostPath", "path": "/srv/photos"}}},
    "other-class": {"machineLearning": {"cache": {"storageClass": "fast"}}},
    "refused": {"proxy": {"maxUpload": "100M"}},
    "wrong-setting": {"server": {"nosuch": 1}},
}
"""Name of the recording -> sections of the stack dev that are changed after it was brought up."""

_KEPT_EVENTS = (
    "resourcePreEvent",
    "policyEvent",
    "diagnosticEvent",
    "policyAnalyzeStackSummaryEvent",
    "summaryEvent",
)
_KEPT_METADATA = ("op", "urn", "type", "diffs", "detailedDiff", "keys")
_KEPT_STATE = ("type", "urn", "parent", "protect")
_KEPT_UNCHANGED = 3


def images_only(value: Any) -> Any:
    """Inputs with nothing in them but names of images; None when there are none."""
    if isinstance(value, dict):
        found = {key: inner if key == "image" else images_only(inner) for key, inner in value.items()}
        return {key: inner for key, inner in found.items() if inner is not None} or None
    if isinstance(value, list):
        return [found for one in value if (found := images_only(one)) is not None] or None
    return None


def _state(state: dict[str, Any] | None) -> dict[str, Any] | None:
    if not state:
        return None
    kept = {key: state[key] for key in _KEPT_STATE if key in state}
    inputs = images_only(state.get("inputs"))
    return {**kept, **({"inputs": inputs} if inputs else {})}


def trimmed(output: str) -> list[str]:
    """The lines of a preview that are worth keeping, each as small as it can be."""
    lines: list[str] = []
    unchanged = 0
    for line in filter(None, output.splitlines()):
        event = json.loads(line)
        kind = next((name for name in _KEPT_EVENTS if name in event), None)
        if kind is None or (kind == "diagnosticEvent" and event[kind]["severity"] != "error"):
            continue
        content = event[kind]
        if kind == "resourcePreEvent":
            metadata = content["metadata"]
            unchanged += metadata["op"] == "same"
            if metadata["op"] == "same" and unchanged > _KEPT_UNCHANGED:
                continue
            states = {name: _state(metadata.get(name)) for name in ("old", "new")}
            content = {
                "metadata": {key: metadata[key] for key in _KEPT_METADATA if metadata.get(key)} | states
            }
        lines.append(json.dumps({"sequence": len(lines), kind: content}))
    return lines


def main() -> None:
    """Bring the stack dev up and preview each case."""
    with tempfile.TemporaryDirectory() as directory:
        stack = Deployment.create(Path(directory), require_cli(), "dev")
        (stack.engine.directory / "policy").symlink_to(ROOT / "policy")
        arguments = ("preview", "--json", "--stack", "dev", "--policy-pack", "policy")
        stack.up()
        committed = stack.settings_file.read_text(encoding="utf-8")
        for name, sections in CASES.items():
            for section, values in sections.items():
                stack.change(section, **values)
            said = stack.engine.run(*arguments, check=False, env=STREAM).stdout
            (HERE / f"{name}.jsonl").write_text("\n".join(trimmed(said)) + "\n", encoding="utf-8")
            stack.settings_file.write_text(committed, encoding="utf-8")


if __name__ == "__main__":
    main()
