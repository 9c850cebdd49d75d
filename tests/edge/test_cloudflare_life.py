"""Cloudflare's objects and the connectors through the real engine: made, changed, rotated and taken away again."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.harness.objects import of_kind
from tests.harness.stacks import Deployment, Step, changes, require_cli, steps
from tests.unit.cloudflare.programs import ACCOUNT, API_TOKEN, BASE, EXISTING, FULL, sections

pytestmark = pytest.mark.engine

CLOUDFLARE = "cloudflare:index/"
PUBLIC = {"name": "photos.example.com", "type": "A", "content": "93.184.216.34"}
KEPT = {"tunnel", "tunnel-secret"}
"""Names of what no change of settings may replace or delete."""


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A stack that is up, with every kind of object. Nobody may change it."""
    cli = require_cli()
    made = Deployment.create(
        tmp_path_factory.mktemp("cloudflare"), cli, "home", sections(FULL), secrets={"cloudflareApiToken": API_TOKEN}
    )  # fmt: skip
    made.up()
    return made


@pytest.fixture
def stack(original: Deployment, tmp_path: Path) -> Deployment:
    """A copy of it that may be changed."""
    copy = original.copy(tmp_path / "copy")
    copy.said = list(original.said)
    return copy


def at_cloudflare(found: list[Step]) -> dict[str, str]:
    """Operation by name, of what is at Cloudflare."""
    return {one.name: one.op for one in found if one.type.startswith(CLOUDFLARE)}


def state(stack: Deployment, name: str, *, show: bool = False) -> dict[str, Any]:
    resources = stack.export(show_secrets=show)["deployment"]["resources"]
    (found,) = [one for one in resources if one["urn"].endswith(f"::{name}")]
    return found


def plaintext(value: dict[str, Any]) -> str:
    text: str = json.loads(value["plaintext"])
    return text


def rendered_token(stack: Deployment) -> dict[str, str]:
    """The token that the connectors get, decoded."""
    (file,) = stack.rendered.rglob("v1-secret-immich-immich-cloudflared.yaml")
    manifest = yaml.safe_load(file.read_text(encoding="utf-8"))
    decoded: dict[str, str] = json.loads(base64.b64decode(manifest["stringData"]["token"]))
    return decoded


def everything_printed_or_stored(stack: Deployment) -> Iterator[str]:
    yield from stack.said
    yield json.dumps(stack.export())
    yield json.dumps(stack.engine.outputs())
    for file in stack.state_files:
        yield file.read_text(encoding="utf-8")


def test_a_second_up_and_a_refresh_change_nothing(stack: Deployment) -> None:
    files = stack.files()
    assert changes(stack.up("--expect-no-changes")) == {}
    assert changes(stack.up("--refresh", "--expect-no-changes")) == {}
    assert stack.files() == files


def test_the_connectors_get_the_token_of_the_tunnel_that_was_made(stack: Deployment) -> None:
    tunnel = state(stack, "tunnel", show=True)
    assert rendered_token(stack) == {
        "a": ACCOUNT,
        "t": tunnel["id"],
        "s": plaintext(tunnel["inputs"]["tunnelSecret"]),
    }
    assert len(base64.b64decode(rendered_token(stack)["s"])) == 32
    assert stack.engine.outputs()["tunnelId"] == tunnel["id"]
    assert state(stack, "hostname")["outputs"]["content"] == f"{tunnel['id']}.cfargotunnel.com"


def test_no_secret_is_printed_or_stored_in_the_clear(stack: Deployment) -> None:
    token = state(stack, "mobile-app", show=True)
    decoded = rendered_token(stack)
    encoded = base64.b64encode(json.dumps(decoded, separators=(",", ":")).encode()).decode()
    secrets = [API_TOKEN, decoded["s"], encoded, plaintext(token["outputs"]["clientSecret"])]
    stack.up()
    stack.run("stack", "output")
    for text in everything_printed_or_stored(stack):
        assert not [index for index, secret in enumerate(secrets) if secret in text]
    assert stack.engine.outputs()["accessClientSecret"] == "[secret]"


@pytest.mark.deep
def test_another_host_name_is_an_update_in_place(stack: Deployment) -> None:
    before = state(stack, "tunnel")["id"]
    host = stack.settings()["host"]
    stack.change("host", **{**host, "name": "pictures.example.com"})
    done = steps(stack.up())
    assert at_cloudflare(done) == {
        "hostname": "update",
        "tunnel-configuration": "update",
        "access": "update",
    }
    assert {one.op for one in done} == {"update"}
    assert state(stack, "hostname")["outputs"]["name"] == "pictures.example.com"
    assert state(stack, "tunnel")["id"] == before


