"""Everything at Cloudflare, and the tunnel's connectors: in the order in which a visitor may find it, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pulumi
from pulumi_cloudflare import (
    DnsRecord,
    Ruleset,
    ZeroTrustAccessApplication,
    ZeroTrustAccessPolicy,
    ZeroTrustAccessServiceToken,
    ZeroTrustTunnelCloudflared,
    ZeroTrustTunnelCloudflaredConfig,
    ZoneSetting,
)

from components.cloudflare import cloudflared, objects
from components.cloudflare.rules import dangerous, refused_by_cloudflared
from components.cloudflare.settings import Access
from components.cloudflare.settings import Cloudflare as CloudflareSettings
from components.cloudflare.tunnel_settings import Tunnel
from components.model.naming import TOKEN_ENDS
from components.model.secret_text import SecretText
from components.model.specs import PublishedSecret
from components.model.values import Hostname
from components.model.watch import UNSEEN, Seen
from components.model.workload import scrapers
from components.platform.base import Platform
from components.secrets.component import Secrets

_SECRET_BYTES = 32
"""The least that Cloudflare accepts; more would be no safer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CloudflareArgs:
    """What `Cloudflare` needs."""

    platform: Platform
    settings: CloudflareSettings
    stack: str
    hostnames: tuple[Hostname, ...]
    """Names of Immich, the main one first."""
    proxy: str
    """The workload that the tunnel leads to."""
    port: int
    """Its port for the tunnel."""
    secrets: Secrets
    after: tuple[pulumi.Resource, ...]
    """What is ready when Immich may be found."""
    monitoring_namespace: str | None = None
    """Where whoever reads the metrics runs."""
    seen: Seen = UNSEEN
    """What follows from somebody reading them."""


