"""From a Workload to a container's inputs: rights, limits, checks, mounts, devices, ports."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.model.exposure import PublishedPortSpec
from components.model.values import ImageRef, Quantity
from components.model.workload import (
    CommandCheck,
    ConfigFiles,
    Device,
    Gpu,
    HttpCheck,
    Priority,
    Probe,
    Relaxation,
    Scratch,
    SecretFiles,
    Sidecar,
    Storage,
)
from components.platform.docker import containers
from components.platform.docker.containers import ContainerContext, container_name, sidecar
from tests.unit.docker.parts import AMOUNTS, FOLDERS, inputs, labels_of, mounted, options, workload

MIB = 2**20
ASKED = Probe(check=CommandCheck(command=("sh", "-c", "ping")), period=30, timeout=7, failures=4)


def beside(name: str = "exporter", **more: Any) -> dict[str, Any]:
    """A sidecar's inputs."""
    one = Sidecar(name=name, image=ImageRef("example.com/e:1"), resources=AMOUNTS, **more)
    context = ContainerContext(
        options=options(),
        image="sha256:2",
        networks=(),
        folders=FOLDERS,
        files={"/etc/a": "a", "/etc/b": "b"},
    )
    return sidecar(one, workload(), context, "container:abc")


# Rights


@pytest.mark.parametrize("found", [inputs(), beside()], ids=["container", "sidecar"])
def test_a_container_is_hardened_without_being_asked(found: dict[str, Any]) -> None:
    assert found["user"] == "1000:1001"
    assert found["readOnly"] is True
    assert found["capabilities"] == {"drops": ["ALL"]}
    assert found["securityOpts"] == ["no-new-privileges:true"]
    assert found["ulimits"] == [{"name": "nproc", "soft": 16384, "hard": 16384}]
    assert "privileged" not in found


def test_a_relaxation_is_one_named_step_with_its_reason_on_the_container() -> None:
    root = inputs(workload(relaxations=(Relaxation(what="writable-root", reason="it writes /opt"),)))
    assert root["readOnly"] is False
    assert root["securityOpts"] == ["no-new-privileges:true"]
    assert labels_of(root)["relaxation.immich/writable-root"] == "it writes /opt"
    seen = inputs(workload(relaxations=(Relaxation(what="unmasked-paths", reason="it reads the board"),)))
    assert seen["securityOpts"] == ["no-new-privileges:true", "systempaths=unconfined", "apparmor=unconfined"]
    assert seen["readOnly"] is True


def test_a_device_makes_no_container_privileged() -> None:
    step = Relaxation(what="privileged", reason="vaapi opens /dev/dri of the host")
    found = inputs(workload(relaxations=(step,), mounts=(Device(path="/dev/dri"),)))
    assert "privileged" not in found
    assert found["capabilities"] == {"drops": ["ALL"]}
    assert found["devices"] == [{"hostPath": "/dev/dri", "containerPath": "/dev/dri", "permissions": "rwm"}]
    assert "mounts" not in found


# Limits


def test_memory_has_no_swap_beside_it() -> None:
    for found in (inputs(), beside()):
        assert found["memory"] == found["memorySwap"] == 2048


def test_memory_is_never_less_than_was_given() -> None:
    amounts = replace(AMOUNTS, memory_limit=Quantity("1G"))
    assert inputs(workload(resources=amounts))["memory"] == 954  # 953.67 MiB


@given(st.integers(10, 64_000))
def test_the_cpu_limit_is_the_share_of_the_period_that_was_given(milli: int) -> None:
    found = inputs(workload(resources=replace(AMOUNTS, cpu_limit=Quantity(f"{milli}m"))))
    assert found["cpuQuota"] / found["cpuPeriod"] == pytest.approx(milli / 1000)
    assert isinstance(found["cpuQuota"], int)
    assert found["cpuQuota"] >= 1000, "the kernel refuses less than a millisecond"


@given(st.integers(-20, 18), st.sampled_from(["10m", "250m", "2", "64"]))
def test_a_step_of_niceness_is_a_quarter_more_or_less_of_the_cpu(niceness: int, asked: str) -> None:
    def shares(step: int) -> int:
        amounts = replace(AMOUNTS, cpu_request=Quantity(asked))
        return inputs(workload(resources=amounts, priority=Priority(niceness=step)))["cpuShares"]

    assert 2 <= shares(niceness + 1) <= shares(niceness) <= 262_144
    if shares(niceness + 1) > 100 and shares(niceness) < 262_144:
        assert shares(niceness) / shares(niceness + 1) == pytest.approx(1.25, rel=0.02)


