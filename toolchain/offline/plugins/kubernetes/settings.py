"""The provider's own settings: names and meaning as in pulumi-kubernetes 4.34."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from toolchain.offline.plugins.provider import Diff, Failure, ProviderError
from toolchain.offline.plugins.structural import compare
from toolchain.offline.plugins.values import Object, Unknown, Value, as_object, as_text, dig, plain, reveal

_RENDER_CONFLICTS = ("cluster", "context", "kubeconfig")


def _text(settings: Mapping[str, Value], key: str) -> str:
    """A setting as text: a string is itself, an object (a kubeconfig given as one) is JSON."""
    value = reveal(settings.get(key))
    if value is None or isinstance(value, Unknown):
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _flag(settings: Mapping[str, Value], key: str, environment: str = "") -> bool:
    """A boolean setting, which the SDKs send as the JSON text `true` or `false`."""
    value = _text(settings, key) or (os.environ.get(environment, "") if environment else "")
    if value.lower() in ("", "false", "0"):
        return False
    if value.lower() in ("true", "1"):
        return True
    raise ProviderError(f"kubernetes provider: {key} must be true or false, not {value!r}")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the provider was configured with.

    `kubeconfig` is the contents of a file or its path, "" for KUBECONFIG and then ~/.kube/config.
    `render_directory` is None for a live cluster. `namespace` is used for objects that name none.
    """

    kubeconfig: str = ""
    context: str = ""
    cluster: str = ""
    namespace: str = ""
    render_directory: Path | None = None
    always_render: bool = False
    config_map_mutable: bool = False
    secret_mutable: bool = False
    patch_force: bool = False
    upsert: bool = False
    delete_unreachable: bool = False
    skip_unreachable: bool = False

    @classmethod
    def read(cls, given: Mapping[str, Value], root: Path) -> Settings:
        """The settings as the engine sends them; a relative render directory starts at `root`.

        Raises ProviderError when a flag is not true or false, or when client-side apply is asked for.
        """
        directory = _text(given, "renderYamlToDirectory")
        if _text(given, "enableServerSideApply").lower() == "false":
            raise ProviderError(
                "kubernetes provider: enableServerSideApply false is not in the offline plugin, which always "
                "uses "
                "server-side apply: remove the setting or use the official plugin"
            )
        return cls(
            kubeconfig=_text(given, "kubeconfig"),
            context=_text(given, "context"),
            cluster=_text(given, "cluster"),
            namespace=_text(given, "namespace"),
            render_directory=root / directory if directory else None,
            always_render=_flag(given, "alwaysRender"),
            config_map_mutable=_flag(given, "enableConfigMapMutable", "PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE"),
            secret_mutable=_flag(given, "enableSecretMutable", "PULUMI_K8S_ENABLE_SECRET_MUTABLE"),
            patch_force=_flag(given, "enablePatchForce", "PULUMI_K8S_ENABLE_PATCH_FORCE"),
            upsert=_flag(given, "upsertExistingObjects"),
            delete_unreachable=_flag(given, "deleteUnreachable", "PULUMI_K8S_DELETE_UNREACHABLE"),
            skip_unreachable=_flag(given, "skipUpdateUnreachable", "PULUMI_K8S_SKIP_UPDATE_UNREACHABLE"),
        )


def check_settings(given: Object) -> list[Failure]:
    """Settings that exclude each other."""
    if not _text(given, "renderYamlToDirectory"):
        if _flag(given, "alwaysRender"):
            return [
                Failure(
                    property="alwaysRender",
                    reason='"alwaysRender" requires "renderYamlToDirectory" to be set',
                )
            ]
        return []
    return [
        Failure(property=key, reason=f'"{key}" arg is not compatible with "renderYamlToDirectory" arg')
        for key in _RENDER_CONFLICTS
        # The SDK fills in kubeconfig from KUBECONFIG by itself, which is no wish of the program's.
        if _text(given, key)
        and not (key == "kubeconfig" and _text(given, key) == os.environ.get("KUBECONFIG"))
    ]


