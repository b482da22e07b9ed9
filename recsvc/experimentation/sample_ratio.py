"""Whether the arms have the sizes that they were meant to have. In: customers by arm. Out: a p-value.

Arms that are off by more than chance say that something in the experiment is broken, and that no result of it
can be trusted (Fabijan et al. 2019). The check comes before all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import erfc, exp, lgamma, log, sqrt

MISMATCH_BELOW = 0.001
"""A p-value under this refuses every verdict."""


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """Pearson's chi-squared of the arms' sizes, and whether they are off."""

    chi2: float
    p_value: float

    @property
    def is_mismatch(self) -> bool:
        """Whether the sizes are off by more than chance allows."""
        return self.p_value < MISMATCH_BELOW


def check_sample_ratio(customers: Sequence[int], weights: Sequence[float]) -> SampleRatio | None:
    """Compare sizes with weights, which need not sum to 1; None while nobody is in any arm.

    Nobody can be dealt to an arm of weight 0: who is in it by a change of weights says nothing here, and it
    is left out. Raises ValueError where a weight is below 0, or none is above.
    """
    shares = _shares(weights)
    dealt = [(n, share) for n, share in zip(customers, shares, strict=True) if share]
    total = sum(n for n, _ in dealt)
    if total == 0:
        return None
    chi2 = sum((n - total * share) ** 2 / (total * share) for n, share in dealt)
    return SampleRatio(chi2, chi2_tail(chi2, len(dealt) - 1))


def chi2_tail(value: float, freedom: int) -> float:
    """The chance of a larger chi-squared; whole degrees of freedom (Abramowitz and Stegun 26.4.4, 26.4.5)."""
    if value <= 0 or freedom == 0:
        return 1.0
    half = value / 2
    if freedom % 2:
        tail, powers = erfc(sqrt(half)), [n + 0.5 for n in range((freedom - 1) // 2)]
    else:
        tail, powers = 0.0, [float(n) for n in range(freedom // 2)]
    return tail + sum(exp(power * log(half) - half - lgamma(power + 1)) for power in powers)


def sequential_p_values(
    batches: Sequence[Sequence[int]], weights: Sequence[float], concentration: float = 10_000
) -> tuple[float, ...]:
    """A p-value after each batch of customers by arm, right however often it is looked at.

    The Bayes factor of a Dirichlet-multinomial against the weights (Lindon and Malek 2022, "Anytime-valid
    inference for multinomial count data"); the p-value is the inverse of the largest so far. An arm of weight
    0 is left out, and ValueError raised, as for `check_sample_ratio`.
    """
    all_shares = _shares(weights)
    shares = [share for share in all_shares if share]
    priors = [concentration * share for share in shares]
    totals, best, found = [0] * len(shares), 0.0, []
    for batch in batches:
        dealt = [n for n, share in zip(batch, all_shares, strict=True) if share]
        totals = [so_far + more for so_far, more in zip(totals, dealt, strict=True)]
        best = max(best, _log_bayes_factor(totals, shares, priors))
        found.append(min(1.0, exp(-best)))
    return tuple(found)


def _shares(weights: Sequence[float]) -> list[float]:
    whole = sum(weights)
    if not whole > 0 or min(weights) < 0:
        raise ValueError("no weight may be below 0, and one must be above")
    return [weight / whole for weight in weights]


def _log_bayes_factor(totals: Sequence[int], shares: Sequence[float], priors: Sequence[float]) -> float:
    n, whole = sum(totals), sum(priors)
    mixed = lgamma(whole) - lgamma(whole + n)
    mixed += sum(lgamma(prior + k) - lgamma(prior) for prior, k in zip(priors, totals, strict=True))
    return mixed - sum(k * log(share) for k, share in zip(totals, shares, strict=True))
