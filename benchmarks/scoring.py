"""What a list costs that nobody kept ready, and whether what is found is what scoring everything finds.

In: the published Gowalla split, or a bundle that was trained on it; skewed items made from a seed. Out: CPU
time of this process with one BLAS thread. Ratios are medians of rounds in which both ways run by turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from benchmarks.bench import POLICY, SEED, Bench, Finding, cpu_ratio, cpu_seconds_of, mapping_file
from recsvc.bundles.bundle import Bundle, History
from recsvc.bundles.manifest import PartFacts
from recsvc.history.matrix import build_matrix
from recsvc.serving.scoring import Scorer, Shortlist, make_scorer, make_shortlist
from recsvc.serving.scoring.factors import FoldedFactors
from recsvc.serving.scoring.parts import FloatArray, OpenRows, RowArray
from recsvc.serving.scoring.scan import BlockScan
from recsvc.serving.verification import load_model
from recsvc.training.families import Als
from recsvc.training.families.base import training_data
from recsvc.training.proposing import scanned_share

LENGTH = 20
N_CUSTOMERS, N_TIMED, ROUNDS = 1_000, 200, 9
_N_SKEWED, _N_FACTORS, _SKEW = 200_000, 64, 0.5
_ALS_64 = Als(factor_share=0.25)


@dataclass(frozen=True, slots=True)
class Asked:
    """A customer's history, and what may be shown."""

    history: History
    open_rows: OpenRows


def scan(bench: Bench) -> Iterator[Finding]:
    """ALS of Gowalla with 64 factors, then items whose norms are skewed."""
    with threadpool_limits(1, user_api="blas"):
        data = training_data(build_matrix(bench.read("gowalla/train.parquet", "gowalla"), POLICY, as_of=None))
        fitted = _ALS_64.fit(data, seed=SEED)
        share = scanned_share(data, fitted, fitted.factors)
        yield Finding("Gowalla, ALS 64: items that no scan may pass over", share, "of the items")
        bundle = _bundle_of(fitted.factors, fitted.fold_in.confidence, fitted.fold_in.regularization)
        histories = _histories(data.strengths)
        yield from _compare("Gowalla, ALS 64", bundle, histories, least=3.0)
        factors = skewed_factors(_N_SKEWED, _N_FACTORS, _SKEW)
        yield from _compare(
            f"{_N_SKEWED:,} skewed items",
            _bundle_of(factors, 40.0, 2.0),
            _drawn_histories(_N_SKEWED),
            least=10.0,
        )


