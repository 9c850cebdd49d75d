"""The offline `cloudflare` provider, run with `python -m toolchain.offline.plugins.cloudflare`.

It does not reach Cloudflare: inputs and made-up identifiers are kept in the state, so that a program can be
developed and tested. It refuses on create and update (not in a preview) what Cloudflare itself refuses only
then, replaces what pulumi-cloudflare 6 replaces, and keeps secret what is secret there.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from toolchain.offline.plugins.provider import (
    Checked,
    CheckRequest,
    Created,
    CreateRequest,
    DeleteRequest,
    Diff,
    DiffRequest,
    Failure,
    Provider,
    ProviderError,
    ReadRequest,
    ReadResult,
    Resource,
    Severity,
    UpdateRequest,
)
from toolchain.offline.plugins.structural import compare
from toolchain.offline.plugins.values import (
    UNKNOWN,
    Object,
    Secret,
    Unknown,
    Value,
    as_object,
    as_text,
    dig,
    reveal_object,
)

VERSION = "6.23.1"

_API_TOKEN = re.compile(r"[0-9A-Za-z\-_]{40,80}")
_SECRET_BYTES = 32


def _hex_id() -> str:
    return secrets.token_hex(16)


def _uuid() -> str:
    return str(uuid.uuid4())


def _check_record(inputs: Object) -> None:
    """Cloudflare: a proxied record has the automatic ttl, which is written as 1."""
    ttl = inputs.get("ttl")
    if inputs.get("proxied") is True and ttl != 1:
        raise ProviderError(
            f"DNS record {as_text(inputs.get('name'))}: ttl must be 1 when proxied is true, not {ttl}"
        )
    if isinstance(ttl, (int, float)) and ttl != 1 and not 30 <= ttl <= 86400:
        raise ProviderError(
            f"DNS record {as_text(inputs.get('name'))}: ttl must be 1 (automatic) or 30 to 86400 seconds, "
            f"not {ttl}"
        )


def _check_tunnel(inputs: Object) -> None:
    """Cloudflare: a tunnel's secret is at least 32 bytes, in base64."""
    text = as_text(inputs.get("tunnelSecret"))
    if not text:
        return
    try:
        length = len(base64.b64decode(text, validate=True))
    except binascii.Error:
        raise ProviderError("tunnelSecret must be base64") from None
    if length < _SECRET_BYTES:
        raise ProviderError(
            f"tunnelSecret must be at least {_SECRET_BYTES} bytes before base64, not {length}"
        )


def _check_tunnel_config(inputs: Object) -> None:
    """Cloudflare: the last ingress rule, and only the last, matches everything."""
    rules = dig(inputs, "config", "ingresses")
    if not isinstance(rules, list) or not rules:
        return
    for index, rule in enumerate(rules):
        given = as_object(rule)
        catch_all = as_text(given.get("hostname")) in ("", "*") and not as_text(given.get("path"))
        last = index == len(rules) - 1
        if last and not catch_all:
            raise ProviderError(
                f"config.ingresses[{index}]: the last ingress rule must match all traffic: no hostname and "
                f"no path"
            )
        if catch_all and not last:
            raise ProviderError(
                f"config.ingresses[{index}]: this rule matches all traffic, so the rules after it can never "
                f"match"
            )


def _check_scope(inputs: Object) -> None:
    """Cloudflare: an object belongs to an account or to a zone."""
    if bool(as_text(inputs.get("accountId"))) == bool(as_text(inputs.get("zoneId"))):
        raise ProviderError("exactly one of accountId and zoneId must be given")


def _check_ruleset(inputs: Object) -> None:
    """Cloudflare: rates are counted by data centre, and by something of the client."""
    _check_scope(inputs)
    rules = inputs.get("rules")
    for index, rule in enumerate(rules if isinstance(rules, list) else []):
        counted = dig(as_object(rule), "ratelimit", "characteristics")
        if isinstance(counted, list) and "cf.colo.id" not in counted:
            raise ProviderError(f"rules[{index}].ratelimit.characteristics must contain cf.colo.id")


