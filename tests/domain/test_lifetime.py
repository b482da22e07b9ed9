"""The BG/NBD model by the reference case, by the paper, and at its edges."""

from __future__ import annotations

from collections.abc import Mapping
from math import exp
from typing import Any

import pytest

from recsvc.domain.lifetime import Lifetime, Purchases

CDNOW = Lifetime(r=0.243, alpha=4.414, a=0.793, b=2.426)
REGULAR = Purchases(2, 30.43, 38.86)


def test_the_reference_chances_and_forecasts_are_met(golden: Mapping[str, Any]) -> None:
    case = golden["bgnbd_closed_forms"]
    lifetime, expected, tolerance = Lifetime(**case["inputs"]["params"]), case["expected"], case["tolerance"]
    for row, one in enumerate(case["inputs"]["customers"]):
        of = Purchases(one["x"], one["t_x"], one["T"])
        found = [lifetime.p_alive(of), lifetime.expected_purchases(of, one["t"]), lifetime.log_likelihood(of)]
        wanted = [expected[name][row] for name in ("p_alive", "expected_purchases", "log_lik")]
        assert found == pytest.approx(wanted, abs=tolerance), one
    assert lifetime.expected_of_anybody(39) == pytest.approx(expected["unconditional_E_X_39"], abs=tolerance)


def test_the_customer_of_the_paper_is_expected_to_buy_1_226_times() -> None:
    assert CDNOW.expected_purchases(REGULAR, 39) == pytest.approx(1.226, abs=5e-4)
    assert CDNOW.p_alive(REGULAR) == pytest.approx(0.7266, abs=5e-5)


def test_a_customer_without_a_repeat_purchase_is_alive_by_assumption() -> None:
    assert CDNOW.p_alive(Purchases(0, 0, 38.86)) == 1
    assert CDNOW.expected_purchases(Purchases(0, 0, 38.86), 39) == pytest.approx(0.195098, abs=1e-6)


def test_the_longer_a_customer_is_silent_the_less_likely_they_are_alive() -> None:
    chances = [CDNOW.p_alive(Purchases(5, 10, age)) for age in (10, 20, 40, 80, 1000)]
    assert chances == sorted(chances, reverse=True)
    assert all(0 <= chance <= 1 for chance in chances)


def test_the_same_silence_says_more_of_who_bought_often() -> None:
    assert CDNOW.p_alive(Purchases(20, 20, 40)) < CDNOW.p_alive(Purchases(2, 20, 40))


def test_a_silence_beyond_all_measure_is_no_chance_and_no_overflow() -> None:
    assert CDNOW.p_alive(Purchases(5000, 1, 1e6)) == 0


def test_nothing_ahead_means_no_purchase() -> None:
    assert CDNOW.expected_purchases(REGULAR, 0) == 0


def test_the_first_moments_ahead_bring_purchases_at_the_expected_rate() -> None:
    short = 1e-6
    rate = (CDNOW.r + 2) / (CDNOW.alpha + REGULAR.age) * CDNOW.p_alive(REGULAR)
    assert CDNOW.expected_purchases(REGULAR, short) == pytest.approx(rate * short, rel=1e-6)


@pytest.mark.parametrize("repeats", [1, 30, 400])
def test_a_forecast_is_smooth_where_the_formula_is_0_by_0(repeats: int) -> None:
    of = Purchases(repeats, 300.0, 365.0)
    below, at, above = (Lifetime(0.8, 20, a, 3).expected_purchases(of, 30) for a in (0.999, 1.0, 1.001))
    assert above < at < below
    assert at == pytest.approx((below + above) / 2, rel=1e-5)


@pytest.mark.parametrize(
    ("lifetime", "age", "ahead", "expected"),
    [
        (Lifetime(0.24, 4.4, 0.2, 0.05), 10, 365, 1.2305897634545506),
        (Lifetime(0.24, 10, 0.05, 0.2), 10, 90, 0.8978662167409582),
        (Lifetime(0.8, 4.4, 0.2, 0.4), 0, 365, 22.363833804542082),
    ],
)
def test_a_population_in_which_most_leave_at_once_or_never_has_a_forecast(
    lifetime: Lifetime, age: float, ahead: float, expected: float
) -> None:
    """Where a + b < 1. Expected: (1 - (s / (s + p t))^r) / p, s = alpha + T, integrated over beta(a, b)."""
    assert lifetime.expected_purchases(Purchases(0, 0, age), ahead) == pytest.approx(expected, rel=1e-9)


def test_chances_of_all_numbers_of_purchases_of_one_moment_add_up() -> None:
    """Without leaving (a -> 0) the purchases up to a time are negative binomial: P(0) is known."""
    loyal = Lifetime(1.5, 10, 1e-9, 1)
    assert exp(loyal.log_likelihood(Purchases(0, 0, 5))) == pytest.approx((10 / 15) ** 1.5)


@pytest.mark.parametrize("given", [(-1, 0, 0), (1, -1, 5), (1, 6, 5)])
def test_purchases_that_cannot_be_are_refused(given: tuple[int, float, float]) -> None:
    with pytest.raises(ValueError, match="repeats >= 0 and 0 <= last <= age"):
        Purchases(*given)


@pytest.mark.parametrize(
    "given", [(0, 1, 1, 1), (1, float("inf"), 1, 1), (1, 1, -1, 1), (1, 1, 1, float("nan"))]
)
def test_parameters_that_cannot_be_are_refused(given: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="finite and above 0"):
        Lifetime(*given)
