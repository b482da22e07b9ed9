"""What the ALS family costs over calling `implicit`: the same matrix, size and settings, in turns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from implicit.cpu.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

from benchmarks.bench import POLICY, SEED, Bench, Finding, cpu_ratio
from recsvc.history.matrix import build_matrix
from recsvc.training.families import Als
from recsvc.training.families.als import n_factors_for
from recsvc.training.families.base import training_data

ROUNDS = 5
FACTOR_SHARE = 0.25


def plain_als(bench: Bench) -> Iterator[Finding]:
    """A fit through the family, chance and all, to a fit by implicit."""
    data = training_data(build_matrix(bench.read("gowalla/train.parquet", "gowalla"), POLICY, as_of=None))
    family = Als(factor_share=FACTOR_SHARE)
    n_factors = round(FACTOR_SHARE * n_factors_for(data.strengths.shape[1]))

    def through_family() -> None:
        family.fit(replace(data), seed=SEED)  # Other data to the family: seeds are not at hand.

    def directly() -> None:
        with threadpool_limits(1, user_api="blas"):
            AlternatingLeastSquares(
                factors=n_factors,
                alpha=family.confidence,
                regularization=family.regularization,
                iterations=family.n_iterations,
                random_state=SEED,
            ).fit(data.strengths, show_progress=False)

    ratio = cpu_ratio(through_family, directly, ROUNDS)
    what = f"the ALS family to implicit called directly, {n_factors} factors"
    yield Finding(what, ratio, "of its CPU", most=1.05, note=f"median of {ROUNDS} rounds in turns")
