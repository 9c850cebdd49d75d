"""The offline docker plugin, driven by the real Pulumi CLI, on a real Docker Engine."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from docker.client import DockerClient
from docker.errors import NotFound

from tests.docker.images.library import Images
from tests.harness.engine import Engine, Missing, Result, find_cli

pytestmark = [pytest.mark.engine, pytest.mark.deep(unless_changed=("toolchain/offline/plugins",))]

SECRET = "swordfish-and-horse"
HEADER = """import pulumi, pulumi_docker as d
opts = pulumi.ResourceOptions
image = d.RemoteImage("image", name={image!r}, keep_locally=True)
"""
SLEEP = "command=['sleep', '1000'], init=True"


class Stack:
    """A program's stack on the engine. `tag` makes the names of its objects its own."""

    def __init__(self, engine: Engine, client: DockerClient, image: str, tag: str) -> None:
        self.engine = engine
        self.client = client
        self.image = image
        self.tag = tag

    def program(self, text: str) -> None:
        """Make `text`, after HEADER, the program; TAG in it becomes `tag`."""
        self.engine.program(HEADER.format(image=self.image) + text.replace("TAG", self.tag))

    def up(self, text: str | None = None, *arguments: str, check: bool = True) -> Result:
        """`pulumi up` of that program, or of the one that is there."""
        if text is not None:
            self.program(text)
        return self.engine.up(*arguments, check=check)

    def refreshed(self) -> dict[str, list[str]]:
        """What `pulumi up --refresh` changes beyond looking."""
        looked = self.up(None, "--refresh").ops
        done = {name: [op for op in ops if op not in ("refresh", "same")] for name, ops in looked.items()}
        return {name: ops for name, ops in done.items() if ops}

    def container(self, name: str) -> Any:
        """The container of that name, after the tag."""
        return self.client.containers.get(f"{self.tag}-{name}")

    def described(self, name: str) -> dict[str, Any]:
        """What `docker inspect` says of it."""
        return self.client.api.inspect_container(f"{self.tag}-{name}")


@pytest.fixture
def stack(
    tmp_path: Path,
    docker_host: str,
    client: DockerClient,
    images: Images,
    request: pytest.FixtureRequest,
) -> Iterator[Stack]:
    cli = find_cli()
    if isinstance(cli, Missing):
        pytest.skip(cli.reason)
    image = images["busybox"]
    engine = Engine.create(tmp_path, cli, plugins=("docker",))
    engine.env["DOCKER_HOST"] = docker_host
    # One engine serves the tests of a worker one after another, so that a name made of the test's is free.
    tag = f"t{zlib.crc32(request.node.nodeid.encode()):08x}"
    made = Stack(engine, client, image, tag)
    yield made
    for container in client.containers.list(all=True, filters={"name": tag}):
        container.remove(force=True, v=True)
    for network in client.networks.list(names=[tag]):
        network.remove()
    for volume in client.volumes.list(filters={"name": tag}):
        volume.remove(force=True)


def until(condition: Callable[[], bool], seconds: float = 15) -> None:
    """Wait for it, or fail."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.1)


EVERYTHING = """
network = d.Network("network", name="TAG-net", internal=True,
    ipam_configs=[d.NetworkIpamConfigArgs(subnet="172.29.77.0/24")],
    labels=[d.NetworkLabelArgs(label="owner", value="test")])
