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
from components.model.connection import ExternalService
from components.model.naming import TOKEN_ENDS
from components.model.secret_text import SecretText
from components.model.specs import PublishedSecret
from components.model.values import Hostname
from components.model.watch import UNSEEN, Seen
from components.model.workload import Link, scrapers
from components.platform.base import Platform
from components.secrets.component import Secrets, own_secrets

NAME = "cloudflare"
_SECRET_BYTES = 32
"""The least that Cloudflare accepts; more would be no safer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CloudflareArgs:
    """What `Cloudflare` is made of."""

    platform: Platform
    """Where the tunnel's connectors run: a `KubernetesPlatform` or a `DockerPlatform`."""
    settings: CloudflareSettings
    """Account, zone, tunnel, records, Access, as the section `immich:cloudflare` has them."""
    hostnames: tuple[Hostname, ...]
    """Public names, the main one first."""
    service: Link | ExternalService
    """What the tunnel leads to: `Proxy.tunnel_link`, or a service that exists, by a name that is known beforehand."""
    label: str | None = None
    """What names at Cloudflare begin with, after `immich-`; None is the stack's name."""
    secrets: Secrets | None = None
    """Secrets of a deployment; None makes the component's own."""
    after: tuple[pulumi.Resource, ...] = ()
    """What is ready when Immich may be found."""
    monitoring_namespace: str | None = None
    """Where whoever reads the metrics runs."""
    seen: Seen = UNSEEN
    """What follows from somebody reading them."""


