"""Customers whom training never saw: what their lists lose, and what it costs to make a vector for one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.bench import POLICY, SEED, Bench, Finding
from recsvc.bundles.bundle import Bundle, History
from recsvc.bundles.manifest import PartFacts
from recsvc.history.matrix import InteractionMatrix, build_matrix
from recsvc.serving.scoring.factors import RidgePart
from recsvc.training.evaluation import HeldOut, evaluate_together
from recsvc.training.families import Als, Cooccurrence, Spectral
from recsvc.training.families.base import Fitted, TrainingData, training_data
from recsvc.training.holdout import held_out_from

N_WITHHELD = 3_000
WEIGHTS = {"spectral": 0.4, "als": 0.25, "cooccurrence": 0.35}
N_FACTORS, N_INTERACTIONS, N_ITEMS, N_FOLDED = 128, 100, 10_000, 3_000


def fold_in(bench: Bench) -> Iterator[Finding]:
    """Both on one machine: first the lists, then the cost."""
    yield from _lists(bench)
    yield from _cost()


def _lists(bench: Bench) -> Iterator[Finding]:
    """Customers of Gowalla who were withheld, to the same customers after training on everybody."""
    train, test = (
        build_matrix(bench.read(f"gowalla/{part}.parquet", "gowalla"), POLICY, as_of=None)
        for part in ("train", "test")
    )
    held_out = held_out_from(train, test, "the test file")
    assert held_out
    drawn = np.random.default_rng(SEED).choice(held_out.n_customers, N_WITHHELD, replace=False)
    withheld = _some(held_out, np.sort(drawn))
    everybody = training_data(train)
    others = training_data(_without(train, withheld.customer_rows))
    found = {
        name: evaluate_together(
            _fitted(data),
            {"blend": WEIGHTS},
            everybody,
            withheld,
            item_categories=None,
            rng=np.random.default_rng(SEED),
            cutoffs=(20,),
        )
        for name, data in (("folded in", others), ("trained", everybody))
    }
    for name in (*WEIGHTS, "blend"):
        folded, trained = (found[how][name].primary.value for how in ("folded in", "trained"))
        note = f"{folded:.4f} to {trained:.4f}, {N_WITHHELD:,} customers"
        yield Finding(
            f"{name}: folded in, to trained on", folded / trained, "of its ndcg@20", least=0.97, note=note
        )


def _fitted(data: TrainingData) -> dict[str, Fitted]:
    """Each family at the setting that it would try first."""
    families = (Spectral(), Als(), Cooccurrence())
    return {family.name: family.settings(data)[0].fit(data, seed=SEED) for family in families}


def _some(held_out: HeldOut, places: NDArray[np.int64]) -> HeldOut:
    return replace(
        held_out,
        customer_rows=held_out.customer_rows[places],
        relevant=held_out.relevant[places],
        n_relevant=held_out.n_relevant[places],
    )


def _without(matrix: InteractionMatrix, rows: NDArray[np.int64]) -> InteractionMatrix:
    """The matrix of the other customers, and of the same items."""
    kept = np.setdiff1d(np.arange(len(matrix.customer_ids)), rows)
    strengths = matrix.strengths[kept]
    return replace(
        matrix,
        customer_ids=tuple(matrix.customer_ids[row] for row in kept),
        strengths=strengths,
        refused=matrix.refused[kept],
        popularity=np.bincount(strengths.indices, minlength=strengths.shape[1]).astype(np.float32),
    )


def _cost() -> Iterator[Finding]:
    """CPU time of one fold-in by serving, history by history."""
    rng = np.random.default_rng(SEED)
    factors = rng.standard_normal((N_ITEMS, N_FACTORS), dtype=np.float32) * np.float32(0.1)
    facts = PartFacts("als", 1.0, {"confidence": 40.0, "regularization": 2.0})
    gram = factors.T @ factors + 2 * np.eye(N_FACTORS, dtype=np.float32)
    arrays = {"als_item_factors": factors, "als_gram": gram}
    part = RidgePart(Bundle(Path(), None, arrays, {}), facts)  # type: ignore[arg-type]  # It asks for arrays only.
    micros = []
    with threadpool_limits(1, user_api="blas"):
        for _ in range(N_FOLDED):
            rows = np.sort(rng.choice(N_ITEMS, N_INTERACTIONS, replace=False)).astype(np.int32)
            history = History(rows, rng.uniform(0.1, 3, N_INTERACTIONS).astype(np.float32))
            started = time.thread_time_ns()
            part.fold_in(history)
            micros.append((time.thread_time_ns() - started) / 1e3)
    what = f"a fold-in at {N_FACTORS} factors and {N_INTERACTIONS} interactions"
    yield Finding(f"{what}, median", float(np.median(micros)), "µs of CPU")
    yield Finding(f"{what}, p95", float(np.quantile(micros, 0.95)), "µs of CPU", most=350.0)
