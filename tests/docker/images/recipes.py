"""What each image is made of. A folder of the same name has its Dockerfile and files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from components import versions
from tests.docker.images.packages import Base

HERE: Final = Path(__file__).parent
_SHELL: Final = ("bash", "coreutils", "dash", "findutils", "grep", "sed", "libc-bin", "mawk")
_PYTHON: Final = Base((*_SHELL, "python3", "python3-psycopg2", "python3-redis", "tini"))


@dataclass(frozen=True)
class Recipe:
    """One image."""

    base: Base
    tag: str
    """Its usual name."""
    real: str
    """What stands there with IMMICH_REAL_IMAGES=1; empty where there is nothing of the kind."""
    shared: Mapping[str, Path] = field(default_factory=dict[str, Path])
    """Files from elsewhere in this repository, by their name in the build context."""

    def __hash__(self) -> int:
        return hash(self.tag)


def _exporter(package: str, *, asks_itself: bool) -> Base:
    """Debian's program; `asks_itself` where the real image has wget to check itself with."""
    return Base((*_SHELL, package, "busybox-static")) if asks_itself else Base((package,))


_POSTGRES: Final = str(versions.database_images("bundled")["14", "0.4.3"])

RECIPES: Final[Mapping[str, Recipe]] = {
    "postgres": Recipe(
        # The last three are what the real one has beside PostgreSQL, and dumps and restores need.
        Base((*_SHELL, "postgresql", "zstd", "libnss-wrapper", "util-linux")),
        "immich-standin/postgres:14-vectorchord0.4.3",
        _POSTGRES,
    ),
    "valkey": Recipe(
        Base((*_SHELL, "redis-server")), "immich-standin/valkey:9", str(versions.valkey_image())
    ),
    "nginx": Recipe(
        Base((*_SHELL, "nginx", "curl", "busybox-static")), "nginx-debian:1.22.1", str(versions.nginx_image())
    ),
    "server": Recipe(
        _PYTHON,
        f"immich-standin/server:v{versions.NEWEST}",
        str(versions.server_image(versions.NEWEST)),
        {"proxy_addr.py": HERE.parents[1] / "edge" / "proxy_addr.py"},
    ),
    "machine-learning": Recipe(
        _PYTHON,
        f"immich-standin/machine-learning:v{versions.NEWEST}",
        str(versions.machine_learning_image(versions.NEWEST, "cpu")),
    ),
    "busybox": Recipe(Base(("busybox-static",)), "busybox-debian:1.35", "docker.io/library/busybox:1.37"),
    "cloudflared": Recipe(
        _PYTHON, f"cloudflared-standin:{versions.CLOUDFLARED}", str(versions.cloudflared_image())
    ),
    "certbot": Recipe(
        Base((*_SHELL, "certbot", "python3-certbot-dns-cloudflare", "openssl", "diffutils")),
        "certbot-debian:2.1",
        "docker.io/certbot/dns-cloudflare:v2.11.0",
    ),
    # Like the real one: busybox and no other shell, with what time zones of schedules need; of the last two packages
    # only flock and nice are left.
    "restic": Recipe(
        Base(("busybox-static", "restic", "tzdata", "ca-certificates", "coreutils", "util-linux")),
        "restic-debian:0.14",
        str(versions.restic_image()),
    ),
    "rclone": Recipe(
        Base(("busybox-static", "rclone", "ca-certificates")),
        "rclone-debian:1.60",
        str(versions.rclone_image()),
    ),
    "prometheus": Recipe(
        _exporter("prometheus", asks_itself=True),
        "prometheus-debian:2.42",
        str(versions.monitoring_image("prometheus")),
    ),
    "alertmanager": Recipe(
        _exporter("prometheus-alertmanager", asks_itself=True),
        "alertmanager-debian:0.25",
        str(versions.monitoring_image("alertmanager")),
    ),
    "volume-exporter": Recipe(
        _exporter("prometheus-node-exporter", asks_itself=True),
        "node-exporter-debian:1.5",
        str(versions.monitoring_image("volumes")),
    ),
    "door-exporter": Recipe(
        _exporter("prometheus-blackbox-exporter", asks_itself=True),
        "blackbox-exporter-debian:0.23",
        str(versions.monitoring_image("doors")),
    ),
    "postgres-exporter": Recipe(
        _exporter("prometheus-postgres-exporter", asks_itself=True),
        "postgres-exporter-debian:0.11",
        str(versions.monitoring_image("postgres")),
    ),
    "valkey-exporter": Recipe(
        _exporter("prometheus-redis-exporter", asks_itself=False),
        "redis-exporter-debian:1.45",
        str(versions.monitoring_image("valkey")),
    ),
    "nginx-exporter": Recipe(
        _exporter("prometheus-nginx-exporter", asks_itself=False),
        "nginx-exporter-debian:0.11",
        str(versions.nginx_exporter_image()),
    ),
    "grafana": Recipe(
        Base((*_SHELL, "python3", "python3-yaml", "tini", "busybox-static")),
        "grafana-standin:13",
        str(versions.monitoring_image("grafana")),
    ),
}
