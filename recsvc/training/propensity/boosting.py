"""Boosted trees by scikit-learn, and what is taken over of them. In: rows of numbers. Out: plain trees.

Trees have at most `MOST_LEAVES` leaves, so that serving can ask all of them at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from recsvc.bundles.propensity import MOST_LEAVES

if TYPE_CHECKING:  # It takes longer to load than all else, and a history without offers has no use for it.
    from sklearn.ensemble import HistGradientBoostingClassifier

N_TREES = 128
LEARNING_RATE = 0.05
FEATURES_AT_A_SPLIT = 0.3
LEAST_IN_A_LEAF = 40
RIDGE = 5.0
_HUGE = np.finfo(np.float64).max

Rows = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Boosted:
    """Fitted trees, and the columns that they look at: those that hold something."""

    model: HistGradientBoostingClassifier
    columns: NDArray[np.int64]

    def raw(self, values: Rows) -> Rows:
        """The sum of the trees' values, which is the logarithm of the odds: (n,)."""
        with threadpool_limits(1):  # Threads that wait for each other at every tree cost more than they save.
            return np.asarray(self.model.decision_function(values[:, self.columns]), dtype=np.float64)


def boost(values: Rows, responded: Flags, *, seed: int) -> Boosted:
    """Fit trees. With one thread: sums in another order would be other numbers in their last digits."""
    # Before the threads are limited, for it brings some.
    from sklearn.ensemble import HistGradientBoostingClassifier

    columns = np.flatnonzero(~np.isnan(values).all(axis=0))
    model = HistGradientBoostingClassifier(
        max_iter=N_TREES,
        learning_rate=LEARNING_RATE,
        max_leaf_nodes=MOST_LEAVES,
        min_samples_leaf=min(LEAST_IN_A_LEAF, max(len(values) // 50, 5)),
        l2_regularization=RIDGE,
        max_features=FEATURES_AT_A_SPLIT,
        early_stopping=False,
        random_state=seed,
    )
    with threadpool_limits(1):
        model.fit(values[:, columns], responded)
    return Boosted(model, columns)


def calibrate(raw: Rows, responded: Flags) -> NDArray[np.float64]:
    """Slope and intercept that make odds of rows that a model has not seen come true (Platt 1999): (2,)."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=np.inf).fit(raw[:, None], responded)
    return np.array([fitted.coef_[0, 0], fitted.intercept_[0]])


def calibrated(raw: Rows, calibration: NDArray[np.float64]) -> Rows:
    """Probabilities: (n,)."""
    odds: Rows = calibration[0] * raw + calibration[1]
    return np.asarray(1 / (1 + np.exp(-odds)))


def tree_arrays(boosted: Boosted) -> tuple[float, Mapping[str, NDArray[Any]]]:
    """The value before all trees, and the arrays of a bundle.

    scikit-learn offers no public way to the nodes of these trees; a test compares every number that comes of
    them with the library's own.
    """
    trees = [of_one[0].nodes for of_one in boosted.model._predictors]
    sizes = np.array([len(nodes) for nodes in trees], dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    nodes = np.concatenate(trees)
    first = np.repeat(starts[:-1], sizes)
    is_leaf = nodes["is_leaf"].astype(bool)
    return float(boosted.model._baseline_prediction[0, 0]), {
        "propensity_trees": starts.astype(np.int64),
        "propensity_feature": np.where(is_leaf, -1, boosted.columns[nodes["feature_idx"]]).astype(np.int32),
        # A split that parts what is missing from all else has an infinite threshold.
        "propensity_threshold": np.where(is_leaf, 0.0, np.minimum(nodes["num_threshold"], _HUGE)),
        "propensity_left": np.where(is_leaf, -1, nodes["left"] + first).astype(np.int32),
        "propensity_right": np.where(is_leaf, -1, nodes["right"] + first).astype(np.int32),
        "propensity_missing_left": np.where(is_leaf, 0, nodes["missing_go_to_left"]).astype(np.uint8),
        "propensity_value": np.where(is_leaf, nodes["value"], 0.0),
    }
