"""The statistics of two arms by the reference cases, and their error rates through the real code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from recsvc.experimentation.comparing import Pair
from recsvc.experimentation.differences import (
    Difference,
    absolute_difference,
    adjusted_relative_difference,
    non_inferiority,
    pooled_p_value,
    relative_difference,
    two_sided,
)
from recsvc.experimentation.metrics import Sample
from recsvc.experimentation.moments import (
    Moments,
    PairedSums,
    cuped_theta,
    of_proportion,
    of_ratio,
    of_values,
)
from recsvc.experimentation.multiplicity import holm, holm_levels
from recsvc.experimentation.planning import customers_per_arm, days_needed, power_of
from recsvc.experimentation.sample_ratio import check_sample_ratio, chi2_tail, sequential_p_values
from recsvc.experimentation.sequences import absolute_sequence, lower_bound, relative_sequence, tuning

Golden = Callable[[str], Mapping[str, Any]]


def arms(case: Mapping[str, Any]) -> tuple[Moments, Moments]:
    control, treatment = (of_proportion(case["inputs"][arm]["n"], case["inputs"][arm]["x"]) for arm in ARMS)
    return control, treatment


ARMS = ("control", "treatment")


def of_proportions(*arms: tuple[int, int]) -> tuple[Moments, Moments]:
    """Of (n, positives) of control and of treatment."""
    control, treatment = (of_proportion(n, positives) for n, positives in arms)
    return control, treatment


def assert_meets(found: Difference | None, expected: Mapping[str, Any], tolerance: float) -> None:
    assert found is not None
    assert found.estimate == pytest.approx(expected["estimate"], abs=tolerance)
    assert [found.interval.low, found.interval.high] == pytest.approx(expected["ci"], abs=tolerance)
    assert found.p_value == pytest.approx(expected["p_value"], abs=tolerance)
    assert found.standard_error == pytest.approx(expected["std_err"], abs=tolerance)


@pytest.mark.parametrize("name", ["prop_1", "prop_noeffect"])
def test_two_proportions(golden: Golden, name: str) -> None:
    case = golden(name)
    control, treatment = arms(case)
    assert_meets(absolute_difference(control, treatment), case["expected"]["gb_absolute"], case["tolerance"])
    assert_meets(relative_difference(control, treatment), case["expected"]["gb_relative"], case["tolerance"])
    counts = [(case["inputs"][arm]["n"], case["inputs"][arm]["x"]) for arm in ARMS]
    assert pooled_p_value(*counts) == pytest.approx(case["expected"]["p_pooled"], abs=case["tolerance"])


@pytest.mark.parametrize("name", ["prop_1", "prop_noeffect"])
def test_two_proportions_by_their_own_shares(golden: Golden, name: str) -> None:
    case = golden(name)
    control, treatment = arms(case)
    error = (control.error_variance + treatment.error_variance) ** 0.5
    z = (treatment.mean - control.mean) / error
    assert (control.mean, treatment.mean) == (case["expected"]["p_control"], case["expected"]["p_treatment"])
    assert z == pytest.approx(case["expected"]["z_unpooled"], abs=case["tolerance"])
    assert two_sided(z) == pytest.approx(case["expected"]["p_unpooled"], abs=case["tolerance"])


def test_a_large_sample_meets_the_normal_test(golden: Golden) -> None:
    case = golden("spotify_ztest_prop_1")
    found = absolute_difference(*arms(case))
    assert found is not None
    z = found.estimate / found.standard_error
    assert two_sided(z) == pytest.approx(case["expected"]["p-value"], abs=case["tolerance"])
    ends = [case["expected"]["ci_lower"], case["expected"]["ci_upper"]]
    assert [found.interval.low, found.interval.high] == pytest.approx(ends, abs=1e-6)


def test_two_means(golden: Golden) -> None:
    case = golden("mean_welch_raw")
    control, treatment = (of_values(case["inputs"][arm]) for arm in ARMS)
    assert_meets(absolute_difference(control, treatment), case["expected"]["gb_absolute"], case["tolerance"])
    assert_meets(relative_difference(control, treatment), case["expected"]["gb_relative"], case["tolerance"])


def test_two_ratios(golden: Golden) -> None:
    case = golden("ratio_delta_raw")
    control, treatment = (
        of_ratio(case["inputs"][arm]["clicks"], case["inputs"][arm]["impressions"]) for arm in ARMS
    )
    assert control.mean == pytest.approx(case["expected"]["ctr_control"], abs=case["tolerance"])
    assert_meets(absolute_difference(control, treatment), case["expected"]["gb_absolute"], case["tolerance"])
    assert_meets(relative_difference(control, treatment), case["expected"]["gb_relative"], case["tolerance"])


def test_what_was_known_before_is_taken_off(golden: Golden) -> None:
    case = golden("cuped_summary")
    control, treatment = (
        PairedSums(
            *(
                case["inputs"][arm][name]
                for name in (
                    "n",
                    "post_sum",
                    "post_sum_squares",
                    "pre_sum",
                    "pre_sum_squares",
                    "post_pre_sum_of_products",
                )
            )
        )
        for arm in ARMS
    )
    theta = cuped_theta(control, treatment)
    expected, tolerance = case["expected"], case["tolerance"]
    assert theta == pytest.approx(expected["theta"], abs=tolerance)
    adjusted = control.adjusted(theta), treatment.adjusted(theta)
    assert_meets(absolute_difference(*adjusted), expected["gb_absolute"], tolerance)
    relative = adjusted_relative_difference(control, treatment, theta)
    assert_meets(relative, expected["gb_relative"], tolerance)
    raw = control.adjusted(0), treatment.adjusted(0)
    pair = Pair(*adjusted, Sample(raw[0], control), Sample(raw[1], treatment), theta)
    assert pair.variance_reduction == pytest.approx(expected["variance_reduction"], abs=tolerance)
    assert_meets(absolute_difference(*raw), expected["unadjusted_absolute"], tolerance)


def test_what_may_be_looked_at_any_time(golden: Golden) -> None:
    case = golden("seq_1")
    control, treatment = arms(case)
    expected, tolerance = case["expected"], case["tolerance"]
    assert tuning(0.05, case["inputs"]["tuning"]) == pytest.approx(expected["rho"], abs=tolerance)
    assert_meets(absolute_sequence(control, treatment), expected["absolute"], tolerance)
    assert_meets(relative_sequence(control, treatment), expected["relative"], tolerance)
    one_sided = expected["one_sided_greater_absolute"]["ci"][0]
    assert lower_bound(control, treatment) == pytest.approx(one_sided, abs=tolerance)


@pytest.mark.parametrize("name", ["srm_1", "srm_3"])
def test_sizes_of_arms(golden: Golden, name: str) -> None:
    case = golden(name)
    found = check_sample_ratio(case["inputs"]["users"], case["inputs"]["weights"])
    assert found is not None
    assert found.chi2 == pytest.approx(case["expected"]["chi2"], abs=case["tolerance"])
    assert found.p_value == pytest.approx(case["expected"]["p_value"], abs=case["tolerance"])
    assert found.is_mismatch == case["expected"]["srm"]


def test_sizes_of_arms_batch_by_batch(golden: Golden) -> None:
    case = golden("ssrm_sequential")
    found = sequential_p_values(case["inputs"]["batches"], case["inputs"]["null"])
    assert found == pytest.approx(case["expected"]["p_values"], abs=case["tolerance"])


def test_several_arms(golden: Golden) -> None:
    case = golden("mcc_holm")
    assert holm(case["inputs"]["p"]) == pytest.approx(case["expected"]["p_adjusted"], abs=case["tolerance"])


@pytest.mark.parametrize("name", ["power_prop_1", "power_prop_2"])
def test_customers_needed(golden: Golden, name: str) -> None:
    case = golden(name)
    given, expected = case["inputs"], case["expected"]
    effect = given["p2"] - given["p1"]
    found = customers_per_arm(given["p1"], effect, alpha=given["alpha"], power=given["power"])
    assert found == pytest.approx(expected["n_per_arm_unpooled"], abs=case["tolerance"])
    n = expected["n_per_arm_unpooled_ceil"]
    assert power_of(given["p1"], effect, n) == pytest.approx(given["power"], abs=1e-4)


def test_a_guardrail(golden: Golden) -> None:
    case = golden("guardrail_noninferiority")
    given, expected = case["inputs"], case["expected"]
    control, treatment = (
        of_proportion(given["n"], given["n"] * given[name]) for name in ("p_control", "p_treatment")
    )
    found = non_inferiority(control, treatment, given["nim_abs"], given["alpha"])
    assert found is not None
    assert (found.z, found.p_value, found.lower) == pytest.approx(
        (expected["z"], expected["p"], expected["lower_bound"]), abs=case["tolerance"]
    )
    assert found.holds == expected["non_inferior"]


def test_where_nothing_varied_there_is_no_difference() -> None:
    nothing, something = of_proportion(10, 0), of_proportion(10, 4)
    assert absolute_difference(nothing, nothing) is None
    assert relative_difference(nothing, something) is None
    assert absolute_sequence(nothing, nothing) is None
    assert lower_bound(nothing, nothing) is None
    assert non_inferiority(nothing, nothing, 0.1) is None
    assert pooled_p_value((10, 0), (10, 0)) is None
    assert check_sample_ratio([0, 0], [1, 1]) is None


@pytest.mark.parametrize("alone", [0, 1])
def test_an_arm_of_one_customer_is_not_compared(alone: int) -> None:
    one, several = of_proportion(1, alone), of_proportion(5, 3)
    assert absolute_difference(one, several) is None
    assert absolute_difference(several, one) is None
    assert relative_difference(several, one) is None
    assert pooled_p_value((0, 0), (5, 3)) is None
    assert pooled_p_value((5, 3), (0, 0)) is None


@pytest.mark.parametrize(
    "figures", [lambda: of_values([7.0]), lambda: of_ratio([1], [2]), lambda: of_proportion(0, 0)]
)
def test_too_few_customers_for_figures_are_refused_and_never_no_number(
    figures: Callable[[], Moments],
) -> None:
    with pytest.raises(ValueError, match=r"takes (two customers|one customer) or more"):
        figures()


@pytest.mark.parametrize("seed", range(5))
def test_what_follows_from_before_leaves_nothing_to_vary(seed: int) -> None:
    """Rounding would leave a variance of about 0, on either side of it, and differences sure of nothing."""
    before = np.random.default_rng(seed).normal(3, 1, 30) * 0.1
    control, treatment = (PairedSums.of_values(0.7 * before + more, before) for more in (0.0, 0.1))
    adjusted = [one.adjusted(cuped_theta(control, treatment)) for one in (control, treatment)]
    assert [one.variance for one in adjusted] == [0.0, 0.0]
    assert non_inferiority(*adjusted, 0.1) is None
    assert absolute_difference(*adjusted) is None


@pytest.mark.parametrize("n", [10, 333, 5_000])
def test_what_was_the_same_for_all_before_takes_nothing_off(n: int) -> None:
    after = np.random.default_rng(n).normal(3, 1, n)
    control, treatment = (PairedSums.of_values(one, np.full(n, 0.1)) for one in (after, after + 1))
    assert (control.pre_variance, cuped_theta(control, treatment)) == (0.0, 0.0)


@pytest.mark.parametrize("figure", [0.1, 0.7, 19.99, 1e6 / 7])
@pytest.mark.parametrize("n", [3, 100, 5_001])
def test_what_is_the_same_of_all_customers_does_not_vary(figure: float, n: int) -> None:
    """Rounding made means and variances of about 0 of it, and of them a difference sure beyond chance."""
    below = np.random.default_rng(n).integers(1, 20, n + 7)
    figures = np.full(n + 7, figure)
    for control, treatment in (
        (of_values(figures[:n]), of_values(figures)),
        (of_ratio(figure * below[:n], below[:n]), of_ratio(figure * below, below)),
    ):
        assert (control.variance, treatment.variance) == (0.0, 0.0)
        assert absolute_difference(control, treatment) is None
        assert absolute_sequence(control, treatment) is None


def test_what_varies_little_beside_its_size_still_varies() -> None:
    assert of_values(1e6 + np.array([0.0, 1e-3, 2e-3])).variance == pytest.approx(1e-6, rel=1e-3)
    assert of_ratio([1e6, 1e6 + 1e-3], [1, 1]).variance == pytest.approx(5e-7, rel=1e-3)


def test_an_arm_of_weight_0_is_left_out_of_the_sizes() -> None:
    users, batches = [5_000, 5_200], [[10, 20], [12, 25]]
    found = check_sample_ratio([*users, 7], [0.5, 0.5, 0])
    assert found == check_sample_ratio(users, [0.5, 0.5])
    with_it = [[*batch, 7] for batch in batches]
    assert sequential_p_values(with_it, [0.5, 0.5, 0]) == sequential_p_values(batches, [0.5, 0.5])
    assert check_sample_ratio([0, 7], [1, 0]) is None


@pytest.mark.parametrize("weights", [[0, 0], [-1, 2], [float("nan"), 1]])
def test_weights_that_deal_to_nobody_or_below_0_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="no weight may be below 0"):
        check_sample_ratio([1, 2], weights)
    with pytest.raises(ValueError, match="no weight may be below 0"):
        sequential_p_values([[1, 2]], weights)


def test_levels_that_holm_leaves_decide_as_its_p_values_do() -> None:
    for p_values in ([0.01, 0.04, 0.03, 0.005, 0.2], [0.9, 0.8], [0.01, 0.02, 0.03], [0.025, 0.025]):
        levels, adjusted = holm_levels(p_values, 0.05), holm(p_values)
        found = [p <= level for p, level in zip(p_values, levels, strict=True)]
        assert found == [p <= 0.05 for p in adjusted]
    assert holm_levels([0.01, 0.04, 0.2], 0.06) == pytest.approx((0.02, 0.03, 0.03))


def test_no_effect_and_nobody_cannot_be_planned_for() -> None:
    with pytest.raises(ValueError, match="the effect not 0"):
        customers_per_arm(0.1, 0.0)
    with pytest.raises(ValueError, match="raise its weight or the coverage"):
        days_needed(1000, 0.5, 0)
    assert days_needed(1000, 0.5, 400) == 5


@pytest.mark.parametrize("freedom", [1, 2, 5, 8])
def test_the_tail_of_chi_squared_is_that_of_simulated_values(freedom: int) -> None:
    drawn = np.random.default_rng(5).chisquare(freedom, 200_000)
    for value in (0.5, 3.0, 12.0):
        assert chi2_tail(value, freedom) == pytest.approx((drawn > value).mean(), abs=0.004)


def rejects(found: Difference | None) -> bool:
    return found is not None and found.p_value < 0.05


def test_a_fixed_test_errs_as_often_as_it_says() -> None:
    n, n_runs = 2_000, 2_000
    drawn = np.random.default_rng(2).binomial(n, 0.1, (n_runs, 2)).tolist()
    wrong = [rejects(absolute_difference(*of_proportions((n, x), (n, y)))) for x, y in drawn]
    assert 0.04 < np.mean(wrong) < 0.06


def test_twenty_looks_at_a_sequence_err_less_often_than_it_says_and_at_a_fixed_test_far_more() -> None:
    n_looks, per_look, n_runs = 20, 500, 250
    drawn = np.random.default_rng(3).binomial(per_look, 0.1, (n_runs, 2, n_looks)).cumsum(axis=2)
    fixed, sequential = 0, 0
    for control, treatment in drawn.tolist():
        ns = [per_look * (look + 1) for look in range(n_looks)]
        counts = zip(ns, control, treatment, strict=True)
        looks = [of_proportions((n, x), (n, y)) for n, x, y in counts]
        fixed += any(rejects(absolute_difference(*look)) for look in looks)
        sequential += any(rejects(absolute_sequence(*look)) for look in looks)
    assert sequential / n_runs <= 0.05
    assert fixed / n_runs > 0.15


def test_impressions_are_no_units() -> None:
    rng = np.random.default_rng(1)
    by_customer, by_impression, n_runs = 0, 0, 600
    for _ in range(n_runs):
        impressions = rng.geometric(0.1, (2, 1_000))
        clicks = rng.binomial(impressions, rng.beta(1, 9, (2, 1_000)))
        ratios = [of_ratio(clicks[arm], impressions[arm]) for arm in (0, 1)]
        totals = zip(impressions.sum(axis=1).tolist(), clicks.sum(axis=1).tolist(), strict=True)
        by_customer += rejects(absolute_difference(ratios[0], ratios[1]))
        by_impression += rejects(absolute_difference(*of_proportions(*totals)))
    assert 0.03 < by_customer / n_runs < 0.07
    assert by_impression / n_runs > 0.15
