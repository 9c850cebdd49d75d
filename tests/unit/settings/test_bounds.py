"""The bounds of every whole number: the last value that is taken, and the first that is not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from components.settings.annotations import fields_by_alias, members, models_of
from components.settings.model import SECTIONS
from components.settings.reader import SettingsError, read_settings

OPERATED = {"kind": "cloudnative-pg"}
ELSEWHERE = {"kind": "external", "host": "db.lan"}
SPLIT = {"workers": {"kind": "split", "acceptParallelRecognition": True}}
SFTP = {
    "targets": [
        {
            "name": "nas",
            "kind": "sftp",
            "host": "nas",
            "user": "me",
            "path": "p",
            "knownHosts": "nas ssh-ed25519 AAAA",
        }
    ]
}
RCLONE = {"targets": [{"name": "cloud", "kind": "rclone", "remote": "cloud:p", "hosts": ["cloud"]}]}
WATCHED = {"kind": "bundled"}
NOTIFIED = {"kind": "bundled", "notify": {"hosts": ["ntfy.sh"]}}
TOTAL = {"total": "2T"}
RECOVERED = {**OPERATED, "lineage": {"generation": 999, "kept": []}}
MODELS = {"cache": {"accessMode": "ReadWriteMany"}}

BOUNDS: list[tuple[str, dict[str, Any], str, int, int]] = [
    ("host", {}, "port", 1, 65535),
    ("server", SPLIT, "workers.apiReplicas", 1, 32),
    ("server", SPLIT, "workers.microservicesReplicas", 1, 8),
    ("server", {}, "metrics.apiPort", 1024, 65535),
    ("server", {}, "metrics.microservicesPort", 1024, 65535),
    ("server", {}, "user", 1, 65535),
    ("server", {}, "group", 1, 65535),
    ("server", {"acceleration": "nvenc"}, "gpu.count", 1, 16),
    ("machineLearning", MODELS, "replicas", 1, 16),
    ("machineLearning", {}, "workers", 1, 16),
    ("machineLearning", {}, "requestThreads", 1, 256),
    ("machineLearning", {}, "interOpThreads", 1, 256),
    ("machineLearning", {}, "intraOpThreads", 1, 256),
    ("machineLearning", {}, "modelTtl", 0, 86_400),
    ("machineLearning", {}, "modelTtlPoll", 1, 3_600),
    ("machineLearning", {"backend": "cuda"}, "gpu.count", 1, 16),
    ("database", {}, "postgres", 14, 18),
    ("database", OPERATED, "instances", 1, 9),
    ("database", ELSEWHERE, "port", 1, 65535),
    ("database", ELSEWHERE, "postgres", 14, 18),
    ("cache", ELSEWHERE, "port", 1, 65535),
    ("cache", ELSEWHERE, "database", 0, 1023),
    ("proxy", {}, "replicas", 1, 16),
    ("proxy", {}, "loginRate", 1, 600),
    ("server", {}, "health.period", 2, 300),
    ("server", {}, "health.timeout", 1, 120),
    ("server", {}, "health.failures", 1, 20),
    ("machineLearning", {}, "health.period", 2, 300),
    ("machineLearning", {}, "health.timeout", 1, 120),
    ("machineLearning", {}, "health.failures", 1, 20),
    ("database", {}, "health.period", 2, 300),
    ("database", {}, "health.timeout", 1, 120),
    ("database", {}, "health.failures", 1, 20),
    ("cache", {}, "health.period", 2, 300),
    ("cache", {}, "health.timeout", 1, 120),
    ("cache", {}, "health.failures", 1, 20),
    ("proxy", {}, "health.period", 2, 300),
    ("proxy", {}, "health.timeout", 1, 120),
    ("proxy", {}, "health.failures", 1, 20),
    ("machineLearning", {}, "niceness", -20, 19),
    ("docker", {}, "logs.maxFiles", 1, 100),
    ("backup", {}, "dumps.keep", 1, 1000),
    ("backup", {}, "dumps.compressionLevel", 1, 19),
    ("backup", {}, "keep.daily", 1, 3650),
    ("backup", {}, "keep.weekly", 0, 520),
    ("backup", {}, "keep.monthly", 0, 240),
    ("backup", {}, "keep.yearly", 0, 100),
    ("backup", {}, "limits.upload", 0, 10_000_000),
    ("backup", {}, "limits.download", 0, 10_000_000),
    ("backup", {}, "limits.niceness", 0, 19),
    ("backup", SFTP, "targets.0.port", 1, 65535),
    ("backup", RCLONE, "targets.0.port", 1, 65535),
    ("monitoring", WATCHED, "thresholds.storagePercent", 1, 98),
    ("monitoring", WATCHED, "thresholds.machineLearningQueue", 1, 10_000_000),
    ("monitoring", WATCHED, "thresholds.gpuCelsius", 30, 110),
    ("monitoring", WATCHED, "thresholds.deletedPhotos", 1, 10_000_000),
    ("monitoring", WATCHED, "thresholds.certificateDays", 4, 90),
    ("monitoring", WATCHED, "grafana.port", 1024, 65535),
    ("monitoring", NOTIFIED, "notify.port", 1, 65535),
    ("monitoring", {"kind": "scrape-only", "address": "127.0.0.1"}, "ports.valkey", 1024, 65535),
    ("capacity", {}, "photos", 0, 1_000_000_000),
    ("capacity", {}, "videos", 0, 1_000_000_000),
    ("capacity", TOTAL, "videoShare", 0, 100),
    ("capacity", TOTAL, "growth", 0, 1000),
    ("capacity", TOTAL, "years", 0, 20),
    ("capacity", TOTAL, "thumbs", 1, 100),
    ("capacity", TOTAL, "encodedVideo", 0, 200),
    ("database", OPERATED, "lineage.generation", 1, 999),
    ("database", RECOVERED, "lineage.recover.sourceGeneration", 1, 999),
    ("cloudflare", {}, "access.serviceToken.clientSecretVersion", 1, 1_000_000),
    ("cloudflare", {}, "rateLimit.requests", 1, 10_000),
    ("cloudflare", {}, "tunnel.replicas", 1, 25),
]


_BOUND = re.compile(r"expected at (least|most) -?[0-9]+")


def keys_with_problems(section: str, around: dict[str, Any], path: str, value: int) -> list[str]:
    config = json.loads(json.dumps(around))
    *above, last = path.split(".")
    here = config
    for name in above:
        here = here[int(name)] if name.isdigit() else here.setdefault(name, {})
    here[last] = value
    try:
        read_settings("test", {section: json.dumps(config)}, ())
    except SettingsError as error:
        return [problem.key for problem in error.problems if _BOUND.fullmatch(problem.reason)]
    return []


@pytest.mark.parametrize(("section", "around", "path", "least", "most"), BOUNDS)
def test_a_whole_number_has_these_bounds(
    section: str, around: dict[str, Any], path: str, least: int, most: int
) -> None:
    key = f"immich:{section}.{path}".replace(".0.", "[0].")
    assert keys_with_problems(section, around, path, least) == []
    assert keys_with_problems(section, around, path, most) == []
    assert keys_with_problems(section, around, path, least - 1) == [key]
    assert keys_with_problems(section, around, path, most + 1) == [key]


def bounded() -> Iterator[str]:
    """The settings of the models, but for Immich's own configuration, that are whole numbers with two bounds."""
    for name, spec in SECTIONS.items():
        if name == "app":
            continue
        waiting = list(models_of(spec.annotation()))
        for model in waiting:
            for alias, field in fields_by_alias(model).items():
                waiting += [one for one in models_of(field.annotation) if one not in waiting]
                limits = {kind for one in field.metadata for kind in ("ge", "le") if hasattr(one, kind)}
                if int in members(field.annotation) and len(limits) == 2:
                    yield f"{name} {alias}"


def test_every_whole_number_is_in_the_table() -> None:
    listed = {f"{section} {path.split('.')[-1]}" for section, _, path, _, _ in BOUNDS}
    assert sorted(set(bounded()) - listed) == []
