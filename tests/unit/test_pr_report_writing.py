"""The report as Markdown: what is in it, and what cannot get into it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.test_pr_report_reading import IMMICH, recorded
from toolchain.pr_report import doors, events, markdown, redaction, report

SETTINGS = b"config:\n  immich:host: {name: photos.example.com}\n  immich:proxy: {maxUpload: 5Gi}\n"


def facts(preview: events.Preview, **more: object) -> report.Facts:
    table = doors.of_text("dev", SETTINGS)
    given: dict[str, object] = {
        "stack": "dev",
        "before": table,
        "after": table,
        "base": "main",
        "compared_with": "Compared with main.",
        **more,
    }
    return report.Facts(preview=preview, **given)  # pyright: ignore[reportArgumentType]  # keywords of a test


def many(number: int, op: str = "update") -> events.Preview:
    kind = "kubernetes:core/v1:ConfigMap"
    parents = [f"{IMMICH}:Server{index % 2000}::name-{index % 2000}" for index in range(number)]
    steps = [
        events.Step(
            op, f"{parent}${kind}::immich/some-long-name-of-a-resource-{index}", kind, {}, {"parent": parent}
        )
        for index, parent in enumerate(parents)
    ]
    return events.Preview(steps=steps, finished=True, succeeded=True)


def test_the_first_line_is_the_marker_by_which_the_comment_is_found() -> None:
    assert report.write(facts(recorded("nothing"))).splitlines()[0] == "<!-- immich-preview dev -->"


@pytest.mark.parametrize(
    ("name", "headline", "bad"),
    [
        ("nothing", "nothing changes", False),
        ("downgrade", "4 updated", False),
        ("no-proxy", "4 deleted, 1 updated", False),
        ("other-class", "1 replaced", False),
        ("other-media", "failed", True),
        ("refused", "stopped by 1 policy (2 updated)", True),
        ("wrong-setting", "failed", True),
    ],
)
def test_the_headline_tells_how_it_ended_and_so_does_the_exit_code(
    name: str, headline: str, *, bad: bool
) -> None:
    given_facts = facts(recorded(name))
    assert report.write(given_facts).splitlines()[1] == f"## Preview of `dev`: {headline}"
    assert report.failed(given_facts) is bad


def test_what_touches_data_is_bold_and_comes_before_everything_else_that_changes() -> None:
    text = report.write(facts(recorded("other-media")))
    assert (
        "- **replaced: PersistentVolumeClaim `immich/immich-media` of Storage (protected; the engine refuses this)**"
        in text
    )
    assert (
        text.index("### **Touches data**")
        < text.index("### Replaced or deleted")
        < text.index("### What changes")
    )
    assert "unable to replace resource" in text.split("### Why it failed")[1].split("###")[0]


def test_what_changes_is_one_row_a_component() -> None:
    text = report.write(facts(recorded("no-proxy")))
    rows = [line for line in text.split("### What changes")[1].splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows[2:]] == ["| Platform", "| Proxy"]
    assert "3 deleted" in rows[3]


def test_a_violated_policy_is_told_with_its_level_resource_and_words() -> None:
    text = report.write(facts(recorded("refused")))
    section = text.split("### Policies")[1].split("###")[0]
    assert "Violated: 1 mandatory, 1 advisory." in section
    assert "| **mandatory** | `uploads-nginx-size` | `immich/immich-proxy` | " in section


def test_images_are_told_with_versions_and_notes_and_a_downgrade_in_bold() -> None:
    section = report.write(facts(recorded("downgrade"))).split("### Images")[1].split("###")[0]
    assert "`ghcr.io/immich-app/immich-server` | `v3.3.1 (" in section
    assert "<https://github.com/immich-app/immich/releases/tag/v3.3.0>" in section
    assert section.count("**downgrade: Immich does not support going back**") == 2


def test_a_report_without_a_preview_tells_the_reason_and_counts_as_bad() -> None:
    given_facts = facts(events.Preview(), failure="The Pulumi CLI is not set up yet: run `make setup`.")
    text = report.write(given_facts)
    assert "The Pulumi CLI is not set up yet: run `make setup`." in text
    assert report.failed(given_facts)
    assert report.failed(facts(recorded("nothing"), failure="pulumi preview did not tell how it ended."))


def test_ways_in_are_shown_once_where_nothing_changes_and_twice_with_the_change_in_bold() -> None:
    before = doors.of_text("dev", SETTINGS)
    after = doors.of_text("dev", SETTINGS.replace(b"5Gi", b"7Gi"))
    assert "No way in changes." in doors.section(before, before)
    changed = doors.section(before, after)
    old, new = changed.split("After:")
    assert "5 GiB" in old
    assert "**7 GiB**" in new
    assert "**http" not in new
    assert "The stack is new." in doors.section(None, after)


def test_settings_that_cannot_be_read_are_told_in_place_of_their_ways_in() -> None:
    broken = doors.of_text("dev", b"config:\n  immich:server: {nosuch: 1}\n")
    assert "immich:server.nosuch" in doors.section(doors.of_text("dev", SETTINGS), broken)
    assert "is not YAML" in doors.section(None, doors.of_text("dev", b"config: [\n"))


def test_a_report_that_github_would_not_take_is_cut_with_a_sentence() -> None:
    text = report.cut(report.write(facts(many(20_000))), "dev")
    assert len(text) <= markdown.LIMIT
    assert text.rstrip().endswith(
        "This report was cut: GitHub takes 65,536 characters. `make preview STACK=dev` shows what is missing."
    )


def test_a_cut_closes_what_it_cut_open() -> None:
    text = report.cut(report.write(facts(many(20_000, op="delete"))), "dev")
    assert len(text) <= markdown.LIMIT
    assert text.count("<details>") == text.count("</details>") > 0
    fenced = markdown.fit("```text\n" + "line\n" * 100 + "```\n", "Cut.", limit=100)
    assert fenced.count("```") == 2
    assert fenced.endswith("```\n\nCut.\n")
    assert len(fenced) <= 100


@given(st.text(max_size=300), st.integers(min_value=20, max_value=300))
def test_no_document_is_longer_than_the_limit(document: str, limit: int) -> None:
    assert len(markdown.fit(document, "Cut.", limit)) <= limit


@given(st.text())
def test_text_of_others_has_no_meaning_to_markdown(value: str) -> None:
    written = markdown.text(value)
    assert not re.search(r"[<>@|`\n]", written)
    assert not re.search(r"(?<!\\)[*_\[\]~]", written)


@given(st.text(alphabet="`|ab \n", min_size=1))
def test_code_ends_where_it_should_and_keeps_a_table_whole(value: str) -> None:
    written = markdown.code(value)
    fence = re.match(r"`+", written)
    assert fence is not None
    inner = written[len(fence[0]) : -len(fence[0])]
    assert all(len(run) < len(fence[0]) for run in re.findall(r"`+", inner))
    assert not re.search(r"(?<!\\)\|", written)
    assert "\n" not in written


def test_secrets_of_the_environment_and_of_the_settings_are_masked_line_by_line() -> None:
    env = {
        "CLOUDFLARE_API_TOKEN": "tok-1234567890",
        "HOME": "/home/someone",
        "PULUMI_CONFIG_PASSPHRASE": "short",
    }
    secrets = [*redaction.of_environment(env), "-----BEGIN-----\nMIIBmultiline\n"]
    text = redaction.redacted("a tok-1234567890 b MIIBmultiline c /home/someone short", secrets)
    assert text == "a [secret] b [secret] c /home/someone short"


def test_credentials_in_an_address_are_masked() -> None:
    assert redaction.redacted("postgres://immich:pass@db:5432/x", []) == "postgres://[secret]@db:5432/x"
    assert redaction.redacted("ssh://deploy@photos.example.com", []) == "ssh://deploy@photos.example.com"
