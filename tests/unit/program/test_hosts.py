"""Whole stacks on one host: who reaches whom, order, hardening, names, ports, and exact objects."""

from __future__ import annotations

import ipaddress
import itertools
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from tests.harness.mocks import Recorded
from tests.harness.program import CONTAINER, image_id, needs, run_stack, unwrapped
from tests.harness.program import REMOTE_IMAGE as IMAGE
from tests.unit.program.stacks import HOSTS, RUNS, STACKS
from toolchain.offline.plugins.docker import images as plugin_images
from toolchain.offline.plugins.docker import networks as plugin_networks
from toolchain.offline.plugins.docker import volumes as plugin_volumes
from toolchain.offline.plugins.docker.container_fields import FIELDS as CONTAINER_FIELDS
from toolchain.offline.plugins.docker.schema import Fields, failures

NETWORK, VOLUME = "docker:index/network:Network", "docker:index/volume:Volume"

FIELDS: dict[str, Fields] = {
    CONTAINER: CONTAINER_FIELDS,
    NETWORK: plugin_networks.FIELDS,
    VOLUME: plugin_volumes.FIELDS,
    IMAGE: plugin_images.FIELDS,
}
OPENS_THE_HOST = {
    "privileged", "pidMode", "ipcMode", "usernsMode", "cgroupnsMode", "publishAllPorts", "hosts", "sysctls",
}  # fmt: skip
LOADER = "-files"
LINKS = {
    ("server", "cache"),
    ("server", "database"),
    ("server", "machine-learning"),
    ("microservices", "cache"),
    ("microservices", "database"),
    ("microservices", "machine-learning"),
    ("proxy", "server"),
    ("cloudflared", "proxy"),
    ("backup-dump", "database"),
    ("drill-database", "database"),
    ("backup-copy", "backup-rclone"),
    ("drill-fetch", "backup-rclone"),
    ("drill-originals", "backup-rclone"),
    ("metrics-role", "database"),
    ("setup", "database"),
    ("setup", "server"),
    ("postgres-exporter", "database"),
    ("valkey-exporter", "cache"),
    ("door-exporter", "machine-learning"),
}
"""Who talks to whom in Immich."""

EXPORTERS = {"postgres-exporter", "valkey-exporter", "volume-exporter", "door-exporter"}
WATCHED = {"server", "microservices", "proxy", "cloudflared"}
"""They have numbers of their own, and meet whoever reads them in a network of several."""
SILENT = {"valkey-exporter", "gpu-exporter", "proxy-exporter"}
"""Their images have nothing that could ask whether they are well."""

STEPS = {"backup-dump", "backup-copy", "drill-fetch", "drill-database", "drill-originals"}
"""Steps of tasks: they listen on nothing."""
WRITTEN = {
    "home": {"backup-dump", "backup-dump-files"},
    "homelab": {"backup-dump", "backup-dump-files", "backup-copy", "backup-copy-files", "setup"},
}
"""Steps whose scripts write the release into what they make."""
ONCE = {"metrics-role", "setup"}
"""Steps that run once and end."""
SIDE_BY_SIDE = {"microservices", "server", "proxy", *ONCE, *EXPORTERS, *STEPS}
"""They talk to the same others, so they meet where those are."""

OUTSIDE = {"server", "microservices", "machine-learning", "cloudflared", "backup-rclone"}
"""Who talks to names outside; the proxy has a way out where it opens a port, certificates with an ACME server."""


def containers(stack: str) -> dict[str, dict[str, Any]]:
    """Inputs by the workload's name, of what keeps running; a second copy counts as its first."""
    found: dict[str, dict[str, Any]] = {}
    for one in RUNS[stack].of_type(CONTAINER):
        props: dict[str, Any] = unwrapped(one.props)
        workload = labels(props)["immich.workload"]
        if not workload.endswith(LOADER):
            found[workload] = props
    return found


def loaders(stack: str) -> dict[str, Recorded]:
    return {
        labels(unwrapped(one.props))["immich.workload"].removesuffix(LOADER): one
        for one in RUNS[stack].of_type(CONTAINER)
        if one.name.endswith(LOADER)
    }


def labels(props: dict[str, Any]) -> dict[str, str]:
    return {one["label"]: one["value"] for one in props["labels"]}


def joined(props: dict[str, Any]) -> set[str]:
    return {one["name"] for one in props.get("networksAdvanced", ())}


