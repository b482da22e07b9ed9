"""One verdict and one sentence: the checks first, and nothing that the data cannot carry."""

from __future__ import annotations

import pytest

from recsvc.domain.satisfaction import Interval
from recsvc.experimentation.differences import Difference, absolute_difference
from recsvc.experimentation.moments import of_proportion
from recsvc.experimentation.sample_ratio import SampleRatio
from recsvc.experimentation.verdicts import Guardrail, GuardrailState, Health, Primary, Verdict, judge

SOUND = Health(SampleRatio(0.1, 0.75))


def between(low: float, high: float) -> Difference:
    return Difference((low + high) / 2, 0.1, Interval(low, high), 0.5)


@pytest.mark.parametrize(
    ("low", "high", "higher_is_better", "minimum_effect", "verdict"),
    [
        (0.1, 0.3, True, 0.0, Verdict.WIN),
        (0.1, 0.3, False, 0.0, Verdict.LOSS),
        (-0.3, -0.1, True, 0.0, Verdict.LOSS),
        (-0.3, -0.1, False, 0.0, Verdict.WIN),
        (-0.1, 0.3, True, 0.0, Verdict.INCONCLUSIVE),
        (-0.1, 0.1, True, 0.2, Verdict.FLAT),
        (-0.1, 0.3, True, 0.2, Verdict.INCONCLUSIVE),
        (0.05, 0.1, True, 0.2, Verdict.FLAT),
        (0.1, 0.3, True, 0.2, Verdict.WIN),
    ],
)
def test_the_interval_decides(
    low: float, high: float, higher_is_better: bool, minimum_effect: float, verdict: Verdict
) -> None:
    primary = Primary("conversion", between(low, high), higher_is_better, minimum_effect)
    found = judge(SOUND, primary, ())
    assert found.verdict is verdict
    assert found.sentence.startswith("conversion differs by") and found.sentence.endswith(".")


@pytest.mark.parametrize(
    ("health", "says"),
    [
        (Health(SampleRatio(20.0, 0.00001)), "find out who is lost"),
        (Health(None, crossed=0.02), "2.0% of the customers met two variants"),
        (Health(None, mismatched=0.0124), "1.2% of the answers came from another model version"),
    ],
)
def test_what_is_broken_is_judged_first_and_never_wins(health: Health, says: str) -> None:
    found = judge(health, Primary("conversion", between(0.1, 0.3)), ())
    assert found.verdict is Verdict.INVALID
    assert says in found.sentence


def test_nothing_is_judged_before_its_end() -> None:
    found = judge(
        SOUND, Primary("conversion", between(0.1, 0.3)), (), not_judged="It is registered to be judged once."
    )
    assert (found.verdict, "registered" in found.sentence) == (Verdict.INCONCLUSIVE, True)


def test_where_nothing_happened_nothing_is_said() -> None:
    found = judge(SOUND, Primary("conversion", None), ())
    assert found.verdict is Verdict.INCONCLUSIVE


def test_a_win_at_the_cost_of_a_guardrail_is_none() -> None:
    guardrails = [
        Guardrail("complaints", GuardrailState.HOLDS),
        Guardrail("unsubscribes", GuardrailState.NOT_SHOWN),
    ]
    found = judge(SOUND, Primary("conversion", between(0.1, 0.3)), guardrails)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "unsubscribes is not shown" in found.sentence and "complaints" not in found.sentence


def test_a_gate_that_is_known_to_lose_loses() -> None:
    """Seven-day retention of a well-known game, where the gate stood at level 30 or at level 40."""
    control, treatment = of_proportion(44_700, 8_502), of_proportion(45_489, 8_279)
    primary = Primary("retention", absolute_difference(control, treatment))
    assert judge(SOUND, primary, ()).verdict is Verdict.LOSS


def test_a_guardrail_that_is_shown_to_be_broken_is_a_loss_whatever_is_gained() -> None:
    guardrails = [
        Guardrail("complaints", GuardrailState.BROKEN),
        Guardrail("unsubscribes", GuardrailState.BROKEN),
    ]
    for difference in (between(0.1, 0.3), None):
        found = judge(SOUND, Primary("conversion", difference), guardrails)
        assert found.verdict is Verdict.LOSS
        assert found.sentence.startswith("Guardrail broken: complaints and unsubscribes worse")


def test_what_cannot_be_compared_says_why() -> None:
    found = judge(SOUND, Primary("nps", None, refusal="an arm has 3 customers who count"), ())
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.sentence == "nps cannot be compared: an arm has 3 customers who count."