class Cloudflare(pulumi.ComponentResource):
    """Tunnel, connectors, Access, rules and, last, the names: nobody finds Immich before all of it stands.

    On destroy the names go first, then the connectors, then the tunnel, which Cloudflare keeps as long as it has any.
    """

    outputs: dict[str, pulumi.Output[str]]
    """For a person: `tunnelId`, and the mobile app's headers `accessClientId` and, secret, `accessClientSecret`."""

    def __init__(self, args: CloudflareArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("immich:index:Cloudflare", "cloudflare", {}, opts)
        self._args = args
        self.outputs = {}
        settings = args.settings
        guards = self._zone()
        audiences: list[pulumi.Output[str]] = []
        if settings.access is not None:
            applications = self._access(settings.access)
            audiences = [one.aud for one in applications]
            guards += applications
        behind: list[pulumi.Resource] = [*args.after, *guards]
        if settings.tunnel is not None:
            self._tunnel(settings.tunnel, audiences, behind)
        self._records(behind)
        self.register_outputs({})

    # The tunnel

    def _tunnel(
        self,
        tunnel: Tunnel,
        audiences: Sequence[pulumi.Output[str]],
        behind: Sequence[pulumi.Resource],
    ) -> None:
        args = self._args
        names = [str(name) for name in args.settings.tunnel_names(args.hostnames)]
        rules = objects.rules(tunnel, names, f"http://{args.platform.address(args.proxy)}:{args.port}")
        for reason in (*refused_by_cloudflared(rules), *dangerous(rules)):
            raise ValueError(reason)
        given = tunnel.access.audiences if tunnel.access is not None else ()
        access = objects.access_of_rules(tunnel, names, given or audiences)
        made = self._made_tunnel(tunnel)
        identifier = made.id if made is not None else pulumi.Output.from_input(_existing_id(tunnel))
        self.outputs["tunnelId"] = identifier
        by_file = tunnel.existing is not None and tunnel.existing.credentials == "file"
        before: list[pulumi.Resource] = [*args.after]
        if not by_file and not tunnel.keeps_rules_elsewhere:
            before.append(
                ZeroTrustTunnelCloudflaredConfig(
                    "tunnel-configuration",
                    account_id=str(args.settings.account_id),
                    tunnel_id=identifier,
                    config=objects.tunnel_configuration(rules, access),
                    opts=pulumi.ResourceOptions(parent=self),
                )
            )
        file, key = cloudflared.secret_items(tunnel)
        args.platform.publish(
            PublishedSecret(
                name=cloudflared.SECRET, items={file: SecretText.of(key)}, generated=made is not None
            ),
            args.secrets.values,
            parent=self,
        )
        local = cloudflared.local_configuration(rules, access) if by_file else None
        connectors = args.platform.workload(
            replace(
                cloudflared.workload(tunnel, args.proxy, args.port, local),
                ingress=scrapers(cloudflared.PORTS, args.monitoring_namespace),
                meets=args.seen.meets,
                ways=args.seen.of(cloudflared.NAME),
            ),
            parent=self,
            after=before,
            fingerprints=args.secrets.fingerprints([key]),
        )
        for index, name in enumerate(names):
            DnsRecord(
                # The main name keeps its record when it changes.
                "hostname" if index == 0 and name == args.hostnames[0] else f"hostname-{name}",
                objects.tunnel_record(str(args.settings.zone_id), name, identifier),
                pulumi.ResourceOptions(parent=self, depends_on=[connectors, *behind]),
            )
        for name in dict.fromkeys(rule.hostname for rule in tunnel.rules):
            DnsRecord(
                f"hostname-{name}",
                objects.tunnel_record(str(args.settings.zone_id), name, identifier),
                pulumi.ResourceOptions(parent=self, depends_on=[connectors]),
            )

    def _made_tunnel(self, tunnel: Tunnel) -> ZeroTrustTunnelCloudflared | None:
        if tunnel.existing is not None:
            return None
        args = self._args
        account = str(args.settings.account_id)
        secret = args.secrets.random_bytes("tunnel-secret", _SECRET_BYTES)
        made = ZeroTrustTunnelCloudflared(
            "tunnel",
            account_id=account,
            name=tunnel.name or f"immich-{args.stack}",
            # Without it the configuration below would never reach a connector.
            config_src="cloudflare",
            tunnel_secret=secret,
            opts=pulumi.ResourceOptions(parent=self, protect=True),
        )
        token = pulumi.Output.all(tunnel=made.id, secret=secret).apply(
            lambda given: objects.tunnel_token(account, given["tunnel"], given["secret"])
        )
        _, key = cloudflared.secret_items(tunnel)
        args.secrets.add(key, token)
        return made

    # Names

    def _records(self, behind: Sequence[pulumi.Resource]) -> None:
        numbers: dict[str, int] = {}
        for one in self._args.settings.records:
            name = f"record-{one.name}-{one.type}"
            numbers[name] = numbers.get(name, 0) + 1
            DnsRecord(
                name if numbers[name] == 1 else f"{name}-{numbers[name]}",
                objects.record(str(self._args.settings.zone_id), one),
                pulumi.ResourceOptions(parent=self, depends_on=behind),
            )

    # What stands in front

    def _zone(self) -> list[pulumi.Resource]:
        settings = self._args.settings
        zone = str(settings.zone_id)
        found: list[pulumi.Resource] = [
            ZoneSetting(
                f"zone-{name}",
                zone_id=zone,
                setting_id=name,
                value=value,
                opts=pulumi.ResourceOptions(parent=self),
            )
            for name, value in objects.zone_settings(settings).items()
        ]
        if settings.rate_limit is not None:
            limit = objects.login_ruleset(zone, settings.rate_limit)
            found.append(Ruleset("rate-limit", limit, pulumi.ResourceOptions(parent=self)))
        return found

    def _access(self, access: Access) -> list[ZeroTrustAccessApplication]:
        args = self._args
        account = str(args.settings.account_id)
        policies: list[ZeroTrustAccessPolicy] = []
        if access.service_token is not None:
            token = ZeroTrustAccessServiceToken(
                "mobile-app",
                account_id=account,
                name=f"immich-{args.stack} mobile app",
                duration=str(access.service_token.duration),
                client_secret_version=access.service_token.client_secret_version,
                previous_client_secret_expires_at=access.service_token.previous_client_secret_expires_at,
                opts=pulumi.ResourceOptions(parent=self),
            )
            if access.service_token.duration != "forever":
                self.outputs[TOKEN_ENDS] = token.expires_at
            self.outputs["accessClientId"] = token.client_id
            self.outputs["accessClientSecret"] = pulumi.Output.secret(token.client_secret)
            # `allow` would send the app to a page to sign in (immich#10799).
            policies.append(
                self._policy("mobile-app", "non_identity", [{"service_token": {"token_id": token.id}}])
            )
        people = objects.allowed_people(access)
        if people:
            policies.append(self._policy("people", "allow", people))
        duration = str(access.session_duration)
        found: list[ZeroTrustAccessApplication] = []
        everyone = [self._policy("shared-links", "bypass", [{"everyone": {}}])] if access.share_links else []
        for index, name in enumerate(args.settings.proxied_names(args.hostnames)):
            main = index == 0 and name == args.hostnames[0]
            label = "access" if main else f"access-{name}"
            found.append(self._application(label, name, duration, policies))
            for path in objects.SHARED_PATHS if everyone else ():
                self._application(f"{label}-{path}", f"{name}/{path}", duration, everyone)
        return found

    def _policy(self, name: str, decision: str, includes: list[objects.Include]) -> ZeroTrustAccessPolicy:
        args = self._args
        return ZeroTrustAccessPolicy(
            f"access-policy-{name}",
            account_id=str(args.settings.account_id),
            name=f"immich-{args.stack} {name}",
            decision=decision,
            includes=includes,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _application(
        self, name: str, domain: str, duration: str, policies: Sequence[ZeroTrustAccessPolicy]
    ) -> ZeroTrustAccessApplication:
        args = self._args
        return ZeroTrustAccessApplication(
            name,
            account_id=str(args.settings.account_id),
            name=f"immich-{args.stack} {domain}",
            type="self_hosted",
            domain=domain,
            session_duration=duration,
            app_launcher_visible=False,
            policies=[{"id": one.id, "precedence": number} for number, one in enumerate(policies, start=1)],
            opts=pulumi.ResourceOptions(parent=self),
        )


def _existing_id(tunnel: Tunnel) -> str:
    assert tunnel.existing is not None
    return str(tunnel.existing.id)
