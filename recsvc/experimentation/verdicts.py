"""What an experiment says. In: the checks and the differences of one arm. Out: one verdict, one sentence.

A wrong verdict is worse than none. So the checks come first, an experiment that is judged at its end is not
judged before it, and what was found is told from the absolute difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from recsvc.experimentation.differences import Difference
from recsvc.experimentation.sample_ratio import MISMATCH_BELOW, SampleRatio

MOST_CROSSED = 0.01
"""The share of customers who may have met two variants."""
MOST_MISMATCHED = 0.001
"""The share of answers that may have come from another model version: so few cannot turn a verdict."""


class Verdict(StrEnum):
    """What the data can carry."""

    WIN = "win"
    LOSS = "loss"
    FLAT = "flat"
    INCONCLUSIVE = "inconclusive"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Health:
    """What must hold before anything is compared.

    `crossed` is the share of customers who met two variants; `mismatched` the share of answers that
    came from another model version than the assigned one.
    """

    sizes: SampleRatio | None
    crossed: float = 0.0
    mismatched: float = 0.0


class GuardrailState(StrEnum):
    """What is shown of a metric that must not suffer by more than its margin."""

    HOLDS = "holds"  # It does not.
    BROKEN = "broken"  # It does.
    NOT_SHOWN = "not_shown"


@dataclass(frozen=True, slots=True)
class Guardrail:
    """A metric that must not suffer, and what is shown of it."""

    metric: str
    state: GuardrailState


@dataclass(frozen=True, slots=True)
class Primary:
    """The primary metric of one arm against control.

    `difference` is the confidence sequence's while an experiment that may be looked at runs, else the fixed
    test's; None where there is none, and then `refusal` says why. `minimum_effect` is the least difference
    worth acting on, 0 for any.
    """

    metric: str
    difference: Difference | None
    higher_is_better: bool = True
    minimum_effect: float = 0.0
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and why, in one plain sentence."""

    verdict: Verdict
    sentence: str


def judge(
    health: Health, primary: Primary, guardrails: Sequence[Guardrail], *, not_judged: str | None = None
) -> Judgement:
    """The verdict on one arm. `not_judged` says why its time has not come, or will not."""
    broken = what_is_wrong(health)
    if broken is not None:
        return Judgement(Verdict.INVALID, broken)
    if not_judged is not None:
        return Judgement(Verdict.INCONCLUSIVE, not_judged)
    harmed = [one.metric for one in guardrails if one.state is GuardrailState.BROKEN]
    if harmed:
        return Judgement(
            Verdict.LOSS,
            f"Guardrail broken: {_listed(harmed)} worse by more than the margin, beyond chance.",
        )
    if primary.difference is None:
        said = primary.refusal or "nothing has happened yet in either arm"
        return Judgement(Verdict.INCONCLUSIVE, f"{primary.metric} cannot be compared: {said}.")
    return _of_difference(primary, primary.difference, guardrails)


def what_is_wrong(health: Health) -> str | None:
    """Why nothing may be compared, in one sentence; None where nothing forbids it."""
    if health.sizes is not None and health.sizes.is_mismatch:
        return (
            f"The arms have sizes that chance hardly gives (p = {health.sizes.p_value:.2g}, below "
            f"{MISMATCH_BELOW}): find out who is lost before comparing anything."
        )
    if health.crossed > MOST_CROSSED:
        return (
            f"{health.crossed:.1%} of the customers met two variants, at most {MOST_CROSSED:.0%} may: the "
            "arms can no longer be told apart."
        )
    if health.mismatched > MOST_MISMATCHED:
        return (
            f"{health.mismatched:.1%} of the answers came from another model version than the assigned one, "
            f"at most {MOST_MISMATCHED:.1%} may: the arms did not get what they were meant to get."
        )
    return None


def _of_difference(primary: Primary, found: Difference, guardrails: Sequence[Guardrail]) -> Judgement:
    low, high = found.interval.low, found.interval.high
    told = f"{primary.metric} differs by {found.estimate:+.4g} (between {low:+.4g} and {high:+.4g})"
    least = primary.minimum_effect
    is_better, is_worse = (low > 0, high < 0) if primary.higher_is_better else (high < 0, low > 0)
    if least and -least < low and high < least:
        return Judgement(Verdict.FLAT, f"{told}: less than the {least:.4g} that would matter.")
    if is_worse:
        return Judgement(Verdict.LOSS, f"{told}: worse beyond chance.")
    if not is_better:
        return Judgement(
            Verdict.INCONCLUSIVE, f"{told}: chance alone may do that; more customers would tell."
        )
    unknown = [one.metric for one in guardrails if one.state is not GuardrailState.HOLDS]
    if unknown:
        return Judgement(
            Verdict.INCONCLUSIVE,
            f"{told}: better, but {_listed(unknown)} is not shown to be unharmed, so it is no win.",
        )
    return Judgement(Verdict.WIN, f"{told}: better beyond chance.")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else names[0]
