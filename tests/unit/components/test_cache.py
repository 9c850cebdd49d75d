"""Valkey, bundled or external, and Immich's variables for it."""

from __future__ import annotations

import base64
import json
import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.cache import component as cache
from components.cache.settings import BundledCache, ExternalCache
from components.model.connection import Connection
from components.model.secret_text import SecretText
from components.model.workload import CommandCheck, SecretFiles
from components.model.workload import Storage as Mounted


def config(**settings: Any) -> dict[str, str]:
    """valkey.conf by directive."""
    text = cache.configuration(BundledCache.model_validate(settings)).resolve({"cachePassword": "x"})
    return {line.partition(" ")[0]: line.partition(" ")[2] for line in text.splitlines()}


def external(**settings: Any) -> tuple[Connection, SecretText]:
    model = ExternalCache.model_validate({"kind": "external", "host": "redis.example.com", **settings})
    return cache.external_connection(model), cache.external_url(model)


def options(text: str) -> dict[str, Any]:
    scheme, _, coded = text.partition("://")
    assert scheme == "ioredis", "Immich ignores every other scheme"
    return json.loads(base64.b64decode(coded, validate=True))


def test_job_queues_are_never_evicted_and_survive_a_restart() -> None:
    found = config(maxMemory="100Mi")
    assert found["maxmemory-policy"] == "noeviction"
    assert found["maxmemory"] == str(100 * 2**20)
    assert (found["appendonly"], found["appendfsync"], found["dir"]) == ("yes", "everysec", "/data")
    assert Mounted(volume="cache", path="/data") in cache.workload(BundledCache()).mounts


@given(password=st.text(st.characters(min_codepoint=32, exclude_categories=("Cs", "Cc")), min_size=1))
def test_any_password_is_one_quoted_word_of_the_configuration(password: str) -> None:
    text = cache.configuration(BundledCache()).resolve({"cachePassword": password})
    word = text.removesuffix("\n").partition("requirepass ")[2]
    assert word.startswith('"')
    assert word.endswith('"')
    # Valkey reads \" and \\ inside quotes as POSIX shells do.
    assert shlex.split(word, posix=True) == [password]
    assert len([line for line in text.split("\n") if line.startswith("requirepass")]) == 1


def test_the_password_is_in_files_only() -> None:
    pod = cache.workload(BundledCache())
    assert pod.env == {}
    assert pod.args == ("valkey-server", "/run/secrets/cache/valkey.conf")
    assert SecretFiles(
        secret="cache", path="/run/secrets/cache", items={"password": "password", "valkey.conf": "valkey.conf"}
    ) in pod.mounts  # fmt: skip


def test_its_health_is_asked_with_the_password_and_without_showing_it() -> None:
    pod = cache.workload(BundledCache())
    for probe in (pod.liveness, pod.readiness):
        assert probe is not None
        assert isinstance(probe.check, CommandCheck)
        command = probe.check.command[-1]
        assert 'REDISCLI_AUTH="$(cat /run/secrets/cache/password)"' in command
        assert "-a " not in command
        assert "grep -q PONG" in command, "an answer that is no PONG is a failure"


def test_one_copy_with_data_talks_to_nobody() -> None:
    pod = cache.workload(BundledCache())
    assert (pod.stateful, pod.exclusive, pod.replicas, pod.user) == (True, True, 1, 999)
    assert pod.links == pod.egress == pod.ingress == ()


def test_a_cache_elsewhere_is_given_in_parts_with_its_password_as_a_file() -> None:
    connection, _ = external(port=6380, database=3, username="immich")
    assert connection.env == {
        "REDIS_HOSTNAME": "redis.example.com",
        "REDIS_PORT": "6380",
        "REDIS_DBINDEX": "3",
        "REDIS_USERNAME": "immich",
        "REDIS_PASSWORD_FILE": "/run/secrets/cache/password",
    }
    assert connection.secrets == ("cachePassword",)
    assert connection.url_file is None


def test_a_cache_without_a_password_has_none_anywhere() -> None:
    connection, _ = external(password=False)
    assert "REDIS_PASSWORD_FILE" not in connection.env
    assert (connection.mounts, connection.secrets) == ((), ())


def test_tls_can_only_be_said_in_the_url_that_immich_decodes() -> None:
    connection, url = external(tls=True, password=False, port=6380, database=2)
    assert connection.env.keys() == {"REDIS_URL"}
    assert connection.env["REDIS_URL"] == url.resolve({})
    assert options(url.resolve({})) == {
        "host": "redis.example.com",
        "port": 6380,
        "db": 2,
        "tls": {"servername": "redis.example.com"},
    }


def test_a_url_with_a_password_is_never_a_variable() -> None:
    connection, url = external(tls=True, username="immich")
    assert connection.env == {}
    assert connection.url_file == "/run/secrets/cache/url"
    assert connection.secrets == ("cachePassword",)
    assert url.keys == ("cachePassword",)


@given(password=st.text(min_size=1).filter(lambda text: text.isprintable()))
def test_the_url_decodes_to_the_very_password(password: str) -> None:
    _, url = external(tls=True, username="immich")
    decoded = options(url.resolve({"cachePassword": password}))
    assert (decoded["password"], decoded["username"]) == (password, "immich")


def test_the_operators_template_of_the_url_encodes_as_a_whole() -> None:
    _, url = external(tls=True)
    template = url.external_template()
    assert template.startswith("ioredis://{{ print ")
    assert template.endswith(" | b64enc }}")
    assert "(.cachePassword | toRawJson)" in template


@pytest.mark.parametrize(("host", "cidrs"), [("10.1.2.3", ("10.1.2.3/32",)), ("fd00::3", ("fd00::3/128",))])
def test_an_external_cache_by_address_opens_that_address(host: str, cidrs: tuple[str, ...]) -> None:
    connection, _ = external(host=host, port=7000)
    assert [(rule.cidrs, rule.names, rule.ports) for rule in connection.egress] == [(cidrs, (), (7000,))]
