"""A new generation of a CloudNativePG cluster, on a real API server with the operator's and the plugin's schemas."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from components.model.specs import Lineage
from components.platform.kubernetes import cloudnative_pg
from tests.cluster.standins import StandInOperators, at_work
from tests.harness.engine import Engine, Missing, Result, find_cli
from tests.harness.examples import examples
from tests.harness.kube import Kube
from tests.harness.manifests import apply_strict
from tests.harness.objects import Manifest, at
from tests.unit.platform.test_cloudnative_pg import ARCHIVE, SPEC
from tests.unit.platform.test_lineage import lives

pytestmark = [pytest.mark.cluster, pytest.mark.engine]

BASE = "immich-database"
CLUSTERS = "/apis/postgresql.cnpg.io/v1/namespaces/{}/clusters"
PROGRAM = """
from dataclasses import replace

import pulumi
import pulumi_kubernetes

from components.platform.kubernetes.options import KubernetesPlatformArgs
from components.platform.kubernetes.platform import KubernetesPlatform
from components.model.specs import Lineage, PublishedSecret
from components.model.secret_text import SecretText
from tests.unit.platform.test_cloudnative_pg import ARCHIVE, SPEC

provider = pulumi_kubernetes.Provider("cluster", kubeconfig={kubeconfig!r})
platform = KubernetesPlatform(
    "platform",
    KubernetesPlatformArgs(stack="test", namespace={namespace!r}, create_namespace=False),
    pulumi.ResourceOptions(providers=[provider]),
)
for name in ("database-owner", "backup"):
    platform.publish(
        PublishedSecret(name=name, items={{"a": SecretText.plain("a")}}),
        lambda keys: pulumi.Output.from_input({{}}),
        parent=platform,
    )
