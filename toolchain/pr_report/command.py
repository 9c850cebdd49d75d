"""From a stack to its report: the preview, the doors, the last look for secrets."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from toolchain.failure import ToolchainError
from toolchain.paths import settings_file
from toolchain.pr_report import baseline, doors, markdown, preview, redaction, report
from toolchain.pr_report.events import Preview
from toolchain.stack import ensure, tidy_settings
from toolchain.stack_settings import stack_texts

_BASES: Final = ("origin/HEAD", "origin/main", "main", "HEAD")
"""What a change is compared with unless a base is named: the first of these that is here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for."""

    stack: str
    base: str
    """A commit that exists."""
    rendered: bool = False
    """Whether to compare with the base's program, rendered, instead of with the stack's own state."""
    options: Sequence[str] = ()
    """Further options of `pulumi preview`."""


def base_or_default(named: str | None, root: Path) -> str:
    """The base that was named, else the first of `_BASES`. ToolchainError when it is not a commit here."""
    for candidate in (named,) if named else _BASES:
        if doors.commit(candidate, root):
            return candidate
    raise ToolchainError(
        f"There is no commit {named or 'of main'!r} to compare with here: name one with --base REF, and see that this "
        "is a clone that has it (`git fetch origin main`, or `fetch-depth: 0` in a workflow)."
    )


def make(request: Request, env: Mapping[str, str], root: Path) -> tuple[str, bool]:
    """The report, and whether what it reports is good. ToolchainError when there is no such stack."""
    path = settings_file(request.stack, root)
    committed = doors.committed(request.stack, request.base, root)
    before = None if committed is None else doors.of_text(request.stack, committed)
    after = doors.of_text(request.stack, path.read_bytes())
    secrets = list(redaction.of_environment(env))
    found, failure, note = Preview(), "", ""
    try:
        with tidy_settings(path, env), _state(request, env, root) as state:
            note = state.note
            # Asked for first: what cannot be masked is not shown at all.
            secrets += redaction.of_config(request.stack, state.env, root)
            found, failure = preview.run(request.stack, state.env, root, request.options)
    except ToolchainError as error:
        failure = str(error)
    facts = report.Facts(
        stack=request.stack,
        preview=found,
        before=before,
        after=after,
        base=request.base,
        compared_with=_compared_with(request),
        failure=failure,
        notes=(note,) if note else (),
    )
    text = redaction.redacted(report.write(facts), secrets)
    return report.cut(text, request.stack), not report.failed(facts)


def _compared_with(request: Request) -> str:
    if request.rendered:
        return f"Compared with the program of {markdown.code(request.base)}, both rendered: no cluster was asked."
    return "Compared with what is there now, as the stack's state has it."


@contextmanager
def _state(request: Request, env: Mapping[str, str], root: Path) -> Generator[baseline.Baseline, None, None]:
    if not request.rendered:
        ensure(request.stack, env, root)
        yield baseline.Baseline(env)
        return
    texts, _ = stack_texts(settings_file(request.stack, root))
    renders = baseline.rendering(request.stack, env, texts)
    with baseline.rendered(request.stack, request.base, renders, root) as state:
        yield state
