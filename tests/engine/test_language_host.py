"""Our Python language host, driven by the real engine: programs, their failures, policy packs, interruption."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.harness.engine import Engine, Missing, Result, find_cli
from toolchain import plugin_setup

pytestmark = [pytest.mark.deep(unless_changed=("toolchain/offline/language_host",)), pytest.mark.engine]

PROGRAM = """
import os, sys
import pulumi

class Box(pulumi.ComponentResource):
    def __init__(self, name):
        super().__init__("test:index:Box", name)
        self.register_outputs({})

Box("box")
config = pulumi.Config()
pulumi.export("greeting", config.get("greeting") or "none")
pulumi.export("secret", config.get_secret("word") or "none")
pulumi.export("facts", {
    "cwd": os.getcwd(),
    "argv": sys.argv,
    "name": __name__,
    "stack": pulumi.get_stack(),
    "root": pulumi.runtime.get_root_directory(),
})
"""


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    cli = find_cli()
    if isinstance(cli, Missing):
        pytest.skip(cli.reason)
    made = Engine.create(tmp_path, cli, plugins=())
    # First on PATH, so that it is ours that is tested also beside an official CLI.
    plugin_setup.write_start_script(
        tmp_path / "bin" / "pulumi-language-python", "toolchain.offline.language_host"
    )
    return made


def _up(engine: Engine) -> Result:
    return engine.run("up", "--yes", "--stack", "test", check=False)


def _preview(engine: Engine, *options: str) -> Result:
    return engine.run("preview", "--stack", "test", *options, check=False)


def test_a_program_comes_up_and_a_second_run_changes_nothing(engine: Engine) -> None:
    engine.program(PROGRAM)
    engine.run("config", "set", "greeting", "hello", "--stack", "test")
    first, second = _up(engine), _up(engine)

    assert first.returncode == 0, first.text
    assert "2 created" in first.text
    assert second.returncode == 0, second.text
    assert "2 unchanged" in second.text
    assert "created" not in second.text
    assert "Traceback" not in first.text + second.text


def test_a_program_sees_its_configuration_directory_and_arguments(engine: Engine) -> None:
    engine.program(PROGRAM)
    engine.run("config", "set", "greeting", "hello", "--stack", "test")
    engine.run("config", "set", "--secret", "word", "mellon", "--stack", "test")
    assert _up(engine).returncode == 0
    shown = engine.run("stack", "output", "--json", "--stack", "test").stdout
    outputs = json.loads(shown)

    assert outputs["greeting"] == "hello"
    assert outputs["secret"] == "[secret]"
    assert outputs["facts"] == {
        "cwd": str(engine.directory),
        "argv": [str(engine.directory / "__main__.py")],
        "name": "__main__",
        "stack": "test",
        "root": str(engine.directory),
    }


def test_modules_beside_the_program_can_be_imported_and_what_it_prints_is_shown(engine: Engine) -> None:
    (engine.directory / "beside.py").write_text("WORD = 'from-beside'\n")
    engine.program("import sys, beside\nprint(beside.WORD)\nprint('to-stderr', file=sys.stderr)\n")
    result = _preview(engine)

    assert result.returncode == 0, result.text
    assert "from-beside" in result.text
    assert "to-stderr" in result.text


def test_refresh_and_destroy_run_without_a_traceback(engine: Engine) -> None:
    engine.program(PROGRAM)
    assert _up(engine).returncode == 0
    for command in (["refresh", "--yes"], ["refresh", "--yes", "--run-program"], ["destroy", "--yes"]):
        result = engine.run(*command, "--stack", "test", check=False)
        assert result.returncode == 0, result.text
        assert "Traceback" not in result.text
    assert (
        json.loads(engine.run("stack", "export", "--stack", "test").stdout)["deployment"].get("resources", [])
        == []
    )


@pytest.mark.parametrize(
    ("program", "shown"),
    [
        ("import pulumi\nraise pulumi.RunError('host: not a name')", "error: host: not a name"),
        ("import sys\nsys.exit('two settings are wrong')", "error: two settings are wrong"),
        ("import sys\nsys.exit(3)", "exit code 3"),
        ("def broken(:\n    pass", "SyntaxError: invalid syntax"),
    ],
    ids=["RunError", "sys.exit with a message", "sys.exit with a number", "syntax error"],
)
def test_a_failing_program_fails_the_run_with_its_message_and_no_traceback(
    engine: Engine, program: str, shown: str
) -> None:
    engine.program(program)
    result = _preview(engine)

    assert result.returncode != 0
    assert shown in result.text
    assert "Traceback" not in result.text


def test_leaving_with_zero_is_a_success(engine: Engine) -> None:
    engine.program("import sys, pulumi\npulumi.export('a', 1)\nsys.exit(0)\n")
    result = _preview(engine)

    assert result.returncode == 0, result.text


def test_an_unhandled_exception_shows_the_programs_own_frames_only(engine: Engine) -> None:
    engine.program("def inner():\n    raise ValueError('boom')\n\ninner()\n")
    result = _preview(engine)

    assert result.returncode != 0
    assert "ValueError: boom" in result.text
    assert "line 4" in result.text
    assert "line 2, in inner" in result.text
    assert "language_host" not in result.text
    assert "asyncio" not in result.text


def test_an_exception_in_an_apply_fails_the_run(engine: Engine) -> None:
    engine.program(
        "import pulumi\n"
        "def bad(_):\n    raise ValueError('late')\n"
        "pulumi.export('x', pulumi.Output.from_input(1).apply(bad))\n"
    )
    result = _preview(engine)

    assert result.returncode != 0
    assert "ValueError: late" in result.text


PACK = """
from pulumi_policy import EnforcementLevel, PolicyPack, StackValidationPolicy

