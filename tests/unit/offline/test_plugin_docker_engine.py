"""The offline docker plugin: what it asks of the engine, and how it reads the answer."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from toolchain.offline.plugins.docker import images, networks, volumes
from toolchain.offline.plugins.docker.container_fields import FIELDS
from toolchain.offline.plugins.docker.container_request import create_body, endpoint, gpu_request, update_body
from toolchain.offline.plugins.docker.container_state import decimal_cpus, read
from toolchain.offline.plugins.docker.registries import registry_header
from toolchain.offline.plugins.docker.schema import changes, with_defaults
from toolchain.offline.plugins.docker.settings import RegistryAuth, Settings, check_settings
from toolchain.offline.plugins.docker.ssh import command
from toolchain.offline.plugins.docker.uploads import archives
from toolchain.offline.plugins.provider import ProviderError
from toolchain.offline.plugins.values import UNKNOWN, Object, Secret, Value, as_object

pytestmark = pytest.mark.deep(unless_changed=("toolchain/offline/plugins",))


def body(**given: Any) -> Object:
    return create_body(with_defaults({"name": "c", "image": "i", **given}, FIELDS), volume_subpath=True)


def host(**given: Any) -> Object:
    return as_object(body(**given)["HostConfig"])


@pytest.mark.parametrize(
    ("given", "key", "value"),
    [
        ({"memory": 64}, "Memory", 64 << 20),
        ({"memorySwap": -1}, "MemorySwap", -1),
        ({"memorySwap": 64}, "MemorySwap", 64 << 20),
        ({"shmSize": 1}, "ShmSize", 1 << 20),
        ({"cpus": "0.29"}, "NanoCpus", 290_000_000),
        ({"cpus": "1", "cpuQuota": 5}, "CpuQuota", None),
        ({"cpuQuota": 5}, "CpuQuota", 5),
        ({"init": True}, "Init", True),
        ({}, "Init", False),
        ({}, "NetworkMode", "bridge"),
        ({"networkMode": "none"}, "NetworkMode", "none"),
        ({"hosts": [{"host": "a", "ip": "1.2.3.4"}]}, "ExtraHosts", ["a:1.2.3.4"]),
        ({"volumes": [{"volumeName": "v", "containerPath": "/p"}]}, "Binds", ["v:/p:rw"]),
        (
            {"volumes": [{"hostPath": "/h", "containerPath": "/p", "readOnly": True, "selinuxRelabel": "Z"}]},
            "Binds",
            ["/h:/p:ro,Z"],
        ),
        ({"volumes": [{"fromContainer": "other"}]}, "VolumesFrom", ["other"]),
        ({"ports": [{"internal": 80}]}, "PortBindings", {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "0"}]}),  # noqa: S104
        (
            {"ports": [{"internal": 53, "external": 5353, "ip": "127.0.0.1", "protocol": "udp"}]},
            "PortBindings",
            {"53/udp": [{"HostIp": "127.0.0.1", "HostPort": "5353"}]},
        ),
        ({"securityOpts": ["no-new-privileges:true"]}, "SecurityOpt", ["no-new-privileges:true"]),
        ({"securityOpts": ["systempaths=unconfined"]}, "MaskedPaths", []),
        ({"gpus": "all"}, "DeviceRequests", [gpu_request("all")]),
        ({"devices": [{"hostPath": "/dev/dri"}]}, "Devices",
         [{"PathOnHost": "/dev/dri", "PathInContainer": "/dev/dri", "CgroupPermissions": "rwm"}]),
        ({"deviceRequests": [{"deviceIds": ["nvidia.com/gpu=all"]}]}, "DeviceRequests",
         [{"Driver": "cdi", "Count": 0, "DeviceIDs": ["nvidia.com/gpu=all"], "Capabilities": [[]]}]),
        ({"deviceReadBps": [{"path": "/dev/a", "rate": 5}]}, "BlkioDeviceReadBps", [{"Path": "/dev/a", "Rate": 5}]),
        ({"mounts": [{"type": "bind", "target": "/t", "source": "/s", "bindOptions": {"propagation": "rslave"}}]},
         "Mounts", [{"Type": "bind", "Target": "/t", "Source": "/s", "BindOptions": {"Propagation": "rslave"}}]),
        ({"capabilities": {"adds": ["CAP_CHOWN"], "drops": ["ALL"]}}, "CapDrop", ["ALL"]),
    ],
)  # fmt: skip
def test_a_property_becomes_the_engines(given: Object, key: str, value: Value) -> None:
    assert host(**given).get(key) == value


def test_gpus_are_those_of_the_docker_command() -> None:
    assert gpu_request("device=0,2")["DeviceIDs"] == ["0", "2"]
    assert gpu_request("2")["Count"] == 2
    with pytest.raises(ProviderError, match="gpus must be all"):
        gpu_request("device=")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"command": ["a", ""]}, "values for command may not be empty"),
        ({"volumes": [{"hostPath": "/x"}]}, "needs containerPath or fromContainer"),
        ({"volumes": [{"containerPath": "/x", "fromContainer": "y"}]}, "cannot have both"),
    ],
)
def test_what_the_official_plugin_refuses_is_refused(wrong: Object, message: str) -> None:
    with pytest.raises(ProviderError, match=message):
        body(**wrong)


def test_volume_options_need_an_engine_that_knows_subpaths() -> None:
    given = with_defaults(
        {
            "name": "c",
            "image": "i",
            "mounts": [{"type": "volume", "target": "/t", "volumeOptions": {"noCopy": True}}],
        },
        FIELDS,
    )
    with pytest.raises(ProviderError, match=r"1\.45 or higher"):
        create_body(given, volume_subpath=False)
    assert create_body(given, volume_subpath=True)


def test_an_update_keeps_what_it_says_nothing_about() -> None:
    assert update_body({"memory": 64, "memorySwap": 128, "restart": "always"}) == {
        "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0},
        "CpuShares": 0,
        "Memory": 64 << 20,
        "MemoryReservation": 0,
        "CpusetCpus": "",
        "MemorySwap": 128 << 20,
    }


def test_a_connection_has_only_what_is_given() -> None:
    assert endpoint({"name": "n"}) == {"IPAMConfig": {}}
    assert endpoint({"aliases": ["a"], "ipv4Address": "10.0.0.2", "driverOpts": ["k=v=w", "none"]}) == {
        "IPAMConfig": {"IPv4Address": "10.0.0.2"},
        "Aliases": ["a"],
        "DriverOpts": {"k": "v=w"},
    }


def live(asked: Object, *, running: bool = True, **more: Value) -> Object:
    """An engine's description of a container that was asked for so."""
    return {
        "Id": "c" * 64,
        "Name": "/c",
        "Image": "sha256:1",
        "State": {"Running": running, "ExitCode": 0 if running else 137},
        "Config": {key: value for key, value in asked.items() if key != "HostConfig"},
        "HostConfig": asked["HostConfig"],
        "NetworkSettings": {
            "Ports": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]} if running else {}
        },
        **more,
    }


