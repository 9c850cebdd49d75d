"""The tunnel of Cloudflare: how its connectors run and what goes through it."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from components.cloudflare.rules import NOT_FOUND, IngressRule, dangerous, refused_by_cloudflared
from components.cloudflare.values import TunnelId
from components.fields.base import Section, WholeNumber
from components.fields.placement import Placement
from components.fields.resources import Resources
from components.model.values import Duration, Hostname, ImageRef

MOST_CONNECTORS = 25
"""Connectors that one tunnel may have (account limits, 2026-09)."""
LONGEST_GRACE = 180
"""Seconds: cloudflared does not start with more (connection.go: MaxGracePeriod)."""


class ExistingTunnel(Section):
    """A tunnel that was made elsewhere; this program leaves it as it is."""

    id: TunnelId
    """Its identifier."""
    credentials: Literal["file", "token"] = "file"
    """`file`: the JSON that `cloudflared tunnel create` wrote, as the secret `immich:cloudflareTunnelCredentials`, with
    rules that the connectors read from a file. `token`: the dashboard's, as the secret `immich:cloudflareTunnelToken`,
    with rules that Cloudflare keeps."""
    configuration: Literal["replace", "keep"] | None = None
    """With `token`: whether this program may replace all rules that Cloudflare keeps for the tunnel, those of other
    services included, or they are kept and you add Immich's name there."""

    @model_validator(mode="after")
    def _rules_have_one_owner(self) -> Self:
        if self.credentials == "token" and self.configuration is None:
            raise ValueError(
                "configuration is needed with a token: replace (all rules of the tunnel become this program's) or keep "
                "(you add a rule for Immich's name yourself)"
            )
        if self.credentials == "file" and self.configuration is not None:
            raise ValueError(
                "configuration is for credentials token: with a file the rules are the connectors' own"
            )
        return self


class TunnelAccess(Section):
    """The connectors check by themselves that a request was let in by Cloudflare Access."""

    team_name: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", examples=["example"])
    """The organisation's team: `example` of example.cloudflareaccess.com."""
    audiences: tuple[
        Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", examples=["32 bytes in hexadecimal"])], ...
    ] = ()
    """Audience tags of applications (64 hexadecimal digits); none takes those of `access`."""


class TunnelRule(Section):
    """A rule for another service that shares the tunnel. Immich's own rules come first."""

    hostname: str = Field(min_length=1, max_length=253)
    """Full name in the zone, or `*.` in front of one."""
    path: str = ""
    """Regular expression, found anywhere in the path; anchor it, and do not use it as access control."""
    service: str = Field(min_length=1, max_length=253)
    """`http://name:port` or `https://name:port` that the connectors reach, or `http_status:<number>`."""

    @property
    def rule(self) -> IngressRule:
        """As cloudflared has it."""
        return IngressRule(hostname=self.hostname, path=self.path, service=self.service)

    @property
    def target(self) -> tuple[str, int] | None:
        """Host and port of the service, or None where it is a mere answer."""
        if self.service.startswith("http_status:"):
            return None
        parts = urlsplit(self.service)
        return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)

    @model_validator(mode="after")
    def _as_cloudflared_wants_it(self) -> Self:
        Hostname(self.hostname.removeprefix("*."))
        if "." not in self.hostname.removeprefix("*."):
            raise ValueError("hostname must be a full name such as notes.example.com")
        rules = (self.rule, IngressRule(service=NOT_FOUND))
        for reason in (*refused_by_cloudflared(rules), *dangerous(rules)):
            raise ValueError(reason.removeprefix("rule 1: "))
        return self


class Tunnel(Section):
    """A tunnel and its connectors (cloudflared), which open connections to Cloudflare and no port."""

    name: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9]([A-Za-z0-9._ -]{0,98}[A-Za-z0-9])?$", examples=["immich-home"]
    )
    """Its name in the account; none is `immich-<stack>`."""
    existing: ExistingTunnel | None = None
    """A tunnel that exists already; none makes one."""
    protocol: Literal["http2", "quic", "auto"] = "http2"
    """How connectors talk to the edge. `http2` (TCP) carries large uploads evenly; `quic` (UDP) stalled under load
    (cloudflared#895); `auto` tries quic first."""
    replicas: WholeNumber = Field(default=2, ge=1, le=MOST_CONNECTORS)
    """Number of connectors; with one, every update of it interrupts the tunnel."""
    grace_period: Duration = Duration("3m")
    """How long a stopping connector waits for requests in progress, at most 3m."""
    access: TunnelAccess | None = None
    """Check in the connectors what Access lets in; none trusts the edge."""
    rules: Annotated[tuple[TunnelRule, ...], Field(max_length=100)] = ()
    """Rules for other services that share the tunnel."""
    image: ImageRef | None = None
    """Another image than the table's."""
    resources: Resources = Resources()
    """CPU and memory of a connector."""
    placement: Placement = Placement()
    """Node selector, tolerations and priority class."""

    @property
    def keeps_rules_elsewhere(self) -> bool:
        """Whether somebody else keeps the tunnel's rules."""
        return self.existing is not None and self.existing.configuration == "keep"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not 1 <= self.grace_period.seconds <= LONGEST_GRACE:
            raise ValueError(
                f"gracePeriod must be 1s to 3m, not {self.grace_period}: cloudflared does not start with more"
            )
        if self.existing is not None and self.name is not None:
            raise ValueError("name is for a tunnel that is made here; one that exists has its name")
        if self.keeps_rules_elsewhere and (self.rules or self.access is not None):
            raise ValueError(
                "rules and access are part of the configuration, which existing.configuration keeps"
            )
        pairs = [(rule.hostname, rule.path) for rule in self.rules]
        for pair in pairs:
            if pairs.count(pair) > 1:
                raise ValueError(
                    f"rules: {' '.join(pair).strip()} is given twice; the second is never reached"
                )
        return self
