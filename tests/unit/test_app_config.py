"""The settings section `immich:app`: what is accepted, what is refused and how, and the file it becomes."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest
from pydantic import ValidationError

from components.backup.settings import Backup
from components.fields.schedule import CronExpression
from components.fields.urls import HttpUrl, Origin
from components.machine_learning.settings import BundledMachineLearning
from components.proxy.host_settings import Host
from components.server.app.overrides import app_overrides
from components.server.app.settings import (
    SECRET_FIELDS,
    AppConfig,
    AppConfigConflictError,
    oauth_redirect_uris,
    required_secrets,
    with_secrets,
)
from components.server.app.template import TOKENS, StorageTemplatePath
from components.server.app.values import BitRate, MailAddress
from components.server.settings import Server
from tests.unit.app_config import REFUSED, SECRET, accepted, every_key, leaves, model_leaves

# What is accepted


def test_every_key_of_immich_is_accepted_and_rendered_as_it_was_given() -> None:
    assert AppConfig.model_validate(every_key()).render() == every_key()


def test_the_example_has_every_key_of_the_model_but_the_secrets() -> None:
    secrets = {".".join(path) for path in SECRET_FIELDS.values()}
    assert set(leaves(every_key())) == set(model_leaves(AppConfig)) - secrets


def test_nothing_is_rendered_where_nothing_is_set() -> None:
    assert accepted().render() == {}
    assert accepted(oauth={}, job={}, library={"scan": {}}).render() == {}


def test_a_value_equal_to_immichs_default_is_rendered_when_it_was_set() -> None:
    assert accepted(trash={"days": 30}).render() == {"trash": {"days": 30}}


def test_the_rendered_file_does_not_depend_on_the_order_of_the_settings() -> None:
    def backwards(tree: object) -> object:
        if isinstance(tree, dict):
            items = cast("dict[str, object]", tree)
            return {key: backwards(items[key]) for key in reversed(items)}
        return tree

    reordered = AppConfig.model_validate(backwards(every_key()))
    rendered = AppConfig.model_validate(every_key()).render()
    assert json.dumps(reordered.render()) == json.dumps(rendered) == json.dumps(rendered, sort_keys=True)
    full = with_secrets(rendered, {"oauthClientSecret": "one", "smtpPassword": "two"})
    assert json.dumps(full) == json.dumps(full, sort_keys=True)


@pytest.mark.parametrize(
    ("section", "key", "given_number", "text"),
    [
        ("ffmpeg", "targetResolution", 720, "720"),
        ("ffmpeg", "maxBitrate", 4500, "4500"),
        ("oauth", "clientId", 298374928374, "298374928374"),
    ],
)
def test_a_number_becomes_text_where_immich_wants_text(
    section: str, key: str, given_number: int, text: str
) -> None:
    assert accepted(**{section: {key: given_number}}).render() == {section: {key: text}}


def test_an_http_issuer_is_accepted_when_insecure_requests_are_allowed() -> None:
    oauth = {"issuerUrl": "http://id.lan", "allowInsecureRequests": True}
    assert accepted(oauth=oauth).render() == {"oauth": oauth}


def test_password_login_may_be_off_when_oauth_is_on() -> None:
    oauth = {"enabled": True, "issuerUrl": "https://id.example.com", "clientId": "immich"}
    assert not accepted(oauth=oauth, passwordLogin={"enabled": False}).password_login.enabled


@pytest.mark.parametrize(
    "text",
    [
        "0 02 * * *",
        "*/15 * * * *",
        "0 */3 * * *",
        "5,35 1-5/2 1,15 * *",
        "0 0 29 2 *",
        "0 0 31 feb mon",
        "0 0 * JAN-Mar sun,7",
        "10/20 * * * *",
    ],
)
def test_schedules_that_immich_runs_are_accepted(text: str) -> None:
    assert CronExpression(text) == text


@pytest.mark.parametrize(
    "text",
    ["{{filename}}", "{{ y }}/{{assetIdShort}}", "{{album-startDate-y}}/{{make}} {{model}}/{{assetId}}",
     "{{y}}/{{#if album}}{{album}}/{{filename}}{{else}}{{#unless make}}{{W}}{{/unless}}/{{filename}}{{/if}}"],
)  # fmt: skip
def test_templates_that_immich_renders_are_accepted(text: str) -> None:
    assert StorageTemplatePath(text) == text


def test_the_token_list_has_the_dates_of_an_album() -> None:
    assert {"album-startDate-yy", "album-endDate-SSS", "MMMM", "lensModel"} <= TOKENS
    assert "album-startDate" not in TOKENS


@pytest.mark.parametrize(
    "text",
    [
        "http://ml:3003",
        "https://10.0.0.7",
        "http://[fd00::7]:3003/x",
        "https://a_b.example.com./",
        "HTTP://M",
    ],
)
def test_urls_with_a_host_are_accepted(text: str) -> None:
    assert HttpUrl(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "ml", "//ml", "ftp://ml", "http://", "http:///x", "http://a b", "http://a..b", "http://10.0.0.300",
     "http://[fd00", "http://[fd00]", "http://ml:0", "http://ml:x", "http://bücher.example", "http://u@ml"],
)  # fmt: skip
def test_other_texts_are_not_urls(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected a URL|port|neither|user name"):
        HttpUrl(text)


def test_an_origin_loses_its_last_slash() -> None:
    assert Origin("https://photos.example.com/") == "https://photos.example.com"
    assert Origin("") == ""


@pytest.mark.parametrize("text", ["0", "4500", "4500k", "4500K", "5M"])
def test_bit_rates_that_ffmpeg_takes_are_accepted(text: str) -> None:
    assert BitRate(text) == text


@pytest.mark.parametrize("text", ["a@b", "Immich <a@b.example>", ""])
def test_sender_addresses_are_accepted(text: str) -> None:
    assert MailAddress(text) == text


def test_a_sender_cannot_add_a_header() -> None:
    with pytest.raises(ValueError, match="mail address"):
        MailAddress("Immich\r\nBcc: x@example.com <a@b>")


# What is refused


@pytest.mark.parametrize("path", REFUSED, ids=[path.stem for path in REFUSED])
def test_a_bad_setting_is_refused_with_its_key_and_what_to_do(path: Path) -> None:
    case = json.loads(path.read_text())
    with pytest.raises(ValidationError) as caught:
        AppConfig.model_validate(case["app"])
    problems = [(".".join(map(str, error["loc"])), error["msg"]) for error in caught.value.errors()]
    assert len(problems) == 1, problems
    key, message = problems[0]
    assert key == case["key"] or case["key"] in message, problems
    assert case["says"] in message, problems
    assert SECRET not in repr(caught.value.errors()) + str(caught.value)


def test_there_are_refused_cases() -> None:
    assert len(REFUSED) >= 25


def test_all_problems_are_found_at_once() -> None:
    with pytest.raises(ValidationError) as caught:
        accepted(ffmpeg={"crf": 99, "accel": "x"}, trash={"days": -1}, oauth={"clientSecret": SECRET})
    assert {".".join(map(str, error["loc"])) for error in caught.value.errors()} == {
        "ffmpeg.crf", "ffmpeg.accel", "trash.days", "oauth.clientSecret",
    }  # fmt: skip


def test_nesting_without_end_is_refused_like_any_other_mistake() -> None:
    nested: object = SECRET
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(ValidationError) as caught:
        accepted(ffmpeg={"crf": nested})
    assert caught.value.errors()[0]["loc"] == ("ffmpeg", "crf")
    assert SECRET not in repr(caught.value.errors())


def test_an_accepted_configuration_does_not_change() -> None:
    config = accepted(trash={"days": 30})
    with pytest.raises(ValidationError, match="frozen"):
        config.trash.days = 0
    assert config.trash.days == 30


# What other settings imply


def test_what_other_settings_imply_is_added() -> None:
    config = accepted(machineLearning={"clip": {"enabled": False}})
    implied = {
        "machineLearning": {"urls": ("http://ml:3003",)},
        "server": {"externalDomain": "https://a.example"},
    }
    assert config.render(implied) == {
        "machineLearning": {"clip": {"enabled": False}, "urls": ["http://ml:3003"]},
        "server": {"externalDomain": "https://a.example"},
    }
    assert config.render() == {"machineLearning": {"clip": {"enabled": False}}}


def test_an_implied_value_that_the_user_set_as_well_is_no_conflict() -> None:
    config = accepted(machineLearning={"urls": ["http://ml:3003"]})
    assert config.render({"machineLearning": {"urls": ["http://ml:3003"]}}) == config.render()


@pytest.mark.parametrize(
    ("own", "written"), [(None, {"enabled": False}), (True, {"enabled": True}), (False, {"enabled": False})]
)
def test_immichs_own_dump_is_off_beside_ours_unless_the_file_says_otherwise(
    own: bool | None, written: dict[str, bool]
) -> None:
    app = accepted(backup={"database": {} if own is None else {"enabled": own}})
    implied = app_overrides(app, Host(), Server(), BundledMachineLearning(), Backup())
    assert app.render(implied)["backup"] == {"database": written}
    assert "backup" not in app_overrides(app, Host(), Server(), BundledMachineLearning(), None)


def test_every_conflict_is_named_with_both_values() -> None:
    config = accepted(machineLearning={"urls": ["http://other:3003"]}, logging={"level": "warn"})
    with pytest.raises(AppConfigConflictError) as caught:
        config.render({"machineLearning": {"urls": ["http://ml:3003"]}, "logging": {"level": "debug"}})
    text = str(caught.value)
    for part in ("machineLearning.urls", "http://other:3003", "http://ml:3003"):
        assert part in text
    for part in ("logging.level", "warn", "debug"):
        assert part in text
    assert [conflict.path for conflict in caught.value.conflicts] == ["machineLearning.urls", "logging.level"]
    assert isinstance(caught.value, ValueError)


def test_a_section_against_a_value_is_a_conflict() -> None:
    with pytest.raises(AppConfigConflictError, match=r"immich:app\.trash"):
        accepted(trash={"days": 1}).render({"trash": 7})


@pytest.mark.parametrize("implied", [{"machineLearning": {"url": "x"}}, {"oauth": {"clientSecret": SECRET}}])
def test_what_is_implied_must_be_a_setting_itself(implied: Mapping[str, object]) -> None:
    with pytest.raises(ValidationError) as caught:
        accepted().render(implied)
    assert SECRET not in repr(caught.value.errors())


# Secrets


def test_the_model_has_no_place_for_a_secret() -> None:
    rendered = AppConfig.model_validate(every_key()).render()
    for path in SECRET_FIELDS.values():
        assert ".".join(path) not in set(leaves(rendered))


def test_secrets_are_put_in_their_places_and_nowhere_else() -> None:
    rendered = AppConfig.model_validate(every_key()).render()
    before = copy.deepcopy(rendered)
    full = with_secrets(rendered, {"oauthClientSecret": "one", "smtpPassword": "two"})
    expected = every_key()
    expected["oauth"]["clientSecret"] = "one"
    expected["notifications"]["smtp"]["transport"]["password"] = "two"
    assert full == expected
    assert rendered == before
    assert with_secrets(rendered, {}) == rendered


def test_a_secret_makes_the_sections_it_needs() -> None:
    assert with_secrets({"trash": {"days": 1}}, {"smtpPassword": "x"}) == {
        "notifications": {"smtp": {"transport": {"password": "x"}}}, "trash": {"days": 1},
    }  # fmt: skip


def test_an_unknown_secret_is_refused_without_its_value() -> None:
    with pytest.raises(ValueError, match="jwtSecret") as caught:
        with_secrets({}, {"jwtSecret": SECRET})
    assert SECRET not in str(caught.value)


def test_secrets_are_required_by_what_is_turned_on() -> None:
    oauth = {"enabled": True, "issuerUrl": "https://id.example.com", "clientId": "immich"}
    smtp = {"enabled": True, "from": "a@b", "transport": {"host": "smtp.example.com"}}
    with_name = {**smtp, "transport": {"host": "smtp.example.com", "username": "u"}}
    assert required_secrets(accepted()) == frozenset()
    assert required_secrets(accepted(oauth={**oauth, "enabled": False})) == frozenset()
    assert required_secrets(accepted(oauth=oauth)) == {"oauthClientSecret"}
    assert required_secrets(accepted(notifications={"smtp": smtp})) == frozenset()
    assert required_secrets(accepted(notifications={"smtp": with_name})) == {"smtpPassword"}
    assert required_secrets(accepted(notifications={"smtp": {**with_name, "enabled": False}})) == frozenset()


# What other sections ask of this one


def test_what_was_set_is_told_from_a_default_of_the_same_value() -> None:
    unset = accepted()
    assert (unset.acceleration, unset.machine_learning_urls) == (None, None)
    urls = ["http://immich-machine-learning:3003"]
    same = accepted(ffmpeg={"accel": "disabled"}, machineLearning={"enabled": True, "urls": urls})
    assert (same.acceleration, same.machine_learning_urls) == ("disabled", tuple(urls))


def test_watching_of_libraries_is_off_unless_it_is_turned_on() -> None:
    assert not accepted().watches_libraries
    assert accepted(library={"watch": {"enabled": True}}).watches_libraries


# OAuth redirect URIs


def test_the_redirect_uris_are_the_apps_and_two_for_each_host() -> None:
    assert oauth_redirect_uris(["photos.example.com", "photos.lan:8443", "photos.example.com"]) == [
        "app.immich:///oauth-callback",
        "https://photos.example.com/auth/login",
        "https://photos.example.com/user-settings",
        "https://photos.lan:8443/auth/login",
        "https://photos.lan:8443/user-settings",
    ]


@pytest.mark.parametrize("host", ["", "https://photos.example.com", "photos.example.com/", " photos"])
def test_a_redirect_uri_needs_a_bare_host_name(host: str) -> None:
    with pytest.raises(ValueError, match="host name"):
        oauth_redirect_uris([host])
