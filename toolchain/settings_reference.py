"""Writes docs/settings.md from the models of the settings: `python -m toolchain.settings_reference [--check]`."""

from __future__ import annotations

import argparse
import ast
import functools
import inspect
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel
from pydantic.alias_generators import to_camel

from components import versions
from components.fields.resources import DEFAULTS
from components.settings.annotations import fields_by_alias, kind_of, members, models_of
from components.settings.model import SECRET_KEYS, SECTIONS, Settings
from components.settings.rules import RULES
from toolchain.settings_types import accepted, default

FILE: Final = Path(__file__).resolve().parent.parent / "docs" / "settings.md"
Models = tuple[type[BaseModel], ...]

SECRETS_WANTED: Final = {
    "databasePassword": "`database.kind` is `external`; otherwise made at random where it is not given",
    "cachePassword": "`cache.kind` is `external` with `password`; otherwise made at random where it is not given",
    "administratorPassword": "`setup.administrator`; made at random where it is not given",
    "setupApiKey": "`setup.administrator`; made at random where it is not given (docs/setup.md)",
    "oauthClientSecret": "`app.oauth.enabled`",
    "smtpPassword": "`app.notifications.smtp.enabled` with a `transport.username`",
    "backupAccessKeyId": "there is a `backup.archive`, or a target of the kind `s3`",
    "backupSecretAccessKey": "there is a `backup.archive`, or a target of the kind `s3`",
    "backupPassword": "there are `backup.targets`; made at random where it is not given",
    "backupPasswordOld": "never; given while a new `backupPassword` is taken up (docs/secrets-rotation.md)",
    "backupSshKey": "a target of the kind `sftp`",
    "backupRestPassword": "a target of the kind `rest` with a `user`",
    "backupRcloneConfig": "a target of the kind `rclone`",
    "acmeDnsToken": "`proxy.tls.kind` is `acme` with `challenge: dns-cloudflare`",
    "metricsPassword": "somebody watches (`monitoring.kind`) a bundled database; made at random where it is not given",
    "grafanaPassword": "`monitoring.kind` is `bundled` with `grafana`; made at random where it is not given",
    "alertWebhookUrl": "`monitoring.notify`",
    "cloudflareApiToken": "there is an `immich:cloudflare` and no $CLOUDFLARE_API_TOKEN",
    "cloudflareTunnelCredentials": "`cloudflare.tunnel.existing` with `credentials: file`",
    "cloudflareTunnelToken": "`cloudflare.tunnel.existing` with `credentials: token`",
}
"""When each secret of `SECRET_KEYS` is needed (components/settings/required_secrets.py)."""

INTRODUCTION: Final = """\
# Settings

<!-- Written by `python -m toolchain.settings_reference` from the models in components/settings: change those. -->

A stack is one file, `Pulumi.<stack>.yaml`. Every setting has a default unless the table says **needed**, so a file
may be as short as that of `dev`. Each section is one key of the stack's configuration:

```yaml
config:
  immich:host:
    name: photos.example.com
  immich:database:
    kind: cloudnative-pg
    instances: 3
```

The same by command; `--path` reaches into a section:

```sh
pulumi config set --path 'immich:host.name' photos.example.com
pulumi config set --path 'immich:database.kind' cloudnative-pg
pulumi config set --path 'immich:database.instances' 3
pulumi config set --path 'immich:storage.externalLibraries[0].name' old-photos
pulumi config set --path --type string 'immich:server.version' 3.3.1   # --type string: never a number
pulumi config set --secret immich:databasePassword                     # asks for the value, and keeps it encrypted
```

- Names are as they stand here, in camelCase. An unknown name is refused, with the one that was meant.
- A part that has several kinds is told apart by `kind`; leaving `kind` out means the one marked *default*.
- Every mistake is reported before anything is changed, all of them at once: the key, what was given, what is accepted,
  and what to do.
- Cores are those of Kubernetes (`500m` is half a core, `2` are two), and so are bytes, always with their unit (`512Mi`,
  `50Gi`; never `512m` or `50GB`). Durations are those of Go (`30s`, `15m`, `1h30m`).
- Secrets have [keys of their own](#secrets) and never stand in a section.
"""


def reference() -> str:
    """The text of docs/settings.md."""
    return "\n".join(_document()).rstrip() + "\n"


