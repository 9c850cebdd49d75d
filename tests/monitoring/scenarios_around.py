"""The same for doors, hosts and backups."""

from __future__ import annotations

from dataclasses import replace

from tests.monitoring.scenarios import Scenario
from tests.monitoring.worlds import AMD, DOCKER, KUBERNETES

_DAY = 86400

EDGE = (
    Scenario(
        alert="ImmichDoorDown",
        plan=DOCKER,
        fires={"door-internet": "0x{n}"},
        quiet={"door-internet": "1x20 0x3 1x{n}"},
        says="by the door internet",
    ),
    Scenario(
        alert="ImmichProxyDown",
        plan=DOCKER,
        fires={"nginx-up": "0x{n}"},
        quiet={"nginx-up": "1x20 0x3 1x{n}"},
    ),
    Scenario(
        alert="ImmichProxyDown",
        plan=DOCKER,
        # It hangs: its exporter answers nothing, and that is not said a second time.
        fires={"nginx-up": None, "up-nginx": "0x{n}"},
        quiet={"nginx-up": "1x20 _x3 1x{n}", "up-nginx": "1x20 0x3 1x{n}"},
    ),
    Scenario(
        alert="ImmichUploadErrors",
        plan=KUBERNETES,
        fires={"log-413": "0x35 9x{n}"},
        quiet={"log-413": "0x35 2x{n}", "log-201": "0+100x{n}"},
        says="uploads at the door lan ended with 413",
    ),
    Scenario(
        alert="ImmichUploadErrors",
        plan=KUBERNETES,
        # The first of its status: the series begins with all of them.
        fires={"log-413": "_x40 9x{n}"},
        quiet={"log-413": "_x40 2x{n}"},
        says="9 uploads at the door lan ended with 413",
    ),
    Scenario(
        alert="ImmichUploadErrors",
        plan=DOCKER,
        fires={"log-413": "_x40 9x{n}"},
        # Prometheus was away, and what it finds is old.
        quiet={"log-413": "_x40 9x{n}", "up-access-log": "1x10 _x29 1x{n}"},
    ),
    Scenario(
        alert="ImmichUploadErrors",
        plan=DOCKER,
        fires={"traefik-499": "0x35 9x{n}"},
        quiet={"traefik-other": "0+100x{n}"},
        says="by the router immich@docker ended with 499",
    ),
    Scenario(
        alert="ImmichTunnelErrors",
        plan=KUBERNETES,
        fires={"tunnel-502-1": "0x35 9x{n}"},
        quiet={"tunnel-502-1": "9x{n}"},
        says="with 502",
    ),
    Scenario(
        alert="ImmichTunnelErrors",
        plan=DOCKER,
        fires={"tunnel-errors-0": "0+1x{n}"},
        quiet={"tunnel-errors-0": "0+0.1x{n}"},
        says="before the proxy answered",
    ),
    Scenario(
        alert="ImmichTunnelConnectors",
        plan=KUBERNETES,
        fires={"connector-1": "0x{n}"},
        quiet={"connector-1": "1x{n}"},
        says="1 connectors of the tunnel are connected, 2 are wanted",
    ),
    Scenario(
        alert="ImmichTunnelConnectors",
        plan=DOCKER,
        fires={"connector-0": None},
        quiet={"connector-0": "4x20 _x5 4x{n}"},
        says="0 connectors",
    ),
    Scenario(
        alert="ImmichCertificateExpires",
        plan=DOCKER,
        fires={"certificate-internet": f"{10 * _DAY}x{{n}}"},
        quiet={"certificate-internet": f"{15 * _DAY}x{{n}}"},
        at="2h",
        step="5m",
        says="certificate of internet ends in 9d 22h",
    ),
    Scenario(
        alert="ImmichCertificateExpires",
        plan=KUBERNETES,
        fires={"traefik-certificate": f"{10 * _DAY}x{{n}}"},
        quiet={"traefik-certificate": f"{15 * _DAY}x{{n}}"},
        at="2h",
        step="5m",
        says="photos.test",
    ),
    Scenario(
        alert="ImmichCertificateExpiresNow",
        plan=DOCKER,
        fires={"traefik-certificate": f"{2 * _DAY}x{{n}}"},
        quiet={"traefik-certificate": f"{15 * _DAY}x{{n}}"},
        at="2h",
        step="5m",
        says="photos.test",
        also=frozenset({"ImmichCertificateExpires"}),
    ),
    Scenario(
        alert="ImmichServiceTokenExpires",
        plan=replace(KUBERNETES, service_tokens={"phones": 21 * _DAY + 7200}),
        fires={},
        quiet={},
        at="4h",
        step="5m",
        says="service token phones ends in 20d 22h",
    ),
)

