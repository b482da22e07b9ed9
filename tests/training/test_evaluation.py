"""Full ranking: everything is ranked, what was had is masked, what was never seen counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from threading import Barrier, get_ident

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_info, threadpool_limits

from recsvc.training import listing
from recsvc.training.blending import blended
from recsvc.training.evaluation import Evaluation, HeldOut, evaluate, evaluate_together
from recsvc.training.families import FAMILIES, Als
from recsvc.training.families.base import Family, FloatArray, TrainingData
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
    fitted, rng = giving(scores, data), np.random.default_rng(0)
    return evaluate(fitted, data, held_out, item_categories=categories, rng=rng, cutoffs=cutoffs)


def giving(scores: FloatArray, data: TrainingData, calls: list[int] | None = None) -> Scripted:
    """What gives the scores, a row for each customer of the data, and notes of how many it was asked."""
    row_of = {history.tobytes(): row for row, history in enumerate(data.strengths.toarray())}

    def rule(histories: csr_matrix) -> FloatArray:
        rows = [row_of[history.tobytes()] for history in histories.toarray()]
        if calls is not None:
            calls.extend(rows)
        return scores[rows]

    return Scripted(rule)


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


def test_what_may_be_had_again_is_listed_and_is_a_hit() -> None:
    data, held_out = a_world()
    again = replace(held_out, relevant=data.strengths, may_repeat=True)
    again = replace(again, n_relevant=np.diff(data.strengths.indptr).astype(np.int64))
    found = judged(data.strengths.toarray(), data, again, cutoffs=(20, 100))
    assert found.accuracy["recall@100"].value == 1.0 and found.primary.value == pytest.approx(1.0)


def test_blends_list_what_may_be_had_again() -> None:
    data, held_out = a_world()
    again = replace(
        held_out,
        relevant=data.strengths,
        n_relevant=np.diff(data.strengths.indptr).astype(np.int64),
        may_repeat=True,
    )
    two = {name: giving(data.strengths.toarray(), data) for name in ("one", "two")}
    found = evaluate_together(
        two,
        {"both": {"one": 0.5, "two": 0.5}},
        data,
        again,
        item_categories=None,
        rng=np.random.default_rng(0),
        cutoffs=(20, 100),
    )
    assert found["both"].accuracy["recall@100"].value == 1.0


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
    monkeypatch.setattr(listing, "_SCORES_AT_ONCE", scores_at_once)
    assert same(judged(scores, data, held_out, categories=categories), whole)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_two_threads_give_the_bits_of_one(family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    data, held_out = a_world()
    fitted = family.fit(data, seed=1)
    monkeypatch.setattr(listing, "_SCORES_AT_ONCE", 2000)
    found = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(listing.os, "cpu_count", lambda threads=threads: threads)
        rng = np.random.default_rng(0)
        found.append(evaluate(fitted, data, held_out, item_categories=None, rng=rng))
    assert same(found[0], found[1]) and same(found[0], found[2])


@pytest.mark.parametrize(("scores_in_all_threads", "n_threads"), [(1, 1), (1200, 2), (10**6, 6)])
def test_no_more_threads_run_than_there_is_memory_for(
    scores_in_all_threads: int, n_threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, held_out = a_world(n_customers=6)
    monkeypatch.setattr(listing, "_SCORES_AT_ONCE", 300)
    monkeypatch.setattr(listing, "_SCORES_IN_ALL_THREADS", scores_in_all_threads)
    monkeypatch.setattr(listing.os, "cpu_count", lambda: 64)
    together, seen = Barrier(n_threads, timeout=20), set()

    def rule(histories: csr_matrix) -> FloatArray:
        seen.add(get_ident())
        together.wait()  # Breaks where there are fewer threads.
        return np.zeros(histories.shape, dtype=np.float32)

    fitted = {"a": Scripted(rule), "b": Scripted(lambda histories: np.zeros(histories.shape, np.float32))}
    evaluate_together(fitted, {}, data, held_out, item_categories=None, rng=np.random.default_rng(0))
    assert len(seen) == n_threads


THREE = ("a", "b", "c")


def three_families(data: TrainingData, seed: int = 4) -> dict[str, FloatArray]:
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(data.strengths.shape).astype(np.float32) * 9 + 2 for name in THREE}


def judged_together(
    tables: dict[str, FloatArray], blends: dict[str, dict[str, float]], calls: list[int] | None = None
) -> Mapping[str, Evaluation]:
    data, held_out = a_world()
    fitted = {name: giving(table, data, calls) for name, table in tables.items()}
    rng, categories = np.random.default_rng(0), np.arange(300) % 7
    return evaluate_together(
        fitted, blends, data, held_out, item_categories=categories, rng=rng, cutoffs=(1, 3, 20)
    )


def test_whoever_is_judged_among_others_scores_as_alone() -> None:
    data, held_out = a_world()
    tables = three_families(data)
    found = judged_together(tables, {"mixed": {"c": 0.5, "a": 0.5}})
    for name, table in tables.items():
        assert same(found[name], judged(table, data, held_out, categories=np.arange(300) % 7)), name


@pytest.mark.parametrize("weights", [{"b": 0.7, "a": 0.3}, {"a": 0.1, "b": 0.2, "c": 0.7}])
@pytest.mark.parametrize("ranked_at_once", [1, 2000, 10**6])
def test_a_blend_is_judged_as_the_model_that_scores_so(
    weights: dict[str, float], ranked_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "_RANKED_AT_ONCE", ranked_at_once)
    monkeypatch.setattr(listing, "_SCORES_AT_ONCE", 5000)
    data, held_out = a_world()
    tables = three_families(data)
    blends = {"first": {"c": 0.9, "b": 0.1}, "wanted": weights, "last": {"a": 0.5, "c": 0.5}}
    found = judged_together(tables, blends)["wanted"]
    scores = blended([tables[name].copy() for name in weights], list(weights.values()))
    assert same(found, judged(scores, data, held_out, categories=np.arange(300) % 7))


def test_a_blend_of_one_is_that_one() -> None:
    data, _ = a_world()
    found = judged_together(three_families(data), {"alone": {"b": 1.0}})
    assert list(found) == ["a", "b", "c", "alone"] and same(found["alone"], found["b"])


def test_each_family_scores_each_customer_once_for_any_number_of_blends() -> None:
    data, held_out = a_world()
    blends = {f"{share}": {"a": share / 10, "b": 1 - share / 10, "c": 0.1} for share in range(1, 9)}
    calls: list[int] = []
    judged_together(three_families(data), blends, calls)
    assert sorted(calls) == sorted(held_out.customer_rows.tolist() * 3)


def test_intervals_come_from_the_same_draws_and_can_be_paired() -> None:
    data, _ = a_world()
    table = three_families(data)["a"]
    found = judged_together({"a": table, "twin": table.copy()}, {})
    assert same(found["a"], found["twin"])


def test_more_families_take_smaller_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "_SCORES_IN_ALL", 6000)  # Of 300 items each: 20 customers, or of three 6.
    data, held_out = a_world()
    sizes: list[int] = []

    def rule(histories: csr_matrix) -> FloatArray:
        sizes.append(histories.shape[0])
        return np.zeros(histories.shape, dtype=np.float32)

    for names in ("a", "abc"):
        fitted = {name: Scripted(rule) for name in names}
        rng = np.random.default_rng(0)
        evaluate_together(fitted, {}, data, held_out, item_categories=None, rng=rng)
    assert sizes == [20] * 3 + [6] * 30


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
    monkeypatch.setattr(listing, "_SCORES_AT_ONCE", 3000)
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
