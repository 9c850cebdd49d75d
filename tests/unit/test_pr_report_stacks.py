"""Which stacks a change concerns, and what a base has, in a repository of git's own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from toolchain.failure import ToolchainError
from toolchain.pr_report import command, doors, preview, stacks
from toolchain.pr_report.stacks import Change, Choice

RENDERS = "config:\n  immich:kubernetes: {target: render}\n  immich:host: {name: photos.example.com}\n"
ON_A_CLUSTER = RENDERS.replace("render", "cluster")
ON_A_HOST = "config:\n  immich:docker: {}\n  immich:host: {name: photos.example.com}\n"
WITH_SECRET = ON_A_CLUSTER + "  immich:databasePassword: {secure: AAABBBB}\n"
WITH_CLOUDFLARE = ON_A_CLUSTER + "  immich:cloudflare: {plan: free}\n"


def git(root: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=root, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def commit(root: Path, **files: str) -> str:
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("-", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--allow-empty", "--message", "m")
    return git(root, "rev-parse", "HEAD")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    commit(
        tmp_path,
        **{
            "Pulumi.yaml": "name: immich\n",
            "Pulumi.dev.yaml": RENDERS,
            "Pulumi.cluster.yaml": ON_A_CLUSTER,
            "Pulumi.home.yaml": ON_A_HOST,
            "Pulumi.hidden.yaml": WITH_SECRET,
            "Pulumi.edge.yaml": WITH_CLOUDFLARE,
        },
    )
    return tmp_path


def choose(
    root: Path, files: list[str], live: list[str] | None = None, *, fork: bool = False
) -> dict[str, bool]:
    chosen = stacks.for_preview(stacks.change_of(files), live or [], root, fork=fork)
    return {one.stack: one.rendered for one in chosen}


def test_changed_code_concerns_every_stack_that_renders_without_secrets_and_accounts(root: Path) -> None:
    assert choose(root, ["components/server/component.py"]) == {"cluster": True, "dev": True}


def test_changed_code_concerns_live_stacks_too_since_the_merge_brings_them_up(root: Path) -> None:
    live = ["home", "cluster", "hidden"]
    chosen = choose(root, ["components/server/component.py"], live)
    assert chosen == {"cluster": False, "dev": True, "hidden": False, "home": False}
    code = stacks.change_of(["components/server/component.py"])
    assert {one.stack for one in stacks.for_deploy(code, live, root)} <= set(chosen)


def test_changed_settings_concern_their_stack_against_what_is_there_where_it_is_live(root: Path) -> None:
    assert choose(root, ["Pulumi.home.yaml", "Pulumi.cluster.yaml"], ["home", "cluster"]) == {
        "cluster": False,
        "home": False,
    }
    assert choose(root, ["Pulumi.home.yaml", "Pulumi.cluster.yaml"]) == {"cluster": True}
    assert choose(root, ["Pulumi.dev.yaml"], ["dev"]) == {"dev": True}


def test_a_fork_gets_dev_rendered_and_nothing_else(root: Path) -> None:
    everything = [
        "components/server/component.py",
        "Pulumi.home.yaml",
        "Pulumi.cluster.yaml",
        "Pulumi.dev.yaml",
    ]
    assert choose(root, everything, ["home", "cluster", "dev"], fork=True) == {"dev": True}
    assert choose(root, ["Pulumi.cluster.yaml"], ["cluster"], fork=True) == {}


@pytest.mark.parametrize("file", ["docs/doors.md", "README.md", "tests/unit/x.py", "sub/Pulumi.dev.yaml"])
def test_what_no_stack_is_made_from_concerns_none(root: Path, file: str) -> None:
    assert choose(root, [file], ["home"]) == {}


def test_the_settings_of_a_stack_that_is_gone_concern_none(root: Path) -> None:
    assert stacks.change_of(["Pulumi.old.yaml"]) == Change(code=False, stacks=frozenset({"old"}))
    assert choose(root, ["Pulumi.old.yaml"], ["old"]) == {}


def test_a_merge_brings_up_live_stacks_alone_in_their_order(root: Path) -> None:
    code = Change(code=True, stacks=frozenset())
    assert stacks.for_deploy(code, ["home", "cluster"], root) == [
        Choice("home", rendered=False),
        Choice("cluster", rendered=False),
    ]
    settings = Change(code=False, stacks=frozenset({"cluster", "dev"}))
    assert stacks.for_deploy(settings, ["home", "cluster"], root) == [Choice("cluster", rendered=False)]


def test_files_are_those_that_changed_since_the_branch_left_its_base(root: Path) -> None:
    base = git(root, "rev-parse", "HEAD")
    git(root, "checkout", "--quiet", "-b", "change")
    commit(root, **{"Pulumi.dev.yaml": RENDERS + "# more\n"})
    git(root, "checkout", "--quiet", "main")
    commit(root, **{"components__other.py": ""})
    git(root, "checkout", "--quiet", "change")
    assert stacks.changed_files("main", root) == ["Pulumi.dev.yaml"]
    assert stacks.changed_files(base, root) == ["Pulumi.dev.yaml"]
    assert stacks.changed_files("0" * 40, root) is None


def test_the_command_writes_a_matrix(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = git(root, "rev-parse", "HEAD")
    commit(
        root, **{"Pulumi.home.yaml": ON_A_HOST + "# more\n", "Pulumi.edge.yaml": WITH_CLOUDFLARE + "# more\n"}
    )
    assert stacks.main(["preview", "--base", base, "--live", "home, cluster"], root) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == [{"stack": "home", "rendered": False}]
    assert "nothing to preview them with here: edge" in said.err
    assert stacks.main(["deploy", "--base", "0" * 40, "--live", "cluster home"], root) == 0
    assert [one["stack"] for one in json.loads(capsys.readouterr().out)] == ["cluster", "home"]


def test_a_live_stack_that_there_is_not_is_a_mistake_that_is_told(root: Path) -> None:
    with pytest.raises(ToolchainError, match="no stack 'nope'"):
        stacks.parse_live("home nope", root)


def test_the_base_has_the_settings_as_they_were_committed(root: Path) -> None:
    commit(root, **{"Pulumi.dev.yaml": RENDERS + "# more\n"})
    (root / "Pulumi.dev.yaml").write_text("changed", encoding="utf-8")
    assert doors.committed("dev", "HEAD", root) == (RENDERS + "# more\n").encode()
    assert doors.committed("dev", "HEAD~1", root) == RENDERS.encode()
    assert doors.committed("new", "HEAD", root) is None
    with pytest.raises(ToolchainError, match="no commit 'nowhere'"):
        doors.committed("dev", "nowhere", root)


def test_a_base_that_looks_like_an_option_is_no_commit(root: Path) -> None:
    assert doors.commit("--all", root) is None
    assert doors.commit("HEAD", root) == git(root, "rev-parse", "HEAD")


def test_the_main_branch_is_the_base_unless_another_is_named(root: Path) -> None:
    assert command.base_or_default(None, root) == "main"
    assert command.base_or_default("HEAD", root) == "HEAD"
    with pytest.raises(ToolchainError, match="name one with --base"):
        command.base_or_default("nowhere", root)


def test_the_preview_asks_the_pack_and_looks_at_a_host_first(root: Path) -> None:
    judged = ["--policy-pack", "policy"]
    assert "--refresh" in preview.command("home", root, judged)
    asked = preview.command("dev", root, judged, ["--target", "x"])
    assert "--refresh" not in asked
    assert asked[asked.index("--policy-pack") + 1] == "policy"
    assert asked[-2:] == ["--target", "x"]
