"""Machine learning as a workload: variables, threads, preload, backends."""

from __future__ import annotations

from typing import Any

import pytest

from components.machine_learning import component as machine_learning
from components.machine_learning.settings import BundledMachineLearning
from components.model.values import Quantity
from components.model.workload import HttpCheck, Scratch, Workload
from components.model.workload import Storage as Mounted
from components.sizing import inter_op_threads, intra_op_threads, whole_cores

PREFIX = "MACHINE_LEARNING_"


def made(version: str = "3.3.1", libraries: tuple[Mounted, ...] = (), **settings: Any) -> Workload:
    return machine_learning.workload(
        BundledMachineLearning.model_validate(settings), version, libraries, user=1000, group=1001
    )


def test_it_listens_on_ipv4_since_its_own_default_fails_without_ipv6() -> None:
    env = made().env
    assert env["IMMICH_HOST"] == "0.0.0.0"  # noqa: S104 - what it is told, not what this process binds
    assert env["IMMICH_PORT"] == "3003"
    assert [port.number for port in made().ports] == [3003]


def test_models_and_every_librarys_cache_go_to_the_volume() -> None:
    pod = made()
    assert Mounted(volume="machine-learning-cache", path="/cache") in pod.mounts
    assert pod.env["MACHINE_LEARNING_CACHE_FOLDER"] == "/cache"
    for name in ("TRANSFORMERS_CACHE", "HF_HOME", "HF_XET_CACHE", "MPLCONFIGDIR"):
        assert str(pod.env[name]).startswith("/cache")


@pytest.mark.parametrize(
    ("version", "writes"), [("2.5.5", True), ("3.1.0", True), ("3.1.1", False), ("3.3.1", False)]
)
def test_older_releases_get_writable_folders_at_the_root(version: str, writes: bool) -> None:
    folders = {mount.path for mount in made(version).mounts if isinstance(mount, Scratch)}
    assert "/tmp" in folders
    assert ({"/.cache", "/.config"} <= folders) == writes


@pytest.mark.parametrize("cores", range(1, 65))
def test_threads_follow_the_rule_of_system_hwc(cores: int) -> None:
    env = made(resources={"limits": {"cpu": str(cores)}, "requests": {"cpu": "1"}}).env
    assert env["MACHINE_LEARNING_REQUEST_THREADS"] == "1"
    inter, intra = (int(str(env[f"MACHINE_LEARNING_MODEL_{kind}_OP_THREADS"])) for kind in ("INTER", "INTRA"))
    assert inter == {1: 1, 2: 1, 3: 1}.get(cores, 2)
    assert intra == {1: 1, 2: 1}.get(cores, cores - 2)
    assert (inter, intra) == (inter_op_threads(cores), intra_op_threads(cores))


@pytest.mark.parametrize(("cpu", "cores"), [("500m", 1), ("1", 1), ("1999m", 1), ("2.5", 2), ("64", 64)])
def test_part_of_a_core_is_no_core(cpu: str, cores: int) -> None:
    assert whole_cores(Quantity(cpu)) == cores


def test_threads_that_are_given_are_taken() -> None:
    env = made(requestThreads=3, interOpThreads=4, intraOpThreads=5, workers=2).env
    assert env["MACHINE_LEARNING_REQUEST_THREADS"] == "3"
    assert env["MACHINE_LEARNING_MODEL_INTER_OP_THREADS"] == "4"
    assert env["MACHINE_LEARNING_MODEL_INTRA_OP_THREADS"] == "5"
    assert env["MACHINE_LEARNING_WORKERS"] == "2"


def test_time_to_live_and_poll_reach_their_variables() -> None:
    env = made(modelTtl=600, modelTtlPoll=30).env
    assert env["MACHINE_LEARNING_MODEL_TTL"] == "600"
    assert env["MACHINE_LEARNING_MODEL_TTL_POLL_S"] == "30"


