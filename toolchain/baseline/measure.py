"""Measures a deployment by its API: uploads, thumbnails, search, machine learning. Everything is removed again."""

from __future__ import annotations

import json
import secrets
import statistics
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, cast

from toolchain.failure import ToolchainError
from toolchain.verify.payload import Form, picture
from toolchain.verify.wire import Answer, Site, Wire, WireError

PICTURES: Final = 10
"""As system hwc's table has it: ten photos."""
SIDE: Final = 1600
"""Pixels of each: some megabytes, as a phone's photo."""
QUERIES: Final = ("person", "sunset", "car")
"""System hwc's searches."""
_WITH_GPU: Final = 5.0
_WITHOUT: Final = 20.0
"""Seconds for the machine learning of ten photos, as system hwc has them."""
WAIT: Final = 300.0
"""Seconds after which jobs are given up."""
_PAUSE: Final = 0.25
_SETTLED: Final = 10.0
"""Seconds without a job of machine learning, after which none is on its way from the thumbnails any more."""
_LEARNING: Final = ("smartSearch", "faceDetection", "facialRecognition", "ocr")
"""Queues of machine learning."""
_ANSWER: Final = 60.0


class NotMeasured(Exception):  # noqa: N818  it reads as what it says
    """Why a number is missing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """One number."""

    name: str
    value: float | None
    """None where it could not be measured."""
    unit: str
    """`s`, `MB/s`."""
    what: str
    """What was timed, for a person; where there is no number, why."""
    aim: float | None = None
    """What systems hwc and homelab want at most; None where they name nothing."""


@dataclass
class Session:
    """Immich's API with a key, and what was made by it."""

    wire: Wire
    site: Site
    key: str = field(repr=False)
    made: list[str] = field(default_factory=list[str])

    def call(
        self, method: str, path: str, body: object = None, *, accept: str = "application/json"
    ) -> Answer:
        """One request with the key. NotMeasured when nobody answers."""
        headers = {"x-api-key": self.key, "Accept": accept}
        content = None
        if body is not None:
            headers["Content-Type"], content = "application/json", json.dumps(body).encode()
        try:
            return self.wire.request(
                self.site, path, method=method, headers=headers, body=content, trust=True, seconds=_ANSWER
            )
        except WireError as error:
            raise NotMeasured(f"{method} {path}: {error}") from None

    def upload(self, content: bytes) -> tuple[str, float]:
        """Id of a new picture, and seconds. NotMeasured when it is not taken."""
        form = Form(name=f"immich-baseline-{secrets.token_hex(8)}.png", content=content)
        headers = {"Content-Type": form.type, "x-api-key": self.key, "Accept": "application/json"}
        began = time.monotonic()
        try:
            answer = self.wire.send(
                self.site, "/api/assets", method="POST", headers=headers, body=form.body(), length=form.length,
                trust=True, seconds=_ANSWER,
            )  # fmt: skip
        except WireError as error:
            raise NotMeasured(f"upload: {error}") from None
        took = time.monotonic() - began
        if answer.status != 201:
            raise NotMeasured(f"upload: {answer.status} {answer.text}")
        found = cast("dict[str, object]", json.loads(answer.body))
        self.made.append(str(found["id"]))
        return self.made[-1], took

    def remove(self) -> None:
        """What was made. ToolchainError when it stays."""
        if not self.made:
            return
        try:
            answer = self.call("DELETE", "/api/assets", {"ids": self.made, "force": True})
            told = None if answer.status == 204 else f"{answer.status} {answer.text}"
        except NotMeasured as error:
            told = str(error)
        if told is not None:
            raise ToolchainError(
                f"{len(self.made)} pictures named immich-baseline-*.png could not be removed ({told}): remove them in "
                "Immich, and give the key the permission asset.delete"
            )
        self.made.clear()


@contextmanager
def session(wire: Wire, site: Site, key: str) -> Generator[Session]:
    """What is made in it is removed at its end, whatever happens."""
    opened = Session(wire, site, key)
    try:
        yield opened
    finally:
        opened.remove()


def measure(
    opened: Session, *, pictures: int = PICTURES, side: int = SIDE, wait: float = WAIT, gpu: bool = False
) -> list[Measurement]:
    """All numbers; one that cannot be had says why. `gpu` says whether machine learning has one."""
    found: list[Measurement] = []
    contents = [picture(secrets.randbits(64), side, side) for _ in range(pictures)]
    size = sum(map(len, contents)) / 1e6
    began = time.monotonic()
    try:
        made = [opened.upload(content) for content in contents]
    except NotMeasured as error:
        return [_missing("upload", "s", str(error))]
    total = time.monotonic() - began
    ids = [asset for asset, _ in made]
    a_photo = statistics.median(seconds for _, seconds in made)
    found.append(
        _number(
            "upload", a_photo, "s", f"one photo of {size / pictures:.1f} MB, the median of {pictures}", 5.0
        )
    )
    found.append(
        _number("upload-rate", size / max(total, 0.001), "MB/s", f"{pictures} photos one after the other")
    )

    def thumbnails() -> float:
        return _until(lambda: all(_has_thumbnail(opened, one) for one in ids), began, wait)

    learned = _Learned(opened, ids)

    def machine_learning() -> float:
        return _until(learned.ask, began, wait)

    since = "from the first upload on"
    aim = (_WITH_GPU if gpu else _WITHOUT) * pictures / PICTURES
    found += [
        _timed("thumbnails", f"until all {pictures} have a thumbnail, {since}", None, thumbnails),
        _timed("thumbnail", "one thumbnail that is there, the median", None, lambda: _thumbnail(opened, ids)),
        _timed(
            "machine-learning", f"until search and faces are done with them, {since}", aim, machine_learning
        ),
    ]
    for number, query in enumerate(QUERIES):
        first = " the first, which may load the model" if number == 0 else ""
        found.append(
            _timed(
                f"search-{query}",
                f"smart search for {query!r}{first}",
                2.0 if number == 0 else 1.0,
                _search(opened, query),
            )
        )
    found.append(_timed("search-again", f"the same search for {QUERIES[0]!r}, the model loaded", 0.2,
                        _search(opened, QUERIES[0])))  # fmt: skip
    found.append(_timed("page", "the page that a browser asks for first", None, lambda: _page(opened)))
    return found


