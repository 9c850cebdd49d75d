"""The settings section `immich:app`: its descriptions, and whatever else may be given to it."""

from __future__ import annotations

import json
from typing import cast

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from components.fields.schedule import CronExpression
from components.model.values import ParsedStr
from components.server.app.settings import AppConfig
from components.server.app.template import StorageTemplatePath
from tests.harness.examples import examples
from tests.unit.app_config import SECRET, every_key, models

# The reference


def test_every_section_has_a_description() -> None:
    assert [model.__name__ for model in models(AppConfig) if not model.__doc__] == []


def test_the_models_make_a_json_schema() -> None:
    properties = AppConfig.model_json_schema()["properties"]
    assert set(properties) == set(every_key())


# Any input


JSON_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from([
        "", "https://a.example/x?y#z", "http://[::1", "0 3 * * *", "{{filename}}", "{{#if", "02:30", "h264",
        "a@b", "5M", "renderD128", "127.0.0.1", 10**400, 465, 720,
    ])
)  # fmt: skip
ANY_JSON = st.recursive(
    JSON_LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def near(tree: object) -> st.SearchStrategy[object]:
    """Trees with the keys of `tree`, some left out, whose leaves are kept or replaced by anything."""
    if isinstance(tree, dict):
        items = cast("dict[str, object]", tree)
        branch = st.fixed_dictionaries({}, optional={key: near(value) for key, value in items.items()})
        return st.one_of(branch, branch, branch, ANY_JSON)
    return st.one_of(st.just(tree), st.just(tree), ANY_JSON)


SECRET_EXAMPLE = every_key()
SECRET_EXAMPLE["oauth"]["clientSecret"] = SECRET
SECRET_EXAMPLE["notifications"]["smtp"]["transport"]["password"] = SECRET


def validated(document: object) -> AppConfig | ValidationError:
    try:
        return AppConfig.model_validate(document)
    except ValidationError as error:
        return error


def parsed(kind: type[ParsedStr], text: str) -> tuple[ParsedStr | None, str]:
    """The value, or none and what was said."""
    try:
        return kind(text), ""
    except ValueError as error:
        return None, str(error)


def assert_refused_or_stable(document: object) -> None:
    """Whatever is given is refused by pydantic's own error, or renders to a file that renders to itself."""
    config = validated(document)
    if isinstance(config, ValidationError):
        assert SECRET not in repr(config.errors())
        return
    rendered = config.render()
    assert AppConfig.model_validate(json.loads(json.dumps(rendered, allow_nan=False))).render() == rendered
    assert SECRET not in json.dumps(rendered)


@given(ANY_JSON | st.dictionaries(st.sampled_from(sorted(every_key())), ANY_JSON, max_size=4))
@settings(max_examples=examples(150), deadline=None, derandomize=True)
def test_any_json_is_refused_or_rendered_the_same_again(document: object) -> None:
    assert_refused_or_stable(document)


@given(near(SECRET_EXAMPLE))
@settings(
    max_examples=examples(150), deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
def test_json_with_immichs_keys_is_refused_or_rendered_the_same_again(document: object) -> None:
    assert_refused_or_stable(document)


@given(st.dictionaries(st.sampled_from(sorted(every_key())), st.booleans(), max_size=22))
@settings(max_examples=examples(50), deadline=None, derandomize=True)
def test_any_choice_of_valid_sections_renders_as_it_was_given(chosen: dict[str, bool]) -> None:
    document = {key: every_key()[key] for key, keep in chosen.items() if keep}
    if "passwordLogin" in document and "oauth" not in document:
        del document["passwordLogin"]
    assert AppConfig.model_validate(document).render() == document
    assert_refused_or_stable(document)


@given(st.text(alphabet="{}#/ .yMifalbumenx", max_size=40))
@settings(max_examples=examples(200), deadline=None, derandomize=True)
def test_any_template_is_refused_with_a_sentence_or_kept(text: str) -> None:
    kept, refusal = parsed(StorageTemplatePath, text)
    assert (kept is None) == bool(refusal)
    if kept is not None:
        assert StorageTemplatePath(kept) == kept == text.strip()


@given(st.text(alphabet="0123456789*/,- sunjafebx", max_size=40))
@settings(max_examples=examples(200), deadline=None, derandomize=True)
def test_any_schedule_is_refused_with_a_sentence_or_kept(text: str) -> None:
    kept, refusal = parsed(CronExpression, text)
    assert (kept is None) == bool(refusal)
    if kept is not None:
        assert len(kept.split(" ")) == 5
        assert CronExpression(kept) == kept
