"""Full ranking: everything is ranked, what was had is masked, what was never seen counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_info, threadpool_limits

from recsvc.training import evaluation
from recsvc.training.evaluation import Evaluation, HeldOut, evaluate
from recsvc.training.families import FAMILIES, Als
from recsvc.training.families.base import FloatArray, TrainingData
from tests.training import reference
from tests.training.examples import Scripted, data_of, held_out_of


def judged(
    scores: FloatArray,
    data: TrainingData,
    held_out: HeldOut,
    *,
    cutoffs: tuple[int, ...] = (1, 3, 20),
    categories: NDArray[np.int64] | None = None,
) -> Evaluation:
    """Judge the family that gives the scores, a row for each customer of the data."""
    row_of = {history.tobytes(): row for row, history in enumerate(data.strengths.toarray())}

    def rule(histories: csr_matrix) -> FloatArray:
        return scores[[row_of[history.tobytes()] for history in histories.toarray()]]

    rng = np.random.default_rng(0)
    return evaluate(Scripted(rule), data, held_out, item_categories=categories, rng=rng, cutoffs=cutoffs)


def all_different(had: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Strengths whose rows differ, so that a history tells whose it is."""
    weights = 1 + np.arange(len(had))[:, None] / len(had)
    return np.where(had, weights, 0).astype(np.float32)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[NDArray[np.bool_], list[set[int]], list[int], FloatArray]:
    """Who had what, what each took next, how much of it training never saw, and scores with many ties."""
    n_customers, n_items = draw(st.integers(1, 7)), draw(st.integers(2, 14))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    had = rng.random((n_customers, n_items)) < draw(st.sampled_from([0.1, 0.5, 0.9]))
    had[np.arange(n_customers), rng.integers(0, n_items, n_customers)] = True
    free = [np.flatnonzero(~row) for row in had]
    relevant = [set(rng.permutation(items)[: rng.integers(0, 5)].tolist()) for items in free]
    n_unseen = [int(rng.integers(0 if found else 1, 4)) for found in relevant]
    return had, relevant, n_unseen, rng.integers(0, 4, had.shape).astype(np.float32)


@settings(deadline=None)
@given(worlds())
def test_an_evaluation_is_what_the_definitions_say(
    world: tuple[NDArray[np.bool_], list[set[int]], list[int], FloatArray],
) -> None:
    had, relevant, n_unseen, scores = world
    n_items = had.shape[1]
    categories = np.arange(n_items) % 3 - 1
    data = data_of(all_different(had))
    held_out = held_out_of([sorted(found) for found in relevant], n_items, n_unseen)
    found = judged(scores, data, held_out, categories=categories)
    lists = [
        reference.ranked(row.tolist(), set(np.flatnonzero(mask).tolist()))
        for row, mask in zip(scores, had, strict=True)
    ]
    for k in (1, 3, 20):
        for row, items in enumerate(lists):
            expected = reference.accuracy(items, relevant[row], int(held_out.n_relevant[row]), k)
            values = {name: found.per_customer[name][row] for name in expected}
            assert values == pytest.approx(expected, abs=1e-12)
        counts = had.sum(axis=0).tolist()
        assert {name: value for name, value in found.catalogue.items() if name.endswith(f"@{k}")} == {
            f"coverage@{k}": pytest.approx(reference.coverage(lists, n_items, k)),
            f"gini@{k}": pytest.approx(reference.gini(lists, n_items, k)),
            f"novelty@{k}": pytest.approx(reference.novelty(lists, counts, len(had), k)),
            f"intra_list_diversity@{k}": pytest.approx(reference.diversity(lists, categories.tolist(), k)),
        }


def a_world(n_customers: int = 60, n_items: int = 300, seed: int = 8) -> tuple[TrainingData, HeldOut]:
    rng = np.random.default_rng(seed)
    had = rng.random((n_customers, n_items)) < 0.05
    had[:, 0] = True
    relevant = [sorted(rng.choice(np.flatnonzero(~row), 4, replace=False).tolist()) for row in had]
    return data_of(all_different(had)), held_out_of(relevant, n_items, [0] * n_customers)


def test_an_oracle_is_perfect() -> None:
    data, held_out = a_world()
    found = judged(held_out.relevant.toarray(), data, held_out, cutoffs=(10, 20))
    for name in ("recall", "ndcg", "map", "mrr", "hit_rate"):
        assert found.accuracy[f"{name}@20"].value == pytest.approx(1.0), name
    assert found.accuracy["precision@10"].value == pytest.approx(0.4)
    assert (found.primary.low, found.primary.high) == pytest.approx((1.0, 1.0))


