"""The whole program under mocks: `__main__.py` with the settings of a stack."""

from __future__ import annotations

import hashlib
import json
import runpy
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from unittest import mock

import yaml

from components.settings.model import SECRET_KEYS
from components.settings.reader import SettingsError, read_settings
from tests.harness import mocks
from tests.harness.mocks import Recorded, Run, Secret
from tests.harness.objects import Manifest

ROOT = Path(__file__).resolve().parents[2]
REDACTED = "redacted"
RANDOM_PASSWORD = "random:index/randomPassword:RandomPassword"
REMOTE_IMAGE = "docker:index/remoteImage:RemoteImage"
CONTAINER = "docker:index/container:Container"


@dataclass(frozen=True, slots=True)
class Stack:
    """Settings of a stack, as `Pulumi.<name>.yaml` has them."""

    name: str
    sections: Mapping[str, Any]
    secrets: Mapping[str, str] = field(default_factory=dict[str, str])
    """Secret config: key -> value."""


def secret_text(key: str) -> str:
    """A value for a secret that occurs nowhere else, with characters that must survive quoting."""
    text = f"{key}-{hashlib.sha256(key.encode()).hexdigest()[:12]}\"'\\ é"
    if key == "cloudflareTunnelCredentials":
        return json.dumps(
            {"AccountTag": "account", "TunnelID": "tunnel", "TunnelSecret": text}, ensure_ascii=False
        )
    return text


def with_secrets(name: str, sections: Mapping[str, Any], *keys: str) -> Stack:
    """A stack whose secret config has these keys."""
    return Stack(name, sections, {key: secret_text(key) for key in keys})


def without_defaults(sections: Mapping[str, Any]) -> list[str]:
    """Keys of the secrets that these settings need and that are not made at random."""
    keys = ["cloudflareApiToken"] if "cloudflare" in sections else []
    try:
        read_settings("test", {key: json.dumps(value) for key, value in sections.items()})
    except SettingsError as error:
        keys += [problem.key.removeprefix("immich:") for problem in error.problems]
    return [key for key in keys if key in SECRET_KEYS]


def host_stack(name: str, sections: Mapping[str, Any]) -> Stack:
    """A stack with a stand-in for every secret that it needs; Cloudflare's token has the only form that is accepted."""
    stack = with_secrets(name, sections, *without_defaults(sections))
    if "cloudflareApiToken" not in stack.secrets:
        return stack
    token = hashlib.sha256(b"cloudflareApiToken").hexdigest()[:40]
    return Stack(name, sections, {**stack.secrets, "cloudflareApiToken": token})


def from_file(path: Path) -> Stack:
    """A stack of the repository; encrypted values are replaced by stand-ins, also those that it leaves to the user."""
    config = cast("dict[str, Any]", yaml.load(path.read_text(), yaml.CSafeLoader)["config"])
    own = {key.removeprefix("immich:"): value for key, value in config.items()}
    sections = {key: value for key, value in own.items() if key not in SECRET_KEYS}
    if "docker" in sections:
        return host_stack(path.stem.removeprefix("Pulumi."), sections)
    external = own.get("secrets", {}).get("kind") == "external-secrets"
    asked = {key for key in SECRET_KEYS if key in own or (key.startswith("backup") and "backup" in own)}
    return with_secrets(path.stem.removeprefix("Pulumi."), sections, *(() if external else sorted(asked)))


def random_text(name: str) -> str:
    """What the stand-in for the random provider makes under a name."""
    return f"random-{hashlib.sha256(name.encode()).hexdigest()[:33]}"


def image_id(image: str) -> str:
    """What the stand-in for an engine calls an image."""
    return f"sha256:{hashlib.sha256(image.encode()).hexdigest()}"


def _computed(resource: Recorded) -> Mapping[str, Any]:
    if resource.type == RANDOM_PASSWORD:
        return {"result": random_text(resource.name)}
    if resource.type == REMOTE_IMAGE:
        return {"imageId": image_id(str(resource.props["name"]))}
    if resource.type == CONTAINER and resource.props.get("attach"):
        # It has run, and ended well.
        return {"exitCode": 0}
    return {}


def _main() -> None:
    runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")


def run_stack(stack: Stack, *, preview: bool = False) -> Run:
    """Run `__main__.py` for a stack. Raises what the program raises.

    No engine is asked whether it answers: the check before the plan is told that it does.
    """
    answers = mock.patch("components.platform.docker.reach.problem", return_value=None)
    with answers if "docker" in stack.sections else nullcontext():
        return _run(stack, preview)


def _run(stack: Stack, preview: bool) -> Run:
    texts = {f"immich:{key}": json.dumps(section) for key, section in stack.sections.items()}
    secrets = {f"immich:{key}": value for key, value in stack.secrets.items()}
    return mocks.run(
        _main,
        stack=stack.name,
        config={**texts, **secrets},
        secret_keys=list(secrets),
        preview=preview,
        computed=_computed,
    )


_SHARED: dict[str, Run] = {}


def shared_run(stack: Stack, *, preview: bool = False) -> Run:
    """The same, made once in a test process; nobody may change it."""
    key = json.dumps([stack.name, stack.sections, stack.secrets, preview])
    if key not in _SHARED:
        _SHARED[key] = run_stack(stack, preview=preview)
    return _SHARED[key]


class Runs:
    """Runs of stacks, each made once in a test process; nobody may change them."""

    def __init__(self, stacks: Mapping[str, Stack]) -> None:
        self._stacks = stacks

    def __getitem__(self, name: str) -> Run:
        return shared_run(self._stacks[name])

    def preview(self, name: str) -> Run:
        """What a stack registers while outputs are unknown."""
        return shared_run(self._stacks[name], preview=True)


def plain(value: Any) -> Any:
    """Data without envelopes; what was in one is a fixed text."""
    if isinstance(value, Secret):
        return _redacted(value.value)
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [plain(inner) for inner in cast("list[Any]", value)]
    return value


def _redacted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _redacted(inner) for key, inner in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_redacted(inner) for inner in cast("list[Any]", value)]
    return REDACTED if isinstance(value, str) else value


def manifests(run: Run) -> list[Manifest]:
    """Every Kubernetes object of a run, as it would be sent to the API server; secrets are a fixed text."""
    return [plain(one.props) for one in run.resources if one.type.startswith("kubernetes:")]


def texts(value: Any, *, inside_secrets: bool = False) -> Iterator[str]:
    """Every text in recorded data, keys included; those in envelopes only where asked for."""
    if isinstance(value, Secret):
        if inside_secrets:
            yield from texts(value.value, inside_secrets=True)
    elif isinstance(value, dict):
        for key, inner in cast("dict[str, Any]", value).items():
            yield key
            yield from texts(inner, inside_secrets=inside_secrets)
    elif isinstance(value, list):
        for inner in cast("list[Any]", value):
            yield from texts(inner, inside_secrets=inside_secrets)
    elif isinstance(value, str):
        yield value


def unwrapped(value: Any) -> Any:
    """Data with the secrets in it: for what a test must see inside an envelope."""
    if isinstance(value, Secret):
        return unwrapped(value.value)
    if isinstance(value, dict):
        return {key: unwrapped(inner) for key, inner in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [unwrapped(inner) for inner in cast("list[Any]", value)]
    return value


def needs(run: Run, one: Recorded) -> set[str]:
    """URNs of everything that is made before a resource."""
    known = {resource.urn: resource for resource in run.resources}
    found: set[str] = set()
    waiting = [one]
    while waiting:
        for urn in waiting.pop().dependencies:
            if urn not in found and urn in known:
                found.add(urn)
                waiting.append(known[urn])
    return found