def _number(name: str, value: float, unit: str, what: str, aim: float | None = None) -> Measurement:
    return Measurement(name=name, value=round(value, 4), unit=unit, what=what, aim=aim)


def _missing(name: str, unit: str, why: str) -> Measurement:
    return Measurement(name=name, value=None, unit=unit, what=why)


def _timed(name: str, what: str, aim: float | None, ask: Callable[[], float]) -> Measurement:
    try:
        return _number(name, ask(), "s", what, aim)
    except NotMeasured as error:
        return _missing(name, "s", str(error))


def _until(done: Callable[[], bool], began: float, wait: float) -> float:
    while not done():
        if time.monotonic() - began > wait:
            raise NotMeasured(f"not done after {wait:.0f} s")
        time.sleep(_PAUSE)
    return time.monotonic() - began


def _has_thumbnail(opened: Session, asset: str) -> bool:
    answer = opened.call("GET", f"/api/assets/{asset}/thumbnail?size=thumbnail")
    if answer.status in {400, 404}:
        return False
    if answer.status != 200:
        raise NotMeasured(f"thumbnail: {answer.status} {answer.text}")
    return True


def _thumbnail(opened: Session, ids: list[str]) -> float:
    times: list[float] = []
    for asset in ids:
        began = time.monotonic()
        if not _has_thumbnail(opened, asset):
            raise NotMeasured("there are no thumbnails")
        times.append(time.monotonic() - began)
    return statistics.median(times)


@dataclass
class _Learned:
    """Whether machine learning is done with the pictures: its queues are empty, and smart search knows each.

    Immich catches what fails in a job (services/job.service.ts of 3.0.3), so that its queues are empty and its count of
    failures is 0 also where nothing was learned.
    """

    opened: Session
    ids: list[str]
    idle_since: float | None = None

    def ask(self) -> bool:
        """NotMeasured where a queue is paused, or has been empty for a while and pictures are unknown."""
        if not _idle(self.opened):
            self.idle_since = None
            return False
        unknown = [asset for asset in self.ids if not _has_embedding(self.opened, asset)]
        if not unknown:
            return True
        now = time.monotonic()
        self.idle_since = now if self.idle_since is None else self.idle_since
        if now - self.idle_since > _SETTLED:
            raise NotMeasured(
                f"machine learning has no job left, and smart search does not know {len(unknown)} of {len(self.ids)} "
                "pictures: its jobs failed (is the service up? see the server's log), or smart search is switched off"
            )
        return False


def _idle(opened: Session) -> bool:
    """Whether nothing waits in the queues of machine learning. Needs a key of an administrator."""
    answer = opened.call("GET", "/api/jobs")
    if answer.status != 200:
        raise NotMeasured(f"GET /api/jobs: {answer.status}: a key of an administrator with job.read tells it")
    queues = cast("Mapping[str, Mapping[str, Mapping[str, int]]]", json.loads(answer.body))
    counts = {name: queues[name]["jobCounts"] for name in _LEARNING if name in queues}
    if not counts:
        raise NotMeasured("GET /api/jobs names no queue of machine learning")
    paused = [name for name, one in counts.items() if one.get("paused", 0)]
    if paused:
        raise NotMeasured(f"paused, with jobs in it: {', '.join(paused)}; resume it in Administration, Jobs")
    return all(
        one.get("waiting", 0) + one.get("active", 0) + one.get("delayed", 0) == 0 for one in counts.values()
    )


def _has_embedding(opened: Session, asset: str) -> bool:
    """Whether smart search knows a picture: asked for its like, which needs no machine learning (search.service.ts)."""
    answer = opened.call("POST", "/api/search/smart", {"queryAssetId": asset, "size": 1})
    if answer.status in {200, 400}:
        return answer.status == 200
    raise NotMeasured(f"search: {answer.status} {answer.text}")


def _search(opened: Session, query: str) -> Callable[[], float]:
    def ask() -> float:
        began = time.monotonic()
        answer = opened.call("POST", "/api/search/smart", {"query": query, "size": 10})
        took = time.monotonic() - began
        if answer.status != 200:
            raise NotMeasured(f"search: {answer.status} {answer.text}")
        return took

    return ask


def _page(opened: Session) -> float:
    began = time.monotonic()
    # As JSON it is 406.
    answer = opened.call("GET", "/", accept="text/html")
    if answer.status != 200:
        raise NotMeasured(f"GET /: {answer.status}")
    return time.monotonic() - began
