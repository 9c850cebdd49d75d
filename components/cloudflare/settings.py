"""Cloudflare: the tunnel, DNS records, Access, and what the zone needs for Immich."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from components.cloudflare.record_settings import DnsRecord, conflicts
from components.cloudflare.tunnel_settings import Tunnel
from components.cloudflare.values import HexId, Moment, Validity, within
from components.fields.base import Deferred, Section, WholeNumber
from components.model.values import Bytes, Duration, EmailAddress, Hostname

Plan = Literal["free", "pro", "business", "enterprise"]

UPLOAD_LIMITS: Mapping[Plan, Bytes] = {
    "free": Bytes("100M"),
    "pro": Bytes("100M"),
    "business": Bytes("200M"),
    "enterprise": Bytes("500M"),
}
"""Largest request body by plan (cloudflare-docs, plans: network.max_upload_size); the same through a tunnel."""

PERIODS = (
    10,
    15,
    20,
    30,
    40,
    45,
    60,
    90,
    120,
    180,
    240,
    300,
    480,
    600,
    900,
    1200,
    1800,
    2400,
    3600,
    65535,
    86400,
)
"""Seconds that a rate limiting rule may count or block for (cloudflare-docs, rate-limiting-availability-by-plan)."""
_DAY = 86400
_LONGEST: Mapping[Plan, tuple[int, int]] = {
    "free": (10, 10),
    "pro": (60, 3600),
    "business": (600, _DAY),
    "enterprise": (65535, _DAY),
}
"""By plan: the longest that may be counted over, and blocked for."""


class ServiceToken(Section):
    """What the mobile app proves itself with, in the headers CF-Access-Client-Id and CF-Access-Client-Secret."""

    duration: Validity = Validity("8760h")
    """Lifetime. When it ends, no phone can connect: renew it before (docs/cloudflare.md)."""
    client_secret_version: WholeNumber = Field(default=1, ge=1, le=1_000_000)
    """One more makes a new secret; the old one works until `previousClientSecretExpiresAt`."""
    previous_client_secret_expires_at: Moment | None = None
    """When the secret before this version stops working; none leaves it to Cloudflare."""

    @model_validator(mode="after")
    def _has_a_previous(self) -> Self:
        if self.previous_client_secret_expires_at is not None and self.client_secret_version == 1:
            raise ValueError(
                "previousClientSecretExpiresAt speaks of the secret before clientSecretVersion 1, and there is none"
            )
        return self


class Access(Section):
    """A sign-in of Cloudflare in front of every proxied name of `immich:host`."""

    emails: tuple[EmailAddress, ...] = ()
    """People who may sign in."""
    email_domains: tuple[Hostname, ...] = ()
    """Domains all of whose addresses may sign in."""
    session_duration: Duration = Duration("168h")
    """How long a sign-in in a browser lasts."""
    service_token: ServiceToken | None = None
    """A service token for the mobile app, which cannot sign in on a page; none locks the app out."""
    share_links: bool = False
    """Let everybody through to shared links, and to the files and API routes that such a page loads."""

    @model_validator(mode="after")
    def _lets_somebody_in(self) -> Self:
        if not (self.emails or self.email_domains or self.service_token is not None):
            raise ValueError("nobody could sign in: give emails, emailDomains or serviceToken")
        if self.session_duration.seconds > 730 * 3600:
            raise ValueError(f"sessionDuration must be at most 730h (a month), not {self.session_duration}")
        return self


class RateLimit(Section):
    """One rule against guessing of passwords. It becomes the zone's only list of rate limiting rules."""

    requests: WholeNumber = Field(default=5, ge=1, le=10_000)
    """Attempts to sign in that one address has in a period, in each of Cloudflare's data centres."""
    period: WholeNumber = 10
    """Seconds."""
    mitigation: WholeNumber = 10
    """Seconds for which the address is then refused."""


def _fraction_as_text(value: object) -> object:
    """YAML makes numbers of versions; these two survive it."""
    return str(value) if isinstance(value, float) else value


class ZoneSettings(Section):
    """Settings of the whole zone, for all its names. They stay as they are when the stack is destroyed."""

    manage: bool = True
    """False leaves the zone alone; see docs/cloudflare.md for what Immich needs."""
    rocket_loader_off: bool = True
    """Turn Rocket Loader off: it rewrites scripts and Immich's pages then stay blank (cloudflared#937)."""
    web_sockets: bool = True
    """Turn WebSockets on: without them the web page says that the server is offline."""
    always_use_https: bool = True
    """Redirect http to https."""
    min_tls_version: Annotated[Literal["1.2", "1.3"], BeforeValidator(_fraction_as_text)] = "1.2"
    """Oldest TLS that clients may speak: 1.2 or 1.3; phones that are supported speak both."""
    ssl: Literal["strict", "full"] | None = None
    """How the edge reaches a proxied record's address: `strict` checks its certificate; none changes nothing."""


