"""The offline cloudflare plugin, driven by the real engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.harness.engine import Engine, Missing, find_cli

pytestmark = [pytest.mark.deep(unless_changed=("toolchain/offline/plugins",)), pytest.mark.engine]

HEADER = """
import pulumi

LIMIT = {"ratelimit": {"characteristics": ["ip.src"], "period": 10}}

def make(kind, resource, /, **inputs):
    token = f"cloudflare:index/{kind[0].lower()}{kind[1:]}:{kind}"
    return pulumi.CustomResource(token, resource, {**dict.fromkeys(("clientSecret", "clientId", "aud")), **inputs})

"""
TUNNEL = (
    'make("ZeroTrustTunnelCloudflared", "tunnel", accountId="a", name="{name}", '
    'configSrc="{source}", tunnelSecret="{secret}")\n'
)
RULES = """
make("ZeroTrustTunnelCloudflaredConfig", "c", accountId="a", tunnelId="t",
     config={"ingresses": [{"hostname": "p", "service": "http://x"}]})
"""
SECRET = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    cli = find_cli()
    if isinstance(cli, Missing):
        pytest.skip(cli.reason)
    return Engine.create(tmp_path, cli)


def test_objects_live_in_the_state_and_a_second_up_changes_nothing(engine: Engine) -> None:
    engine.program(
        HEADER
        + TUNNEL.format(name="t", source="cloudflare", secret=SECRET)
        + """
make("DnsRecord", "record", zoneId="z", name="p.example.org", type="CNAME", ttl=1, proxied=True, content="x")
make("ZeroTrustAccessServiceToken", "token", accountId="a", name="phone")
make("ZoneSetting", "setting", zoneId="z", settingId="ssl", value="strict")
"""
    )
    result = engine.up()
    assert "does not reach Cloudflare" in result.text
    assert engine.up().changes == {}
    assert engine.up("--refresh").changes.keys() <= {"tunnel", "record", "token", "setting"}
    stored = engine.resources()
    assert "ciphertext" in json.dumps(stored["token"]["outputs"]["clientSecret"])
    assert stored["setting"]["id"] == "ssl"
    assert SECRET not in json.dumps(engine.export()) + result.text
    engine.destroy()
    assert engine.resources() == {}


def test_another_version_of_a_service_tokens_secret_is_another_secret_and_the_default_said_aloud_is_not(
    engine: Engine,
) -> None:
    token = (
        'token = make("ZeroTrustAccessServiceToken", "token", accountId="a", name="phone"{more})\n'
        'pulumi.export("s", token.clientSecret)\n'
    )
    engine.program(HEADER + token.format(more=""))
    engine.up()
    shown = ("stack", "output", "s", "--show-secrets", "--stack", engine.stack)
    first = engine.run(*shown).stdout
    engine.program(HEADER + token.format(more=", clientSecretVersion=1"))
    engine.up()
    assert engine.run(*shown).stdout == first
    engine.program(HEADER + token.format(more=", clientSecretVersion=2"))
    assert engine.up().changes == {"token": ["update"]}
    assert engine.run(*shown).stdout != first
    assert first.strip() not in json.dumps(engine.export())


def test_another_tunnel_name_is_an_update_and_another_config_source_a_replacement(engine: Engine) -> None:
    engine.program(HEADER + TUNNEL.format(name="t", source="cloudflare", secret=SECRET))
    engine.up()
    before = engine.resources()["tunnel"]["id"]
    engine.program(HEADER + TUNNEL.format(name="u", source="cloudflare", secret=SECRET))
    assert engine.up().changes == {"tunnel": ["update"]}
    assert engine.resources()["tunnel"]["id"] == before
    engine.program(HEADER + TUNNEL.format(name="u", source="local", secret=SECRET))
    assert "create-replacement" in engine.up().changes["tunnel"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            'make("DnsRecord", "r", zoneId="z", name="p", type="CNAME", ttl=300, proxied=True, content="x")',
            "ttl must be 1 when proxied is true, not 300",
        ),
        (
            RULES,
            "the last ingress rule must match all traffic",
        ),
        (
            'make("ZeroTrustAccessServiceToken", "t", accountId="a", zoneId="z", name="phone")',
            "exactly one of accountId and zoneId",
        ),
        (
            'make("Ruleset", "r", zoneId="z", kind="zone", name="n", phase="http_ratelimit", rules=[LIMIT])',
            "must contain cf.colo.id",
        ),
        (
            TUNNEL.format(name="t", source="cloudflare", secret="c2hvcnQ="),
            "at least 32 bytes before base64, not 5",
        ),
    ],
)
def test_what_cloudflare_refuses_on_apply_passes_preview_and_fails_up(
    engine: Engine, body: str, message: str
) -> None:
    engine.program(HEADER + body + "\n")
    assert engine.preview().returncode == 0
    failed: Any = engine.up(check=False)
    assert failed.returncode != 0
    assert message in failed.text
    assert "Traceback" not in failed.text
