"""What stands ready is answered at once, and one thread at a time takes requests."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from queue import Queue
from typing import Any

import granian.wsgi
import pytest
from granian.server import mp

from recsvc.cli import direct_answers
from recsvc.cli.direct_answers import Turns, answer_directly, answers_directly
from recsvc.cli.workers import LEAVING, Farewell

READY = {"PATH_INFO": "/ready"}
LATER = {"PATH_INFO": "/later"}
IN_VAIN = {"PATH_INFO": "/in-vain"}
OTHER = {"PATH_INFO": "/other"}
Sent = tuple[int, list[tuple[str, str]], bytes]


class Taken:
    """Takes an answer as granian would."""

    def __init__(self) -> None:
        self.sent = Queue[Sent]()

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.sent.put((status, headers, body))


class Answering:
    """Some stands ready; some is told by another thread, if only that nothing can be told so."""

    def at_hand(self, scope: dict[str, Any]) -> Sent | None:
        return (200, [("X-From", "memory")], b"ready") if scope["PATH_INFO"] == "/ready" else None

    def ask(self, scope: dict[str, Any], heard: Callable[[Sent | None], object]) -> bool:
        path = scope["PATH_INFO"]
        if path == "/later":
            started(lambda: heard((200, [("X-From", "Redis")], b"later")))
        elif path == "/in-vain":
            started(lambda: heard(None))
        else:
            return False
        return True


@pytest.fixture
def wrapped(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Any]:
    """Wraps an application, so that it is what granian calls for each request."""
    monkeypatch.setattr(mp, direct_answers.WRAPPER, granian.wsgi._callback_wrapper)
    answer_directly(Answering(), 1)
    return lambda application: getattr(mp, direct_answers.WRAPPER)(application, {}, None)


def started(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_the_release_of_granian_in_use_lets_us_answer_directly() -> None:
    assert answers_directly()
    parameters = inspect.signature(getattr(mp, direct_answers.WRAPPER)).parameters
    assert list(parameters)[:2] == ["callback", "scope_opts"]
    # Looked up where a worker begins to serve, and not before: ours has taken its place by then.
    begin = inspect.unwrap(mp.MPServer._spawn_wsgi_worker)
    assert direct_answers.WRAPPER in begin.__code__.co_names


def test_what_stands_ready_needs_no_application_and_all_else_is_answered_by_it(
    wrapped: Callable[[Any], Any],
) -> None:
    seen: list[dict[str, Any]] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(environ)
        start_response("201 CREATED", [("X-From", "application")])
        return [b"a", b"b"]

    answer, taken = wrapped(application), Taken()
    answer(taken, dict(READY))
    answer(taken, dict(OTHER))
    assert taken.sent.get_nowait() == (200, [("X-From", "memory")], b"ready")
    assert taken.sent.get_nowait() == (201, [("X-From", "application")], b"ab")
    assert [(each["PATH_INFO"], each["SERVER_SOFTWARE"]) for each in seen] == [("/other", "Granian")]


def test_what_is_told_later_holds_up_nobody_and_what_cannot_be_told_goes_the_whole_way(
    wrapped: Callable[[Any], Any],
) -> None:
    threads: list[str] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        threads.append(threading.current_thread().name)
        start_response("200 OK", [("X-From", "application")])
        return [environ["PATH_INFO"].encode()]

    answer, later, in_vain = wrapped(application), Taken(), Taken()
    answer(later, dict(LATER))
    answer(in_vain, dict(IN_VAIN))
    assert later.sent.get(timeout=10) == (200, [("X-From", "Redis")], b"later")
    assert in_vain.sent.get(timeout=10) == (200, [("X-From", "application")], b"/in-vain")
    assert threads != [threading.current_thread().name]
    assert (later.sent.empty(), in_vain.sent.empty()) == (True, True)


def test_a_worker_that_leaves_says_of_every_answer_that_it_is_the_last(
    wrapped: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("X-From", "application")])
        return [b"ready"]

    answer, taken = wrapped(Farewell(application)), Taken()
    monkeypatch.setattr(LEAVING, "is_on", True)
    for scope in (READY, LATER):
        answer(taken, dict(scope))
        assert taken.sent.get_nowait()[1] == [("X-From", "application"), ("Connection", "close")]


def test_a_thread_whose_application_failed_takes_requests_again(wrapped: Callable[[Any], Any]) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        raise ZeroDivisionError

    answer, taken = wrapped(application), Taken()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            answer(taken, dict(OTHER))
    answer(taken, dict(READY))
    assert taken.sent.get_nowait()[2] == b"ready"


def test_of_two_threads_one_rests_until_the_other_has_to_wait(wrapped: Callable[[Any], Any]) -> None:
    goes_on = threading.Event()

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        goes_on.wait(10)
        start_response("200 OK", [])
        return [b"slow"]

    answer, slow, taken = wrapped(application), Taken(), Taken()
    answer(taken, dict(READY))
    rests = started(lambda: answer(taken, dict(READY)))
    assert [taken.sent.get(timeout=10)[2] for _ in range(2)] == [b"ready"] * 2
    rests.join(0.05)
    assert rests.is_alive()

    def ask_again() -> None:
        rests.join(10)  # It takes requests, since this thread is away.
        taken.sent.put((0, [], b"" if rests.is_alive() else b"takes"))
        goes_on.set()

    started(ask_again)
    answer(slow, dict(OTHER))
    assert (taken.sent.get(timeout=10)[2], slow.sent.get(timeout=10)[2]) == (b"takes", b"slow")


def test_who_rests_takes_requests_once_the_thread_that_did_has_ended() -> None:
    turns, ends, came = Turns(), threading.Event(), threading.Event()

    def take() -> None:
        turns.come()
        came.set()
        ends.wait(10)

    def take_too() -> None:
        turns.come()
        turns.rest()

    takes = started(take)
    assert came.wait(10)
    rests = started(take_too)
    rests.join(0.05)
    assert rests.is_alive()
    ends.set()
    takes.join(10)
    rests.join(10)
    assert not rests.is_alive()


def test_somebody_takes_requests_whatever_order_threads_come_and_wait_in() -> None:
    """Each of many threads takes what there is, a third of which has to be waited for."""
    turns, todo, done = Turns(), Queue[int](), Queue[int]()
    for number in range(3_000):
        todo.put(number)

    def work() -> None:
        while True:
            number = todo.get()
            turns.come()
            if number % 3:
                done.put(number)
            else:
                with turns.away():
                    done.put(number)
            if turns.n_taking > 1:
                turns.rest()

    for _ in range(5):
        started(work)
    assert sorted(done.get(timeout=10) for _ in range(3_000)) == list(range(3_000))