def _document() -> Iterator[str]:
    yield INTRODUCTION
    yield "## Sections\n"
    yield "| Section | What it is |\n| --- | --- |"
    meaning = {to_camel(name): text for name, text in attribute_docs(Settings).items()}
    for name in SECTIONS:
        yield f"| [`immich:{name}`](#{_anchor(f'immich:{name}')}) | {table_cell(meaning[name])} |"
    yield "| [secrets](#secrets) | Passwords and keys. |"
    shared = _shared()
    for name, spec in SECTIONS.items():
        yield f"\n## `immich:{name}`\n"
        yield from _part(f"immich:{name}", models_of(spec.annotation()), "###", shared)
    yield "\n## Parts that several sections have\n"
    for models in shared:
        yield f"\n### {_title(models)}\n"
        yield from _part("", models, "####", shared)
    yield from _tables()


def _shared() -> list[Models]:
    """The parts that occur in more than one place, in the order in which they are met."""
    met: dict[Models, int] = {}

    def visit(models: Models) -> None:
        for model in models:
            for field in model.model_fields.values():
                inner = models_within(field.annotation)
                if not inner:
                    continue
                met[inner] = met.get(inner, 0) + 1
                if met[inner] == 1:
                    visit(inner)

    for spec in SECTIONS.values():
        visit(models_of(spec.annotation()))
    return [models for models, times in met.items() if times > 1]


def models_within(annotation: object) -> Models:
    """The models of a setting, also where they are items of a list or values of an object."""
    return models_of(annotation) or tuple(
        model
        for one in members(annotation)
        for inner in getattr(one, "__args__", ())
        for model in models_of(inner)
    )


def _part(path: str, models: Models, level: str, shared: Sequence[Models]) -> Iterator[str]:
    """A model, or the models of a union one after the other."""
    if len(models) == 1:
        yield f"{_prose(models[0])}\n"
        yield from _table(path, models[0], level, shared)
        return
    kinds = [(str(kind_of(model)), "kind" not in _needed(model)) for model in models]
    listed = ", ".join(f"`{kind}` (*default*)" if is_default else f"`{kind}`" for kind, is_default in kinds)
    yield f"`kind` is one of {listed}."
    for (kind, _), model in zip(kinds, models, strict=True):
        yield f"\n{level} {f'`{path}` with ' if path else ''}`kind: {kind}`\n"
        yield f"{_prose(model)}\n"
        yield from _table(path, model, f"{level}#", shared)


def _needed(model: type[BaseModel]) -> set[str]:
    return {alias for alias, field in fields_by_alias(model).items() if field.is_required()}


def _table(path: str, model: type[BaseModel], level: str, shared: Sequence[Models]) -> Iterator[str]:
    inner: list[tuple[str, Models]] = []
    rows: list[str] = []
    meaning = meanings(model)
    for alias, field in fields_by_alias(model).items():
        models = models_within(field.annotation)
        if alias == "kind" and kind_of(model) is not None and len(_literals(model)) == 1:
            continue
        is_item = bool(models) and not models_of(field.annotation)
        here = f"{path}.{alias}" if path else alias
        if models and models not in shared:
            inner.append((f"{here}[]" if is_item else here, models))
        link = _link(here if not is_item else f"{here}[]", models, shared) if models else ""
        type_text = (
            (f"{_holder(field.annotation)}, each: {link}" if is_item else link) if models else accepted(field)
        )
        rows.append(
            f"| `{alias}` | {table_cell(type_text)} | {table_cell(default(field))} | {table_cell(meaning[alias])} |"
        )
    if rows:
        yield "| Setting | Accepted | Default | Meaning |\n| --- | --- | --- | --- |"
        yield from rows
    else:
        yield "Nothing to set."
    for here, models in inner:
        yield f"\n{level} `{here}`\n"
        yield from _part(here, models, f"{level}#", shared)


def _holder(annotation: object) -> str:
    return (
        "object" if any(getattr(one, "__origin__", None) is dict for one in members(annotation)) else "list"
    )


def _literals(model: type[BaseModel]) -> Sequence[object]:
    return getattr(model.model_fields["kind"].annotation, "__args__", ())


