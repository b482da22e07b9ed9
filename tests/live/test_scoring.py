"""The live ranking: a shortlist, and what each part says of it."""

from __future__ import annotations

import numpy as np

from recsvc.live.scoring import (
    NEVER_NEGATIVE,
    PARTS,
    SHORTLIST_LENGTH,
    HalfLives,
    best_first,
    blend,
    part_scores,
    shortlist,
    taste_scores,
    with_unmet,
)
from recsvc.live.state import Bounds, LiveState

HOUR = 3600.0
NONE = np.empty(0, np.int64)


def a_state(*meetings: tuple[str, str, float]) -> LiveState:
    """After meetings whose times are in hours."""
    state = LiveState((0.25, 7.0))
    for customer_id, item_id, hours in meetings:
        state.record(customer_id, item_id, hours * HOUR)
    return state


def of_part(name: str, state: LiveState, customer_id: str, item_ids: list[str], hours: float) -> list[float]:
    scores = part_scores(state, customer_id, state.item_rows(item_ids), HalfLives(0, 1), hours * HOUR)
    return [float(one) for one in scores[:, PARTS.index(name)]]


def test_of_equal_scores_the_later_first_meeting_stands_first() -> None:
    assert best_first(np.array([1.0, 2.0, 1.0]), np.array([5.0, 1.0, 9.0])).tolist() == [1, 2, 0]


def test_the_shortlist_has_the_hottest_items_but_for_what_is_barred() -> None:
    state = a_state(*[(f"c{n}", f"i{n}", n / 10) for n in range(100)])
    rows = shortlist(state, state.item_rows(["i99", "i97"]), 0, 10 * HOUR)
    assert rows.tolist() == [98, *range(96, 97 - SHORTLIST_LENGTH, -1)]


def test_of_items_met_at_one_moment_the_shortlist_takes_no_more_than_its_length() -> None:
    state = a_state(*[("c1", f"i{n}", 1) for n in range(100)])
    assert len(shortlist(state, NONE, 0, 2 * HOUR)) == SHORTLIST_LENGTH


def test_who_has_met_everything_has_no_shortlist() -> None:
    state = a_state(("c1", "a", 0))
    assert len(shortlist(state, state.item_rows(["a"]), 0, HOUR)) == 0
    assert len(shortlist(LiveState((1.0,)), NONE, 0, HOUR)) == 0


def test_one_more_meeting_never_lowers_what_counts_and_recency_say() -> None:
    before = a_state(("c1", "a", 0), ("c2", "b", 1))
    after = a_state(("c1", "a", 0), ("c2", "b", 1), ("c3", "a", 2))
    for name in ("popularity", "long_popularity", "recency"):
        assert of_part(name, after, "me", ["a"], 3) > of_part(name, before, "me", ["a"], 3)


def test_the_first_meeting_of_all_lowers_nothing_either() -> None:
    meetings = [(f"c{n % 7}", f"i{n % 5}", n / 10) for n in range(60)]
    state, half_lives, at = a_state(*meetings, ("me", "i1", 0)), HalfLives(0, 1), 10 * HOUR
    met = state.item_rows([f"i{n}" for n in range(5)])
    scores = part_scores(state, "me", met, half_lives, at)
    unmet = with_unmet(scores, np.array([True] * 5 + [False]), np.array([3 * HOUR]))[-1]
    state.record("somebody", "new", at)
    (first,) = part_scores(state, "me", state.item_rows(["new"]), half_lives, at)
    for name in NEVER_NEGATIVE | {"newness", "passed_over"}:
        assert first[PARTS.index(name)] >= unmet[PARTS.index(name)], name


def test_what_the_like_minded_met_is_nearer() -> None:
    state = a_state(("me", "a", 0), ("twin", "a", 1), ("other", "b", 1), ("twin", "x", 2), ("other", "y", 2))
    near, far = of_part("neighbours", state, "me", ["x", "y"], 3)
    assert near > far


def test_what_was_there_when_the_customer_chose_something_else_was_passed_over() -> None:
    state = a_state(("c1", "old", 0), ("me", "mine", 1), ("c1", "new", 2))
    assert of_part("passed_over", state, "me", ["old", "new"], 3) == [-1, 0]


def test_somebody_who_reads_in_the_archive_goes_on_doing_so() -> None:
    state = a_state(("c1", "archived", 0), ("c1", "older", 1), ("c1", "fresh", 99), ("me", "archived", 100))
    older, fresh = of_part("depth", state, "me", ["older", "fresh"], 101)
    assert older > fresh


def test_taste_is_the_share_of_a_category_in_what_was_met_lately() -> None:
    recent = ["loans", "loans", "loans", None, "saving"]
    loans, saving, cards, none = taste_scores(recent, ["loans", "saving", "cards", None])
    assert loans == np.log2((3 + 1) / (4 + 10)) and saving == np.log2((1 + 1) / (4 + 10))
    assert cards < none < saving < loans
    assert set(taste_scores([], ["loans", "cards", None]).tolist()) == {np.log2(0.1)}


def test_one_more_of_a_category_raises_it_and_lowers_the_others() -> None:
    before = taste_scores(["loans"], ["loans", "cards"])
    after = taste_scores(["loans", "loans"], ["loans", "cards"])
    assert after[0] > before[0] and after[1] < before[1]


def test_what_a_customer_met_lately_are_the_last_first_meetings() -> None:
    state = LiveState((1.0,), Bounds(n_recent=2))
    for hour, item_id in enumerate(["a", "b", "b", "c"]):
        state.record("me", item_id, hour * HOUR)
    row = state.customer_row("me")
    assert row is not None
    assert {state.item_ids[one] for one in state.recent(row).tolist()} == {"b", "c"}


def test_a_customer_never_met_gets_what_is_the_same_for_everybody() -> None:
    state = a_state(("c1", "a", 0), ("c2", "a", 1))
    scores = part_scores(state, "stranger", state.item_rows(["a"]), HalfLives(0, 1), 2 * HOUR)
    assert np.isfinite(scores).all()
    assert scores[0, PARTS.index("passed_over")] == scores[0, PARTS.index("depth")] == 0
    assert blend(scores, np.eye(len(PARTS))[0]) == scores[:, 0]
