"""Training runs over HTTP: asked for once, watched, cancelled, and never two at a time."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from recsvc.api.app import create_app
from recsvc.api.run_events import MAX_STREAMS, STREAM_SECONDS, Snapshot, StreamPlaces, events_of, most_streams
from recsvc.api.training_schemas import TrainingRunSchema
from recsvc.domain.training_runs import Beat, Outcome, RunState
from recsvc.errors import RedisError
from recsvc.policy import load_policy
from recsvc.services import Services
from recsvc.serving.training_desk import TrainingDesk
from recsvc.stores.memory_training_runs import MemoryTrainingRuns
from tests.api.fakes import NOW, Reply, fake_services, send
from tests.fake_jobs import FakeJobs

RUNS = "/v1/training-runs"
MARKETER = "rs_marketer"


@pytest.fixture
def runs() -> MemoryTrainingRuns:
    return MemoryTrainingRuns()


@pytest.fixture
def jobs() -> FakeJobs:
    return FakeJobs()


@pytest.fixture
def services(runs: MemoryTrainingRuns, jobs: FakeJobs) -> Services:
    ids = (f"t{number}" for number in range(1, 100))
    desk = TrainingDesk(runs, jobs, load_policy().training, clock=lambda: NOW, new_id=lambda: next(ids))
    made = fake_services()
    return Services(**{name: getattr(made, name) for name in Services.__slots__} | {"training_runs": desk})


def post(app: Flask, body: Any = None, path: str = RUNS, **headers: str) -> Reply:
    sent = [("Content-Type", "application/json"), *((k.replace("_", "-"), v) for k, v in headers.items())]
    content = b"" if path != RUNS else json.dumps({} if body is None else body).encode()
    return send(app, path, method="POST", key=MARKETER, headers=sent, body=content)


def get(app: Flask, path: str, **headers: str) -> Reply:
    return send(app, path, key=MARKETER, headers=[(k.replace("_", "-"), v) for k, v in headers.items()])


def end(runs: MemoryTrainingRuns, run_id: str, state: RunState = RunState.SUCCEEDED) -> None:
    runs.claim(run_id, now=NOW)
    runs.finish(run_id, Outcome(state, "v1"), now=NOW)


def test_a_run_is_queued_and_can_be_watched(app: Flask, jobs: FakeJobs) -> None:
    reply = post(app, {"model": "als", "factors": 64, "since": "2026-01-01"})
    assert (reply.status, reply.header("Location")) == (202, f"{RUNS}/t1")
    assert jobs.carried == ["t1"]
    watched = get(app, f"{RUNS}/t1")
    assert (watched.status, watched.json) == (200, reply.json)
    assert TrainingRunSchema().validate(watched.json) == {}
    assert (watched.json["state"], watched.json["asked_by"]) == ("queued", f"k_{MARKETER}")
    assert watched.json["request"]["since"] == "2026-01-01T00:00:00Z"
    assert (watched.json["request"]["factors"], watched.json["request"]["alpha"]) == (64, None)


def test_a_run_needs_nothing_said(app: Flask) -> None:
    assert (
        post(app, {"factors": None, "name": None, "model": None, "promote": None}).json["request"]["model"]
        == "auto"
    )


def test_while_a_run_is_open_another_is_refused_with_its_place(
    app: Flask, runs: MemoryTrainingRuns, jobs: FakeJobs
) -> None:
    post(app)
    for prepare in (lambda: None, lambda: runs.claim("t1", now=NOW)):
        prepare()
        refused = post(app, {"model": "als"})
        assert (refused.status, refused.json["type"]) == (409, "/problems/conflict")
        assert refused.header("Location") == f"{RUNS}/t1"
    end(runs, "t1")
    assert post(app).status == 202
    assert len(jobs.carried) == 2


def test_the_same_key_is_the_same_run_whatever_has_become_of_it(
    app: Flask, runs: MemoryTrainingRuns, jobs: FakeJobs
) -> None:
    first = post(app, {"model": "als"}, Idempotency_Key="k1")
    assert post(app, {"model": "als"}, Idempotency_Key="k1").json == first.json
    end(runs, "t1")
    again = post(app, {"model": "als"}, Idempotency_Key="k1")
    assert (again.status, again.json["run_id"], again.json["state"]) == (202, "t1", "succeeded")
    assert post(app, {"model": "ease"}, Idempotency_Key="k1").status == 409
    assert jobs.carried == ["t1"]


@pytest.mark.parametrize("key", ["", "k" * 201, "two words", "ключ"])
def test_a_key_that_is_none_is_refused(app: Flask, key: str) -> None:
    refused = post(app, Idempotency_Key=key)
    assert (refused.status, refused.pointers) == (422, ["header/Idempotency-Key"])


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"model": "svd"}, "/model"),
        ({"model": "als", "factors": 1e9}, "/factors"),
        ({"model": "als", "factors": "64"}, "/factors"),
        ({"factors": 64}, "/factors"),
        ({"model": "ease", "alpha": 2}, "/alpha"),
        ({"model": "als", "regularization": 0}, "/regularization"),
        ({"since": "2026-02-30"}, "/since"),
        ({"since": "2026-02-01", "until": "2026-01-01T00:00:00Z"}, "/since"),
        ({"promote": "always"}, "/promote"),
        ({"name": "n" * 101}, "/name"),
        ({"time_budget_seconds": 0}, "/time_budget_seconds"),
        ({"import_url": "http://127.0.0.1/"}, "/import_url"),
        ([], ""),
    ],
)
def test_what_no_run_can_be_is_refused_with_its_place(
    app: Flask, runs: MemoryTrainingRuns, body: Any, pointer: str
) -> None:
    refused = post(app, body)
    assert (refused.status, refused.pointers) == (422, [pointer])
    assert runs.listed() == ()


def test_the_eleventh_run_of_an_hour_waits(app: Flask, runs: MemoryTrainingRuns) -> None:
    for number in range(1, 11):
        assert post(app).status == 202
        end(runs, f"t{number}")
    refused = post(app)
    assert (refused.status, refused.json["type"]) == (429, "/problems/rate-limited")
    assert refused.header("Retry-After") == "3600"


def test_a_run_is_queued_while_redis_is_down(app: Flask, jobs: FakeJobs) -> None:
    jobs.failure = RedisError("Redis does not answer")
    assert post(app).status == 202
    assert get(app, f"{RUNS}/t1").json["state"] == "queued"


def test_runs_are_listed_newest_first(app: Flask, runs: MemoryTrainingRuns) -> None:
    for number in (1, 2, 3):
        post(app)
        end(runs, f"t{number}")
    listed = get(app, f"{RUNS}?limit=2")
    assert [run["run_id"] for run in listed.json["runs"]] == ["t3", "t2"]
    assert get(app, f"{RUNS}?limit=0").pointers == ["query/limit"]


def test_a_run_is_cancelled_once_and_an_ended_one_never(app: Flask, runs: MemoryTrainingRuns) -> None:
    post(app)
    cancelled = post(app, path=f"{RUNS}/t1/cancel")
    assert (cancelled.status, cancelled.json["state"]) == (202, "cancelled")
    assert post(app, path=f"{RUNS}/t1/cancel").status == 409
    post(app)
    runs.claim("t2", now=NOW)
    running = post(app, path=f"{RUNS}/t2/cancel")
    assert (running.status, running.json["state"], running.json["is_cancelling"]) == (202, "running", True)
    assert post(app, path=f"{RUNS}/t9/cancel").status == get(app, f"{RUNS}/t9").status == 404


def test_a_run_that_became_champion_says_so(app: Flask, runs: MemoryTrainingRuns) -> None:
    post(app)
    runs.claim("t1", now=NOW)
    outcome = Outcome(RunState.SUCCEEDED, "v1", ("better",), promotes=True)
    runs.settle("t1", outcome, now=NOW)
    assert get(app, f"{RUNS}/t1").json["promoted"] is False
    runs.finish("t1", outcome, now=NOW)
    shown = get(app, f"{RUNS}/t1").json
    assert (shown["promoted"], shown["version"], shown["reasons"]) == (True, "v1", ["better"])


def test_a_run_whose_worker_died_is_marked_without_another_worker(
    services: Services, runs: MemoryTrainingRuns
) -> None:
    app = create_app(services)
    post(app)
    runs.claim("t1", now=NOW - timedelta(seconds=7.9))
    services.training_runs.mark_silent()
    assert get(app, f"{RUNS}/t1").json["state"] == "running"
    runs.beat("t1", Beat("fit", 0.5), now=NOW - timedelta(seconds=8))
    services.training_runs.mark_silent()
    interrupted = get(app, f"{RUNS}/t1").json
    again = get(app, f"{RUNS}/{interrupted['retried_as']}").json
    assert (interrupted["state"], again["state"], again["attempt"]) == ("interrupted", "queued", 2)


def test_an_ended_run_is_one_event_and_the_stream_ends(app: Flask, runs: MemoryTrainingRuns) -> None:
    post(app)
    end(runs, "t1")
    for _ in range(2 * MAX_STREAMS):  # Each gives its place back.
        stream = get(app, f"{RUNS}/t1/events")
        assert (stream.status, stream.header("Content-Type")) == (200, "text/event-stream; charset=utf-8")
    retry, event, rest = stream.body.decode().split("\n\n")
    lines = dict(line.split(": ", 1) for line in event.splitlines())
    assert (retry, lines["event"], rest) == ("retry: 1000", "run", "")
    assert json.loads(lines["data"]) == get(app, f"{RUNS}/t1").json
    seen = get(app, f"{RUNS}/t1/events", Last_Event_ID=lines["id"])
    assert seen.body.decode() == "retry: 1000\n\n"
    assert get(app, f"{RUNS}/t9/events").status == 404


class Watch:
    """A run that is watched: time passes only while the stream pauses."""

    def __init__(self, contents: list[bytes]) -> None:
        self.contents, self.now = contents, 0.0

    def read(self) -> Snapshot:
        content = self.contents.pop(0) if len(self.contents) > 1 else self.contents[0]
        return Snapshot(content, is_open=content != b"ended")

    def pause(self, seconds: float) -> None:
        self.now += seconds

    def events(self, last_seen: str = "") -> list[bytes]:
        stream = events_of(self.read, last_seen=last_seen, pause=self.pause, monotonic=lambda: self.now)
        return [line for chunk in stream for line in chunk.splitlines() if line[:5] in (b"data:", b": not")]


def test_a_stream_tells_each_change_once_until_the_run_ends() -> None:
    watch = Watch([b"one", b"one", b"two", b"two", b"two", b"ended"])
    assert watch.events() == [b"data: one", b"data: two", b"data: ended"]


def test_a_stream_of_a_run_that_stands_still_ends_after_its_time() -> None:
    watch = Watch([b"one"])
    assert watch.events(Snapshot(b"one", True).event_id) == [b": nothing new"] * 4
    assert watch.now == STREAM_SECONDS


@pytest.mark.parametrize(
    ("threads", "local_slates_mb", "most"), [(1, 64, 1), (2, 64, 2), (8, 64, 2), (1, 0, 0), (2, 0, 1)]
)
def test_streams_leave_a_thread_to_everybody_else(threads: int, local_slates_mb: int, most: int) -> None:
    settings = fake_services(threads=threads, local_slates_mb=local_slates_mb).settings
    assert most_streams(settings) == most
    places = StreamPlaces(lambda: 0.0)
    for _ in range(most):
        places.take(most)
    with pytest.raises(Exception, match="poll the run"):
        places.take(most)


def test_at_most_so_many_streams_are_open_and_a_lost_one_is_not_waited_for() -> None:
    now = [0.0]
    places = StreamPlaces(lambda: now[0])
    leave = [places.take() for _ in range(MAX_STREAMS)]
    with pytest.raises(Exception, match="too many follow"):
        places.take()
    leave[0]()
    leave[0]()
    places.take()
    with pytest.raises(Exception, match="too many follow"):
        places.take()
    now[0] = STREAM_SECONDS + 16
    assert places.take()
