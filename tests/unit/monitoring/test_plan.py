from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from components.monitoring.alerts_rule import Alert
from components.monitoring.metric_names import QUEUES, REQUESTS, STATES, requests_of, single_keys
from components.monitoring.plan import MonitoringPlan, Source, Thresholds


def plan(*sources: Source, **more: Any) -> MonitoringPlan:
    base = MonitoringPlan(stack="s", platform="docker", immich_version="3.3.1", sources=frozenset(sources))
    return replace(base, **more)


def test_matchers_are_those_of_the_deployment_the_job_and_what_is_added() -> None:
    here = plan(matchers={"namespace": "photos"})
    assert here.select("api", 'code="500"') == '{namespace="photos",job="immich-api",code="500"}'
    assert here.select() == '{namespace="photos"}'
    assert plan().select() == ""
    assert here.recorded() == '{stack="s"}'


def test_the_database_of_an_operator_may_live_elsewhere() -> None:
    here = plan(matchers={"namespace": "photos"}, database_matchers={"namespace": "postgres"})
    assert here.database('value="ready"') == '{namespace="postgres",value="ready"}'
    assert plan(matchers={"namespace": "photos"}).database() == '{namespace="photos"}'


def test_jobs_may_have_other_labels() -> None:
    assert plan(jobs={"api": "server-metrics"}).select("api") == '{job="server-metrics"}'


def test_an_unknown_source_is_named_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"sources: redis is unknown; access-log, .*valkey"):
        plan("redis")  # pyright: ignore[reportArgumentType]  that is the test


@pytest.mark.parametrize(("warning", "critical"), [(95, 95), (0, 95), (85, 100)])
def test_shares_of_storage_must_make_sense(warning: float, critical: float) -> None:
    with pytest.raises(ValueError, match="storage_percent"):
        Thresholds(storage_percent=warning, storage_critical_percent=critical)


def test_a_bucket_is_found_however_prometheus_writes_it() -> None:
    assert [one.in_time for one in REQUESTS] == ['le=~"2.5([.]0)?"', 'le=~"5([.]0)?"']


def test_requests_are_counted_where_they_come_in_last() -> None:
    assert requests_of(plan("traefik", "access-log")) is REQUESTS[0]
    assert requests_of(plan("traefik")) is REQUESTS[1]
    assert requests_of(plan("nginx", "immich")) is None


def test_every_state_of_every_queue_is_asked_for_by_its_key() -> None:
    keys = single_keys(3).split(",")
    assert len(keys) == len(set(keys)) == len(QUEUES) * len(STATES)
    assert "db3=immich_bull:smartSearch:wait" in keys


def test_a_queue_has_its_name_in_small_letters_in_immichs_series() -> None:
    names = {queue.name: queue.metric for queue in QUEUES}
    assert names["thumbnailGeneration"] == "thumbnail_generation"
    assert names["ocr"] == "ocr"


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("name", "immichDown", "Immich and words"),
        ("for_", "5 minutes", "no duration"),
        ("for_", "", "no duration"),
    ],
)
def test_an_alert_is_checked_when_it_is_made(field: str, value: str, reason: str) -> None:
    good = Alert(
        name="ImmichDown",
        group="server",
        expr="up == 0",
        for_="5m",
        severity="critical",
        summary="It is down",
        description="Start it",
    )
    with pytest.raises(ValueError, match=reason):
        replace(good, **{field: value})
