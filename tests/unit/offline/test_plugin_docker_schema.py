"""The offline docker plugin: what it accepts, and which differences it sees."""

from __future__ import annotations

from typing import Any

import pulumi_docker
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pulumi._types import input_type_py_to_pulumi_names
from pulumi_docker import _inputs as inputs

from toolchain.offline.plugins.docker import images, networks, volumes
from toolchain.offline.plugins.docker.container_fields import FIELDS, IN_PLACE, RECORDED
from toolchain.offline.plugins.docker.duration import nanoseconds, text
from toolchain.offline.plugins.docker.schema import (
    Field,
    changes,
    failures,
    inputs_of,
    refreshed_inputs,
    settled,
    with_defaults,
)
from toolchain.offline.plugins.values import UNKNOWN, Object, Secret

pytestmark = pytest.mark.deep(unless_changed=("toolchain/offline/plugins",))

NESTED = {
    "capabilities": "ContainerCapabilitiesArgs",
    "deviceReadBps": "ContainerDeviceReadBpArgs",
    "deviceRequests": "ContainerDeviceRequestArgs",
    "devices": "ContainerDeviceArgs",
    "healthcheck": "ContainerHealthcheckArgs",
    "hosts": "ContainerHostArgs",
    "labels": "ContainerLabelArgs",
    "mounts": "ContainerMountArgs",
    "networksAdvanced": "ContainerNetworksAdvancedArgs",
    "ports": "ContainerPortArgs",
    "ulimits": "ContainerUlimitArgs",
    "uploads": "ContainerUploadArgs",
    "volumes": "ContainerVolumeArgs",
}


def names_in_sdk(kind: type[Any]) -> set[str]:
    return set(input_type_py_to_pulumi_names(kind).values())


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (pulumi_docker.ContainerArgs, FIELDS),
        (pulumi_docker.NetworkArgs, networks.FIELDS),
        (pulumi_docker.VolumeArgs, volumes.FIELDS),
        (pulumi_docker.RemoteImageArgs, images.FIELDS),
        (inputs.NetworkIpamConfigArgs, networks.FIELDS["ipamConfigs"].fields),
        *[(getattr(inputs, kind), FIELDS[key].fields) for key, kind in NESTED.items()],
        (inputs.ContainerMountVolumeOptionsArgs, FIELDS["mounts"].fields["volumeOptions"].fields),
        (inputs.ContainerMountTmpfsOptionsArgs, FIELDS["mounts"].fields["tmpfsOptions"].fields),
        (inputs.ContainerMountBindOptionsArgs, FIELDS["mounts"].fields["bindOptions"].fields),
    ],
)
def test_every_input_of_the_sdk_is_known_and_no_other(kind: type[Any], fields: dict[str, Field]) -> None:
    assert set(fields) == names_in_sdk(kind)


OF_THE_PLUGIN = {
    "attach", "containerReadRefreshTimeoutMilliseconds", "destroyGraceSeconds", "logs", "mustRun", "removeVolumes",
    "start", "wait", "waitTimeout",
}  # fmt: skip
"""Inputs that say what the plugin does, and are nothing of the container's."""


def test_whatever_is_not_changed_in_place_or_recorded_replaces_the_container() -> None:
    kept = {key for key, field in FIELDS.items() if not field.replaces}
    assert kept == IN_PLACE | RECORDED | OF_THE_PLUGIN