def registered(stack: str, workload: str) -> Recorded:
    (found,) = [one for one in RUNS[stack].of_type(CONTAINER) if one.name == f"immich-{stack}-{workload}"]
    return found


def networks(stack: str) -> dict[str, dict[str, Any]]:
    """Inputs of the stack's networks by their names on the engine."""
    return {one.props["name"]: one.props for one in RUNS[stack].of_type(NETWORK)}


# Isolation


@pytest.mark.parametrize("stack", HOSTS)
def test_two_containers_meet_exactly_where_immich_needs_it(stack: str) -> None:
    found = containers(stack)
    meeting = {
        (first, second)
        for first, second in itertools.permutations(found, 2)
        if joined(found[first]) & joined(found[second])
    }
    wanted = {link for link in LINKS if link[0] in found and link[1] in found}
    wanted |= {(second, first) for first, second in wanted}
    assert wanted <= meeting
    out = f"immich-{stack}-tasks-outside"
    several = {f"immich-{stack}-monitoring", f"immich-{stack}-monitoring-outside"}
    for first, second in meeting - wanted:
        if joined(found[first]) & joined(found[second]) <= several:
            assert {first, second} <= {*EXPORTERS, *WATCHED, "gpu-exporter"}
            continue
        assert {first, second} <= SIDE_BY_SIDE
        for where in joined(found[first]) & joined(found[second]):
            # Two clients of one, or two that talk to nobody but the outside.
            assert where in {out, *several} or {(first, where), (second, where)} <= {
                (client, f"immich-{stack}-{of}") for client, of in LINKS
            }


@pytest.mark.parametrize("stack", HOSTS)
def test_the_database_the_cache_and_who_serves_them_are_behind_networks_without_a_way_out(stack: str) -> None:
    made = networks(stack)
    for name, props in made.items():
        assert props["internal"] == (not name.endswith("-outside")), name
    for workload in ("database", "cache"):
        assert joined(containers(stack)[workload]) == {f"immich-{stack}-{workload}"}, workload
        assert "ports" not in containers(stack)[workload]


@pytest.mark.parametrize("stack", HOSTS)
def test_a_way_out_is_one_containers_own_and_only_for_those_who_need_it(stack: str) -> None:
    acme = STACKS[stack].sections["proxy"].get("tls", {}).get("kind") == "acme"
    for workload, props in containers(stack).items():
        out = {name for name in joined(props) if name.endswith("-outside")}
        wanted = workload in OUTSIDE or "ports" in props or (workload == "certificates" and acme)
        if workload in STEPS:
            assert out <= {f"immich-{stack}-tasks-outside"}, workload
        elif workload in EXPORTERS | {"gpu-exporter"}:
            assert out <= {f"immich-{stack}-monitoring-outside"}, workload
        else:
            assert out == ({f"immich-{stack}-{workload}-outside"} if wanted else set()), workload


@pytest.mark.parametrize("stack", HOSTS)
def test_every_network_is_joined_and_every_one_that_is_joined_is_there(stack: str) -> None:
    used = {name for props in containers(stack).values() for name in joined(props)}
    foreign = {
        way["network"] for way in STACKS[stack].sections["proxy"]["expose"] if way["kind"] == "traefikLabels"
    }
    assert used - foreign == networks(stack).keys()
    assert foreign <= used


def test_the_networks_of_all_stacks_have_addresses_of_their_own() -> None:
    found = [
        (stack, name, ipaddress.ip_network(props["ipamConfigs"][0]["subnet"]))
        for stack in HOSTS
        for name, props in networks(stack).items()
    ]
    for (_, name, one), (_, other_name, other) in itertools.combinations(found, 2):
        assert not one.overlaps(other), f"{name} and {other_name}"


def test_the_database_of_homelab_has_the_network_that_its_document_asks_for() -> None:
    (ipam,) = networks("homelab")["immich-homelab-database"]["ipamConfigs"]
    assert ipam == {"subnet": "10.89.5.0/24", "gateway": "10.89.5.1"}


EVERYWHERE = "0.0.0.0"  # noqa: S104 - what two stacks say in full
PORTS = {
    "home": {(EVERYWHERE, 2283, 8080)},
    "hwc": {
        ("127.0.0.1", 2283, 8081), ("192.168.1.13", 2283, 8080), ("127.0.0.1", 9101, 9100),
        *(("127.0.0.1", port, port) for port in (8091, 8092, 9113, 9115, 9121, 9187, 9400)),
    },
    "heartbeat": {(EVERYWHERE, 443, 8446), (EVERYWHERE, 80, 8085)},
    "heartbeat-dev": {("127.0.0.1", 443, 8443), ("127.0.0.1", 80, 8080)},
    "skylab": set[tuple[str, int, int]](),
    "homelab": set[tuple[str, int, int]](),
}  # fmt: skip
"""Address and port of the host, and nginx's port, of everything that is open."""


