"""The last look at a report: no secret that this machine knows may be in it.

The engine masks secrets in what it prints, and the report takes names and paths, not values. But an error text is
whatever somebody wrote, so what is secret here is looked for once more.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from toolchain.deployment import items, mapping
from toolchain.failure import ToolchainError

MASK: Final = "[secret]"
_SHORTEST: Final = 8
"""Shorter texts occur in any report; masking them would hide words and protect nothing."""
_VARIABLE: Final = re.compile(
    r"(PASSPHRASE|PASSWORD|TOKEN|SECRET|SECRET_ACCESS_KEY|PRIVATE_KEY|API_KEY|CREDENTIALS)$"
)
_CREDENTIALS_IN_URL: Final = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^/\s:@]+:[^/\s@]+@")


def of_environment(env: Mapping[str, str]) -> Iterator[str]:
    """Values of variables whose name says that they are secret."""
    for name, value in env.items():
        if _VARIABLE.search(name):
            yield value


def of_config(stack: str, env: Mapping[str, str], root: Path) -> Iterator[str]:
    """The stack's secret config, and each text in it when it is an object. ToolchainError when it cannot be read."""
    answer = subprocess.run(
        ["pulumi", "config", "--json", "--show-secrets", "--stack", stack, "--non-interactive"],
        cwd=root,
        env=dict(env),
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode != 0:
        raise ToolchainError(f"The settings of the stack {stack} could not be read:\n{answer.stderr.strip()}")
    for entry in mapping(json.loads(answer.stdout)).values():
        setting = mapping(entry)
        if setting.get("secret") is True:
            yield str(setting.get("value", ""))
            yield from _texts(setting.get("objectValue"))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for inner in (*mapping(value).values(), *items(value)):
        yield from _texts(inner)


def redacted(report: str, secrets: Iterable[str]) -> str:
    """The report with a mask where a secret, or one line of it, was."""
    wanted = {line.strip() for secret in secrets for line in (secret, *secret.splitlines())}
    for secret in sorted((one for one in wanted if len(one) >= _SHORTEST), key=len, reverse=True):
        report = report.replace(secret, MASK)
    return _CREDENTIALS_IN_URL.sub(rf"\1{MASK}@", report)
