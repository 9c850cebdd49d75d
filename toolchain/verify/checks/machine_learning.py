"""Machine learning: whether the server reaches it, and what it really runs on.

The backend is read in its own log: `Setting execution providers to [...], in descending order of preference`, which
immich_ml/sessions/ort.py writes whenever a model is loaded, and `EP Error` or `Falling back to`, which ONNX Runtime
writes after it where the first provider cannot be had; `Loading ANN model` and `Loading RKNN model` for the two that
do without ONNX Runtime (sessions/ann, sessions/rknn).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from components.machine_learning.settings import BundledMachineLearning, ExternalMachineLearning
from components.model.naming import object_name
from toolchain.verify.model import Check, failed, passed, unchecked
from toolchain.verify.running import RunningError, unit_of
from toolchain.verify.target import Target, transcoder

_ABOUT: Final = "machine learning"
_WORKLOAD: Final = "machine-learning"
_PORT: Final = 3003
_PROVIDERS: Final[Mapping[str, tuple[str, ...]]] = {
    "cuda": ("CUDA", "Tensorrt"),
    "rocm": ("MIGraphX", "ROCM"),
    "openvino": ("OpenVINO",),
}
_OWN_LINES: Final[Mapping[str, str]] = {"armnn": "Loading ANN model", "rknn": "Loading RKNN model"}
_SET: Final = re.compile(r"execution\s+providers\s+to\s+\[([^\]]*)\]")
_NAMES: Final = re.compile(r"'(\w+)ExecutionProvider'")
_FALLS_BACK: Final = re.compile(r"EP\s+Error|Falling\s+back\s+to\s+(\['CPU|CPU)")
_ESCAPES: Final = re.compile(r"\x1b\[[0-9;]*m")
_ASK: Final = (
    'exec 3<>"/dev/tcp/$0/$1" && printf "GET /ping HTTP/1.0\\r\\nHost: $0\\r\\n\\r\\n" >&3 && cat <&3'
)
"""Immich's image has bash, and no curl that could be relied on."""


def answers(target: Target) -> list[Check]:
    """`/ping`, from the container of the server: through the network that Immich itself has to it."""
    match target.settings.machine_learning:
        case BundledMachineLearning():
            return [_ping(target, f"http://{object_name(_WORKLOAD)}:{_PORT}")]
        case ExternalMachineLearning() as external:
            return [_ping(target, str(url)) for url in external.urls]
        case _:
            return []


def _ping(target: Target, url: str) -> Check:
    name, expected = "ping", f"GET {url}/ping from the server's container answers pong"
    parts = urlsplit(url)
    if parts.scheme != "http":
        return unchecked(name, _ABOUT, f"{url} is https, which bash in the server's container does not speak")
    fix = f"{target.log_command(_WORKLOAD)}; a start with models to download takes minutes"
    if not isinstance(target.settings.machine_learning, BundledMachineLearning):
        fix = f"Does machine learning run at {url}, and may this host reach it?"
    worker = unit_of(target.running.units(), transcoder(target.settings))
    if worker is None or worker.state != "running":
        return unchecked(name, _ABOUT, "the server does not run, so nobody can ask from there")
    try:
        code, output = target.running.run(
            worker, ["bash", "-c", _ASK, str(parts.hostname), str(parts.port or 80)]
        )
    except RunningError as error:
        return _from_outside(target, str(error), expected, fix)
    if code == 0 and output.rstrip().endswith("pong"):
        return passed(name, _ABOUT, f"pong from {url}, asked from {worker.name}")
    told = "no answer in time" if code == 124 else output.strip().splitlines()[-1:] or [f"exit code {code}"]
    return failed(name, _ABOUT, told if isinstance(told, str) else told[0][:200], expected, fix)


def _from_outside(target: Target, why: str, expected: str, fix: str) -> Check:
    """Where no command can be run in a pod: by the API server, which says less about the server's own way there."""
    try:
        status, body = target.running.ask(_WORKLOAD, _PORT, "/ping")
    except RunningError:
        return unchecked("ping", _ABOUT, why)
    if status == 200 and body.strip() == "pong":
        return passed("ping", _ABOUT, f"pong, asked by the API server ({why})")
    return failed("ping", _ABOUT, f"{status} {body[:200]}", expected, fix)


def backend(target: Target) -> list[Check]:
    """What models really run on, by the log."""
    settings = target.settings.machine_learning
    if not isinstance(settings, BundledMachineLearning):
        return []
    unit = unit_of(target.running.units(), _WORKLOAD)
    if unit is None or unit.state != "running":
        return [unchecked("backend", _ABOUT, "machine learning does not run")]
    log = target.running.logs(unit, lines=20_000)
    return [judge_backend(settings.backend, log, target.log_command(_WORKLOAD))]


def judge_backend(wanted: str, log: str, where: str) -> Check:
    """The last model that was loaded says it."""
    name, text = "backend", _ESCAPES.sub("", log)
    providers, fell_back = _last_providers(text)
    own = _OWN_LINES.get(wanted)
    if own is not None and text.rfind(own) > text.rfind("execution providers"):
        return passed(name, _ABOUT, f"{wanted}: `{own}` in its log")
    if not providers:
        if wanted == "cpu":
            return passed(name, _ABOUT, "cpu, as the settings say; no model was loaded since its start")
        why = f"no model was loaded since its start: no line `execution providers` in `{where}`"
        return unchecked(name, _ABOUT, why, "Search for something in Immich, and ask again")
    told = f"{', '.join(providers)}, by the line `Setting execution providers` in `{where}`"
    if wanted == "cpu":
        return passed(name, _ABOUT, told)
    expected = f"{wanted} ({' or '.join(_PROVIDERS.get(wanted, (own or wanted,)))})"
    fix = (
        "The GPU is asked for and not used: driver and container toolkit of the host, `machineLearning.gpu` "
        "(docs/docker.md, GPU), groups video and render; immich#14808 and #8097 have the usual causes"
    )
    if fell_back:
        return failed(
            name, _ABOUT, f"CPU: ONNX Runtime fell back from {providers[0]}, in `{where}`", expected, fix
        )
    if providers[0] not in _PROVIDERS.get(wanted, ()):
        return failed(name, _ABOUT, told, expected, fix)
    return passed(name, _ABOUT, told)


def _last_providers(text: str) -> tuple[Sequence[str], bool]:
    """Names of the last line about providers, and whether ONNX Runtime fell back after it."""
    found = list(_SET.finditer(text))
    if not found:
        return (), False
    return _NAMES.findall(found[-1][1]), _FALLS_BACK.search(text, found[-1].end()) is not None
