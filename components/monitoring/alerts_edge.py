"""Alerts about the ways in: doors, refused uploads, the tunnel, certificates and tokens."""

from __future__ import annotations

from collections.abc import Sequence

from components.monitoring.alerts_rule import Alert, Severity, needs
from components.monitoring.plan import MonitoringPlan

_BROKEN = "413|499|5.."
"""Too large for some hop, given up by the client, or failed behind the door."""

_UPLOADS = (
    "`make doors` says what each door lets through. 413: a hop has a smaller limit than the table promises. 499: the "
    "sender gave up, mostly because some hop keeps the whole file before it passes it on, or after a time limit. 5xx: "
    "the server was away or its volume is full."
)


def _more(counter: str, labels: Sequence[str], many: int, job: str) -> str:
    """More than so many within a quarter of an hour, by these labels.

    A status has no series before its first answer, and `increase` does not see what a series begins with: it counts
    when the job was read a quarter of an hour ago and the series was not there.
    """
    by = f"sum by ({', '.join(labels)})"
    return (
        f"{by} (increase({counter}[15m])) > {many} "
        f"or ({by} ({counter}) unless {by} ({counter} offset 15m)) > {many} and on () max(up{job} offset 15m) == 1"
    )


def edge(plan: MonitoringPlan) -> list[Alert]:
    """Whether people get in, and their photos with them."""
    thresholds = plan.thresholds
    expiry = f"min by (certificate) (immich:certificate_expiry:timestamp_seconds{plan.recorded()})"
    renewal = (
        "Renewal starts 30 days before the end, so it has failed for some time: the log of what keeps the "
        "certificate says why, mostly a DNS token that is no longer valid or a challenge that does not come through."
    )
    ends: tuple[tuple[str, int, Severity], ...] = (
        ("ImmichCertificateExpires", thresholds.certificate_days, "warning"),
        ("ImmichCertificateExpiresNow", thresholds.certificate_critical_days, "critical"),
    )
    post = 'method="POST"'
    logged = plan.select("access-log", post, f'status=~"{_BROKEN}"')
    routed = plan.select("traefik", 'router=~".*immich.*"', post, f'code=~"{_BROKEN}"')
    tunnelled = plan.select("cloudflared", f'status_code=~"{_BROKEN}"')
    connectors = min(2, plan.tunnel_connectors)
    tunnel, nginx = plan.select("cloudflared"), plan.select("nginx")
    return [
        Alert(
            name="ImmichDoorDown",
            expr=f"max by (door) (probe_success{plan.select('doors')}) == 0",
            for_=thresholds.down,
            severity="critical",
            summary="Nobody gets in by the door {{ $labels.door }}",
            description="`/api/server/ping` does not answer there. If other doors work the server is well: look at "
            "the name, the certificate, the tunnel or the router of this one. `make verify` tries each step.",
            needs=needs("blackbox"),
        ),
        Alert(
            name="ImmichProxyDown",
            # While nginx hangs its exporter waits for it, whatever its own time limit, and answers nothing itself.
            expr=f"max(nginx_up{nginx}) == 0 or max(up{nginx}) == 0",
            for_=thresholds.down,
            severity="critical",
            summary="The proxy does not answer",
            description="Every door leads through it. Its log says what it does not like about its configuration or "
            "certificate. It rings too where the exporter beside it is silent: that waits for nginx and shares its "
            "network.",
            needs=needs("nginx"),
        ),
        Alert(
            name="ImmichUploadErrors",
            expr=_more(
                f"immich_proxy_http_response_count_total{logged}",
                ("listener", "status"),
                thresholds.upload_errors,
                plan.select("access-log"),
            ),
            for_="0s",
            severity="warning",
            summary="{{ $value | humanize }} uploads at the door {{ $labels.listener }} "
            "ended with {{ $labels.status }}",
            description=f"Within a quarter of an hour, as the proxy's access log counts them. {_UPLOADS}",
            needs=needs("access-log"),
            source="proxy",
        ),
        Alert(
            name="ImmichUploadErrors",
            expr=_more(
                f"traefik_router_requests_total{routed}",
                ("router", "code"),
                thresholds.upload_errors,
                plan.select("traefik"),
            ),
            for_="0s",
            severity="warning",
            summary="{{ $value | humanize }} uploads by the router {{ $labels.router }} ended with {{ $labels.code }}",
            description=f"Within a quarter of an hour, as Traefik counts them. {_UPLOADS}",
            needs=needs("traefik"),
            source="traefik",
        ),
        Alert(
            name="ImmichTunnelErrors",
            expr=_more(
                f"cloudflared_tunnel_response_by_code{tunnelled}",
                ("status_code",),
                thresholds.upload_errors,
                tunnel,
            )
            + f" or sum(increase(cloudflared_tunnel_request_errors{tunnel}[15m])) > {thresholds.upload_errors}",
            for_="0s",
            severity="warning",
            summary="{{ $value | humanize }} requests through the tunnel failed "
            "{{ with $labels.status_code }}with {{ . }}{{ else }}before the proxy answered{{ end }}",
            description="Within a quarter of an hour. What Cloudflare itself refuses, as files over the plan's limit, "
            f"never comes this far and is not counted. {_UPLOADS}",
            needs=needs("cloudflared"),
        ),
        *(
            [
                Alert(
                    name="ImmichTunnelConnectors",
                    expr=f"(count(cloudflared_tunnel_ha_connections{tunnel} > 0) or vector(0)) < {connectors}",
                    for_="10m",
                    severity="warning" if connectors == 2 else "critical",
                    summary="{{ $value }} connectors of the tunnel are connected, "
                    f"{connectors} {'are' if connectors == 2 else 'is'} wanted",
                    description="With one left, its next restart closes the door to the internet; with none it is "
                    "closed. The log of cloudflared says whether it cannot reach Cloudflare (port 7844, UDP or TCP) "
                    "or its token is refused.",
                    needs=needs("cloudflared"),
                )
            ]
            if connectors
            else []
        ),
        *(
            Alert(
                name=name,
                expr=f"{expiry} - time() < {left} * 86400",
                for_="1h",
                severity=severity,
                summary="The certificate of {{ $labels.certificate }} ends in {{ $value | humanizeDuration }}",
                description=renewal,
                any_of=needs("blackbox", "cert-manager", "traefik"),
            )
            for name, left, severity in ends
        ),
        *(
            [
                Alert(
                    name="ImmichServiceTokenExpires",
                    expr=f"immich:service_token_expiry:timestamp_seconds{plan.recorded()} - time() "
                    f"< {thresholds.token_days} * 86400",
                    for_="1h",
                    severity="warning",
                    summary="The service token {{ $labels.token }} ends in {{ $value | humanizeDuration }}",
                    description="After that Cloudflare Access lets no app in that uses it. `make up` after renewing "
                    "its duration keeps the secret; a new token must be put into the header settings of each phone.",
                )
            ]
            if plan.service_tokens
            else []
        ),
    ]
