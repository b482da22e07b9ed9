"""Fitting BG/NBD: simulated customers of known parameters, a published fit, and data that tell nothing.

The published fit needs the CDNOW sample of Fader and Hardie (2,357 customers, weeks), which is not ours to
copy: `RECSVC_TEST_CDNOW` names a CSV file of it with the columns frequency, recency and T.
"""

from __future__ import annotations

import csv
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from recsvc.domain.lifetime import Lifetime, Purchases
from recsvc.training.lifetime import MIN_REPEATING, fit_lifetime

TRUE = Lifetime(0.8, 12, 1.2, 3)


def simulated(lifetime: Lifetime, n: int, seed: int = 1) -> list[Purchases]:
    """Customers of a population, known for 5 to 90 days each."""
    rng = np.random.default_rng(seed)

    def customer() -> Purchases:
        rate, leaving = rng.gamma(lifetime.r, 1 / lifetime.alpha), rng.beta(lifetime.a, lifetime.b)
        age, moment, last, repeats = rng.uniform(5, 90), rng.exponential(1 / rate), 0.0, 0
        while moment <= age:
            last, repeats = moment, repeats + 1
            if rng.random() < leaving:
                break
            moment += rng.exponential(1 / rate)
        return Purchases(repeats, last, age)

    return [customer() for _ in range(n)]


@pytest.fixture(scope="module")
def customers() -> list[Purchases]:
    return simulated(TRUE, 2_000)


@pytest.fixture(scope="module")
def cdnow() -> list[Purchases]:
    file = os.environ.get("RECSVC_TEST_CDNOW")
    if not file:
        pytest.skip("no published purchases: set RECSVC_TEST_CDNOW to a CSV file of the CDNOW sample")
    with Path(file).open(encoding="utf-8", newline="") as rows:
        return [
            Purchases(int(float(row["frequency"])), float(row["recency"]), float(row["T"]))
            for row in csv.DictReader(rows)
        ]


def test_the_published_fit_is_met(cdnow: list[Purchases]) -> None:
    fit = fit_lifetime(cdnow)
    assert fit.lifetime is not None
    found = (fit.lifetime.r, fit.lifetime.alpha, fit.lifetime.a, fit.lifetime.b)
    assert found == pytest.approx((0.243, 4.414, 0.793, 2.426), abs=1e-3)
    assert fit.log_likelihood == pytest.approx(-9582.4, abs=0.05)


def test_the_reference_fit_is_met(cdnow: list[Purchases]) -> None:
    beside = Path(__file__).parents[2].parent / "shared" / "golden"
    file = Path(os.environ.get("RECSVC_TEST_GOLDEN_DIR", beside)) / "cx.json"
    if not file.is_file():
        pytest.skip("no reference cases: set RECSVC_TEST_GOLDEN_DIR to their folder")
    cases = {case["id"]: case for case in json.loads(file.read_text("utf-8"))["cases"]}
    expected, tolerance = cases["bgnbd_cdnow_fit"]["expected"], cases["bgnbd_cdnow_fit"]["tolerance"]
    fit = fit_lifetime(cdnow)
    assert fit.lifetime is not None and fit.log_likelihood is not None
    assert len(cdnow) == expected["n"]
    for name, value in expected["params"].items():
        assert getattr(fit.lifetime, name) == pytest.approx(value, abs=tolerance)
    assert -fit.log_likelihood == pytest.approx(expected["neg_log_likelihood"], abs=tolerance)


def test_the_log_likelihood_is_that_of_the_domain(customers: list[Purchases]) -> None:
    fit = fit_lifetime(customers)
    assert fit.lifetime is not None
    assert fit.log_likelihood == pytest.approx(sum(map(fit.lifetime.log_likelihood, customers)), rel=1e-9)


def test_no_other_parameters_are_more_likely(customers: list[Purchases]) -> None:
    fit = fit_lifetime(customers)
    assert fit.lifetime is not None and fit.log_likelihood is not None
    best = fit.lifetime
    for factors in (
        (1.05, 1, 1, 1),
        (1, 0.95, 1, 1),
        (1, 1, 1.05, 1),
        (1, 1, 1, 0.95),
        (1.02, 1.02, 0.98, 1),
    ):
        other = Lifetime(
            best.r * factors[0], best.alpha * factors[1], best.a * factors[2], best.b * factors[3]
        )
        assert sum(map(other.log_likelihood, customers)) < fit.log_likelihood


def test_weeksinstead_of_weeks_change_only_the_scale(customers: list[Purchases]) -> None:
    weeks = fit_lifetime(customers).lifetime
    days = fit_lifetime([Purchases(one.repeats, 7 * one.last, 7 * one.age) for one in customers]).lifetime
    assert weeks is not None and days is not None
    assert (days.r, days.alpha, days.a, days.b) == pytest.approx(
        (weeks.r, 7 * weeks.alpha, weeks.a, weeks.b), rel=1e-4
    )


def test_a_simulated_population_is_found_again() -> None:
    customers = simulated(TRUE, 5000)
    found = fit_lifetime(customers).lifetime
    assert found is not None
    assert (found.r, found.alpha) == pytest.approx((TRUE.r, TRUE.alpha), rel=0.12)
    assert found.a / (found.a + found.b) == pytest.approx(TRUE.a / (TRUE.a + TRUE.b), rel=0.12)


def same(purchases: Purchases, n: int = 100) -> list[Purchases]:
    return [purchases] * n


@pytest.mark.parametrize(
    ("customers", "reason"),
    [
        ([], "0 customers have a repeat purchase"),
        (same(Purchases(0, 0, 30)), "0 customers have a repeat purchase"),
        (same(Purchases(2, 5, 30), MIN_REPEATING - 1), "at least 20 are needed"),
        (same(Purchases(2, 5, 30)), "the same number"),
        (same(Purchases(2, 0, 0)) + same(Purchases(1, 0, 0)), "all purchases came on the day"),
        ([Purchases(n % 3 + 1, 2.5 * (n % 3 + 1), 10) for n in range(99)], "no maximum|do not determine"),
    ],
)
def test_what_tells_nothing_gives_no_lifetime_but_a_reason(customers: list[Purchases], reason: str) -> None:
    fit = fit_lifetime(customers)
    assert (fit.lifetime, fit.log_likelihood) == (None, None)
    assert fit.reason is not None and re.search(reason, fit.reason)