class Cloudflare(pulumi.ComponentResource):
    """Tunnel, connectors, Access, rules and, last, the names: nobody finds Immich before all of it stands.

    On destroy the names go first, then the connectors, then the tunnel, which Cloudflare keeps as long as it has any.

    On a cluster: pods of cloudflared, and the token of the tunnel.
    On a host: a container of cloudflared.
    At Cloudflare: tunnel, DNS records, Access applications and policies, rulesets, and settings of the zone.
    """

    outputs: dict[str, pulumi.Output[str]]
    """For a person: `tunnelId`, and the mobile app's headers `accessClientId` and, secret, `accessClientSecret`."""
    tunnel_id: pulumi.Output[str] | None
    """Id of the tunnel; None without one."""
    hostnames: tuple[str, ...]
    """Names that lead to Immich by way of Cloudflare."""

    def __init__(self, name: str, args: CloudflareArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("immich:index:Cloudflare", name, {}, opts)
        self._args = args
        self._prefix = "" if name == NAME else f"{name}-"
        self._secrets = args.secrets or own_secrets(name, {}, pulumi.ResourceOptions(parent=self))
        self._label = f"immich-{args.label or pulumi.get_stack()}"
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
        self.tunnel_id = self.outputs.get("tunnelId")
        self.hostnames = tuple(str(one) for one in settings.proxied_names(args.hostnames))
        self.register_outputs({"tunnelId": self.tunnel_id, "hostnames": self.hostnames})

    # The tunnel

    def _tunnel(
        self,
        tunnel: Tunnel,
        audiences: Sequence[pulumi.Output[str]],
        behind: Sequence[pulumi.Resource],
    ) -> None:
        args = self._args
        names = [str(name) for name in args.settings.tunnel_names(args.hostnames)]
        rules = objects.rules(tunnel, names, self._service_url())
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
                    f"{self._prefix}tunnel-configuration",
                    account_id=args.settings.account_id,
                    tunnel_id=identifier,
                    config=objects.tunnel_configuration(rules, access),
                    opts=pulumi.ResourceOptions(parent=self),
                )
            )
        file, key = cloudflared.secret_items(tunnel)
        args.platform.publish(
            PublishedSecret(
                name=f"{self._prefix}{cloudflared.SECRET}",
                items={file: SecretText.of(key)},
                generated=made is not None,
            ),
            self._secrets.values,
            parent=self,
        )
        local = cloudflared.local_configuration(rules, access) if by_file else None
        connectors = args.platform.workload(
            replace(
                cloudflared.workload(tunnel, args.service, local, self._prefix),
                ingress=scrapers(cloudflared.PORTS, args.monitoring_namespace),
                meets=args.seen.meets,
                ways=args.seen.of(f"{self._prefix}{cloudflared.NAME}"),
            ),
            parent=self,
            after=before,
            fingerprints=self._secrets.fingerprints([key]),
        )
        for index, name in enumerate(names):
            DnsRecord(
                # The main name keeps its record when it changes.
                f"{self._prefix}hostname"
                if index == 0 and name == args.hostnames[0]
                else f"{self._prefix}hostname-{name}",
                objects.tunnel_record(args.settings.zone_id, name, identifier),
                pulumi.ResourceOptions(parent=self, depends_on=[connectors, *behind]),
            )
        for name in dict.fromkeys(rule.hostname for rule in tunnel.rules):
            DnsRecord(
                f"{self._prefix}hostname-{name}",
                objects.tunnel_record(args.settings.zone_id, name, identifier),
                pulumi.ResourceOptions(parent=self, depends_on=[connectors]),
            )

    def _service_url(self) -> str:
        service = self._args.service
        host = self._args.platform.address(service.to) if isinstance(service, Link) else service.host
        if not isinstance(host, str):
            raise TypeError(
                "the host of the service must be known beforehand: cloudflared's rules are checked"
            )
        return f"http://{host}:{service.port}"

    def _made_tunnel(self, tunnel: Tunnel) -> ZeroTrustTunnelCloudflared | None:
        if tunnel.existing is not None:
            return None
        args = self._args
        account = args.settings.account_id
        secret = self._secrets.random_bytes("tunnel-secret", _SECRET_BYTES)
        made = ZeroTrustTunnelCloudflared(
            f"{self._prefix}tunnel",
            account_id=account,
            name=tunnel.name or self._label,
            # Without it the configuration below would never reach a connector.
            config_src="cloudflare",
            tunnel_secret=secret,
            opts=pulumi.ResourceOptions(parent=self, protect=True),
        )
        token = pulumi.Output.all(account=account, tunnel=made.id, secret=secret).apply(
            lambda given: objects.tunnel_token(given["account"], given["tunnel"], given["secret"])
        )
        _, key = cloudflared.secret_items(tunnel)
        self._secrets.add(key, token)
        return made

    # Names

    def _records(self, behind: Sequence[pulumi.Resource]) -> None:
        numbers: dict[str, int] = {}
        for one in self._args.settings.records:
            name = f"{self._prefix}record-{one.name}-{one.type}"
            numbers[name] = numbers.get(name, 0) + 1
            DnsRecord(
                name if numbers[name] == 1 else f"{name}-{numbers[name]}",
                objects.record(self._args.settings.zone_id, one),
                pulumi.ResourceOptions(parent=self, depends_on=behind),
            )

    # What stands in front

    def _zone(self) -> list[pulumi.Resource]:
        settings = self._args.settings
        zone = settings.zone_id
        found: list[pulumi.Resource] = [
            ZoneSetting(
                f"{self._prefix}zone-{name}",
                zone_id=zone,
                setting_id=name,
                value=value,
                opts=pulumi.ResourceOptions(parent=self),
            )
            for name, value in objects.zone_settings(settings).items()
        ]
        if settings.rate_limit is not None:
            limit = objects.login_ruleset(zone, settings.rate_limit)
            found.append(Ruleset(f"{self._prefix}rate-limit", limit, pulumi.ResourceOptions(parent=self)))
        return found

    def _access(self, access: Access) -> list[ZeroTrustAccessApplication]:
        args = self._args
        account = args.settings.account_id
        policies: list[ZeroTrustAccessPolicy] = []
        if access.service_token is not None:
            token = ZeroTrustAccessServiceToken(
                f"{self._prefix}mobile-app",
                account_id=account,
                name=f"{self._label} mobile app",
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
            f"{self._prefix}access-policy-{name}",
            account_id=args.settings.account_id,
            name=f"{self._label} {name}",
            decision=decision,
            includes=includes,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _application(
        self, name: str, domain: str, duration: str, policies: Sequence[ZeroTrustAccessPolicy]
    ) -> ZeroTrustAccessApplication:
        args = self._args
        return ZeroTrustAccessApplication(
            f"{self._prefix}{name}",
            account_id=args.settings.account_id,
            name=f"{self._label} {domain}",
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