def test_even_an_oracle_cannot_find_what_training_never_saw() -> None:
    data, held_out = a_world()
    unseen = replace(held_out, n_relevant=held_out.n_relevant + 4)
    found = judged(held_out.relevant.toarray(), data, unseen, cutoffs=(20,))
    assert found.accuracy["recall@20"].value == pytest.approx(0.5)
    assert 0.5 < found.accuracy["ndcg@20"].value < 1.0


def test_a_constant_scorer_lists_the_first_rows_that_the_customer_has_not() -> None:
    data, held_out = a_world()
    found = judged(np.zeros(data.strengths.shape, np.float32), data, held_out, cutoffs=(20,))
    for row in range(held_out.n_customers):
        had = set(data.strengths[row].indices.tolist())
        items = reference.ranked([0.0] * 300, had)
        expected = reference.accuracy(items, set(held_out.relevant[row].indices.tolist()), 4, 20)
        assert found.per_customer["ndcg@20"][row] == pytest.approx(expected["ndcg@20"])


def test_what_a_customer_had_is_no_hit_even_at_the_highest_score() -> None:
    data, held_out = a_world()
    had = data.strengths.toarray()
    found = judged(had, data, replace(held_out, relevant=data.strengths), cutoffs=(20,))
    assert found.accuracy["hit_rate@20"].value == 0.0


def test_only_the_customers_who_are_held_out_are_judged() -> None:
    data, held_out = a_world()
    some = np.array([3, 17, 41])
    part = HeldOut(some, held_out.relevant[some], held_out.n_relevant[some], "some")
    scores = np.random.default_rng(1).random(data.strengths.shape, dtype=np.float32)
    whole, few = judged(scores, data, held_out), judged(scores, data, part)
    assert few.per_customer["map@20"].tolist() == whole.per_customer["map@20"][some].tolist()


def same(first: Evaluation, second: Evaluation) -> bool:
    """Bit for bit."""
    return (
        first.accuracy == second.accuracy
        and first.catalogue == second.catalogue
        and all(
            first.per_customer[name].tobytes() == second.per_customer[name].tobytes()
            for name in first.per_customer
        )
    )


@pytest.mark.parametrize("scores_at_once", [1, 700, 3000])
def test_batches_change_nothing(scores_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data, held_out = a_world()
    scores = np.random.default_rng(1).integers(0, 30, data.strengths.shape).astype(np.float32)
    categories = np.arange(300) % 7
    whole = judged(scores, data, held_out, categories=categories)
    monkeypatch.setattr(evaluation, "_SCORES_AT_ONCE", scores_at_once)
    assert same(judged(scores, data, held_out, categories=categories), whole)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_two_threads_give_the_bits_of_one(family: evaluation.Fitted, monkeypatch: pytest.MonkeyPatch) -> None:
    data, held_out = a_world()
    fitted = family.fit(data, seed=1)
    monkeypatch.setattr(evaluation, "_SCORES_AT_ONCE", 2000)
    found = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(evaluation, "_MAX_THREADS", threads)
        monkeypatch.setattr(evaluation.os, "cpu_count", lambda: 8)
        rng = np.random.default_rng(0)
        found.append(evaluate(fitted, data, held_out, item_categories=None, rng=rng))
    assert same(found[0], found[1]) and same(found[0], found[2])


def blas_threads() -> list[int]:
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_blas_keeps_to_one_thread_while_it_lasts_and_no_longer() -> None:
    data, held_out = a_world()
    seen: list[list[int]] = []

    def watched(histories: csr_matrix) -> FloatArray:
        seen.append(blas_threads())
        return np.zeros(histories.shape, dtype=np.float32)

    with threadpool_limits(2, user_api="blas"):
        for fitted in (Scripted(watched), Als().fit(data, seed=1)):
            evaluate(fitted, data, held_out, item_categories=None, rng=np.random.default_rng(0))
        assert set(blas_threads()) == {2}
    assert seen and all(set(threads) == {1} for threads in seen)


def test_progress_grows_to_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    data, held_out = a_world()
    monkeypatch.setattr(evaluation, "_SCORES_AT_ONCE", 3000)
    shares: list[float] = []
    fitted = FAMILIES[0].fit(data, seed=1)
    rng = np.random.default_rng(0)
    evaluate(fitted, data, held_out, item_categories=None, rng=rng, progress=shares.append)
    assert shares == sorted(shares) and shares[-1] == 1.0 and len(shares) == 6


def test_a_family_that_fails_stops_the_evaluation_with_its_own_error() -> None:
    def fails(histories: csr_matrix) -> FloatArray:
        raise ValueError("no scores today")

    data, held_out = a_world()
    with pytest.raises(ValueError, match="no scores today"):
        evaluate(Scripted(fails), data, held_out, item_categories=None, rng=np.random.default_rng(0))
