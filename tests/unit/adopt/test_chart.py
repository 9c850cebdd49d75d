"""From values of Immich's official chart, 0.9 to 0.12, to a stack."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import yaml

from components.versions import NEWEST
from tests.harness.objects import kind_of, name_of
from tests.harness.program import Runs, manifests, with_secrets
from tests.unit.adopt.adopted import are_in_order, commands, sections
from toolchain.adopt import __main__ as command
from toolchain.adopt.chart import adopt, read
from toolchain.adopt.choices import Adopted
from toolchain.failure import ToolchainError

CURRENT = """
USER-SUPPLIED VALUES:
controllers:
  main:
    containers:
      main:
        image: {tag: v3.0.3@sha256:abc}
        env:
          TZ: Europe/Berlin
          IMMICH_LOG_LEVEL: warn
          REDIS_HOSTNAME: '{{ printf "%s-valkey" .Release.Name }}'
          DB_HOSTNAME: immich-db-rw.databases.svc
          DB_DATABASE_NAME: photos
          DB_USERNAME: app
          DB_PASSWORD: {valueFrom: {secretKeyRef: {name: db-credentials, key: pass}}}
          NODE_OPTIONS: --max-old-space-size=4096
immich:
  metrics: {enabled: true}
  persistence: {library: {existingClaim: immich-library}}
  configuration:
    trash: {enabled: true, days: 60}
    server: {externalDomain: "https://other.example.com", publicUsers: false}
    ffmpeg: {accel: vaapi, crf: 25}
    oauth: {enabled: true, issuerUrl: "https://id.example.com/", clientId: immich, clientSecret: only-in-the-values}
valkey: {enabled: true}
server:
  ingress:
    main:
      enabled: true
      className: nginx
      annotations: {nginx.ingress.kubernetes.io/proxy-body-size: "0"}
      hosts: [{host: photos.example.com, paths: [{path: /}]}, {host: fotos.example.com}]
      tls: [{secretName: photos-tls, hosts: [photos.example.com]}]
  persistence:
    albums: {type: nfs, server: 10.0.0.9, path: /export/albums, globalMounts: [{path: /mnt/albums, readOnly: true}]}
    scans: {existingClaim: scans, globalMounts: [{path: /mnt/scans}]}
    tmp: {type: emptyDir}
machine-learning:
  controllers: {main: {containers: {main: {image: {tag: v3.0.3-openvino}, resources: {limits: {memory: 4Gi}}}}}}
"""
OLD = """
env: {DB_HOSTNAME: postgres.databases, DB_USERNAME: immich, DB_DATABASE_NAME: immich, DB_PASSWORD: only-in-the-values}
image: {tag: v2.6.3}
immich: {persistence: {library: {existingClaim: photos}}}
machine-learning: {enabled: false}
"""
BY_SECRET = """
immich: {persistence: {library: {existingClaim: photos}}}
server:
  controllers:
    main:
      containers:
        main:
          env:
            - {name: DB_HOSTNAME, valueFrom: {secretKeyRef: {name: immich-database-app, key: host}}}
            - {name: DB_USERNAME, valueFrom: {secretKeyRef: {name: immich-database-app, key: user}}}
            - {name: DB_PASSWORD, valueFrom: {secretKeyRef: {name: immich-database-app, key: password}}}
            - {name: DB_DATABASE_NAME, valueFrom: {secretKeyRef: {name: immich-database-app, key: dbname}}}
