"""Whatever stands in the section: settings, or a report for people; and what is accepted can be registered."""

from __future__ import annotations

import copy
import json
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from components.cloudflare.objects import rules
from components.cloudflare.rules import dangerous, refused_by_cloudflared
from components.settings.model import Settings
from tests.harness.examples import examples
from tests.unit.cloudflare.programs import FULL, sections
from tests.unit.settings.test_any_input import assert_settings_or_report

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(
        ["free", "http2", "*", "a.example.com", "10.0.0.1", "::1", "forever", "bastion", "3m", "\ud800"]
    )
)
ANY = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, above: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every path in a section."""
    found = [above] if above else []
    if isinstance(value, dict):
        inside: list[tuple[str | int, Any]] = list(cast("dict[str, Any]", value).items())
    else:
        inside = list(enumerate(cast("list[Any]", value))) if isinstance(value, list) else []
    for key, inner in inside:
        found += places(inner, (*above, key))
    return found


@given(place=st.sampled_from(places(FULL)), value=ANY)
@settings(max_examples=examples(300), deadline=None)
def test_any_value_at_any_place_gives_settings_or_a_report(place: tuple[str | int, ...], value: Any) -> None:
    section = copy.deepcopy(FULL)
    target: Any = section
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = value
    texts = {key: json.dumps(one) for key, one in sections(FULL).items()}
    texts["cloudflare"] = json.dumps(section)
    found = assert_settings_or_report(texts)
    if isinstance(found, Settings):
        assert_runs(found)


def assert_runs(found: Settings) -> None:
    """What was accepted makes rules that cloudflared accepts."""
    cloudflare = found.cloudflare
    if cloudflare is not None and cloudflare.tunnel is not None:
        names = cloudflare.tunnel_names(found.host.names)
        made = rules(cloudflare.tunnel, names, "http://immich-proxy:8082")
        assert [*refused_by_cloudflared(made), *dangerous(made)] == []
        assert names
