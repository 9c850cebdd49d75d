"""What is taken for a secret, and what is not: by name, by form, by entropy."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immich_policy.model import registered
from immich_policy.secrets.values import entropy, names_a_secret, secret_in
from tests.policy.case_files import RULES, findings

CERTIFICATE = (
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBhTCCASugAwIBAgIQIRi6zePL6mKjOipn+dNuaTAKBggqhkjOPQQDAjASMRAw\n"
    "DgYDVQQKEwdBY21lIENvMB4XDTE3MTAyMDE5NDMwNloXDTE4MTAyMDE5NDMwNlow\n"
    "-----END CERTIFICATE-----\n"
)
KEY = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ\n-----END PRIVATE KEY-----\n"

DIGEST = "sha256:db996e352359771c6a3db121a0ed8761516b22f727fc092a0f46dcfef82c1bc1"
EXPRESSION = (
    'sum(rate(http_server_request_duration_seconds_bucket{job="immich-api",le="0.5"}[5m])) by (le) '
    "/ ignoring(le) immich_jobs_asset_generate_thumbnails_success_total"
)
CHECK = 'REDISCLI_AUTH="$(cat /run/secrets/cache/password)" valkey-cli -t 3 ping | grep -q PONG'

ORDINARY = {
    "a path under a telling name": ("DB_PASSWORD_FILE", "/run/secrets/database/password"),
    "a path where a value could stand": ("REDIS_PASSWORD", "/run/secrets/cache/password"),
    "an image": ("image", f"ghcr.io/immich-app/immich-server:v3.3.1@{DIGEST}"),
    "a digest": ("digest", DIGEST),
    "a hash of a content policy": ("csp", "script-src 'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"),
    "a UUID": ("tunnel", "6ff42ae2-765d-4adf-8112-31c55c1551ef"),
    "a UUID of a GPU": ("NVIDIA_VISIBLE_DEVICES", "GPU-5e2c1f0a-1d6e-4a6f-8b0e-111122223333"),
    "an account": ("accountId", "023e105f4ecef8ad9ca31a8372d0c353"),
    "a certificate": ("ca.pem", CERTIFICATE),
    "a certificate in base64": ("caBundle", base64.b64encode(CERTIFICATE.encode()).decode()),
    "a fingerprint of ours": ("immich/secret-cache-password", "7b0b902807041f6f"),
    "a fingerprint of ours with Docker": ("immich.secret-cache-password", "7b0b902807041f6f"),
    "a revision of ours": ("immich/revision-app", "32998cbbc6cec8cf"),
    "a checksum of a chart": ("checksum/config", "7b0b902807041f6f" * 4),
    "an expression of Prometheus": ("expr", EXPRESSION),
    "a schedule": ("schedule", "0 0 2 * * *"),
    "a model": ("MACHINE_LEARNING_PRELOAD__CLIP__VISUAL", "ViT-SO400M-16-SigLIP2-384__webli"),
    "a reference of Kubernetes": ("REDIS_PASSWORD", "$(CACHE_PASSWORD)"),
    "a reference of a shell": ("", CHECK),
    "a place of External Secrets": ("valkey.conf", "requirepass {{ .cachePassword | toString }}\n"),
    "a header of nginx": ("nginx.conf", "proxy_set_header X-Token $http_x_token;\nproxy_pass http://immich;\n"),
    "prose": ("comment", "The token is read from a file; password: see the vault"),
    "a duration": ("TOKEN_TTL", "3600"),
    "a switch": ("oauthSecretRotation", "true"),
    "an address with a user alone": ("DB_URL", "postgres://immich@database:5432/immich"),
    "an address of a sign-in server": ("issuerUrl", "https://auth.example.com/application/o/immich/oauth2/token?x=1"),
    "a time zone": ("TZ", "America/Argentina/ComodRivadavia"),
    "a name of a Secret": ("secretName", "immich-database-owner-01"),
    "a long word": ("pluginName", "barman-cloud.cloudnative-pg.io"),
}  # fmt: skip

SECRETS = {
    "the default of the compose file": ("DB_PASSWORD", "postgres"),
    "a short key": ("apiKey", "abc"),
    "a name with a number": ("S3_SECRET_KEY_1", "minio123"),
    "a password in an address": ("x", "postgresql://immich:pw@db/immich"),
    "random text under a dull name": ("FOO", "Xk9mP2qR7vT4wY8zA3bC"),
    "random text with separators": ("FOO", "aZ3dK9fLq0PzR7mT_xV2bN8s-Q"),
    "random text of lower case": ("FOO", "k3j9x0q7m2z8v5b1n4c6d9f0"),
    "an option of Valkey": ("", "--requirepass hunter22"),
    "a line of Valkey": ("valkey.conf", "maxmemory 1gb\nrequirepass s3cr3tpass\n"),
    "a token of a tunnel": ("", "--token=eyJhIjoiMDIzZTEwNWY0ZWNlZjhhZDljYTMxYTgzNzJkMGMzNTMiLCJ0IjoiYWJj"),
    "a signed token": ("x", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NSJ9.SflKxwRJSMeKKF2QT4fw"),
    "a key of S3": ("x", "AKIAIOSFODNN7EXAMPLE"),
    "a private key": ("tls.key", KEY),
    "a private key in base64": ("bundle", base64.b64encode(KEY.encode()).decode()),
    "a private key beside a certificate": ("tls.pem", CERTIFICATE + KEY),
    "hexadecimal under a telling name": ("JWT_SECRET", "0f1e2d3c4b5a69788796a5b4c3d2e1f0"),
    "no fingerprint": ("immich/secret-cache-password", "hunter2!"),
    "hexadecimal under a name that is no fingerprint's": ("auth.secret", "7b0b902807041f6f"),
    "a field of a connection": ("options", "user=immich password=abc123 host=db"),
    "a field of JSON": ("immich.json", '{"oauth": {"clientSecret": "Kq83nfLw02hfQz9d"}}'),
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), ORDINARY.values(), ids=ORDINARY)
def test_an_ordinary_value_is_not_taken_for_a_secret(name: str, value: str) -> None:
    assert secret_in(name, value) is None


@pytest.mark.parametrize(("name", "value"), SECRETS.values(), ids=SECRETS)
def test_a_secret_is_found_and_the_reason_does_not_tell_it(name: str, value: str) -> None:
    reason = secret_in(name, value)
    assert reason is not None
    assert value not in reason


@pytest.mark.parametrize(
    "name", ["DB_PASSWORD", "clientSecret", "API_KEY", "auth.token", "rootPassword2", "DB_PASS"]
)
def test_a_name_for_secrets_is_known(name: str) -> None:
    assert names_a_secret(name)


@pytest.mark.parametrize(
    "name",
    ["DB_PASSWORD_FILE", "secretName", "tokenTtl", "passwordSecretRef", "proxy_pass", "compass", "monkey"],
)
def test_a_name_that_points_to_a_secret_is_not_one(name: str) -> None:
    assert not names_a_secret(name)


@given(st.text(), st.text())
def test_any_text_is_judged_without_an_error(name: str, value: str) -> None:
    reason = secret_in(name, value)
    assert reason is None or isinstance(reason, str)


@given(st.text(min_size=1))
def test_entropy_is_between_nothing_and_that_of_all_different(value: str) -> None:
    assert 0 <= entropy(value) <= len(value).bit_length() + 1


@pytest.mark.parametrize(("name", "value"), SECRETS.values(), ids=SECRETS)
def test_a_finding_never_has_the_value(name: str, value: str) -> None:
    container = {"name": "server", "env": [{"name": name, "value": value}], "args": [value]}
    labels = {
        "template": {"metadata": {"annotations": {name or "x": value}}, "spec": {"containers": [container]}}
    }
    found = [
        registered("kubernetes:apps/v1:Deployment", "server", {"spec": labels}),
        registered("kubernetes:core/v1:ConfigMap", "config", {"data": {name or "x": value}}),
        registered(
            "docker:index/container:Container", "c", {"envs": [f"{name}={value}"], "command": [value]}
        ),
    ]
    said = [one for _, one in findings(RULES.values(), found)]
    assert any(one.resource.name == "config" for one in said)
    for one in said:
        assert value not in one.message + one.setting + one.path
