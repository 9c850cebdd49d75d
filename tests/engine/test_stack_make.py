"""What `make up`, `make render` and `make destroy` run, in a clone of the repository."""

from __future__ import annotations

import hashlib
import shlex
import shutil
import stat
from pathlib import Path

import pytest

from tests.harness.clones import Clone

pytestmark = pytest.mark.engine


@pytest.fixture
def clone(cli: Path, tmp_path: Path) -> Clone:
    return Clone.create(tmp_path, cli)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_up_says_what_there_is_and_render_and_up_again_keep_it(clone: Clone) -> None:
    settings = clone.directory / "Pulumi.dev.yaml"
    before = digest(settings)
    first = clone.make("up", "dev")
    assert "Not judged" not in first.text  # by the policy pack, which sees outputs of components here
    assert first.returncode == 0, first.text
    for told in ("http://localhost:8080", "rendered/dev", "kubectl apply", "create the first user"):
        assert told in first.text
    screen = first.text.partition("Immich 3.3.1 is in manifests (stack dev).")[2]
    assert "make doors STACK=dev" in screen
    assert "Outputs:" not in first.text
    written = clone.rendered("dev")
    assert len(written) > 20
    (clone.directory / "rendered" / "dev" / "1-manifest" / "v1-service-immich-immich-server.yaml").unlink()
    render = clone.make("render", "dev")
    assert render.returncode == 0, render.text
    # Passwords included.
    assert clone.rendered("dev") == written
    second = clone.make("up", "dev")
    assert second.returncode == 0
    assert " unchanged" in second.text
    assert "created" not in second.text
    assert "updated" not in second.text
    assert clone.rendered("dev") == written
    assert digest(settings) == before


@pytest.mark.parametrize("stack", ["dev", pytest.param("vanillax", marks=pytest.mark.deep)])
def test_render_writes_the_whole_tree_also_after_it_was_deleted(clone: Clone, stack: str) -> None:
    assert clone.make("render", stack).returncode == 0
    first = clone.rendered(stack)
    assert len(first) > 20
    shutil.rmtree(clone.directory / "rendered")
    output = clone.directory.parent / "repository"
    done = clone.python("-m", "toolchain.render", stack, str(output))
    assert done.returncode == 0, done.text
    waves = {path.name: int(path.parent.name.removeprefix("wave-")) for path in output.glob("wave-*/*")}
    assert not [name for name in waves if name.startswith("v1-secret-")]
    cache, server = "statefulset-immich-immich-cache", "deployment-immich-immich-server"
    order = ["v1-namespace-default-immich.yaml", f"apps_v1-{cache}.yaml", f"apps_v1-{server}.yaml"]
    assert sorted(order, key=waves.__getitem__) == order
    # Only the key of fingerprints may be another one, where a rendering has no state of its own to keep it.
    assert clone.rendered(stack).keys() == first.keys()
    assert {name for name in first if clone.rendered(stack)[name] != first[name]} == set()
    folder = clone.directory / "rendered" / stack
    secrets = [path for path in folder.rglob("*.yaml") if path.name.startswith("v1-secret-")]
    assert bool(secrets) == (stack == "dev")
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} <= {0o600}


def test_a_rendering_asks_the_policies_and_leaves_what_was_there(clone: Clone) -> None:
    assert clone.make("render", "dev").returncode == 0
    before = clone.rendered("dev")
    settings = clone.directory / "Pulumi.dev.yaml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(
        text + '  immich:server: {image: "ghcr.io/immich-app/immich-server:v3.3.1-custom"}\n',
        encoding="utf-8",
    )
    refused = clone.make("render", "dev")
    assert refused.returncode != 0
    assert "workloads-images-pinned" in refused.text
    assert "Nothing was rendered" in refused.text
    assert clone.rendered("dev") == before


def test_destroy_names_what_stays_and_its_commands_remove_that_too(clone: Clone) -> None:
    assert clone.make("up", "dev").returncode == 0
    done = clone.make("destroy", "dev")
    assert done.returncode == 0, done.text
    _, _, report = done.text.partition("What holds data stays")
    claims = ("immich-backup", "immich-cache", "immich-database", "immich-media")
    staying = (*(f"immich/{claim}" for claim in claims), "database-password")
    assert [name for name in staying if name not in report] == []
    assert "immich-server" not in report
    left = sorted(name for name in clone.rendered("dev") if "persistentvolumeclaim" in name)
    assert left == [f"1-manifest/v1-persistentvolumeclaim-immich-{claim}.yaml" for claim in claims]

    commands = [shlex.split(line) for line in report.splitlines() if line.startswith("  pulumi ")]
    assert len(commands) > len(staying)
    for _, *arguments in commands:
        confirm = [] if "--yes" in arguments else ["--yes"]
        removed = clone.pulumi(*arguments, *confirm)
        assert removed.returncode == 0, removed.text
    assert clone.make("destroy", "dev").text.count("What holds data stays") == 0


def test_a_stack_that_does_not_exist_is_told_with_those_that_do(clone: Clone) -> None:
    for what in ("up", "render", "destroy"):
        done = clone.make(what, "homelad")
        assert done.returncode == 1
        assert "homelad" in done.text
        assert "dev, heartbeat, heartbeat-dev, home" in done.text
        assert "Traceback" not in done.text


PACK = """
from pulumi_policy import EnforcementLevel, PolicyPack, StackValidationPolicy

def no_namespace(stack, report):
    for resource in stack.resources:
        if resource.resource_type == "kubernetes:core/v1:Namespace" and resource.props["metadata"]["name"] == {name!r}:
            report("this namespace is taken", resource.urn)

PolicyPack("pack", enforcement_level=EnforcementLevel.MANDATORY, policies=[
    StackValidationPolicy(name="namespace", description="Namespaces.", validate=no_namespace),
])
"""


@pytest.mark.parametrize(
    ("taken", "passes"), [("immich", False), pytest.param("elsewhere", True, marks=pytest.mark.deep)]
)
def test_a_policy_pack_judges_the_stack(clone: Clone, tmp_path: Path, taken: str, passes: bool) -> None:
    pack = tmp_path / "pack"
    pack.mkdir()
    (pack / "PulumiPolicy.yaml").write_text("runtime: python\n")
    (pack / "__main__.py").write_text(PACK.format(name=taken))
    clone.pulumi("stack", "init", "dev")
    done = clone.pulumi("preview", "--non-interactive", "--stack", "dev", "--policy-pack", str(pack))
    assert (done.returncode == 0) == passes, done.text
    assert ("this namespace is taken" in done.text) == (not passes)
    assert "Traceback" not in done.text
