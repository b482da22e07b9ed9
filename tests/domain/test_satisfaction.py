"""NPS, CSAT and CES by the reference cases, by hand, and where there is nothing to say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from recsvc.domain.satisfaction import (
    NpsAnswers,
    ease_share,
    effort_score,
    net_promoter_score,
    nps_difference,
    satisfied_share,
)
from recsvc.domain.student import t_cdf, t_quantile


def test_the_reference_nps_and_both_of_its_intervals_are_met(golden: Mapping[str, Any]) -> None:
    case = golden["nps_1"]
    given, expected = case["inputs"], case["expected"]
    found = net_promoter_score(
        NpsAnswers(given["promoters_9_10"], given["passives_7_8"], given["detractors_0_6"])
    )
    assert found is not None
    assert found.value == pytest.approx(expected["nps"], abs=case["tolerance"])
    assert found.standard_error == pytest.approx(expected["se"], abs=case["tolerance"])
    for interval, name in ((found.interval, "ci95"), (found.adjusted, "adj_wald")):
        assert [interval.low, interval.high] == pytest.approx(expected[name], abs=case["tolerance"])


def test_the_reference_difference_of_two_nps_is_met(golden: Mapping[str, Any]) -> None:
    case = golden["nps_diff"]
    found = nps_difference(NpsAnswers(*case["inputs"]["a"]), NpsAnswers(*case["inputs"]["b"]))
    assert found is not None
    expected = case["expected"]
    assert [found.value, found.standard_error, found.z, found.p] == pytest.approx(
        [expected[name] for name in ("diff", "se", "z", "p")], abs=case["tolerance"]
    )


def test_the_reference_csat_is_met(golden: Mapping[str, Any]) -> None:
    case = golden["csat_78_100"]
    found = satisfied_share(case["inputs"]["satisfied"], case["inputs"]["n"])
    assert found is not None
    assert found.value == pytest.approx(case["expected"]["csat"], abs=case["tolerance"])
    assert [found.interval.low, found.interval.high] == pytest.approx(
        case["expected"]["ci95"], abs=case["tolerance"]
    )


def test_the_reference_ces_is_met(golden: Mapping[str, Any]) -> None:
    case = golden["ces_1_7"]
    found, easy = effort_score(case["inputs"]["scores"]), ease_share(case["inputs"]["scores"])
    assert found is not None and found.interval is not None and easy is not None
    assert found.value == pytest.approx(case["expected"]["mean"], abs=case["tolerance"])
    assert [found.interval.low, found.interval.high] == pytest.approx(
        case["expected"]["ci95"], abs=case["tolerance"]
    )
    assert easy.value == pytest.approx(case["expected"]["share_5_7"], abs=case["tolerance"])


def test_half_promoters_and_a_fifth_detractors_make_thirty() -> None:
    found = net_promoter_score(
        NpsAnswers.of([10] * 25 + [9] * 25 + [8] * 15 + [7] * 15 + [6] * 10 + [0] * 10)
    )
    assert found is not None and found.n == 100
    assert found.value == pytest.approx(30)
    assert found.standard_error == pytest.approx(7.8102, abs=1e-4)  # 100 * sqrt((0.7 - 0.09) / 100)
    assert (found.interval.low, found.interval.high) == pytest.approx((14.692, 45.308), abs=1e-3)


def test_when_all_promote_only_the_adjusted_interval_has_a_width() -> None:
    found = net_promoter_score(NpsAnswers.of([10, 10, 9]))
    assert found is not None and found.value == 100
    assert (found.interval.low, found.interval.high) == (100, 100)
    assert found.adjusted.low < 60 and found.adjusted.high <= 100


def test_effort_has_a_mean_with_students_interval_and_a_share_of_the_upper_three() -> None:
    scores = [1, 2, 2, 3, 5, 6, 7, 4, 6, 7, 5, 6]
    found, easy = effort_score(scores), ease_share(scores)
    assert found is not None and found.interval is not None and easy is not None
    assert found.value == 4.5
    assert (found.interval.low, found.interval.high) == pytest.approx((3.18665, 5.81335), abs=1e-5)
    assert easy.value == pytest.approx(100 * 7 / 12)


def test_seventy_eight_of_a_hundred_satisfied_lie_between_69_and_85_percent() -> None:
    found = satisfied_share(78, 100)
    assert found is not None and found.value == 78
    assert (found.interval.low, found.interval.high) == pytest.approx((68.92965, 84.99872), abs=1e-5)


def test_two_groups_differ_by_the_difference_of_their_scores() -> None:
    found = nps_difference(NpsAnswers(420, 260, 320), NpsAnswers(455, 260, 285))
    assert found is not None and found.value == pytest.approx(7)
    assert (found.z, found.p) == pytest.approx((1.84396, 0.06519), abs=1e-5)


def test_without_answers_there_is_no_figure() -> None:
    assert net_promoter_score(NpsAnswers.of([])) is None
    assert nps_difference(NpsAnswers.of([]), NpsAnswers.of([9])) is None
    assert satisfied_share(0, 0) is None
    assert effort_score([]) is None
    assert ease_share([]) is None


def test_where_nothing_varies_a_difference_has_no_verdict() -> None:
    assert nps_difference(NpsAnswers.of([10]), NpsAnswers.of([0])) is None


def test_one_answer_has_a_mean_and_no_interval() -> None:
    found = effort_score([6])
    assert found is not None and (found.value, found.interval) == (6, None)


def test_wilsons_interval_never_leaves_the_scale() -> None:
    none, all_of_them = satisfied_share(0, 5), satisfied_share(5, 5)
    assert none is not None and all_of_them is not None
    assert none.interval.low == 0 and none.interval.high == pytest.approx(43.45, abs=0.01)
    assert all_of_them.interval.high == pytest.approx(100) and all_of_them.interval.low > 56


@pytest.mark.parametrize(
    ("p", "freedom", "quantile"),
    [
        (0.975, 1, 12.7062),
        (0.975, 11, 2.20099),
        (0.95, 30, 1.69726),
        (0.975, 1e6, 1.95997),
        (0.025, 2, -4.30265),
    ],
)
def test_quantiles_of_students_t_are_those_of_the_tables(p: float, freedom: float, quantile: float) -> None:
    assert t_quantile(p, freedom) == pytest.approx(quantile, rel=1e-5)
    assert t_cdf(t_quantile(p, freedom), freedom) == pytest.approx(p, rel=1e-12)


@pytest.mark.parametrize(("p", "freedom"), [(0, 3), (1, 3), (0.5, 0)])
def test_a_quantile_that_does_not_exist_is_refused(p: float, freedom: float) -> None:
    with pytest.raises(ValueError, match="p must be between 0 and 1"):
        t_quantile(p, freedom)
