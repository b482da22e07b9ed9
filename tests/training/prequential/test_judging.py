"""Judged from a moment on: everything is chosen before it, and the same history gives the same report."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from recsvc.errors import TrainingError
from recsvc.history.interactions import InteractionTable
from recsvc.history.mapping import load_mapping
from recsvc.history.readers import read_interactions
from recsvc.live.scoring import PARTS
from recsvc.training.prequential.judging import PrequentialReport, judge_from
from recsvc.training.prequential.logit import Lessons, expected_losses, fit_weights
from recsvc.training.prequential.ranking import NO_CATEGORIES
from tests.training.examples import AS_OF, POLICY, busy_history, did, shuffled, table_of

SINCE = AS_OF - timedelta(days=20)
MAPPING = Path(__file__).parents[3] / "scripts" / "mappings" / "deskdrop.toml"


def judged(
    table: InteractionTable,
    since: datetime = SINCE,
    seed: int = 1,
    categories: Mapping[str, str] = NO_CATEGORIES,
) -> PrequentialReport:
    return judge_from(
        table,
        POLICY,
        since,
        categories=categories,
        rng=np.random.default_rng(seed),
        progress=lambda stage, share: None,
    )


@cache
def busy_report() -> PrequentialReport:
    """Of the busy history. It is a value, which the tests of a process share."""
    return judged(busy_history())


def test_the_same_history_in_any_order_gives_the_same_report() -> None:
    report = busy_report()
    assert report.n_judged > 50
    assert set(report.parts) == set(PARTS)
    assert judged(shuffled(busy_history())) == report


def test_what_comes_after_the_moment_changes_no_choice() -> None:
    frame = busy_history().frame
    shorter = InteractionTable.from_frame(frame.filter(frame["occurred_at"] < AS_OF - timedelta(days=5)))
    assert judged(shorter).model == busy_report().model


def test_the_figures_lie_within_their_intervals() -> None:
    report = busy_report()
    for figures in (report.blend, *(part.alone for part in report.parts.values())):
        assert all(0 <= one.low <= one.value <= one.high <= 1 for one in figures.values())


def test_a_fit_finds_the_part_that_tells_and_leaves_the_one_that_does_not() -> None:
    rng = np.random.default_rng(3)
    parts = rng.normal(size=(300, 5, 2))
    wanted = np.arange(300) * 5 + np.argmax(parts[:, :, 0] + rng.gumbel(size=(300, 5)), axis=1)
    lessons = Lessons(parts.reshape(-1, 2), wanted, np.arange(300) * 5, np.full(300, 5), (0.0, -np.inf))
    told, idle = fit_weights(lessons).weights
    assert 0.7 < told < 1.3 and abs(idle) < 0.25
    assert fit_weights(lessons.without_part(0)).likelihood < fit_weights(lessons).likelihood - 10


def test_what_a_part_is_worth_is_known_about_before_it_is_left_out() -> None:
    rng = np.random.default_rng(3)
    parts = rng.normal(size=(300, 5, 4)) * (1.0, 10.0, 0.1, 1.0)
    said = parts @ (1.0, 0.03, 2.0, 0.0)
    wanted = np.arange(300) * 5 + np.argmax(said + rng.gumbel(size=said.shape), axis=1)
    lessons = Lessons(parts.reshape(-1, 4), wanted, np.arange(300) * 5, np.full(300, 5), (-np.inf,) * 4)
    fit = fit_weights(lessons)
    without = [fit_weights(lessons.without_part(part), fit.weights).likelihood for part in range(4)]
    losses = fit.likelihood - np.array(without)
    expected = expected_losses(lessons, fit)
    assert expected[1:] == pytest.approx(losses[1:], rel=0.1, abs=0.02)
    assert losses[0] > 50 and expected[0] > 50  # Too far away for a parabola.
    assert np.argsort(expected).tolist() == np.argsort(losses).tolist()


def test_a_part_that_a_meeting_raises_never_speaks_against_an_item() -> None:
    rng = np.random.default_rng(3)
    parts = rng.normal(size=(300, 5, 1))
    wanted = np.arange(300) * 5 + np.argmin(parts[:, :, 0], axis=1)
    facts = (parts.reshape(-1, 1), wanted, np.arange(300) * 5, np.full(300, 5))
    assert fit_weights(Lessons(*facts, (0.0,))).weights == (0.0,)
    assert fit_weights(Lessons(*facts, (-np.inf,))).weights[0] < -1


def test_too_little_before_the_date_and_nothing_after_it_say_so() -> None:
    with pytest.raises(TrainingError, match=r"only \d+ first-time.*give a later date"):
        judged(busy_history(), AS_OF - timedelta(days=89.9))
    with pytest.raises(TrainingError, match=r"no first-time.*end on 2026-11-.*earlier date"):
        judged(busy_history(), AS_OF + timedelta(days=9))
    with pytest.raises(TrainingError, match="only 0 first-time"):
        judged(table_of(did("view", "a", days_ago=2), did("view", "a", customer_id="c2")))


@pytest.mark.parametrize(
    ("since", "until", "n", "hit", "ndcg"),
    [
        (datetime(2016, 12, 1, tzinfo=UTC), datetime(2017, 1, 1, tzinfo=UTC), 1387, 0.75, 0.53),
        (datetime(2017, 1, 1, tzinfo=UTC), datetime(2017, 2, 1, tzinfo=UTC), 1704, 0.82, 0.59),
    ],
)
def test_deskdrop_reaches_its_goal(
    since: datetime, until: datetime, n: int, hit: float, ndcg: float, real_data: Path, tmp_path: Path
) -> None:
    """January, for which the goal is .80 and .56, and the month before it."""
    table = read_interactions(
        [real_data / "deskdrop" / "dev_lt_2017-02-01.parquet"],
        load_mapping(MAPPING),
        POLICY,
        rejects_path=tmp_path / "rejects.jsonl",
        as_of=AS_OF,
    ).table
    report = judged(table.between(None, until), since)
    assert report.n_judged == n
    assert report.blend["hit@10"].value > hit and report.blend["ndcg@10"].value > ndcg
