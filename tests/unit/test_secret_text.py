"""Texts with places for secrets: with their values, and as templates of the External Secrets operator."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.model.secret_text import SecretPart, SecretText, json_with_secrets
from components.server.app.secrets import SECRET_FIELDS, with_secrets
from tests.harness.examples import examples

FAST = settings(max_examples=examples(150), deadline=None, derandomize=True)
KEYS = ("databasePassword", "cachePassword", "smtpPassword")
NASTY = "\" ' \\ \n\t\r\x00\x7f { {{ }} {{{ ${a} $(b) `c` <&> ä € 😀 \u2028 {{ .x }} {{- -}}"
REAL = st.characters(codec="utf-8")
secrets = st.fixed_dictionaries({key: st.text(REAL, max_size=20) | st.just(NASTY) for key in KEYS})
texts = st.text(REAL, max_size=20) | st.text(alphabet='{}-" \\\n.x', max_size=12) | st.just(NASTY)
parts = st.lists(
    texts | st.builds(SecretPart, key=st.sampled_from(KEYS), quoted=st.booleans()), max_size=5
).map(tuple)
ACTION = re.compile(r"\{\{ (.*?) \}\}", re.DOTALL)


def rendered(template: str, values: Mapping[str, str]) -> str:
    """What Go's text/template prints, for templates without base64: literals and `.key`, perhaps with toRawJson."""

    def printed(match: re.Match[str]) -> str:
        action = match[1]
        if action.startswith('"'):
            return json.loads(action)
        key, _, filtered = action.removeprefix(".").partition(" | ")
        assert filtered in {"", "toRawJson"}
        return json.dumps(values[key], ensure_ascii=False) if filtered else values[key]

    outside = ACTION.sub("", template)
    assert "{{" not in outside, f"a brace that Go would take for an action in {template!r}"
    return ACTION.sub(printed, template)


@given(parts, secrets)
@example(("{", SecretPart(key="databasePassword"), "}"), dict.fromkeys(KEYS, "x"))
@example(("{{", "{", SecretPart(key="databasePassword", quoted=True)), dict.fromkeys(KEYS, NASTY))
@example(("{", "{ .x }}"), dict.fromkeys(KEYS, "x"))
@FAST
def test_a_template_prints_what_the_program_would_write(
    pieces: tuple[str | SecretPart, ...], values: dict[str, str]
) -> None:
    text = SecretText(parts=pieces)
    assert rendered(text.external_template(), values) == text.resolve(values)


@given(parts, secrets)
@FAST
def test_the_text_is_its_parts_in_their_order(
    pieces: tuple[str | SecretPart, ...], values: dict[str, str]
) -> None:
    expected = ""
    for part in pieces:
        if isinstance(part, str):
            expected += part
        elif part.quoted:
            expected += json.dumps(values[part.key], ensure_ascii=False)
        else:
            expected += values[part.key]
    assert SecretText(parts=pieces).resolve(values) == expected
    wrapped = SecretText(parts=pieces, base64_prefix="ioredis://").resolve(values)
    assert wrapped.startswith("ioredis://")
    assert base64.b64decode(wrapped.removeprefix("ioredis://"), validate=True).decode() == expected


@given(parts)
@FAST
def test_a_template_has_no_secret_and_names_every_key_once(pieces: tuple[str | SecretPart, ...]) -> None:
    keys = SecretText(parts=pieces).keys
    assert len(set(keys)) == len(keys)
    assert set(keys) == {part.key for part in pieces if isinstance(part, SecretPart)}


def test_a_plain_text_and_a_lone_secret() -> None:
    assert SecretText.of("databasePassword").resolve({"databasePassword": NASTY}) == NASTY
    assert SecretText.of("databasePassword").external_template() == "{{ .databasePassword }}"
    assert (
        SecretText.plain("immich").resolve({}) == SecretText.plain("immich").external_template() == "immich"
    )
    assert SecretText.plain("immich").keys == ()


def test_a_secret_without_a_value_is_not_passed_over() -> None:
    with pytest.raises(KeyError, match="databasePassword"):
        SecretText.of("databasePassword").resolve({})


def test_the_template_of_a_base64_text() -> None:
    text = SecretText(
        parts=('{"a": "ä😀"', SecretPart(key="cachePassword", quoted=True), "}"), base64_prefix="ioredis://"
    )
    assert text.external_template() == (
        'ioredis://{{ print "{\\"a\\": \\"ä😀\\"" (.cachePassword | toRawJson) "}" | b64enc }}'
    )


# JSON with secrets

documents = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
PLACES = {"databasePassword": ("a", "b", "c"), "cachePassword": ("a", "x"), "smtpPassword": ("top",)}


def with_values(document: Any, values: Mapping[str, str], keys: frozenset[str]) -> Any:
    tree = json.loads(json.dumps(document))
    for key in keys:
        *above, last = PLACES[key]
        here = tree
        for name in above:
            here = here.setdefault(name, {})
        here[last] = values[key]
    return tree