volume = d.Volume("volume", name="TAG-data", labels=[d.VolumeLabelArgs(label="owner", value="test")])
container = d.Container("main", name="TAG-main", image=image.image_id, command=["sleep", "1000"], init=True,
    envs=["B=2", "A=1"], user="0:0", group_adds=["44"], working_dir="/tmp", hostname="main",
    labels=[d.ContainerLabelArgs(label="z", value="1"), d.ContainerLabelArgs(label="a", value="2")],
    mounts=[d.ContainerMountArgs(type="volume", target="/data", source=volume.name, read_only=True),
            d.ContainerMountArgs(type="tmpfs", target="/scratch",
                tmpfs_options=d.ContainerMountTmpfsOptionsArgs(size_bytes=1048576, mode=0o1777))],
    volumes=[d.ContainerVolumeArgs(host_path="/etc", container_path="/host-etc", read_only=True, selinux_relabel="z")],
    tmpfs={"/run": "size=1m"},
    networks_advanced=[
        d.ContainerNetworksAdvancedArgs(name=network.name, aliases=["alias"], ipv4_address="172.29.77.9")],
    hosts=[d.ContainerHostArgs(host="other", ip="10.1.2.3")], dns=["10.9.9.9"],
    healthcheck=d.ContainerHealthcheckArgs(tests=["CMD-SHELL", "true"], interval="1s", timeout="5s", retries=2,
        start_period="1m0s"),
    restart="unless-stopped", memory=64, memory_swap=64, memory_reservation=32, cpus="0.5", cpu_shares=512, cpu_set="0",
    ulimits=[d.ContainerUlimitArgs(name="nofile", soft=1024, hard=2048)], shm_size=16,
    sysctls={"net.ipv4.ip_unprivileged_port_start": "0"}, read_only=True,
    capabilities=d.ContainerCapabilitiesArgs(drops=["ALL"], adds=["CAP_CHOWN"]),
    security_opts=["no-new-privileges:true"],
    devices=[d.ContainerDeviceArgs(host_path="/dev/null", container_path="/dev/nil")],
    log_driver="json-file", log_opts={"max-size": "1m", "max-file": "2"}, stop_signal="SIGTERM", stop_timeout=7,
    destroy_grace_seconds=1, wait=True, wait_timeout=30, ipc_mode="private")
