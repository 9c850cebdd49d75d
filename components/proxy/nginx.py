"""nginx: its configuration, rendered from the listeners, and its container."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components import versions
from components.model.connection import ExternalService
from components.model.exposure import Way
from components.model.values import ImageRef, Quantity
from components.model.workload import (
    ConfigFiles,
    Egress,
    HttpCheck,
    Ingress,
    Link,
    Mount,
    Port,
    Probe,
    Resources,
    Scratch,
    SecretFiles,
    Sidecar,
    Workload,
)
from components.model.workload import Storage as Mounted
from components.proxy import access_log
from components.proxy.listeners import CLOUDFLARE_RANGES, STATUS_PORT, Listener
from components.proxy.settings import Proxy as ProxySettings
from components.proxy.settings import PublishedPort
from components.server.component import NAME as SERVER
from components.server.component import PORT as SERVER_PORT
from components.sizing import healthy, placement, resources, whole_cores
from components.templates import render

if TYPE_CHECKING:
    import pulumi


NAME = "proxy"
_SERVER = Link(to=SERVER, port=SERVER_PORT)
_UPSTREAM = "@upstream@"
USER = 101
"""Number of its user and group in the image."""
CERTIFICATES = "certificates"
"""Volume of the certificate where a container of ours keeps it."""
_CERTIFICATES = "/etc/immich-tls"
_FILES = "/etc/immich"
CERTIFICATE = "proxy-certificate"
"""Logical name of the secret with `tls.crt` and `tls.key`."""
EXPORTER_PORT = 9113
"""Where the exporter's numbers are, at /metrics."""
_NAMES = 300
"""Seconds that nginx may take to start: names may come late."""
GRACE = 300
"""Seconds that uploads in progress have to end before nginx is killed."""

_BODY_BUFFER = 512
"""KiB of an upload that are read at a time: as fast as 1 MiB, while 256 costs a tenth (docs/edge-benchmark.md)."""
_ANSWER_BUFFER = 32
"""KiB of each of the 8 buffers of an answer."""

CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
)
"""Of TLS 1.2: forward secret and authenticated ones only (Mozilla's intermediate list without DHE)."""

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        # SvelteKit's first script is inline, the layout is WebAssembly, Handlebars (storage template) evaluates,
        # and Google Cast comes from gstatic.
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' 'wasm-unsafe-eval' https://www.gstatic.com",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "font-src 'self' data:",
        "connect-src 'self' blob: https://pay.futo.org https://static.immich.cloud https://tiles.immich.cloud",
        "worker-src 'self' blob:",
        "frame-src 'none'",
        "object-src 'none'",
        "base-uri 'self'",
        "frame-ancestors 'self'",
    )
)
"""What Immich's pages need (server/helmet.json of Immich, its two quoting mistakes mended; #13823 for evaluation)."""

SECURITY_HEADERS: Mapping[str, str] = {
    "X-Frame-Options": "SAMEORIGIN",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    # The map has a button that asks where one is.
    "Permissions-Policy": "geolocation=(self), camera=(), microphone=(), payment=(), usb=()",
    "X-Robots-Tag": "none",
}
"""Those of systems heartbeat and homelab that Immich's map, workers and uploads get along with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """Where nginx runs, as far as its configuration needs to know."""

    upstream: str
    """Host and port of Immich."""
    version: tuple[int, int, int]
    """nginx's own; how HTTP/2 and name resolution are written depends on it."""
    workers: int = 1
    """Processes, one a core that it may use: nginx itself sees those of the whole machine."""
    resolver: str | None = None
    """Name server that is asked again every 10 s; None looks the upstream up once, which is right for an address that
    does not change, such as that of a ClusterIP Service."""
    addresses: tuple[str, ...] = ("*",)
    """What it listens on, as `listen` has it. `[::]` is not among them by default: without IPv6 nginx would not start
    on it."""
    scratch: str = "/tmp"
    """A folder that it may write to; there is never a body in it."""
    certificates: str = _CERTIFICATES
    """Folder of tls.crt and tls.key."""
    status_port: int = STATUS_PORT
    challenges: str | None = None
    """Folder whose `.well-known/acme-challenge` an ACME server reads by plain http."""
    counted_at: str | None = None
    """Address and port that are told listener, method and status of each request, by UDP; nobody need be there."""


