"""Images by name: looked up on the engine, pulled when they are not there."""

from __future__ import annotations

from typing import Final

from toolchain.offline.plugins.docker.connection import Engine, RefusedError, segment
from toolchain.offline.plugins.docker.container_request import texts
from toolchain.offline.plugins.docker.registries import registry_header
from toolchain.offline.plugins.docker.schema import Field
from toolchain.offline.plugins.docker.settings import RegistryAuth
from toolchain.offline.plugins.provider import ProviderError
from toolchain.offline.plugins.values import Object, as_text

FIELDS: Final[dict[str, Field]] = {
    "name": Field(kind="text", required=True),
    "build": Field(kind="object", unsupported="building images needs the official plugin"),
    "forceRemove": Field(kind="boolean", replaces=False),
    "keepLocally": Field(kind="boolean", replaces=False),
    "platform": Field(kind="text"),
    "pullTriggers": Field(kind="set"),
    "triggers": Field(kind="map"),
}
COMPUTED: Final = ("imageId", "repoDigest")
HUB: Final = "registry-1.docker.io"


def split(name: str) -> tuple[str, str]:
    """Repository, and the digest or else the tag to pull, `latest` when neither is given."""
    repository, _, digest = name.partition("@")
    head, slash, last = repository.rpartition("/")
    last, _, tag = last.partition(":")
    return f"{head}{slash}{last}", digest or tag or "latest"


def registry(name: str) -> str:
    """The registry's host, with its port if it has one."""
    first, slash, _ = name.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else HUB


def inspect(engine: Engine, name: str) -> Object | None:
    """The engine's description of a local image, None when there is none."""
    return engine.found(f"/images/{segment(name)}/json")


def find(engine: Engine, name: str, auths: tuple[RegistryAuth, ...], platform: str) -> Object:
    """The image, pulled when the engine does not have it. ProviderError says why that was not possible."""
    if not name:
        raise ProviderError("empty image name is not allowed")
    found = inspect(engine, name)
    if found is None:
        _pull(engine, name, auths, platform)
        found = inspect(engine, name)
    if found is None:
        raise ProviderError(f"unable to find or pull image {name}")
    return found


def _pull(engine: Engine, name: str, auths: tuple[RegistryAuth, ...], platform: str) -> None:
    if name.startswith("sha256:"):
        raise ProviderError(
            f"unable to pull image {name}: the engine does not have it, and an id cannot be pulled: use a name"
        )
    repository, reference = split(name)
    headers = registry_header(auths, registry(name))
    try:
        events = engine.stream(
            "/images/create", headers, fromImage=repository, tag=reference, platform=platform or None
        )
    except RefusedError as error:
        raise ProviderError(f"unable to pull image {name}: {error}") from None
    problem = next((as_text(event["error"]) for event in events if event.get("error")), "")
    if problem:
        raise ProviderError(f"unable to pull image {name}: {problem}")


def state(live: Object, before: Object) -> Object:
    """The outputs, from the engine's description."""
    name = as_text(before.get("name"))
    return {
        **before,
        "imageId": as_text(live.get("Id")),
        "repoDigest": repo_digest(name, texts(live.get("RepoDigests"))),
    }


def repo_digest(name: str, digests: list[str]) -> str:
    """The digest under which a registry knows the image: the one of the name's repository if there are several."""
    if len(digests) <= 1:
        return digests[0] if digests else ""
    repository, _ = split(name)
    return next((digest for digest in digests if digest.partition("@")[0].endswith(repository)), "")


def identifier(outputs: Object) -> str:
    """The resource's id: the image's id followed by its name, as in the official plugin."""
    return as_text(outputs.get("imageId")) + as_text(outputs.get("name"))


def delete(engine: Engine, outputs: Object) -> None:
    """Remove the name, and the image with its last name, unless it is to be kept."""
    name = as_text(outputs.get("name"))
    if outputs.get("keepLocally") is True or inspect(engine, name) is None:
        return
    try:
        engine.delete(f"/images/{segment(name)}", force=outputs.get("forceRemove") is True)
    except RefusedError as error:
        if error.status != 404:
            raise ProviderError(f"Unable to remove Docker image {name}: {error}") from None
