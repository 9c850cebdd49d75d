"""`make baseline`: what is timed, that it is removed again, and the comparison with the run before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.verify.parts import Replies, Reply, Request, answering, target
from toolchain.baseline import __main__ as command
from toolchain.baseline import store
from toolchain.baseline.measure import Measurement, measure, session
from toolchain.failure import ToolchainError
from toolchain.verify.checks.doors import site
from toolchain.verify.target import Options

KEY = "a-key-of-the-api"


def immich(
    *, thumbnails_after: int = 0, jobs: int = 200, deletes: int = 204, learned: bool = True, paused: int = 0
) -> Replies:
    """Answers as Immich gives them; thumbnails are there from the given question on.

    Where nothing was `learned`, machine learning was down: Immich's counts say nothing of it.
    """
    count = {"upload": 0, "thumbnail": 0}

    def reply(request: Request) -> Reply | None:
        if request.headers.get("x-api-key") != KEY:
            return Reply(401)
        path = request.path.partition("?")[0]
        match request.method, path:
            case "POST", "/api/assets":
                count["upload"] += 1
                return Reply(201, {"id": f"asset-{count['upload']}", "status": "created"})
            case "DELETE", "/api/assets":
                return Reply(deletes)
            case "POST", "/api/search/smart":
                if "queryAssetId" in json.loads(request.body) and not learned:
                    return Reply(400, {"message": "Asset asset-1 has no embedding"})
                return Reply(200, {"assets": {"items": []}})
            case "GET", "/api/jobs":
                idle = {"jobCounts": {"waiting": 0, "active": 0, "delayed": 0, "failed": 0, "paused": 0}}
                reading = {"jobCounts": {**idle["jobCounts"], "paused": paused}}
                return Reply(
                    jobs,
                    {"smartSearch": idle, "faceDetection": idle, "facialRecognition": idle, "ocr": reading},
                )
            case "GET", "/":
                html = "text/html" in request.headers.get("accept", "")
                return Reply(200, b"<!doctype html>") if html else Reply(406)
            case "GET", _ if path.endswith("/thumbnail"):
                count["thumbnail"] += 1
                return Reply(200, b"webp") if count["thumbnail"] > thumbnails_after else Reply(404)
            case _:
                return None

    return reply


def run(
    replies: Replies, wait: float = 5, *, gpu: bool = False
) -> tuple[dict[str, Measurement], list[Request]]:
    with answering(replies) as (there, seen), session(there.wire, site(there, there.doors[0]), KEY) as opened:
        found = measure(opened, pictures=3, side=32, wait=wait, gpu=gpu)
        return {one.name: one for one in found}, seen


def test_all_that_the_systems_want_is_measured_and_the_pictures_are_removed() -> None:
    found, seen = run(immich(thumbnails_after=2))
    assert all(one.value is not None for one in found.values()), found
    assert found.keys() >= {
        "upload",
        "thumbnails",
        "machine-learning",
        "search-person",
        "search-again",
        "page",
    }
    assert (found["upload"].aim, found["search-again"].aim) == (5.0, 0.2)
    uploads = [one.body for one in seen if one.method == "POST" and one.path == "/api/assets"]
    assert len(set(uploads)) == 3, "no two pictures are alike"
    assert seen[-1].method == "DELETE"
    assert json.loads(seen[-1].body) == {"ids": ["asset-1", "asset-2", "asset-3"], "force": True}


def test_the_aim_of_machine_learning_is_for_ten_photos_and_lower_with_a_gpu() -> None:
    # 20 s and 5 s for ten of system hwc; these are three.
    assert run(immich())[0]["machine-learning"].aim == 6.0
    assert run(immich(), gpu=True)[0]["machine-learning"].aim == 1.5


def test_what_cannot_be_measured_says_why_and_the_rest_is_measured() -> None:
    found, seen = run(immich(thumbnails_after=10**6, jobs=403), wait=0.5)
    assert (found["thumbnails"].value, found["machine-learning"].value) == (None, None)
    assert "not done after" in found["thumbnails"].what
    assert "administrator" in found["machine-learning"].what
    assert found["upload"].value is not None
    assert seen[-1].method == "DELETE"


def test_machine_learning_that_learned_nothing_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolchain.baseline.measure._SETTLED", 0.3)
    found, _ = run(immich(learned=False))
    assert found["machine-learning"].value is None
    assert "does not know 3 of 3 pictures" in found["machine-learning"].what


def test_a_queue_that_is_paused_is_told() -> None:
    found, _ = run(immich(paused=3))
    assert found["machine-learning"].value is None
    assert "paused, with jobs in it: ocr" in found["machine-learning"].what


def test_pictures_that_stay_are_told() -> None:
    with pytest.raises(ToolchainError, match=r"3 pictures .* could not be removed \(403"):
        run(immich(deletes=403))


def one(name: str, value: float | None, unit: str = "s") -> Measurement:
    return Measurement(name=name, value=value, unit=unit, what="", aim=None)


def test_a_ratio_above_one_is_slower_whatever_the_unit() -> None:
    before = {"time": 1, "version": "3.3.0", "values": {"upload": 2.0, "upload-rate": 10.0, "page": 0}}
    assert store.ratio(one("upload", 3.0), before) == 1.5
    assert store.ratio(one("upload-rate", 5.0, "MB/s"), before) == 2.0
    assert store.ratio(one("page", 1.0), before) is None
    assert store.ratio(one("upload", None), before) is None
    assert store.ratio(one("upload", 3.0), None) is None
    shown = store.table([one("upload", 3.0), one("search", 0.1)], before).splitlines()
    assert "1.50  slower" in shown[1]
    assert "-" in shown[2].split()


def test_runs_are_kept_and_the_oldest_go(tmp_path: Path) -> None:
    path = store.file("unit", tmp_path / "baseline")
    assert store.read(path) == []
    for number in range(store.KEPT + 3):
        store.append(path, store.run_of(number, "3.3.1", [one("upload", 1.0), one("page", None)]))
    runs = store.read(path)
    assert (len(runs), runs[-1]["time"], runs[-1]["values"]) == (store.KEPT, store.KEPT + 2, {"upload": 1.0})
    path.write_text('{"runs": [1]}', encoding="utf-8")
    with pytest.raises(ToolchainError, match="remove it to begin anew"):
        store.read(path)


def test_the_second_run_is_compared_with_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "file", lambda stack: tmp_path / f"{stack}.json")
    base = target(options=Options(api_key=KEY))
    with answering(immich(), base) as (there, _):
        first = json.loads(command.run(there, pictures=1, as_json=True))
        second = command.run(there, pictures=1, as_json=False)
    assert (first["previous"], {one["ratio"] for one in first["measurements"]}) == (None, {None})
    assert "1 runs before, the last with 3.3.1" in second
    assert KEY not in second + json.dumps(first)


def test_without_a_key_it_says_which_one_is_needed() -> None:
    with pytest.raises(ToolchainError, match=r"IMMICH_API_KEY is not set.*asset\.upload"):
        command.run(target(), pictures=1, as_json=False)
