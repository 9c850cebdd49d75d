"""What a host's backups do, as tests of the systems ask for it: times, copies, drills, pages."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.unit.systems.host import Host
from toolchain.runbook import stack_pages

SCRIPT = "/etc/immich-scripts/run.sh"
_CLOCK = "/etc/immich-task/schedule.sh"
_DAY = range(1, 32)


@dataclass(frozen=True, kw_only=True, slots=True)
class Times:
    """When a task runs, in the time zone of its containers."""

    minutes: list[int]
    hours: list[int]
    weekdays: list[int]
    """0 is Sunday."""
    zone: str


def times(found: Host, first_step: str) -> Times:
    """Of the task with this first step, as its scheduler has them; every day of the month and every month."""
    clock = found.files(first_step)[_CLOCK]

    def field(name: str) -> list[int]:
        (listed,) = re.findall(rf'^{name}=" ([\d ]*) "$', clock, re.MULTILINE)
        return [int(one) for one in listed.split()]

    assert field("days") == [*_DAY]
    assert field("months") == [*range(1, 13)]
    return Times(
        minutes=field("minutes"),
        hours=field("hours"),
        weekdays=field("weekdays"),
        zone=found.env(first_step)["TZ"],
    )


def copied(found: Host) -> list[str]:
    """What a run copies: folders and files in its container, the dumps last."""
    (listed,) = re.findall(
        r"^    for path in (.*) \"\$root/database\"; do$", script(found, "backup-copy"), re.MULTILINE
    )
    return listed.split()


def kept(found: Host) -> dict[str, int]:
    """`daily`, `weekly`, `monthly`, `yearly`: how many copies of each stay."""
    return {
        name: int(count)
        for name, count in re.findall(
            r"--keep-(daily|weekly|monthly|yearly) (\d+)", script(found, "backup-copy")
        )
    }


def targets(found: Host) -> list[str]:
    """Names of the targets in the order in which they are copied to and read back."""
    after = re.findall(r"^copy (\S+) \|\|", script(found, "backup-copy"), re.MULTILINE)
    assert re.findall(r"check (\S+) \|\|", script(found, "backup-copy")) == after
    return after


def script(found: Host, step: str) -> str:
    """What a step runs."""
    return found.files(step)[SCRIPT]


def page(found: Host, name: str) -> str:
    """A runbook of the stack, as `make runbook` writes it."""
    return stack_pages(found.stack.name)[f"{name}.md"]


def in_order(text: str, *parts: str) -> bool:
    """Whether a text has all of these, each after the one before."""
    at = 0
    for part in parts:
        at = text.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return True


def is_dumped_and_read_back(found: Host, folder: str, *, keep: int) -> None:
    """The database comes into a folder of the host as a dated file that was read whole before it has its name."""
    assert found.mounts("backup-dump")["/backup"] == (folder, False)
    text = script(found, "backup-dump")
    major = re.findall(r":(\d+)-vectorchord", found.image("database"))[0]
    release = found.settings.server.version
    assert in_order(
        text,
        "pg_dump --no-password",
        "zstd -q ",
        f"name=immich-$(stamp)-v$version-pg{major}.sql.zst",
        'zstd -q -t "$part"',
        'answer=$(read_back "$part")',
        'mv "$part" "$folder/$name"',
        'mv -T "$folder/.immich.sql.zst.part" "$folder/immich.sql.zst"',
    )
    assert f"\nversion={release}\n" in text.replace("'", "")
    assert f"head -n -{keep} " in text
    assert "database" in found.networks("backup-dump")


def is_drilled(found: Host, *, sample: int) -> None:
    """On Sundays a copy is restored to nowhere and compared, by three steps after one another."""
    assert times(found, "drill-fetch") == Times(
        minutes=[30], hours=[4], weekdays=[0], zone=found.settings.server.timezone
    )
    steps = ("drill-fetch", "drill-database", "drill-originals")
    assert [found.labels(one)["immich.step"] for one in steps] == ["1", "2", "3"]
    assert f"ORDER BY random() LIMIT {sample})" in script(found, "drill-database")
    # Nothing of the live deployment can be changed by it.
    for step in steps:
        writable = {path for path, (_, read_only) in found.mounts(step).items() if not read_only}
        assert writable <= {"/backup", *(path for path in found.mounts(step) if path.startswith("/targets/"))}
