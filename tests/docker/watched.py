"""A stack on a real engine with the bundled monitoring, and ways to ask it, to break what it watches and to mend that.

Prometheus, Alertmanager and the exporters are those that ship, Immich and Grafana are stand-ins. The rules are those of
the program but for how often they are evaluated: each second, since a test waits for them.
"""

from __future__ import annotations

import base64
import signal
import subprocess
import time
from collections.abc import Collection
from dataclasses import dataclass
from os import kill
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from docker.models.containers import Container

from components.monitoring.metric_names import PREFIX
from tests.docker import host
from tests.docker.stacks import HostStack, Place
from tests.docker.transfer import Door
from tests.monitoring.processes import TABLES

PARTS: Final = {
    "prometheus": "prometheus",
    "alertmanager": "alertmanager",
    "grafana": "grafana",
    "volumes": "volume-exporter",
    "doors": "door-exporter",
    "postgres": "postgres-exporter",
    "valkey": "valkey-exporter",
    "nginx": "nginx-exporter",
    "access-log": "access-log-exporter",
}
"""Program as the settings call it -> image of the tests."""


def changes(place: Place, **more: Any) -> dict[str, dict[str, Any]]:
    """Settings of the bundled monitoring with the images of the tests; `more` are others of its settings."""
    images = {part: place.image(name) for part, name in PARTS.items()}
    thresholds = {"storagePercent": 98}
    return {
        "monitoring": {
            "kind": "bundled",
            "interval": "5s",
            "thresholds": thresholds,
            "images": images,
            **more,
        },
        "backup": {"targets": [], "volume": {"kind": "volume"}},
    }


_OF_THE_MACHINE: Final = {"ImmichStorageFullSoon"}
"""What rings, hours later, about the machine of the tests: others write on its disk, and a day is minutes here."""