@pytest.mark.deep
def test_a_rotated_service_token_has_another_secret_and_everything_else_stays(stack: Deployment) -> None:
    before = state(stack, "mobile-app", show=True)
    access = {**FULL["access"], "serviceToken": {**FULL["access"]["serviceToken"], "clientSecretVersion": 3}}
    stack.change("cloudflare", access=access)
    done = steps(stack.up())
    assert {one.name: one.op for one in done} == {"mobile-app": "update"}
    after = state(stack, "mobile-app", show=True)
    assert after["id"] == before["id"]
    assert after["outputs"]["clientId"] == before["outputs"]["clientId"]
    assert after["outputs"]["clientSecret"] != before["outputs"]["clientSecret"]


@pytest.mark.deep
def test_the_end_of_the_service_token_is_an_output_and_then_an_alert(stack: Deployment) -> None:
    ends = datetime.fromisoformat(stack.engine.outputs()["accessTokenExpiresAt"])
    assert timedelta(days=364) < ends - datetime.now(UTC) < timedelta(days=366)
    stack.change("kubernetes", **{**stack.settings()["kubernetes"], "monitoringNamespace": "monitoring"})
    stack.change("monitoring", kind="operator")
    stack.up()
    (rule,) = of_kind(stack.manifests(), "PrometheusRule")
    rules = {
        one.get("alert") or one["record"]: one for group in rule["spec"]["groups"] for one in group["rules"]
    }
    recorded = rules["immich:service_token_expiry:timestamp_seconds"]
    assert recorded["expr"] == f"vector({int(ends.timestamp())})"
    assert "ImmichServiceTokenExpires" in rules


@pytest.mark.deep
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tunnel", {"name": "another", "protocol": "quic", "replicas": 3, "gracePeriod": "30s"}),
        ("rateLimit", {"requests": 20}),
        ("records", []),
        ("zoneSettings", {"manage": False}),
    ],
)
def test_no_change_of_settings_replaces_the_tunnel_or_its_secret(
    stack: Deployment, key: str, value: object
) -> None:
    before = {name: state(stack, name, show=True)["outputs"] for name in KEPT}
    section = {**stack.settings()["cloudflare"], key: value}
    stack.write_settings(sections(section))
    done = steps(stack.up())
    assert done
    assert not [one for one in done if one.destroys and one.name in KEPT]
    after = {name: state(stack, name, show=True)["outputs"] for name in KEPT}
    assert after["tunnel-secret"] == before["tunnel-secret"]
    assert after["tunnel"]["tunnelSecret"] == before["tunnel"]["tunnelSecret"]


@pytest.mark.deep
def test_another_account_is_refused_before_anything_is_changed(stack: Deployment) -> None:
    before = stack.contents()
    stack.change("cloudflare", accountId="f" * 32)
    refused = stack.do("preview", check=False)
    assert refused.returncode != 0
    assert "protect" in refused.text
    assert stack.contents() == before


@pytest.mark.deep
def test_names_go_first_then_connectors_then_configuration_then_the_tunnel(stack: Deployment) -> None:
    stack.run("state", "unprotect", "--all", "--yes")
    gone = [_name(event) for event in stack.do("destroy").events if _deleted(event)]
    connectors = gone.index(("Deployment", "immich/immich-cloudflared"))
    for name in ("hostname", "hostname-notes.example.com"):
        assert gone.index(("DnsRecord", name)) < connectors
    nginx = gone.index(("Deployment", "immich/immich-proxy"))
    assert gone.index(("DnsRecord", "record-upload.example.com-A")) < nginx
    configuration = gone.index(("ZeroTrustTunnelCloudflaredConfig", "tunnel-configuration"))
    tunnel = gone.index(("ZeroTrustTunnelCloudflared", "tunnel"))
    assert connectors < configuration < tunnel < gone.index(("RandomBytes", "tunnel-secret"))
    guards = ("ZeroTrustAccessApplication", "access"), ("Ruleset", "rate-limit")
    assert gone.index(("DnsRecord", "hostname")) < min(gone.index(one) for one in guards)
    assert [one for one in stack.state() if one.type.startswith(CLOUDFLARE)] == []


def _deleted(event: dict[str, Any]) -> bool:
    return event.get("resOutputsEvent", {}).get("metadata", {}).get("op") == "delete"


def _name(event: dict[str, Any]) -> tuple[str, str]:
    metadata = event["resOutputsEvent"]["metadata"]
    return metadata["type"].rsplit(":", 1)[-1], metadata["urn"].rsplit("::", 1)[-1]


def test_destroy_without_what_is_protected_keeps_the_tunnel_and_up_finds_it_again(stack: Deployment) -> None:
    before = rendered_token(stack)
    done = stack.do("destroy", "--exclude-protected")
    assert not [one for one in steps(done) if one.name in KEPT]
    again = steps(stack.up())
    assert not [one for one in again if one.name in KEPT]
    assert rendered_token(stack) == before