def command(file: str, directives: str = "daemon off;") -> tuple[str, ...]:
    """What the container runs: nginx, once the names in its file are known.

    Without a `resolver` it ends at once for a name that nobody knows yet, as when a node starts it before the cluster's
    DNS: that would be a crash loop with growing pauses.
    """
    return ("/bin/sh", "-c", _START, "nginx", file, directives)


_START = """\
trap 'exit 143' TERM QUIT INT
while nginx -t -q -c "$1" -g "$2" 2>&1 | grep -q 'host not found in upstream'; do
    echo 'waiting for a name of the upstream' >&2
    sleep 1 &
    wait $!
done
exec nginx -c "$1" -g "$2"
"""


def nginx_version(image: ImageRef) -> tuple[int, int, int]:
    """nginx's version as the image's tag has it; the newest that this program knows where it has none."""
    for tag in (image.tag or "", versions.IMAGES["nginx"].version):
        found = re.match(r"(\d+)\.(\d+)\.(\d+)", tag)
        if found:
            major, minor, patch = (int(part) for part in found.groups())
            return major, minor, patch
    raise ValueError(f"{versions.IMAGES['nginx'].version} is no version of nginx")


def configuration(settings: ProxySettings, found: Sequence[Listener], where: Surroundings) -> dict[str, str]:
    """File name -> text of nginx.conf and the files that it includes from its own folder."""
    headers = dict(SECURITY_HEADERS)
    if settings.content_security_policy:
        headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    quoted = [(name, f'"{value}"') for name, value in headers.items()]
    server_variable = where.resolver is not None and where.version < (1, 27, 3)
    values: dict[str, object] = {
        "listeners": found,
        "https_port": _shown_port(settings),
        "sites": settings.sites,
        "behind_cloudflare": [one.name for one in found if one.behind_cloudflare],
        "cloudflare": CLOUDFLARE_RANGES,
        "tls": any(one.tls_port is not None for one in found),
        "ciphers": CIPHERS,
        "http2_directive": where.version >= (1, 25, 1),
        "server_variable": server_variable,
        "login_rate": settings.login_rate,
        "body_size": int(settings.max_upload.amount),
        "body_buffer": _BODY_BUFFER,
        "answer_buffers": 8,
        "answer_buffer": _ANSWER_BUFFER,
        "timeout": settings.timeout.seconds,
        "shutdown": GRACE - 10,
        "hsts": settings.hsts,
        "headers": [*quoted, ("Strict-Transport-Security", "$strict_transport_security")],
        "upstream": where.upstream,
        "workers": where.workers,
        "resolver": where.resolver,
        "addresses": where.addresses,
        "scratch": where.scratch,
        "certificates": where.certificates,
        "status_port": where.status_port,
        "challenges": where.challenges,
        "counted_at": where.counted_at,
        "log_tag": access_log.TAG,
    }
    sites = {"site.conf": render("nginx-site.conf.j2", values)} if settings.sites else {}
    return {
        **sites,
        "nginx.conf": render("nginx.conf.j2", values),
        "locations.conf": render("nginx-locations.conf.j2", values),
        "proxied.conf": render("nginx-proxied.conf.j2", values),
    }


def _shown_port(settings: ProxySettings) -> str:
    """What a redirect to https adds to the name: `:8443` where the port of the host is not 443."""
    ports = [
        way.listen(tls=True)
        for way in settings.expose
        if isinstance(way, PublishedPort) and way.redirect_from is not None and not way.trusted_sources
    ]
    return f":{ports[0]}" if settings.tls is not None and ports and ports[0] != 443 else ""