def _no_check(_inputs: Object) -> None:
    """Cloudflare accepts what the schema accepts."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One resource type.

    `computed` are the outputs that Cloudflare makes, from the inputs and the identifier; `replacing` the
    inputs whose change makes a new object; `defaults` what Cloudflare fills in.
    """

    identify: Callable[[Object], str]
    computed: Callable[[Object, str], Object]
    required: tuple[str, ...]
    replacing: tuple[str, ...]
    check: Callable[[Object], None] = _no_check
    defaults: tuple[tuple[str, Value], ...] = ()
    secret: tuple[str, ...] = ()


def _generated(make: Callable[[], str]) -> Callable[[Object], str]:
    return lambda _inputs: make()


def _tunnel_outputs(inputs: Object, _identifier: str) -> Object:
    return {
        "accountTag": inputs.get("accountId"),
        "status": "inactive",
        "tunType": "cfd_tunnel",
        "remoteConfig": inputs.get("configSrc") == "cloudflare",
        "connections": [],
    }


def _application_outputs(_inputs: Object, _identifier: str) -> Object:
    return {"aud": secrets.token_hex(32)}


def _token_outputs(inputs: Object, _identifier: str) -> Object:
    found: Object = {"clientId": f"{secrets.token_hex(16)}.access", "clientSecret": secrets.token_hex(32)}
    lasts = re.fullmatch(r"(\d+)h", as_text(inputs.get("duration")))
    if lasts is not None:
        ends = datetime.now(UTC) + timedelta(hours=int(lasts[1]))
        found["expiresAt"] = ends.strftime("%Y-%m-%dT%H:%M:%SZ")
    return found


def _nothing(_inputs: Object, _identifier: str) -> Object:
    return {}


_SCOPE = ("accountId", "zoneId")
KINDS: dict[str, Kind] = {
    "cloudflare:index/dnsRecord:DnsRecord": Kind(
        identify=_generated(_hex_id),
        computed=lambda _inputs, _identifier: {"proxiable": True},
        required=("name", "type", "zoneId", "ttl"),
        replacing=("zoneId",),
        check=_check_record,
        defaults=(("proxied", False),),
    ),
    "cloudflare:index/zeroTrustTunnelCloudflared:ZeroTrustTunnelCloudflared": Kind(
        identify=_generated(_uuid),
        computed=_tunnel_outputs,
        required=("accountId", "name"),
        replacing=("accountId", "configSrc"),
        check=_check_tunnel,
        defaults=(("configSrc", "local"),),
        secret=("tunnelSecret",),
    ),
    "cloudflare:index/zeroTrustTunnelCloudflaredConfig:ZeroTrustTunnelCloudflaredConfig": Kind(
        identify=lambda inputs: as_text(inputs.get("tunnelId")),
        computed=lambda _inputs, _identifier: {"version": 1},
        required=("accountId", "tunnelId"),
        replacing=("accountId", "tunnelId"),
        check=_check_tunnel_config,
    ),
    "cloudflare:index/zeroTrustAccessApplication:ZeroTrustAccessApplication": Kind(
        identify=_generated(_uuid),
        computed=_application_outputs,
        required=(),
        replacing=_SCOPE,
        check=_check_scope,
    ),
    "cloudflare:index/zeroTrustAccessPolicy:ZeroTrustAccessPolicy": Kind(
        identify=_generated(_uuid),
        computed=_nothing,
        required=("accountId", "name", "decision"),
        replacing=("accountId",),
    ),
    "cloudflare:index/zeroTrustAccessServiceToken:ZeroTrustAccessServiceToken": Kind(
        identify=_generated(_uuid),
        computed=_token_outputs,
        required=("name",),
        replacing=_SCOPE,
        check=_check_scope,
        defaults=(("duration", "8760h"), ("clientSecretVersion", 1)),
        secret=("clientSecret",),
    ),
    "cloudflare:index/ruleset:Ruleset": Kind(
        identify=_generated(_hex_id),
        computed=lambda _inputs, _identifier: {"version": "1"},
        required=("kind", "name", "phase"),
        replacing=(*_SCOPE, "kind", "phase"),
        check=_check_ruleset,
    ),
    "cloudflare:index/zoneSetting:ZoneSetting": Kind(
        identify=lambda inputs: as_text(inputs.get("settingId")),
        computed=lambda _inputs, _identifier: {"editable": True},
        required=("zoneId", "settingId", "value"),
        replacing=("zoneId", "settingId"),
    ),
}