def _link(path: str, models: Models, shared: Sequence[Models]) -> str:
    if models in shared:
        return f"[{_title(models).lower()}](#{_anchor(_title(models))})"
    return f"[see below](#{_anchor(path)})"


def _title(models: Models) -> str:
    name = models[0].__name__
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()
    return words.capitalize()


def _anchor(heading: str) -> str:
    """The anchor that GitHub makes of a heading."""
    kept = "".join(letter for letter in heading.lower() if letter.isalnum() or letter in " -_")
    return kept.replace(" ", "-")


def _prose(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split())


def table_cell(text: str) -> str:
    """`text` in a cell of a table: what Markdown reads is escaped, but for what stands in backquotes."""
    prose = " ".join(text.split()).replace("|", "\\|").split("`")
    return "`".join(part if index % 2 else part.replace("<", "\\<") for index, part in enumerate(prose))


def meanings(model: type[BaseModel]) -> dict[str, str]:
    """What each setting of a model means, by its key; empty for one without a docstring.

    Read here and not by pydantic: there it takes half of the time in which the settings are imported.
    """
    bases = [
        base for base in reversed(model.__mro__) if issubclass(base, BaseModel) and base is not BaseModel
    ]
    docs = {name: text for base in bases for name, text in attribute_docs(base).items()}
    return {field.alias or name: docs.get(name, "") for name, field in model.model_fields.items()}


@functools.cache
def attribute_docs(model: type[Any]) -> dict[str, str]:
    """The docstrings under the attributes of a class."""
    (node,) = ast.parse(inspect.getsource(model)).body
    if not isinstance(node, ast.ClassDef):
        raise TypeError(f"{model} is no class")
    found: dict[str, str] = {}
    for one, following in zip(node.body, node.body[1:], strict=False):
        match one, following:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = inspect.cleandoc(text)
            case _:
                pass
    return found


def _tables() -> Iterator[str]:
    yield "\n## CPU and memory where nothing is given\n"
    yield "What a section's `resources` leave out. A limit that is lowered below the default request lowers that too.\n"
    yield "| Container | CPU request | CPU limit | Memory request | Memory limit |\n| --- | --- | --- | --- | --- |"
    for container, one in DEFAULTS.items():
        amounts = (one.requests.cpu, one.limits.cpu, one.requests.memory, one.limits.memory)
        yield f"| {container} | {' | '.join(str(amount) for amount in amounts)} |"
    yield "\n## PostgreSQL and VectorChord\n"
    yield (
        f"Immich accepts PostgreSQL 14 to 18 and VectorChord {versions.VECTORCHORD_RANGE}. "
        "There are images for these pairs, each pinned by its digest:\n"
    )
    yield "| `database.kind` | `postgres` | `vectorchord` |\n| --- | --- | --- |"
    for flavour in ("bundled", "cloudnative-pg"):
        for postgres, vectorchord in versions.database_images(flavour):
            yield f"| {flavour} | {postgres} | {vectorchord} |"
    yield "\n## Rules between sections\n"
    for rule in RULES:
        sections = ", ".join(f"`{name}`" for name in rule.sections if name in SECTIONS)
        yield f"- {sections}: {' '.join((rule.check.__doc__ or '').split())}"
    yield "\n## Secrets\n"
    yield (
        "Set with `pulumi config set --secret`, kept encrypted in `Pulumi.<stack>.yaml`. With "
        "`immich:secrets` of the kind `external-secrets` none is set here; each has an item of the store in "
        "`secrets.values` instead.\n"
    )
    yield "| Secret | What it is | Needed when | Command |\n| --- | --- | --- | --- |"
    for key, what in SECRET_KEYS.items():
        yield f"| `immich:{key}` | {what} | {SECRETS_WANTED[key]} | `pulumi config set --secret immich:{key}` |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the reference, or with `--check` only compare; 1 where it is out of date."""
    parser = argparse.ArgumentParser(prog="python -m toolchain.settings_reference", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail where the file is out of date"
    )
    text = reference()
    if parser.parse_args(arguments).check:
        if FILE.is_file() and FILE.read_text(encoding="utf-8") == text:
            return 0
        print("docs/settings.md is out of date: run python -m toolchain.settings_reference", file=sys.stderr)
        return 1
    FILE.write_text(text, encoding="utf-8")
    print(f"wrote {FILE.relative_to(FILE.parent.parent)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
