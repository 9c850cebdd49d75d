"""Every command of a page exists: a target of the Makefile, a subcommand, a setting, a secret; a shell can read it."""

from __future__ import annotations

import re
import subprocess

import pytest
from pydantic import BaseModel

from components.recovery.runbooks import names
from components.settings.annotations import fields_by_alias, models_of
from components.settings.model import SECRET_KEYS, SECTIONS
from tests.harness.program import ROOT
from tests.unit.capacity.stacks import of_stack
from tests.unit.runbooks.pages import EVERY, MADE, code, commands, pages_of

KNOWN = {
    "pulumi": {"config", "stack"},
    "docker": {"stop", "start", "exec", "logs", "rm", "run", "volume", "compose", "ps", "update"},
    "podman": {"stop", "start", "exec", "logs", "rm", "run", "volume", "unshare", "ps"},
    "kubectl": {"scale", "exec", "logs", "get", "delete", "apply", "wait", "patch"},
    "restic": {"snapshots", "restore", "find", "diff", "check"},
    "sudo": {"install", "mv", "chown", "tar", "cat"},
    "git": {"clone"},
}
"""Programs of which a page uses some subcommands."""
PLAIN = {
    "cd",
    "eval",
    "export",
    "for",
    "do",
    "done",
    "touch",
    "sed",
    "psql",
    "tail",
    "zstd",
    "rm",
    "gzip",
    "grep",
}
FILLED_IN = {
    "UPLOAD_LOCATION", "DB_DATA_LOCATION", "FOLDER", "OLD", "BEFORE", "SNAPSHOT", "NAME", "REPOSITORY", "HOST", "OLDER",
    "NEWER",
}  # fmt: skip
"""What a person fills in; each is explained on its page."""
CAPITALS = {
    "STACK", "FILE", "KUBECONFIG", "HOME", "END", "IMG_1234", "ON_ERROR_STOP", "RESTIC_REPOSITORY", "ALL",
    "RESTIC_PASSWORD_FILE", "RESTIC_REST_USERNAME", "RESTIC_REST_PASSWORD", "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY", "SELECT", "FROM", "WHERE", "ILIKE", "ALTER", "DATABASE", "RENAME", "CREATE", "OWNER",
    "DROP", "EXTENSION", "CASCADE", "SET", "SESSION", "AUTHORIZATION", "COPY", "COMMENT", "EXISTS", "TO", "IF", "ON",
    "AS", "BEGIN", "COMMIT",
}  # fmt: skip
"""Words of the shell, of SQL, of programs."""


def make_targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z][a-z-]*):", makefile, flags=re.MULTILINE))


def subcommand(words: list[str]) -> str:
    """The first word that is no option of the program itself, such as `-n NAMESPACE` or `-H ADDRESS`."""
    rest = words[1:]
    while rest and rest[0].startswith("-"):
        rest = rest[2:]
    return rest[0] if rest else ""


def is_setting(path: str) -> bool:
    """Whether `section.key.key` is a setting of one of the section's models."""
    section, *keys = re.sub(r"\[[0-9]+\]", "", path).split(".")
    if section not in SECTIONS:
        return False
    found: list[type[BaseModel]] = list(models_of(SECTIONS[section].annotation()))
    for index, key in enumerate(keys):
        fields = [fields_by_alias(model)[key] for model in found if key in fields_by_alias(model)]
        if not fields:
            return False
        if index + 1 < len(keys):
            found = [model for field in fields for model in models_of(field.annotation)]
    return True


@pytest.mark.parametrize("stack", EVERY)
def test_every_program_and_subcommand_is_known(stack: str) -> None:
    found = commands(stack)
    assert found
    for command in found:
        for words in command.parts:
            program = words[0]
            if program in KNOWN:
                assert subcommand(words) in KNOWN[program], f"{command.page}: {command.text}"
            else:
                assert program in PLAIN | {"make"}, f"{command.page}: {command.text}"


@pytest.mark.parametrize("stack", EVERY)
def test_every_make_target_is_one_of_the_makefile_and_has_its_stack(stack: str) -> None:
    text = "\n".join(pages_of(stack).values())
    targets = make_targets()
    used = re.findall(r"(?:^ +|`)make ([a-z-]+)([^`\n]*)", text, flags=re.MULTILINE)
    assert len(used) > 10
    for target, rest in used:
        assert target in targets, f"make {target}"
        assert (
            f"STACK={stack}" in rest
            or "STACK=..." in rest
            or target in {"setup", "drill", "rollback-plan", "adopt"}
        )


