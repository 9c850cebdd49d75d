"""What the toolchain does around the CLI: salts in settings files, stack names, what stays, what is rendered."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from toolchain import destroy, render, rendered, stack, tiers
from toolchain.deployment import resources, without
from toolchain.failure import ToolchainError
from toolchain.progress import run_visibly

_SETTINGS = b"# photos\nconfig:\n  immich:host: photos.example.org # here\n"
_SALT = b"encryptionsalt: v1:abc=:v1:def:ghi==\n"
_SECRET = b"  immich:oauth:\n    secure: v1:xyz\n"


def test_a_salt_that_was_added_is_taken_out_again() -> None:
    assert stack.without_salt(_SETTINGS + _SALT, _SETTINGS) == _SETTINGS


@pytest.mark.parametrize("command", ["up", "preview"])
def test_a_stack_on_a_host_is_looked_at_before_it_is_compared(command: str) -> None:
    assert stack.looks_first(command, b"config:\n  immich:docker: {}\n") == ("--refresh", "--run-program")
    assert stack.looks_first(command, b"config:\n  immich:kubernetes: {}\n# immich:docker: {}\n") == ()
    assert stack.looks_first("refresh", b"config:\n  immich:docker: {}\n") == ()


@pytest.fixture
def rendering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A stack that renders, and what the CLI is given."""
    return cli_of(tmp_path, monkeypatch, "config:\n  immich:kubernetes: {target: render}\n")


def cli_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> list[list[str]]:
    """What the CLI is given for a stack with these settings."""
    settings = tmp_path / "Pulumi.files.yaml"
    settings.write_text(text, encoding="utf-8")
    given: list[list[str]] = []

    def run(arguments: list[str], env: Mapping[str, str]) -> int:
        given.append(arguments)
        return 0

    monkeypatch.setattr(stack, "settings_file", lambda _: settings)
    monkeypatch.setattr(stack, "ensure", lambda *_: {})
    monkeypatch.setattr(stack, "run", run)
    monkeypatch.setattr("toolchain.policies.options", lambda *_: nullcontext([]))
    return given


def test_a_stack_that_renders_is_not_read_back(
    rendering: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["stack", "refresh", "files"])
    with pytest.raises(ToolchainError, match="make render STACK=files"):
        stack.main()
    assert rendering == []


