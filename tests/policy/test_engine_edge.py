"""The pack in `pulumi preview`, by the real engine, on programs that have nothing of this repository."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from immich_policy import rules
from tests.harness.engine import Engine, Missing, Result, find_cli
from tests.harness.program import ROOT

pytestmark = pytest.mark.engine

PACK = str(ROOT / "policy")
PROGRAM = """
import pulumi
import pulumi_kubernetes as k8s
import pulumi_random as random

opts = pulumi.ResourceOptions(provider=k8s.Provider("render", render_yaml_to_directory="out"))
space = k8s.core.v1.Namespace("photos", metadata={{"name": "photos"}}, opts=pulumi.ResourceOptions(
    provider=opts.provider, protect=True))

NGINX = '''{nginx}'''

def deployment(name, container, **pod):
    k8s.apps.v1.Deployment(name, metadata={{"name": name, "namespace": "photos"}}, spec={{
        "selector": {{"match_labels": {{"app": name}}}},
        "template": {{"metadata": {{"labels": {{"app": name}}}}, "spec": {{"containers": [container], **pod}}}},
    }}, opts=opts)

made = random.RandomPassword("made", length=20, opts=pulumi.ResourceOptions(provider=random.Provider("random")))
k8s.core.v1.ConfigMap("files", metadata={{"name": "files", "namespace": "photos"}}, data={{"nginx.conf": NGINX}},
    opts=opts)
deployment("immich-server", {{
    "name": "server", "image": "ghcr.io/immich-app/immich-server:v3.3.1",
    "env": [{{"name": "DB_PASSWORD", "value": made.result}}, {{"name": "IMMICH_TRUSTED_PROXIES", "value": {trusted}}}],
}})
k8s.core.v1.Service("immich-server", metadata={{"name": "immich-server", "namespace": "photos"}}, spec={{
    "selector": {{"app": "immich-server"}}, "ports": [{{"port": 2283}}]}}, opts=opts)
deployment("nginx", {{
    "name": "nginx", "image": "docker.io/nginxinc/nginx-unprivileged:1.31.6",
    "volume_mounts": [{{"name": "files", "mount_path": "/etc/nginx"}}],
}}, volumes=[{{"name": "files", "config_map": {{"name": "files"}}}}])
"""
NGINX = """events {}
http {
    client_max_body_size 50g;
    server {
        listen 8080;
        location / {
            proxy_pass http://immich-server:2283;
            proxy_request_buffering off;
            proxy_read_timeout 600s;
            proxy_send_timeout 600s;
            send_timeout 600s;
            proxy_set_header X-Forwarded-For $remote_addr;
        }
    }
}
"""
FAMILIES = ("uploads", "proxies")


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    cli = find_cli()
    if isinstance(cli, Missing):
        pytest.skip(cli.reason)
    return Engine.create(tmp_path, cli)


def preview(
    engine: Engine, *, nginx: str = NGINX, trusted: str = '"10.42.0.0/16"', **settings: object
) -> Result:
    """A preview with the pack, which is configured with the range of pods."""
    file = engine.directory / "policy.json"
    file.write_text(json.dumps({"immich-pack": {"podRanges": ["10.42.0.0/16"], **settings}}))
    engine.program(PROGRAM.format(nginx=nginx, trusted=trusted))
    return engine.operate("preview", "--policy-pack", PACK, "--policy-pack-config", str(file), check=False)


def violations(result: Result) -> dict[str, tuple[str, str]]:
    """Rule -> level and message of each violation of these families, and of the report."""
    found = [event["policyEvent"] for event in result.events if "policyEvent" in event]
    assert found, result.text
    return {
        one["policyName"]: (one["enforcementLevel"], one["message"])
        for one in found
        if one["policyName"].startswith(FAMILIES) or one["policyName"].startswith("immich-")
    }


def test_what_is_right_breaks_no_rule_of_these_families(engine: Engine) -> None:
    result = preview(engine)
    assert set(violations(result)) <= {"immich-report"}
    assert "Traceback" not in result.text


def test_uploads_that_nginx_would_cut_and_a_client_that_could_choose_its_address_stop_a_preview(
    engine: Engine,
) -> None:
    nginx = NGINX.replace("50g", "50m").replace("proxy_read_timeout 600s", "proxy_read_timeout 30s")
    nginx = nginx.replace("$remote_addr", "$proxy_add_x_forwarded_for")
    result = preview(engine, nginx=nginx, uploadSize="20 GiB", trusted='"0.0.0.0/0,10.42.7.0/16"')
    found = violations(result)
    found.pop("immich-report", None)
    assert result.returncode != 0
    assert set(found) == {
        "uploads-nginx-size", "uploads-nginx-timeouts", "proxies-narrow", "proxies-written", "proxies-overwritten",
    }  # fmt: skip
    assert all(level == "mandatory" for level, _ in found.values())
    _, message = found["uploads-nginx-size"]
    for part in (
        'files (kubernetes:core/v1:ConfigMap), data["nginx.conf"] line 3',
        "“50m” for /api/assets on 8080",
        "20 GiB",
        "Why it matters",
        "Change: client_max_body_size",
        "docs/policies.md#uploads-nginx-size",
    ):
        assert part in message
        assert part in result.text


def test_what_is_unknown_in_a_preview_and_what_is_off_is_told_and_the_rest_still_stops_it(
    engine: Engine,
) -> None:
    nginx = NGINX.replace("50g", "5m").replace("proxy_read_timeout 600s", "proxy_read_timeout 30s")
    off = {"uploads-nginx-timeouts": {"off": "nobody here has long videos"}}
    result = preview(engine, nginx=nginx, trusted="made.result", rules=off)
    found = violations(result)
    assert result.returncode != 0
    assert set(found) == {"uploads-nginx-size", "immich-report"}
    level, message = found["immich-report"]
    assert level == "advisory"
    assert "proxies-narrow: immich-server, spec.template.spec.containers[0].env[1]" in message
    assert "The rule uploads-nginx-timeouts is off: nobody here has long videos" in result.text
    assert "can't run policy" not in result.text


def test_a_mistake_in_the_configuration_stops_a_preview(engine: Engine) -> None:
    result = preview(engine, uploadSize="lots")
    assert result.returncode != 0
    assert "uploadSize: “lots” is no size" in violations(result)["immich-pack"][1]


def test_packs_of_families_run_together_and_know_their_own_rules_alone(engine: Engine) -> None:
    file = engine.directory / "policy.json"
    file.write_text(json.dumps({"immich-pack": {"podRanges": ["10.42.0.0/16"]}}))
    wrong = NGINX.replace("50g", "50m")
    engine.program(PROGRAM.format(nginx=wrong, trusted='"0.0.0.0/0"'))
    packs = [
        ("--policy-pack", str(Path(PACK) / name), "--policy-pack-config", str(file)) for name in FAMILIES
    ]
    result = engine.operate("preview", *(option for pack in packs for option in pack), check=False)
    found = [event["policyEvent"] for event in result.events if "policyEvent" in event]
    stopped = [
        (one["policyPackName"], one["policyName"]) for one in found if one["enforcementLevel"] == "mandatory"
    ]
    assert {pack for pack, _ in stopped} == {"immich-uploads", "immich-proxies"}, result.text
    assert all(rule.startswith(pack.removeprefix("immich-")) for pack, rule in stopped)


def test_a_folder_of_the_pack_for_each_family() -> None:
    folders = {path.parent.name for path in Path(PACK).glob("*/PulumiPolicy.yaml")}
    assert folders == rules.FAMILIES.keys()