def test_without_niceness_a_core_is_1024_shares() -> None:
    assert inputs(workload(resources=replace(AMOUNTS, cpu_request=Quantity("1"))))["cpuShares"] == 1024
    assert inputs()["cpuShares"] == 256


def test_memory_is_locked_only_where_it_is_asked_for() -> None:
    locked = {"name": "memlock", "soft": -1, "hard": -1}
    assert locked not in inputs()["ulimits"]
    found = inputs(workload(priority=Priority(lock_memory=True)))["ulimits"]
    assert found == [*inputs()["ulimits"], locked]


def test_the_engine_waits_for_an_end_as_long_as_the_workload_says() -> None:
    found = inputs(workload(termination_grace=300))
    assert (found["stopTimeout"], found["destroyGraceSeconds"]) == (300, 300)


def test_logs_and_restarts_are_the_stacks() -> None:
    of = options(restart="on-failure", log_driver="local", log_options={"max-size": "1m"})
    for found in (inputs(of=of), {**beside(), **containers.container(workload(), _context(of))}):
        assert (found["restart"], found["logDriver"], found["logOpts"]) == (
            "on-failure",
            "local",
            {"max-size": "1m"},
        )
        assert found["mustRun"] is True


def _context(of: Any) -> ContainerContext:
    return ContainerContext(options=of, image="sha256:1", networks=(("n", None),), folders=FOLDERS)


# What runs


def test_image_command_arguments_and_environment_are_the_workloads() -> None:
    found = inputs(workload(command=("sh", "-c"), args=("exec it",), env={"B": "2=2", "A": "1"}))
    assert found["image"] == "sha256:1"
    assert found["entrypoints"] == ["sh", "-c"]
    assert found["command"] == ["exec it"]
    assert found["envs"] == ["A=1", "B=2=2"]
    assert not {"entrypoints", "command"} & inputs().keys(), "the image's own"


def test_groups_are_given_by_number_and_name_servers_where_the_stack_has_some() -> None:
    found = inputs(workload(supplemental_groups=(44, 105)), of=options(dns=("192.168.1.69",)))
    assert found["groupAdds"] == ["44", "105"]
    assert found["dns"] == ["192.168.1.69"]
    assert not {"groupAdds", "dns"} & inputs().keys()


def test_names_carry_the_stack_and_copies_a_number() -> None:
    assert inputs()["name"] == "immich-home-server"
    assert inputs(copy=1)["name"] == "immich-home-server-2"
    assert beside()["name"] == "immich-home-server-exporter"
    assert labels_of(inputs())["immich.stack"] == "home"
    assert labels_of(beside())["immich.workload"] == "server-exporter"


def test_a_long_name_of_a_stack_makes_no_host_name_that_the_kernel_refuses() -> None:
    assert len(inputs(of=options(stack="s" * 90))["hostname"]) <= 63


# Networks and ports


def test_others_call_it_by_its_name_in_the_stacks_networks() -> None:
    found = inputs(
        networks=(
            ("immich-home-server", "immich-server"),
            ("immich-home-monitoring", "immich-server.monitoring"),
        )
    )
    assert found["networksAdvanced"] == [
        {"name": "immich-home-server", "aliases": ["immich-server"]},
        {"name": "immich-home-monitoring", "aliases": ["immich-server.monitoring"]},
    ]
    assert "networkMode" not in found


def test_who_has_no_network_has_none_of_the_engine_either() -> None:
    found = inputs(networks=())
    assert found["networkMode"] == "none"
    assert "networksAdvanced" not in found


def test_a_sidecar_is_in_the_network_of_its_container() -> None:
    assert beside()["networkMode"] == "container:abc"
    assert "hostname" not in beside()


def test_a_sidecar_has_the_files_that_it_asks_for_and_no_other_volume() -> None:
    assert "mounts" not in beside()
    assert beside(configuration="/etc/b")["mounts"] == [
        {"type": "volume", "source": "b", "target": "/etc/b", "readOnly": True}
    ]


@pytest.mark.parametrize("address", ["127.0.0.1", "192.168.1.13", "0.0.0.0", "::1"])  # noqa: S104 - said in full
def test_a_port_is_opened_at_the_given_address_and_at_no_other(address: str) -> None:
    way = PublishedPortSpec(name="immich-proxy-lan", to="proxy", port=8080, address=address, listen=2283)
    assert inputs(workload(ways=(way,)))["ports"] == [
        {"internal": 8080, "external": 2283, "ip": address, "protocol": "tcp"}
    ]


