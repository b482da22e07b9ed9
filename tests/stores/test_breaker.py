"""A server that fails or drags is left alone, tried by one, and used again when it is quick."""

from __future__ import annotations

import pytest

from recsvc.stores.breaker import MAX_SLOW, Breaker

from .conftest import HandClock

QUICK, SLOW = 0.001, 0.03


@pytest.fixture
def breaker(clock: HandClock) -> Breaker:
    return Breaker(0.025, 1.0, monotonic=clock)


def test_after_a_failure_nobody_asks_until_one_may_try(breaker: Breaker, clock: HandClock) -> None:
    breaker.note_failure()
    assert breaker.is_open and not breaker.lets_through()
    clock.seconds += 1.0
    assert [breaker.lets_through() for _ in range(3)] == [True, False, False]
    breaker.note_failure()
    assert not breaker.lets_through()
    clock.seconds += 1.0
    assert breaker.lets_through()
    breaker.note_answer(QUICK)
    assert not breaker.is_open
    assert [breaker.lets_through() for _ in range(3)] == [True, True, True]


def test_slow_answers_open_it_and_a_quick_one_between_them_does_not(breaker: Breaker) -> None:
    for seconds in [SLOW] * (MAX_SLOW - 1) + [QUICK] + [SLOW] * (MAX_SLOW - 1):
        breaker.note_answer(seconds)
    assert not breaker.is_open
    breaker.note_answer(SLOW)
    assert breaker.is_open and not breaker.lets_through()


def test_while_the_server_drags_on_each_rest_costs_one_slow_answer(
    breaker: Breaker, clock: HandClock
) -> None:
    asked = 0
    for _ in range(40):
        if breaker.lets_through():
            asked += 1
            breaker.note_answer(SLOW)
        clock.seconds += 0.25
    assert asked == MAX_SLOW + 8
    assert breaker.is_open


def test_what_it_has_opened_for_is_counted_once_for_each_time(breaker: Breaker, clock: HandClock) -> None:
    for _ in range(2):
        for _ in range(3):
            breaker.note_failure()  # Several threads were waiting for the same answer.
        clock.seconds += 1.0
        assert breaker.lets_through()
        breaker.note_failure()
        breaker.note_answer(QUICK)
    assert breaker.n_openings == 2