def no_box(stack, report):
    for resource in stack.resources:
        if resource.resource_type == "test:index:Box":
            report("a box is not allowed", resource.urn)

PolicyPack("pack", enforcement_level=EnforcementLevel.MANDATORY, policies=[
    StackValidationPolicy(name="no-box", description="No boxes.", validate=no_box),
])
"""


def test_a_policy_pack_stops_what_it_forbids_and_lets_the_rest_pass(engine: Engine, tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    pack.mkdir()
    (pack / "PulumiPolicy.yaml").write_text("runtime: python\n")
    (pack / "__main__.py").write_text(PACK)

    engine.program(PROGRAM)
    forbidden = _preview(engine, "--policy-pack", str(pack))
    assert forbidden.returncode != 0
    assert "a box is not allowed" in forbidden.text

    engine.program("import pulumi\npulumi.export('a', 1)\n")
    allowed = _preview(engine, "--policy-pack", str(pack))
    assert allowed.returncode == 0, allowed.text
    assert "pack" in allowed.text
    assert "Traceback" not in forbidden.text + allowed.text


def test_a_policy_pack_that_cannot_start_says_why(engine: Engine, tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    pack.mkdir()
    (pack / "PulumiPolicy.yaml").write_text("runtime: python\n")
    (pack / "__main__.py").write_text("raise SystemExit('the pack is unwell')\n")
    engine.program("")
    result = _preview(engine, "--policy-pack", str(pack))

    assert result.returncode != 0
    assert "the pack is unwell" in result.text


@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupted_run_ends_soon_and_without_a_traceback(
    engine: Engine, tmp_path: Path, times: int
) -> None:
    mark = tmp_path / "begun"
    engine.program(f"import pathlib, time\npathlib.Path({str(mark)!r}).touch()\ntime.sleep(120)\n")
    with subprocess.Popen(
        [engine.cli, "up", "--yes", "--skip-preview", "--non-interactive", "--stack", "test"],
        cwd=engine.directory,
        env=engine.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            deadline = time.monotonic() + 60
            while not mark.exists():
                assert process.poll() is None, "the run ended before the program began"
                assert time.monotonic() < deadline, "the program did not begin"
                time.sleep(0.05)
            for _ in range(times):
                process.send_signal(signal.SIGINT)
                time.sleep(0.3)
            printed, _ = process.communicate(timeout=30)
        finally:
            process.kill()

    assert process.returncode != 0
    assert "Traceback" not in printed, printed
    assert "KeyboardInterrupt" not in printed


def test_the_language_host_ends_when_the_engine_is_killed(engine: Engine, tmp_path: Path) -> None:
    started = tmp_path / "started"
    engine.program(f"""
import os, pathlib, time
pathlib.Path({str(started)!r}).write_text(str(os.getpid()))
time.sleep(60)
""")
    with engine.begin("up", "--yes", "--stack", "test") as process:
        deadline = time.monotonic() + 30
        while not started.exists() or not started.read_text():
            assert time.monotonic() < deadline, "the program did not start"
            time.sleep(0.05)
        host = int(started.read_text())
        process.kill()
    while _runs(host):
        assert time.monotonic() < deadline, "the language host outlived the engine"
        time.sleep(0.1)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
