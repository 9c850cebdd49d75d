"""Hardened containers of one test, on networks of its own; everything is removed afterwards."""

from __future__ import annotations

import io
import tarfile
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

from docker.client import DockerClient
from docker.models.containers import Container
from docker.models.networks import Network
from docker.types import Mount

from tests.docker.host import remove_quietly, wait_healthy
from tests.docker.images.library import Images

PASSWORDS: Final = {"database": "right horse", "cache": 'pass "word'}
SECOND = 10**9
"""Durations of health checks are in nanoseconds."""


class Yard:
    """Names on the engine have a prefix of their own, so tests do not meet. `inner` is a network of somebody else's."""

    def __init__(self, client: DockerClient, images: Images, inner: str | None = None) -> None:
        self.client, self.images = client, images
        self.prefix = f"yard-{uuid.uuid4().hex[:8]}"
        self._containers: list[Container] = []
        self._networks: list[Network] = []
        self._volumes: list[str] = []
        self.given = dict(PASSWORDS)
        """Passwords that the server gets."""
        self.database_name = "photos"
        self.inner = inner or self.network("inner")

    def network(self, name: str, *, internal: bool = True) -> str:
        """A network; its name on the engine."""
        made = self.client.networks.create(f"{self.prefix}-{name}", internal=internal)
        self._networks.append(made)
        return str(made.name)

    def volume(self, name: str, owner: int, files: Mapping[str, str] | None = None) -> str:
        """A volume whose owner is `owner`, with files that only it may read; its name on the engine."""
        full = f"{self.prefix}-{name}"
        if full not in self._volumes:
            self.client.volumes.create(full)
            self._volumes.append(full)
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for file, text in (files or {}).items():
                entry = tarfile.TarInfo(file)
                entry.size, entry.mode, entry.uid, entry.gid = len(text.encode()), 0o440, owner, owner
                tar.addfile(entry, io.BytesIO(text.encode()))
        loader = self.client.containers.create(
            self.images["busybox"], ["chown", f"{owner}:{owner}", "/v"], mounts=[Mount("/v", full)]
        )
        try:
            loader.start()
            assert loader.wait()["StatusCode"] == 0, loader.logs()
            assert loader.put_archive("/v", archive.getvalue())
        finally:
            loader.remove()
        return full

    def small_volume(self, name: str, owner: int, size: str) -> str:
        """A volume in memory that is full after `size` (as mount writes it), kept while something has it mounted."""
        full = f"{self.prefix}-{name}"
        options = {"type": "tmpfs", "device": "tmpfs", "o": f"size={size},uid={owner},mode=0750"}
        self.client.volumes.create(full, driver="local", driver_opts=options)
        self._volumes.append(full)
        return full

    def run(
        self,
        image: str,
        *,
        name: str,
        user: int,
        command: Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
        mounts: Mapping[str, str] | None = None,
        read_only_mounts: Mapping[str, str] | None = None,
        tmpfs: Sequence[str] = ("/tmp",),
        health: Sequence[str] | None = None,
        networks: Sequence[str] | None = None,
        ports: Mapping[int, tuple[str, int]] | None = None,
        healthy_within: float | None = 60,
        **more: Any,
    ) -> Container:
        """Start an image (a name of `images`, or a reference) as the platform does, and wait for it."""
        # A named volume would otherwise take over the owner of the image's folder while it is empty.
        all_mounts = [Mount(path, self._full(one), no_copy=True) for path, one in (mounts or {}).items()]
        all_mounts += [
            Mount(path, self._full(one), read_only=True, no_copy=True)
            for path, one in (read_only_mounts or {}).items()
        ]
        first, *others = networks or [self.inner]
        container = self.client.containers.create(
            self.images.get(image, image),
            list(command) if command else None,
            name=f"{self.prefix}-{name}",
            hostname=name,
            user=f"{user}:{user}",
            environment=dict(env or {}),
            mounts=all_mounts,
            tmpfs=dict.fromkeys(tmpfs, "rw,nosuid,nodev,mode=1777"),
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            mem_limit="512m",
            network=first,
            networking_config={first: self.client.api.create_endpoint_config(aliases=[name])},
            ports={f"{inner}/tcp": outer for inner, outer in (ports or {}).items()},
            healthcheck={
                "test": ["CMD", *health],
                "interval": SECOND // 2,
                "timeout": 10 * SECOND,
                "start_period": 60 * SECOND,
            }
            if health
            else None,
            **more,
        )
        self._containers.append(container)
        for other in others:
            self.client.networks.get(other).connect(container, aliases=[name])
        container.start()
        if healthy_within is not None:
            wait_healthy(container, healthy_within)
        return container

    def refused(self, image: str, **arguments: Any) -> str:
        """Start what must end by itself with a code that is not 0; what it said."""
        container = self.run(image, healthy_within=None, **arguments)
        code = int(container.wait(timeout=60)["StatusCode"])
        told = container.logs().decode(errors="replace")
        assert code != 0, f"it ended well:\n{told}"
        return told

    def postgres(self, **more: Any) -> Container:
        """The database as the program runs it, under the name `database`."""
        self.volume("database-secret", 999, {"password": PASSWORDS["database"]})
        self.volume("database", 999)
        arguments: dict[str, Any] = {
            "name": "database",
            "user": 999,
            "env": {
                "POSTGRES_USER": "immich",
                "POSTGRES_DB": "photos",
                "POSTGRES_PASSWORD_FILE": "/run/secrets/database/password",
                "POSTGRES_INITDB_ARGS": "--data-checksums",
                "PGDATA": "/var/lib/postgresql/data/pgdata",
                "DB_STORAGE_TYPE": "SSD",
            },
            "mounts": {"/var/lib/postgresql/data": "database"},
            "read_only_mounts": {"/run/secrets/database": "database-secret"},
            "tmpfs": ("/tmp", "/etc/postgresql", "/var/run/postgresql"),
            "health": ("/usr/local/bin/healthcheck.sh",),
        }
        return self.run("postgres", **{**arguments, **more})

    def valkey(self, **more: Any) -> Container:
        """The cache as the program runs it, under the name `cache`."""
        password = PASSWORDS["cache"]
        quoted = password.replace("\\", "\\\\").replace('"', '\\"')
        conf = f'port 6379\ndir /data\nappendonly yes\nprotected-mode no\nrequirepass "{quoted}"\n'
        self.volume("cache-secret", 999, {"password": password, "valkey.conf": conf})
        self.volume("cache", 999)
        ping = 'REDISCLI_AUTH="$(cat /run/secrets/cache/password)" valkey-cli -t 3 ping | grep -q PONG'
        arguments: dict[str, Any] = {
            "name": "cache",
            "user": 999,
            "command": ("valkey-server", "/run/secrets/cache/valkey.conf"),
            "mounts": {"/data": "cache"},
            "read_only_mounts": {"/run/secrets/cache": "cache-secret"},
            "health": ("sh", "-c", ping),
        }
        return self.run("valkey", **{**arguments, **more})

    def server(self, env: Mapping[str, str] | None = None, **more: Any) -> Container:
        """Immich's stand-in as the program runs it, under the name `server`; `env` adds to its variables."""
        if f"{self.prefix}-media" not in self._volumes:
            self.volume("media", 1000)
        # The same files, readable for the server's user.
        for name in ("database", "cache"):
            self.volume(f"server-{name}-secret", 1000, {"password": self.given[name]})
        arguments: dict[str, Any] = {
            "name": "server",
            "user": 1000,
            "env": {
                "IMMICH_PORT": "2283",
                "IMMICH_MEDIA_LOCATION": "/data",
                "DB_HOSTNAME": "database",
                "DB_USERNAME": "immich",
                "DB_DATABASE_NAME": self.database_name,
                "DB_PASSWORD_FILE": "/run/secrets/database/password",
                "REDIS_HOSTNAME": "cache",
                "REDIS_PASSWORD_FILE": "/run/secrets/cache/password",
                **(env or {}),
            },
            "mounts": {"/data": "media"},
            "read_only_mounts": {
                "/run/secrets/database": "server-database-secret",
                "/run/secrets/cache": "server-cache-secret",
            },
            "health": ("/usr/src/app/server/bin/immich-healthcheck",),
        }
        return self.run("server", **{**arguments, **more})

    def _full(self, volume: str) -> str:
        return volume if volume.startswith(self.prefix) else f"{self.prefix}-{volume}"

    def remove(self) -> None:
        """Everything of this test."""
        for container in self._containers:
            remove_quietly(container)
        for volume in self._volumes:
            self.client.volumes.get(volume).remove()
        for network in self._networks:
            network.remove()
