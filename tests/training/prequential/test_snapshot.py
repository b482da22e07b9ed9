"""A snapshot is what a live state would hold that took in the same events one by one."""

from __future__ import annotations

import numpy as np
import pytest

from recsvc.live.scoring import HalfLives, part_scores
from recsvc.live.state import Bounds, LiveState
from recsvc.training.prequential.snapshot import MOST_MEETINGS, snapshot_before, state_before
from recsvc.training.prequential.stream import EventStream, event_stream
from tests.training.examples import POLICY, busy_history, shuffled

HALF_LIVES = (0.25, 7.0)
BOUNDS = Bounds(n_items=200, n_customers=500, n_readers=8, n_recent=100)


@pytest.fixture(scope="module")
def stream() -> EventStream:
    return event_stream(busy_history(), POLICY)


def recorded(stream: EventStream, end: int) -> LiveState:
    state = LiveState(HALF_LIVES, BOUNDS)
    for customer, item, at in zip(
        stream.customers[:end], stream.items[:end], stream.seconds[:end], strict=True
    ):
        state.record(stream.customer_ids[customer], stream.item_ids[item], float(at))
    return state


def test_it_counts_as_the_state_that_recorded_every_event(stream: EventStream) -> None:
    state, end = recorded(stream, len(stream)), float(stream.seconds[-1])
    taken = snapshot_before(
        stream, len(stream), HALF_LIVES, customer_ids=stream.customer_ids, item_ids=stream.item_ids
    )
    rows = state.rows_of(stream.item_ids)
    for place, days in enumerate(HALF_LIVES):
        counts = taken.log_counts[:, place] - end / (days * 86_400)
        assert counts == pytest.approx(state.log_counts(place, end)[rows], abs=1e-9)
    assert (taken.firsts == state.firsts()[rows]).all() and (taken.lasts == state.lasts()[rows]).all()
    pairs = set(zip(stream.customers.tolist(), stream.items.tolist(), strict=True))
    assert taken.n_met.sum() == len(taken.seconds) == len(pairs) < len(stream) < MOST_MEETINGS
    assert (np.diff(taken.seconds) >= 0).all()


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_the_state_that_is_restored_from_it_scores_as_the_recorded_one(
    stream: EventStream, share: float
) -> None:
    end = int(len(stream) * share)
    one, other = recorded(stream, end), state_before(stream, end, HALF_LIVES, BOUNDS)
    assert other.latest == one.latest and other.n_items == one.n_items
    at = one.latest + 3_600.0
    item_ids = list(one.item_ids)
    for customer_id in (*stream.customer_ids[::20], "stranger"):
        told, again = (
            part_scores(state, customer_id, state.rows_of(item_ids), HalfLives(0, 1), at)
            for state in (one, other)
        )
        assert again == pytest.approx(told, abs=1e-9)


def test_whoever_is_not_asked_for_is_counted_and_not_named(stream: EventStream) -> None:
    facts = (stream, len(stream), HALF_LIVES)
    whole = snapshot_before(*facts, customer_ids=stream.customer_ids, item_ids=stream.item_ids)
    some = snapshot_before(*facts, customer_ids=stream.customer_ids[5:], item_ids=stream.item_ids[3:])
    assert (some.log_counts == whole.log_counts[3:]).all() and (some.n_met == whole.n_met[3:]).all()
    kept = (whole.customers >= 5) & (whole.items >= 3)
    assert some.customers.tolist() == (whole.customers[kept] - 5).tolist()
    assert some.items.tolist() == (whole.items[kept] - 3).tolist()


def test_the_order_of_the_rows_changes_no_bit(stream: EventStream) -> None:
    again = event_stream(shuffled(busy_history()), POLICY)
    one, other = (
        snapshot_before(each, len(each), HALF_LIVES, customer_ids=each.customer_ids, item_ids=each.item_ids)
        for each in (stream, again)
    )
    assert one.log_counts.tobytes() == other.log_counts.tobytes()
    assert one.customers.tolist() == other.customers.tolist()
