"""From settings to numbers: resources over their defaults, threads, memory of PostgreSQL."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components import sizing
from components.fields.placement import Placement as PlacementSettings
from components.fields.resources import DEFAULTS, Amounts, Resources
from components.model.values import Cpu, Memory, Quantity
from tests.harness.examples import examples

FAST = settings(max_examples=examples(150), deadline=None, derandomize=True)
SETTINGS_OF = ("cpu", "memory")
VOLUME = Quantity("20Gi")
cores = st.builds(
    lambda number, unit: Cpu(f"{number}{unit}"), st.integers(10, 500), st.sampled_from(["m", ""])
)
memory = st.builds(
    lambda number, unit: Memory(f"{number}{unit}"), st.integers(8, 999), st.sampled_from(["Mi", "Gi"])
)
amounts = st.builds(Amounts, cpu=st.none() | cores, memory=st.none() | memory)


def megabytes(parameter: str) -> int:
    match = re.fullmatch(r"(\d+)MB", parameter)
    assert match
    return int(match[1])


@pytest.mark.parametrize("container", sorted(DEFAULTS))
def test_the_table_of_defaults_has_no_gap_and_requests_fit_limits(container: str) -> None:
    laid = sizing.resources(container, Resources())
    assert laid.cpu_request.amount <= laid.cpu_limit.amount
    assert laid.memory_request.amount <= laid.memory_limit.amount
    # Cores, not bytes, and the other way round.
    assert laid.cpu_limit.amount < 1000 < laid.memory_request.amount


def test_the_database_has_what_immich_asks_for() -> None:
    assert sizing.resources("database", Resources()).memory_limit.amount >= 2 * 10**9


@given(st.sampled_from(sorted(DEFAULTS)), amounts, amounts)
@FAST
def test_what_is_given_wins_over_the_default_and_requests_never_exceed_limits(
    container: str, requests: Amounts, limits: Amounts
) -> None:
    for name in SETTINGS_OF:
        request, limit = getattr(requests, name), getattr(limits, name)
        if request is not None and limit is not None and request.amount > limit.amount:
            with pytest.raises(
                ValueError, match=rf"requests.{name} .* is more than limits.{name}|requests.cpu .* more"
            ):
                Resources(requests=requests, limits=limits)
            return
    laid = sizing.resources(container, Resources(requests=requests, limits=limits))
    assert laid.cpu_limit == (limits.cpu or DEFAULTS[container].limits.cpu)
    assert laid.memory_limit == (limits.memory or DEFAULTS[container].limits.memory)
    wanted = requests.memory or DEFAULTS[container].requests.memory
    assert wanted is not None
    assert laid.memory_request.amount == min(wanted.amount, laid.memory_limit.amount)
    assert laid.cpu_request.amount <= laid.cpu_limit.amount


def test_a_request_follows_a_limit_that_was_lowered() -> None:
    laid = sizing.resources("database", Resources(limits=Amounts(memory=Memory("512Mi"))))
    assert (laid.memory_request, laid.memory_limit) == ("512Mi", "512Mi")
    assert (laid.cpu_request, laid.cpu_limit) == ("250m", "2")


def test_a_container_without_defaults_is_a_mistake_of_the_program() -> None:
    with pytest.raises(KeyError):
        sizing.resources("typesense", Resources())


@pytest.mark.parametrize(
    ("cores", "inter", "intra"),
    [(0, 1, 1), (1, 1, 1), (2, 1, 1), (3, 1, 1), (4, 2, 2), (5, 2, 3), (16, 2, 14)],
)
def test_threads_follow_the_rule_of_system_hwc(cores: int, inter: int, intra: int) -> None:
    assert (sizing.inter_op_threads(cores), sizing.intra_op_threads(cores)) == (inter, intra)


@pytest.mark.parametrize(
    ("cpu", "cores"), [("1m", 1), ("999m", 1), ("1", 1), ("1999m", 1), ("2", 2), ("3.5", 3), ("16", 16)]
)
def test_whole_cores_are_rounded_down_but_never_to_none(cpu: str, cores: int) -> None:
    assert sizing.whole_cores(Quantity(cpu)) == cores


@pytest.mark.parametrize(
    ("memory", "shared", "cached", "maintenance"),
    [("128Mi", 128, 256, 64), ("2Gi", 512, 1024, 128), ("4G", 953, 1907, 238), ("64Gi", 16384, 32768, 1024)],
)
def test_postgresql_gets_a_quarter_of_the_memory_and_counts_on_half(
    memory: str, shared: int, cached: int, maintenance: int
) -> None:
    parameters = sizing.postgres_parameters(Quantity(memory), 1, VOLUME)
    assert megabytes(parameters["shared_buffers"]) == shared
    assert megabytes(parameters["effective_cache_size"]) == cached
    assert megabytes(parameters["maintenance_work_mem"]) == maintenance


@given(st.integers(1024, 2**20), st.integers(1, 9), st.integers(2048, 2**20))
@FAST
def test_postgresqls_memory_and_log_fit(mebibytes: int, instances: int, volume: int) -> None:
    limit = Quantity.mebibytes(mebibytes)
    parameters = sizing.postgres_parameters(limit, instances, Quantity.mebibytes(volume))
    assert Decimal(megabytes(parameters["shared_buffers"])) * 2**20 <= limit.amount / 4
    assert megabytes(parameters["maintenance_work_mem"]) * 2**20 <= limit.amount / 16
    assert (
        megabytes(parameters["max_wal_size"]) + megabytes(parameters.get("max_slot_wal_keep_size", "0MB"))
        < volume
    )
    assert all(isinstance(value, str) for value in parameters.values())


@pytest.mark.parametrize(("volume", "log"), [("512Mi", 256), ("10Gi", 2560), ("1Ti", 5120)])
def test_the_log_takes_a_quarter_of_its_volume(volume: str, log: int) -> None:
    parameters = sizing.postgres_parameters(Quantity("2Gi"), 1, Quantity(volume))
    assert megabytes(parameters["max_wal_size"]) == log


@pytest.mark.parametrize(("volume", "kept"), [("512Mi", 512), ("10Gi", 5120), ("1Ti", 10240)])
def test_replicas_cannot_fill_the_disk_of_the_primary(volume: str, kept: int) -> None:
    assert "max_slot_wal_keep_size" not in sizing.postgres_parameters(Quantity("2Gi"), 1, Quantity(volume))
    parameters = sizing.postgres_parameters(Quantity("2Gi"), 2, Quantity(volume))
    assert megabytes(parameters["max_slot_wal_keep_size"]) == kept


def test_a_placement_is_given_on_as_it_is() -> None:
    given = PlacementSettings.model_validate({
        "nodeSelector": {"gpu": "true"},
        "tolerations": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}, {"operator": "Exists"}],
        "priorityClass": "high",
    })  # fmt: skip
    placed = sizing.placement(given)
    assert placed.node_selector == {"gpu": "true"}
    assert placed.priority_class == "high"
    first, second = placed.tolerations
    assert (first.operator, first.key, first.value, first.effect) == ("Equal", "gpu", "yes", "NoSchedule")
    assert (second.operator, second.key, second.value, second.effect) == ("Exists", None, None, None)