def container(**more: Any) -> Object:
    return {"name": "c", "image": "sha256:1", **more}


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"colour": "red"}, "colour is not a property here"),
        ({"memory": "512m"}, "memory must be a whole number, not a string"),
        ({"memory": True}, "memory must be a whole number, not a boolean"),
        ({"memorySwap": -2}, "memorySwap must be at least -1, not -2"),
        ({"envs": "A=1"}, "envs must be a list of strings, not a string"),
        ({"envs": [1]}, "envs must be a list of strings, not a list"),
        ({"tmpfs": {"/run": 1}}, "tmpfs must be an object of strings, not an object"),
        ({"restart": "never"}, "restart must match no|on-failure|always|unless-stopped, not 'never'"),
        ({"ports": [{"external": 80}]}, "ports[0].internal is required"),
        ({"ports": ["80"]}, "ports[0] must be an object, not a string"),
        ({"ports": [{"internal": 80, "hostIp": ""}]}, "ports[0].hostIp is not a property here"),
        ({"healthcheck": {"interval": "30"}}, "healthcheck.interval must match"),
        ({"uploads": [{"file": "/x", "permissions": "600"}]}, "uploads[0].permissions must match 0[0-7]{3}"),
    ],
)
def test_an_input_that_is_not_accepted_is_named(wrong: Object, reason: str) -> None:
    found = failures(container(**wrong), FIELDS)
    assert len(found) == 1
    assert found[0].reason.startswith(reason)
    assert found[0].reason.startswith(found[0].property)


def test_a_secret_is_judged_and_not_shown() -> None:
    found = failures(container(uploads=Secret([{"file": "/x", "content": 5}])), FIELDS)
    assert [failure.reason for failure in found] == ["uploads[0].content must be a string, not a number"]


def test_an_unknown_value_is_accepted() -> None:
    assert failures({"name": UNKNOWN, "image": UNKNOWN, "envs": [UNKNOWN], "ports": UNKNOWN}, FIELDS) == []


SAME: list[tuple[Object, Object]] = [
    ({"envs": ["A=1", "B=2"]}, {"envs": ["B=2", "A=1"]}),
    ({"envs": ["A=1"]}, {}),
    ({"hostname": "0123456789ab"}, {}),
    ({"workingDir": "/srv"}, {}),
    ({"user": "70"}, {"user": ""}),
    ({"privileged": False}, {}),
    ({"mustRun": True}, {}),
    ({"dns": []}, {}),
    ({"tmpfs": {}}, {}),
    ({"devices": [{"hostPath": "/dev/a", "permissions": "rwm"}]}, {"devices": [{"hostPath": "/dev/a"}]}),
    (
        {"ports": [{"internal": 80, "external": 49153, "ip": "0.0.0.0", "protocol": "tcp"}]},  # noqa: S104
        {"ports": [{"internal": 80}]},
    ),
    (
        {"labels": [{"label": "a", "value": "1"}, {"label": "b", "value": "2"}]},
        {"labels": [{"label": "b", "value": "2"}, {"label": "a", "value": "1"}]},
    ),
    ({"uploads": [{"file": "/x", "content": "y"}]}, {"uploads": Secret([{"file": "/x", "content": "y"}])}),
]
DIFFERENT: list[tuple[Object, Object, str, bool]] = [
    ({"envs": ["A=1"]}, {"envs": ["A=2"]}, "envs", True),
    ({"command": ["a", "b"]}, {"command": ["b", "a"]}, "command", True),
    ({"mustRun": False}, {}, "mustRun", False),
    ({"memorySwap": 128}, {}, "memorySwap", False),
    ({"cpus": "0.5"}, {"cpus": "1"}, "cpus", True),
    ({"capabilities": {"adds": ["CAP_CHOWN"]}}, {"capabilities": {"adds": ["CHOWN"]}}, "capabilities", True),
    ({"tmpfs": {"/run": "rw,size=1m"}}, {"tmpfs": {"/run": "size=1m"}}, "tmpfs", False),
    ({"healthcheck": {"interval": "1m0s"}}, {"healthcheck": {"interval": "1m"}}, "healthcheck", False),
    ({"ports": []}, {"ports": [{"internal": 80}]}, "ports", True),
    ({"ports": [{"internal": 80, "external": 8080}]}, {"ports": [{"internal": 80, "external": 9090}]}, "ports", True),
    ({"image": "sha256:1"}, {"image": UNKNOWN}, "image", True),
    ({"uploads": [{"file": "/x"}]}, {"uploads": Secret([{"file": "/x", "content": "z"}])}, "uploads", True),
]  # fmt: skip


