"""From the values of Immich's official chart (`helm get values`) to the sections of a stack. Pure but for `read`.

The chart: immich-app/immich-charts, charts/immich/values.yaml and templates of 0.9 to 0.12.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import yaml

from components import versions
from components.model.naming import APP
from components.server.app.secrets import SECRET_FIELDS
from toolchain.adopt.choices import BACKENDS, IMPLIED, Adopted, Sections, external_library, release
from toolchain.deployment import Json, items, mapping
from toolchain.failure import ToolchainError

_OWN: Final = frozenset(
    {"DB_HOSTNAME", "DB_PORT", "DB_USERNAME", "DB_PASSWORD", "DB_DATABASE_NAME", "DB_URL"}
)
_MADE: Final = _OWN | {
    *(
        "TZ",
        "IMMICH_LOG_LEVEL",
        "REDIS_HOSTNAME",
        "REDIS_PORT",
        "REDIS_PASSWORD",
        "IMMICH_MACHINE_LEARNING_URL",
    ),
    *("TRANSFORMERS_CACHE", "HF_XET_CACHE", "MPLCONFIGDIR", "IMMICH_CONFIG_FILE", "IMMICH_METRICS"),
}
"""Variables that have a setting, or that this program sets itself."""
_MEDIA: Final = ("/data", "/usr/src/app/upload")
_OF_CLUSTER: Final = ("-app", "-rw")
"""CloudNativePG's Secret of a cluster's owner, and the Service of its primary."""


def read(path: Path) -> Json | None:
    """The values of the official chart in a file; None for a file that has something else, or cannot be read."""
    try:
        document = mapping(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None
    has = "services" not in document and mapping(mapping(document.get("immich")).get("persistence"))
    return document if has else None


def adopt(path: Path, values: Json, namespace: str) -> Adopted:
    """The choices. ToolchainError for what cannot be adopted before the chart itself has moved on."""
    if mapping(values.get("postgresql")).get("enabled"):
        raise ToolchainError(
            f"{path} has postgresql.enabled: the chart's own PostgreSQL (pgvecto.rs) ended with chart 0.10. Move "
            "its database into a PostgreSQL with VectorChord first, as the notes of 0.10.0 say, then run this again"
        )
    found = Adopted(
        sections={"kubernetes": {"target": "cluster", "namespace": namespace, "createNamespace": False}},
        server="immich-server",
    )
    found.reasons["kubernetes",] = (
        "The namespace of the release, where its claim is. The chart goes first: its objects have the names of this "
        "stack's, and selectors that cannot be changed."
    )
    server = mapping(values.get("server"))
    environment = {**_environment(values), **_environment(server)}
    tag = _image(server) or _image(values)
    if tag:
        release(found, tag, f"{path.name}")
    else:
        reason = "The values name no release: write the one that runs (kubectl get deployment -o wide)."
        found.say(versions.NEWEST, reason, "server", "version")
    _way_in(found, server)
    _storage(found, values, server)
    _learning(found, values)
    _database(found, environment, namespace)
    _configuration(found, mapping(values.get("immich")))
    _rest(found, values, environment)
    return found


def _main(part: Json) -> Json:
    """The one container of a part, as charts since 0.10 have it; older ones have its keys at the top."""
    container = mapping(
        mapping(mapping(mapping(part.get("controllers")).get("main")).get("containers")).get("main")
    )
    return container or part


def _image(part: Json) -> str:
    tag = mapping(_main(part).get("image")).get("tag")
    return str(tag).partition("@")[0] if tag else ""


def _environment(part: Json) -> dict[str, object]:
    """Name -> text, or the reference to a Secret's entry."""
    given = _main(part).get("env")
    if listed := [mapping(one) for one in items(given)]:
        return {str(one.get("name")): one.get("value", one.get("valueFrom")) for one in listed}
    found: dict[str, object] = {}
    for name, value in mapping(given).items():
        inner = mapping(value)
        found[name] = inner.get("value", inner.get("valueFrom", inner)) if inner else value
    return found


def _entry(value: object) -> tuple[str, str] | None:
    reference = mapping(mapping(value).get("secretKeyRef"))
    return (str(reference["name"]), str(reference.get("key"))) if reference.get("name") else None