def test_preloaded_models_have_the_names_of_immich_3() -> None:
    preload = {
        "clipTextual": ["A", "B"],
        "clipVisual": ["C"],
        "facialRecognitionDetection": ["D"],
        "facialRecognitionRecognition": ["E"],
        "ocrDetection": ["F"],
        "ocrRecognition": ["G"],
    }
    found = {
        name.removeprefix(f"{PREFIX}PRELOAD__"): value
        for name, value in made(preload=preload).env.items()
        if "PRELOAD" in name
    }
    assert found == {
        "CLIP__TEXTUAL": "A,B",
        "CLIP__VISUAL": "C",
        "FACIAL_RECOGNITION__DETECTION": "D",
        "FACIAL_RECOGNITION__RECOGNITION": "E",
        "OCR__DETECTION": "F",
        "OCR__RECOGNITION": "G",
    }
    assert not [name for name in made().env if "PRELOAD" in name]


def test_a_start_with_preloaded_models_may_take_longer() -> None:
    plain, preloading = made(), made(preload={"clipVisual": ["C"]})
    for pod, budget in ((plain, 600), (preloading, 1800)):
        assert pod.liveness is not None
        assert pod.readiness is not None
        assert pod.liveness.check == pod.readiness.check
        assert isinstance(pod.liveness.check, HttpCheck)
        assert (pod.liveness.check.port, pod.liveness.check.path) == ("http", "/ping")
        assert "http://127.0.0.1:3003/ping" in pod.liveness.check.inside[-1]
        assert pod.liveness.timeout >= 10, "a model being loaded keeps it busy"
        assert pod.liveness.startup_budget == budget
        assert pod.start_timeout > budget


@pytest.mark.parametrize(
    ("backend", "suffix", "resource", "architecture"),
    [
        ("cpu", "", None, None),
        ("cuda", "-cuda", "nvidia.com/gpu", "amd64"),
        ("rocm", "-rocm", "amd.com/gpu", "amd64"),
        ("openvino", "-openvino", "gpu.intel.com/i915", "amd64"),
        ("armnn", "-armnn", None, "arm64"),
        ("rknn", "-rknn", None, "arm64"),
    ],
)
def test_each_backend_has_its_image_device_and_kind_of_node(
    backend: str, suffix: str, resource: str | None, architecture: str | None
) -> None:
    pod = made(backend=backend)
    assert pod.image.tag == f"v3.3.1{suffix}"
    assert (pod.gpu.resource if pod.gpu else None) == resource
    assert pod.architecture == architecture
    assert bool(pod.relaxations) == (backend in {"armnn", "rknn"})


def test_its_image_is_of_the_servers_release() -> None:
    assert made("3.1.0").image.tag == "v3.1.0"


def test_old_copies_go_first_where_there_is_one_gpu_or_one_volume() -> None:
    assert made().exclusive
    assert made(backend="cuda", cache={"accessMode": "ReadWriteMany"}).exclusive
    assert not made(cache={"accessMode": "ReadWriteMany"}).exclusive


def test_it_sees_libraries_where_that_is_asked_for() -> None:
    library = Mounted(volume="library-photos", path="/mnt/photos", read_only=True)
    assert library in made(libraries=(library,)).mounts
    assert not [mount for mount in made().mounts if getattr(mount, "volume", "") == "library-photos"]


def test_it_talks_to_hugging_face_and_to_nobody_else() -> None:
    pod = made()
    assert pod.links == ()
    assert {str(name).removeprefix("*.") for rule in pod.egress for name in rule.names} == {
        "huggingface.co",
        "hf.co",
        "xethub.hf.co",
    }
    assert {port for rule in pod.egress for port in rule.ports} == {443}
    assert not any(rule.private for rule in pod.egress)


@pytest.mark.parametrize(
    ("url", "names", "cidrs", "port"),
    [
        ("http://192.168.1.13:3003", (), ("192.168.1.13/32",), 3003),
        ("http://[fd00::7]:3003", (), ("fd00::7/128",), 3003),
        ("https://ml.example.com", ("ml.example.com",), (), 443),
        ("http://ml.lan", ("ml.lan",), (), 80),
    ],
)
def test_machine_learning_elsewhere_is_reached_by_name_or_address(
    url: str, names: tuple[str, ...], cidrs: tuple[str, ...], port: int
) -> None:
    found = machine_learning._outside(url)
    assert (found.names, found.cidrs, found.ports, found.private) == (names, cidrs, (port,), True)
