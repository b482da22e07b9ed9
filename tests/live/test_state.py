"""The live state counts, forgets and stays within its bounds."""

from __future__ import annotations

import numpy as np
import pytest

from recsvc.live.state import SECONDS_A_DAY, Bounds, LiveState, Snapshot

DAY = SECONDS_A_DAY


def a_state(*meetings: tuple[str, str, float], bounds: Bounds | None = None) -> LiveState:
    """A state with a half-life of one day and one of seven, after meetings whose times are in days."""
    state = LiveState((1.0, 7.0), bounds or Bounds())
    for customer_id, item_id, days in meetings:
        state.record(customer_id, item_id, days * DAY)
    return state


def counts(state: LiveState, days: float, half_life: int = 0) -> list[float]:
    return [round(float(one), 9) for one in np.exp2(state.log_counts(half_life, days * DAY))]


def test_a_count_halves_in_a_half_life() -> None:
    state = a_state(("c1", "a", 0), ("c2", "a", 1), ("c1", "b", 1))
    assert counts(state, 1) == [1.5, 1.0]
    assert counts(state, 2) == [0.75, 0.5]
    assert counts(state, 8, half_life=1)[1] == 0.5


def test_what_comes_late_counts_as_if_it_had_come_in_time() -> None:
    in_time = a_state(("c1", "a", 0), ("c2", "a", 3))
    late = a_state(("c2", "a", 3), ("c1", "a", 0))
    assert counts(in_time, 4) == counts(late, 4)
    assert (late.firsts()[0], late.lasts()[0]) == (0, 3 * DAY)


def test_of_one_who_is_forgotten_only_the_counts_are_left() -> None:
    state = a_state(("c1", "a", 0), ("gone", "a", 1), ("gone", "b", 2), ("c2", "b", 3))
    before = counts(state, 3)
    state.forget(["gone"])
    state.forget(["nobody"])
    assert state.customer_ids() == ["c1", "c2"]
    assert state.customer_row("gone") is None
    assert counts(state, 3) == before
    readers = state.readers(state.item_rows(["a", "b"]))
    assert {int(one) for one in readers.ravel()} == {-1, state.customer_row("c1"), state.customer_row("c2")}
    for customer_id in ("c1", "c2"):
        row = state.customer_row(customer_id)
        assert row is not None and not state.likeness(row).any()


def test_many_are_forgotten_as_if_one_by_one_in_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    meetings = [(f"c{number}", f"i{number % 7}", float(number)) for number in range(600)]
    one_by_one, at_once = a_state(*meetings), a_state(*meetings)
    gone = [f"c{number}" for number in range(0, 600, 2)]
    for each in gone:
        one_by_one.forget([each])
    looks: list[int] = []
    isin = np.isin

    def counted(*args: np.ndarray) -> np.ndarray:
        looks.append(1)
        return isin(*args)

    monkeypatch.setattr(np, "isin", counted)
    at_once.forget([*gone, "nobody"])
    assert len(looks) == 1
    assert at_once.customer_ids() == one_by_one.customer_ids() == [f"c{n}" for n in range(1, 600, 2)]
    rows = at_once.item_rows([f"i{number}" for number in range(7)])
    assert np.array_equal(at_once.readers(rows), one_by_one.readers(rows))
    assert n_places(at_once) == n_places(one_by_one)


def test_one_who_was_forgotten_comes_back_as_a_stranger() -> None:
    state = a_state(("gone", "a", 0), ("c1", "a", 1))
    state.forget(["gone"])
    state.record("gone", "a", 2 * DAY)
    assert counts(state, 2)[0] == pytest.approx(0.25 + 0.5 + 1.0)
    row = state.customer_row("gone")
    assert row is not None and state.seen(row) == (2 * DAY, 2 * DAY)