def _way_in(found: Adopted, server: Json) -> None:
    ingress = mapping(mapping(server.get("ingress")).get("main"))
    hosts = [str(mapping(one).get("host")) for one in items(ingress.get("hosts"))]
    if not ingress.get("enabled") or not hosts:
        found.say("photos.example.com", "Write the name that people come by.", "host", "name")
        found.say([{"kind": "clusterIp"}], "The values open no way in: docs/doors.md.", "proxy", "expose")
        return
    found.say(hosts[0], "The chart's ingress.", "host", "name")
    if hosts[1:]:
        found.say(hosts[1:], "", "host", "aliases")
    name = str(ingress.get("className") or "nginx")
    namespace = "traefik" if "traefik" in name else "ingress-nginx"
    way: Sections = {"kind": "ingress", "className": name, "controllerNamespace": namespace}
    secrets = [
        str(mapping(one).get("secretName"))
        for one in items(ingress.get("tls"))
        if mapping(one).get("secretName")
    ]
    if secrets:
        way["tlsSecret"] = secrets[0]
    else:
        found.say(False, "The chart's ingress has no certificate.", "host", "https")
    reason = "The chart's ingress. controllerNamespace must be that of the controller's pods."
    found.say([way], reason, "proxy", "expose")
    if annotations := mapping(ingress.get("annotations")):
        found.left.append(
            f"annotations of the ingress ({', '.join(annotations)}): those for size and time of uploads are set by "
            "this program, others go into proxy.expose[0].annotations"
        )


def _storage(found: Adopted, values: Json, server: Json) -> None:
    library = mapping(mapping(mapping(values.get("immich")).get("persistence")).get("library"))
    claim = library.get("existingClaim")
    if not claim:
        raise ToolchainError(
            "the values have no immich.persistence.library.existingClaim: which claim has the photos cannot be told. "
            "Print the values with helm get values RELEASE -a"
        )
    source = {"kind": "existingClaim", "claimName": str(claim), "accessMode": "ReadWriteOnce"}
    reason = (
        "The claim of the photos, adopted as it is: this program neither copies nor removes it. accessMode is what "
        f"kubectl get pvc {claim} shows; ReadWriteOnce keeps all pods on one node."
    )
    found.say(source, reason, "storage", "media")
    libraries: list[Sections] = []
    for name, value in mapping(server.get("persistence")).items():
        part = mapping(value)
        if part.get("enabled") is False or name in {"data", "library", "config"}:
            continue
        source = _source(part)
        target = next(iter(_targets(part)), f"/{name}")
        if source is None or target.startswith(_MEDIA):
            found.left.append(
                f"server.persistence.{name} ({part.get('type', 'persistentVolumeClaim')} at {target})"
            )
            continue
        libraries.append(external_library(name, target, source, read_only=_read_only(part)))
    found.say_libraries(libraries)


def _source(part: Json) -> Sections | None:
    if claim := part.get("existingClaim"):
        return {"kind": "existingClaim", "claimName": str(claim), "accessMode": "ReadWriteOnce"}
    match part.get("type"):
        case "nfs":
            return {"kind": "nfs", "server": str(part.get("server")), "path": str(part.get("path"))}
        case "hostPath":
            return {"kind": "hostPath", "path": str(part.get("hostPath"))}
        case _:
            return None


def _mounts(part: Json) -> Iterator[Json]:
    yield from (mapping(one) for one in items(part.get("globalMounts")))
    for controller in mapping(part.get("advancedMounts")).values():
        for mounts in mapping(controller).values():
            yield from (mapping(one) for one in items(mounts))
    if part.get("mountPath"):
        yield {"path": part["mountPath"], "readOnly": part.get("readOnly")}


def _targets(part: Json) -> Iterator[str]:
    yield from (str(one["path"]).rstrip("/") for one in _mounts(part) if one.get("path"))


def _read_only(part: Json) -> bool:
    return all(one.get("readOnly") is True for one in _mounts(part))


def _learning(found: Adopted, values: Json) -> None:
    learning = mapping(values.get("machine-learning"))
    if learning.get("enabled") is False:
        found.sections["machineLearning"] = {"kind": "off"}
        found.reasons["machineLearning",] = "machine-learning.enabled is false."
        return
    backend = _image(learning).rpartition("-")[2]
    if backend in BACKENDS:
        found.say(backend, "The image's tag.", "machineLearning", "backend")
    found.left.append("the cache of models: they are downloaded again")


