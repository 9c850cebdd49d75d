"""The pinned names are those that the exporters give."""

from __future__ import annotations

import re

import pytest

from components.monitoring import placeholders
from components.monitoring import queries as monitoring_queries
from components.monitoring.metric_names import FAMILIES, STATES
from components.monitoring.plan import Source
from components.monitoring.rule_files import rules
from tests.monitoring.processes import PASSWORD, Postgres, Sample
from tests.monitoring.worlds import DOCKER

SCRAPED = [source for source, family in FAMILIES.items() if family.scraped]


@pytest.mark.parametrize("source", SCRAPED)
def test_the_exporter_gives_every_pinned_name(scraped: dict[Source, list[Sample]], source: Source) -> None:
    given = {sample.name for sample in scraped[source]}
    assert FAMILIES[source].names - given == set()


def test_every_source_is_either_scraped_or_says_where_it_was_read() -> None:
    assert all(family.read_in and family.names for family in FAMILIES.values())
    assert set(SCRAPED) == {
        "library", "postgres", "valkey", "nginx", "node", "blackbox", "backup", "access-log",
    }  # fmt: skip


def test_the_length_of_every_state_of_every_queue_is_given(scraped: dict[Source, list[Sample]]) -> None:
    sizes = {
        sample.labels["key"]: sample.value for sample in scraped["valkey"] if sample.name == "redis_key_size"
    }
    # It says 0 for a key that is not there.
    assert {key: size for key, size in sizes.items() if size} == {
        f"immich_bull:smartSearch:{state}": 3.0 if kind == "list" else 2.0 for state, kind in STATES.items()
    }


def test_answers_are_counted_by_listener_method_and_status_alone(
    scraped: dict[Source, list[Sample]],
) -> None:
    given = [one for one in scraped["access-log"] if one.name == "immich_proxy_http_response_count_total"]
    assert sorted((tuple(sorted(one.labels.items())), one.value) for one in given) == [
        ((("listener", "lan"), ("method", "POST"), ("status", "201")), 2.0),
        ((("listener", "lan"), ("method", "other"), ("status", "413")), 1.0),
    ]


def test_what_counts_as_slow_is_a_bound_of_the_histogram(scraped: dict[Source, list[Sample]]) -> None:
    (slow,) = [rule.expr for rule in rules(DOCKER) if rule.name == "immich:http_slow:ratio_rate5m"]
    (wanted,) = re.findall(r'le=~"([^"]+)"', slow)
    name = "immich_proxy_http_upstream_time_seconds_hist_bucket"
    bounds = {one.labels["le"] for one in scraped["access-log"] if one.name == name}
    assert {bound for bound in bounds if re.fullmatch(wanted, bound)} == {
        placeholders.values(DOCKER)["SLOW_SECONDS"]
    }


def test_the_library_is_counted(scraped: dict[Source, list[Sample]]) -> None:
    given = {(sample.name, sample.labels.get("name", "")): sample.value for sample in scraped["library"]}
    assert given["immich_assets_uploaded", ""] == 40
    assert given["immich_assets_trashed", ""] == 3
    assert given["immich_assets_external", ""] == 7
    assert given["immich_assets_offline", ""] == 2
    assert (given["immich_library_assets", "NAS"], given["immich_library_offline", "NAS"]) == (7, 2)
    assert (given["immich_library_assets", "Empty"], given["immich_library_offline", "Empty"]) == (0, 0)


def test_a_newer_release_is_found_by_number_not_by_letter(scraped: dict[Source, list[Sample]]) -> None:
    (sample,) = [sample for sample in scraped["library"] if sample.name == "immich_version_outdated"]
    assert (sample.labels["running"], sample.labels["newest"], sample.value) == ("3.3.1", "v3.10.0", 1.0)


@pytest.mark.parametrize("table", ["asset", "library", "system_metadata", "version_history"])
def test_the_role_of_the_exporter_reads_no_table(postgres: Postgres, table: str) -> None:
    asked = postgres.run(
        f"TABLE {table}",
        user="immich_metrics",
        password=PASSWORD,
        database="immich",
        check=False,
    )
    assert asked.returncode != 0
    assert f"permission denied for table {table}" in asked.stderr


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE theirs (a int)",
        "CREATE ROLE another",
        "SET default_transaction_read_only = off; DELETE FROM asset",
    ],
)
def test_the_role_of_the_exporter_changes_nothing(postgres: Postgres, statement: str) -> None:
    asked = postgres.run(statement, user="immich_metrics", password=PASSWORD, database="immich", check=False)
    assert asked.returncode != 0


def test_a_migration_of_immich_is_not_held_up_by_the_functions(postgres: Postgres) -> None:
    postgres.run(
        'BEGIN; ALTER TABLE asset ALTER COLUMN "isOffline" TYPE text; ALTER TABLE asset DROP COLUMN "deletedAt"; '
        "DROP TABLE version_history; ROLLBACK;".replace("; ", ";\n"),
        user="immich",
        database="immich",
    )


def test_a_dump_names_no_role_that_another_place_would_have_to_have(postgres: Postgres) -> None:
    dumped = postgres.dump("immich")
    assert "immich_metrics.assets" in dumped
    assert "TO immich_metrics" not in dumped
    assert "OWNER TO immich_metrics" not in dumped


def test_any_password_fits_the_role(postgres: Postgres) -> None:
    odd = "quote' backslash\\ $$ and space"
    postgres.run(monitoring_queries.role(odd, "immich"))
    try:
        asked = postgres.run("SELECT 1", user=monitoring_queries.ROLE, password=odd, database="immich")
        assert asked.stdout.strip() == "1"
    finally:
        postgres.run(monitoring_queries.role(PASSWORD, "immich"))