def test_a_container_without_ways_opens_no_port() -> None:
    assert "ports" not in inputs()
    assert "ports" not in beside()


# Health


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5s"), (60, "1m0s"), (90, "1m30s"), (900, "15m0s"), (3600, "1h0m0s"), (3605, "1h0m5s")]
)  # fmt: skip
def test_times_are_written_as_the_provider_gives_them_back(seconds: int, text: str) -> None:
    found = inputs(workload(readiness=replace(ASKED, period=seconds)))
    assert found["healthcheck"]["interval"] == text


def test_a_check_has_the_times_of_readiness_and_the_start_of_liveness() -> None:
    found = inputs(
        workload(readiness=ASKED, liveness=replace(ASKED, period=99, startup_budget=900), start_timeout=1200)
    )
    assert found["healthcheck"] == {
        "tests": ["CMD", "sh", "-c", "ping"],
        "interval": "30s",
        "timeout": "7s",
        "retries": 4,
        "startPeriod": "15m0s",
    }
    assert (found["wait"], found["waitTimeout"]) == (True, 1200)


def test_liveness_is_asked_where_there_is_no_readiness() -> None:
    assert inputs(workload(liveness=ASKED))["healthcheck"]["tests"] == ["CMD", "sh", "-c", "ping"]


def test_a_check_by_http_uses_the_command_that_the_image_has_for_it() -> None:
    check = HttpCheck(port="http", path="/ping", inside=("immich-healthcheck",))
    assert inputs(workload(readiness=Probe(check=check)))["healthcheck"]["tests"] == [
        "CMD",
        "immich-healthcheck",
    ]


def test_what_cannot_be_asked_from_within_is_not_waited_for() -> None:
    for found in (inputs(), inputs(workload(readiness=Probe(check=HttpCheck(port="http", path="/"))))):
        assert not {"healthcheck", "wait", "waitTimeout"} & found.keys()


# Mounts


def test_a_folder_of_the_host_and_a_volume_of_the_engine() -> None:
    found = mounted(
        Storage(volume="media", path="/data"), Storage(volume="database", path="/db", read_only=True)
    )
    assert [(one["type"], one["source"], one["target"], one["readOnly"]) for one in found["mounts"]] == [
        ("bind", "/srv/photos", "/data", False),
        ("volume", "immich-home-database", "/db", True),
    ]
    assert "volumes" not in found


def test_with_selinux_folders_of_the_host_get_the_label_and_volumes_need_none() -> None:
    found = mounted(
        Storage(volume="media", path="/data", read_only=True),
        Storage(volume="database", path="/db"),
        of=options(selinux=True),
    )
    assert found["volumes"] == [
        {"hostPath": "/srv/photos", "containerPath": "/data", "readOnly": True, "selinuxRelabel": "z"}
    ]
    assert [one["type"] for one in found["mounts"]] == ["volume"]


def test_a_part_of_a_volume_is_refused() -> None:
    with pytest.raises(ValueError, match="/data: engines older than 26"):
        mounted(Storage(volume="media", path="/data", sub_path="library"))


def test_files_are_read_only_and_come_from_their_own_volume() -> None:
    found = mounted(
        SecretFiles(secret="database", path="/run/secrets/database", items={"password": "password"}),
        ConfigFiles(name="proxy", path="/etc/nginx", files={"nginx.conf": "events {}"}),
    )
    assert [(one["source"], one["target"], one["readOnly"]) for one in found["mounts"]] == [
        ("/run/secrets/database", "/run/secrets/database", True),
        ("/etc/nginx", "/etc/nginx", True),
    ]


def test_scratch_is_memory_with_a_limit_and_never_more_than_a_quarter_of_the_containers() -> None:
    found = mounted(
        Scratch(path="/tmp", size=Quantity("4Gi")),
        Scratch(path="/cache", size=Quantity("16Mi")),
        Scratch(path="/run", size=Quantity("1Gi"), memory=True),
    )
    owner = f"uid={workload().user},gid={workload().group}"
    assert found["tmpfs"] == {
        "/tmp": f"rw,nosuid,nodev,exec,mode=1777,size={512 * MIB},{owner}",
        "/cache": f"rw,nosuid,nodev,exec,mode=1777,size={16 * MIB},{owner}",
        "/run": f"rw,nosuid,nodev,noexec,mode=1777,size={1024 * MIB},{owner}",
    }
    with_podman = mounted(Scratch(path="/cache", size=Quantity("16Mi")), of=options(podman=True))
    assert with_podman["tmpfs"] == {"/cache": f"rw,nosuid,nodev,exec,mode=1777,size={16 * MIB}"}