def _database(found: Adopted, environment: Mapping[str, object], namespace: str) -> None:
    """It stays where it is; what comes from a Secret comes from that Secret again."""
    host = environment.get("DB_HOSTNAME")
    entry = _entry(host) or _entry(environment.get("DB_URL"))
    if entry is not None:
        if not entry[0].endswith(_OF_CLUSTER[0]):
            raise ToolchainError(
                f"DB_HOSTNAME comes from the Secret {entry[0]}: write its value into a copy of the values "
                f"(kubectl -n {namespace} get secret {entry[0]} -o yaml), then run this again"
            )
        host = entry[0].removesuffix(_OF_CLUSTER[0]) + _OF_CLUSTER[1]
    if not isinstance(host, str) or "{{" in host:
        raise ToolchainError(
            "the values have no DB_HOSTNAME: print all of them with helm get values RELEASE -a"
        )
    section: Sections = {"kind": "external", "host": host}
    port = environment.get("DB_PORT")
    if isinstance(port, int) or (isinstance(port, str) and port.isdecimal()):
        section["port"] = int(port)
    found.sections["database"] = section
    found.reasons["database",] = "It stays where it is: nothing is copied, and this program never removes it."
    for variable, key in (("DB_DATABASE_NAME", "name"), ("DB_USERNAME", "user")):
        value = environment.get(variable)
        if isinstance(value, str) and "{{" not in value:
            section[key] = value
        elif (named := _entry(value) or entry) is not None:
            found.say(
                "immich", f"Look: kubectl -n {namespace} get secret {named[0]} -o yaml", "database", key
            )
    password = _entry(environment.get("DB_PASSWORD")) or ((entry[0], "password") if entry else None)
    if password is not None:
        found.say(
            {"name": password[0], "key": password[1]},
            "The Secret that the chart's pods read: no value passes through Pulumi.",
            *("secrets", "existing", "databasePassword"),
        )
    else:
        found.left.append(
            "the database's password: pulumi config set --secret immich:databasePassword, or name its Secret in "
            "immich:secrets.existing"
        )
    found.left.append(
        "backups: immich:backup needs immich:database.postgres, the major version of the server (docs/backups.md)"
    )
    if "." not in host or host.split(".")[1] == namespace:
        found.say(
            "none",
            "The database is in this namespace, whose default deny would cut it off. Better a namespace of its own.",
            *("kubernetes", "networkPolicies"),
        )


def _configuration(found: Adopted, immich: Json) -> None:
    if immich.get("existingConfiguration"):
        found.left.append(
            f"Immich's configuration in {immich['existingConfiguration']}: immich:app takes its keys"
        )
    given = mapping(immich.get("configuration"))
    if not given:
        return
    for path, told in (
        *((path, f"pulumi config set --secret immich:{key}") for key, path in SECRET_FIELDS.items()),
        *((path, f"follows from immich:{section}") for path, section in IMPLIED.items()),
    ):
        here = given
        for name in path[:-1]:
            here = mapping(here.get(name))
        if here.pop(path[-1], None) is not None:
            found.left.append(f"immich.configuration.{'.'.join(path)}: {told}")
    found.sections["app"] = given
    found.reasons["app",] = "immich.configuration, without its secrets."


def _rest(found: Adopted, values: Json, environment: Mapping[str, object]) -> None:
    if mapping(mapping(values.get("immich")).get("metrics")).get("enabled"):
        found.say(True, "immich.metrics.enabled.", "server", "metrics", "enabled")
        found.left.append(
            "ServiceMonitors and dashboards: immich:monitoring.kind operator, with kubernetes.monitoringNamespace"
        )
    for variable, key in (("TZ", "timezone"), ("IMMICH_LOG_LEVEL", "logLevel")):
        value = environment.get(variable)
        if isinstance(value, str):
            found.say(value, f"{variable}.", "server", key)
    if isinstance(redis := environment.get("REDIS_HOSTNAME"), str) and "{{" not in redis and APP not in redis:
        found.left.append(
            f"the cache at {redis}: this stack has one of its own; jobs that wait there are lost"
        )
    else:
        found.left.append("jobs that wait in the chart's cache: let them end first")
    if others := sorted(name for name in environment if name not in _MADE):
        found.left.append(f"variables {', '.join(others)}: docs/settings.md says which setting has them")
    for part in ("server", "machine-learning"):
        if _main(mapping(values.get(part))).get("resources"):
            found.left.append(f"resources of {part}: immich:{part.replace('-l', 'L')}.resources")
