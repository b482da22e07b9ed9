"""What a decision earns, as a plain model. In: logged decisions. Out: expected rewards for every action.

The mean reward of an action in a stratum, drawn towards what the action and the stratum earn by themselves,
as if `PRIOR_DECISIONS` more had earned that. Cross-fitted: a decision is never judged by a model that knows
it. There is no chance in it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

N_FOLDS = 5
PRIOR_DECISIONS = 100.0

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


def expected_rewards(
    rewards: Floats, actions: Rows, strata: Rows, n_actions: int, units: Rows | None = None
) -> Floats:
    """A model's reward of every action at every decision: (n, n_actions). The others are all (n,).

    Decisions of one unit share a fold.
    """
    folds = (np.arange(len(rewards)) if units is None else units) % N_FOLDS
    expected = np.zeros((len(rewards), n_actions))
    n_strata = int(strata.max()) + 1
    for fold in range(N_FOLDS):
        held_out = folds == fold
        if held_out.any():
            known = ~held_out
            cells = _cell_means(rewards[known], actions[known], strata[known], (n_strata, n_actions))
            expected[held_out] = cells[strata[held_out]]
    return expected


def _cell_means(rewards: Floats, actions: Rows, strata: Rows, shape: tuple[int, int]) -> Floats:
    """The shrunk mean of every action in every stratum: `shape`."""
    counts, sums = np.zeros(shape), np.zeros(shape)
    np.add.at(counts, (strata, actions), 1.0)
    np.add.at(sums, (strata, actions), rewards)
    overall = float(rewards.mean()) if len(rewards) else 0.0
    of_action = _drawn(sums.sum(axis=0), counts.sum(axis=0), overall)
    of_stratum = _drawn(sums.sum(axis=1), counts.sum(axis=1), overall)
    return _drawn(sums, counts, of_stratum[:, None] + of_action[None, :] - overall)


def _drawn(sums: Floats, counts: Floats, towards: Floats | float) -> Floats:
    drawn: Floats = (sums + PRIOR_DECISIONS * towards) / (counts + PRIOR_DECISIONS)
    return drawn