def test_rows_of_the_forgotten_are_the_first_to_be_given_away() -> None:
    bounds = Bounds(n_items=4, n_customers=16, n_readers=4, n_recent=2)
    state = a_state(*((f"c{number}", "a", number) for number in range(16)), bounds=bounds)
    for _ in range(3):
        for number in (3, 7):
            state.forget([f"c{number}"])
            state.record(f"c{number}", "b", 50 * DAY)
        assert {f"c{number}" for number in range(16)} >= set(state.customer_ids())
        assert state.n_customers <= 16
    state = a_state(*((f"c{number}", "a", number) for number in range(16)), bounds=bounds)
    state.forget(["c14"])
    state.forget(["c15"])
    state.record("new", "a", 60 * DAY)
    assert set(state.customer_ids()) == {*(f"c{number}" for number in range(14)), "new"}


def test_a_second_meeting_is_the_latest_and_counts_no_more() -> None:
    state = a_state(("c1", "a", 0), ("c1", "a", 2))
    assert counts(state, 2) == [0.25]
    assert state.lasts()[0] == 2 * DAY


def test_a_meeting_that_comes_late_is_not_when_the_customer_was_last_seen() -> None:
    state = a_state(("c1", "a", 1), ("c1", "b", 5), ("c1", "c", 3))
    row = state.customer_row("c1")
    assert row is not None and state.seen(row) == (5 * DAY, 0)
    late = a_state(("c1", "a", 2), ("c2", "b", 4), ("c1", "b", 6), ("c1", "c", 3))
    row = late.customer_row("c1")
    assert row is not None and late.seen(row) == (6 * DAY, 2 * DAY)


def readers_of(state: LiveState, item_id: str) -> set[str]:
    names = {state.customer_row(one): one for one in state.customer_ids()}
    return {names[row] for row in state.readers(state.item_rows([item_id])).ravel().tolist() if row >= 0}


def test_after_a_restore_who_comes_next_replaces_the_oldest_reader() -> None:
    bounds = Bounds(n_items=10, n_customers=100, n_readers=4, n_recent=5)
    whole = a_state(*((f"c{number}", "a", number) for number in range(12)), bounds=bounds)
    snapshot = Snapshot(
        log_counts=np.stack([whole.log_counts(place, 0.0) for place in range(2)], axis=1),
        firsts=whole.firsts().copy(),
        lasts=whole.lasts().copy(),
        n_met=np.array([12]),
        customers=np.array([9, 10, 11], np.int32),
        items=np.zeros(3, np.int32),
        seconds=np.array([9.0, 10.0, 11.0]) * DAY,
    )
    restored = LiveState.restored((1.0, 7.0), bounds, snapshot, ["a"], "c{}".format)
    for number in range(12, 15):
        for state in (whole, restored):
            state.record(f"c{number}", "a", number * DAY)
        assert (
            readers_of(restored, "a")
            == readers_of(whole, "a")
            == {f"c{n}" for n in range(number - 3, number + 1)}
        )
    me = [state.customer_row("c14") for state in (whole, restored)]
    weights = [s.likeness(row)[s.customer_row("c13")] for s, row in zip((whole, restored), me, strict=True)]
    assert weights[0] == weights[1] == pytest.approx(1 / np.log2(2 + 15) / (1 + 4))


def test_of_more_customers_than_there_is_room_for_a_restore_forgets_those_longest_unseen() -> None:
    whole = a_state(*((f"c{number}", "a", number) for number in range(9)))
    snapshot = Snapshot(
        log_counts=np.stack([whole.log_counts(place, 0.0) for place in range(2)], axis=1),
        firsts=whole.firsts().copy(),
        lasts=whole.lasts().copy(),
        n_met=np.array([9]),
        customers=np.arange(9, dtype=np.int32),
        items=np.zeros(9, np.int32),
        seconds=np.arange(9.0) * DAY,
    )
    bounds = Bounds(n_items=10, n_customers=8, n_readers=16, n_recent=5)
    restored = LiveState.restored((1.0, 7.0), bounds, snapshot, ["a"], "c{}".format)
    assert restored.customer_ids() == [f"c{number}" for number in range(1, 9)]
    assert readers_of(restored, "a") == set(restored.customer_ids())


