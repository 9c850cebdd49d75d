"""Ingress rules as cloudflared judges them: cases, and what holds for any rules."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.cloudflare.rules import (
    NOT_FOUND,
    IngressRule,
    bad_path,
    dangerous,
    refused_by_cloudflared,
)
from tests.harness.examples import examples

CATCH_ALL = IngressRule(service=NOT_FOUND)


def rule(
    service: str = "http://immich-proxy:8082", hostname: str = "a.example.com", path: str = ""
) -> IngressRule:
    return IngressRule(service=service, hostname=hostname, path=path)


GOOD = {
    "one rule that answers everything": [CATCH_ALL],
    "a name, then 404": [rule(), CATCH_ALL],
    "a wildcard": [rule(hostname="*.example.com"), CATCH_ALL],
    "the star as the last name": [rule(), rule(hostname="*")],
    "a star before a label, which Go leaves alone": [rule(hostname="*x.example.com"), CATCH_ALL],
    "a path without a name": [rule(hostname="", path="^/api/"), CATCH_ALL],
    "https without a port": [rule("https://nas.lan"), CATCH_ALL],
    "an empty port": [rule("http://nas.lan:"), CATCH_ALL],
    "an IPv6 address": [rule("http://[fd00::7]:8080"), CATCH_ALL],
    "a scheme in upper case": [rule("HTTP://nas"), CATCH_ALL],
    "another protocol, which Go accepts": [rule("tcp://database:5432"), CATCH_ALL],
    "a socket": [rule("unix:/run/immich.sock"), CATCH_ALL],
    "a socket with TLS": [rule("unix+tls:/run/immich.sock"), CATCH_ALL],
    "status at its ends": [rule("http_status:100"), rule("http_status:999", "b.example.com"), CATCH_ALL],
    "status with a sign, as Atoi reads it": [rule("http_status:+200"), CATCH_ALL],
    "hello world": [rule("hello_world"), CATCH_ALL],
    "an unclosed bracket is no port": [rule(hostname="[::1"), CATCH_ALL],
}
BAD = {
    "no rules": ([], "no rules"),
    "no last rule": ([rule()], "rule 1: the last rule must match everything"),
    "a last rule with a path": ([rule(hostname="", path="/x")], "rule 1: the last rule must match everything"),
    "everything too early": ([rule(hostname=""), CATCH_ALL], "rule 1: matches everything"),
    "a star too early": ([rule(hostname="*"), CATCH_ALL], "rule 1: matches everything"),
    "a port in the name": ([rule(hostname="a.example.com:443"), CATCH_ALL], "must not have a port"),
    "a port after an address": ([rule(hostname="[::1]:443"), CATCH_ALL], "must not have a port"),
    "a star inside": ([rule(hostname="a.*.com"), CATCH_ALL], "only in front"),
    "two stars": ([rule(hostname="**.example.com"), CATCH_ALL], "only in front"),
    "a star at the end": ([rule(hostname="photos.*"), CATCH_ALL], "only in front"),
    "a trailing slash": ([rule("http://nas:80/"), CATCH_ALL], "must end after the port"),
    "a path in the service": ([rule("http://nas/immich"), CATCH_ALL], "must end after the port"),
    "a query in the service": ([rule("http://nas?x=1"), CATCH_ALL], "must end after the port"),
    "no scheme": ([rule("nas:80"), CATCH_ALL], "needs a scheme and a host"),
    "no host": ([rule("http://:80"), CATCH_ALL], "needs a scheme and a host"),
    "a space in the host": ([rule("http://n as"), CATCH_ALL], "must end after the port"),
    "no service": ([rule(""), CATCH_ALL], "no service is no address"),
    "an unknown word": ([rule("helloworld"), CATCH_ALL], "needs a scheme and a host"),
    "a port that is none": ([rule("http://nas:99999"), CATCH_ALL], "99999 is no port"),
    "a port in letters": ([rule("http://nas:http"), CATCH_ALL], "must end after the port"),
    "an address that is none": ([rule("http://[::zz]"), CATCH_ALL], "needs a scheme and a host"),
    "too many colons in brackets": ([rule("http://[1:2:3]"), CATCH_ALL], "is no IPv6 address"),
    "status too low": ([rule("http_status:99"), CATCH_ALL], "from 100 to 999"),
    "status too high": ([rule("http_status:1000"), CATCH_ALL], "from 100 to 999"),
    "status in words": ([rule("http_status:gone"), CATCH_ALL], "from 100 to 999"),
    "status with other digits": ([rule("http_status:٤٠٤"), CATCH_ALL], "from 100 to 999"),
    "an open parenthesis": ([rule(path="(/api"), CATCH_ALL], "no regular expression"),
    "a look ahead": ([rule(path="^/(?!admin)"), CATCH_ALL], "does not know"),
    "a reference back": ([rule(path=r"(a)\1"), CATCH_ALL], "does not know"),
    "a possessive repeat": ([rule(path="a++"), CATCH_ALL], "does not know"),
    "up to, which Go takes for a text": ([rule(path="a{,3}"), CATCH_ALL], "reads differently"),
    "too many repeats": ([rule(path="(a{100}){100}"), CATCH_ALL], "more than 1000 times"),
}  # fmt: skip


@pytest.mark.parametrize("rules", GOOD.values(), ids=GOOD)
def test_cloudflared_accepts(rules: list[IngressRule]) -> None:
    assert list(refused_by_cloudflared(rules)) == []


@pytest.mark.parametrize(("rules", "reason"), BAD.values(), ids=BAD)
def test_cloudflared_refuses(rules: list[IngressRule], reason: str) -> None:
    assert any(reason in found for found in refused_by_cloudflared(rules)), list(
        refused_by_cloudflared(rules)
    )


@pytest.mark.parametrize(
    "service",
    [
        "bastion",
        "socks-proxy",
        "hello_world",
        "hello-world",
        "tcp://database:5432",
        "ssh://node:22",
        "rdp://pc:3389",
        "smb://nas:445",
        "ws://x",
        "unix:/x",
        "unix+tls:/x",
        "TCP://database:5432",
    ],
)
def test_what_opens_more_than_web_pages_is_dangerous(service: str) -> None:
    (reason,) = dangerous([rule(service), CATCH_ALL])
    assert reason.startswith("rule 1: ")


@pytest.mark.parametrize("service", ["http://a", "https://a:8443", "HTTPS://a", "http_status:503"])
def test_web_pages_are_not_dangerous(service: str) -> None:
    assert list(dangerous([rule(service), CATCH_ALL])) == []


NAMES = st.sampled_from(
    ["", "*", "a.example.com", "*.example.com", "b.example.com", "a.*.com", "a:80", "*.b.example.com"]
)
PATHS = st.sampled_from(["", "^/api/", "/api", r"\.jpg$", "(?i)/API"])
SERVICES = st.sampled_from(
    ["http://one:1", "https://two", "http_status:404", "http://x/", "tcp://x:1", "nothing"]
)
RULES = st.lists(st.builds(IngressRule, service=SERVICES, hostname=NAMES, path=PATHS), max_size=6)
REQUEST_NAMES = st.sampled_from(
    ["a.example.com", "b.example.com", "x.b.example.com", "example.com", "evilexample.com"]
)
REQUEST_PATHS = st.sampled_from(["/", "/api/assets", "/x/api", "/p.jpg", "/API/x"])


@given(RULES)
def test_accepted_rules_end_with_one_and_only_one_that_matches_everything(rules: list[IngressRule]) -> None:
    if not list(refused_by_cloudflared(rules)):
        assert [one.matches_everything for one in rules] == [False] * (len(rules) - 1) + [True]
        assert all(one.hostname.count("*") <= 1 and ":" not in one.hostname for one in rules)


@given(RULES)
def test_one_more_good_rule_in_front_never_mends_and_never_breaks_a_list(rules: list[IngressRule]) -> None:
    longer = [rule(), *rules]
    assert bool(list(refused_by_cloudflared(longer))) == bool(list(refused_by_cloudflared(rules)))


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("*.example.com", "a.example.com", True),
        ("*.example.com", "a.b.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "evilexample.com", False),
        ("a.example.com", "A.example.com", False),
        ("a.example.com", "a.example.com", True),
        ("", "anything", True),
    ],
)
def test_names_match_exactly_or_below_a_wildcard(pattern: str, name: str, matches: bool) -> None:
    assert rule(hostname=pattern, path="/").matches(name, "/") is matches


def test_a_path_is_found_anywhere_and_so_is_no_lock() -> None:
    assert rule(path="/admin").matches("a.example.com", "/public/admin")
    assert not rule(path="^/admin").matches("a.example.com", "/public/admin")


@given(st.text(max_size=40))
@example("[[:alpha:]]")
@example("(?P<a>x)(?P=a)")
@example("a{1001}")
@settings(max_examples=examples(400))
def test_any_text_as_a_path_is_judged_without_an_exception(text: str) -> None:
    if bad_path(text) is None:
        re.compile(text, re.ASCII)
        assert text.isascii()
        assert len(text) <= 256


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=10))
@settings(max_examples=examples(400))
def test_any_rule_is_judged_without_an_exception(service: str, hostname: str, path: str) -> None:
    rules = [IngressRule(service=service, hostname=hostname, path=path), CATCH_ALL]
    for reason in (*refused_by_cloudflared(rules), *dangerous(rules)):
        assert reason.startswith("rule ")
        assert reason.isprintable()
