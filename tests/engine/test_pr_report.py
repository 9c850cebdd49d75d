"""The report of a pull request: the real engine, the real policies, a repository with a commit to compare with."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.engine.conftest import Deployed
from tests.harness.engine import ROOT
from tests.harness.stacks import Deployment, require_cli
from toolchain.pr_report import __main__ as command_line
from toolchain.pr_report.command import Request, make

pytestmark = pytest.mark.engine
unless_changed = pytest.mark.deep(unless_changed=("toolchain/pr_report",))


def _git(root: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *identity, *arguments], cwd=root, capture_output=True, check=True)


def _committed(stack: Deployment) -> Deployment:
    """The stack with its program in a repository: what a base is taken from."""
    root = stack.engine.directory
    (root / "policy").symlink_to(ROOT / "policy")
    # Git keeps a link as a link, and what is committed must be the program itself.
    (root / "components").unlink()
    shutil.copytree(ROOT / "components", root / "components")
    (root / ".gitignore").write_text("/.venv\n/policy\n/rendered/\n__pycache__/\n", encoding="utf-8")
    _git(root, "init", "--quiet")
    _git(root, "add", "--all")
    _git(root, "commit", "--quiet", "--message", "base")
    return stack


def _report(stack: Deployment, *, rendered: bool = False, **env: str) -> tuple[str, bool]:
    request = Request(stack=stack.engine.stack, base="HEAD", rendered=rendered)
    return make(request, stack.engine.env | env, stack.engine.directory)


def _section(report: str, title: str) -> str:
    return report.split(f"\n### {title}\n")[1].split("\n### ", maxsplit=1)[0]


@unless_changed
def test_a_stack_that_is_as_it_should_be_has_nothing_to_report(deployed: Deployed) -> None:
    report, good = _report(_committed(deployed("dev")))
    assert report.splitlines()[:2] == ["<!-- immich-preview dev -->", "## Preview of `dev`: nothing changes"]
    assert good
    assert "**mandatory**" not in report
    assert "No way in changes." in report


@unless_changed
def test_a_release_and_a_limit_are_told_by_component_with_doors_and_images(cli: Path, tmp_path: Path) -> None:
    stack = Deployment.create(tmp_path, cli, "dev")
    stack.change("server", version="3.3.0")
    stack.up()
    _committed(stack)
    stack.change("server", version="3.3.1")
    stack.change("proxy", maxUpload="7Gi")
    report, good = _report(stack)
    assert good, report
    rows = [line.split(" | ")[:2] for line in _section(report, "What changes").splitlines()[3:] if line]
    assert rows == [
        ["| Backup", "1 updated"],  # when it runs
        ["| MachineLearning", "1 updated"],
        # Files of the backup and of nginx, those of the backup before the upgrade, and its way to the database.
        ["| Platform", "3 updated, 2 created"],
        ["| Proxy", "1 updated"],
        ["| Server", "1 updated"],
        ["| Upgrade", "1 updated, 1 created"],  # the release that is reached; that backup
    ]
    before, after = _section(report, "Ways in").split("After:")
    assert "50 GiB" in before
    assert "**7 GiB**" in after
    assert "immich/releases/tag/v3.3.1" in _section(report, "Images")
    assert "Touches data" not in report


@unless_changed
def test_a_claim_that_would_be_replaced_is_told_first_and_the_engine_s_refusal_fails_the_report(
    deployed: Deployed,
) -> None:
    stack = _committed(deployed("dev"))
    stack.change("storage", media={"kind": "hostPath", "path": "/srv/photos"})
    report, good = _report(stack)
    assert not good
    assert report.splitlines()[1] == "## Preview of `dev`: failed"
    assert "immich/immich-media" in _section(report, "Why it failed")
    touched = _section(report, "**Touches data**")
    assert "- **replaced: PersistentVolumeClaim `immich/immich-media` of Storage (protected" in touched
    assert "replaced: PersistentVolumeClaim `immich/immich-media`" in _section(report, "Replaced or deleted")


@unless_changed
def test_a_replacement_that_the_engine_would_do_is_told_too(deployed: Deployed) -> None:
    stack = _committed(deployed("dev"))
    stack.change("machineLearning", cache={"storageClass": "fast"})
    report, good = _report(stack)
    assert good
    assert "immich/immich-machine-learning-cache" in _section(report, "Replaced or deleted")
    assert "`spec.storageClassName`" in report


def test_what_a_policy_refuses_fails_the_report_with_the_policy_s_words(deployed: Deployed) -> None:
    stack = _committed(deployed("dev"))
    stack.change("cache", image="docker.io/valkey/valkey:9.1.2")
    report, good = _report(stack)
    assert not good
    assert report.splitlines()[1].startswith("## Preview of `dev`: stopped by 1 policy")
    assert "| **mandatory** | `workloads-images-pinned` | `immich/immich-cache` |" in _section(
        report, "Policies"
    )


@unless_changed
def test_a_setting_that_there_is_not_is_told_as_the_program_tells_it(deployed: Deployed) -> None:
    stack = _committed(deployed("dev"))
    stack.change("server", nosuch=1)
    report, good = _report(stack)
    assert not good
    assert "immich:server.nosuch" in _section(report, "Why it failed")
    assert "immich:server.nosuch" in _section(report, "Ways in")


def test_two_commits_are_compared_without_the_stack_s_state(cli: Path, tmp_path: Path) -> None:
    stack = _committed(Deployment.create(tmp_path, cli, "dev"))
    stack.change("server", timezone="Australia/Eucla")
    before = stack.engine.export()
    report, good = _report(stack, rendered=True)
    assert good
    assert report.splitlines()[1] == "## Preview of `dev`: 2 updated"
    # The backup runs by the same clock.
    assert [line.split(" | ")[0] for line in _section(report, "What changes").splitlines()[3:] if line] == [
        "| Backup",
        "| Server",
    ]
    assert stack.engine.export() == before
    assert not (stack.engine.directory / "rendered").exists()


@unless_changed
def test_a_stack_that_the_base_does_not_have_is_all_new(cli: Path, tmp_path: Path) -> None:
    stack = _committed(Deployment.create(tmp_path, cli, "dev"))
    _git(stack.engine.directory, "rm", "--quiet", "--cached", "Pulumi.dev.yaml")
    _git(stack.engine.directory, "commit", "--quiet", "--message", "no stack")
    report, good = _report(stack, rendered=True)
    assert good
    assert re.fullmatch(r"## Preview of `dev`: \d+ created", report.splitlines()[1])
    assert "The base has no such stack: everything is new." in report
    assert "The stack is new." in report


@unless_changed
def test_a_base_that_does_not_come_up_is_told_and_everything_counts_as_new(cli: Path, tmp_path: Path) -> None:
    stack = Deployment.create(tmp_path, cli, "dev")
    right = stack.settings()
    stack.change("server", nosuch=1)
    _committed(stack).write_settings(right)
    report, good = _report(stack, rendered=True)
    assert good
    assert "**The base does not come up by itself: what it would have made counts as new.**" in report
    assert "immich:server.nosuch" in report
    assert re.fullmatch(r"## Preview of `dev`: \d+ created", report.splitlines()[1])


@unless_changed
def test_a_stack_on_a_host_is_not_rendered_and_the_report_says_so(cli: Path, tmp_path: Path) -> None:
    stack = _committed(Deployment.create(tmp_path, cli, "home"))
    report, good = _report(stack, rendered=True)
    assert not good
    assert "only Kubernetes stacks can be rendered" in _section(report, "Why it failed")


@unless_changed
def test_no_secret_is_in_a_report_whatever_is_previewed(tmp_path: Path) -> None:
    cli = require_cli()
    stack = Deployment.create(
        tmp_path, cli, "prod", secrets={"databasePassword": "a-database-password-of-this-test"}
    )
    stack.up()
    _committed(stack)
    stack.change("server", timezone="Australia/Eucla")
    stack.change(
        "storage", media={"kind": "nfs", "server": "nas.example.com", "path": "/elsewhere", "size": "4Ti"}
    )
    token = "a-token-that-is-in-the-environment"
    report, _ = _report(stack, CLOUDFLARE_API_TOKEN=token)
    state = json.dumps(stack.export(show_secrets=True))
    values = [
        json.loads(json.loads(found)) for found in re.findall(r'"plaintext": ("(?:[^"\\]|\\.)*")', state)
    ]
    texts = {value for value in values if isinstance(value, str) and len(value) >= 8}
    assert texts
    assert len(stack.secrets) >= 3
    assert stack.secrets["databasePassword"] not in report
    hidden = {*stack.secrets.values(), *texts, token, stack.engine.env["PULUMI_CONFIG_PASSPHRASE"]}
    assert [value for value in hidden if value in report] == []
    assert "Touches data" in report


def test_a_secret_in_an_error_is_masked(deployed: Deployed) -> None:
    stack = _committed(deployed("dev"))
    stack.set_secret("databasePassword", "a-database-password-of-this-test")
    program = stack.engine.directory / "__main__.py"
    told = 'raise RuntimeError("connecting as immich:" + pulumi.Config("immich").require("databasePassword"))'
    program.write_text(f"import pulumi\n\n{told}\n", encoding="utf-8")
    report, good = _report(stack)
    assert not good
    assert "connecting as immich:[secret]" in report
    assert "password-of-this-test" not in report


@unless_changed
def test_the_command_writes_its_file_also_when_it_fails(
    deployed: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = _committed(deployed("dev"))
    for name, value in stack.engine.env.items():
        monkeypatch.setenv(name, value)
    output = tmp_path / "report.md"
    arguments = ["dev", "--base", "HEAD", "--output", str(output)]
    assert command_line.main(arguments, stack.engine.directory) == 0
    assert "nothing changes" in output.read_text(encoding="utf-8")
    stack.change("cache", image="docker.io/valkey/valkey:9.1.2")
    assert command_line.main(arguments, stack.engine.directory) == 1
    assert "stopped by 1 policy" in output.read_text(encoding="utf-8")
