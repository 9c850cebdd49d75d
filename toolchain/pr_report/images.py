"""Container images whose version changes, and where to read what is new in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from toolchain.deployment import Json, items, mapping
from toolchain.pr_report.events import Step

_KEYS: Final = frozenset({"image", "imageName"})
_REMOTE_IMAGE: Final = "docker:index/remoteImage:RemoteImage"
_REFERENCE: Final = re.compile(
    r"(?P<repository>[a-z0-9][\w.-]*(:\d+)?(/[a-z0-9][\w.-]*)+)(:(?P<tag>[\w][\w.-]{0,127}))?"
    r"(@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_NUMBERS: Final = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?!\d)")
_IMMICH: Final = frozenset({"ghcr.io/immich-app/immich-server", "ghcr.io/immich-app/immich-machine-learning"})
_GITHUB: Final = "https://github.com"
_RELEASES: Final = {
    "docker.io/valkey/valkey": f"{_GITHUB}/valkey-io/valkey/releases/tag/{{}}.{{}}.{{}}",
    "docker.io/nginxinc/nginx-unprivileged": f"{_GITHUB}/nginx/nginx/releases/tag/release-{{}}.{{}}.{{}}",
    "docker.io/nginx/nginx-prometheus-exporter": (
        f"{_GITHUB}/nginx/nginx-prometheus-exporter/releases/tag/v{{}}.{{}}.{{}}"
    ),
    "docker.io/cloudflare/cloudflared": f"{_GITHUB}/cloudflare/cloudflared/releases/tag/{{}}.{{}}.{{}}",
    "docker.io/certbot/dns-cloudflare": f"{_GITHUB}/certbot/certbot/releases/tag/v{{}}.{{}}.{{}}",
} | dict.fromkeys(_IMMICH, f"{_GITHUB}/immich-app/immich/releases/tag/v{{}}.{{}}.{{}}")
"""Repository of an image -> address of the notes of a release, by its three numbers."""
_PAGES: Final = {
    "ghcr.io/immich-app/postgres": f"{_GITHUB}/immich-app/base-images",
    "docker.io/library/busybox": "https://busybox.net/news.html",
}


@dataclass(frozen=True, slots=True)
class Image:
    """What a container is made from."""

    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def version(self) -> str:
        """Tag, and the beginning of the digest: what a person compares."""
        short = self.digest.removeprefix("sha256:")[:12]
        return " ".join(part for part in (self.tag or "no tag", short and f"({short})") if part)

    @property
    def numbers(self) -> tuple[int, int, int] | None:
        """The version in its tag; None when it has no three numbers."""
        found = _NUMBERS.match(self.tag)
        return (int(found[1]), int(found[2]), int(found[3])) if found else None


@dataclass(frozen=True, slots=True)
class Change:
    """One repository before and after."""

    repository: str
    before: tuple[Image, ...]
    after: tuple[Image, ...]

    @property
    def links(self) -> list[str]:
        """Addresses of what is new, one for each version that was not there before."""
        old = {image.tag for image in self.before}
        return list(dict.fromkeys(link for one in self.after if one.tag not in old and (link := notes(one))))

    @property
    def downgrade(self) -> bool:
        """Whether Immich would go back to an earlier release, which it does not support."""
        old = [number for one in self.before if (number := one.numbers)]
        new = [number for one in self.after if (number := one.numbers)]
        return self.repository in _IMMICH and bool(old and new) and min(new) < max(old)


def parse(text: str) -> Image | None:
    """An image reference with a registry or an owner; None for other texts, such as the id of an image."""
    found = _REFERENCE.fullmatch(text)
    if found is None:
        return None
    repository = found["repository"]
    if "." not in repository.split("/")[0] and ":" not in repository.split("/")[0]:
        repository = f"docker.io/{repository}"
    return Image(repository, found["tag"] or "", found["digest"] or "")


def notes(image: Image) -> str:
    """Address of the release's notes, else of the image's source; empty where neither is known."""
    template, numbers = _RELEASES.get(image.repository), image.numbers
    if template and numbers:
        return template.format(*numbers)
    if image.repository in _PAGES:
        return _PAGES[image.repository]
    registry, _, path = image.repository.partition("/")
    owner_and_name = "/".join(path.split("/")[:2])
    if registry == "ghcr.io":
        return f"{_GITHUB}/{owner_and_name}"
    if registry == "docker.io":
        official = path.startswith("library/")
        return f"https://hub.docker.com/{'_' if official else 'r'}/{path.removeprefix('library/')}"
    return ""


def changes(steps: Iterable[Step]) -> list[Change]:
    """Repositories whose tags or digests differ, by name. Images of resources that stay are not looked at."""
    before: dict[str, set[Image]] = {}
    after: dict[str, set[Image]] = {}
    for step in steps:
        for state, found in ((step.old, before), (step.new, after)):
            for image in _images(step.type, mapping(state.get("inputs"))):
                found.setdefault(image.repository, set()).add(image)
    return [
        Change(name, _sorted(before.get(name, set())), _sorted(after.get(name, set())))
        for name in sorted({*before, *after})
        if before.get(name, set()) != after.get(name, set())
    ]


def _sorted(found: Iterable[Image]) -> tuple[Image, ...]:
    return tuple(sorted(found, key=lambda one: (one.tag, one.digest)))


def _images(kind: str, inputs: Json) -> Iterator[Image]:
    if kind == _REMOTE_IMAGE:
        name = inputs.get("name")
        if isinstance(name, str) and (image := parse(name)):
            yield image
        return
    yield from _inside(inputs)


def _inside(value: object) -> Iterator[Image]:
    for key, inner in mapping(value).items():
        if key in _KEYS and isinstance(inner, str):
            if image := parse(inner):
                yield image
        else:
            yield from _inside(inner)
    for inner in items(value):
        yield from _inside(inner)
