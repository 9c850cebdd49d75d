"""The backlog of Immich's job queues, read where it is: in the lists of BullMQ in Valkey.

Immich itself counts what is being worked on, and not what waits. In BullMQ 5 `wait`, `active` and `paused` are lists,
`prioritized` and `delayed` sorted sets (its scripts/getCounts-1.lua). Its `failed` stays empty: Immich catches what a
job throws (job.service.ts of 3.0.3).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from toolchain.verify.running import Running, RunningError, Unit

QUEUES: Final = (
    "thumbnailGeneration", "metadataExtraction", "videoConversion", "faceDetection", "facialRecognition",
    "smartSearch", "duplicateDetection", "backgroundTask", "storageTemplateMigration", "migration", "search",
    "sidecar", "library", "notifications", "backupDatabase", "ocr", "workflow", "integrityCheck", "editor",
)  # fmt: skip
"""Names of queues as keys have them (QueueName of immich-app/immich)."""
LISTS: Final = ("wait", "active", "paused")
SETS: Final = ("prioritized", "delayed")
_PREFIX: Final = "immich_bull"
_SCRIPT: Final = """
REDISCLI_AUTH="$(cat /run/secrets/cache/password)" || exit 1
export REDISCLI_AUTH
cli="$(command -v valkey-cli || command -v redis-cli)" || exit 1
for queue in $0; do
  for one in $1; do echo "LLEN $2:$queue:$one"; done
  for one in $3; do echo "ZCARD $2:$queue:$one"; done
done | "$cli"
"""
"""The password goes from its file into the environment of that one process: it is on no command line."""


def backlog(running: Running, cache: Unit) -> dict[str, dict[str, int]]:
    """Queue -> state -> number of jobs. `RunningError` where Valkey does not tell."""
    arguments = [" ".join(QUEUES), " ".join(LISTS), _PREFIX, " ".join(SETS)]
    code, output = running.run(cache, ["sh", "-c", _SCRIPT, *arguments])
    if code != 0:
        raise RunningError(f"{cache.name}: valkey-cli ended with {code}: {output.strip()[:200]}")
    return parse(output)


def parse(output: str) -> dict[str, dict[str, int]]:
    """What valkey-cli answers, a number a line. `RunningError` for anything else."""
    states = (*LISTS, *SETS)
    lines = output.split("\n")
    numbers = [line.strip() for line in lines if line.strip()]
    if len(numbers) != len(QUEUES) * len(states) or not all(number.isdigit() for number in numbers):
        wrong = next((line for line in numbers if not line.isdigit()), f"{len(numbers)} lines")
        raise RunningError(f"valkey-cli answered {wrong[:200]!r}")
    found: dict[str, dict[str, int]] = {}
    for index, queue in enumerate(QUEUES):
        part = numbers[index * len(states) : (index + 1) * len(states)]
        found[queue] = dict(zip(states, map(int, part), strict=True))
    return found


def waiting(queue: Mapping[str, int]) -> int:
    """Jobs that nobody works on yet."""
    return sum(queue[state] for state in ("wait", "paused", "prioritized", "delayed"))