PROGRAM: Object = {
    "name": "c",
    "image": "sha256:1",
    "ports": [{"internal": 80, "external": 8080, "ip": "127.0.0.1"}],
    "mounts": [{"type": "tmpfs", "target": "/t", "tmpfsOptions": {"sizeBytes": 1, "mode": 511}}],
    "healthcheck": {"tests": ["CMD", "true"], "interval": "1m0s"},
    "hosts": [{"host": "a", "ip": "fd00::1"}],
    "ulimits": [{"name": "nofile", "soft": 1, "hard": 2}],
    "devices": [{"hostPath": "/dev/a"}],
    "gpus": "device=0",
    "cpus": "0.5",
    "memory": 64,
    "memorySwap": 64,
    "capabilities": {"drops": ["ALL"]},
    "logDriver": "json-file",
    "logOpts": {"max-size": "1m"},
}


def state_after(program: Object, *, running: bool = True) -> Object:
    full = with_defaults(program, FIELDS)
    return read(live(create_body(full, volume_subpath=False), running=running), full)


def test_a_container_that_is_as_asked_for_shows_no_difference() -> None:
    assert changes(state_after(PROGRAM), PROGRAM, FIELDS, []) == {}


def test_a_stopped_container_is_different_unless_it_may_stop() -> None:
    stopped = changes(state_after(PROGRAM, running=False), PROGRAM, FIELDS, [])
    assert {key: change.replace for key, change in stopped.items()} == {"ports": True, "mustRun": False}
    loader: Object = {**PROGRAM, "mustRun": False}
    state = state_after(loader, running=False)
    assert changes(state, loader, FIELDS, []) == {}
    assert state["exitCode"] == 137


