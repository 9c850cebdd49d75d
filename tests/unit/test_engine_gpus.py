"""Whether an engine gives GPUs as a stack asks for them, from what engines say of themselves."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from components.settings.model import Settings
from components.settings.reader import read_settings
from toolchain import engine_gpus

DOCKER = {"Version": "28.3.1", "Components": [{"Name": "Engine", "Version": "28.3.1"}]}


def podman(version: str) -> dict[str, Any]:
    return {"Version": version, "Components": [{"Name": "Podman Engine", "Version": version}]}


def host(*, server: Mapping[str, Any] | None = None, **docker: Any) -> Settings:
    sections = {
        "docker": docker,
        "proxy": {"expose": [{"kind": "publishedPort", "address": "127.0.0.1"}]},
        "host": {"name": "localhost", "https": False, "port": 2283},
        "server": server or {"acceleration": "nvenc"},
    }
    return read_settings("some", {name: json.dumps(value) for name, value in sections.items()})


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the engine answers; a test that asks it of nothing has none."""
    answers: dict[str, Any] = {}

    class Engine:
        def get(self, path: str) -> Any:
            return answers[path]

    @contextmanager
    def connected(*_: object) -> Generator[Engine]:
        yield Engine()

    monkeypatch.setattr(engine_gpus, "connected", connected)
    return answers


def test_an_engine_with_cdi_switched_off_is_told_with_both_ways_out(engine: dict[str, Any]) -> None:
    engine |= {"/info": {"CDISpecDirs": []}, "/version": DOCKER}
    said = engine_gpus.problem(host(gpuRequests="cdi"), "some", {})
    assert said is not None
    assert "Docker 28.3.1, has CDI switched off" in said
    assert '{"features": {"cdi": true}}' in said
    assert "pulumi config set -s some --path immich:docker.gpuRequests gpus" in said


def test_an_engine_with_cdi_is_fine(engine: dict[str, Any]) -> None:
    engine |= {"/info": {"CDISpecDirs": ["/etc/cdi", "/var/run/cdi"]}, "/version": DOCKER}
    assert engine_gpus.problem(host(gpuRequests="cdi"), "some", {}) is None


@pytest.mark.parametrize(
    ("version", "fine"), [("4.9.4", False), ("5.3.2", False), ("5.4.0", True), ("6.0.0-dev", True)]
)
def test_a_podman_that_ignores_requests_is_refused(engine: dict[str, Any], version: str, fine: bool) -> None:
    engine |= {"/info": {}, "/version": podman(version)}
    said = engine_gpus.problem(host(engine="podman"), "some", {})
    assert (said is None) is fine
    assert fine or f"Podman {version} ignores requests for GPUs" in str(said)


@pytest.mark.usefixtures("engine")
def test_nobody_is_asked_where_no_gpu_of_nvidia_is_wanted_by_cdi() -> None:
    assert engine_gpus.problem(host(), "some", {}) is None
    assert engine_gpus.problem(host(engine="podman", server={"acceleration": "vaapi"}), "some", {}) is None
