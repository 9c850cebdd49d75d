"""Run as a script: registers through pulumi-cloudflare's own classes what standard input lists, and says what was sent.

Input: JSON list of [kind, name, inputs with snake_case names]. Output: list of [type, inputs as sent, secret outputs].
"""

from __future__ import annotations

import json
import sys
from typing import Any, cast

from tests.harness.mocks import Secret, run


def plain(value: Any) -> Any:
    """Data with a mark where an envelope was."""
    if isinstance(value, Secret):
        return {"secret": plain(value.value)}
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [plain(inner) for inner in cast("list[Any]", value)]
    return value


def main() -> None:
    """Register and report."""
    wanted = json.load(sys.stdin)

    def program() -> None:
        import pulumi_cloudflare

        for kind, name, inputs in wanted:
            getattr(pulumi_cloudflare, kind)(name, **inputs)

    found = {one.name: one for one in run(program).resources}
    report = [
        [found[name].type, plain(found[name].props), list(found[name].secret_outputs)]
        for _, name, _ in wanted
    ]
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
