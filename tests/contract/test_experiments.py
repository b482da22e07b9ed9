"""What every registry of experiments does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from recsvc.domain.experiments import (
    Analysis,
    Direction,
    Experiment,
    ExperimentStatus,
    ExperimentVariant,
    GuardrailMetric,
)
from recsvc.errors import ConflictError, PreconditionFailedError, PreconditionRequiredError, StoreError
from recsvc.stores.experiments import SqlExperiments
from recsvc.stores.memory_experiments import MemoryExperiments

Experiments = MemoryExperiments | SqlExperiments

NOW = datetime(2026, 3, 1, 9, 0, 0, 123456, tzinfo=UTC)
DAY = timedelta(days=1)
HALVES = (ExperimentVariant("a", "m1", 50), ExperimentVariant("b", "m2", 50, {"calibration": 0.25}))
DRAFT = Experiment("exp1", HALVES)
RUNNING = replace(DRAFT, status=ExperimentStatus.RUNNING)
EVERYTHING = Experiment(
    key="-9223372036854775808",
    variants=HALVES,
    coverage=0.25,
    layer="home",
    layer_range=(100, 9_000),
    start=NOW.astimezone(timezone(timedelta(hours=8))),
    end=NOW + DAY,
    hypothesis="储蓄 “Sparen”",
    primary_metric="value",
    secondary=("nps", "clicks"),
    guardrails=(GuardrailMetric("complaints", 0.01, Direction.LOWER),),
    alpha=0.1,
    power=0.9,
    minimum_effect=0.01,
    analysis=Analysis.FIXED,
)


def etag_of(experiments: Experiments, key: str = "exp1") -> str:
    found = experiments.get(key)
    assert found is not None
    return found.etag


def test_without_experiments_there_are_none(experiments: Experiments) -> None:
    assert (experiments.experiments(), experiments.get("exp1"), experiments.revision()) == ((), None, 0)
    assert not experiments.pause("exp1", phase=1, because="complaints rose", now=NOW)


def test_an_experiment_comes_out_as_it_went_in_with_the_moment(experiments: Experiments) -> None:
    written = experiments.put(EVERYTHING, expected=None, now=NOW)
    found = experiments.get(EVERYTHING.key)
    assert found is not None and found == written.experiment
    assert (found.value, found.written_at, written.created) == (EVERYTHING, NOW, True)
    assert experiments.experiments() == (EVERYTHING,)
    assert experiments.versions() == (found,)


def test_experiments_come_in_the_order_of_their_keys_byte_by_byte(experiments: Experiments) -> None:
    keys = ["b", "B", "a", "A", "_", "-1", "10", "9", "a.b", "a:b"]
    for key in keys:
        experiments.put(replace(DRAFT, key=key), expected=None, now=NOW)
    assert [experiment.key for experiment in experiments.experiments()] == sorted(keys)


def test_the_store_says_in_which_phase_an_experiment_is_and_when_that_began(experiments: Experiments) -> None:
    claimed = replace(RUNNING, phase=9, begun_at=NOW - DAY, paused_because="so they say")
    begun = experiments.put(claimed, expected=None, now=NOW).experiment
    assert begun.value == replace(RUNNING, phase=1, begun_at=NOW)
    stopped = experiments.put(
        replace(DRAFT, status=ExperimentStatus.STOPPED), expected=begun.etag, now=NOW + DAY
    ).experiment
    again = experiments.put(RUNNING, expected=stopped.etag, now=NOW + 2 * DAY)
    assert (again.created, again.experiment.value.phase) == (False, 2)
    assert again.experiment.value.begun_at == NOW + 2 * DAY


def test_every_change_moves_the_revision_and_the_etag(experiments: Experiments) -> None:
    first = experiments.put(DRAFT, expected=None, now=NOW).experiment
    assert experiments.revision() == 1
    second = experiments.put(replace(DRAFT, hypothesis="new"), expected=first.etag, now=NOW).experiment
    assert (experiments.revision(), first.etag == second.etag) == (2, False)


def test_what_changes_nothing_does_not_move_the_revision(experiments: Experiments) -> None:
    experiments.put(RUNNING, expected=None, now=NOW)
    kept = experiments.experiments()
    with pytest.raises(PreconditionRequiredError):
        experiments.put(RUNNING, expected=None, now=NOW)
    for expected in ("", "nonsense", "*x"):
        with pytest.raises(PreconditionFailedError):
            experiments.put(RUNNING, expected=expected, now=NOW)
    with pytest.raises(ConflictError, match="status cannot go from running to draft"):
        experiments.put(DRAFT, expected="*", now=NOW)
    with pytest.raises(ConflictError, match="variants cannot change"):
        experiments.put(replace(RUNNING, variants=HALVES[::-1]), expected="*", now=NOW)
    with pytest.raises(ConflictError, match="the hold-out's own key"):
        experiments.put(replace(DRAFT, key="holdout"), expected=None, now=NOW)
    with pytest.raises(StoreError, match="experiment exp2 cannot be stored"):
        experiments.put(replace(DRAFT, key="exp2", hypothesis="\ud800"), expected=None, now=NOW)
    assert (experiments.experiments(), experiments.revision()) == (kept, 1)


def test_an_experiment_that_is_not_there_cannot_be_replaced(experiments: Experiments) -> None:
    with pytest.raises(PreconditionFailedError):
        experiments.put(DRAFT, expected="*", now=NOW)
    assert experiments.experiments() == ()


def test_a_first_registration_is_a_draft_or_runs(experiments: Experiments) -> None:
    for status in (ExperimentStatus.PAUSED, ExperimentStatus.STOPPED):
        with pytest.raises(ConflictError, match=f"status cannot go from draft to {status}"):
            experiments.put(replace(DRAFT, status=status), expected=None, now=NOW)


def test_two_of_one_layer_never_hold_the_same_buckets(experiments: Experiments) -> None:
    low = replace(RUNNING, layer="home", layer_range=(0, 5_000))
    high = replace(low, key="exp2", layer_range=(4_000, 10_000))
    experiments.put(low, expected=None, now=NOW)
    with pytest.raises(ConflictError, match="overlaps with that of experiment exp1"):
        experiments.put(high, expected=None, now=NOW)
    experiments.put(replace(high, layer_range=(5_000, 10_000)), expected=None, now=NOW)
    assert experiments.revision() == 2


def test_of_several_who_take_a_place_in_a_layer_at_once_one_does(experiments: Experiments) -> None:
    def put(number: int) -> bool:
        try:
            experiments.put(replace(RUNNING, key=f"exp{number}", layer="home"), expected=None, now=NOW)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(put, range(8))) == 1
    assert (len(experiments.experiments()), experiments.revision()) == (1, 1)


def test_of_several_who_begin_one_draft_at_once_one_does(experiments: Experiments) -> None:
    draft = experiments.put(DRAFT, expected=None, now=NOW).experiment

    def begin(number: int) -> bool:
        try:
            experiments.put(replace(RUNNING, hypothesis=str(number)), expected=draft.etag, now=NOW)
        except PreconditionFailedError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(begin, range(8))) == 1
    (begun,) = experiments.experiments()
    assert (begun.phase, experiments.revision()) == (1, 2)


def test_the_service_pauses_a_phase_and_says_why_until_it_runs_again(experiments: Experiments) -> None:
    experiments.put(RUNNING, expected=None, now=NOW)
    assert not experiments.pause("exp1", phase=2, because="of another phase", now=NOW)
    assert experiments.pause("exp1", phase=1, because="complaints rose", now=NOW + DAY)
    found = experiments.get("exp1")
    assert found is not None and found.written_at == NOW + DAY
    assert (found.value.status, found.value.paused_because) == (ExperimentStatus.PAUSED, "complaints rose")
    assert not experiments.pause("exp1", phase=1, because="again", now=NOW + 2 * DAY)
    assert experiments.revision() == 2
    resumed = experiments.put(RUNNING, expected=etag_of(experiments), now=NOW + 2 * DAY).experiment.value
    assert (resumed.phase, resumed.begun_at, resumed.paused_because) == (1, NOW, None)
