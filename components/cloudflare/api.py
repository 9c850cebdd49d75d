"""Cloudflare's provider and resources, in the tokens and wire names of pulumi-cloudflare, without importing it.

Importing the package costs three seconds and 165 MB for a handful of objects (docs/adr/0007-cloudflare-tunnel.md).
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pulumi

from components.secrets.component import given_secret

API_TOKEN_KEY: Final = "cloudflareApiToken"
_TOKEN_VARIABLE: Final = "CLOUDFLARE_API_TOKEN"
_GLOBAL_VARIABLES: Final = ("CLOUDFLARE_API_KEY", "CLOUDFLARE_EMAIL", "CLOUDFLARE_API_USER_SERVICE_KEY")
_GLOBAL_CONFIG: Final = ("cloudflare:apiKey", "cloudflare:email", "cloudflare:apiUserServiceKey")
_API_TOKEN = re.compile(r"[0-9A-Za-z_-]{40,80}")
"""What the provider accepts (terraform-provider-cloudflare, provider.go)."""
_GLOBAL_KEY = re.compile(r"[0-9a-f]{37}")

INPUTS: Final[Mapping[str, frozenset[str]]] = {
    "ZeroTrustTunnelCloudflared": frozenset({"accountId", "name", "configSrc", "tunnelSecret"}),
    "ZeroTrustTunnelCloudflaredConfig": frozenset({"accountId", "tunnelId", "config"}),
    "DnsRecord": frozenset({"zoneId", "name", "type", "content", "ttl", "proxied", "comment"}),
    "ZeroTrustAccessApplication": frozenset(
        {"accountId", "name", "type", "domain", "sessionDuration", "appLauncherVisible", "policies"}
    ),
    "ZeroTrustAccessPolicy": frozenset({"accountId", "name", "decision", "includes"}),
    "ZeroTrustAccessServiceToken": frozenset(
        {"accountId", "name", "duration", "clientSecretVersion", "previousClientSecretExpiresAt"}
    ),
    "Ruleset": frozenset({"zoneId", "kind", "name", "phase", "description", "rules"}),
    "ZoneSetting": frozenset({"zoneId", "settingId", "value"}),
}
"""Wire names of the inputs that this program gives, by resource."""

_SECRET_OUTPUTS: Final[Mapping[str, Sequence[str]]] = {
    "ZeroTrustTunnelCloudflared": ("tunnelSecret",),
    "ZeroTrustAccessServiceToken": ("clientSecret",),
}


def type_token(kind: str) -> str:
    """`DnsRecord` -> `cloudflare:index/dnsRecord:DnsRecord`."""
    return f"cloudflare:index/{kind[0].lower()}{kind[1:]}:{kind}"


def register(
    kind: str,
    name: str,
    inputs: Mapping[str, Any],
    *,
    parent: pulumi.Resource,
    after: Sequence[pulumi.Resource] = (),
    outputs: Sequence[str] = (),
    protect: bool = False,
) -> pulumi.CustomResource:
    """Register an object; inputs that are None are left out. `output` reads those of `outputs`.

    Raises `ValueError` for an input that is not in `INPUTS`: the provider would only say so during the update.
    """
    given = {key: value for key, value in inputs.items() if value is not None}
    unknown = given.keys() - INPUTS[kind]
    if unknown:
        raise ValueError(f"{kind} has no {', '.join(sorted(unknown))}")
    return pulumi.CustomResource(
        type_token(kind),
        name,
        # An output that is no input has to be asked for by an empty place.
        {**dict.fromkeys(outputs), **given},
        pulumi.ResourceOptions(
            parent=parent,
            depends_on=list(after) or None,
            protect=protect or None,
            additional_secret_outputs=list(_SECRET_OUTPUTS.get(kind, ())) or None,
        ),
    )


def output(resource: pulumi.CustomResource, name: str) -> pulumi.Output[str]:
    """An output that `register` was asked for."""
    found: pulumi.Output[str] = resource.__dict__[name]
    return found


def provider() -> pulumi.ProviderResource:
    """Cloudflare's provider with an API token: of the secret config, else of the environment.

    Raises `pulumi.RunError`, which the engine shows without a traceback, when there is no usable token or a global key.
    """
    _refuse_global_key()
    token = given_secret(API_TOKEN_KEY)
    where = f"immich:{API_TOKEN_KEY}"
    if token is None:
        token, where = os.environ.get(_TOKEN_VARIABLE), f"${_TOKEN_VARIABLE}"
        if not token:
            raise pulumi.RunError(
                f"immich:cloudflare needs an API token, and neither immich:{API_TOKEN_KEY} nor ${_TOKEN_VARIABLE} is "
                f"set. Make one with the permissions of docs/cloudflare.md, then: "
                f"pulumi config set --secret immich:{API_TOKEN_KEY}"
            )
    problem = token_problem(token)
    if problem is not None:
        raise pulumi.RunError(f"{where}: {problem}")
    return pulumi.ProviderResource(
        "cloudflare",
        "cloudflare",
        # A token of the environment reaches the plugin by itself, and then is in no state.
        {"apiToken": pulumi.Output.secret(token)} if where.startswith("immich:") else {},
        pulumi.ResourceOptions(version=plugin_version(), additional_secret_outputs=["apiToken"]),
    )


def token_problem(token: str) -> str | None:
    """Why a text cannot be an API token, or None. Nothing of the text is in the reason."""
    if _GLOBAL_KEY.fullmatch(token) is not None:
        return "is a global API key, which may do everything; make an API token (docs/cloudflare.md)"
    if token.lower().startswith("bearer "):
        return "begins with the word Bearer; give the token alone"
    if token != token.strip():
        return "has a space or a line break around it; give the token alone"
    if _API_TOKEN.fullmatch(token) is None:
        return (
            f"is no API token: those have 40 to 80 letters, digits, - and _, and this has {len(token)} characters"
            + ("" if 40 <= len(token) <= 80 else ", so it may be cut off, or another key")
        )
    return None


def _refuse_global_key() -> None:
    from pulumi.runtime import config

    found = [f"${name}" for name in _GLOBAL_VARIABLES if os.environ.get(name)]
    found += [key for key in _GLOBAL_CONFIG if config.get_config(key) is not None]
    if found:
        raise pulumi.RunError(
            f"{', '.join(found)}: a global API key may do everything with the account, so it is not used. Unset it "
            f"and give an API token with the permissions of docs/cloudflare.md: "
            f"pulumi config set --secret immich:{API_TOKEN_KEY}"
        )


def plugin_version() -> str:
    """Version of the plugin that belongs to the installed pulumi-cloudflare, read without importing it."""
    spec = importlib.util.find_spec("pulumi_cloudflare")
    if spec is None or not spec.submodule_search_locations:
        raise pulumi.RunError("the package pulumi-cloudflare is not installed: run make setup")
    text = (Path(spec.submodule_search_locations[0]) / "pulumi-plugin.json").read_text(encoding="utf-8")
    version: str = json.loads(text)["version"]
    return version
