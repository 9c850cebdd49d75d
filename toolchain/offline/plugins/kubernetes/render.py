"""Manifests in a directory instead of objects on a cluster (`renderYamlToDirectory`).

Files are named as the official plugin names them: `1-manifest/apps_v1-deployment-<namespace>-<name>.yaml`,
with CustomResourceDefinitions in `0-crd/` so that they can be applied first.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from toolchain.offline.plugins.kubernetes.objects import (
    dashed,
    is_secret_object,
    name_of,
    namespace_of,
    object_kind,
)
from toolchain.offline.plugins.provider import ProviderError
from toolchain.offline.plugins.values import Object, contains_unknown, reveal_object

_SECRET_MODE = 0o600
_FILE_MODE = 0o644


def manifest_path(directory: Path, item: Object) -> Path:
    """Where the object's manifest is; an object without a namespace is filed under `default`."""
    kind = object_kind(item)
    folder = "0-crd" if kind.kind == "CustomResourceDefinition" else "1-manifest"
    version = kind.api_version.replace("/", "_").replace(":", "_")
    return (
        directory
        / folder
        / f"{version}-{kind.kind.lower()}-{namespace_of(item) or 'default'}-{name_of(item)}.yaml"
    )


# Plain scalars that Go's YAML reader takes for numbers or booleans although Python's writer does not quote
# them.
_AMBIGUOUS = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?|0[oObBxX][0-9a-fA-F_]+|[yYnN]")
# Control characters and the line breaks that only some readers take for one: written as escapes.
_UNUSUAL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]")


def to_yaml(item: Object) -> str:
    """The object as YAML with sorted keys, several lines as a block, and no string that another reader may
    misread.
    """
    import yaml

    class Dumper(yaml.SafeDumper):
        """A dumper of its own, so that its string rule is not everybody's."""

        def ignore_aliases(self, data: object) -> bool:
            return True  # a value that occurs twice is written twice

    def text(_dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        style = None
        if _UNUSUAL.search(value):
            style = '"'
        elif "\n" in value:
            style = "|"
        elif _AMBIGUOUS.fullmatch(value):
            style = "'"
        return yaml.ScalarNode("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    return yaml.dump(
        item, Dumper=Dumper, sort_keys=True, allow_unicode=True, default_flow_style=False, width=4096
    )


def write(directory: Path, item: Object) -> Path:
    """Write the object's manifest, Secrets readable by the owner only, and return its path.

    The file is replaced as a whole, so a reader never sees half of one. Raises ProviderError when a value is
    still unknown or the directory cannot be written.
    """
    if contains_unknown(item):
        raise ProviderError(
            f"cannot render {name_of(item) or 'an object'}: it has a value that is still unknown"
        )
    path = manifest_path(directory, item)
    text = to_yaml(dashed(reveal_object(item)))
    try:
        for folder in ("0-crd", "1-manifest"):
            (directory / folder).mkdir(parents=True, exist_ok=True)
        _replace(path, text, _SECRET_MODE if is_secret_object(item) else _FILE_MODE)
    except OSError as error:
        raise ProviderError(f"cannot write {path}: {error.strerror}") from None
    return path


def _replace(path: Path, text: str, mode: int) -> None:
    # mkstemp makes the file 0600, so a Secret is never readable by others, not even for a moment.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def remove(directory: Path, item: Object) -> Path:
    """Remove the object's manifest; one that is gone already is fine."""
    path = manifest_path(directory, item)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise ProviderError(f"cannot remove {path}: {error.strerror}") from None
    return path


def exists(directory: Path, item: Object) -> bool:
    """Whether the object's manifest is there."""
    return manifest_path(directory, item).is_file()
