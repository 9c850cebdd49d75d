"""The provider's token: where it comes from, what is refused, and that it is never shown."""

from __future__ import annotations

import re

import pulumi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.cloudflare.api import token_problem
from tests.harness.mocks import Run, Secret
from tests.unit.cloudflare.programs import API_TOKEN, BASE, run

SECTION = {**BASE, "tunnel": {}}
GLOBAL_KEY = "0123456789abcdef0123456789abcdef01234"
OTHER = "another-token-of-forty-letters-and-more-00"


def provider(made: Run) -> dict[str, object]:
    (found,) = made.of_type("pulumi:providers:cloudflare")
    return found.props


def refusal(hidden: dict[str, str]) -> str:
    with pytest.raises(pulumi.RunError) as caught:
        run(SECTION, hidden=hidden)
    return str(caught.value)


def test_a_token_of_the_environment_is_in_no_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", API_TOKEN)
    assert provider(run(SECTION, hidden={})) == {}


def test_a_token_of_the_config_comes_before_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", OTHER)
    assert provider(run(SECTION)) == {"apiToken": Secret(API_TOKEN)}


def test_no_token_is_said_with_what_to_do() -> None:
    said = refusal({})
    assert "pulumi config set --secret immich:cloudflareApiToken" in said
    assert "$CLOUDFLARE_API_TOKEN" in said
    assert "docs/cloudflare.md" in said


def test_a_bad_token_is_named_by_its_place_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal({"cloudflareApiToken": "hunter2!"})
    assert said.startswith("immich:cloudflareApiToken: is no API token")
    assert "hunter2" not in said
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", "hunter2!")
    said = refusal({})
    assert said.startswith("$CLOUDFLARE_API_TOKEN: is no API token")
    assert "hunter2" not in said


@pytest.mark.parametrize(
    "name", ["CLOUDFLARE_API_KEY", "CLOUDFLARE_EMAIL", "CLOUDFLARE_API_USER_SERVICE_KEY"]
)
def test_a_global_key_in_the_environment_is_refused_even_beside_a_token(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "hunter2")
    said = refusal({"cloudflareApiToken": API_TOKEN})
    assert f"${name}: a global API key may do everything" in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (GLOBAL_KEY, "is a global API key"),
        (f"Bearer {API_TOKEN}", "begins with the word Bearer"),
        (f"{API_TOKEN}\n", "a space or a line break around it"),
        (f" {API_TOKEN}", "a space or a line break around it"),
        ("a" * 39, "it may be cut off"),
        ("a" * 81, "it may be cut off"),
        ("a" * 39 + "!", "40 to 80 letters, digits"),
        ("", "0 characters"),
    ],
)
def test_what_cannot_be_a_token_is_refused_by_its_form(token: str, words: str) -> None:
    problem = token_problem(token)
    assert problem is not None
    assert words in problem


@given(st.from_regex(r"[0-9A-Za-z_-]{40,80}", fullmatch=True))
def test_whatever_the_provider_accepts_is_accepted(token: str) -> None:
    assert token_problem(token) is None


@given(st.text(min_size=1, max_size=90))
def test_no_reason_shows_the_text(token: str) -> None:
    problem = token_problem(token)
    assert (problem is None) == (re.fullmatch(r"[0-9A-Za-z_-]{40,80}", token, re.ASCII) is not None)
    if problem is not None and len(token) > 12:
        assert token not in problem
