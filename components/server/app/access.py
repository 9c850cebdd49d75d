"""Immich's own configuration: who gets in, and under which address."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from components.fields.base import Section
from components.fields.urls import OptionalBaseUrl, OptionalUrl, Origin
from components.server.app.secrets import refuse
from components.server.app.values import AtLeastZero, Flag, IdentifierText, Milliseconds

MOBILE_REDIRECT_URI = "app.immich:///oauth-callback"
"""Where the identity provider sends the mobile app back to (three slashes)."""

_ClientSecret = Annotated[None, BeforeValidator(refuse("oauthClientSecret"))]
SigningAlgorithm = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")]


def oauth_redirect_uris(hosts: Sequence[str]) -> list[str]:
    """The redirect URIs to register with the identity provider, for every public host name of the server.

    `hosts` are names without scheme and path, with `:port` where it is not 443; doubles are dropped. Raises
    `ValueError` for anything else. A provider that refuses app.immich:// gets
    `https://HOST/api/oauth/mobile-redirect` instead, with `oauth.mobileOverrideEnabled` and the same text as
    `oauth.mobileRedirectUri` (docs/administration/oauth.md of Immich).
    """
    for host in hosts:
        if not host or "/" in host or host != host.strip():
            raise ValueError(f"expected a host name such as photos.example.com, got {host!r}")
    pages = ("auth/login", "user-settings")
    uris = [f"https://{host}/{page}" for host in dict.fromkeys(hosts) for page in pages]
    return [MOBILE_REDIRECT_URI, *uris]


class AppOAuth(Section):
    """Sign-in through an OpenID Connect provider."""

    enabled: Flag = False
    """Whether users may sign in this way. Needs issuerUrl, clientId, `immich:oauthClientSecret`."""
    issuer_url: OptionalBaseUrl = OptionalBaseUrl("")
    """Address of the provider, or "". http only with allowInsecureRequests."""
    client_id: IdentifierText = ""
    """The client id that the provider gave."""
    client_secret: _ClientSecret = None
    """Never here: `pulumi config set --secret immich:oauthClientSecret`."""
    scope: str = "openid email profile"
    """Scopes asked for, separated by spaces; openid is one of them."""
    prompt: str = ""
    """What the provider is asked to do: login, consent, select_account, or "" for its default."""
    auto_launch: Flag = False
    """Whether the sign-in page goes to the provider by itself."""
    auto_register: Flag = True
    """Whether someone who signs in for the first time gets an account."""
    button_text: str = "Login with OAuth"
    """Text of the button on the sign-in page."""
    token_endpoint_auth_method: Literal["client_secret_post", "client_secret_basic"] = "client_secret_post"
    """How the client secret is sent: client_secret_post or client_secret_basic, as the provider is set."""
    timeout: Milliseconds = 30_000
    """How long Immich waits for the provider, in milliseconds."""
    signing_algorithm: SigningAlgorithm = "RS256"
    """Algorithm that signs the id token, such as RS256."""
    profile_signing_algorithm: SigningAlgorithm = "none"
    """Algorithm that signs the user information, or none."""
    allow_insecure_requests: Flag = False
    """Whether the provider may be reached by http. Newer than Immich 2.5, which ignores it with a warning."""
    default_storage_quota: AtLeastZero | None = None
    """Storage of a new user in GiB where the provider names none, a whole number: with a fraction Immich does not start
    (seen on v3.0.3); null for no limit."""
    storage_label_claim: str = "preferred_username"
    """Claim whose value becomes the new user's storage label."""
    storage_quota_claim: str = "immich_quota"
    """Claim whose value becomes the new user's storage in GiB."""
    role_claim: str = "immich_role"
    """Claim whose value becomes the new user's role, user or admin."""
    mobile_override_enabled: Flag = False
    """Whether the app is sent back to mobileRedirectUri instead of app.immich:///oauth-callback."""
    mobile_redirect_uri: OptionalUrl = OptionalUrl("")
    """`https://HOST/api/oauth/mobile-redirect`, for providers that refuse app.immich://, or ""."""
    end_session_endpoint: OptionalUrl = OptionalUrl("")
    """Where signing out leads, if the provider does not say; or ""."""
    account_management_url: OptionalUrl = OptionalUrl("")
    """Where users change their account at the provider; or "". Newer than Immich 3.1, which ignores it with a
    warning."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.enabled and not self.issuer_url:
            raise ValueError(
                "oauth.enabled is true, which needs oauth.issuerUrl: the address of the provider"
            )
        if self.enabled and not self.client_id:
            raise ValueError(
                "oauth.enabled is true, which needs oauth.clientId: the id that the provider gave"
            )
        if self.enabled and "openid" not in self.scope.split():
            raise ValueError("oauth.scope must contain openid: without it the provider sends no id token")
        if self.issuer_url.is_plain_http and not self.allow_insecure_requests:
            raise ValueError(
                "oauth.issuerUrl is http, which Immich 3 refuses: use https, or set "
                "oauth.allowInsecureRequests to true where nobody can listen in"
            )
        if self.mobile_override_enabled and not self.mobile_redirect_uri:
            raise ValueError(
                "oauth.mobileOverrideEnabled is true, which needs oauth.mobileRedirectUri: "
                "https://HOST/api/oauth/mobile-redirect"
            )
        return self


class AppPasswordLogin(Section):
    """Sign-in by password."""

    enabled: Flag = True
    """Whether users may sign in by password; false only with oauth.enabled."""


class AppServer(Section):
    """The server as people see it."""

    external_domain: Origin = Origin("")
    """Origin of shared links, such as https://photos.example.com, or "" for the address that was used.

    Set by the program from `immich:host`; Immich drops a path.
    """
    login_page_message: str = ""
    """Text on the sign-in page."""
    public_users: Flag = True
    """Whether users see each other's names when they share."""