class Cloudflare(Section):
    """A Cloudflare account and zone, and what is created in them. Its API token is the secret `cloudflareApiToken`."""

    plan: Plan = "free"
    """The zone's plan: it decides the largest upload and which rules there can be."""
    max_upload: Bytes | None = None
    """With `enterprise`: the largest upload of the contract; none is the plan's 500 MB."""
    account_id: Deferred[HexId]
    """The account, as the zone's overview page shows it."""
    zone: Hostname
    """The zone's name, such as `example.com`."""
    zone_id: Deferred[HexId]
    """The zone, as its overview page shows it."""
    tunnel: Tunnel | None = None
    """A way in without an open port; none makes no tunnel."""
    records: tuple[DnsRecord, ...] = ()
    """Names by DNS: of a public address, proxied or not, or one for large uploads past Cloudflare's limit."""
    access: Access | None = None
    """Cloudflare Access in front; none leaves signing in to Immich."""
    rate_limit: RateLimit | None = None
    """Limit attempts to sign in at the edge; none leaves it to nginx."""
    zone_settings: ZoneSettings = ZoneSettings()
    """Settings of the zone."""

    @property
    def upload_limit(self) -> int:
        """Bytes of the largest request that Cloudflare's edge lets through."""
        return int((self.max_upload or UPLOAD_LIMITS[self.plan]).amount)

    def tunnel_names(self, names: tuple[Hostname, ...]) -> tuple[Hostname, ...]:
        """Those of Immich's names that lead into the tunnel: all that have no record of their own."""
        if self.tunnel is None:
            return ()
        known = {one.name for one in self.records}
        return tuple(name for name in dict.fromkeys(names) if name not in known)

    def proxied_names(self, names: tuple[Hostname, ...]) -> tuple[Hostname, ...]:
        """Those of Immich's names that people reach through Cloudflare's edge."""
        proxied = {one.name for one in self.records if one.proxied} | set(self.tunnel_names(names))
        return tuple(name for name in dict.fromkeys(names) if name in proxied)

    @property
    def proxies(self) -> bool:
        """Whether anything goes through Cloudflare's edge."""
        return self.tunnel is not None or any(one.proxied for one in self.records)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.tunnel is None and not self.records:
            raise ValueError("gives no way in: give tunnel or records, or leave the section out")
        if self.zone.is_ip or "." not in self.zone:
            raise ValueError(f"zone must be a domain such as example.com, not {self.zone}")
        self._check_upload()
        for index, record in enumerate(self.records):
            if not within(record.name, self.zone):
                raise ValueError(f"records[{index}]: {record.name} is not in the zone {self.zone}")
        for conflict in conflicts(self.records):
            raise ValueError(f"records: {conflict}")
        if self.tunnel is not None:
            self._check_tunnel(self.tunnel)
        self._check_rate_limit()
        if not self.proxies and (self.access is not None or self.rate_limit is not None):
            raise ValueError("access and rateLimit act at Cloudflare's edge, but nothing here is proxied")
        return self

    def _check_upload(self) -> None:
        if self.max_upload is None:
            return
        if self.plan != "enterprise":
            raise ValueError(
                f"maxUpload is for contracts: the plan {self.plan} lets {UPLOAD_LIMITS[self.plan].amount // 10**6} MB "
                "through, whatever is set"
            )
        if self.max_upload.amount < UPLOAD_LIMITS["enterprise"].amount:
            raise ValueError(
                f"maxUpload {self.max_upload} is less than the 500M that every enterprise plan has"
            )

    def _check_tunnel(self, tunnel: Tunnel) -> None:
        taken = {one.name for one in self.records}
        for index, rule in enumerate(tunnel.rules):
            name = rule.hostname.removeprefix("*.")
            if not within(name, self.zone):
                raise ValueError(f"tunnel.rules[{index}]: {rule.hostname} is not in the zone {self.zone}")
            if rule.hostname in taken:
                raise ValueError(f"tunnel.rules[{index}]: {rule.hostname} has a record of its own in records")
        if tunnel.access is not None and not tunnel.access.audiences and self.access is None:
            raise ValueError(
                "tunnel.access: give audiences (the tags of Access applications), or access, whose own are then used"
            )
        by_file = tunnel.existing is not None and tunnel.existing.credentials == "file"
        if tunnel.access is not None and not tunnel.access.audiences and by_file:
            raise ValueError(
                "tunnel.access: give audiences; rules in a file cannot wait for those of an application"
            )
        if tunnel.access is not None and self.access is not None and self.access.share_links:
            raise ValueError(
                "tunnel.access lets only signed-in requests through, so access.shareLinks could never work with it"
            )

    def _check_rate_limit(self) -> None:
        limit = self.rate_limit
        if limit is None:
            return
        for name, seconds, longest in zip(
            ("period", "mitigation"), (limit.period, limit.mitigation), _LONGEST[self.plan], strict=True
        ):
            if seconds not in PERIODS or seconds > longest:
                accepted = ", ".join(str(one) for one in PERIODS if one <= longest)
                raise ValueError(
                    f"rateLimit.{name} is {seconds}; the plan {self.plan} accepts {accepted} (seconds)"
                )