def test_shared_memory_is_the_engines_own() -> None:
    found = mounted(Scratch(path="/dev/shm", size=Quantity("256Mi"), memory=True))
    assert found["shmSize"] == 256
    assert "tmpfs" not in found


def test_what_is_no_device_is_bound_as_it_is() -> None:
    found = mounted(Device(path="/sys/class/drm", read_only=True), Device(path="/dev/mali0"))
    assert found["mounts"] == [
        {"type": "bind", "source": "/sys/class/drm", "target": "/sys/class/drm", "readOnly": True}
    ]
    assert [one["hostPath"] for one in found["devices"]] == ["/dev/mali0"]


# Accelerators


def test_every_gpu_or_those_that_are_named() -> None:
    assert inputs(workload(gpu=Gpu(resource="nvidia.com/gpu")))["gpus"] == "all"
    assert (
        inputs(workload(gpu=Gpu(resource="nvidia.com/gpu", ids=("0", "GPU-7"))))["gpus"] == "device=0,GPU-7"
    )


def test_gpus_are_asked_for_by_their_cdi_names() -> None:
    podman = options(cdi=True)
    found = inputs(workload(gpu=Gpu(resource="nvidia.com/gpu", ids=("0", "1"))), of=podman)
    assert found["deviceRequests"] == [
        {"driver": "cdi", "deviceIds": ["nvidia.com/gpu=0", "nvidia.com/gpu=1"]}
    ]
    assert "gpus" not in found
    every = inputs(workload(gpu=Gpu(resource="nvidia.com/gpu")), of=podman)
    assert every["deviceRequests"][0]["deviceIds"] == ["nvidia.com/gpu=all"]


def test_other_accelerators_are_devices() -> None:
    found = inputs(workload(gpu=Gpu(resource="amd.com/gpu", devices=("/dev/dri", "/dev/kfd"))))
    assert [one["hostPath"] for one in found["devices"]] == ["/dev/dri", "/dev/kfd"]
    assert not {"gpus", "deviceRequests"} & found.keys()


def test_without_an_accelerator_there_is_no_device() -> None:
    assert not {"gpus", "deviceRequests", "devices"} & inputs().keys()


# What the engine gives back otherwise


def changed_labels(first: dict[str, Any], second: dict[str, Any]) -> set[str]:
    """Labels of two containers that differ."""
    one, other = labels_of(first), labels_of(second)
    return {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}


IGNORED: dict[str, dict[str, Any] | None] = {
    "capabilities": None,
    "cpus": None,
    "mounts": {"mounts": (Storage(volume="database", path="/db"),)},
    "logOpts": {"of": {"log_options": {"max-size": "1m"}}},
    "securityOpts": {"relaxations": (Relaxation(what="unmasked-paths", reason=""),)},
    "tmpfs": {"mounts": (Scratch(path="/tmp", size=Quantity("1Mi")),)},
    "ulimits": {"priority": Priority(lock_memory=True)},
}
"""Input that Podman gives back otherwise -> a change of it; capabilities are always the same, `cpus` is never given."""


def test_of_podman_alone_inputs_are_ignored() -> None:
    docker, podman = (set(containers.ignored(options(podman=one))) for one in (False, True))
    assert podman - docker == IGNORED.keys()
    assert not docker & IGNORED.keys()


@pytest.mark.parametrize("name", sorted(name for name, change in IGNORED.items() if change))
def test_with_podman_a_change_of_an_ignored_input_changes_a_label(name: str) -> None:
    change = dict(IGNORED[name] or {})
    more = change.pop("of", {})
    before = inputs(of=options(podman=True))
    after = inputs(workload(**change), of=options(podman=True, **more))
    assert before.get(name) != after.get(name)
    assert {one for one in changed_labels(before, after) if one.startswith("immich.")}


def test_with_podman_a_change_of_another_input_changes_no_label() -> None:
    before = inputs(of=options(podman=True))
    after = inputs(
        workload(
            env={"A": "1"},
            user=7,
            termination_grace=99,
            resources=replace(AMOUNTS, memory_limit=Quantity("3Gi")),
        ),
        of=options(podman=True),
    )
    assert changed_labels(before, after) == set()


def test_a_label_has_what_the_platform_adds() -> None:
    assert labels_of(inputs(labels={"immich.revision-app": "abc"}))["immich.revision-app"] == "abc"


def test_container_names_begin_with_the_stack() -> None:
    assert container_name("server", options(stack="skylab")) == "immich-skylab-server"
