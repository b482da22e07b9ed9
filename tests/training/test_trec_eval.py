"""The same figures as trec_eval, which the literature counts with: to six digits, for every customer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsvc.training.evaluation import HeldOut, evaluate
from recsvc.training.families.base import FloatArray
from tests.training.examples import Scripted, data_of, held_out_of

pytrec_eval = pytest.importorskip("pytrec_eval", reason="pytrec-eval-terrier has no wheel for this machine")

N_CUSTOMERS, N_ITEMS = 80, 250
CUTOFFS = (1, 5, 20, 100)
NAMES = {"recall": "recall", "precision": "P", "ndcg": "ndcg_cut", "map": "map_cut", "hit_rate": "success"}

Figures = Mapping[str, Mapping[str, float]]  # By customer, then by trec_eval's name.


class World:
    """Random scores without ties, what each customer had, and what they took: seen in training or not."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        had = rng.random((N_CUSTOMERS, N_ITEMS)) < 0.1
        had[:, 0] = True
        self.scores: FloatArray = np.stack([rng.permutation(N_ITEMS) for _ in had]).astype(np.float32)
        self.relevant = [
            rng.choice(np.flatnonzero(~row), rng.choice([0, 1, 3, 30, 120]), replace=False) for row in had
        ]
        self.n_unseen = [int(rng.integers(0 if len(seen) else 1, 9)) for seen in self.relevant]
        self.had = had
        strengths = np.where(had, 1 + np.arange(N_CUSTOMERS)[:, None] / N_CUSTOMERS, 0)
        self.data = data_of(strengths.astype(np.float32))

    def held_out(self) -> HeldOut:
        return held_out_of([seen.tolist() for seen in self.relevant], N_ITEMS, self.n_unseen)

    def score(self, histories: csr_matrix) -> FloatArray:
        """The scores of the customers whose histories these are, known by the strength of the first item."""
        strengths = self.data.strengths[:, [0]].toarray().ravel()
        return self.scores[np.searchsorted(strengths, histories[:, [0]].toarray().ravel())]

    def by_trec_eval(self, length: int) -> Figures:
        """Its verdict on lists that end after `length` items."""
        taken = {
            str(row): {f"i{item}": 1 for item in seen} | {f"unseen{n}": 1 for n in range(n_unseen)}
            for row, (seen, n_unseen) in enumerate(zip(self.relevant, self.n_unseen, strict=True))
        }
        lists = {
            str(row): {f"i{item}": float(self.scores[row, item]) for item in self._best(row, length)}
            for row in range(N_CUSTOMERS)
        }
        cuts = ",".join(map(str, CUTOFFS))
        measures = {f"{name}.{cuts}" for name in NAMES.values()} | {"recip_rank", "map"}
        return pytrec_eval.RelevanceEvaluator(taken, measures).evaluate(lists)  # type: ignore[no-any-return]

    def _best(self, row: int, length: int) -> list[int]:
        free = np.flatnonzero(~self.had[row])
        return free[np.argsort(-self.scores[row, free])][:length].tolist()


@pytest.mark.parametrize("seed", range(3))
def test_every_figure_of_every_customer_is_that_of_trec_eval(seed: int) -> None:
    world = World(seed)
    held_out, rng = world.held_out(), np.random.default_rng(0)
    found = evaluate(
        Scripted(world.score), world.data, held_out, item_categories=None, rng=rng, cutoffs=CUTOFFS
    ).per_customer
    assert 0 < sum(found["hit_rate@20"] == 0) < N_CUSTOMERS, "some customers are without a hit"
    whole = world.by_trec_eval(N_ITEMS)
    for k in CUTOFFS:
        cut = world.by_trec_eval(k)
        for row, n_relevant in enumerate(held_out.n_relevant.tolist()):
            ours = {name: found[f"{name}@{k}"][row] for name in (*NAMES, "mrr")}
            theirs = {name: whole[str(row)][f"{its_name}_{k}"] for name, its_name in NAMES.items()}
            # Theirs divides by all that is relevant, ours by as many of them as the list can hold.
            theirs["map"] *= n_relevant / min(n_relevant, k)
            theirs["mrr"] = cut[str(row)]["recip_rank"]
            assert ours == pytest.approx(theirs, abs=5e-7), (row, k)


def test_average_precision_over_the_whole_ranking_is_that_of_trec_eval() -> None:
    world = World(seed=5)
    held_out, rng = world.held_out(), np.random.default_rng(0)
    found = evaluate(
        Scripted(world.score), world.data, held_out, item_categories=None, rng=rng, cutoffs=(20, N_ITEMS)
    ).per_customer[f"map@{N_ITEMS}"]
    theirs = world.by_trec_eval(N_ITEMS)
    assert found.tolist() == pytest.approx([theirs[str(row)]["map"] for row in range(N_CUSTOMERS)], abs=5e-7)