@pytest.mark.parametrize("stack", sorted(PORTS))
def test_exactly_these_ports_of_the_host_are_open(stack: str) -> None:
    found = {
        (port["ip"], port["external"], port["internal"])
        for props in containers(stack).values()
        for port in props.get("ports", ())
    }
    assert found == PORTS[stack]
    for workload, props in containers(stack).items():
        watched = stack == "hwc" and workload in {"server", "gpu-exporter", *EXPORTERS}
        assert "ports" not in props or workload == "proxy" or watched


# Order


@pytest.mark.parametrize("stack", HOSTS)
def test_a_container_is_made_after_what_it_needs(stack: str) -> None:
    run, there = RUNS[stack], containers(stack)
    for first, second in (("server", "database"), ("server", "cache"), ("microservices", "server"), ("proxy", "server"),
                          ("proxy", "certificates"), ("cloudflared", "proxy")):  # fmt: skip
        if first in there and second in there:
            assert registered(stack, second).urn in needs(run, registered(stack, first)), f"{first} {second}"
    for workload, loader in loaders(stack).items():
        assert loader.urn in needs(run, registered(stack, workload)), workload
    for one in run.of_type(CONTAINER):
        image = next(
            image for image in run.of_type(IMAGE) if image_id(image.props["name"]) == one.props["image"]
        )
        assert image.urn in needs(run, one)


@pytest.mark.parametrize("stack", HOSTS)
def test_a_container_is_made_after_its_volumes_and_networks(stack: str) -> None:
    run = RUNS[stack]
    made = {one.props["name"]: one.urn for one in run.of_type(VOLUME, NETWORK)}
    for one in run.of_type(CONTAINER):
        volumes = {mount["source"] for mount in one.props.get("mounts", ()) if mount["type"] == "volume"}
        for name in volumes | joined(one.props):
            if name in made:
                assert made[name] in needs(run, one), f"{one.name} {name}"


@pytest.mark.parametrize("stack", HOSTS)
def test_every_volume_that_is_mounted_is_one_of_the_stack(stack: str) -> None:
    made = {one.props["name"] for one in RUNS[stack].of_type(VOLUME)}
    used = {
        mount["source"]
        for one in RUNS[stack].of_type(CONTAINER)
        for mount in one.props.get("mounts", ())
        if mount["type"] == "volume"
    }
    assert used == made


@pytest.mark.parametrize("stack", HOSTS)
def test_containers_and_networks_go_before_their_successors_come_and_nothing_else_does(stack: str) -> None:
    for one in RUNS[stack].resources:
        assert one.delete_before_replace == (one.type in {CONTAINER, NETWORK}), one.urn


@pytest.mark.parametrize("stack", HOSTS)
def test_the_engine_waits_longer_than_a_start_and_an_end_may_take(stack: str) -> None:
    for one in RUNS[stack].of_type(CONTAINER):
        if "waitTimeout" in one.props:
            needed = one.props["waitTimeout"] + one.props["stopTimeout"]
            for operation in ("create", "update", "delete"):
                assert int(one.timeouts[operation].removesuffix("s")) >= needed, f"{one.urn} {operation}"


# Hardening


@pytest.mark.parametrize("stack", HOSTS)
def test_every_container_is_hardened(stack: str) -> None:
    for workload, props in containers(stack).items():
        assert props["readOnly"] is True, workload
        assert props["capabilities"] == {"drops": ["ALL"]}, workload
        assert "no-new-privileges:true" in props["securityOpts"], workload
        user, group = (int(part) for part in props["user"].split(":"))
        assert user > 0, workload
        assert group > 0, workload
        assert props["memory"] == props["memorySwap"] > 0, workload
        assert props["cpuQuota"] > 0, workload
        assert props["mustRun"] is (workload not in ONCE), workload
        assert props["logOpts"] or props["logDriver"] == "journald", workload
    for workload, one in loaders(stack).items():
        assert one.props["networkMode"] == "none", workload
        assert one.props["capabilities"]["drops"] == ["ALL"], workload


