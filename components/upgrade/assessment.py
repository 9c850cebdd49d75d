"""Whether a deployment may go from what it is to what the settings ask for. Pure.

What Immich supports is said in docs/docs/install/upgrading.md and docs/src/pages/errors.md of immich-app/immich.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from components import versions
from components.settings.problems import Problem
from components.upgrade.deployed import Deployed, Last
from components.upgrade.settings import Upgrade

STEPPING_STONE: Final = "1.132.3"
"""Data of releases before 1.132 must pass through 1.132 to 1.136 (errors.md advises this one)."""
_STONES: Final = ((1, 132, 0), (1, 136, 999))

LAST_OF_MAJOR: Final = {2: "2.7.5"}
"""Newest release of an earlier major that this program knows."""

_APPS_FIRST = "upgrade the phones' apps first, since a server works with apps of its own major only"
_PGVECTO_RS = (
    "pgvecto.rs is gone: a database that has only the extension `vectors` must be moved to VectorChord by a 2.x, on an "
    "image that has both"
)
_VARIABLES = (
    "MACHINE_LEARNING_PRELOAD__CLIP, MACHINE_LEARNING_PRELOAD__FACIAL_RECOGNITION and "
    "IMMICH_MACHINE_LEARNING_PING_TIMEOUT are gone, which matters to machine learning elsewhere"
)
MAJOR_NOTES: Final = {
    2: (_APPS_FIRST,),
    3: (
        _APPS_FIRST,
        _PGVECTO_RS,
        "the CPU must know x86-64-v2, which virtual machines often hide",
        "sign-in at an issuer with http:// needs immich:app.oauth.allowInsecureRequests",
        _VARIABLES,
        "parts of the API are gone: look at scripts and programs that use it",
    ),
}
"""What a person must know before the first release of a major (git log of v3, immich.app/blog/v3-migration)."""

_VERSION = "immich:server.version"
_HOW_BACK = "`make rollback-plan` says what going back needs: the database of that release, from a backup"


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """What is known before an update begins."""

    before: Deployed | None
    """What the data are from; None on a first deployment."""
    after: Deployed
    """What the settings ask for."""
    leaves: Deployed | None = None
    """What the upgrade at hand leaves, or, where nothing changes, what the last one left; None where there is none."""
    changes: bool = False
    """Whether a deployment that exists gets other versions."""
    backs_up: bool = False
    """Whether a backup comes first; where nothing changes, whether one came before the last upgrade."""
    problems: tuple[Problem, ...] = ()
    """Why the update must not start, all at once; none when it may."""
    notes: tuple[str, ...] = ()
    """What a person should know; none when nothing changes."""
    token_ends: int | None = None
    """`Last.token_ends`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Past:
    """What the data are from, with what the person says about it."""

    data: Deployed
    newest: str
    """The newest release that may have touched the data."""
    first: bool = False
    """No update ended well so far: there is nothing worth a backup."""
    said: bool = False
    """The person said which release the data are from: they are as a backup left them."""
    spent: bool = False
    """What the person said counted in an earlier update already."""


def judge(last: Last, after: Deployed, upgrade: Upgrade, *, backed_up: bool) -> Judged:
    """Judge the way from what earlier updates left to `after`; `backed_up` says that this deployment makes backups."""
    past = _past(last, after, upgrade)
    if past is None:
        return Judged(before=None, after=after)
    before = past.data
    moved = _moved(before, after, upgrade)
    changes = before.differs(after)
    restored = past.first or past.said or moved
    problems = [*_lockstep(after), *_release(past, after, upgrade), *_moved_libraries(last, after)]
    if not past.first:
        problems += _database(before, after, restored=past.said or moved, moved=moved)
    alters = changes and not restored and _alters(before, after)
    if alters and not problems:
        problems += _backup(before, after, upgrade, backed_up=backed_up)
    finished = last.finished
    # Without the mark all but the data was destroyed since: the steps of the last upgrade are gone, and over.
    over = finished is None or last.reached is None or finished.differs(after)
    same = None if over else finished
    judged = Judged(
        before=before,
        after=after,
        leaves=(None if restored else before) if changes else same and same.before,
        changes=changes,
        backs_up=alters and backed_up and upgrade.without_backup != after.immich
        if changes
        else same is not None and same.backed_up,
        problems=tuple(problems),
        token_ends=last.token_ends,
    )
    return replace(judged, notes=tuple(_notes(judged, past, upgrade)))


def _moved_libraries(last: Last, after: Deployed) -> Iterator[Problem]:
    """Volumes of read-only libraries are not protected, and what runs holds them: the engine would wait for ever."""
    before = last.finished.libraries if last.finished is not None else dict[str, str]()
    for name, source in after.libraries.items():
        if before.get(name, source) != source:
            yield Problem(
                key="immich:storage.externalLibraries",
                given=source,
                reason=f"the library {name} was {before[name]}, and its volume is in use",
                hint=f"give it another name, such as {name}-2, with the same mountPath: photos stay where they are",
            )


