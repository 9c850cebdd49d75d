"""Secrets on the cluster: of ours, or fetched by an operator."""

from __future__ import annotations

from components.model.secret_text import SecretText
from components.model.specs import PublishedSecret
from components.platform.kubernetes import secrets

STORE = secrets.ExternalStore(
    name="vault",
    kind="ClusterSecretStore",
    refresh_interval="1h",
    values={"a": ("item", "field"), "b": ("other", None)},
)


def test_a_fetched_secret_says_where_each_value_is_and_how_texts_are_made_of_them() -> None:
    published = PublishedSecret(
        name="owner",
        type="kubernetes.io/basic-auth",
        labels={"cnpg.io/reload": "true"},
        items={
            "username": SecretText.plain("immich"),
            "password": SecretText.of("a"),
            "other": SecretText.of("b"),
        },
    )
    found = secrets.external_secret(published, STORE, "target-name")["spec"]
    assert found["secretStoreRef"] == {"name": "vault", "kind": "ClusterSecretStore"}
    assert found["data"] == [
        {"secretKey": "a", "remoteRef": {"key": "item", "property": "field"}},
        {"secretKey": "b", "remoteRef": {"key": "other"}},
    ]
    target = found["target"]
    assert target["template"] == {
        "engineVersion": "v2",
        "type": "kubernetes.io/basic-auth",
        "data": {"username": "immich", "password": "{{ .a }}", "other": "{{ .b }}"},
        "metadata": {"labels": {"cnpg.io/reload": "true"}},
    }
    assert (target["name"], target["creationPolicy"], target["deletionPolicy"]) == (
        "target-name",
        "Owner",
        "Retain",
    )


def test_a_secret_of_ours_has_no_value_before_it_is_registered() -> None:
    published = PublishedSecret(name="database", items={"password": SecretText.of("a")})
    assert secrets.secret(published) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {},
        "type": "Opaque",
    }