def kubeconfig_document(kubeconfig: str) -> Object:
    """The kubeconfig of the setting, of KUBECONFIG, or of ~/.kube/config, in this order.

    Raises ProviderError that says which file is missing or is not a kubeconfig.
    """
    if "\n" in kubeconfig or kubeconfig.lstrip().startswith("{"):
        return _parsed(kubeconfig, "the provider's kubeconfig setting")
    given = (
        [kubeconfig]
        if kubeconfig
        else [part for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    )
    paths = [Path(part).expanduser() for part in given] or [Path.home() / ".kube" / "config"]
    # As kubectl does: of several files the missing ones do not matter, and the first to name something wins.
    present = [path for path in paths if path.exists()] or paths
    return _merged([_read(path) for path in present])


def _read(path: Path) -> Object:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ProviderError(
            f"cannot read the kubeconfig {path}: {error.strerror}. Set KUBECONFIG or the provider's "
            f"kubeconfig to a "
            "readable file, or set renderYamlToDirectory to render manifests without a cluster"
        ) from None
    return as_object(_absolute(_parsed(text, f"the kubeconfig {path}"), path.parent))


def _parsed(text: str, origin: str) -> Object:
    import yaml

    try:
        document = plain(yaml.safe_load(text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark is not None else ""
        raise ProviderError(f"{origin} is not YAML{where}") from None
    if not isinstance(document, dict) or not isinstance(document.get("clusters"), list):
        raise ProviderError(f"{origin} is not a kubeconfig: it has no list 'clusters'")
    return document


_FILE_KEYS = frozenset({"certificate-authority", "client-certificate", "client-key", "tokenFile"})


def _absolute(value: Value, folder: Path, key: str = "") -> Value:
    """The kubeconfig with file names that are relative to its folder made absolute."""
    if isinstance(value, dict):
        return {name: _absolute(element, folder, name) for name, element in value.items()}
    if isinstance(value, list):
        return [_absolute(element, folder) for element in value]
    return str(folder.absolute() / value) if key in _FILE_KEYS and isinstance(value, str) else value


def _merged(documents: list[Object]) -> Object:
    merged = dict(documents[0])
    for document in documents[1:]:
        merged.setdefault("current-context", document.get("current-context"))
        for section in ("clusters", "contexts", "users"):
            have, more = merged.get(section), document.get(section)
            entries = list(have) if isinstance(have, list) else []
            names = {as_text(as_object(entry).get("name")) for entry in entries}
            entries += [
                e for e in (more if isinstance(more, list) else []) if as_object(e).get("name") not in names
            ]
            merged[section] = entries
    return merged


def _active_cluster(settings: Object) -> Value:
    """The cluster entry that the settings select, or None where that cannot be told."""
    try:
        document = kubeconfig_document(_text(settings, "kubeconfig"))
    except ProviderError:
        return None
    context = _text(settings, "context") or as_text(document.get("current-context"))
    name = _text(settings, "cluster") or as_text(
        dig(_entry(document, "contexts", context), "context", "cluster")
    )
    return _entry(document, "clusters", name)


def _entry(document: Object, section: str, name: str) -> Value:
    entries = document.get(section)
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and entry.get("name") == name:
            return entry
    return None


def diff_settings(olds: Object, news: Object) -> Diff:
    """Which changes of settings mean another cluster, so that every object must be made anew there.

    A changed `clusterIdentifier` does; an unchanged one says that it is the same cluster whatever else
    changed. Without one, a change of the active kubeconfig cluster does. A new render directory always does.
    """
    identifier = "clusterIdentifier"
    before, after = _text(olds, identifier), _text(news, identifier)
    same_cluster = bool(after) and before == after
    replacing = {"renderYamlToDirectory"}
    if before and after and before != after:
        replacing.add(identifier)
    kubeconfig_unknown = any(isinstance(news.get(key), Unknown) for key in _RENDER_CONFLICTS)
    old_cluster, new_cluster = _active_cluster(olds), _active_cluster(news)
    if kubeconfig_unknown or (None not in (old_cluster, new_cluster) and old_cluster != new_cluster):
        replacing.update(_RENDER_CONFLICTS)
    if same_cluster:
        replacing.clear()
    return Diff(changes=compare(olds, news, lambda path: path.split(".")[0] in replacing))