def test_a_stack_that_renders_is_compared_without_reading_it_back(
    rendering: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As drift.yml asks for it.
    monkeypatch.setattr("sys.argv", ["stack", "preview", "files", "--expect-no-changes", "--refresh"])
    assert stack.main() == 0
    assert rendering == [["preview", "--stack", "files", "--expect-no-changes"]]


@pytest.mark.parametrize("command", ["preview", "up", "refresh"])
def test_a_cluster_that_does_not_answer_is_told_before_anything_is_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    given = cli_of(tmp_path, monkeypatch, "config:\n  immich:kubernetes: {namespace: photos}\n")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        port = nobody.getsockname()[1]
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(KUBECONFIG.format(port=port), encoding="utf-8")
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        monkeypatch.setattr("sys.argv", ["stack", command, "files"])
        with pytest.raises(ToolchainError) as told:
            stack.main()
        assert given == []
        assert f"http://127.0.0.1:{port} cannot be reached (connection refused)" in str(told.value)
        assert "make render STACK=files" in str(told.value)
        monkeypatch.setattr("sys.argv", ["stack", "preview", "files", "--offline"])
        assert stack.main() == 0
        assert given == [["preview", "--stack", "files"]]


def test_an_up_of_a_host_without_its_folders_plans_nothing_and_a_preview_tells_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    media = "  immich:storage: {media: {kind: hostPath, path: /srv/no/photos}}\n"
    way = "  immich:proxy: {expose: [{kind: publishedPort, address: 127.0.0.1}]}\n"
    given = cli_of(tmp_path, monkeypatch, f"config:\n  immich:docker: {{}}\n{way}{media}")
    monkeypatch.setattr(stack, "silent_engine", lambda *_: None)
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr("sys.argv", ["stack", "up", "files"])
    with pytest.raises(
        ToolchainError, match=r"install -d -o 1000 -g 1000 -m 0750 /srv/no/photos\nNothing was"
    ):
        stack.main()
    assert given == []
    monkeypatch.setattr("sys.argv", ["stack", "preview", "files"])
    assert stack.main() == 0
    assert "/srv/no/photos" in capsys.readouterr().err
    assert len(given) == 1


KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters: [{{name: c, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
users: [{{name: u, user: {{}}}}]
contexts: [{{name: c, context: {{cluster: c, user: u}}}}]
current-context: c
"""


def test_white_space_that_the_cli_changed_is_put_back() -> None:
    rewritten = _SETTINGS.replace(b"  immich", b"    immich") + _SALT

    assert stack.without_salt(rewritten, _SETTINGS) == _SETTINGS


def test_settings_that_a_person_changed_are_kept() -> None:
    changed = _SETTINGS.replace(b"photos.", b"pictures.")

    assert stack.without_salt(changed + _SALT, _SETTINGS) == changed


def test_a_committed_salt_stays() -> None:
    assert stack.without_salt(_SETTINGS + _SALT, _SETTINGS + _SALT) == _SETTINGS + _SALT


def test_a_salt_that_protects_secure_values_stays() -> None:
    assert stack.without_salt(_SETTINGS + _SECRET + _SALT, _SETTINGS) == _SETTINGS + _SECRET + _SALT


def test_settings_are_tidied_after_a_failure_too_but_only_with_the_generated_passphrase(
    tmp_path: Path,
) -> None:
    path = tmp_path / "Pulumi.dev.yaml"
    path.write_bytes(_SETTINGS)

    def killed() -> None:
        with stack.tidy_settings(path, {}):
            path.write_bytes(_SETTINGS + _SALT)
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        killed()
    assert path.read_bytes() == _SETTINGS

    with stack.tidy_settings(path, {"PULUMI_CONFIG_PASSPHRASE": "theirs"}):
        path.write_bytes(_SETTINGS + _SALT)
    assert path.read_bytes() == _SETTINGS + _SALT


def test_a_salt_left_by_a_killed_run_is_recognised_by_what_is_committed(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.dev.yaml"
    path.write_bytes(_SETTINGS)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(tmp_path)]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "settings"]):
        subprocess.run([*git, *arguments], check=True, capture_output=True)
    path.write_bytes(_SETTINGS + _SALT)

    with stack.tidy_settings(path, {}):
        pass
    assert path.read_bytes() == _SETTINGS


def test_an_unknown_stack_is_answered_with_those_that_exist(tmp_path: Path) -> None:
    for name in ("Pulumi.yaml", "Pulumi.prod.yaml", "Pulumi.dev.yaml"):
        (tmp_path / name).touch()

    with pytest.raises(ToolchainError, match=r"'pord'.*Stacks here: dev, prod\."):
        stack.settings_file("pord", tmp_path)


@pytest.mark.parametrize("name", ["../x", "", "a/b", "a b"])
def test_a_stack_name_cannot_lead_elsewhere(name: str, tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="There is no stack"):
        stack.settings_file(name, tmp_path)


def _urn(kind: str, name: str) -> str:
    return f"urn:pulumi:dev::immich::{kind}::{name}"


_FILES = _urn("pulumi:providers:kubernetes", "files")
_LIVE = _urn("pulumi:providers:kubernetes", "live")
_SECRET_URN = _urn("kubernetes:core/v1:Secret", "database")
_CLAIM = _urn("kubernetes:core/v1:PersistentVolumeClaim", "media")
_PASSWORD = _urn("random:index/randomPassword:RandomPassword", "password")


def _state() -> dict[str, Any]:
    return {
        "version": 3,
        "deployment": {
            "resources": [
                {
                    "urn": _FILES,
                    "type": "pulumi:providers:kubernetes",
                    "custom": True,
                    "inputs": {"renderYamlToDirectory": "rendered/dev"},
                },
                {"urn": _LIVE, "type": "pulumi:providers:kubernetes", "custom": True, "inputs": {}},
                {
                    "urn": _SECRET_URN,
                    "type": "kubernetes:core/v1:Secret",
                    "custom": True,
                    "provider": f"{_FILES}::1",
                },
                {
                    "urn": _CLAIM,
                    "type": "kubernetes:core/v1:PersistentVolumeClaim",
                    "custom": True,
                    "protect": True,
                    "provider": f"{_LIVE}::2",
                    "dependencies": [_SECRET_URN, _PASSWORD],
                    "propertyDependencies": {"spec": [_SECRET_URN], "metadata": []},
                    "parent": _SECRET_URN,
                    "outputs": {"metadata": {"name": "media", "namespace": "immich"}},
                },
                {"urn": _PASSWORD, "type": "random:index/randomPassword:RandomPassword", "custom": True},
            ]
        },
    }


def test_only_resources_of_a_rendering_provider_are_files() -> None:
    assert render.files_only(_state()) == {_SECRET_URN}


def test_taking_resources_out_of_a_state_leaves_no_mention_of_them() -> None:
    left = without(_state(), frozenset({_SECRET_URN}))

    assert [item.urn for item in resources(left)] == [_FILES, _LIVE, _CLAIM, _PASSWORD]
    claim = resources(left)[2].state
    assert claim["dependencies"] == [_PASSWORD]
    assert claim["propertyDependencies"] == {"spec": [], "metadata": []}
    assert "parent" not in claim


def test_what_stays_after_destroy_is_named_with_the_commands_that_remove_it() -> None:
    left = destroy.staying(resources(_state()))
    report = "\n".join(destroy.report("dev", left))

    assert [item.urn for item in left] == [_CLAIM]
    assert f"pulumi state unprotect --stack dev --yes {_CLAIM}" in report
    assert "kubectl delete -n immich persistentvolumeclaim/media" in report
    assert destroy.report("dev", []) == []


def test_no_command_for_a_cluster_is_given_for_what_was_only_rendered() -> None:
    left = destroy.staying(resources(_state()))
    report = "\n".join(destroy.report("dev", left, frozenset({_CLAIM})))

    assert "kubectl" not in report
    assert "rendered/dev is still there" in report


def _step(operation: str, kind: str, *, custom: bool = True) -> dict[str, Any]:
    return {"op": operation, "newState": {"type": kind, "urn": _urn(kind, "x"), "custom": custom}}


def test_a_rendering_may_make_nothing_but_manifests_and_random_values() -> None:
    preview: dict[str, Any] = {
        "steps": [
            _step("create", "kubernetes:core/v1:Secret"),
            _step("create", "random:index/randomPassword:RandomPassword"),
            _step("create", "immich:index:Database", custom=False),
            _step("same", "cloudflare:index/dnsRecord:DnsRecord"),
            _step("create", "cloudflare:index/zeroTrustTunnel:ZeroTrustTunnel"),
        ]
    }

    assert render.unwanted(preview, frozenset()) == [
        "create cloudflare:index/zeroTrustTunnel:ZeroTrustTunnel x"
    ]
    assert render.unwanted(preview, frozenset({"cloudflare"})) == []


def test_rendered_secrets_are_closed_to_others_and_nothing_else_is(tmp_path: Path) -> None:
    folder = tmp_path / "1-manifest"
    folder.mkdir()
    for name, kind in (("a", "Secret"), ("b", "SecretStore"), ("c", "ConfigMap")):
        (folder / f"{name}.yaml").write_text(f"apiVersion: v1\nkind: {kind}\n", encoding="utf-8")
    (tmp_path / "notes.txt").touch()

    assert rendered.set_modes(tmp_path) == 1
    assert [path.stat().st_mode & 0o777 for path in rendered.manifests(tmp_path)] == [0o600, 0o644, 0o644]
    rendered.clear(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_long_command_says_that_it_is_alive_and_shows_its_output_only_when_it_fails(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_visibly("waiting", ["sh", "-c", "echo chatter; sleep 0.3"], heartbeat=0.1)
    told = capsys.readouterr().err
    assert "so far" in told
    assert "chatter" not in told

    with pytest.raises(ToolchainError, match=r"(?s)exit code 3.*the reason"):
        run_visibly("failing", ["sh", "-c", "echo the reason; exit 3"])
    with pytest.raises(ToolchainError, match="longer than 0 s"):
        run_visibly("hanging", ["sleep", "5"], timeout=0.2)


def test_the_summary_names_every_reason_for_a_skip_and_closes_like_pytest(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(
        '<testsuites><testsuite><testcase/><testcase><skipped message="no etcd"/></testcase>'
        "<testcase><failure/></testcase><testcase><error/></testcase></testsuite></testsuites>",
        encoding="utf-8",
    )
    result = tiers.Result("cluster", seconds=1.5, exit_code=1)
    tiers.read_report(report, result)
    lines = tiers.summary([result, tiers.Result("docker", missing="no test was collected", exit_code=5)])

    assert "skipped: 1 of cluster: no etcd" in lines
    assert "skipped: the tier docker: no test was collected" in lines
    assert lines[-1] == "===== 1 failed, 1 passed, 1 skipped, 1 error in 1.50s ====="
    assert not result.good


def test_the_engine_of_the_environment_is_asked_where_the_host_is_automatic(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[object] = []

    def silence(host: str | None, env: Mapping[str, str], **_: object) -> None:
        asked.append((host, env))

    monkeypatch.setattr("components.platform.docker.reach.silence", silence)
    env = {"DOCKER_HOST": "unix:///some.sock"}
    assert stack.silent_engine(b"config: {docker: {host: auto}}", env) is None
    assert stack.silent_engine(b"config: {docker: {host: 'unix:///run/x.sock'}}", env) is None
    assert asked == [(None, env), ("unix:///run/x.sock", env)]


def test_an_up_of_a_stack_that_renders_closes_secrets_to_others(
    rendering: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "rendered" / "files" / "1-manifest"

    def run(_arguments: list[str], _env: Mapping[str, str]) -> int:
        folder.mkdir(parents=True)
        for kind in ("ConfigMap", "Secret"):
            (folder / f"{kind}.yaml").write_text(f"kind: {kind}\n", encoding="utf-8")
        seen.append((folder / "Secret.yaml").stat().st_mode & 0o777)
        return 0

    seen: list[int] = []
    monkeypatch.setattr(stack, "RENDERED", tmp_path / "rendered")
    monkeypatch.setattr(stack, "run", run)
    monkeypatch.setattr("toolchain.interrupted.repair", lambda *_: {})
    monkeypatch.setattr("sys.argv", ["stack", "up", "files"])
    assert stack.main() == 0
    assert seen == [0o600]
    assert [path.stat().st_mode & 0o777 for path in rendered.manifests(folder.parent)] == [0o644, 0o600]
    assert rendering == []