def _past(last: Last, after: Deployed, upgrade: Upgrade) -> _Past | None:
    finished, reached, said = last.finished, last.reached, upgrade.database_at
    spent = said is not None and (
        (finished is not None and finished.database_at == said)
        # It counted for what the update was then about, and that one started.
        or (reached is not None and reached.database_at == said and reached.immich != after.immich)
    )
    now = reached or finished
    if said is not None and not spent:
        data = replace(now, vectorchord=None, before=None) if now is not None else Deployed(immich=said)
        return _Past(data=replace(data, immich=said), newest=said, said=True)
    if now is None:
        return None
    if finished is None:
        return _Past(data=now, newest=now.immich, first=True, spent=spent)
    newest = max(now.immich, finished.immich, key=versions.parse)
    if not now.differs(finished) or not now.differs(after):
        # Also an update that did not end well, and is gone on with: its steps are named by where it began.
        return _Past(data=replace(finished, before=None), newest=newest, spent=spent)
    return _Past(data=replace(now, before=replace(finished, before=None)), newest=newest, spent=spent)


def _lockstep(after: Deployed) -> Iterator[Problem]:
    if after.machine_learning is not None and after.machine_learning != after.immich:
        yield Problem(
            key="immich:machineLearning.image",
            given=after.machine_learning,
            reason=f"must be {after.immich}: server and machine learning must be the same release",
        )


def _release(past: _Past, after: Deployed, upgrade: Upgrade) -> Iterator[Problem]:
    before = past.data.immich
    old, new = versions.parse(before), versions.parse(after.immich)
    if new < versions.parse(past.newest):
        yield _downgrade(past, after, upgrade)
    elif old < _STONES[0] and new > _STONES[1]:
        yield Problem(
            key=_VERSION,
            given=after.immich,
            reason=f"data of {before} must pass through 1.132 to 1.136 first",
            hint=f"with what deployed {before}: start {STEPPING_STONE}, let it finish, then the last 1.x",
        )
    elif new[0] - old[0] > 1:
        stone = LAST_OF_MAJOR.get(old[0] + 1, f"the last {old[0] + 1}.x")
        yield Problem(
            key=_VERSION,
            given=after.immich,
            reason=f"skips a major release: {before} must pass through {old[0] + 1}.x first",
            hint=f"pulumi config set --path '{_VERSION}' {stone}, then `make up`, then {after.immich}",
        )
    elif new[0] > old[0] and (upgrade.acknowledge is None or versions.parse(upgrade.acknowledge)[0] < new[0]):
        notes = "; ".join(MAJOR_NOTES.get(new[0], ("read its release notes",)))
        yield Problem(
            key="immich:upgrade.acknowledge",
            given=upgrade.acknowledge,
            reason=f"{before} -> {after.immich} is another major release, which breaks things: {notes}",
            hint=f"when that is settled: pulumi config set --path 'immich:upgrade.acknowledge' {new[0]}.0.0",
        )


def _downgrade(past: _Past, after: Deployed, upgrade: Upgrade) -> Problem:
    unfinished = past.first or past.data.before is not None or past.newest != past.data.immich
    what = (
        f"{past.newest} may have started in an update that failed"
        if unfinished
        else f"the data are {past.newest}'s"
    )
    hint = [f"{_HOW_BACK}."]
    if unfinished:
        hint.append(
            f"Go on with {past.newest} or later; if it never started: "
            f"pulumi config set --path 'immich:upgrade.databaseAt' {after.immich}"
        )
    if past.spent:
        hint.append(
            f"immich:upgrade.databaseAt {upgrade.database_at} counted already: take it out, run `make up` with "
            f"{past.newest}, and say it again"
        )
    return Problem(
        key=_VERSION,
        given=after.immich,
        reason=f"{what}, and Immich supports no way back, not even within a minor; "
        f"accepted are {past.newest} and later",
        hint=" ".join(hint),
    )


def _target(after: Deployed) -> str:
    return f"{after.database}" if after.postgres is None else f"{after.database}-{after.postgres}"


def _moved(before: Deployed, after: Deployed, upgrade: Upgrade) -> bool:
    other = (before.database, before.postgres) != (after.database, after.postgres)
    return other and upgrade.database_moved_to == _target(after)