@pytest.mark.parametrize(("state", "program"), SAME)
def test_what_means_the_same_is_no_difference(state: Object, program: Object) -> None:
    assert changes(container(**state), container(**program), FIELDS, []) == {}


@pytest.mark.parametrize(("state", "program", "key", "replaces"), DIFFERENT)
def test_a_difference_replaces_as_in_the_official_plugin(
    state: Object, program: Object, key: str, replaces: bool
) -> None:
    found = changes(container(**state), container(**program), FIELDS, [])
    assert {name: change.replace for name, change in found.items()} == {key: replaces}
    assert changes(container(**state), container(**program), FIELDS, [key]) == {}


def test_podmans_additions_to_a_network_are_differences() -> None:
    program: Object = {"name": "n", "ipamConfigs": [{"subnet": "10.1.0.0/24"}]}
    state: Object = {
        "name": "n",
        "ipamDriver": "default",
        "ipamOptions": {"driver": "host-local"},
        "ipamConfigs": [{"subnet": "10.1.0.0/24", "gateway": "10.1.0.1"}],
    }
    found = changes(state, program, networks.FIELDS, [])
    assert {key: change.replace for key, change in found.items()} == {
        "ipamConfigs": True,
        "ipamOptions": True,
    }


def test_a_refresh_shows_what_the_engine_has_instead() -> None:
    inputs: Object = container(envs=["A=1"], restart="no", dns=["1.1.1.1"])
    outputs: Object = container(envs=["A=1"], restart="always", dns=["1.1.1.1"], privileged=False)
    assert refreshed_inputs(inputs, outputs, FIELDS) == container(
        envs=["A=1"], restart="always", dns=["1.1.1.1"]
    )


def test_only_a_refresh_sees_what_the_engine_made_of_a_set() -> None:
    program: Object = container(
        capabilities={"drops": ["ALL"]}, securityOpts=["x:true"], tmpfs={"/run": "size=1m"}
    )
    podman: Object = container(
        capabilities={"adds": [], "drops": ["CAP_CHOWN", "CAP_KILL"]},
        securityOpts=["x"],
        tmpfs={"/run": "size=1m,rw"},
    )
    assert set(changes(podman, program, FIELDS, [])) == {"capabilities", "securityOpts", "tmpfs"}
    assert set(changes(settled(podman, program, FIELDS), program, FIELDS, [])) == {"tmpfs"}


def test_an_import_takes_what_is_not_the_default() -> None:
    outputs: Object = container(privileged=False, restart="no", networkMode="bridge", memory=64, tmpfs={})
    assert inputs_of(outputs, FIELDS) == container(memory=64)


def test_defaults_are_filled_in_also_inside() -> None:
    full = with_defaults({"healthcheck": {"interval": "5s"}, "ports": [{"internal": 1}]}, FIELDS)
    assert full["healthcheck"] == {
        "interval": "5s",
        "timeout": "0s",
        "startPeriod": "0s",
        "startInterval": "0s",
    }
    assert full["ports"] == [{"internal": 1, "ip": "0.0.0.0", "protocol": "tcp"}]  # noqa: S104
    assert (full["mustRun"], full["start"], full["restart"]) == (True, True, "no")


@pytest.mark.parametrize(
    ("written", "value"),
    [("0s", 0), ("0", 0), ("1m0s", 60 * 10**9), ("1h0m0s", 3600 * 10**9), ("1.5s", 15 * 10**8), ("250ms", 25 * 10**7)],
)  # fmt: skip
def test_durations_are_gos(written: str, value: int) -> None:
    assert nanoseconds(written) == value
    assert nanoseconds(text(value)) == value
    assert written == "0" or text(value) == written


@given(st.integers(min_value=0, max_value=10**16))
def test_a_duration_that_is_written_reads_back(value: int) -> None:
    assert nanoseconds(text(value)) == value


@pytest.mark.parametrize("wrong", ["", "5", "s", "5 s", "-5s", "1m 5s", "5d"])
def test_what_is_no_duration_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        nanoseconds(wrong)
