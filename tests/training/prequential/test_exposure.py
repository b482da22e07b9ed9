"""What the first ten of a replay do to the catalogue: by hand, by definition, and in a report."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import pytest

from recsvc.history.interactions import InteractionTable
from recsvc.live.scoring import HalfLives, LiveModel, blend
from recsvc.live.state import LiveState
from recsvc.training.prequential.choosing import replay_bounds
from recsvc.training.prequential.exposure import Exposure, Exposures
from recsvc.training.prequential.judging import PrequentialReport
from recsvc.training.prequential.ranking import CUTOFF, shortlisted, tastes
from recsvc.training.prequential.stream import EventStream, event_stream, replay
from tests.training import reference
from tests.training.examples import POLICY, busy_history, did, shuffled, table_of
from tests.training.prequential.test_judging import busy_report, judged

FOUR = table_of(
    did("view", "a", customer_id="c1", days_ago=8),
    did("view", "a", customer_id="c2", days_ago=7),
    did("view", "a", customer_id="c2", days_ago=6.5),  # Not for the first time: no more met than before.
    did("view", "b", customer_id="c1", days_ago=6),
    did("view", "a", customer_id="c3", days_ago=5),
    did("view", "c", customer_id="c3", days_ago=4),
    did("view", "d", customer_id="c3", days_ago=3),
)
BY_PARITY = {f"i{item:03}": "even" if item % 2 == 0 else "odd" for item in range(40)}


def exposure_of(stream: EventStream, lists: list[list[str]], at: list[float], **categories: str) -> Exposure:
    shown = Exposures(stream, categories)
    for moment, items in zip(at, lists, strict=True):
        shown.add(moment, items)
    return shown.measured()


def test_four_items_have_the_figures_that_were_worked_out_by_hand() -> None:
    stream = event_stream(FOUR, POLICY)
    before_c = float(stream.seconds[-2])
    # Before c was met: a three times of four, b once. At its moment nothing of c is known, a day later it is.
    shown = exposure_of(stream, [["a", "b"], ["a"]], [before_c, before_c + 1], a="x", b="y")
    assert shown.coverage == 2 / 4  # d was never shown, though known at the end.
    assert shown.gini == pytest.approx(reference.gini([[0, 1], [0]], 4, CUTOFF))
    bits = [-np.log2(3 / 4), -np.log2(1 / 4), -np.log2(3 / 5)]
    assert shown.novelty == pytest.approx(np.mean(bits))
    assert shown.diversity == 1.0
    assert exposure_of(stream, [["a", "b"]], [before_c], a="x", b="x").diversity == 0.0


def test_without_categories_or_pairs_there_is_no_diversity() -> None:
    stream = event_stream(FOUR, POLICY)
    assert exposure_of(stream, [["a", "b"]], [float(stream.seconds[-1])]).diversity is None
    assert exposure_of(stream, [["a"]], [float(stream.seconds[-1])], a="x").diversity is None


def first_tens(table: InteractionTable, model: LiveModel) -> list[tuple[float, list[str], bool]]:
    """By occasion of a replay: its moment, its first ten, and whether what was met ranks among them."""
    stream = event_stream(table, POLICY)
    state = model.state(replay_bounds(stream))
    shown = []
    for occasion in replay(stream, state, 1000, len(stream), lambda share: None):
        one = shortlisted(state, occasion, HalfLives(0, 1))
        scores = blend(one.parts, model.weights)
        ten = [state.item_ids[row] for row in one.first(scores, CUTOFF).tolist()]
        assert not set(ten) & set(occasion.met_ids)
        shown.append((occasion.at, ten, one.rank(scores) <= CUTOFF))
        assert (occasion.item_id in ten) == shown[-1][2]
    return shown


def test_the_first_ten_are_those_among_which_a_hit_is_counted_and_novelty_is_what_it_says() -> None:
    table = busy_history()
    stream, shown = event_stream(table, POLICY), first_tens(table, busy_report().model)
    assert 0 < sum(hit for _, _, hit in shown) < len(shown)
    few = shown[:: len(shown) // 20]
    firsts = [
        (float(at), stream.item_ids[item])
        for at, item, is_first in zip(stream.seconds, stream.items, stream.is_first, strict=True)
        if is_first
    ]
    bits = []
    for at, ten, _ in few:
        before = [item_id for moment, item_id in firsts if moment < at]
        bits += [-np.log2(before.count(item_id) / len(before)) for item_id in ten]
    found = exposure_of(stream, [ten for _, ten, _ in few], [at for at, _, _ in few])
    assert found.novelty == pytest.approx(np.mean(bits))


def with_categories(table: InteractionTable, categories: Mapping[str, str] = BY_PARITY) -> PrequentialReport:
    return judged(table, categories=categories)


def test_a_report_tells_what_the_blend_shows_in_any_order_of_the_history() -> None:
    report = with_categories(busy_history())
    shown = report.exposure
    assert 0.9 < shown.coverage <= 1 and 0 < shown.gini < 1 and 3 < shown.novelty < 8
    assert shown.diversity is not None and 0 < shown.diversity < 0.6
    assert with_categories(shuffled(busy_history())) == report
    assert busy_report().exposure.diversity is None


def news_of_four_categories() -> tuple[InteractionTable, Mapping[str, str]]:
    """Everybody reads what is new in one category of four."""
    rng = np.random.default_rng(7)
    told = []
    for day in range(40):
        for customer in range(60):
            item_id = f"{'abcd'[customer % 4]}-{day}-{rng.integers(4)}"
            days_ago = 50 - day - round(float(rng.random()), 3)
            told.append(did("view", item_id, customer_id=f"c{customer}", days_ago=days_ago))
    return table_of(*told), {one.item_id: one.item_id[0] for one in told if one.item_id}


@cache
def news_report() -> PrequentialReport:
    """Of the news, as if they had no categories."""
    return judged(news_of_four_categories()[0])


def test_taste_is_judged_where_items_have_categories() -> None:
    table, categories = news_of_four_categories()
    told, untold = with_categories(table, categories), news_report()
    assert told.parts["taste"].weight > 0 == untold.parts["taste"].weight
    assert told.parts["taste"].alone["hit@10"].value > 1.2 * untold.parts["taste"].alone["hit@10"].value
    assert told.parts["taste"].gain["ndcg@10"].low > 0
    assert told.blend["ndcg@10"].value > untold.blend["ndcg@10"].value


def test_where_no_item_of_the_events_has_a_category_nothing_changes() -> None:
    table, categories = news_of_four_categories()
    of_others = with_categories(table, {f"other-{item_id}": name for item_id, name in categories.items()})
    assert of_others.model == news_report().model and of_others.blend == news_report().blend


def test_taste_is_that_of_what_the_customer_met_before() -> None:
    state = LiveState((1.0,))
    for customer_id, item_id in (("c1", "a"), ("c1", "b"), ("c2", "c"), ("c2", "d")):
        state.record(customer_id, item_id, 0.0)
    rows, categories = state.rows_of(["c", "d"]), {"a": "x", "b": "x", "c": "x", "d": "y"}
    near, far = tastes(state, "c1", rows, categories).tolist()
    assert (near, far) == (pytest.approx(np.log2(3 / 12)), pytest.approx(np.log2(1 / 12)))
    assert len(set(tastes(state, "nobody", rows, categories).tolist())) == 1
    assert tastes(state, "c1", rows, {}).tolist() == [0.0, 0.0]