def test_an_image_by_name_is_read_as_it_was_given() -> None:
    assert state_after({**PROGRAM, "image": "nginx:1"})["image"] == "nginx:1"
    assert state_after({**PROGRAM, "image": "sha256:2"})["image"] == "sha256:1"


@pytest.mark.parametrize(
    ("nano", "written"), [(500_000_000, "0.5"), (2 * 10**9, "2"), (10 * 10**9, "10"), (1, "0.000000001")]
)
def test_cpus_are_the_shortest_decimal(nano: int, written: str) -> None:
    assert decimal_cpus(nano) == written


@pytest.mark.parametrize(
    ("name", "repository", "reference", "registry"),
    [
        ("nginx", "nginx", "latest", images.HUB),
        ("library/nginx:1.27", "library/nginx", "1.27", images.HUB),
        ("ghcr.io/immich-app/server:v3", "ghcr.io/immich-app/server", "v3", "ghcr.io"),
        ("ghcr.io/a/b:v3@sha256:ab", "ghcr.io/a/b", "sha256:ab", "ghcr.io"),
        ("ghcr.io/a/b@sha256:ab", "ghcr.io/a/b", "sha256:ab", "ghcr.io"),
        ("localhost:5000/a", "localhost:5000/a", "latest", "localhost:5000"),
        ("localhost/a:2", "localhost/a", "2", "localhost"),
    ],
)
def test_an_images_name_is_taken_apart(name: str, repository: str, reference: str, registry: str) -> None:
    assert images.split(name) == (repository, reference)
    assert images.registry(name) == registry


def test_the_digest_is_that_of_the_names_repository() -> None:
    digests = ["example.org/other@sha256:1", "ghcr.io/a/b@sha256:2"]
    assert images.repo_digest("ghcr.io/a/b:v1", digests) == "ghcr.io/a/b@sha256:2"
    assert images.repo_digest("local:1", digests[:1]) == digests[0]
    assert images.repo_digest("local:1", []) == ""


def decoded(header: dict[str, str]) -> dict[str, str]:
    return json.loads(base64.urlsafe_b64decode(header["X-Registry-Auth"]))


def test_a_pull_is_signed_in_at_its_own_registry_only(tmp_path: Path) -> None:
    plain = RegistryAuth(address="https://ghcr.io", username="u", password="p")
    assert decoded(registry_header([plain], "ghcr.io")) == {
        "username": "u",
        "password": "p",
        "serveraddress": "https://ghcr.io",
    }
    assert registry_header([plain], "example.org") == {}
    config = json.dumps({"auths": {"example.org": {"auth": base64.b64encode(b"me:word").decode()}}})
    assert (
        decoded(registry_header([RegistryAuth(address="example.org", config=config)], "example.org"))[
            "password"
        ]
        == "word"
    )
    file = tmp_path / "config.json"
    file.write_text(config)
    from_file = RegistryAuth(address="example.org", config_file=str(file))
    assert decoded(registry_header([from_file], "example.org"))["username"] == "me"
    with pytest.raises(ProviderError, match="configFileContent is not readable JSON"):
        registry_header([RegistryAuth(address="example.org", config="{")], "example.org")


def test_passwords_and_keys_are_not_in_the_settings_text() -> None:
    settings = Settings.read(
        {
            "keyMaterial": Secret("top-secret-key"),
            "registryAuth": Secret('[{"address": "a", "username": "u", "password": "top-secret-word"}]'),
        }
    )
    assert settings.registries[0].password == "top-secret-word"
    assert "top-secret" not in repr(settings)


