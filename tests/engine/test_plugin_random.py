"""The offline random plugin, driven by the real engine."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.harness.engine import Engine, Missing, find_cli

pytestmark = [pytest.mark.deep(unless_changed=("toolchain/offline/plugins",)), pytest.mark.engine]

PASSWORD = 'r.RandomPassword("pw", length={length}, special=False, keepers={{"k": "{keeper}"}})\n'
HEADER = "import pulumi\nimport pulumi_random as r\n"


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    cli = find_cli()
    if isinstance(cli, Missing):
        pytest.skip(cli.reason)
    return Engine.create(tmp_path, cli)


def shown(engine: Engine) -> dict[str, str]:
    """The outputs with secrets; only for looking at values that these tests made."""
    return json.loads(engine.run("stack", "output", "--json", "--show-secrets", "--stack", "test").stdout)


def test_a_password_is_kept_until_an_input_changes(engine: Engine) -> None:
    program = HEADER + "pw = " + PASSWORD + 'pulumi.export("pw", pw.result)\n'
    engine.program(program.format(length=20, keeper="1"))
    assert engine.up().ops == {"pw": ["create"]}
    first = shown(engine)["pw"]
    assert re.fullmatch(r"[A-Za-z0-9]{20}", first)
    assert engine.up().changes == {}
    engine.program(program.format(length=20, keeper="2"))
    assert engine.up().changes == {"pw": ["create-replacement", "replace", "delete-replaced"]}
    assert shown(engine)["pw"] != first


def test_a_password_is_never_in_plain_state_or_output(engine: Engine) -> None:
    engine.program(
        HEADER + "pw = " + PASSWORD.format(length=24, keeper="") + 'pulumi.export("pw", pw.result)\n'
    )
    result = engine.up()
    value = shown(engine)["pw"]
    assert value not in json.dumps(engine.export()) + result.text
    assert engine.outputs() == {"pw": "[secret]"}


def test_a_preview_does_not_know_the_value(engine: Engine) -> None:
    engine.program(
        HEADER
        + "pw = "
        + PASSWORD.format(length=20, keeper="")
        + 'pw.result.apply(lambda text: open("seen", "w").write(text))\n'
    )
    engine.preview()
    assert not (engine.directory / "seen").exists()


def test_a_password_is_imported_by_its_value(engine: Engine) -> None:
    engine.program(
        HEADER
        + 'pw = r.RandomPassword("pw", length=11, opts=pulumi.ResourceOptions(import_="hunter2Hunt"))\n'
        + 'pulumi.export("pw", pw.result)\n'
    )
    assert engine.up().ops == {"pw": ["import"]}
    assert shown(engine)["pw"] == "hunter2Hunt"
    engine.program(HEADER + 'pw = r.RandomPassword("pw", length=11)\npulumi.export("pw", pw.result)\n')
    assert engine.up().changes == {}


def test_every_kind_has_the_outputs_of_the_official_plugin(engine: Engine) -> None:
    engine.program(
        HEADER
        + """
i = r.RandomId("id", byte_length=4, prefix="p-")
b = r.RandomBytes("bytes", length=32)
u = r.RandomUuid("uuid")
n = r.RandomInteger("int", min=3, max=3)
s = r.RandomString("text", length=6, upper=False, special=False, min_numeric=6)
p = r.RandomPet("pet")
for name, value in {"hex": i.hex, "dec": i.dec, "std": i.b64_std, "url": i.b64_url, "bytes": b.base64,
                    "bytes_hex": b.hex, "uuid": u.result, "int": n.result, "text": s.result, "pet": p.id}.items():
    pulumi.export(name, value)
"""
    )
    engine.up()
    values = shown(engine)
    assert re.fullmatch(r"p-[0-9a-f]{8}", values["hex"])
    assert values["dec"] == f"p-{int(values['hex'][2:], 16)}"
    assert len(bytes.fromhex(values["bytes_hex"])) == 32
    assert values["int"] == 3
    assert re.fullmatch(r"\d{6}", values["text"])
    assert re.fullmatch(r"[a-z]+-[a-z]+", values["pet"])
    assert re.fullmatch(r"[0-9a-f-]{36}", values["uuid"])
    assert engine.up().changes == {}
    assert engine.outputs()["bytes"] == "[secret]"


def test_minima_that_exceed_the_length_are_refused(engine: Engine) -> None:
    engine.program(HEADER + 'r.RandomPassword("pw", length=4, min_upper=3, min_lower=3)\n')
    failed = engine.up(check=False)
    assert failed.returncode != 0
    assert "length is 4 but must be at least 6" in failed.text
    assert "Traceback" not in failed.text
