from __future__ import annotations

import pytest

from components.monitoring.metric_names import QUEUES, STATES, single_keys
from components.monitoring.plan import MonitoringPlan, Thresholds


def test_an_unknown_source_is_named_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"sources: redis is unknown; access-log, .*valkey"):
        MonitoringPlan(
            stack="s",
            platform="docker",
            sources=frozenset({"redis"}),  # pyright: ignore[reportArgumentType]  that is the test
        )


@pytest.mark.parametrize(("warning", "critical"), [(95, 95), (0, 95), (85, 100)])
def test_shares_of_storage_must_make_sense(warning: float, critical: float) -> None:
    with pytest.raises(ValueError, match="storage_percent"):
        Thresholds(storage_percent=warning, storage_critical_percent=critical)


def test_every_state_of_every_queue_is_asked_for_by_its_key() -> None:
    keys = single_keys(3).split(",")
    assert len(keys) == len(set(keys)) == len(QUEUES) * len(STATES)
    assert "db3=immich_bull:smartSearch:wait" in keys


def test_a_queue_has_its_name_in_small_letters_in_immichs_series() -> None:
    names = {queue.name: queue.metric for queue in QUEUES}
    assert names["thumbnailGeneration"] == "thumbnail_generation"
    assert names["ocr"] == "ocr"