@pytest.mark.deep
def test_a_tunnel_that_exists_is_neither_made_nor_taken_away(tmp_path: Path) -> None:
    credentials = json.dumps({"AccountTag": ACCOUNT, "TunnelSecret": "c2VjcmV0", "TunnelID": EXISTING})
    stack = Deployment.create(
        tmp_path,
        require_cli(),
        "home",
        sections({**BASE, "tunnel": {"existing": {"id": EXISTING}}}),
        secrets={"cloudflareApiToken": API_TOKEN, "cloudflareTunnelCredentials": credentials},
    )
    stack.up()
    kinds = {one.type for one in stack.state() if one.type.startswith(CLOUDFLARE)}
    assert {kind.rsplit(":", 1)[-1] for kind in kinds} == {"DnsRecord", "ZoneSetting"}
    assert state(stack, "hostname")["outputs"]["content"] == f"{EXISTING}.cfargotunnel.com"
    assert changes(stack.up("--expect-no-changes")) == {}
    text = stack.files()["1-manifest/v1-configmap-immich-immich-cloudflared.yaml"][1]
    assert "http://immich-proxy:8082" in text
    assert not any("c2VjcmV0" in text for text in everything_printed_or_stored(stack))


@pytest.mark.deep
def test_a_token_of_the_environment_is_in_no_state_and_a_global_key_stops_everything(tmp_path: Path) -> None:
    settings = sections({**BASE, "tunnel": {}})
    stack = Deployment.create(tmp_path, require_cli(), "home", settings, stand_ins=False)
    stack.engine.env["CLOUDFLARE_API_TOKEN"] = API_TOKEN
    stack.up()
    assert not any(API_TOKEN in text for text in everything_printed_or_stored(stack))
    (provider,) = [one for one in stack.state() if one.type == "pulumi:providers:cloudflare"]
    assert "apiToken" not in json.dumps(provider.inputs)
    before = stack.contents()
    stack.engine.env["CLOUDFLARE_API_KEY"] = "hunter2hunter2"
    refused = stack.do("up", check=False)
    assert refused.returncode != 0
    assert "$CLOUDFLARE_API_KEY: a global API key may do everything" in refused.text
    assert "Traceback" not in refused.text
    assert "hunter2" not in refused.text
    assert stack.contents() == before


@pytest.mark.parametrize(
    ("secrets", "words"),
    [
        ({}, "immich:cloudflare needs an API token"),
        pytest.param(
            {"cloudflareApiToken": "hunter2hunter2"},
            "immich:cloudflareApiToken: is no API token",
            marks=pytest.mark.deep,
        ),
        ({"cloudflareApiToken": "0123456789abcdef0123456789abcdef01234"}, "is a global API key"),
    ],
)
def test_without_a_usable_token_nothing_is_made(tmp_path: Path, secrets: dict[str, str], words: str) -> None:
    stack = Deployment.create(
        tmp_path, require_cli(), "home", sections({**BASE, "tunnel": {}}), secrets=secrets, stand_ins=False
    )
    refused = stack.do("preview", check=False)
    assert refused.returncode != 0
    assert words in refused.text
    assert "Traceback" not in refused.text
    assert not any(secret in refused.text for secret in secrets.values())


@pytest.mark.deep
def test_cloudflares_global_key_in_pulumis_own_config_is_refused(tmp_path: Path) -> None:
    stack = Deployment.create(
        tmp_path,
        require_cli(),
        "home",
        sections({**BASE, "tunnel": {}}),
        secrets={"cloudflareApiToken": API_TOKEN},
    )
    stack.run("config", "set", "--secret", "cloudflare:apiKey", "hunter2hunter2")
    refused = stack.do("preview", check=False)
    assert "cloudflare:apiKey: a global API key may do everything" in refused.text
    assert "hunter2" not in refused.text


@pytest.mark.deep
@pytest.mark.parametrize(
    ("section", "words"),
    [
        (
            {"records": [{**PUBLIC, "proxied": True, "ttl": 300}]},
            "a proxied record has an automatic one",
        ),
        (
            {"tunnel": {"rules": [{"hostname": "x.example.com", "service": "bastion"}]}},
            "leads wherever the client asks",
        ),
        ({"tunnel": {"gracePeriod": "5m"}}, "cloudflared does not start with more"),
    ],
)  # fmt: skip
def test_what_cloudflare_would_refuse_later_stops_the_preview(
    tmp_path: Path, section: dict[str, Any], words: str
) -> None:
    stack = Deployment.create(
        tmp_path,
        require_cli(),
        "home",
        sections({**BASE, **section}),
        secrets={"cloudflareApiToken": API_TOKEN},
    )
    refused = stack.do("preview", check=False)
    assert refused.returncode != 0
    assert words in refused.text
    assert "Traceback" not in refused.text


@pytest.mark.deep
def test_a_stack_that_leaves_cloudflare_out_must_say_that_the_tunnel_may_go(stack: Deployment) -> None:
    found = stack.settings()
    stack.write_settings({key: value for key, value in found.items() if key != "cloudflare"})
    refused = stack.do("preview", check=False)
    assert refused.returncode != 0
    assert "protect" in refused.text