lineage = Lineage({lineage})
archive = replace(ARCHIVE, server_name=lineage.server_name("immich-database"))
spec = replace(
    SPEC, name=lineage.cluster("immich-database"), namespace=None, archive=archive,
    recovery=lineage.recovery("immich-database"), kept=lineage.kept_clusters("immich-database"), {more}
)
host, _ = platform.database_cluster(spec, parent=platform)
platform.finish()
pulumi.export("host", host)
"""


class Lab:
    """A project that has one database cluster, in a namespace of its own."""

    def __init__(self, engine: Engine, kube: Kube) -> None:
        self.engine = engine
        self.kube = kube
        self.namespace = kube.new_namespace("recovery")

    def up(self, lineage: str, more: str = "", *, check: bool = True) -> Result:
        self.engine.program(
            PROGRAM.format(
                kubeconfig=str(self.kube.kubeconfig), namespace=self.namespace, lineage=lineage, more=more
            )
        )
        with at_work(StandInOperators(self.kube, (self.namespace,), seconds=0)):
            return self.engine.up(check=check)

    def cluster(self, name: str) -> Manifest | None:
        answer = self.kube.api.request("GET", f"{CLUSTERS.format(self.namespace)}/{name}")
        return answer.body if answer.ok else None

    def urn(self, kind: str, name: str) -> str:
        (found,) = [
            one["urn"]
            for one in self.engine.export()["deployment"]["resources"]
            if one["type"].endswith(f":{kind}") and one["urn"].endswith(f"::{self.namespace}/{name}")
        ]
        return str(found)

    def changed(self, result: Result) -> dict[str, set[str]]:
        """Names, without the namespace, and what was done to an object of that name."""
        done = {name: {op for op in ops if op != "same"} for name, ops in result.ops.items()}
        return {name.removeprefix(f"{self.namespace}/"): ops for name, ops in done.items() if ops}


@pytest.fixture
def lab(kube: Kube, tmp_path: Path) -> Lab:
    cli = find_cli()
    if isinstance(cli, Missing):
        pytest.skip(cli.reason)
    return Lab(Engine.create(tmp_path, cli), kube)


def bootstrap(cluster: Manifest | None) -> Any:
    assert cluster is not None
    return at(cluster, "spec", "bootstrap")


def test_a_new_generation_stands_beside_the_old_one_and_stays_with_the_same_settings(lab: Lab) -> None:
    lab.up("")
    old = lab.cluster(BASE)
    assert old is not None
    assert "initdb" in bootstrap(old)

    second = 'generation=2, source=1, target_time="2026-11-21T02:00:00Z", kept=(1,)'
    made = lab.changed(lab.up(second))
    assert made[f"{BASE}-g2"] == {"create"}
    assert made[f"{BASE}-g2-immich"] == {"create"}
    assert f"{BASE}-immich" not in made
    new = lab.cluster(f"{BASE}-g2")
    assert bootstrap(new)["recovery"]["recoveryTarget"] == {"targetTime": "2026-11-21T02:00:00Z"}
    assert new is not None
    assert at(new, "spec", "plugins")[0]["parameters"]["serverName"] == f"{BASE}-g2"
    assert at(new, "spec", "externalClusters")[0]["plugin"]["parameters"]["serverName"] == BASE
    assert lab.engine.run("stack", "output", "host").stdout.strip() == f"{BASE}-g2-rw"

    # The old one is untouched, protected and isolated from everybody but its operator.
    untouched = lab.cluster(BASE)
    assert untouched is not None
    assert (at(untouched, "metadata", "uid"), at(untouched, "metadata", "generation")) == (
        at(old, "metadata", "uid"),
        at(old, "metadata", "generation"),
    )
    assert lab.engine.resources()[f"{lab.namespace}/{BASE}-immich"]["protect"] is True
    assert lab.engine.resources()[f"{lab.namespace}/{BASE}-g2-immich"]["protect"] is True

    # Nothing to commit twice, and what is said of an existing one's beginning later changes nothing.
    assert lab.changed(lab.up(second)) == {}
    assert lab.changed(lab.up("generation=2, source=1, kept=(1,)")) == {}
    assert lab.changed(lab.up(second, "instances=2")) == {f"{BASE}-g2": {"update"}}
    assert bootstrap(lab.cluster(f"{BASE}-g2")) == bootstrap(new)
    assert at(lab.cluster(f"{BASE}-g2") or {}, "spec", "instances") == 2

    # And once more, from the first one's archive; both others stay.
    lab.up("generation=3, source=1, kept=(1, 2)")
    assert at(lab.cluster(f"{BASE}-g3") or {}, "spec", "externalClusters")[0]["name"] == BASE
    for name in (BASE, f"{BASE}-g2"):
        assert lab.cluster(name) is not None


def test_an_old_cluster_that_is_not_said_to_be_kept_is_not_deleted_but_refused(lab: Lab) -> None:
    lab.up("")
    refused = lab.up("generation=2, source=1", check=False)
    assert refused.returncode != 0
    assert "protect" in refused.text
    assert f"{lab.namespace}/{BASE}" in refused.text
    assert lab.cluster(BASE) is not None


def test_a_kept_cluster_that_is_lost_is_never_made_anew(lab: Lab) -> None:
    refused = lab.up("generation=2, source=1, kept=(1,)", check=False)
    assert refused.returncode != 0
    assert f"{lab.namespace}/{BASE}" in refused.text
    assert "does not exist" in refused.text
    assert "Traceback" not in refused.text
    assert lab.cluster(BASE) is None
    lab.up("generation=2, source=1")
    assert lab.cluster(BASE) is None
    assert "recovery" in bootstrap(lab.cluster(f"{BASE}-g2"))


@pytest.mark.deep
def test_a_kept_cluster_that_the_state_forgot_is_taken_as_it_is(lab: Lab) -> None:
    lab.up("")
    before = lab.cluster(BASE)
    lab.engine.run("state", "delete", "--yes", "--force", "--target-dependents", lab.urn("Cluster", BASE))
    assert lab.changed(lab.up("generation=2, source=1, kept=(1,)"))[BASE] >= {"import"}
    after = lab.cluster(BASE)
    assert before is not None
    assert after is not None
    assert after["spec"] == before["spec"]


@given(life=lives())
@settings(
    max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_life_is_accepted_strictly_and_nothing_is_written_twice(
    kube: Kube, life: list[Lineage]
) -> None:
    where = kube.new_namespace("lives")
    written: list[str] = []
    for lineage in life:
        spec = replace(
            SPEC,
            name=lineage.cluster(BASE),
            namespace=where,
            archive=replace(ARCHIVE, server_name=lineage.server_name(BASE)),
            recovery=lineage.recovery(BASE),
        )
        found = cloudnative_pg.pieces(spec, {"database-owner": "owner", "backup": "keys"})
        documents = [
            {**one.manifest, "metadata": {**one.manifest["metadata"], "name": one.name, "namespace": where}}
            for one in found
        ]
        applied = apply_strict(kube.api, documents)
        assert applied.errors == ()
        assert applied.warnings == ()
        answer = kube.api.request("GET", f"{CLUSTERS.format(where)}/{spec.name}")
        written.append(at(answer.body, "spec", "plugins")[0]["parameters"]["serverName"])
        read = [
            one["plugin"]["parameters"]["serverName"]
            for one in at(answer.body, "spec", "externalClusters") or []
        ]
        assert written[-1] not in {*written[:-1], *read}
    assert len(set(written)) == len(life)