@given(
    st.dictionaries(texts.filter(lambda key: key != "a"), documents, max_size=3),
    secrets,
    st.frozensets(st.sampled_from(KEYS)),
)
@example(
    {"x": "\x00databasePassword\x00", "\x00\x00cachePassword\x00\x00": {}},
    dict.fromkeys(KEYS, "x"),
    frozenset(KEYS),
)
@FAST
def test_json_with_secrets_reads_back_as_the_document_with_them(
    document: dict[str, Any], values: dict[str, str], keys: frozenset[str]
) -> None:
    text = json_with_secrets(document, PLACES, keys)
    assert set(text.keys) == keys
    expected = with_values(document, values, keys)
    assert json.loads(text.resolve(values)) == expected
    assert json.loads(rendered(text.external_template(), values)) == expected


def test_secrets_stand_beside_what_is_there() -> None:
    document = {"a": {"b": {"d": 1}, "x": "old"}, "z": [1]}
    text = json_with_secrets(document, PLACES, frozenset(PLACES))
    assert json.loads(text.resolve({"databasePassword": "1", "cachePassword": "2", "smtpPassword": "3"})) == {
        "a": {"b": {"c": "1", "d": 1}, "x": "2"}, "top": "3", "z": [1],
    }  # fmt: skip
    assert document == {"a": {"b": {"d": 1}, "x": "old"}, "z": [1]}


def test_the_same_document_gives_the_same_text_whatever_its_order() -> None:
    one, other = {"b": 1, "a": {"d": 1, "c": 2}}, {"a": {"c": 2, "d": 1}, "b": 1}
    assert json_with_secrets(one, PLACES, frozenset(KEYS)) == json_with_secrets(
        other, PLACES, frozenset(KEYS)
    )


def test_immichs_file_has_its_secrets_where_immich_looks_for_them() -> None:
    document = {"oauth": {"enabled": True}}
    values = {"oauthClientSecret": NASTY, "smtpPassword": "p"}
    text = json_with_secrets(document, SECRET_FIELDS, frozenset(values))
    assert json.loads(text.resolve(values)) == with_secrets(document, values)


# Go itself

GO_PROGRAM = """\
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"text/template"
)

type job struct {
	Template string
	Values   map[string]string
}

func main() {
	var jobs []job
	if err := json.NewDecoder(os.Stdin).Decode(&jobs); err != nil {
		panic(err)
	}
	functions := template.FuncMap{
		"b64enc": func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) },
		"toRawJson": func(value any) (string, error) {
			out := new(bytes.Buffer)
			encoder := json.NewEncoder(out)
			encoder.SetEscapeHTML(false)
			err := encoder.Encode(&value)
			return strings.TrimSuffix(out.String(), "\\n"), err
		},
	}
	printed := []string{}
	for _, one := range jobs {
		out := new(bytes.Buffer)
		parsed := template.Must(template.New("t").Option("missingkey=error").Funcs(functions).Parse(one.Template))
		if err := parsed.Execute(out, one.Values); err != nil {
			panic(err)
		}
		printed = append(printed, out.String())
	}
	if err := json.NewEncoder(os.Stdout).Encode(printed); err != nil {
		panic(err)
	}
}
"""


@pytest.mark.skipif(
    shutil.which("go") is None, reason="go is not installed: templates are not run by Go itself"
)
def test_go_prints_templates_as_the_program_would_write_them(tmp_path: Path) -> None:
    part, quoted = SecretPart(key="databasePassword"), SecretPart(key="cachePassword", quoted=True)
    document = {"a": {"template": "{{y}}/{{#if album}}{{{album}}}{{/if}}"}, "nasty": NASTY, "{": ["{", "{{"]}
    cases = [
        SecretText(parts=("{", part, "}")),
        SecretText(parts=("{{", "{", part, quoted, "}}", NASTY)),
        SecretText(parts=(NASTY, part, NASTY, quoted, "{")),
        SecretText.plain(NASTY),
        SecretText(parts=('{"host": "ä😀', quoted, NASTY, "}", part), base64_prefix="ioredis://"),
        json_with_secrets(document, PLACES, frozenset({"databasePassword", "cachePassword"})),
    ]
    values = {"databasePassword": NASTY, "cachePassword": f"{NASTY}\x01"}
    program = tmp_path / "main.go"
    program.write_text(GO_PROGRAM, encoding="utf-8")
    jobs = [{"Template": case.external_template(), "Values": values} for case in cases]
    run = subprocess.run(
        ["go", "run", str(program)],
        input=json.dumps(jobs),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    for case, printed in zip(cases, json.loads(run.stdout), strict=True):
        assert same(printed, case.resolve(values), case.base64_prefix)


def same(printed: str, written: str, prefix: str | None) -> bool:
    """Whether both are the same text; Go writes some characters of JSON as other escapes than Python."""
    if prefix is not None:
        one, other = (base64.b64decode(text.removeprefix(prefix)).decode() for text in (printed, written))
        return same(one, other, None) and printed.startswith(prefix)
    escapes = {"\\u2028": "\u2028", "\\u007f": "\x7f", "\\b": "\\u0008", "\\f": "\\u000c"}
    for escape, plain in escapes.items():
        printed, written = printed.replace(escape, plain), written.replace(escape, plain)
    return printed == written