@pytest.mark.parametrize("stack", HOSTS)
def test_every_container_that_runs_is_asked_whether_it_is_well_and_waited_for(stack: str) -> None:
    for workload, props in containers(stack).items():
        if workload in SILENT | ONCE:
            assert "healthcheck" not in props
            continue
        # Podman splits the words of a command at spaces, so it gets one line for a shell where a word has any.
        assert props["healthcheck"]["tests"][0] in (
            {"CMD", "CMD-SHELL"} if stack == "homelab" else {"CMD"}
        ), workload
        # What waits for its time has nobody who waits for it.
        assert props.get("wait", False) == (workload not in STEPS), workload


@pytest.mark.parametrize("stack", HOSTS)
def test_uploads_and_the_database_have_time_to_end(stack: str) -> None:
    found = containers(stack)
    assert found["server"]["stopTimeout"] >= 300
    assert found["database"]["stopTimeout"] >= 120
    ending = {name: props for name, props in found.items() if name != "proxy-exporter"}
    assert all(props["destroyGraceSeconds"] == props["stopTimeout"] for props in ending.values())


@pytest.mark.parametrize("stack", HOSTS)
def test_every_image_has_a_digest_or_is_named_in_the_outputs(stack: str) -> None:
    run = RUNS[stack]
    unpinned = sorted(one.props["name"] for one in run.of_type(IMAGE) if "@sha256:" not in one.props["name"])
    assert sorted(run.outputs.get("unpinnedImages", [])) == unpinned
    assert all(one.props["keepLocally"] for one in run.of_type(IMAGE))


@pytest.mark.parametrize("stack", HOSTS)
def test_inputs_have_names_and_forms_that_the_provider_knows_at_every_level(stack: str) -> None:
    for one in RUNS[stack].of_type(*FIELDS):
        assert failures(unwrapped(one.props), FIELDS[one.type]) == [], one.urn


@pytest.mark.parametrize("stack", HOSTS)
def test_nothing_opens_the_host(stack: str) -> None:
    for one in RUNS[stack].of_type(CONTAINER):
        assert not OPENS_THE_HOST & one.props.keys(), one.urn


# Names


def names(stack: str) -> set[tuple[str, str]]:
    """Kind and name of everything on the engine, images apart: those may be shared."""
    return {(one.type, str(one.props["name"])) for one in RUNS[stack].of_type(CONTAINER, NETWORK, VOLUME)}


def test_no_two_stacks_on_one_host_share_a_name() -> None:
    for first, second in itertools.combinations(HOSTS, 2):
        assert names(first).isdisjoint(names(second)), f"{first} {second}"


@pytest.mark.parametrize("stack", HOSTS)
def test_every_name_is_given_once_and_carries_the_stack(stack: str) -> None:
    run = RUNS[stack]
    found = [(one.type, one.props["name"]) for one in run.of_type(CONTAINER, NETWORK, VOLUME)]
    assert len(found) == len(set(found))
    assert all(name.startswith(f"immich-{stack}-") for _, name in found)
    for one in run.of_type(CONTAINER, VOLUME, NETWORK):
        assert labels(unwrapped(one.props))["immich.stack"] == stack


def test_a_stack_under_another_name_shares_nothing_with_the_first() -> None:
    twin = run_stack(replace(STACKS["home"], name="second"))
    found = {(one.type, str(one.props["name"])) for one in twin.of_type(CONTAINER, NETWORK, VOLUME)}
    assert found.isdisjoint(names("home"))
    assert len(found) == len(names("home"))
    subnets = {one.props["ipamConfigs"][0]["subnet"] for one in twin.of_type(NETWORK)}
    assert subnets.isdisjoint(props["ipamConfigs"][0]["subnet"] for props in networks("home").values())


# What changes what


def changed(stack: str, **sections: Any) -> set[str]:
    """Containers that a change of sections would make anew or change, by workload."""
    before = {one.name: one.props for one in RUNS[stack].of_type(CONTAINER)}
    merged = {**STACKS[stack].sections}
    for name, more in sections.items():
        merged[name] = {**merged.get(name, {}), **more}
    run = run_stack(replace(STACKS[stack], sections=merged))
    after = {one.name: one.props for one in run.of_type(CONTAINER)}
    assert before.keys() == after.keys()
    return {name.removeprefix(f"immich-{stack}-") for name in before if before[name] != after[name]}