HOST = (
    Scenario(
        alert="ImmichStorageFilling",
        plan=KUBERNETES,
        fires={"free-immich-library": "1e11x{n}"},
        quiet={"free-immich-library": "1.6e11x{n}"},
        says="immich-library is 90% full",
    ),
    Scenario(
        alert="ImmichStorageFilling",
        plan=DOCKER,
        fires={"free-photos": "1e11x{n}"},
        quiet={"free-photos": "1e11x10 2e11x{n}"},
        says="/srv/photos is 90% full",
    ),
    Scenario(
        alert="ImmichStorageFull",
        plan=DOCKER,
        fires={"free-root": "1e10x{n}"},
        quiet={"free-other": "1e9x{n}"},
        says="/ is 99% full",
        also=frozenset({"ImmichStorageFilling"}),
    ),
    Scenario(
        alert="ImmichStorageFullSoon",
        plan=DOCKER,
        fires={"free-photos": "4e11-1e9x{n}"},
        # Hardly used; the same pace.
        quiet={"free-photos": "9e11-1e9x{n}", "free-root": "4e11-1e7x{n}"},
        at="8h",
        step="5m",
        says="/srv/photos will be full within 7 days",
    ),
    Scenario(
        alert="ImmichStorageInodes",
        plan=KUBERNETES,
        fires={"inodes-free-immich-library": "5e5x{n}"},
        quiet={"inodes-free-immich-library": "0x{n}", "inodes-immich-library": "0x{n}"},
        says="95% of its inodes",
    ),
    Scenario(
        alert="ImmichRestarts",
        plan=KUBERNETES,
        fires={"restarts": "0x10 2x5 4x5 6x{n}"},
        quiet={"restarts": "0x10 1x10 2x{n}"},
        says="server in immich-server-0 restarted",
    ),
    Scenario(
        alert="ImmichOutOfMemory",
        plan=KUBERNETES,
        fires={"killed": "0x40 1x{n}", "restarts": "0x40 1x{n}"},
        quiet={"killed": "1x{n}", "restarts": "1x{n}"},
        says="server in immich-server-0 was ended",
    ),
    Scenario(
        alert="ImmichOutOfMemory",
        plan=DOCKER,
        fires={"oom": "3x40 4x{n}"},
        quiet={"oom": "3x10 4x{n}"},
        says="The host ended a process",
    ),
    Scenario(
        alert="ImmichGpuHot",
        plan=KUBERNETES,
        fires={"gpu-temperature": "85x{n}"},
        quiet={"gpu-temperature": "80x{n}"},
        says="GPU-1 is at 85 °C",
    ),
    Scenario(
        alert="ImmichGpuHot",
        plan=DOCKER,
        fires={"gpu-temperature": "81x{n}"},
        quiet={"gpu-temperature": "60x20 90x3 60x{n}"},
    ),
    Scenario(
        alert="ImmichGpuHot",
        plan=AMD,
        fires={"gpu-temperature": "85x{n}"},
        quiet={"disk-temperature": "95x{n}"},
    ),
    Scenario(
        alert="ImmichGpuIdle",
        plan=KUBERNETES,
        fires={"gpu-use": "0x{n}", "active-smart_search": "2x{n}"},
        quiet={"gpu-use": "0x{n}", "active-video_conversion": "2x{n}"},
        at="75m",
    ),
)

BACKUP = (
    Scenario(
        alert="ImmichBackupFailed",
        plan=KUBERNETES,
        fires={"success-copy-nas": "0x{n}"},
        quiet={"success-dump": "1x20 0x5 1x{n}"},
        says="The last run of copy-nas failed",
    ),
    Scenario(
        alert="ImmichBackupStale",
        plan=KUBERNETES,
        fires={"last-dump": "60x{n}"},
        quiet={"last-dump": "60x40 82800x{n}"},
        at="28h",
        step="30m",
        says="dump has not succeeded for 1d 3h 59m",
    ),
    Scenario(
        alert="ImmichBackupNever",
        plan=DOCKER,
        fires={"last-dump": "0x{n}"},
        quiet={"last-dump": "0x40 72000x{n}"},
        at="28h",
        step="30m",
        says="dump has never succeeded",
    ),
    Scenario(
        alert="ImmichBackupNever",
        plan=KUBERNETES,
        fires={"last-copy-nas": None},
        quiet={"last-copy-nas": "_x40 72000x{n}"},
        at="28h",
        step="30m",
        says="copy-nas has never succeeded",
    ),
    Scenario(
        alert="ImmichBackupShrunk",
        plan=DOCKER,
        fires={"bytes-dump": "1e8x10 4e7x{n}"},
        quiet={"bytes-dump": "1e8x10 6e7x{n}"},
        at="3h",
        step="5m",
        says="38.15MiB",
    ),
    Scenario(
        alert="ImmichStatusUnreadable",
        plan=DOCKER,
        fires={"unreadable": "1x{n}"},
        quiet={"unreadable": "0x10 1x10 0x{n}"},
    ),
    Scenario(
        alert="ImmichStatusUnreadable",
        plan=DOCKER,
        fires={"unreadable": "1x{n}", "last-dump": "60x5", "last-drill": None},
        quiet={"unreadable": "1x{n}", "last-dump": None, "last-drill": None},
    ),
    Scenario(
        alert="ImmichDrillUnproven",
        plan=replace(DOCKER, drill_days=1),
        fires={"last-drill": "60x{n}"},
        quiet={"last-drill": "60x90 162000x{n}"},
        at="50h",
        step="30m",
        says="for 1 days",
    ),
    Scenario(
        alert="ImmichDrillUnproven",
        plan=KUBERNETES,
        fires={"success-drill": "0x{n}"},
        quiet={"success-drill": "0x20 1x{n}"},
        at="26h",
        step="30m",
    ),
)
