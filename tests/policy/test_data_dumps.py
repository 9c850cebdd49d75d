"""What is taken for a dump and for a copy to another machine in a script, and what only has the words."""

from __future__ import annotations

import pytest

from immich_policy.model import UNKNOWN, Plain, Registered, registered
from tests.policy.case_files import RULES, findings, unjudged

CONTAINER = "docker:index/container:Container"
DATABASE = registered(
    CONTAINER,
    "database",
    {
        "image": "ghcr.io/immich-app/postgres:18-vectorchord1.1.1",
        "mounts": [{"type": "volume", "source": "pgdata", "target": "/var/lib/postgresql/data"}],
    },
)
DUMP = "pg_dump immich > /backup/immich.sql"


def _container(name: str, *command: Plain, **props: Plain) -> Registered:
    mounts: list[Plain] = [{"type": "volume", "source": "dumps", "target": "/backup"}]
    inputs: dict[str, Plain] = {
        "image": "docker.io/library/debian:13",
        "entrypoints": ["bash", "-c"],
        "command": list(command),
        "mounts": mounts,
    }
    return registered(CONTAINER, name, {**inputs, **props})


def _broken(*others: Registered) -> set[str]:
    return {rule.name for rule, _ in findings(RULES.values(), [DATABASE, *others]) if "backup" in rule.name}


@pytest.mark.parametrize(
    "script",
    [
        DUMP,
        "nice -n 10 pg_dump --clean >file",
        "docker exec db pg_dumpall|zstd >file",
        "/usr/lib/postgresql/18/bin/pg_dump immich",
        "(cd / && pg_basebackup -D /backup)",
        "wal-g backup-push /data",
        "barman-cloud-backup s3://bucket main",
        'size="$(pg_dump immich | wc -c)"',
    ],
)
def test_a_call_of_a_program_that_dumps_is_a_dump(script: str) -> None:
    assert "data-backups" not in _broken(_container("dump", script))


@pytest.mark.parametrize(
    "script",
    [
        "true # nothing",
        "# pg_dump immich\npsql -f /backup/immich.sql",
        "    # as pg_dump says\ntrue",
        'message="pg_dump of this image is older than $PGHOST"; echo "$message"',
        "message='pg_dump failed'",
        "grep -v '^pg_dump: hint' log",
        "psql immich < /backup/immich.pg_dumped",
        "pg_restore -d immich /backup/immich",
    ],
)
def test_the_word_alone_is_no_dump(script: str) -> None:
    assert "data-backups" in _broken(_container("restore", script))


@pytest.mark.parametrize(
    "script",
    [
        "restic -r s3:https://s3.example.com/b backup /backup",
        "RESTIC_REPOSITORY=sftp:nas:/backups\nexport RESTIC_REPOSITORY\nrestic_run backup --json /backup",
        'export RESTIC_REPOSITORY="rest:http://nas:8000/"; restic backup /backup',
        "borg create sftp://nas/repository::now /backup",
        "rclone sync /backup cloud:dumps",
        "rsync -a /backup/ nas:/dumps/",
        "scp /backup/immich.sql nas:",
        "aws s3 cp /backup/immich.sql s3://bucket/",
    ],
)
def test_a_call_of_a_program_that_copies_to_another_machine_leaves(script: str) -> None:
    assert _broken(_container("dump", DUMP), _container("copy", script)) == set()


@pytest.mark.parametrize(
    "script",
    [
        "restic -r s3:https://s3.example.com/b restore latest --target /backup",
        "RESTIC_REPOSITORY=s3:https://s3.example.com/b restic snapshots",
        "restic -r /other backup /backup",
        "# restic -r s3:https://s3.example.com/b backup /backup\nsleep 1",
        "rclone serve restic cloud:dumps",
        "rsync -a /backup/ /other/",
        "message='rclone copy failed'",
    ],
)
def test_a_restore_or_a_copy_beside_it_stays(script: str) -> None:
    assert _broken(_container("dump", DUMP), _container("other", script)) == {"data-backups-leave"}


def test_what_ends_at_once_is_no_backup() -> None:
    assert _broken(_container("dump", DUMP, mustRun=False)) == {"data-backups"}


def test_a_script_that_is_not_known_yet_is_told_and_not_judged() -> None:
    loader = registered(
        CONTAINER,
        "loader",
        {
            "mustRun": False,
            "uploads": [{"file": "/staging/run.sh", "content": UNKNOWN}],
            "mounts": [{"type": "volume", "source": "scripts", "target": "/target"}],
        },
    )
    mounts: list[Plain] = [{"type": "volume", "source": "scripts", "target": "/scripts", "readOnly": True}]
    found = [DATABASE, loader, _container("dump", "/scripts/run.sh", mounts=mounts)]
    rule = RULES["data-backups"]
    assert findings([rule], found) == []
    assert [one.resource.name for _, one in unjudged([rule], found)] == ["database"]
