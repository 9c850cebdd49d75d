"""This repository's program in a test: a stack with a project, a state, a PULUMI_HOME and rendered files of its own.

Nothing is written into the work tree: the few files that the CLI touches are copied, `components/` is linked.
Stacks that talk to a cluster render instead, through IMMICH_RENDER_DIRECTORY, unless a kubeconfig is given.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml

from components.settings.model import SECRET_KEYS
from tests.harness.engine import ROOT, Engine, Missing, Result, find_cli
from tests.harness.manifests import load_rendered
from tests.harness.objects import Manifest
from toolchain.deployment import Resource, resources

__all__ = ["REPOSITORY_STACKS", "Deployment", "Step", "data_bearing", "free_text", "steps"]

REPOSITORY_STACKS = ("dev", "prod", "vanillax")
"""The stacks of this repository that must work from their committed settings."""

DATA_TYPES = frozenset(
    {
        "kubernetes:core/v1:PersistentVolumeClaim",
        "kubernetes:core/v1:PersistentVolume",
        "kubernetes:core/v1:Namespace",
        "kubernetes:postgresql.cnpg.io/v1:Cluster",
        "kubernetes:postgresql.cnpg.io/v1:Database",
        "kubernetes:barmancloud.cnpg.io/v1:ObjectStore",
        "random:index/randomPassword:RandomPassword",
        "docker:index/volume:Volume",
    }
)
"""Types whose loss is a loss of data, or of the only key to it."""

REPLACEABLE_NAMES = frozenset(
    {"fingerprint-key", "metrics-password", "grafana-password", "administrator-password", "setup-api-key"}
)
"""Resources of these types that can be made again: a new key of fingerprints restarts pods, no more, and a password of
those who watch is set anew. Immich keeps what the other two are for, and a setting sets them anew."""

_FILES_OF_A_HOST = re.compile(
    r"-(server|microservices|database|cache|machine-learning|proxy|cloudflared|certificates|setup"
    r"|(?:backup|drill|restore)-[a-z]+)-(secret|config)-[a-z-]+"
)
"""Volumes of a host with files that are put there anew at every change."""

_SALT = re.compile(r"^encryptionsalt:.*\n?", re.MULTILINE)
_RENDERED = "rendered"


@dataclass(frozen=True, slots=True)
class Step:
    """What the engine did, or would do, to one resource."""

    op: str
    """`create`, `update`, `replace`, `create-replacement`, `delete-replaced`, `delete`, `same` ..."""
    urn: str
    inputs: Mapping[str, Any] = field(default_factory=dict[str, Any], compare=False)
    """Before the step, or, of what is created, after it."""

    @property
    def type(self) -> str:
        """Its type token."""
        return self.urn.split("::")[2].rsplit("$", 1)[-1]

    @property
    def name(self) -> str:
        """Its Pulumi name: for Kubernetes `namespace/name`."""
        return self.urn.rsplit("::", 1)[-1]

    @property
    def kind(self) -> str:
        """The last part of the type: `Deployment`."""
        return self.type.rsplit(":", 1)[-1]

    @property
    def destroys(self) -> bool:
        """Whether the resource, or its present incarnation, would be gone afterwards."""
        return self.op in {"replace", "create-replacement", "delete-replaced", "delete", "discard-replaced"}


def data_bearing(urn: str, inputs: Mapping[str, Any]) -> bool:
    """Whether a resource holds data. Decided by its type here and not by the flags that the program gives it.

    The claims of downloaded models and of numbers over time are the exceptions among claims: they are told by their
    parents, the components of machine learning and of monitoring. A share that is only read holds somebody else's.
    """
    if _only_read(inputs):
        return False
    step = Step("", urn)
    models = "immich:index:MachineLearning$" in urn
    files = (
        step.type.startswith("docker:")
        and "immich:index:Storage$" not in urn
        and _FILES_OF_A_HOST.search(step.name) is not None
    )
    # Fetched again, or made again: kept on destroy, and free to leave.
    numbers = "immich:index:Monitoring$" in urn
    certificates = "immich:index:Proxy$docker:" in urn and step.name.endswith("-certificates")
    return (
        step.type in DATA_TYPES
        and step.name not in REPLACEABLE_NAMES
        and not (models or files or certificates or numbers)
    )


def _only_read(inputs: Mapping[str, Any]) -> bool:
    spec = cast("dict[str, Any]", inputs.get("spec") or {})
    options = str(cast("dict[str, Any]", inputs.get("driverOpts") or {}).get("o", "")).split(",")
    static = "volumeName" in spec or "claimRef" in spec
    return (static and spec["accessModes"] == ["ReadOnlyMany"]) or "ro" in options


def steps(result: Result) -> list[Step]:
    """The steps of an `up`, `preview` or `destroy` that are no mere bookkeeping: `same`, `read` and `refresh`."""
    found = [event["resourcePreEvent"]["metadata"] for event in result.events if "resourcePreEvent" in event]
    return [
        Step(one["op"], one["urn"], (one.get("old") or one.get("new") or {}).get("inputs") or {})
        for one in found
        if one["op"] not in {"same", "read", "refresh"}
    ]


def changes(result: Result) -> dict[str, int]:
    """The engine's own count of what changed, by operation; `same` left out. Empty when nothing changed."""
    (summary,) = [event["summaryEvent"] for event in result.events if "summaryEvent" in event]
    counted = cast("dict[str, int]", summary["resourceChanges"])
    return {op: number for op, number in counted.items() if op != "same" and number}


