"""A replay chooses what live parts count: as much as they help, and nothing where they do not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsvc.bundles.opening import open_bundle
from recsvc.bundles.registry import Registry
from recsvc.domain.items import Item, ItemKind
from recsvc.history.interactions import InteractionTable
from recsvc.history.matrix import build_matrix
from recsvc.live.scoring import NEVER_NEGATIVE, PARTS, HalfLives, part_scores
from recsvc.live.state import Bounds
from recsvc.serving.live_snapshot import live_model_of, opened_state
from recsvc.training.budget import Budget
from recsvc.training.families import FAMILIES, Neighbours, Popularity, Spectral
from recsvc.training.families.base import Family, FloatArray, TrainingData, training_data
from recsvc.training.holdout import Split, split
from recsvc.training.live_parts import LEAST_REPLAYED, LiveChoice, is_better, weigh_live
from recsvc.training.material import Material, Source, gather
from recsvc.training.pipeline import train
from recsvc.training.prequential.histories import histories_before
from recsvc.training.prequential.stream import event_stream, replay
from recsvc.training.selection import Selection, select_model
from tests.training.examples import (
    AS_OF,
    POLICY,
    Scripted,
    ScriptedFamily,
    busy_history,
    did,
    shuffled,
    table_of,
    without_times,
)


@cache
def news(n_customers: int = 60, n_days: int = 30) -> InteractionTable:
    """Every day five articles come out, and everybody reads one of that day or the day before."""
    return table_of(
        *(
            did(
                "view",
                f"i{day - customer % 2:02}-{customer * (day + 3) % 5}",
                customer_id=f"c{customer:02}",
                days_ago=n_days - day - customer * 7 % 60 / 1440,
            )
            for day in range(n_days)
            for customer in range(n_customers)
        )
    )


def chosen_from(source: Source, families: Sequence[Family] = (Popularity(), Neighbours())) -> LiveChoice:
    material, parts, selection = selected(source, families)
    return weigh_live(material, POLICY, parts, selection, seed=1, progress=lambda stage, share: None)


def selected(source: Source, families: Sequence[Family]) -> tuple[Material, Split, Selection]:
    material = gather(source, POLICY)
    parts = split(material.table, POLICY, material.kind, seed=1)
    selection = select_model(
        families,
        parts,
        item_categories=material.categories_of,
        seed=1,
        progress=lambda stage, share: None,
        budget=Budget(None, lambda: 0.0),
    )
    return material, parts, selection


def test_where_everybody_reads_the_news_what_is_live_counts() -> None:
    choice = chosen_from(Source(news()))
    facts = choice.facts
    assert facts is not None and choice.why.startswith("live parts count: ndcg@10 ")
    assert facts.kind is ItemKind.CONTENT
    assert facts.weights.keys() == set(PARTS) and any(facts.weights.values())
    assert min(facts.trained_weight, *(facts.weights[name] for name in NEVER_NEGATIVE)) >= 0
    assert facts.n_learned >= LEAST_REPLAYED
    ndcg = {name: figures["ndcg@10"] for name, figures in facts.metrics.items()}
    assert ndcg["blend"].low > ndcg["trained"].high and ndcg.keys() == {"blend", "live", "trained"}


@cache
def circles(n_customers: int = 60, n_items: int = 40) -> InteractionTable:
    """Everybody walks a circle of items, from a place and at times of their own."""
    rng = np.random.default_rng(4)
    return table_of(
        *(
            did("view", f"i{(start + step) % n_items:02}", customer_id=f"c{customer:02}", days_ago=days)
            for customer, start in enumerate(rng.integers(0, n_items, n_customers).tolist())
            for step, days in enumerate(np.sort(rng.uniform(0, 30, n_items * 2 // 3))[::-1].tolist())
        )
    )


def test_where_the_trained_model_knows_what_comes_next_it_serves_alone() -> None:
    def next_on_the_circle(histories: csr_matrix) -> FloatArray:
        return np.roll(histories.toarray(), 1, axis=1).astype(np.float32)

    family = ScriptedFamily(lambda data: Scripted(next_on_the_circle), is_personal=True)
    choice = chosen_from(Source(circles()), (family,))
    assert choice.facts is None and choice.arrays == {}
    assert choice.why.startswith("no live part counts: ") and "trained alone" in choice.why
    assert float(choice.why.split(" trained alone")[0].split()[-1]) > 0.8


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (Source(without_times(news())), "the events have no times"),
        (Source(news(n_days=4)), f"a replay needs {LEAST_REPLAYED} first meetings"),
        (Source(news(), kind=ItemKind.OFFER), "the items may be had again"),
    ],
    ids=["no times", "too short", "offers"],
)
def test_where_nothing_can_be_replayed_the_reason_is_told(source: Source, reason: str) -> None:
    choice = chosen_from(source)
    assert choice.facts is None and choice.arrays == {} and reason in choice.why


def test_the_order_of_the_rows_changes_nothing() -> None:
    one, other = chosen_from(Source(news())), chosen_from(Source(shuffled(news())))
    assert one.facts == other.facts and one.why == other.why
    assert {name: array.tobytes() for name, array in one.arrays.items()} == {
        name: array.tobytes() for name, array in other.arrays.items()
    }


def test_articles_are_ranked_among_articles_though_offers_are_hotter() -> None:
    """Offers are taken all the time: that hardly moves a figure, for they have a list of their own."""
    offers = tuple(Item(f"offer-{n:04}", ItemKind.OFFER) for n in range(1_500))
    taken = table_of(
        *(
            did("view", offer.item_id, customer_id=f"t{taker:02}", days_ago=15 - n / 100 - taker / 1e3)
            for n, offer in enumerate(offers)
            for taker in range(15)
        )
    )
    both = InteractionTable.from_frame(news().frame.vstack(taken.frame))
    alone, mixed = chosen_from(Source(news())), chosen_from(Source(both, offers))
    assert alone.facts is not None and mixed.facts is not None
    one, other = (choice.facts.metrics["live"]["hit@10"].value for choice in (alone, mixed))  # type: ignore[union-attr]
    assert other == pytest.approx(one, abs=0.1)


def test_articles_later_than_the_model_are_placed_by_what_they_are() -> None:
    """Everybody reads the news of one category: only its features tell whom an article of today is for."""
    n_days, categories = 30, ("saving", "cards", "loans", "funds", "travel")
    table = table_of(
        *(
            did(
                "view",
                f"i{day - customer % 2:02}-{customer % 5}-{customer // 5 % 4}",
                customer_id=f"c{customer:02}",
                days_ago=n_days - day - customer * 7 % 60 / 1440,
            )
            for day in range(n_days)
            for customer in range(60)
        )
    )
    ids = sorted(set(table.frame["item_id"]))
    items = tuple(Item(one, ItemKind.CONTENT, category=categories[int(one.split("-")[-2])]) for one in ids)
    blind, told = (chosen_from(Source(table, known), (Popularity(), Spectral())) for known in ((), items))
    assert blind.facts is not None and told.facts is not None
    one, other = (facts.metrics["trained"]["ndcg@10"].value for facts in (blind.facts, told.facts))
    assert other > 2 * one


@pytest.mark.parametrize(
    ("trained", "is_so"),
    [([1, 1, 2, 2, 1, 1], False), ([2, 2, 1, 1, 2, 1], False), ([2, 2, 1, 3, 3, 2], True)],
    ids=["as good", "by chance", "better"],
)
def test_a_blend_is_better_where_it_gains_more_than_the_standard_error(
    trained: list[int], is_so: bool
) -> None:
    assert is_better({"blend": np.array([1, 1, 2, 2, 1, 1]), "trained": np.array(trained)}) is is_so


def test_the_trained_score_of_the_replay_knows_nothing_of_the_stretch() -> None:
    """Of a family whose choice is by customer, the stage makes a fit of its own, of the time before."""
    fitted: list[TrainingData] = []

    def fit(data: TrainingData) -> Scripted:
        fitted.append(data)
        return Scripted(lambda histories: np.zeros(histories.shape, dtype=np.float32))

    material, parts, selection = selected(Source(news()), (ScriptedFamily(fit),))
    by_customer = Split(parts.train, parts.held_out, cut=None)
    del fitted[:]
    choice = weigh_live(material, POLICY, by_customer, selection, seed=1, progress=lambda stage, share: None)
    assert choice.facts is not None
    (data,) = fitted
    stream = event_stream(material.table, POLICY)
    start = np.flatnonzero(stream.is_judged)[-choice.facts.n_learned]
    moment = AS_OF - timedelta(seconds=AS_OF.timestamp() - float(stream.seconds[start]))
    before = build_matrix(material.table.between(None, moment), POLICY, as_of=moment)
    assert data.strengths.shape == before.strengths.shape
    assert (data.strengths != training_data(before).strengths).nnz == 0
    assert data.strengths.nnz < material.matrix.strengths.nnz


def test_a_history_before_an_occasion_is_what_a_matrix_of_that_moment_would_hold() -> None:
    table = busy_history(n_customers=30, n=1500)
    matrix = build_matrix(table, POLICY, as_of=None)
    frame = table.frame.drop_nulls("item_id").sort("occurred_at")[700::60]
    customer_ids, moments = frame["customer_id"].to_list(), frame["occurred_at"].to_list()
    found = histories_before(
        table, POLICY, customer_ids, np.array([one.timestamp() for one in moments]), matrix.item_ids
    )
    for place, (customer_id, moment) in enumerate(zip(customer_ids, moments, strict=True)):
        before = table.between(None, moment)
        then = build_matrix(before, POLICY, as_of=moment)
        expected = dict.fromkeys(matrix.item_ids, 0.0)
        if customer_id in then.customer_ids:
            row = then.strengths[then.customer_ids.index(customer_id)].toarray()[0]
            expected |= dict(zip(then.item_ids, row.tolist(), strict=True))
        assert found.strengths[place].toarray()[0] == pytest.approx(list(expected.values()), rel=1e-5)
        own = before.of_customers([customer_id]).frame
        met = set(own.filter(own["type"].is_in(["view", "click", "like", "purchase"]))["item_id"])
        assert {matrix.item_ids[item] for item in found.met[place].indices} == met


def test_a_no_at_the_moment_of_a_yes_is_the_last_word() -> None:
    table = table_of(
        did("view", "a", days_ago=3),
        did("dismiss", "a", days_ago=3),
        did("view", "b", days_ago=2),
        did("transaction", None, days_ago=2),
        did("dismiss", "b", days_ago=1),
    )
    at = AS_OF.timestamp()
    found = histories_before(
        table, POLICY, ["c1"] * 3, np.array([at - 86_400 * days for days in (2.5, 1.5, 0.5)]), ["a", "b"]
    )
    assert (found.strengths.toarray() > 0).tolist() == [[False, False], [False, True], [False, False]]
    assert found.met.toarray().tolist() == [[True, False], [True, True], [True, True]]


def test_what_is_published_is_what_a_state_would_hold_that_saw_the_whole_history(tmp_path: Path) -> None:
    report = train(Source(news()), POLICY, Registry(tmp_path), families=FAMILIES, seed=1, created_at=AS_OF)
    bundle = open_bundle(tmp_path / report.manifest.version)
    assert bundle.manifest.live == report.live.facts
    model = live_model_of(bundle.manifest)
    assert model is not None
    opened = opened_state(bundle, Bounds())
    stream = event_stream(news(), POLICY)
    recorded = model.state(Bounds())
    assert sum(1 for _ in replay(stream, recorded, 0, len(stream), lambda share: None)) > 1000
    item_ids, at = bundle.items.ids_of(range(len(bundle.items))), opened.latest + 600.0
    assert opened.latest == recorded.latest
    for customer_id in ("c07", "c42", "stranger"):
        told, again = (
            part_scores(state, customer_id, state.rows_of(item_ids), HalfLives(0, 1), at)
            for state in (recorded, opened)
        )
        assert again == pytest.approx(told, abs=1e-9)