def _database(before: Deployed, after: Deployed, *, restored: bool, moved: bool) -> Iterator[Problem]:
    if not moved and None not in {before.database, after.database} and before.database != after.database:
        yield Problem(
            key="immich:database.kind",
            given=after.database,
            reason=f"the data are in a database of kind {before.database}; one of another kind would start empty",
            hint=_move(after),
        )
    elif not moved and None not in {before.postgres, after.postgres} and before.postgres != after.postgres:
        yield from _postgres_major(before, after)
    if _lower(after.lineage, before.lineage):
        yield Problem(
            key="immich:database.lineage.generation",
            given=str(after.lineage),
            reason=f"the archive of generation {before.lineage} is written already, and an older one is never written "
            f"again; accepted are {before.lineage}, which goes on, and later ones",
            hint=f"to recover from a backup give {(before.lineage or 0) + 1}",
        )
    if after.postgres is not None and not versions.postgres_accepted(after.immich, after.postgres):
        yield Problem(
            key="immich:database.postgres",
            given=str(after.postgres),
            reason=versions.postgres_range(after.immich),
        )
    if after.vectorchord is None:
        return
    if not versions.vectorchord_accepted(after.vectorchord):
        yield Problem(
            key="immich:database.vectorchord",
            given=after.vectorchord,
            reason=f"Immich {after.immich} accepts VectorChord {versions.VECTORCHORD_RANGE}",
        )
    elif not restored and before.vectorchord is not None and _older(after.vectorchord, before.vectorchord):
        yield Problem(
            key="immich:database.vectorchord",
            given=after.vectorchord,
            reason=f"the database has VectorChord {before.vectorchord}: its extension and indexes have no way back; "
            f"accepted are {before.vectorchord} and later",
            hint=_HOW_BACK,
        )


def _postgres_major(before: Deployed, after: Deployed) -> Iterator[Problem]:
    if after.database == "external":
        # Whoever runs it has moved the data already, or nothing would answer.
        return
    assert before.postgres is not None
    assert after.postgres is not None
    hint = _move(after)
    if after.database == "cloudnative-pg" and after.postgres > before.postgres:
        hint = (
            "the operator can convert the data itself, with the database stopped meanwhile (CloudNativePG 1.26 and "
            "later): make a base backup, then pulumi config set --path 'immich:upgrade.databaseMovedTo' "
            + _target(after)
        )
    yield Problem(
        key="immich:database.postgres",
        given=str(after.postgres),
        reason=f"the data are those of PostgreSQL {before.postgres}; another major version does not start on them",
        hint=hint,
    )


def _move(after: Deployed) -> str:
    return (
        "put it back, or move the data by dump and restore as docs/upgrades.md says, and then say so: "
        f"pulumi config set --path 'immich:upgrade.databaseMovedTo' {_target(after)}"
    )


def _alters(before: Deployed, after: Deployed) -> bool:
    """Whether the data themselves become others: by migrations, or by the extension's."""
    extensions = before.vectorchord, after.vectorchord
    return before.immich != after.immich or (None not in extensions and extensions[0] != extensions[1])


def _backup(before: Deployed, after: Deployed, upgrade: Upgrade, *, backed_up: bool) -> Iterator[Problem]:
    if backed_up or upgrade.without_backup == after.immich:
        return
    what, old, new = (
        ("Immich", before.immich, after.immich)
        if before.immich != after.immich
        else ("VectorChord", before.vectorchord, after.vectorchord)
    )
    yield Problem(
        key="immich:backup",
        given=None,
        reason=f"is needed but not given: {what} {old} -> {new} changes the data, and the only way back is a backup",
        hint="give immich:backup and run `make up`; or, with a backup of your own that is fresh: "
        f"pulumi config set --path 'immich:upgrade.withoutBackup' {after.immich}",
    )


def _notes(judged: Judged, past: _Past, upgrade: Upgrade) -> Iterator[str]:
    before, after = past.data, judged.after
    if before.immich != after.immich and not past.first:
        old, new = versions.parse(before.immich), versions.parse(after.immich)
        kind = "major" if old[0] != new[0] else "minor" if old[1] != new[1] else "patch"
        backup = "a backup is made first" if judged.backs_up else "no backup is made"
        yield f"{kind} upgrade of Immich, {before.immich} -> {after.immich}: {backup}; the only way back is a restore"
        if after.machine_learning is None:
            yield f"machine learning is not of this deployment: where there is one, it must be {after.immich} too"
    if judged.changes and moves_vectorchord(judged):
        yield (
            f"VectorChord {before.vectorchord} -> {after.vectorchord}: extension and indexes are renewed before the "
            "server starts, which can take minutes"
        )
    if past.spent:
        yield (
            f"immich:upgrade.databaseAt {upgrade.database_at} has counted: pulumi config rm --path "
            "'immich:upgrade.databaseAt'"
        )


def moves_vectorchord(judged: Judged) -> bool:
    """Whether the upgrade at hand, or the last one, gives the database another VectorChord."""
    leaves = judged.leaves
    if leaves is None or leaves.vectorchord is None or judged.after.vectorchord is None:
        return False
    return leaves.vectorchord != judged.after.vectorchord


def _lower(one: int | None, other: int | None) -> bool:
    return one is not None and other is not None and one < other


def _older(one: str, other: str) -> bool:
    return tuple(map(int, one.split("."))) < tuple(map(int, other.split(".")))
