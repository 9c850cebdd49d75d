"""What ended how at which listener: nginx's access log, counted by an exporter beside it.

nginx sends a datagram for each request to its own loopback. A datagram waits for nobody: where nobody listens it is
gone, and neither a start nor a request notices.
"""

from __future__ import annotations

from typing import Final

import yaml

from components.model.values import ImageRef, Quantity
from components.model.workload import Port, Resources, Sidecar
from components.monitoring.settings import PORTS

PORT: Final = Port(name="metrics-log", number=PORTS["access-log"])
"""Where its numbers are, at /metrics."""
DESTINATION: Final = "127.0.0.1:8514"
"""Where nginx sends them, by UDP."""
TAG: Final = "nginx"
"""Of nginx's datagrams; the exporter leaves others alone."""
FILE: Final = "access-log.yaml"
NAMESPACE: Final = "immich_proxy"
"""What its metrics begin with."""
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""Methods with a value of their own; whatever else somebody sends is `other`, or labels would be for him to make."""


def configuration(destination: str = DESTINATION, address: str = "", port: int = PORT.number) -> str:
    """prometheus-nginxlog-exporter's file (pkg/config of version 1.11.0).

    `destination` is where it takes them, `address` (every one when empty, of IPv6 as well) and `port` where its
    numbers are. Sizes and paths have no series: only fields with nginx's own names would have.
    """
    # The status has a label of its own accord (pkg/relabeling/defaults.go).
    labels = [
        {"target_label": "listener", "from": "listener"},
        {"target_label": "method", "from": "method", "whitelist": list(METHODS)},
    ]
    lines = {"listen_address": f"udp://{destination}", "format": "rfc3164", "tags": [TAG]}
    namespace = {
        "name": NAMESPACE,
        "parser": "json",
        "source": {"syslog": lines},
        "relabel_configs": labels,
    }
    return yaml.safe_dump(
        {"listen": {"address": address, "port": port}, "namespaces": [namespace]}, sort_keys=False
    )


def exporter(image: ImageRef, folder: str) -> Sidecar:
    """The exporter; `folder` is the path of the files that `configuration` is among.

    It has no readiness check: one that does not answer must not close the doors.
    """
    return Sidecar(
        name="access-log",
        image=image,
        resources=Resources(
            cpu_request=Quantity("10m"),
            memory_request=Quantity("16Mi"),
            cpu_limit=Quantity("100m"),
            memory_limit=Quantity("64Mi"),
        ),
        args=("-config-file", f"{folder}/{FILE}"),
        ports=(PORT,),
        configuration=folder,
    )