class CloudflareProvider(Provider):
    """Objects that exist in the state only."""

    name = "cloudflare"
    version = VERSION

    def __init__(self) -> None:
        self._said = False

    def configure(self, settings: Object) -> None:
        token = settings.get("apiToken")
        if not isinstance(token, Unknown) and as_text(token) and not _API_TOKEN.fullmatch(as_text(token)):
            raise ProviderError(
                "cloudflare provider: apiToken must be 40 to 80 letters, digits, '-' or '_': check that the "
                "whole "
                "token was given, not a global API key"
            )

    def _kind(self, request: Resource) -> Kind:
        kind = KINDS.get(request.type)
        if kind is None:
            raise self._unknown_type(request)
        return kind

    def check(self, request: CheckRequest) -> Checked:
        kind = self._kind(request)
        inputs: Object = {key: value for key, value in request.news.items() if value is not None}
        for key in kind.secret:
            if key in inputs and not isinstance(inputs[key], (Secret, Unknown)):
                inputs[key] = Secret(inputs[key])
        failures = [
            Failure(property=key, reason=f"{key} is required by {request.type}")
            for key in kind.required
            if key not in inputs
        ]
        return Checked(inputs=inputs, failures=failures)

    def diff(self, request: DiffRequest) -> Diff:
        kind = self._kind(request)
        # A default that is now written out is no change.
        old, new = ({**dict(kind.defaults), **item} for item in (request.old_inputs, request.news))
        return Diff(
            changes=compare(old, new, lambda path: path.split(".")[0].split("[")[0] in kind.replacing)
        )

    def create(self, request: CreateRequest) -> Created:
        kind = self._kind(request)
        if request.preview:
            unknown: Object = dict.fromkeys(kind.computed(request.inputs, ""), UNKNOWN)
            return Created(id="", outputs=self._outputs(kind, request.inputs, unknown))
        self._say_once()
        plain = reveal_object(request.inputs)
        kind.check(plain)
        identifier = kind.identify(plain)
        return Created(
            id=identifier, outputs=self._outputs(kind, request.inputs, kind.computed(plain, identifier))
        )

    def read(self, request: ReadRequest) -> ReadResult | None:
        self._kind(request)
        if not request.outputs:
            raise ProviderError(
                f"{request.id} cannot be imported or looked up: the offline plugin 'cloudflare' does not "
                f"reach "
                "Cloudflare. Use the official plugin"
            )
        return ReadResult(id=request.id, outputs=request.outputs, inputs=request.inputs)

    def update(self, request: UpdateRequest) -> Object:
        kind = self._kind(request)
        kept: Object = {
            key: value for key, value in request.olds.items() if key not in request.old_inputs and key != "id"
        }
        if not request.preview:
            self._say_once()
            kind.check(reveal_object(request.news))
            old, new = (
                {**dict(kind.defaults), **given}.get("clientSecretVersion")
                for given in (request.old_inputs, request.news)
            )
            if old != new and "clientSecret" in kept:
                kept["clientSecret"] = secrets.token_hex(32)
        return self._outputs(kind, request.news, kept)

    def delete(self, request: DeleteRequest) -> None:
        """Nothing exists outside the state."""

    def invoke(self, token: str, arguments: Object) -> Object:
        raise ProviderError(
            f"{token} asks Cloudflare, which the offline plugin 'cloudflare' does not reach: use the "
            f"official plugin"
        )

    def _outputs(self, kind: Kind, inputs: Object, computed: Object) -> Object:
        outputs = {**dict(kind.defaults), **computed, **inputs}
        for key in kind.secret:
            if key in outputs and not isinstance(outputs[key], (Secret, Unknown)):
                outputs[key] = Secret(outputs[key])
        return outputs

    def _say_once(self) -> None:
        if not self._said:
            self._said = True
            self.host.log(
                Severity.WARNING,
                "the offline plugin 'cloudflare' does not reach Cloudflare: these objects exist in the state "
                "only",
            )


def main() -> int:
    """Serve the provider."""
    from toolchain.offline.plugins.server import serve

    return serve(CloudflareProvider())


if __name__ == "__main__":
    sys.exit(main())