"""


def adopted(folder: Path, text: str, namespace: str = "photos") -> Adopted:
    path = folder / "values.yaml"
    path.write_text(text, encoding="utf-8")
    values = read(path)
    assert values is not None
    return adopt(path, values, namespace)


def test_the_values_of_today_become_a_stack(tmp_path: Path) -> None:
    found = adopted(tmp_path, CURRENT)
    assert sections(found) == {
        "kubernetes": {"target": "cluster", "namespace": "photos", "createNamespace": False},
        "server": {
            "version": "3.0.3",
            "timezone": "Europe/Berlin",
            "logLevel": "warn",
            "metrics": {"enabled": True},
        },
        "host": {"name": "photos.example.com", "aliases": ["fotos.example.com"]},
        "proxy": {
            "expose": [
                {
                    "kind": "ingress",
                    "className": "nginx",
                    "controllerNamespace": "ingress-nginx",
                    "tlsSecret": "photos-tls",
                }
            ]
        },
        "storage": {
            "media": {"kind": "existingClaim", "claimName": "immich-library", "accessMode": "ReadWriteOnce"},
            "externalLibraries": [
                {
                    "name": "albums",
                    "mountPath": "/mnt/albums",
                    "source": {"kind": "nfs", "server": "10.0.0.9", "path": "/export/albums"},
                },
                {
                    "name": "scans",
                    "mountPath": "/mnt/scans",
                    "source": {"kind": "existingClaim", "claimName": "scans", "accessMode": "ReadWriteOnce"},
                    "readOnly": False,
                },
            ],
        },
        "machineLearning": {"backend": "openvino"},
        "database": {
            "kind": "external",
            "host": "immich-db-rw.databases.svc",
            "name": "photos",
            "user": "app",
        },
        "secrets": {"existing": {"databasePassword": {"name": "db-credentials", "key": "pass"}}},
        "app": {
            "trash": {"enabled": True, "days": 60},
            "server": {"publicUsers": False},
            "ffmpeg": {"crf": 25},
            "oauth": {"enabled": True, "issuerUrl": "https://id.example.com/", "clientId": "immich"},
        },
    }
    told = "\n".join(found.left)
    for word in (
        "oauthClientSecret",
        "NODE_OPTIONS",
        "server.externalDomain: follows from immich:host",
        "tmp (emptyDir",
        "models",
        "machineLearning.resources",
        "jobs",
        "monitoringNamespace",
    ):
        assert word in told
    assert "only-in-the-values" not in command.stack_text(found, "values.yaml") + told


def test_values_before_0_10_and_a_password_in_the_clear(tmp_path: Path) -> None:
    found = adopted(tmp_path, OLD)
    assert sections(found)["server"]["version"] == "2.6.3"
    assert sections(found)["machineLearning"] == {"kind": "off"}
    assert "secrets" not in found.sections
    assert any("config set --secret immich:databasePassword" in one for one in found.left)
    assert "only-in-the-values" not in command.stack_text(found, "values.yaml") + "\n".join(found.left)


def test_a_cluster_of_cloudnative_pg_is_found_by_its_secret_and_left_in_peace(tmp_path: Path) -> None:
    found = adopted(tmp_path, BY_SECRET)
    read_back = sections(found)
    assert read_back["database"]["host"] == "immich-database-rw"
    assert read_back["secrets"]["existing"]["databasePassword"] == {
        "name": "immich-database-app",
        "key": "password",
    }
    # Its pods are in this namespace.
    assert read_back["kubernetes"]["networkPolicies"] == "none"
    assert "get secret immich-database-app" in found.reasons["database", "user"]
    assert read_back["server"]["version"] == NEWEST


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (OLD + "postgresql: {enabled: true}\n", "postgresql.enabled"),
        (OLD.replace("existingClaim: photos", "existingClaim: "), "existingClaim"),
        (OLD.replace("DB_HOSTNAME: postgres.databases, ", ""), "DB_HOSTNAME"),
        (OLD.replace("v2.6.3", "v1.119.0"), "1.119.0, and this program deploys"),
        (BY_SECRET.replace("immich-database-app", "credentials"), "the Secret credentials"),
    ],
)
def test_what_cannot_be_adopted_yet_is_told(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ToolchainError, match=re.escape(told)):
        adopted(tmp_path, text)


def test_claims_and_database_are_adopted_and_not_made(tmp_path: Path) -> None:
    given = {
        **sections(adopted(tmp_path, CURRENT)),
        "kubernetes": {"target": "render", "namespace": "photos"},
    }
    runs = Runs({"mine": with_secrets("mine", given, "oauthClientSecret")})
    made = {(kind_of(one), name_of(one)) for one in manifests(runs["mine"])}
    kinds = {kind for kind, _ in made}
    assert "Cluster" not in kinds
    assert not {("PersistentVolumeClaim", "immich-library"), ("PersistentVolumeClaim", "scans")} & made
    assert ("Secret", "immich-database") not in made


def test_the_page_removes_the_release_before_anything_of_its_name_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "values.yaml"
    source.write_text(CURRENT, encoding="utf-8")
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["adopt", str(source), "mine", "photos"])
    assert command.main() == 0
    told = capsys.readouterr().out
    lines = commands(told)
    # Before it goes, and after it.
    assert ["pvc immich-library" in one for one in lines if "helm.sh" in one or "get pvc" in one] == [
        True,
        True,
    ]
    words = (
        "scale deployment",
        "meta.helm.sh",
        "uninstall",
        "get deployment",
        "run chown",
        "make up STACK=mine",
    )
    assert are_in_order(words, lines)
    (chown,) = [one for one in lines if "run chown" in one]
    overrides = json.loads(re.findall(r"--overrides='(.*)'", chown)[0])
    assert overrides["spec"]["volumes"][0]["persistentVolumeClaim"] == {"claimName": "immich-library"}
    written = yaml.safe_load((tmp_path / "Pulumi.mine.yaml").read_text(encoding="utf-8"))
    assert written["config"]["immich:kubernetes"]["namespace"] == "photos"
    assert "helm -n photos install" in told
