"""Where plain http is led on one host."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.harness.program import run_stack, unwrapped
from tests.unit.program.stacks import STACKS

CONTAINER = "docker:index/container:Container"


def redirect(port: int | None) -> str:
    stack = STACKS["heartbeat-dev"]
    way = {**stack.sections["proxy"]["expose"][0], "port": port}
    proxy = {**stack.sections["proxy"], "expose": [way]}
    run = run_stack(replace(stack, sections={**stack.sections, "proxy": proxy}))
    (loader,) = [one for one in run.of_type(CONTAINER) if one.name.endswith("-proxy-files")]
    uploads: list[dict[str, Any]] = unwrapped(loader.props)["uploads"]
    (text,) = [one["content"] for one in uploads if one["file"].endswith("/nginx.conf")]
    (line,) = {line.strip() for line in text.splitlines() if line.strip().startswith("return 308")}
    return str(line)


@pytest.mark.parametrize(
    ("port", "target"),
    [
        (None, "https://$host$request_uri"),
        (443, "https://$host$request_uri"),
        (8443, "https://$host:8443$request_uri"),
    ],
)
def test_plain_http_is_led_to_the_port_of_the_host_that_https_is_at(port: int | None, target: str) -> None:
    assert redirect(port) == f"return 308 {target};"