pulumi.export("networks", container.network_datas)
pulumi.export("id", container.id)
pulumi.export("image", image.image_id)
pulumi.export("mountpoint", volume.mountpoint)
pulumi.export("driver", volume.driver)
pulumi.export("scope", network.scope)
"""


def test_every_input_reaches_the_engine_and_a_second_up_changes_nothing(stack: Stack) -> None:
    made = stack.up(EVERYTHING)
    assert made.ops == {name: ["create"] for name in ("image", "network", "volume", "main")}
    assert stack.up().changes == {}
    assert stack.refreshed() == {}

    live = stack.described("main")
    host, config = live["HostConfig"], live["Config"]
    assert set(config["Env"]) >= {"A=1", "B=2"}
    assert config["Labels"].items() >= {"z": "1", "a": "2"}.items()
    assert (config["Hostname"], config["User"], config["WorkingDir"]) == ("main", "0:0", "/tmp")
    assert (config["StopSignal"], config["StopTimeout"]) == ("SIGTERM", 7)
    assert config["Healthcheck"]["StartPeriod"] == 60 * 10**9
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"]) == (64 << 20, 64 << 20, 500_000_000)
    assert host["Binds"] == ["/etc:/host-etc:ro,z"]
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "2"}}
    assert (host["CapDrop"], host["CapAdd"]) == (["ALL"], ["CAP_CHOWN"])
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 1024, "Hard": 2048}]
    assert (host["ReadonlyRootfs"], host["ShmSize"], host["Tmpfs"]) == (True, 16 << 20, {"/run": "size=1m"})
    assert list(live["NetworkSettings"]["Networks"]) == [f"{stack.tag}-net"]

    outputs = stack.engine.outputs()
    assert outputs["id"] == live["Id"]
    assert outputs["image"] == live["Image"]
    assert outputs["networks"][0]["ip_address"] == "172.29.77.9"
    assert (outputs["driver"], outputs["scope"]) == ("local", "local")
    assert outputs["mountpoint"].endswith(f"{stack.tag}-data/_data")

    stack.engine.destroy()
    with pytest.raises(NotFound):
        stack.container("main")
    assert stack.client.volumes.list(filters={"name": stack.tag}) == []
    assert stack.client.images.get(stack.image), "keep_locally"


def test_generated_names_stay_and_given_names_replace_in_place(stack: Stack) -> None:
    stack.up(
        'n = d.Network("TAGn")\nv = d.Volume("TAGv")\npulumi.export("n", n.name)\npulumi.export("v", v.name)\n'
    )
    names = stack.engine.outputs()
    assert names["n"].startswith(f"{stack.tag}n-")
    assert len(names["n"]) == len(stack.tag) + 9
    assert stack.up().changes == {}
    changed = stack.up(
        'n = d.Network("TAGn", internal=True)\nv = d.Volume("TAGv")\n'
        'pulumi.export("n", n.name)\npulumi.export("v", v.name)\n'
    )
    assert changed.changes == {f"{stack.tag}n": ["create-replacement", "replace", "delete-replaced"]}
    assert stack.engine.outputs()["v"] == names["v"]
    stack.up('d.Network("TAGn", name="TAG-fixed")\n')
    fixed = stack.up('d.Network("TAGn", name="TAG-fixed", internal=True)\n')
    assert fixed.changes == {f"{stack.tag}n": ["delete-replaced", "replace", "create-replacement"]}
    stack.engine.destroy()


def main_container(**more: str) -> str:
    """A program with one container `main`; `more` are further arguments as Python text."""
    given = {"name": "'TAG-main'", "image": "image.image_id", "destroy_grace_seconds": "1"} | more
    arguments = ", ".join(f"{key}={value}" for key, value in given.items())
    return f'c = d.Container("main", {arguments}, {SLEEP})\npulumi.export("exit", c.exit_code)\n'


REPLACED = {"main": ["delete-replaced", "replace", "create-replacement"]}


@pytest.mark.parametrize(
    ("first", "then", "expected"),
    [
        ({"memory": "64", "memory_swap": "64"}, {"memory": "96", "memory_swap": "96"}, ["update"]),
        ({"restart": "'no'"}, {"restart": "'on-failure'", "max_retry_count": "3"}, ["update"]),
        ({"cpu_shares": "512"}, {"cpu_shares": "256"}, ["update"]),
        ({"cpus": "'0.5'"}, {"cpus": "'0.75'"}, REPLACED["main"]),
        ({"envs": "['A=1']"}, {"envs": "['A=2']"}, REPLACED["main"]),
        ({"envs": "['A=1', 'B=2']"}, {"envs": "['B=2', 'A=1']"}, None),
    ],
)  # fmt: skip
def test_limits_and_restart_change_in_place_and_the_rest_replaces(
    stack: Stack, first: Mapping[str, str], then: Mapping[str, str], expected: list[str] | None
) -> None:
    stack.up(main_container(**first))
    before = stack.described("main")
    changed = stack.up(main_container(**then))
    after = stack.described("main")
    assert changed.changes == ({"main": expected} if expected else {})
    assert (before["Id"] == after["Id"]) is (expected != REPLACED["main"])
    if "memory" in then:
        assert after["HostConfig"]["Memory"] == 96 << 20
    if "restart" in then:
        assert after["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}
    assert stack.refreshed() == {}


def test_a_changed_health_check_is_only_recorded_and_the_user_is_told(stack: Stack) -> None:
    check = "d.ContainerHealthcheckArgs(tests=['CMD', 'true'], interval='{}')"
    stack.up(main_container(healthcheck=check.format("5s")))
    told = stack.up(main_container(healthcheck=check.format("9s")))
    assert told.changes == {"main": ["update"]}
    assert "healthcheck changed in the state only" in told.text
    assert stack.described("main")["Config"]["Healthcheck"]["Interval"] == 5 * 10**9


def test_a_stopped_container_is_noticed_by_refresh_only(stack: Stack) -> None:
    published = {"ports": "[d.ContainerPortArgs(internal=80, ip='127.0.0.1')]"}
    stack.up(main_container(**published))
    stack.container("main").kill()
    assert stack.up().changes == {}
    assert stack.refreshed() == REPLACED
    assert stack.container("main").status == "running"
    assert stack.up().changes == {}


def test_a_stopped_container_without_ports_is_started_again(stack: Stack) -> None:
    stack.up(main_container())
    stack.container("main").kill()
    before = stack.container("main").id
    assert stack.refreshed() == {"main": ["update"]}
    assert stack.container("main").id == before
    assert stack.container("main").status == "running"
    assert stack.up().changes == {}


def test_a_container_that_was_removed_by_hand_is_made_again_after_refresh(stack: Stack) -> None:
    stack.up(main_container())
    stack.container("main").remove(force=True)
    assert stack.refreshed()["main"] == ["create"]
    assert stack.container("main").status == "running"


LOADER = """
volume = d.Volume("files", name="TAG-files")
loader = d.Container("loader", name="TAG-loader", image=image.image_id, must_run=False,
    command=["sh", "-c", "cp /staging/* /files/"],
    uploads=[d.ContainerUploadArgs(file="/staging/password",
        content=pulumi.Output.secret("SECRET"), permissions="0400"),
             d.ContainerUploadArgs(file="/staging/run", content_base64="ZWNobw==", executable=True)],
    mounts=[d.ContainerMountArgs(type="volume", target="/files", source=volume.name)])
