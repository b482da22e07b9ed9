"""A bundle with every array that a bundle may have: all families, proposals, features, live, propensities."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from recsvc.bundles.features import feature_arrays
from recsvc.bundles.id_table import IdTable
from recsvc.bundles.layouts import LIVE_PARTS
from recsvc.bundles.manifest import GoldenQuery, LiveFacts, Measured, PartFacts, RowCounts
from recsvc.bundles.opening import open_bundle
from recsvc.bundles.propensity import (
    AttributePlan,
    OfferRecord,
    PropensityModel,
    PropensityPlan,
    PropensityReport,
    ReliabilityBin,
    SentCounts,
)
from recsvc.bundles.propensity_features import feature_names
from recsvc.domain.items import ItemKind
from recsvc.domain.propensity import PropensityRules
from recsvc.policy_offers import PropensityPolicy
from recsvc.serving.scoring import make_scorer

from ..serving.made_bundles import bundle_of, history_of
from ..small_bank import Arrays, publish_changed

FOLD_IN = {"confidence": 20.0, "regularization": 2.0}
PARAMETERS = {
    "als": FOLD_IN,
    "bpr": FOLD_IN,
    "lmf": FOLD_IN,
    "spectral": {},
    "neighbours": {},
    "cooccurrence": {},
    "ease": {},
    "popularity": {},
}
PARTS = tuple(PartFacts(name, 0.125, parameters) for name, parameters in PARAMETERS.items())
N_FACTORS, N_PROPOSALS = 4, 3
FEATURES = ("category:saving", "item", "word:fund")
LIVE = LiveFacts(
    kind=ItemKind.CONTENT,
    half_life_days=0.25,
    long_half_life_days=7.0,
    weights={name: 0.5 for name in LIVE_PARTS},
    trained_weight=0.25,
    n_learned=300,
    metrics={"blend": {"ndcg@10": Measured(0.5, 0.4, 0.6)}},
)
PLAN = PropensityPlan(
    rules=PropensityRules(PropensityPolicy(), ("transaction",)),
    since=datetime(2026, 1, 1, tzinfo=UTC),
    until=datetime(2026, 3, 1, tzinfo=UTC),
    attributes=(AttributePlan("age", "number"),),
    categories=("saving",),
    offers={"o1": OfferRecord("saving", 30.0, SentCounts(100, 60, 20))},
)
PROPENSITY = PropensityModel(
    plan=PLAN,
    features=feature_names(PLAN),
    baseline=-1.0,
    report=PropensityReport(
        "offers",
        100,
        20,
        {name: Measured(0.5, 0.4, 0.6) for name in ("auc", "log_loss", "ece")},
        (ReliabilityBin(100, 0.2, 0.2, 0.1, 0.3),),
    ),
)
N_MEETINGS, START = 40, 1_772_000_000.0


def publish_whole(bundle: Path) -> Path:
    """Publish it beside another, which gives it ids and profiles."""
    rows = open_bundle(bundle).manifest.rows
    arrays = {**open_bundle(bundle).arrays, **model_arrays(rows.items), **live_arrays(rows), **trees()}
    facts = {
        "parts": PARTS,
        "golden_queries": golden_queries(arrays),
        "live": LIVE,
        "propensity": PROPENSITY,
    }
    return publish_changed(bundle, lambda kept: kept.update(arrays), facts)


def model_arrays(n_items: int) -> Arrays:
    """The arrays of every family, drawn, with proposals and features."""
    rng = np.random.default_rng(3)
    arrays: Arrays = {}
    for name in ("als", "bpr", "lmf", "spectral"):
        factors = rng.normal(size=(n_items, N_FACTORS)).astype(np.float32)
        ridge = PARAMETERS[name].get("regularization", 0.0) * np.eye(N_FACTORS, dtype=np.float32)
        arrays[f"{name}_item_factors"] = factors
        arrays[f"{name}_gram"] = (factors.T @ factors + ridge).astype(np.float32)
    for name in ("neighbours", "cooccurrence", "proposal"):
        items = rng.integers(0, n_items, (n_items, N_PROPOSALS)).astype(np.int32)
        scores = rng.uniform(0.1, 1, (n_items, N_PROPOSALS)).astype(np.float32)
        items[:, -1], scores[:, -1] = -1, 0
        arrays[f"{name}_items"], arrays[f"{name}_scores"] = items, scores
    arrays["spectral_fold_in"] = rng.uniform(0.5, 1, n_items).astype(np.float32)
    arrays["ease_weights"] = rng.normal(size=(n_items, n_items)).astype(np.float32)
    by_feature = {
        name: rng.normal(size=(len(FEATURES), N_FACTORS)).astype(np.float32)
        for name in ("als", "bpr", "lmf", "spectral")
    }
    return {**arrays, **feature_arrays(FEATURES, by_feature)}


def trees() -> Arrays:
    """Two trees: one that asks twice, one that is a leaf."""
    return {
        "propensity_trees": np.array([0, 5, 6], dtype=np.int64),
        "propensity_feature": np.array([2, -1, 1, -1, -1, -1], dtype=np.int32),
        "propensity_threshold": np.array([1.5, 0, 30, 0, 0, 0], dtype=np.float64),
        "propensity_left": np.array([1, -1, 3, -1, -1, -1], dtype=np.int32),
        "propensity_right": np.array([2, -1, 4, -1, -1, -1], dtype=np.int32),
        "propensity_missing_left": np.array([1, 0, 0, 0, 0, 0], dtype=np.uint8),
        "propensity_value": np.array([0, -0.5, 0, 0.25, 0.5, 0.125]),
        "propensity_calibration": np.array([1.0, 0.1]),
    }


def live_arrays(rows: RowCounts) -> Arrays:
    """What was live: some meetings, an hour apart, and counts of all items."""
    rng = np.random.default_rng(4)
    seconds = START + 3_600.0 * np.arange(N_MEETINGS)
    return {
        "live_log_counts": rng.normal(size=(rows.items, 2)),
        "live_firsts": np.full(rows.items, START),
        "live_lasts": np.full(rows.items, seconds[-1]),
        "live_met": rng.integers(1, 9, rows.items),
        "live_meeting_customers": rng.integers(0, rows.customers, N_MEETINGS).astype(np.int32),
        "live_meeting_items": rng.integers(0, rows.items, N_MEETINGS).astype(np.int32),
        "live_meeting_seconds": seconds,
    }


def golden_queries(arrays: Arrays) -> tuple[GoldenQuery, ...]:
    """What serving answers: nothing trained this model."""
    scorer = make_scorer(bundle_of(PARTS, arrays))
    table = IdTable(arrays["item_ids_text"], arrays["item_ids_offsets"])
    queries = []
    for first in range(3):
        scores = scorer.score(history_of({first: 1.0, first + 7: 1.0}, len(table)))
        best = np.argsort(-scores, kind="stable")[:10].tolist()
        queries.append(
            GoldenQuery(
                table.ids_of([first, first + 7]),
                table.ids_of(best),
                tuple(float(scores[row]) for row in best),
            )
        )
    return tuple(queries)
