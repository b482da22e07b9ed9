"""A model may be swapped and every worker replaced while callers ask, and none of them notices."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks.load import Answer
from benchmarks.swapped_service import Service, publish_two, served
from benchmarks.swaps import Watch, watch_restarts, watch_swaps

VERSIONS = {"north": "v1", "south": "v2"}


def answer(*titles: str, version: str = "v1", named: str = "v1", status: int = 200) -> Answer:
    body = json.dumps({"model_version": version, "items": [{"title": title} for title in titles]}).encode()
    raw = f"HTTP/1.1 {status} OK\r\nX-Model-Version: {named}\r\n\r\n".encode() + body
    return Answer(0, 0.0, 1.0, status, raw if status else b"")


@pytest.mark.parametrize(
    ("heard", "failed", "n_mixed"),
    [
        (answer("north sea", "north wind"), {}, 0),
        (answer("north sea", "south wind"), {}, 1),
        (answer("south sea"), {}, 1),
        (answer("north sea", named="v2"), {}, 1),
        (answer(status=503), {"503": 1}, 0),
        (answer(status=0), {"broken": 1}, 0),
    ],
)
def test_an_answer_that_mixes_versions_or_fails_is_counted(
    heard: Answer, failed: dict[str, int], n_mixed: int
) -> None:
    watch = Watch(Service(0, 0, VERSIONS, ["c1"], 1))
    watch.hear(heard)
    assert (watch.failed, watch.n_mixed) == (failed, n_mixed)


def test_swaps_and_restarts_under_load_answer_every_request_and_mix_no_versions(
    published: tuple[Path, Path], tmp_path: Path
) -> None:
    if sys.platform != "linux":
        pytest.skip("workers are read from /proc")
    (tmp_path / "models").mkdir()
    versions = publish_two(published[0], tmp_path / "models", megabytes=5)
    with served(tmp_path, versions, 2) as service:
        swaps = watch_swaps(service, 2, every_seconds=2, per_second=30)
        assert swaps.report.is_good and swaps.n_unseen == 0, swaps
        restarts = watch_restarts(service, 2, per_second=30)
        assert restarts.report.is_good and restarts.n_done == 2, restarts
        assert restarts.report.n_dropped == 0, restarts
        assert swaps.report.n_answers > 50 and restarts.report.n_answers > 100