def blend(bench: Bench, path: Path | None) -> Iterator[Finding]:
    """The model that selection chose on Gowalla, trained here where no bundle of it is given."""
    if path is None:
        models = bench.work / "models"
        events = ("--events", bench.file("gowalla/train.parquet"), "--mapping", mapping_file("gowalla"))
        path = models / bench.recsvc("train", *events, "--models", models).report["version"]
    model = load_model(path)
    shortlist = model.shortlist
    assert shortlist is not None, "Gowalla has many items"
    bundle, n_items = model.bundle, len(model.bundle.items)
    drawn = np.random.default_rng(SEED).choice(len(bundle.customers), N_CUSTOMERS, replace=False)
    asked = [_asked(bundle.history_of(row), n_items) for row in drawn.tolist()]
    families = ", ".join(f"{part.weight:.2f} {part.family}" for part in bundle.manifest.parts)
    with threadpool_limits(1, user_api="blas"):
        found = [_share_found(model.scorer, shortlist, one) for one in asked]
        yield Finding(
            f"Gowalla's blend ({families}): exact first 20 found", float(np.mean(found)), least=0.999
        )
        few = _timed(asked, lambda one: _first(model.scorer, shortlist, one))
        yield Finding("Gowalla's blend: fold-in and first 20", few, "ms of CPU", most=1.0)
        whole = _timed(asked[: N_TIMED // 4], lambda one: _first(model.scorer, None, one))
        yield Finding("Gowalla's blend: the same by scoring everything", whole, "ms of CPU")


def skewed_factors(n_items: int, n_factors: int, skew: float) -> FloatArray:
    """Directions at random, norms by a power law of the place: few items are much in demand."""
    rng = np.random.default_rng(SEED)
    factors = rng.standard_normal((n_items, n_factors), dtype=np.float32)
    factors /= np.linalg.norm(factors, axis=1, keepdims=True)
    norms = np.arange(1, n_items + 1, dtype=np.float64) ** -skew
    return np.ascontiguousarray(factors * rng.permutation(norms)[:, None].astype(np.float32))


def _compare(what: str, bundle: Bundle, histories: Sequence[History], *, least: float) -> Iterator[Finding]:
    scorer = make_scorer(bundle)
    shortlist = make_shortlist(bundle, scorer)
    assert shortlist is not None
    asked = [_asked(history, len(bundle.popularity)) for history in histories]
    found = [_share_found(scorer, shortlist, one) for one in asked]
    yield Finding(f"{what}: exact first {LENGTH} found", float(np.mean(found)), least=1.0)
    most = 0.2 if len(bundle.popularity) < _N_SKEWED else None
    cost = _timed(asked, lambda one: _first(scorer, shortlist, one))
    yield Finding(f"{what}: fold-in and first {LENGTH}", cost, "ms of CPU", most=most)
    cost = _timed(asked, lambda one: scorer.parts_after(one.history))
    yield Finding(f"{what}: fold-in alone", cost, "ms of CPU")
    factors: FloatArray = bundle.arrays["als_item_factors"]
    blocks = BlockScan(bundle.arrays["scan_factors"], bundle.arrays["scan_rows"])
    customers = [(_customer(scorer, one), one.open_rows) for one in asked[:N_TIMED]]

    def by_scan() -> None:
        for customer, open_rows in customers:
            rows = blocks.best(customer, open_rows, LENGTH)
            _in_order(rows, factors[rows] @ customer)

    def by_scoring() -> None:
        for customer, open_rows in customers:
            scores = factors @ customer
            scores[open_rows.used] = -np.inf
            last = np.partition(scores, len(scores) - LENGTH)[len(scores) - LENGTH]
            rows = np.flatnonzero(scores >= last)
            _in_order(rows.astype(np.int32), scores[rows])

    ratio = cpu_ratio(by_scoring, by_scan, ROUNDS)
    yield Finding(f"{what}: scoring everything, to a scan by blocks", ratio, "times", least=least)


def _bundle_of(factors: FloatArray, confidence: float, regularization: float) -> Bundle:
    """ALS alone, laid out to be scanned, of which only the arrays are asked for."""
    gram = factors.T @ factors + np.float32(regularization) * np.eye(factors.shape[1], dtype=np.float32)
    rows = np.argsort(-np.linalg.norm(factors, axis=1), kind="stable").astype(np.int32)
    arrays = {
        "als_item_factors": factors,
        "als_gram": gram,
        "scan_rows": rows,
        "scan_factors": factors[rows],
        "popularity": np.ones(len(factors), dtype=np.float32),
    }
    facts = PartFacts("als", 1.0, {"confidence": confidence, "regularization": regularization})
    return Bundle(Path(), _OfParts((facts,)), arrays, {})  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class _OfParts:
    """All of a manifest that scoring asks for."""

    parts: tuple[PartFacts, ...]
    live: None = None


def _histories(strengths: csr_matrix) -> Sequence[History]:
    drawn = np.random.default_rng(SEED).choice(strengths.shape[0], N_CUSTOMERS, replace=False)
    rows = (strengths[row] for row in drawn.tolist())
    return [History(row.indices.astype(np.int32), row.data.astype(np.float32)) for row in rows if row.nnz]


def _drawn_histories(n_items: int) -> Sequence[History]:
    """Of 1 to 39 items each."""
    rng = np.random.default_rng(SEED)
    lengths = rng.integers(1, 40, N_CUSTOMERS).tolist()
    rows = (np.sort(rng.choice(n_items, length, replace=False)).astype(np.int32) for length in lengths)
    return [History(one, np.ones(len(one), dtype=np.float32)) for one in rows]


def _asked(history: History, n_items: int) -> Asked:
    return Asked(history, OpenRows(np.arange(n_items, dtype=np.int32), history.item_rows, n_items))


def _customer(scorer: Scorer, one: Asked) -> FloatArray:
    ((folded, _),) = scorer.parts_after(one.history)
    assert isinstance(folded, FoldedFactors)
    return folded.customer


def _first(scorer: Scorer, shortlist: Shortlist | None, one: Asked) -> RowArray:
    """The first places as serving finds them: with a shortlist, or by scoring everything."""
    if shortlist is None:
        scores = scorer.score(one.history).copy()
        scores[one.open_rows.used] = -np.inf
        last = np.partition(scores, len(scores) - LENGTH)[len(scores) - LENGTH]
        rows = np.flatnonzero(scores >= last).astype(np.int32)
        return _in_order(rows, scores[rows])
    rows = shortlist.among(one.open_rows, one.history, LENGTH)
    return _in_order(rows, scorer.score_of(one.history, rows))


def _in_order(rows: RowArray, scores: FloatArray) -> RowArray:
    return rows[np.argsort(-scores, kind="stable")[:LENGTH]]


def _share_found(scorer: Scorer, shortlist: Shortlist, one: Asked) -> float:
    """Of the exact first places. One that scores as the last does, but for rounding, is as good as it."""
    scores = scorer.score(one.history)
    exact = scores[_first(scorer, None, one)]
    found = scores[_first(scorer, shortlist, one)]
    return float((found >= exact[-1] - 1e-6 * abs(exact[-1])).sum() / len(exact))


def _timed(asked: Sequence[Asked], run: Callable[[Asked], object]) -> float:
    """Milliseconds of CPU for one, the median of rounds."""

    def all_of_them() -> None:
        for one in asked[:N_TIMED]:
            run(one)

    seconds = median(cpu_seconds_of(all_of_them) for _ in range(ROUNDS))
    return 1e3 * seconds / len(asked[:N_TIMED])
