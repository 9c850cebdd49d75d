"""From a Workload to a pod: security, probes, mounts, placement; and its controller, Service and budget."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.model.values import ImageRef, Quantity
from components.model.workload import (
    CommandCheck,
    ConfigFiles,
    Device,
    Gpu,
    HttpCheck,
    Mount,
    Placement,
    Port,
    Probe,
    Relaxation,
    Resources,
    Scratch,
    SecretFiles,
    Sidecar,
    Storage,
    Toleration,
    Workload,
)
from components.platform.kubernetes.pods import PodContext, pod_template
from components.platform.kubernetes.workloads import config_map, controller, disruption_budget, service

AMOUNTS = Resources(
    cpu_request=Quantity("250m"),
    memory_request=Quantity("1Gi"),
    cpu_limit=Quantity("2"),
    memory_limit=Quantity("2Gi"),
)
PLAIN = Workload(name="server", image=ImageRef("example.com/a:1"), resources=AMOUNTS, user=1000, group=1001)
CONTEXT = PodContext(
    claims={"media": "library", "l" * 70: "long"},
    secrets={"database": "immich-db-credentials"},
    labels={"app.kubernetes.io/instance": "test"},
)
PRIVILEGED = Relaxation(what="privileged", reason="it opens /dev/dri of the host")


def workload(**more: Any) -> Workload:
    return replace(PLAIN, **more)


def spec(annotations: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    return pod_template(workload(**more), CONTEXT, annotations or {})["spec"]


def container(**more: Any) -> dict[str, Any]:
    (found,) = spec(**more)["containers"]
    return found


def mounted(*mounts: Mount) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Volume and mount of each, with their names compared and left out."""
    found = spec(mounts=mounts)
    volumes = {
        volume["name"]: {k: v for k, v in volume.items() if k != "name"} for volume in found["volumes"]
    }
    return [
        (volumes[mount["name"]], {k: v for k, v in mount.items() if k != "name"})
        for mount in found["containers"][0]["volumeMounts"]
    ]