def workload(
    settings: ProxySettings,
    found: Sequence[Listener],
    host: pulumi.Input[str],
    ingress: tuple[Ingress, ...],
    *,
    name: str = NAME,
    server: Link | ExternalService = _SERVER,
    ipv6: bool = False,
    resolver: str | None = None,
    ways: tuple[Way, ...] = (),
    own_certificates: bool = False,
    exporter_image: ImageRef | None = None,
    access_log_image: ImageRef | None = None,
    meets: tuple[str, ...] = (),
) -> Workload:
    """nginx without root, its configuration from files; `host` is the host name of `server`, which is Immich.

    `ipv6` says that pods have IPv6 addresses, `resolver` is as in `Surroundings`, `ways` and `meets` as in `Workload`.
    `own_certificates`: a container of ours keeps the certificate in a volume, instead of a secret of the platform.
    `access_log_image` is that of the exporter that counts the access log; None has none.
    """
    health = HttpCheck(port="status", path="/health", inside=_ask(STATUS_PORT, "/health"))
    image = settings.image or versions.current("nginx")
    amounts = resources("proxy", settings.resources)
    where = Surroundings(
        upstream=f"{host}:{server.port}" if isinstance(host, str) else _UPSTREAM,
        version=nginx_version(image),
        workers=whole_cores(amounts.cpu_limit),
        resolver=resolver,
        addresses=("*", "[::]") if ipv6 else ("*",),
        challenges=f"{_CERTIFICATES}/webroot" if own_certificates else None,
        counted_at=access_log.DESTINATION if access_log_image is not None else None,
    )
    files: dict[str, pulumi.Input[str]] = {**configuration(settings, found, where)}
    if not isinstance(host, str):
        import pulumi

        known = pulumi.Output.from_input(host).apply(lambda text: f"{text}:{server.port}")
        files = {file: _at(str(text), known) for file, text in files.items()}
    sidecars = [exporter(exporter_image)] if settings.metrics else []
    if access_log_image is not None:
        files[access_log.FILE] = access_log.configuration()
        sidecars.append(access_log.exporter(access_log_image, _FILES))
    ports = [Port(name=one.name, number=one.port, app_protocol="kubernetes.io/ws") for one in found]
    ports += [Port(name=f"{one.name}-tls", number=one.tls_port) for one in found if one.tls_port is not None]
    mounts: list[Mount] = [
        ConfigFiles(name=name, path=_FILES, files=files),
        Scratch(path=where.scratch, size=Quantity("64Mi")),
    ]
    if any(one.tls_port is not None for one in found):
        items = {"tls.crt": "tls.crt", "tls.key": "tls.key"}
        mounts.append(
            Mounted(volume=CERTIFICATES, path=where.certificates, read_only=True)
            if own_certificates
            else SecretFiles(secret=CERTIFICATE, path=where.certificates, items=items)
        )
    return Workload(
        name=name,
        image=image,
        resources=amounts,
        user=USER,
        group=USER,
        # No entrypoint scripts: they would write to /etc/nginx, which is read-only.
        command=command(f"{_FILES}/nginx.conf"),
        ports=(*ports, Port(name="status", number=STATUS_PORT)),
        liveness=Probe(check=health, failures=3, startup_budget=_NAMES),
        readiness=healthy(Probe(check=health), settings.health),
        mounts=tuple(mounts),
        sidecars=tuple(sidecars),
        replicas=settings.replicas,
        links=(server,) if isinstance(server, Link) else (),
        egress=(
            *(
                ()
                if isinstance(server, Link)
                else (Egress.to_host("Immich somewhere else", server.host, server.port),)
            ),
            *(Egress.to_host(f"the site {one.hostname}", *one.address) for one in settings.sites),
        ),
        ingress=ingress,
        ways=ways,
        meets=meets,
        # Uploads in progress are let through before nginx ends.
        termination_grace=GRACE,
        start_timeout=300,
        placement=placement(settings.placement),
    )


def _at(text: str, upstream: pulumi.Output[str]) -> pulumi.Input[str]:
    """A file of the configuration with the address of Immich, which is known during the update."""
    return upstream.apply(lambda known: text.replace(_UPSTREAM, known)) if _UPSTREAM in text else text


def _ask(port: int, path: str) -> tuple[str, ...]:
    """One of both is in every build of the image: wget in Alpine's, curl in Debian's."""
    url = f"http://127.0.0.1:{port}{path}"
    return ("sh", "-c", f"wget -q -O /dev/null {url} 2>/dev/null || curl -fsS -o /dev/null {url}")


def exporter(image: ImageRef | None = None) -> Sidecar:
    """The exporter that turns nginx's counters into Prometheus' form."""
    return Sidecar(
        name="exporter",
        image=image or versions.current("nginx-exporter"),
        resources=Resources(
            cpu_request=Quantity("10m"),
            memory_request=Quantity("16Mi"),
            cpu_limit=Quantity("100m"),
            memory_limit=Quantity("64Mi"),
        ),
        args=(
            f"--nginx.scrape-uri=http://127.0.0.1:{STATUS_PORT}/stub_status",
            f"--web.listen-address=:{EXPORTER_PORT}",
        ),
        ports=(Port(name="metrics", number=EXPORTER_PORT),),
        readiness=Probe(check=HttpCheck(port="metrics", path="/metrics")),
    )
