"""Which versions there are: images, the supported releases of Immich and what differs between them.

Pure: no Pulumi. Digests are in image_digests.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from components.image_digests import DIGESTS
from components.model.values import ImageRef

# renovate: datasource=docker depName=ghcr.io/immich-app/immich-server
NEWEST: Final = "3.3.1"
"""The newest release of Immich that this program knows."""
# renovate: datasource=docker depName=docker.io/valkey/valkey
VALKEY: Final = "9.1.2"
# renovate: datasource=docker depName=docker.io/nginxinc/nginx-unprivileged
NGINX: Final = "1.31.6-alpine"
# renovate: datasource=docker depName=docker.io/nginx/nginx-prometheus-exporter
NGINX_EXPORTER: Final = "1.5.1"
# renovate: datasource=docker depName=docker.io/cloudflare/cloudflared
CLOUDFLARED: Final = "2026.10.0"

# renovate: datasource=docker depName=docker.io/certbot/dns-cloudflare
CERTBOT: Final = "v5.7.0"
# renovate: datasource=docker depName=docker.io/library/busybox
BUSYBOX: Final = "1.37.0"
# renovate: datasource=docker depName=docker.io/restic/restic
RESTIC: Final = "0.19.1"
# renovate: datasource=docker depName=docker.io/rclone/rclone
RCLONE: Final = "1.74.0"
# renovate: datasource=docker depName=docker.io/prom/prometheus
PROMETHEUS: Final = "v3.15.0"
# renovate: datasource=docker depName=docker.io/prom/alertmanager
ALERTMANAGER: Final = "v0.34.1"
# renovate: datasource=docker depName=docker.io/grafana/grafana
GRAFANA: Final = "13.2.3"
# renovate: datasource=docker depName=docker.io/prom/node-exporter
NODE_EXPORTER: Final = "v1.12.1"
# renovate: datasource=docker depName=docker.io/prom/blackbox-exporter
BLACKBOX_EXPORTER: Final = "v0.28.0"
# renovate: datasource=docker depName=quay.io/prometheuscommunity/postgres-exporter
POSTGRES_EXPORTER: Final = "v0.20.1"
# renovate: datasource=docker depName=quay.io/martinhelmich/prometheus-nginxlog-exporter
ACCESS_LOG_EXPORTER: Final = "v1.11.0"
# renovate: datasource=docker depName=docker.io/oliver006/redis_exporter
VALKEY_EXPORTER: Final = "v1.91.1"
# renovate: datasource=docker depName=nvcr.io/nvidia/k8s/dcgm-exporter
DCGM_EXPORTER: Final = "4.5.3-4.8.2-distroless"

_SERVER: Final = "ghcr.io/immich-app/immich-server"
_MACHINE_LEARNING: Final = "ghcr.io/immich-app/immich-machine-learning"
_CNPG: Final = "ghcr.io/tensorchord/cloudnative-vectorchord"
_POSTGRES: Final = "ghcr.io/immich-app/postgres"

SUPPORTED_TEXT: Final = "2.5.0 to 3.x"

_BUNDLED: Mapping[tuple[str, str], str] = {
    ("14", "0.4.3"): "14-vectorchord0.4.3-pgvectors0.2.0",
    ("14", "0.5.3"): "14-vectorchord0.5.3",
    ("16", "0.4.3"): "16-vectorchord0.4.3-pgvectors0.2.0",
    ("17", "0.4.3"): "17-vectorchord0.4.3",
    ("17", "0.5.3"): "17-vectorchord0.5.3",
    ("18", "0.5.3"): "18-vectorchord0.5.3",
    ("18", "1.1.1"): "18-vectorchord1.1.1",
}
"""PostgreSQL and VectorChord -> tag of Immich's own image."""

Version = tuple[int, int, int]


def parse(version: str) -> Version:
    """`3.3.1` -> (3, 3, 1). Raises `ValueError` for anything else."""
    major, minor, patch = (int(part) for part in version.split("."))
    return major, minor, patch


def is_supported(version: str) -> bool:
    """Whether this program knows what the release needs."""
    return (2, 5, 0) <= parse(version) < (4, 0, 0)


def pinned(repository: str, tag: str) -> ImageRef:
    """The image with its digest, or without where none was read."""
    digest = DIGESTS.get(repository, {}).get(tag)
    return ImageRef(f"{repository}:{tag}@{digest}" if digest else f"{repository}:{tag}")


def server_image(version: str) -> ImageRef:
    """Image of the server."""
    return pinned(_SERVER, f"v{version}")


def machine_learning_image(version: str, backend: str) -> ImageRef:
    """Image of machine learning at the server's version; backends other than cpu have a suffix."""
    return pinned(_MACHINE_LEARNING, f"v{version}" if backend == "cpu" else f"v{version}-{backend}")