def test_a_pod_is_restricted_without_being_asked() -> None:
    assert spec()["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "runAsGroup": 1001,
        "fsGroup": 1001,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_a_pod_has_no_token_and_no_variables_of_services() -> None:
    found = spec()
    assert found["automountServiceAccountToken"] is False
    assert found["enableServiceLinks"] is False
    assert found["serviceAccountName"] == "immich"
    assert not {"hostNetwork", "hostPID", "hostIPC"} & found.keys()


def test_a_relaxation_loosens_what_it_names_and_states_why_on_the_pod() -> None:
    assert container(relaxations=(PRIVILEGED,))["securityContext"] == {
        "privileged": True,
        "readOnlyRootFilesystem": True,
    }
    writable = container(relaxations=(Relaxation(what="writable-root", reason="it writes"),))[
        "securityContext"
    ]
    assert writable["readOnlyRootFilesystem"] is False
    assert (writable["privileged"], writable["capabilities"]) == (False, {"drop": ["ALL"]})
    template = pod_template(workload(relaxations=(PRIVILEGED,)), CONTEXT, {"immich/revision-app": "1"})
    assert template["metadata"]["annotations"] == {
        "relaxation.immich/privileged": "it opens /dev/dri of the host",
        "immich/revision-app": "1",
    }


def test_without_relaxations_and_revisions_there_is_no_annotation() -> None:
    assert "annotations" not in pod_template(workload(), CONTEXT, {})["metadata"]


def test_every_container_has_requests_and_limits() -> None:
    assert container()["resources"] == {
        "requests": {"cpu": "250m", "memory": "1Gi"},
        "limits": {"cpu": "2", "memory": "2Gi"},
    }


def test_a_gpu_is_a_limit_and_its_runtime_is_the_pods() -> None:
    gpu = Gpu(resource="nvidia.com/gpu", count=2, runtime_class="nvidia")
    assert container(gpu=gpu)["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert spec(gpu=gpu)["runtimeClassName"] == "nvidia"
    only_runtime = Gpu(runtime_class="nvidia")
    assert container(gpu=only_runtime)["resources"] == container()["resources"]
    assert "runtimeClassName" not in spec()


def test_groups_of_devices_are_added_to_the_process() -> None:
    assert spec(supplemental_groups=(44, 105))["securityContext"]["supplementalGroups"] == [44, 105]


@given(budget=st.integers(1, 7200), period=st.integers(1, 60))
def test_a_start_gets_at_least_its_budget_and_less_than_one_look_more(budget: int, period: int) -> None:
    probe = Probe(check=HttpCheck(port="http", path="/ping"), period=period, startup_budget=budget)
    found = container(liveness=probe)["startupProbe"]
    allowed = found["periodSeconds"] * found["failureThreshold"]
    assert budget <= allowed < budget + period
    assert found["periodSeconds"] <= 2


def test_probes_are_what_the_workload_says() -> None:
    liveness = Probe(
        check=CommandCheck(command=("a", "b")), period=15, timeout=7, failures=6, startup_budget=900
    )
    readiness = Probe(check=HttpCheck(port="http", path="/ping"))
    found = container(liveness=liveness, readiness=readiness)
    assert found["startupProbe"] == {
        "exec": {"command": ["a", "b"]}, "periodSeconds": 2, "timeoutSeconds": 7, "failureThreshold": 450,
    }  # fmt: skip
    assert found["livenessProbe"] == {
        "exec": {"command": ["a", "b"]}, "periodSeconds": 15, "timeoutSeconds": 7, "failureThreshold": 6,
    }  # fmt: skip
    assert found["readinessProbe"] == {
        "httpGet": {"path": "/ping", "port": "http", "scheme": "HTTP"},
        "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 3,
    }  # fmt: skip


def test_a_check_that_must_not_restart_has_no_liveness_probe() -> None:
    probe = Probe(check=CommandCheck(command=("true",)), restarts=False, startup_budget=60)
    assert "livenessProbe" not in container(liveness=probe)
    assert not {"startupProbe", "livenessProbe", "readinessProbe"} & container().keys()


def test_volumes_are_mounted_as_they_are_meant() -> None:
    assert mounted(
        Storage(volume="media", path="/data"),
        Scratch(path="/tmp", size=Quantity("2Gi")),
        Scratch(path="/dev/shm", size=Quantity("256Mi"), memory=True),
        SecretFiles(secret="database", path="/run/secrets/database", items={"password": "pw"}),
        ConfigFiles(name="proxy", path="/etc/immich", files={"nginx.conf": "x"}),
        Device(path="/dev/dri"),
    ) == [
        ({"persistentVolumeClaim": {"claimName": "library"}}, {"mountPath": "/data"}),
        ({"emptyDir": {"sizeLimit": "2Gi"}}, {"mountPath": "/tmp"}),
        ({"emptyDir": {"sizeLimit": "256Mi", "medium": "Memory"}}, {"mountPath": "/dev/shm"}),
        (
            {
                "secret": {
                    "secretName": "immich-db-credentials",
                    "defaultMode": 0o440,
                    "items": [{"key": "password", "path": "pw"}],
                }
            },
            {"mountPath": "/run/secrets/database", "readOnly": True},
        ),
        (
            {"configMap": {"name": "immich-proxy", "defaultMode": 0o444}},
            {"mountPath": "/etc/immich", "readOnly": True},
        ),
        ({"hostPath": {"path": "/dev/dri"}}, {"mountPath": "/dev/dri"}),
    ]


def test_a_read_only_volume_is_so_in_the_pod_and_in_the_container() -> None:
    ((volume, mount),) = mounted(Storage(volume="media", path="/mnt/photos", read_only=True, sub_path="a"))
    assert volume == {"persistentVolumeClaim": {"claimName": "library", "readOnly": True}}
    assert mount == {"mountPath": "/mnt/photos", "readOnly": True, "subPath": "a"}


def test_the_name_of_a_volume_fits_into_a_pod_however_long_it_is() -> None:
    (volume,) = spec(mounts=(Storage(volume="l" * 70, path="/a"),))["volumes"]
    assert len(volume["name"]) <= 63
    assert volume["persistentVolumeClaim"] == {"claimName": "long"}


def test_variables_are_plain_texts_in_a_stable_order() -> None:
    assert container(env={"B": "2", "A": "1"})["env"] == [
        {"name": "A", "value": "1"},
        {"name": "B", "value": "2"},
    ]


def test_the_images_own_entrypoint_and_arguments_stay_unless_others_are_given() -> None:
    assert not {"command", "args"} & container().keys()
    found = container(command=("nginx",), args=("-g", "daemon off;"))
    assert (found["command"], found["args"]) == (["nginx"], ["-g", "daemon off;"])


@pytest.mark.parametrize("architecture", ["arm64", "amd64"])
def test_an_image_for_one_architecture_runs_on_its_nodes_only(architecture: str) -> None:
    assert spec(architecture=architecture)["nodeSelector"] == {"kubernetes.io/arch": architecture}
    assert "nodeSelector" not in spec()


def test_placement_reaches_the_pod() -> None:
    where = Placement(
        node_selector={"gpu": "yes"},
        tolerations=(
            Toleration(operator="Exists", key="gpu", effect="NoSchedule"),
            Toleration(operator="Equal", key="a", value="b"),
        ),
        priority_class="high",
    )
    found = spec(placement=where, architecture="amd64")
    assert found["nodeSelector"] == {"kubernetes.io/arch": "amd64", "gpu": "yes"}
    assert found["tolerations"] == [
        {"key": "gpu", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "a", "operator": "Equal", "value": "b"},
    ]
    assert found["priorityClassName"] == "high"


def test_copies_are_spread_over_nodes() -> None:
    (constraint,) = spec(replicas=3)["topologySpreadConstraints"]
    assert constraint["topologyKey"] == "kubernetes.io/hostname"
    assert constraint["whenUnsatisfiable"] == "ScheduleAnyway"
    assert "topologySpreadConstraints" not in spec()


def made(**more: Any) -> dict[str, Any]:
    return controller(workload(**more), CONTEXT, {})


def test_a_selector_has_nothing_in_it_that_ever_changes() -> None:
    for found in (made(), made(stateful=True)):
        assert found["spec"]["selector"]["matchLabels"] == {
            "app.kubernetes.io/name": "immich",
            "app.kubernetes.io/component": "server",
        }
        labels = found["spec"]["template"]["metadata"]["labels"]
        assert found["spec"]["selector"]["matchLabels"].items() < labels.items()


def test_copies_that_exclude_each_other_are_recreated_others_roll() -> None:
    assert made(exclusive=True)["spec"]["strategy"] == {"type": "Recreate"}
    assert made()["spec"]["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
    }


def test_what_has_data_of_its_own_is_a_stateful_set_without_claim_templates() -> None:
    found = made(stateful=True, exclusive=True)
    assert (found["kind"], found["spec"]["serviceName"]) == ("StatefulSet", "immich-server")
    # A template's claims belong to nobody that could protect them.
    assert "volumeClaimTemplates" not in found["spec"]
    assert "strategy" not in found["spec"]


def test_the_rollouts_deadline_is_later_than_the_start_and_the_end_before_it() -> None:
    found = made(start_timeout=1200, termination_grace=300)["spec"]
    assert found["progressDeadlineSeconds"] == 1500
    assert found["template"]["spec"]["terminationGracePeriodSeconds"] == 300


def test_a_service_leads_to_ports_by_name_and_says_what_is_spoken() -> None:
    found = service(
        workload(
            ports=(
                Port(name="http", number=2283, app_protocol="kubernetes.io/ws"),
                Port(name="m", number=8081),
            )
        )
    )
    assert found["spec"] == {
        "type": "ClusterIP",
        "selector": {"app.kubernetes.io/name": "immich", "app.kubernetes.io/component": "server"},
        "ports": [
            {
                "name": "http",
                "port": 2283,
                "targetPort": "http",
                "protocol": "TCP",
                "appProtocol": "kubernetes.io/ws",
            },
            {"name": "m", "port": 8081, "targetPort": "m", "protocol": "TCP"},
        ],
    }


def test_one_copy_at_a_time_is_taken_away_on_purpose() -> None:
    assert disruption_budget(workload(replicas=2))["spec"]["maxUnavailable"] == 1


def test_files_that_are_no_secret_are_a_config_map() -> None:
    found = config_map(ConfigFiles(name="proxy", path="/etc/immich", files={"nginx.conf": "text"}))
    assert (found["kind"], found["data"]) == ("ConfigMap", {"nginx.conf": "text"})


@pytest.mark.parametrize(("asked", "given"), [(None, []), ("/etc/b", [("config-b", "/etc/b")])])
def test_a_sidecar_has_the_files_that_it_asks_for_and_no_other_volume(
    asked: str | None, given: list[tuple[str, str]]
) -> None:
    files = [ConfigFiles(name=name, path=f"/etc/{name}", files={"f": "t"}) for name in ("a", "b")]
    one = Sidecar(name="exporter", image=ImageRef("example.com/e:1"), resources=AMOUNTS, configuration=asked)
    _, beside = spec(mounts=(*files, Storage(volume="media", path="/data")), sidecars=(one,))["containers"]
    mounts = beside.get("volumeMounts", [])
    assert [(mount["name"], mount["mountPath"]) for mount in mounts] == given
    assert all(mount["readOnly"] for mount in mounts)
