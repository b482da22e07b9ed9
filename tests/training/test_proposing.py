"""How serving will find the best of many items is settled at training, by what a scan would look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest
from scipy.sparse import csr_matrix, random_array

from recsvc.training.blending import Model
from recsvc.training.families.base import Fitted, FloatArray, TrainingData
from recsvc.training.proposing import MOST_SCANNED, proposed_share, scanned_share, shortlist_arrays

from .examples import data_of

N_ITEMS = 6_000


@dataclass
class Factors:
    """Something fitted, whose customers have the mean of the factors of what they took."""

    factors: FloatArray

    def item_factors(self) -> FloatArray:
        return self.factors

    def customer_factors(self, histories: csr_matrix) -> FloatArray:
        return np.asarray(histories @ self.factors, dtype=np.float32)


@pytest.fixture(scope="module")
def data() -> TrainingData:
    drawn = random_array((60, N_ITEMS), density=0.002, rng=np.random.default_rng(1))
    return data_of(np.ceil(drawn.toarray()))


def fitted(skew: float) -> Fitted:
    rng = np.random.default_rng(2)
    factors = rng.normal(size=(N_ITEMS, 8)) * (rng.random((N_ITEMS, 1)) + 1e-3) ** -skew
    return cast(Fitted, Factors(factors.astype(np.float32)))


def names(data: TrainingData, *parts: Fitted) -> set[str]:
    model = Model(tuple((part, 1 / len(parts)) for part in parts))
    return set(shortlist_arrays(data, model, seed=1))


SCAN, PROPOSALS = {"scan_rows", "scan_factors"}, {"proposal_items", "proposal_scores"}


def test_where_norms_spread_a_scan_is_laid_out_and_elsewhere_neighbours_propose(data: TrainingData) -> None:
    assert names(data, fitted(1.0)) == SCAN
    assert names(data, fitted(0.0)) == PROPOSALS
    shares = [scanned_share(data, one, cast(Any, one).factors) for one in (fitted(1.0), fitted(0.0))]
    assert shares[0] < MOST_SCANNED < shares[1]


def test_a_blend_is_never_scanned(data: TrainingData) -> None:
    assert names(data, fitted(1.0), fitted(1.0)) == PROPOSALS


def test_few_items_need_neither(data: TrainingData) -> None:
    few = data_of(data.strengths.toarray()[:, :4_000])
    assert names(few, fitted(1.0)) == set()


def test_the_share_of_the_exact_list_that_is_proposed_is_counted(data: TrainingData) -> None:
    everything = np.broadcast_to(np.arange(900, dtype=np.int32), (N_ITEMS, 900))
    weights = np.ones((N_ITEMS, 900), dtype=np.float32)

    class Falling:
        """Thinks most of the first items, whatever the history."""

        def score(self, histories: csr_matrix) -> FloatArray:
            return np.tile(-np.arange(N_ITEMS, dtype=np.float32), (histories.shape[0], 1))

    model = cast(Model, Falling())
    found = {"proposal_items": everything, "proposal_scores": weights}
    missed = {"proposal_items": everything[:, 100:], "proposal_scores": weights[:, 100:]}
    assert proposed_share(data, model, found) == {"proposed@20": 1.0}
    assert proposed_share(data, model, missed)["proposed@20"] == 0.0
    assert proposed_share(data, model, {}) == {}


def test_rows_stand_by_falling_norm_with_their_own_factors(data: TrainingData) -> None:
    one = fitted(1.0)
    arrays = shortlist_arrays(data, Model(((one, 1.0),)), seed=1)
    factors = cast(Any, one).factors
    assert (np.diff(np.linalg.norm(arrays["scan_factors"].astype(np.float64), axis=1)) <= 1e-5).all()
    assert (arrays["scan_factors"] == factors[arrays["scan_rows"]]).all()
    assert sorted(arrays["scan_rows"].tolist()) == list(range(N_ITEMS))
