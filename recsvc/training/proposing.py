"""How serving finds the best of many items without scoring them all. In: a model. Out: arrays for that.

A model of one part whose norms spread is scanned by falling norm until no item that is left can reach the
list: exactly, and soon. For any other, what a customer's items propose, summed over the history, holds nearly
all of what any good model puts first: on Gowalla the 1,000 best proposals hold 99.95 % of the exact first 20
of a blend of ALS, spectral and popularity. Serving follows whichever arrays it finds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recsvc.bundles.manifest import MOST_PROPOSED, PROPOSED_METRIC
from recsvc.training.blending import Model
from recsvc.training.families.base import Fitted, FloatArray, TrainingData
from recsvc.training.families.cooccurrence import Cooccurrence
from recsvc.training.threads import one_blas_thread

MIN_ITEMS = 5_000  # Fewer are scored faster than a shortlist of them is made.
MOST_SCANNED = 0.25
"""Of the items, on the average: a scan of more of them saves less than it costs."""
_N_LOOKED_AT, _LIST_LENGTH = 200, 20
_PROPOSING = Cooccurrence(
    customer_exponent=0.6, history_exponent=0.5, proposed_exponent=0.1, n_neighbours=150
)


def shortlist_arrays(data: TrainingData, model: Model, *, seed: int) -> Mapping[str, NDArray[Any]]:
    """`scan_rows` and `scan_factors` where a scan pays, else `proposal_items` and `proposal_scores`.

    The rows by falling norm, (n_items,), and their factors, (n_items, n_factors); what each item proposes,
    (n_items, n_proposals). Nothing where all items are quickly scored: there are few of them, or no factors
    to multiply by.
    """
    has_factors = any(fitted.item_factors() is not None for fitted, _ in model.parts)
    if not has_factors or data.strengths.shape[1] < MIN_ITEMS:
        return {}
    (first, _), *others = model.parts
    factors = first.item_factors()
    if not others and factors is not None and scanned_share(data, first, factors) <= MOST_SCANNED:
        rows = np.argsort(-_norms(factors), kind="stable").astype(np.int32)
        return {"scan_rows": rows, "scan_factors": factors[rows]}
    arrays = _PROPOSING.fit(data, seed=seed).arrays()
    return {
        "proposal_items": arrays["cooccurrence_items"],
        "proposal_scores": arrays["cooccurrence_scores"],
    }


def scanned_share(data: TrainingData, fitted: Fitted, factors: FloatArray) -> float:
    """The share of the items that a scan cannot pass over, the mean of customers from all over the data.

    Those whose norm times the customer's is not below the score of the last item of the list.
    """
    n_customers, n_items = data.strengths.shape
    looked_at = np.unique(np.linspace(0, n_customers - 1, _N_LOOKED_AT).astype(np.int64))
    histories = data.strengths[looked_at]
    with one_blas_thread():
        customers = fitted.customer_factors(histories)
        assert customers is not None, "whatever has item factors has customer factors"
        scores = customers @ factors.T
    scores[histories.nonzero()] = -np.inf
    length = min(_LIST_LENGTH, n_items)
    last = np.partition(scores, n_items - length, axis=1)[:, n_items - length]
    bounds = np.outer(np.linalg.norm(customers, axis=1), _norms(factors))
    return float((bounds >= last[:, None]).mean())


def proposed_share(
    data: TrainingData, model: Model, arrays: Mapping[str, NDArray[Any]]
) -> Mapping[str, float]:
    """The share of the model's exact first 20 that the proposals hold, the mean of customers from all over.

    Nothing where nothing is proposed. Without what a customer had, as lists are shown.
    """
    if "proposal_items" not in arrays:
        return {}
    looked_at = np.unique(np.linspace(0, data.strengths.shape[0] - 1, _N_LOOKED_AT).astype(np.int64))
    shares = [_held(data.strengths[[row]], model, arrays) for row in looked_at if data.strengths[[row]].nnz]
    return {PROPOSED_METRIC: float(np.mean(shares))} if shares else {}


def _held(history: csr_matrix, model: Model, arrays: Mapping[str, NDArray[Any]]) -> float:
    with one_blas_thread():
        scores = model.score(history)[0]
    scores[history.indices] = -np.inf
    length = min(_LIST_LENGTH, int(np.isfinite(scores).sum()))
    first = np.argpartition(-scores, length - 1)[:length] if length else np.zeros(0, dtype=np.int64)
    items, weights = arrays["proposal_items"][history.indices], arrays["proposal_scores"][history.indices]
    weighted = (weights * history.data[:, None]).ravel()
    strengths = np.bincount(items.ravel() + 1, weights=weighted, minlength=len(scores) + 1)[1:]
    strengths[history.indices] = 0
    proposed = np.flatnonzero(strengths)
    if len(proposed) > MOST_PROPOSED:
        proposed = proposed[np.argpartition(strengths[proposed], -MOST_PROPOSED)[-MOST_PROPOSED:]]
    return float(np.isin(first, proposed).mean()) if length else 1.0


def _norms(factors: FloatArray) -> FloatArray:
    norms: FloatArray = np.sqrt(np.einsum("ij,ij->i", factors, factors))
    return norms
