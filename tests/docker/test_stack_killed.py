"""The CLI killed amid an up on one host: `make up` again finds out what was made, and makes nothing twice."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from docker.client import DockerClient

from tests.docker.engine_process import Engine
from tests.docker.host import remove_all
from tests.docker.images.library import Images
from tests.docker.one_host import add_docker_plugin, small
from tests.harness.clones import Clone
from tests.harness.killing import left_after, run_and_kill
from tests.harness.stacks import require_cli

pytestmark = [pytest.mark.docker, pytest.mark.engine]

STACK = "killed"
FILTER: dict[str, str | list[str] | bool] = {"label": f"immich.stack={STACK}"}


@pytest.fixture
def clone(tmp_path: Path, engine: Engine, client: DockerClient, images: Images) -> Iterator[Clone]:
    """A clone with a stack that is not there yet."""
    made = Clone.create(tmp_path, require_cli())
    add_docker_plugin(made.directory / ".toolchain" / "bin")
    exceptions = made.directory / "policy" / "config" / f"{STACK}.json"
    exceptions.parent.mkdir(exist_ok=True)
    off = {
        "workloads-images-pinned": {"off": "stand-ins of a test are in no registry, so they have no digest"}
    }
    exceptions.write_text(json.dumps({"immich-pack": {"rules": off}}), encoding="utf-8")
    made.env["DOCKER_HOST"] = engine.url
    config = {f"immich:{key}": value for key, value in small(images, 2299, backup={}).items()}
    (made.directory / f"Pulumi.{STACK}.yaml").write_text(yaml.safe_dump({"config": config}), encoding="utf-8")
    yield made
    remove_all(client, FILTER)


def nth(number: int, kind: str) -> Callable[[str], bool]:
    """Whether a line says that the n-th object of a kind begins to be made."""
    seen: set[str] = set()

    def when(line: str) -> bool:
        if f"docker:index:{kind} " in line and " creating" in line:
            seen.add(line.split(f"docker:index:{kind} ")[1].split(maxsplit=1)[0])
        return len(seen) >= number

    return when


@pytest.mark.deep
def test_make_up_after_killed_ones_converges_without_doubles(clone: Clone, client: DockerClient) -> None:
    """The person runs the same command again and again, and need not know that anything was left behind."""
    up = [sys.executable, "-m", "toolchain.stack", "up", STACK]
    for number, kind in ((2, "Network"), (2, "Container"), (2, "Container")):
        run_and_kill(up, clone.directory, clone.env, nth(number, kind))
        assert left_after(clone.directory) == []

    done = clone.make("up", STACK)
    assert done.returncode == 0, done.text
    assert "was killed" in done.text
    again = clone.make("up", STACK)
    assert again.returncode == 0, again.text
    for word in ("was killed", "pending", "created", "replaced"):
        assert word not in again.text

    containers = [one.name for one in client.containers.list(all=True, filters=FILTER)]
    running = [one.name for one in client.containers.list(filters=FILTER)]
    networks = [one.name for one in client.networks.list(filters=FILTER)]
    volumes = [one.name for one in client.volumes.list(filters=FILTER)]
    assert len(running) == 6
    state = clone.pulumi("stack", "--show-urns", "--stack", STACK).text
    for kind, names in (("container", containers), ("network", networks), ("volume", volumes)):
        assert len(names) == len(set(names)), f"a {kind} is there twice"
        for name in names:
            assert f"{kind[0].upper()}{kind[1:]}::{name}" in state, f"the {kind} {name} is not in the state"


@pytest.mark.parametrize("command", [pytest.param("preview", marks=pytest.mark.deep), "up"])
def test_make_up_says_in_one_sentence_that_the_engine_does_not_answer(clone: Clone, command: str) -> None:
    before = (clone.directory / f"Pulumi.{STACK}.yaml").read_bytes()
    said = clone.make(command, STACK, env={"DOCKER_HOST": "unix:///nowhere/docker.sock"})
    assert said.returncode != 0
    (line,) = said.text.strip().splitlines()
    assert "the container engine at unix:///nowhere/docker.sock cannot be reached" in line
    assert "Nothing was planned or changed" in line
    assert (clone.directory / f"Pulumi.{STACK}.yaml").read_bytes() == before
    # Not even the stack was made.
    assert STACK not in clone.pulumi("stack", "ls").text
