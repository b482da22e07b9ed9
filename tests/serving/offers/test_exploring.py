"""A draw is the customer's for the day, gives every survivor its share, and says how great that was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import numpy as np
import pytest

from recsvc.serving.offers.exploring import Draw, draw, first_shares, seed_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEYS = np.array([11, 22, 33, 44], dtype=np.uint64)
RATES = np.array([0.05, 0.04, 0.03, 0.001])
WORTH = np.array([10.0, 12.0, 14.0, 10.0])


def drawn(seed: int, least_share: float = 0.05) -> Draw:
    return draw(RATES, np.zeros(4), WORTH, KEYS, seed, least_share=least_share)


def first_of(one: Draw) -> int:
    return one.first if one.first is not None else int((one.propensity * WORTH).argmax())


def test_the_chance_of_the_first_place_is_that_of_all_draws_counted_out() -> None:
    points = np.random.default_rng(1).random((3, 4))
    points[1, 2] = points[0, 1]  # Of equal ones the earlier is first.
    counts = np.zeros(3)
    for places in product(range(4), repeat=3):
        counts[int(points[np.arange(3), places].argmax())] += 1
    assert first_shares(points) == pytest.approx(counts / counts.sum(), abs=1e-12)


def test_over_many_days_each_comes_first_as_often_as_was_said() -> None:
    n = 20_000
    seeds = (seed_of(f"c{number}", NOON) for number in range(n))
    found = np.bincount([first_of(drawn(seed)) for seed in seeds], minlength=4) / n
    share = drawn(1).share
    assert share.sum() == pytest.approx(1.0)
    assert np.abs(found - share).max() < 4 * 0.5 / np.sqrt(n)
    assert share.min() >= 0.05


def test_a_customer_has_one_draw_a_day_and_another_on_the_next() -> None:
    assert seed_of("c1", NOON) == seed_of("c1", NOON + timedelta(hours=11))
    assert seed_of("c1", NOON) != seed_of("c1", NOON + timedelta(hours=12))
    assert seed_of("c1", NOON) != seed_of("c2", NOON)


def test_who_else_survives_changes_nobodys_draw() -> None:
    seed = seed_of("c1", NOON)
    all_four = drawn(seed).propensity
    two = draw(RATES[2:], np.zeros(2), WORTH[2:], KEYS[2:], seed, least_share=0.0).propensity
    assert two.tolist() == all_four[2:].tolist()