@dataclass
class Watched:
    """The stack and what Prometheus says of it."""

    stack: HostStack

    # What there is

    def container(self, workload: str) -> Container:
        """The container of a workload."""
        return self.stack.container(workload)

    def volume(self, workload: str, path: str) -> Path:
        """The host's folder of what a container has mounted at `path`."""
        mounts = self.container(workload).attrs["Mounts"]
        return next(Path(one["Source"]) for one in mounts if one["Destination"] == path)

    def door(self, workload: str, port: int) -> Door:
        """HTTP to a container, as the host reaches it."""
        address = host.address_of(self.container(workload), f"{self.stack.prefix}-monitoring")
        return Door(self.stack.place.network, address, port, name=workload)

    def reached(self, workload: str, places: Collection[tuple[str, int]]) -> set[tuple[str, int]]:
        """Those of the places to which a container gets a connection within 2 s."""
        script = "".join(
            f"(timeout 2 bash -c 'exec 3<>/dev/tcp/{address}/{port}' 2>/dev/null && echo {address} {port}) &\n"
            for address, port in places
        )
        network = f"--net=/proc/{host.host_pid(self.container(workload))}/ns/net"
        done = subprocess.run(
            ["nsenter", network, "bash", "-c", f"{script}wait"],
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        lines = [line.split() for line in done.stdout.splitlines()]
        return {(address, int(port)) for address, port in lines}

    # Prometheus

    def api(self, path: str) -> Any:
        """`data` of an answer of Prometheus' API."""
        answer = self.door("prometheus", 9090).get(f"/api/v1/{path}")
        assert answer.status == 200, answer
        return answer.json()["data"]

    def query(self, expr: str) -> list[dict[str, Any]]:
        """Series of an instant query."""
        found: list[dict[str, Any]] = self.api(f"query?query={quote(expr)}")["result"]
        return found

    def number(self, expr: str) -> float:
        """The value of the one series of an instant query. AssertionError for none or several."""
        found = self.query(expr)
        assert len(found) == 1, (expr, found)
        return float(found[0]["value"][1])

    def targets(self) -> dict[str, dict[str, Any]]:
        """Job and instance -> target, as Prometheus sees them."""
        found = self.api("targets?state=active")["activeTargets"]
        return {f"{one['labels']['job']} {one['labels']['instance']}": one for one in found}

    def ringing(self) -> set[str]:
        """Names of alerts that are pending or firing."""
        groups = self.api("rules?type=alert")["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        bad = [(rule["name"], rule["lastError"]) for rule in rules if rule["health"] == "err"]
        assert bad == [], bad
        return {rule["name"] for rule in rules if rule["state"] != "inactive"} - _OF_THE_MACHINE

    def wait_for(self, wanted: Collection[str], seconds: float = 90) -> None:
        """Until exactly these alerts ring, and still do after a few more evaluations."""
        end = time.monotonic() + seconds
        since: float | None = None
        while True:
            now = self.ringing()
            if now == set(wanted):
                since = since or time.monotonic()
                if time.monotonic() - since > 2:
                    return
            else:
                since = None
            assert time.monotonic() < end, f"wanted {sorted(wanted)}, there are {sorted(now)}"
            time.sleep(0.3)

    def evaluate_each_second(self) -> None:
        """Have the rules evaluated so often, as they are otherwise."""
        rules = self.volume("prometheus", "/etc/immich-prometheus") / "rules.yml"
        before = rules.read_text(encoding="utf-8")
        assert "interval: 30s" in before
        rules.write_text(before.replace("interval: 30s", "interval: 1s"), encoding="utf-8")
        kill(host.host_pid(self.container("prometheus")), signal.SIGHUP)
        wanted = {1.0}

        def taken_up() -> bool:
            return {group["interval"] for group in self.api("rules")["groups"]} == wanted

        host.until(taken_up, "Prometheus has the new intervals", 20)

    # Grafana

    def grafana(self, path: str, password: str) -> Any:
        """A page of Grafana's API, as `admin`."""
        mark = base64.b64encode(f"admin:{password}".encode()).decode()
        return self.door("grafana", 3000).get(path, {"Authorization": f"Basic {mark}"})

    # What is watched

    def sql(self, statements: str, role: str = "immich") -> str:
        """Statements in Immich's database."""
        return host.execute(
            self.container("database"), "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1",
            "-h", "/var/run/postgresql", "-U", role, "-d", "immich", "-c", statements, user="999:999",
        )  # fmt: skip

    def valkey(self, *words: str) -> str:
        """A command of the cache."""
        script = 'export REDISCLI_AUTH="$(cat /run/secrets/cache/password)"; exec valkey-cli "$@"'
        return host.execute(self.container("cache"), "sh", "-c", script, "sh", *words).strip()

    def make_tables(self) -> None:
        """What Immich's own migrations would have made, with a library and a few photos in it."""
        # The stand-in has one of the tables, and no release is newer.
        made = TABLES.replace("TABLE system_metadata", "TABLE IF NOT EXISTS system_metadata")
        assert made.count('"v3.10.0"') == 1
        self.sql(made.replace('"v3.10.0"', '"v3.3.1"'))

    def status(self, name: str, *, success: bool, ago: float = 0) -> None:
        """The status of a backup as its tasks leave it."""
        folder = self.volume("volume-exporter", "/volumes/backup") / "status"
        folder.mkdir(mode=0o755, exist_ok=True)
        last = int(time.time() - ago)
        new = folder / f"{name}.new"
        new.write_text(
            f'immich_backup_success{{name="{name}"}} {int(success)}\n'
            f'immich_backup_last_success_timestamp_seconds{{name="{name}"}} {last}\n'
            f'immich_backup_duration_seconds{{name="{name}"}} 3\n'
            f'immich_backup_bytes{{name="{name}"}} 123456\n',
            encoding="utf-8",
        )
        new.chmod(0o644)
        new.rename(folder / f"{name}.prom")

    def jobs(self, queue: str, state: str, count: int) -> None:
        """Jobs of a queue, in the shape of BullMQ's."""
        key = f"{PREFIX}:{queue}:{state}"
        self.valkey("DEL", key)
        if count:
            self.valkey("RPUSH", key, *(str(number) for number in range(count)))