def test_decades_of_events_under_a_half_life_of_an_hour_stay_finite() -> None:
    state = LiveState((1 / 24,))
    for day in (0, 10_000, 20_000):
        state.record(f"c{day}", "a", day * DAY)
    assert state.log_counts(0, 20_000 * DAY)[0] == pytest.approx(0, abs=1e-6)


def test_likeness_is_the_share_of_the_others_items_that_were_met_too() -> None:
    state = a_state(("me", "a", 0), ("near", "a", 1), ("near", "b", 2), ("far", "c", 3))
    me, near, far = (state.customer_row(one) for one in ("me", "near", "far"))
    assert me is not None
    likeness = state.likeness(me)
    assert likeness[near] == pytest.approx((1 / np.log2(4)) / (2 + 4))
    assert likeness[me] == likeness[far] == likeness[-1] == 0


def test_memory_is_bounded_and_what_is_hot_stays() -> None:
    state = LiveState((1.0,), Bounds(n_items=16, n_customers=24, n_readers=4, n_recent=3))
    for turn in range(2_000):
        state.record(f"c{turn % 97}", f"i{turn}", turn * 600.0)
        state.record(f"d{turn % 89}", "hot", turn * 600.0)
        assert state.n_items <= 16
    assert len(state.item_rows(["hot"])) == 1 and len(state.item_rows(["i3"])) == 0
    assert state.customer_row("c0") is None or state.customer_row("c1") is None
    known = state.customer_row("d41")  # The last who met anything: 1,999 is 41 more than 22 times 89.
    assert known is not None
    assert state.readers(state.item_rows(["hot", "i1999"])).max() < 24
    likeness = state.likeness(known)
    assert np.isfinite(likeness).all() and likeness.min() == 0


def n_places(state: LiveState) -> dict[str, int]:
    """How many places each of the state's tables has."""
    kept = {name: table for name, table in vars(state).items() if isinstance(table, np.ndarray | dict | list)}
    return {name: table.size if isinstance(table, np.ndarray) else len(table) for name, table in kept.items()}


def test_ten_times_as_many_items_and_customers_take_no_more_places() -> None:
    bounds = Bounds(n_items=300, n_customers=400, n_readers=8, n_recent=4)
    state = LiveState((1.0, 7.0), bounds)
    for number in range(400):
        state.record(f"c{number}", f"i{number % 300}", number * 60.0)
    full = n_places(state)
    assert sum(full.values()) > 300 * (8 + 2 + 5) + 400 * (4 + 4)
    for number in range(400, 4_000):
        state.record(f"c{number}", f"i{number}", number * 60.0)
        if number % 50 == 0:
            state.forget([f"c{number - 7}"])
            state.record(f"c{number - 7}", "back", number * 60.0)
        now = n_places(state)
        assert all(now[name] <= places for name, places in full.items())


def test_a_row_that_is_given_anew_carries_nothing_of_the_item_before() -> None:
    bounds = Bounds(n_items=2, n_customers=10, n_readers=4, n_recent=4)
    state = a_state(("c1", "old", 0), ("c2", "warm", 5), ("c3", "new", 6), bounds=bounds)
    assert len(state.item_rows(["old"])) == 0
    assert counts(state, 6) == [0.5, 1.0]
    c1 = state.customer_row("c1")
    assert c1 is not None and state.likeness(c1).max() == 0
    assert (state.readers(state.item_rows(["new"])) >= 0).sum() == 1


def test_every_row_is_told_by_the_id_of_its_item_also_after_rows_have_moved() -> None:
    state = LiveState((1.0,), Bounds(n_items=16, n_customers=24, n_readers=4, n_recent=3))
    for turn in range(100):
        before = state.item_ids
        asked = list(before)
        state.record("c1", f"i{turn % 37}", turn * 600.0)
        assert state.rows_of(state.item_ids).tolist() == list(range(state.n_items))
        assert list(before)[: len(asked)] == asked  # Whoever holds the old ids reads the old rows by them.
