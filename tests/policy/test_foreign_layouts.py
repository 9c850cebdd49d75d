"""The pack on layouts that nobody here wrote: it finds what is known to be wrong with each, and no more than that."""

from __future__ import annotations

import pytest

from immich_policy import reference
from tests.policy.case_files import RULES, findings

LAYOUTS = reference.layouts()
OWN = list(RULES.values())

EXPECTED = {
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
        "exposure-restore",
        "exposure-setup",
        "exposure-network-policy",
        "workloads-images-pinned",
        "workloads-limits",
        "workloads-non-root",
    },
    "home-ops": {
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
    found = findings(OWN, reference.layout_resources(LAYOUTS[name]))
    assert {rule.name for rule, _ in found} == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_findings_lead_to_a_place_in_the_layout_and_never_have_a_password(name: str) -> None:
    document = LAYOUTS[name]
    names = {one["name"] for one in document["resources"]}
    for _, said in findings(OWN, reference.layout_resources(document)):
        assert said.resource.name in names
        for password in ("Tr0ub4dor-and-3", "PASSWORD=postgres"):
            assert password not in said.message + said.setting + said.path