def test_settings_that_are_no_strings_arrive_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://10.0.0.1:2376")
    settings = Settings.read({"sshOpts": '["-i", "key"]', "disableDockerDaemonCheck": "true"})
    assert settings.ssh_options == ("-i", "key")
    assert settings.skip_check is True
    assert settings.host == "tcp://10.0.0.1:2376"
    assert Settings.read({"host": "unix:///x"}).host == "unix:///x"
    assert Settings.read({"host": UNKNOWN}).unknown is True


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"host": "npipe:////./pipe/docker_engine"}, "Windows' kind of address: give unix:///path"),
        ({"host": "10.0.0.1:2376"}, "'10.0.0.1:2376' is not an engine's address"),
        ({"host": "unix:///x", "certMaterial": "c"}, "must be given together"),
        ({"certMaterial": "c", "keyMaterial": "k", "certPath": "/p"}, "certPath must not be given"),
        ({"host": "unix:///x", "hots": "y"}, "hots is not a setting"),
    ],
)  # fmt: skip
def test_settings_that_cannot_work_are_refused(given: Object, reason: str) -> None:
    assert reason in " ".join(failure.reason for failure in check_settings(given))


def test_ssh_runs_dockers_own_bridge() -> None:
    assert command("ssh://me@example.org:2222", ["-i", "key"]) == [
        "ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20", "-i", "key", "-l", "me", "-p", "2222",
        "--", "example.org", "docker", "system", "dial-stdio",
    ]  # fmt: skip
    assert command("ssh://h/run/user/1000/podman.sock", [])[-5:] == [
        "docker", "--host", "unix:///run/user/1000/podman.sock", "system", "dial-stdio",
    ]  # fmt: skip
    for wrong in ("ssh://", "ssh://me:word@host", "ssh://-oProxyCommand=x"):
        with pytest.raises(ProviderError, match="must be ssh://user@host"):
            command(wrong, [])


def member(archive: bytes) -> tuple[tarfile.TarInfo, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        info = opened.getmembers()[0]
        file = opened.extractfile(info)
        assert file is not None
        return info, file.read()


def test_an_upload_has_its_mode_owner_and_content(tmp_path: Path) -> None:
    (tmp_path / "local").write_bytes(b"from a file")
    given: Object = {
        "uploads": [
            {
                "file": "/a/b",
                "content": "text",
                "permissions": "0640",
                "executable": True,
                "owner": "70",
                "group": "71",
            },
            {"file": "/c", "contentBase64": "AAE=", "executable": True},
            {"file": "/d", "source": "local"},
        ]
    }
    (first, one), (second, two), (third, three) = (member(item) for item in archives(given, tmp_path))
    assert (first.mode, first.uid, first.gid, one) == (0o640, 70, 71, b"text")
    assert (second.mode, two) == (0o744, b"\x00\x01")
    assert (third.mode, three) == (0o644, b"from a file")


@pytest.mark.parametrize(
    ("upload", "message"),
    [
        ({"file": "/x"}, "exactly one of"),
        ({"file": "/x", "content": "a", "source": "b"}, "exactly one of"),
        ({"file": "/x", "contentBase64": "?"}, "is not base64"),
        ({"file": "/x", "source": "none"}, "could not read file none"),
        ({"file": "/x", "content": "a", "owner": "nobody-of-that-name"}, "give a number"),
    ],
)
def test_an_upload_that_cannot_be_made_says_why(upload: Object, message: str, tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match=message):
        archives({"uploads": [upload]}, tmp_path)


def test_a_network_is_asked_for_with_what_is_given() -> None:
    given = with_defaults(
        {"name": "n", "internal": True, "ipamConfigs": [{"subnet": "10.1.0.0/24", "gateway": "10.1.0.1"}]},
        networks.FIELDS,
    )
    assert networks.create_body(given) == {
        "Name": "n",
        "CheckDuplicate": True,
        "Internal": True,
        "IPAM": {"Driver": "default", "Config": [{"Subnet": "10.1.0.0/24", "Gateway": "10.1.0.1"}]},
    }


def test_a_volume_keeps_its_driver_options() -> None:
    given: Object = {"name": "v", "driverOpts": {"type": "nfs"}, "labels": [{"label": "a", "value": "b"}]}
    assert volumes.create_body(given) == {"Name": "v", "Labels": {"a": "b"}, "DriverOpts": {"type": "nfs"}}
    found: Object = {
        "Name": "v",
        "Labels": {"a": "b"},
        "Options": {"type": "nfs"},
        "Driver": "local",
        "Mountpoint": "/m",
    }
    assert changes(volumes.state(found, given), given, volumes.FIELDS, []) == {}
