"""A mistake in the settings: every problem is told at once, in words, and nothing is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.conftest import Deployed
from tests.harness.stacks import Deployment

pytestmark = pytest.mark.engine

MISTAKES = {
    "server": {"timezone": "Mars/Olympus", "logLevel": "loud"},
    "database": {"kind": "cloudnative-pg", "instances": 0},
    "storage": {"media": {"kind": "floppy"}},
    "kubernetes": {"target": "render", "namespce": "x"},
    "sevrer": {},
}
TOLD = {
    "immich:server.timezone": "Mars/Olympus",
    "immich:server.logLevel": "loud",
    "immich:database.instances": "0",
    "immich:storage.media.kind": "floppy",
    "immich:kubernetes.namespce": "namespace",
    "immich:sevrer": "server",
}
"""Key of each problem -> what its paragraph must say."""


@pytest.fixture(scope="module")
def broken(cli: Path, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    return Deployment.create(tmp_path_factory.mktemp("broken"), cli, "broken", MISTAKES)


@pytest.mark.parametrize("command", ["up", "preview"])
def test_every_problem_is_told_without_a_traceback_and_nothing_is_made(
    broken: Deployment, tmp_path: Path, command: str
) -> None:
    stack = broken.copy(tmp_path)
    result = stack.do(command, check=False)
    assert result.returncode != 0
    assert "has 6 problems; nothing was changed" in result.text
    for key, said in TOLD.items():
        paragraph = result.text.split(f"{key}\n", 1)[-1].split("\n\n", 1)[0]
        assert paragraph != result.text, f"{key} is not told"
        assert said in paragraph, key
    assert "Traceback" not in result.text
    assert ".py" not in result.text
    # Nothing but the stack itself, which the engine makes before it runs the program.
    assert [one.type for one in stack.state() if one.type != "pulumi:pulumi:Stack"] == []
    assert not stack.rendered.exists()


def test_a_mistake_in_a_stack_that_is_up_changes_nothing(deployed: Deployed) -> None:
    stack = deployed("dev")
    files, contents = stack.files(), stack.contents()
    stack.change("server", timezone="Mars/Olympus")
    result = stack.up(check=False)
    assert result.returncode != 0
    assert "immich:server.timezone" in result.text
    # Compared in two steps: the difference of contents, with secrets in it, must not be shown.
    assert stack.files() == files
    assert stack.contents() == contents, "the state changed"


def test_a_secret_in_the_clear_is_refused_and_not_repeated(deployed: Deployed) -> None:
    stack = deployed("dev")
    stack.run("config", "set", "--plaintext", "immich:cachePassword", "correct-horse-battery")
    result = stack.do("preview", check=False)
    assert result.returncode != 0
    assert "immich:cachePassword" in result.text
    assert "pulumi config set -s dev --secret immich:cachePassword" in result.text
    assert "correct-horse-battery" not in result.text


def test_a_missing_secret_is_named_with_the_command_that_sets_it(cli: Path, tmp_path: Path) -> None:
    stack = Deployment.create(tmp_path, cli, "prod")
    stack.run("config", "rm", "immich:backupSecretAccessKey")
    result = stack.up(check=False)
    assert result.returncode != 0
    assert "pulumi config set -s prod --secret immich:backupSecretAccessKey" in result.text
    assert "Traceback" not in result.text
