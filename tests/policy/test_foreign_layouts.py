"""The pack on layouts that nobody here wrote: it finds what is known to be wrong with each, and no more than that."""

from __future__ import annotations

import json

import pytest

from immich_policy import reference
from immich_policy.judging import message
from immich_policy.own import SETTINGS
from immich_policy.rules import ALL
from tests.policy.case_files import findings

LAYOUTS = reference.layouts()

EXPECTED: dict[str, set[str]] = {
    "cluster-with-others": {"exposure-egress"},
    "host-with-others": set(),
    "compose": {
        "exposure-restore",
        "exposure-setup",
        "workloads-images-pinned",
        "workloads-limits",
        "workloads-non-root",
        "data-backups",
        "secrets-environment",
    },
    "helm-chart": {
        "exposure-egress",
        "uploads-ingress",
        "proxies-unset",
        "exposure-restore",
        "exposure-setup",
        "exposure-network-policy",
        "workloads-images-pinned",
        "workloads-limits",
        "workloads-non-root",
    },
    "home-ops": {
        "exposure-egress",
        "exposure-restore",
        "exposure-setup",
        "exposure-network-policy",
        "workloads-one-release",
        "workloads-limits",
        "workloads-probes",
        "workloads-non-root",
        "workloads-recreate",
        "workloads-external-library-read-only",
        "workloads-mount-check",
        "data-protected",
        "data-backups",
    },
    "podman": {
        "exposure-egress",
        "proxies-unset",
        "exposure-forward-auth",
        "workloads-images-pinned",
        "workloads-database-supported",
        "workloads-limits",
        "workloads-probes",
        "workloads-non-root",
        "workloads-one-microservices",
        "workloads-cache-noeviction",
        "data-backups",
        "secrets-environment",
    },
}


def test_there_is_an_expectation_for_each_layout() -> None:
    assert set(LAYOUTS) == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_layout_breaks_the_rules_that_it_is_known_to_break(name: str) -> None:
    found = findings(ALL, reference.layout_resources(LAYOUTS[name]))
    assert {rule.name for rule, _ in found} == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_findings_lead_to_a_place_in_the_layout_and_never_have_a_password(name: str) -> None:
    document = LAYOUTS[name]
    names = {one["name"] for one in document["resources"]}
    for _, said in findings(ALL, reference.layout_resources(document)):
        assert said.resource.name in names
        for password in ("Tr0ub4dor-and-3", "PASSWORD=postgres"):
            assert password not in said.message + said.setting + said.path


@pytest.mark.parametrize("name", EXPECTED)
def test_what_is_to_be_changed_in_another_program_is_no_setting_of_this_one(name: str) -> None:
    for rule, said in findings(ALL, reference.layout_resources(LAYOUTS[name])):
        told = message(said, rule)
        assert not any(setting in told for setting in SETTINGS.values() if "." in setting), told


@pytest.mark.parametrize(
    ("name", "before", "after", "broken"),
    [
        ("host-with-others", "DB_HOSTNAME=photos-db", "DB_HOSTNAME=numbers", "exposure-port"),
        (
            "host-with-others",
            "REDIS_HOSTNAME=photos-valkey",
            "REDIS_HOSTNAME=gitea-redis",
            "workloads-cache-noeviction",
        ),
        ("host-with-others", "http://blog", "http://photos-server:2283", "uploads-nginx-size"),
        ("cluster-with-others", "immich-db", "gitea-db.git.svc", "workloads-database-supported"),
        ("cluster-with-others", "immich-db", "numbers.numbers", "exposure-service"),
        ("cluster-with-others", "immich-db", "wiki-rw.wiki", "data-backups"),
        ("cluster-with-others", "http://wordpress:80", "http://immich.photos:2283", "uploads-nginx-size"),
    ],
)
def test_what_immich_is_connected_to_is_judged_whoever_else_has_it(
    name: str, before: str, after: str, broken: str
) -> None:
    document = json.loads(
        json.dumps(LAYOUTS[name]).replace(f'{before}"', f'{after}"').replace(f"{before};", f"{after};")
    )
    assert document != LAYOUTS[name]
    assert broken in {rule.name for rule, _ in findings(ALL, reference.layout_resources(document))}
