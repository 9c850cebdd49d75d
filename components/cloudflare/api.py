"""Cloudflare's provider: where its token comes from, and what is refused before anything is asked of Cloudflare."""

from __future__ import annotations

import gc
import os
import re
from typing import TYPE_CHECKING, Final

import pulumi

from components.secrets.component import given_secret

if TYPE_CHECKING:
    from pulumi_cloudflare import Provider

API_TOKEN_KEY: Final = "cloudflareApiToken"
_TOKEN_VARIABLE: Final = "CLOUDFLARE_API_TOKEN"
_GLOBAL_VARIABLES: Final = ("CLOUDFLARE_API_KEY", "CLOUDFLARE_EMAIL", "CLOUDFLARE_API_USER_SERVICE_KEY")
_GLOBAL_CONFIG: Final = ("cloudflare:apiKey", "cloudflare:email", "cloudflare:apiUserServiceKey")
_API_TOKEN = re.compile(r"[0-9A-Za-z_-]{40,80}")
"""What the provider accepts (terraform-provider-cloudflare, provider.go)."""
_GLOBAL_KEY = re.compile(r"[0-9a-f]{37}")


def provider() -> Provider:
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
    # Nothing of the package's thousands of classes is garbage: looking for some is a quarter of the time.
    gc.disable()
    try:
        from pulumi_cloudflare import Provider
    finally:
        gc.enable()
    # A token of the environment reaches the plugin by itself, and then is in no state.
    return Provider("cloudflare", api_token=token if where.startswith("immich:") else None)


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
