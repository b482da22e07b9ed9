"""Requests that bring no id of their own get one that nobody else has."""

from __future__ import annotations

import re
import sys
import threading

from recsvc.request_ids import request_ids

DRAWN = "0123456789abcdef"


def test_ids_begin_with_what_was_drawn_and_count_on_from_block_to_block() -> None:
    new_id = request_ids(DRAWN)
    made = [new_id() for _ in range(70_000)]
    assert made == [f"{DRAWN}{number:016x}" for number in range(70_000)]
    assert re.fullmatch(r"[0-9a-f]{32}", made[-1])


def test_no_two_threads_get_the_same_id() -> None:
    new_id, made = request_ids(DRAWN), list[list[str]]()

    def take() -> None:
        made.append([new_id() for _ in range(20_000)])

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({each for taken in made for each in taken}) == 80_000


def test_no_thread_comes_between_when_another_one_begins_a_block() -> None:
    """The interpreter goes over to another thread only where Python runs."""
    new_id, ran = request_ids(DRAWN), list[str]()
    sys.setprofile(lambda _frame, event, _argument: ran.append(event))
    try:
        for _ in range(600):
            new_id()
    finally:
        sys.setprofile(None)
    assert ran and "call" not in ran