reader = d.Container("reader", name="TAG-reader", image=image.image_id, command=["sleep", "1000"], init=True,
    read_only=True, destroy_grace_seconds=1,
    mounts=[d.ContainerMountArgs(type="volume", target="/files", source=volume.name, read_only=True)],
    opts=opts(depends_on=[loader]))
"""


def as_the_official_plugin_writes_it(state: dict[str, Any]) -> dict[str, Any]:
    """The state with what pulumi-docker just after 5.1.0 adds to it."""

    def noted(value: Any) -> Any:
        if isinstance(value, dict):
            return {"__defaults": [], **{key: noted(item) for key, item in value.items()}}
        return [noted(item) for item in value] if isinstance(value, list) else value

    for resource in state["deployment"]["resources"]:
        if resource["type"].startswith("docker:"):
            resource["inputs"] = noted(resource["inputs"])
            resource["outputs"] |= {"__meta": "{}", "__pulumi_raw_state_delta": {"obj": {}}}
    return state


def test_a_state_of_the_official_plugin_is_refreshed_and_loses_what_only_that_one_reads(
    stack: Stack, tmp_path: Path
) -> None:
    stack.up(
        "d.Container('main', name='TAG-main', image=image.image_id, " + SLEEP + ",\n"
        "    labels=[d.ContainerLabelArgs(label='a', value='b')], must_run=True)\n"
    )
    state = tmp_path / "state.json"
    state.write_text(json.dumps(as_the_official_plugin_writes_it(stack.engine.export())))
    stack.engine.run("stack", "import", "--stack", stack.engine.stack, "--file", str(state))
    assert stack.refreshed() == {}
    left = json.dumps(stack.engine.export())
    assert "__pulumi_raw_state_delta" not in left
    assert "__meta" not in left
    assert "__defaults" not in left
    assert stack.up().changes == {}


def test_files_get_into_a_read_only_container_by_a_loader_and_stay_secret(stack: Stack) -> None:
    program = LOADER.replace("SECRET", SECRET)
    said = stack.up(program)
    until(lambda: stack.container("loader").status == "exited")
    code, listed = stack.container("reader").exec_run(
        ["sh", "-c", "cat /files/password; stat -c %a /files/run"]
    )
    assert (code, listed.decode().split()) == (0, [f"{SECRET}744"])
    assert stack.up().changes == {}
    assert stack.refreshed() == {}
    places = said.text + json.dumps(stack.engine.export())
    assert SECRET not in places + json.dumps(stack.described("loader")) + json.dumps(
        stack.described("reader")
    )

    reader = stack.container("reader").id
    changed = stack.up(LOADER.replace("SECRET", "another-one"))
    assert changed.changes == {"loader": REPLACED["main"]}
    assert stack.container("reader").id == reader


def test_an_upload_into_a_read_only_container_fails_with_the_engines_words(stack: Stack) -> None:
    failed = stack.up(
        main_container(read_only="True", uploads="[d.ContainerUploadArgs(file='/x', content='y')]"),
        check=False,
    )
    assert failed.returncode != 0
    assert "Unable to upload volume content: container rootfs is marked read-only" in failed.text
    assert "Traceback" not in failed.text
    assert "main" in stack.engine.resources(), "what exists is recorded"


def test_a_container_that_does_not_become_healthy_fails_and_is_recorded(stack: Stack) -> None:
    sick = {"wait": "True", "wait_timeout": "2"}
    check = "d.ContainerHealthcheckArgs(tests=['CMD', 'false'], interval='500ms', retries=1)"
    failed = stack.up(main_container(**sick, healthcheck=check), check=False)
    assert failed.returncode != 0
    assert "container failed to be in healthy state" in failed.text
    assert stack.engine.resources()["main"]["initErrors"]
    assert stack.container("main").status == "running"
    missing = stack.up(main_container(**sick, name="'TAG-main2'"), check=False)
    assert "does not have a healthcheck defined" in missing.text


def test_an_interrupt_ends_a_wait_at_once(stack: Stack) -> None:
    check = "d.ContainerHealthcheckArgs(tests=['CMD', 'false'], interval='500ms', retries=1000)"
    stack.program(main_container(wait="True", wait_timeout="600", healthcheck=check))
    process = stack.engine.begin("up", "--yes", "--skip-preview")
    until(lambda: bool(stack.client.containers.list(filters={"name": f"{stack.tag}-main"})), 60)
    started = time.monotonic()
    process.send_signal(2)
    said, _ = process.communicate(timeout=20)
    assert process.returncode != 0
    assert time.monotonic() - started < 8
    assert "was interrupted" in said
    assert "main" in stack.engine.resources(), "what exists is recorded"


def test_a_retained_volume_is_found_again_with_its_data(stack: Stack) -> None:
    program = (
        'v = d.Volume("v", name="TAG-kept", opts=opts(retain_on_delete=True))\n'
        'd.Container("main", name="TAG-main", image=image.image_id, must_run=False, attach=True, logs=True,\n'
        '    command=["sh", "-c", "cat /v/x; echo data >> /v/x"],\n'
        '    mounts=[d.ContainerMountArgs(type="volume", target="/v", source=v.name)])\n'
    )
    stack.up(program)
    stack.engine.destroy()
    assert stack.client.volumes.get(f"{stack.tag}-kept")
    stack.up(program)
    assert stack.engine.resources()["main"]["outputs"]["containerLogs"] == "data\n"


def test_a_network_in_use_says_by_whom(stack: Stack) -> None:
    stack.up('d.Network("n", name="TAG-n", opts=opts(custom_timeouts={"delete": "1s"}))\n')
    stack.client.containers.run(
        stack.image, ["sleep", "100"], name=f"{stack.tag}-guest", network=f"{stack.tag}-n", detach=True
    )
    failed = stack.engine.destroy(check=False)
    assert f"still attached: {stack.tag}-guest" in failed.text
    stack.container("guest").remove(force=True)
    stack.engine.destroy()


def test_a_volume_in_use_says_by_whom(stack: Stack) -> None:
    stack.up('d.Volume("v", name="TAG-v", opts=opts(custom_timeouts={"delete": "1s"}))\n')
    stack.client.containers.run(
        stack.image,
        ["sleep", "100"],
        name=f"{stack.tag}-guest",
        volumes={f"{stack.tag}-v": {"bind": "/v"}},
        detach=True,
    )
    assert f"in use by {stack.tag}-guest" in stack.engine.destroy(check=False).text


def test_an_image_that_cannot_be_pulled_stops_before_the_container_is_touched(stack: Stack) -> None:
    stack.up(main_container())
    before = stack.container("main").id
    stack.engine.program(
        HEADER.format(image="127.0.0.1:9/none/such:1") + main_container().replace("TAG", stack.tag)
    )
    failed = stack.engine.up(check=False)
    assert "unable to pull image 127.0.0.1:9/none/such:1" in failed.text
    assert stack.container("main").id == before
    assert stack.container("main").status == "running"


def test_the_name_of_an_existing_container_is_refused_with_the_engines_words(stack: Stack) -> None:
    stack.client.containers.create(stack.image, ["true"], name=f"{stack.tag}-main")
    failed = stack.up(main_container(), check=False)
    assert "Unable to create container" in failed.text
    assert "is already in use" in failed.text
    assert "main" not in stack.engine.resources()


def test_a_container_is_imported(stack: Stack) -> None:
    made = stack.client.containers.run(stack.image, ["sleep", "1000"], name=f"{stack.tag}-main", detach=True)
    imported = stack.engine.run(
        "import", "docker:index/container:Container", "main", str(made.id),
        "--yes", "--skip-preview", "--protect=false", "--generate-code=false", "--stack", "test",
    )  # fmt: skip
    assert imported.returncode == 0
    assert stack.engine.resources()["main"]["outputs"]["command"] == ["sleep", "1000"]


@pytest.mark.parametrize(
    ("declared", "refusals"),
    [
        (
            'd.RemoteImage("built", name="x", build=d.RemoteImageBuildArgs(context="."))\n',
            ["building images needs the official plugin"],
        ),
        (
            'd.Container("main", image="x", restart="sometimes", memory=-3)\n',
            ["restart must match", "memory must be at least 0, not -3"],
        ),
        (
            'd.Tag("tag", source_image="x", target_image="y")\n',
            ["docker:index/tag:Tag is not in the offline plugin"],
        ),
    ],
)
def test_what_is_not_accepted_is_refused_in_the_preview(
    stack: Stack, declared: str, refusals: list[str]
) -> None:
    stack.program(declared)
    refused = stack.engine.preview(check=False)
    assert refused.returncode != 0
    assert [text for text in refusals if text not in refused.text] == []
    assert "Traceback" not in refused.text


def test_an_unreachable_engine_is_one_sentence_in_the_preview(stack: Stack, tmp_path: Path) -> None:
    stack.program("")
    socket = tmp_path / "nobody.sock"
    refused = stack.engine.preview(check=False, env={"DOCKER_HOST": f"unix://{socket}"})
    assert refused.returncode != 0
    assert f"failed to connect to any docker daemon: no engine answers at unix://{socket}" in refused.text
    assert "set DOCKER_HOST" in refused.text
    assert "Traceback" not in refused.text


def test_a_provider_of_its_own_takes_its_host_from_its_settings(stack: Stack) -> None:
    host = stack.engine.env.pop("DOCKER_HOST")
    stack.engine.program(
        "import pulumi, pulumi_docker as d\n"
        'login = {"address": "example.org", "username": "u", "password": "pw"}\n'
        f'p = d.Provider("p", host={host!r}, registry_auth=[login])\n'
        f'd.Volume("v", name="{stack.tag}-v", opts=pulumi.ResourceOptions(provider=p))\n'
    )
    assert stack.engine.up().ops == {"v": ["create"]}
    stack.engine.program(
        "import pulumi, pulumi_docker as d\n"
        'p = d.Provider("p", host="npipe:////./pipe/docker_engine")\n'
        f'd.Volume("v", name="{stack.tag}-v", opts=pulumi.ResourceOptions(provider=p))\n'
    )
    assert "Windows' kind of address" in stack.engine.up(check=False).text


def test_containers_are_awaited_side_by_side(stack: Stack) -> None:
    check = "d.ContainerHealthcheckArgs(tests=['CMD', 'true'], interval='3s')"
    one = main_container(wait="True", healthcheck=check)
    two = one.replace('"main"', '"other"').replace("TAG-main", "TAG-other")
    assert stack.up(one + two).ops == {name: ["create"] for name in ("image", "main", "other")}
    checked = [stack.described(name)["State"]["Health"]["Log"][0]["Start"] for name in ("main", "other")]
    made = [stack.described(name)["Created"] for name in ("main", "other")]
    assert max(made) < min(checked), "each was made before either was healthy"
