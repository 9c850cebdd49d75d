"""What each image is made of. A folder of the same name has its Dockerfile and files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from components import versions
from components.model.values import ImageRef
from tests.docker.images.packages import Base
from toolchain import programs

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
    program: str = ""
    """Of toolchain/programs: its executables are in the build context."""

    def __hash__(self) -> int:
        return hash(self.tag)


_BUSYBOX: Final = Base(("busybox-static",))
"""Like the images of Prometheus' own project: a program, and busybox with all its commands."""
_NOTHING: Final = Base(())


def _built(program: str, base: Base, real: ImageRef) -> Recipe:
    """A program that is built here, of the version that ships or the nearest that can be had."""
    return Recipe(base, f"{program.lower()}-built:{programs.version(program)}", str(real), program=program)


_POSTGRES: Final = str(versions.database_images("bundled")["14", "0.4.3"])

RECIPES: Final[Mapping[str, Recipe]] = {
    "postgres": Recipe(
        # The last three are what the real one has beside PostgreSQL, and dumps and restores need.
        Base((*_SHELL, "postgresql", "zstd", "libnss-wrapper", "util-linux")),
        "immich-standin/postgres:14-vectorchord0.4.3",
        _POSTGRES,
    ),
    "valkey": Recipe(
        Base((*_SHELL, "redis-server")), "immich-standin/valkey:9", str(versions.current("valkey"))
    ),
    "nginx": Recipe(
        Base((*_SHELL, "nginx", "curl", "busybox-static")),
        "nginx-debian:1.22.1",
        str(versions.current("nginx")),
    ),
    "server": Recipe(
        # As the real one: curl makes the first administrator where no door lets anybody, psql looks for fragments, and
        # Node.js with psql does what a section `immich:setup` says.
        Base((*_PYTHON.packages, "curl", "postgresql-client-15", "nodejs")),
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
        _PYTHON,
        f"cloudflared-standin:{versions.IMAGES['cloudflared'].version}",
        str(versions.current("cloudflared")),
    ),
    "certbot": Recipe(
        Base((*_SHELL, "certbot", "python3-certbot-dns-cloudflare", "openssl", "diffutils")),
        "certbot-debian:2.1",
        "docker.io/certbot/dns-cloudflare:v2.11.0",
    ),
    # Like the real one: busybox and no other shell, with what time zones of schedules need; of the last two packages
    # only flock and nice are left.
    "restic": _built(
        "restic",
        Base(("busybox-static", "tzdata", "ca-certificates", "coreutils", "util-linux")),
        versions.current("restic"),
    ),
    "rclone": _built("rclone", Base(("busybox-static", "ca-certificates")), versions.current("rclone")),
    "prometheus": _built("prometheus", _BUSYBOX, versions.current("prometheus")),
    "alertmanager": _built("alertmanager", _BUSYBOX, versions.current("alertmanager")),
    "volume-exporter": _built("node_exporter", _BUSYBOX, versions.current("volumes-exporter")),
    "door-exporter": _built("blackbox_exporter", _BUSYBOX, versions.current("doors-exporter")),
    "postgres-exporter": _built("postgres_exporter", _BUSYBOX, versions.current("postgres-exporter")),
    "valkey-exporter": _built("redis_exporter", _NOTHING, versions.current("valkey-exporter")),
    "nginx-exporter": _built("nginx-prometheus-exporter", _NOTHING, versions.current("nginx-exporter")),
    "access-log-exporter": _built(
        "prometheus-nginxlog-exporter", _NOTHING, versions.current("access-log-exporter")
    ),
    "grafana": Recipe(
        Base((*_SHELL, "python3", "python3-yaml", "tini", "busybox-static")),
        "grafana-standin:13",
        str(versions.current("grafana")),
    ),
}
