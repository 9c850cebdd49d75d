"""A stack whose secrets are in the namespace already: no value passes through the program."""

from __future__ import annotations

import json
from typing import Any

from tests.harness import references
from tests.harness.objects import name_of, of_kind, pods_of
from tests.harness.program import RANDOM_PASSWORD, Runs, manifests, with_secrets
from tests.harness.variants import VARIANTS

HANDED = VARIANTS["handed"]
EXISTING: dict[str, dict[str, str]] = HANDED.sections["secrets"]["existing"]
RUNS = Runs({"handed": with_secrets("handed", HANDED.sections, "smtpPassword")})


def pod(name: str) -> dict[str, Any]:
    (found,) = [
        pods.spec
        for one in manifests(RUNS["handed"])
        for pods in pods_of(one)
        if pods.owner.endswith(f"/{name}")
    ]
    return dict(found)


def test_what_exists_is_neither_made_at_random_nor_published() -> None:
    made = {one.name for one in RUNS["handed"].of_type(RANDOM_PASSWORD)}
    assert made == {"fingerprint-key", "administrator-password", "setup-api-key", "grafana-password"}
    published = {name_of(one): set(one["stringData"]) for one in of_kind(manifests(RUNS["handed"]), "Secret")}
    assert published.keys() == {"immich-api-keys", "immich-app", "immich-grafana", "immich-setup"}
    assert published["immich-app"] == {"smtpPassword"}


def test_every_secret_that_is_named_is_mounted_and_every_pod_stays_hardened() -> None:
    text = json.dumps([pods.spec for one in manifests(RUNS["handed"]) for pods in pods_of(one)])
    assert {one["name"] for one in EXISTING.values() if f'"name": "{one["name"]}"' not in text} == set()
    found = references.problems(manifests(RUNS["handed"]), set(HANDED.provided))
    assert [one for one in found if "is not pinned" not in one] == []


def test_the_password_of_the_database_is_mounted_as_it_is() -> None:
    (volume,) = [one for one in pod("immich-server")["volumes"] if one["name"] == "secret-database"]
    (source,) = volume["projected"]["sources"]
    assert source["secret"]["name"] == "immich-db-app"
    assert [item["key"] for item in source["secret"]["items"]] == ["password"]


def test_the_configuration_of_the_cache_is_written_in_its_pod() -> None:
    (composer,) = pod("immich-cache")["initContainers"]
    assert composer["image"].startswith("docker.io/library/busybox:")
    assert "requirepass" in composer["command"][-1]
    (read,) = [one for one in pod("immich-cache")["volumes"] if one["name"] == "secret-cache-read"]
    assert {one["secret"]["name"] for one in read["projected"]["sources"]} == {"redis"}


def test_a_file_of_two_secrets_takes_one_of_the_cluster_and_one_of_the_program() -> None:
    (read,) = [one for one in pod("immich-server")["volumes"] if one["name"] == "secret-app-read"]
    found = [
        (one["secret"]["name"], one["secret"]["items"][0]["key"]) for one in read["projected"]["sources"]
    ]
    assert set(found) == {("sign-in", "client_secret"), ("immich-app", "smtpPassword")}


def test_a_person_is_told_where_the_password_of_the_copies_is() -> None:
    assert any(
        "kubectl -n immich get secret restic -o go-template='{{index .data \"password\" | base64decode}}'"
        in step
        for step in RUNS["handed"].outputs["nextSteps"]
    )