@pytest.mark.parametrize("stack", EVERY)
def test_every_setting_and_secret_that_is_set_exists(stack: str) -> None:
    text = "\n".join(pages_of(stack).values())
    paths = re.findall(r"pulumi config (?:set|rm) --path immich:(\S+)", text)
    assert paths
    for path in paths:
        assert is_setting(path), path
    for section in re.findall(r"pulumi config rm immich:(\S+)", text):
        assert section in SECTIONS
    for key in re.findall(r"--secret immich:(\S+)", text):
        assert key in SECRET_KEYS
    for mentioned in re.findall(r"`immich:([A-Za-z.]+)`", text):
        assert is_setting(mentioned), mentioned
    assert set(re.findall(r"pulumi stack output (\S+)", text)) <= {"backupPassword"}


def test_a_setting_that_is_none_is_noticed() -> None:
    assert is_setting("restore.what")
    assert is_setting("storage.media.path")
    assert not is_setting("restore.where")
    assert not is_setting("nothing.what")


@pytest.mark.parametrize("stack", EVERY)
def test_a_shell_can_read_every_command(stack: str) -> None:
    for page, text in pages_of(stack).items():
        script = "\n".join(code(text))
        answer = subprocess.run(
            ["bash", "-n"], input=script, capture_output=True, text=True, timeout=20, check=False
        )
        assert (answer.returncode, answer.stderr) == (0, ""), page


@pytest.mark.parametrize("stack", EVERY)
def test_what_a_person_fills_in_is_explained_on_the_page(stack: str) -> None:
    for page, text in pages_of(stack).items():
        inside = "\n".join(code(text))
        prose = "\n".join(line for line in text.splitlines() if not line.startswith("    "))
        for word in set(re.findall(r"\b[A-Z][A-Z_0-9]+\b", inside)) - CAPITALS:
            assert word in FILLED_IN, f"{page}: {word}"
            assert word in prose or f"# {word}" in inside, f"{page} does not explain {word}"


DUMP = """--
-- PostgreSQL database dump
--
SELECT pg_catalog.set_config('search_path', '', false);
DROP EXTENSION IF EXISTS vchord;
CREATE EXTENSION IF NOT EXISTS vchord WITH SCHEMA public;
COMMENT ON EXTENSION vchord IS 'index';
CREATE TABLE public.asset (id uuid);
COPY public.asset (id) FROM stdin;
DROP EXTENSION IF EXISTS vchord;
SELECT pg_catalog.set_config('search_path', '', false);
\\.
--
-- PostgreSQL database dump complete
--
"""


@pytest.mark.parametrize("stack", ["two", "dumped", "external"])
def test_a_dump_is_changed_in_its_head_and_ends_with_the_commit(stack: str) -> None:
    script = str(names(MADE[stack], stack)["load_filter"])
    assert f'| sed "{script}"' in pages_of(stack)["host-lost.md"]
    long = DUMP.replace("COPY", f"{'-- more' + chr(10)}" * 60 + "COPY")
    given = ["bash", "-c", f'sed "{script}"']
    lines = subprocess.run(given, input=long, capture_output=True, text=True, timeout=20, check=True).stdout
    head, rows = lines.split("COPY")
    assert "SELECT pg_catalog.set_config('search_path', 'public, pg_catalog', true);" in head
    assert "search_path', ''" not in head
    assert "DROP EXTENSION" not in head  # Immich's role owns none
    assert "COMMENT ON EXTENSION" not in head
    assert "CREATE EXTENSION IF NOT EXISTS vchord" in head
    assert "DROP EXTENSION IF EXISTS vchord;" in rows
    assert "set_config('search_path', '', false)" in rows
    # psql began a transaction: what has no end that pg_dump wrote leaves nothing.
    assert rows.endswith("--\nCOMMIT;\n--\n")


def test_secrets_of_a_store_are_named_where_they_are() -> None:
    text = "\n".join(pages_of("vanillax").values())
    assert of_stack("vanillax").secrets.kind == "external-secrets"
    assert "ClusterSecretStore 1password: immich-backup/password" in text
    assert "--secret" not in text
    assert "--show-secrets" not in text