def test_a_new_version_replaces_the_server_machine_learning_and_what_names_it_in_backups() -> None:
    assert changed("home", server={"version": "3.2.2"}) == {"server", "machine-learning", *WRITTEN["home"]}
    assert changed("homelab", server={"version": "3.2.2"}) == {
        "server", "microservices", "machine-learning", *WRITTEN["homelab"],
    }  # fmt: skip


def test_a_changed_password_reaches_the_database_and_who_uses_it() -> None:
    before = {one.name: unwrapped(one.props) for one in RUNS["skylab"].of_type(CONTAINER)}
    secrets = {**STACKS["skylab"].secrets, "databasePassword": "another password"}
    plain = run_stack(replace(STACKS["skylab"], secrets=secrets))
    after = {one.name: unwrapped(one.props) for one in plain.of_type(CONTAINER)}
    found = {name.removeprefix("immich-skylab-") for name in before if before[name] != after[name]}
    # Steps of a task restart together.
    assert found == {"database", "database-files", "server", "server-files", "setup", "setup-files",
                     "backup-dump-files", "backup-copy-files", "drill-database-files", *STEPS}  # fmt: skip


def test_another_proxy_setting_makes_the_proxy_and_its_files_anew() -> None:
    assert changed("home", proxy={"maxUpload": "7Gi"}) == {"proxy", "proxy-files"}


# Exact objects


EXPECTED = {
    "home": {"RemoteImage": 6, "Network": 7, "Volume": 14, "Container": 12, "RandomPassword": 3, "Stash": 1},
    "hwc": {"RemoteImage": 14, "Network": 10, "Volume": 37, "Container": 33, "RandomPassword": 5, "Stash": 2},
    "heartbeat": {"RemoteImage": 9, "Network": 10, "Volume": 36, "Container": 26, "RandomPassword": 6, "Stash": 2},
    "heartbeat-dev": {"RemoteImage": 7, "Network": 7, "Volume": 16, "Container": 14, "RandomPassword": 3, "Stash": 1},
    "homelab": {"RemoteImage": 10, "Network": 9, "Volume": 40, "Container": 31, "RandomPassword": 7, "Stash": 3},
    "skylab": {"RemoteImage": 8, "Network": 8, "Volume": 31, "Container": 25, "RandomPassword": 6, "Stash": 2,
               "DnsRecord": 1, "ZoneSetting": 4},
}  # fmt: skip


@pytest.mark.parametrize("stack", sorted(EXPECTED))
def test_a_stack_is_exactly_these_objects(stack: str) -> None:
    custom = [one for one in RUNS[stack].resources if one.custom and ":providers:" not in one.type]
    assert Counter(one.type.rpartition(":")[2] for one in custom) == Counter(EXPECTED[stack])


RUNNING = {
    "home": {"server", "database", "cache", "machine-learning", "proxy", "backup-dump"},
    "hwc": {
        "server", "database", "cache", "machine-learning", "proxy", "proxy-exporter", "backup-rclone", "metrics-role",
        "gpu-exporter", *EXPORTERS, *STEPS,
    },
    "heartbeat": {
        "server",
        "database",
        "cache",
        "machine-learning",
        "proxy",
        "certificates",
        "backup-rclone",
        "setup",
        *STEPS,
    },
    "heartbeat-dev": {
        "server",
        "database",
        "cache",
        "machine-learning",
        "proxy",
        "certificates",
        "backup-dump",
    },
    "homelab": {
        "server", "microservices", "database", "cache", "machine-learning", *ONCE, *EXPORTERS, *STEPS,
    },
    "skylab": {"server", "database", "cache", "machine-learning", "proxy", "cloudflared", "setup", *STEPS},
}  # fmt: skip


@pytest.mark.parametrize("stack", sorted(RUNNING))
def test_a_stack_runs_exactly_these_workloads(stack: str) -> None:
    assert containers(stack).keys() == RUNNING[stack]


def test_every_stack_on_a_host_is_looked_at() -> None:
    assert {"home", "skylab", "hwc", "heartbeat", "heartbeat-dev", "homelab"} <= set(HOSTS)


@pytest.mark.parametrize("stack", HOSTS)
def test_the_notes_name_who_has_a_way_out_and_nobody_else(stack: str) -> None:
    note = RUNS[stack].outputs["hostNotes"][0]
    there = {one.name for one in RUNS[stack].of_type(CONTAINER)}
    for part, told in (("cloudflared", "cloudflared"), ("machine-learning", "machine learning")):
        assert (told in note) is any(name.endswith(f"-{part}") for name in there), told