def valkey_image() -> ImageRef:
    """Image of the cache."""
    return pinned("docker.io/valkey/valkey", VALKEY)


def nginx_image() -> ImageRef:
    """Image of the proxy."""
    return pinned("docker.io/nginxinc/nginx-unprivileged", NGINX)


def nginx_exporter_image() -> ImageRef:
    """Image of the exporter beside the proxy."""
    return pinned("docker.io/nginx/nginx-prometheus-exporter", NGINX_EXPORTER)


def cloudflared_image() -> ImageRef:
    """Image of a tunnel's connector."""
    return pinned("docker.io/cloudflare/cloudflared", CLOUDFLARED)


def certbot_image() -> ImageRef:
    """Image of what keeps certificates: certbot with the challenge by Cloudflare's DNS."""
    return pinned("docker.io/certbot/dns-cloudflare", CERTBOT)


def busybox_image() -> ImageRef:
    """Image that puts files into volumes on one host."""
    return pinned("docker.io/library/busybox", BUSYBOX)


def restic_image() -> ImageRef:
    """Image that copies files, encrypted."""
    return pinned("docker.io/restic/restic", RESTIC)


def rclone_image() -> ImageRef:
    """Image that reaches what restic does not by itself."""
    return pinned("docker.io/rclone/rclone", RCLONE)


_MONITORING: Mapping[str, tuple[str, str]] = {
    "prometheus": ("docker.io/prom/prometheus", PROMETHEUS),
    "alertmanager": ("docker.io/prom/alertmanager", ALERTMANAGER),
    "grafana": ("docker.io/grafana/grafana", GRAFANA),
    "volumes": ("docker.io/prom/node-exporter", NODE_EXPORTER),
    "doors": ("docker.io/prom/blackbox-exporter", BLACKBOX_EXPORTER),
    "postgres": ("quay.io/prometheuscommunity/postgres-exporter", POSTGRES_EXPORTER),
    "valkey": ("docker.io/oliver006/redis_exporter", VALKEY_EXPORTER),
    # Its tag for every architecture is at quay.io alone (.goreleaser.yml of v1.11.0).
    "access-log": ("quay.io/martinhelmich/prometheus-nginxlog-exporter", ACCESS_LOG_EXPORTER),
    "gpu": ("nvcr.io/nvidia/k8s/dcgm-exporter", DCGM_EXPORTER),
}


def monitoring_image(part: str) -> ImageRef:
    """Image of a part of monitoring: prometheus, alertmanager, grafana, or the exporter of volumes, doors, postgres,
    valkey, access-log, gpu.
    """
    return pinned(*_MONITORING[part])


def client_image(postgres: int, vectorchord: str | None = None) -> ImageRef:
    """Image with PostgreSQL's programs of a major version, and VectorChord to load a dump into; where there is one with
    that VectorChord, it is taken. Raises `ValueError` where the table has none of that major version.
    """
    images = {pair: image for pair, image in database_images("bundled").items() if pair[0] == str(postgres)}
    if not images:
        raise ValueError(f"no image of PostgreSQL {postgres} is in the table")
    if vectorchord is not None and (str(postgres), vectorchord) in images:
        return images[str(postgres), vectorchord]
    return images[max(images, key=lambda pair: tuple(int(part) for part in pair[1].split(".")))]


def database_images(flavour: str) -> dict[tuple[str, str], ImageRef]:
    """PostgreSQL and VectorChord -> image, for `bundled` or `cloudnative-pg`."""
    if flavour == "bundled":
        return {pair: pinned(_POSTGRES, tag) for pair, tag in _BUNDLED.items()}
    tags = (tuple(tag.split("-", 1)) for tag in DIGESTS[_CNPG])
    return {
        (postgres, vectorchord): pinned(_CNPG, f"{postgres}-{vectorchord}") for postgres, vectorchord in tags
    }


def postgres_accepted(version: str, major: int) -> bool:
    """Whether Immich starts on, and can dump, this major version of PostgreSQL (constants.ts, base-images)."""
    del version
    return 14 <= major < 19


def postgres_range(version: str) -> str:
    """The range of `postgres_accepted`, for people."""
    return f"Immich {version} accepts PostgreSQL 14 to 18"


VECTORCHORD_RANGE: Final = ">=0.3 <2"
"""VectorChord versions that every supported Immich accepts (its source, 2.5.0 to 3.0.3)."""


def vectorchord_accepted(vectorchord: str) -> bool:
    """Whether Immich starts on this VectorChord; anything that is no version is not accepted."""
    try:
        numbers = tuple(int(part) for part in vectorchord.split("."))
    except ValueError:
        return False
    return (0, 3) <= numbers < (2,)


def machine_learning_writes_home(version: str) -> bool:
    """Whether a non-root machine learning writes to `/.cache` and `/.config` (up to 3.1.0, commit 161e15ee2)."""
    return parse(version) <= (3, 1, 0)
