"""A replay judges what the protocol says, and knows what happened before and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from recsvc.errors import TrainingError
from recsvc.history.interactions import InteractionTable
from recsvc.live.state import LiveState
from recsvc.training.prequential.ranking import barred_rows, rank_by_count, rank_of
from recsvc.training.prequential.stream import event_stream, replay
from tests.training.examples import POLICY, busy_history, did, shuffled, table_of, without_times

TINY = table_of(
    did("view", "a", customer_id="c1", days_ago=9),  # The item is new: not judged.
    did("view", "b", customer_id="c1", days_ago=8),
    did("view", "a", customer_id="c2", days_ago=7),  # Rank 2: b has decayed less.
    did("view", "a", customer_id="c2", days_ago=6),  # Not for the first time.
    did("impression", "b", customer_id="c2", days_ago=5.5),  # No strength: as if it had not been.
    did("dismiss", "b", customer_id="c2", days_ago=5.2),
    did("view", "c", customer_id="c3", days_ago=5),
    did("view", "b", customer_id="c2", days_ago=4),  # Rank 2: c is hotter, a was met.
    did("view", "b", customer_id="c3", days_ago=4),  # At the same moment: rank 2 of a and b.
    did("view", "b", customer_id="c4", days_ago=3),  # Rank 1.
)


def ranks_by_count(table: InteractionTable, half_life_days: float = 1.0) -> list[tuple[str, str, int]]:
    """Who met what, and its rank, of everything that is judged."""
    stream = event_stream(table, POLICY)
    state = LiveState((half_life_days,))
    return [
        (one.customer_id, one.item_id, rank_by_count(state, one, barred_rows(state, one), 0))
        for one in replay(stream, state, 0, len(stream), lambda share: None)
    ]


def test_a_tiny_history_has_the_ranks_that_were_worked_out_by_hand() -> None:
    # Before day -7 a has 1/4 and b 1/2. Before day -4: c 1/2, b 1/16, and a 1/32 + 1/8, which c3 may still
    # meet. Before day -3: b 1/32 + 2 · 1/2, c 1/4.
    assert ranks_by_count(TINY) == [("c2", "a", 2), ("c2", "b", 2), ("c3", "b", 2), ("c4", "b", 1)]


def test_of_equal_counts_the_later_first_meeting_stands_first_and_chance_never_flatters() -> None:
    scores, firsts = np.array([1.0, 1.0, 1.0, 0.0]), np.array([3.0, 7.0, 7.0, 9.0])
    assert [rank_of(place, scores, firsts) for place in range(4)] == [3, 2, 2, 4]


def test_the_order_of_the_rows_changes_nothing() -> None:
    assert ranks_by_count(shuffled(TINY)) == ranks_by_count(TINY)
    assert ranks_by_count(shuffled(busy_history())) == ranks_by_count(busy_history())


def test_nothing_of_the_future_is_known() -> None:
    frame = busy_history().frame.sort("occurred_at")
    past, future = frame.head(2000), frame.tail(len(frame) - 2000)
    other = future.with_columns(future["item_id"].shuffle(seed=4), future["customer_id"].shuffle(seed=5))
    judged = ranks_by_count(InteractionTable.from_frame(past))
    for tail in (future, other):
        after = ranks_by_count(InteractionTable.from_frame(past.vstack(tail)))
        assert after[: len(judged)] == judged


def test_a_history_without_times_says_what_to_do() -> None:
    with pytest.raises(TrainingError, match=r"no times.*map the column.*occurred_at"):
        event_stream(without_times(TINY), POLICY)


def test_a_history_of_impressions_says_that_there_is_nothing_to_replay() -> None:
    with pytest.raises(TrainingError, match=r"positive strength.*check the mapping"):
        event_stream(table_of(did("impression", "a"), did("nps", None)), POLICY)