def free_text() -> str:
    """A name that nothing else in this test run has."""
    return uuid.uuid4().hex[:8]


@dataclass
class Deployment:
    """One stack of this program with its engine."""

    engine: Engine
    secrets: dict[str, str] = field(default_factory=dict[str, str])
    """The secret config that was set: key -> value."""
    said: list[str] = field(default_factory=list[str])
    """Everything that every command printed."""

    @classmethod
    def create(
        cls,
        directory: Path,
        cli: Path,
        name: str,
        config: Mapping[str, Any] | None = None,
        *,
        secrets: Mapping[str, str] | None = None,
        kubeconfig: Path | None = None,
        stand_ins: bool = True,
    ) -> Deployment:
        """A stack that was not brought up yet: of this repository, or with `config` (section -> settings).

        Secrets that are needed and are not in `secrets` get a stand-in, where `stand_ins` says so. With a kubeconfig
        the stack talks to its API server.
        """
        engine = Engine.create(directory, cli)
        engine.stack = name
        for file in ("Pulumi.yaml", "__main__.py"):
            shutil.copy(ROOT / file, engine.directory / file)
        for folder in ("components", ".venv"):
            (engine.directory / folder).symlink_to(ROOT / folder)
        made = cls(engine)
        if config is None:
            text = (ROOT / f"Pulumi.{name}.yaml").read_text(encoding="utf-8")
            made.settings_file.write_text(_SALT.sub("", text), encoding="utf-8")
        else:
            made.write_settings(config)
        made._point(kubeconfig)
        engine.run("stack", "init", name)
        given = dict(secrets or {})
        needed = needed_secrets(made.settings()) if stand_ins else {}
        wanted = {key: value for key, value in needed.items() if key not in given}
        for key, value in {**wanted, **given}.items():
            made.set_secret(key, value)
        return made

    def copy(self, directory: Path) -> Deployment:
        """The same stack in the same condition in another directory, with a state of its own."""
        before, after = str(self.engine.directory.parent), str(directory)
        shutil.copytree(before, after, symlinks=True, dirs_exist_ok=True)
        env = {name: value.replace(before, after) for name, value in self.engine.env.items()}
        engine = Engine(directory / self.engine.directory.name, self.engine.cli, env, self.engine.stack)
        return Deployment(engine, dict(self.secrets))

    def _point(self, kubeconfig: Path | None) -> None:
        for name in ("IMMICH_RENDER_DIRECTORY", "KUBECONFIG"):
            self.engine.env.pop(name, None)
        if kubeconfig is not None:
            self.engine.env["KUBECONFIG"] = str(kubeconfig)
        elif self.settings().get("kubernetes", {}).get("target") != "render":
            self.engine.env["IMMICH_RENDER_DIRECTORY"] = f"{_RENDERED}/{self.engine.stack}"

    # Settings

    @property
    def settings_file(self) -> Path:
        """`Pulumi.<stack>.yaml` of the copy."""
        return self.engine.directory / f"Pulumi.{self.engine.stack}.yaml"

    def settings(self) -> dict[str, Any]:
        """Sections as they are in the file."""
        text = self.settings_file.read_text(encoding="utf-8")
        config = cast("dict[str, Any]", yaml.load(text, yaml.CSafeLoader)).get("config") or {}
        return {
            key.removeprefix("immich:"): value
            for key, value in config.items()
            if key.removeprefix("immich:") not in SECRET_KEYS
        }

    def write_settings(self, sections: Mapping[str, Any]) -> None:
        """Make these the settings; secrets and salt stay."""
        present: dict[str, Any] = {}
        if self.settings_file.exists():
            present = cast("dict[str, Any]", yaml.safe_load(self.settings_file.read_text(encoding="utf-8")))
        kept = {
            key: value
            for key, value in present.get("config", {}).items()
            if key.removeprefix("immich:") in SECRET_KEYS
        }
        config = {**{f"immich:{key}": value for key, value in sections.items()}, **kept}
        # Through JSON: YAML's anchors for what occurs twice would be refused by nobody, but are hard to read.
        text = yaml.safe_dump({**present, "config": json.loads(json.dumps(config))}, sort_keys=False)
        self.settings_file.write_text(text, encoding="utf-8")

    def change(self, section: str, **values: object) -> None:
        """Set settings of a section, as `pulumi config set --path` does."""
        sections = self.settings()
        sections[section] = {**sections.get(section, {}), **values}
        self.write_settings(sections)

    def set_secret(self, key: str, value: str) -> None:
        """`pulumi config set --secret`, with the value on standard input and not among the arguments."""
        done = subprocess.run(
            [
                str(self.engine.cli),
                "config",
                "set",
                "--secret",
                f"immich:{key}",
                "--stack",
                self.engine.stack,
            ],
            cwd=self.engine.directory,
            env=self.engine.env,
            input=value,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        self.secrets[key] = value

    # Commands

    def do(
        self, command: str, *arguments: str, check: bool = True, env: Mapping[str, str] | None = None
    ) -> Result:
        """`up`, `preview`, `refresh` or `destroy`."""
        result = self.engine.operate(command, *arguments, check=check, env=env)
        self.said.append(result.text)
        return result

    def up(self, *arguments: str, check: bool = True) -> Result:
        """`pulumi up`."""
        return self.do("up", *arguments, check=check)

    def run(self, *arguments: str, check: bool = True) -> Result:
        """Any other command on this stack."""
        result = self.engine.run(*arguments, "--stack", self.engine.stack, check=check)
        self.said.append(result.text)
        return result

    # What there is

    @property
    def rendered(self) -> Path:
        """The directory of manifests."""
        return self.engine.directory / _RENDERED / self.engine.stack

    def manifests(self) -> list[Manifest]:
        """The rendered manifests."""
        return load_rendered(self.rendered)

    def files(self) -> dict[str, tuple[int, str]]:
        """Rendered file -> when it was written (ns) and its text."""
        return {
            str(path.relative_to(self.rendered)): (path.stat().st_mtime_ns, path.read_text(encoding="utf-8"))
            for path in sorted(self.rendered.rglob("*"))
            if path.is_file()
        }

    def export(self, *, show_secrets: bool = False) -> dict[str, Any]:
        """`pulumi stack export`; what it printed is not kept in `said`."""
        shown = ["--show-secrets"] if show_secrets else []
        return json.loads(self.engine.run("stack", "export", "--stack", self.engine.stack, *shown).stdout)

    def state(self) -> list[Resource]:
        """The resources of the state, in its order."""
        return resources(self.export())

    def contents(self) -> dict[str, tuple[object, object, object]]:
        """URN -> id, inputs and outputs with secrets in the clear, of everything but the stack itself."""
        found = resources(self.export(show_secrets=True))
        return {
            one.urn: (one.state.get("id"), one.state.get("inputs"), one.state.get("outputs"))
            for one in found
            if one.type != "pulumi:pulumi:Stack"
        }

    def data(self) -> list[Resource]:
        """Resources of the state that hold data by their type."""
        return [resource for resource in self.state() if data_bearing(resource.urn, resource.inputs)]

    @property
    def state_files(self) -> Iterable[Path]:
        """Every file of the backend: state, history and backups."""
        return (path for path in (self.engine.directory.parent / "state").rglob("*") if path.is_file())


def require_cli() -> Path:
    """The CLI; skips the test, naming what is missing, where there is none."""
    import pytest

    cli = find_cli()
    if isinstance(cli, Missing):
        pytest.skip(cli.reason)
    return cli


def needed_secrets(sections: Mapping[str, Any]) -> dict[str, str]:
    """A stand-in for each secret that settings need and that cannot be made at random."""
    from components.settings.reader import SettingsError, read_settings

    texts = {key: json.dumps(value) for key, value in sections.items()}
    keys = ["cloudflareApiToken"] if "cloudflare" in sections else []
    try:
        read_settings("test", texts)
    except SettingsError as error:
        keys += [problem.key.removeprefix("immich:") for problem in error.problems]
    # 40 to 80 letters and digits: what the strictest of them, the token of Cloudflare, must be.
    return {
        key: (key + hashlib.sha256(key.encode()).hexdigest())[:64]
        for key in dict.fromkeys(keys)
        if key in SECRET_KEYS
    }
