"""What may be registered, and what a running experiment is held to."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from recsvc.domain.experiments import (
    Analysis,
    Experiment,
    ExperimentStatus,
    ExperimentVariant,
    GuardrailMetric,
    serving_order,
    versions_in_use,
)
from recsvc.domain.registration import check_registrable, check_room
from recsvc.errors import ConflictError

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
HALVES = (ExperimentVariant("a", "m1", 50), ExperimentVariant("b", "m2", 50))
DRAFT = Experiment("exp1", HALVES)
RUNNING = replace(DRAFT, status=ExperimentStatus.RUNNING)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"key": "../admin"}, "key must be"),
        ({"variants": ()}, "variants must be 1 to 20"),
        (
            {"variants": tuple(ExperimentVariant(f"v{n}", "m1", 1) for n in range(100))},
            "variants must be 1 to 20",
        ),
        ({"variants": (HALVES[0], replace(HALVES[1], weight=49))}, "must sum to 100, these sum to 99"),
        ({"variants": (HALVES[0], HALVES[0])}, "different keys"),
        ({"coverage": 1.01}, "coverage must be 0 to 1"),
        ({"layer": "home page"}, "layer must be"),
        ({"layer_range": (6_000, 6_000)}, "layer_range must be"),
        ({"layer_range": (0, 10_001)}, "layer_range must be"),
        ({"alpha": 0.0}, "alpha must be 0.000001 to 0.4"),
        ({"alpha": 0.5}, "alpha must be"),
        ({"power": 1.0}, "power must be"),
        ({"minimum_effect": -0.1}, "minimum_effect must be"),
        ({"start": NOW.replace(tzinfo=None)}, "start must carry an offset"),
        ({"start": NOW, "end": NOW}, "end must be after start"),
        ({"analysis": Analysis.FIXED, "status": ExperimentStatus.RUNNING}, "end must be given"),
    ],
)
def test_what_cannot_be_registered_is_refused_with_its_place(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        replace(DRAFT, **change)


def test_a_guardrail_has_a_margin_and_a_weight_is_a_percentage() -> None:
    with pytest.raises(ValueError, match="margin must be above 0"):
        GuardrailMetric("complaints", 0.0)
    with pytest.raises(ValueError, match="weight must be"):
        ExperimentVariant("a", "m1", 101)


def test_every_beginning_is_a_phase_with_a_salt_of_its_own() -> None:
    draft = DRAFT.begun_from(None, now=NOW)
    begun = RUNNING.begun_from(draft, now=NOW)
    paused = replace(begun, status=ExperimentStatus.PAUSED).begun_from(begun, now=NOW)
    resumed = replace(paused, status=ExperimentStatus.RUNNING).begun_from(paused, now=NOW)
    stopped = replace(resumed, status=ExperimentStatus.STOPPED).begun_from(resumed, now=NOW)
    again = RUNNING.begun_from(stopped, now=NOW)
    assert [one.phase for one in (draft, begun, paused, resumed, stopped, again)] == [0, 1, 1, 1, 1, 2]
    assert begun.salt == resumed.salt != again.salt


def test_a_phase_began_when_it_was_begun_and_not_when_it_was_changed() -> None:
    begun = replace(RUNNING, phase=7, begun_at=NOW - DAY).begun_from(None, now=NOW)
    changed = replace(RUNNING, hypothesis="clearer").begun_from(begun, now=NOW + DAY)
    stopped = replace(changed, status=ExperimentStatus.STOPPED).begun_from(changed, now=NOW + DAY)
    again = RUNNING.begun_from(stopped, now=NOW + 2 * DAY)
    assert [(one.phase, one.begun_at) for one in (begun, changed, stopped, again)] == [
        (1, NOW),
        (1, NOW),
        (1, NOW),
        (2, NOW + 2 * DAY),
    ]


def test_a_phase_ended_when_it_was_stopped_and_not_when_it_was_changed_after() -> None:
    stopped = replace(RUNNING, status=ExperimentStatus.STOPPED, stopped_at=NOW - DAY)
    begun = RUNNING.begun_from(None, now=NOW)
    ended = stopped.begun_from(begun, now=NOW + DAY)
    changed = replace(stopped, hypothesis="none").begun_from(ended, now=NOW + 2 * DAY)
    again = replace(RUNNING, stopped_at=NOW).begun_from(changed, now=NOW + 3 * DAY)
    told = [one.stopped_at for one in (begun, ended, changed, again)]
    assert told == [None, NOW + DAY, NOW + DAY, None]


def test_a_phase_that_is_stopped_while_it_is_paused_ended_with_the_pause() -> None:
    begun = RUNNING.begun_from(None, now=NOW)
    pause = replace(RUNNING, status=ExperimentStatus.PAUSED)
    paused = pause.begun_from(begun, now=NOW + DAY)
    still = pause.begun_from(paused, now=NOW + 2 * DAY)
    resumed = RUNNING.begun_from(still, now=NOW + 3 * DAY)
    assert [one.paused_at for one in (begun, paused, still, resumed)] == [None, NOW + DAY, NOW + DAY, None]
    stop = replace(RUNNING, status=ExperimentStatus.STOPPED)
    stopped = stop.begun_from(still, now=NOW + 3 * DAY)
    assert (stopped.stopped_at, stopped.paused_at) == (NOW + DAY, None)
    assert stop.begun_from(resumed, now=NOW + 4 * DAY).stopped_at == NOW + 4 * DAY


def test_why_the_service_paused_it_is_told_until_it_leaves_the_pause() -> None:
    paused = RUNNING.begun_from(None, now=NOW).paused("complaints rose", now=NOW)
    assert (paused.status, paused.paused_because) == (ExperimentStatus.PAUSED, "complaints rose")
    reworded = replace(paused, hypothesis="again", paused_because=None).begun_from(paused, now=NOW)
    assert reworded.paused_because == "complaints rose"
    for status in (ExperimentStatus.RUNNING, ExperimentStatus.STOPPED):
        assert replace(paused, status=status).begun_from(paused, now=NOW).paused_because is None


def test_the_end_of_a_fixed_test_is_held_to_and_that_of_a_sequential_one_is_not() -> None:
    begun = replace(RUNNING, end=NOW + DAY).begun_from(None, now=NOW)
    assert replace(begun, end=NOW + 2 * DAY).begun_from(begun, now=NOW).end == NOW + 2 * DAY
    fixed = replace(begun, analysis=Analysis.FIXED)
    with pytest.raises(ConflictError, match="end cannot change"):
        replace(fixed, end=NOW + 2 * DAY).begun_from(fixed, now=NOW)


def test_experiments_of_a_layer_may_not_share_buckets_while_their_phases_go_on() -> None:
    one = replace(RUNNING, layer="home", layer_range=(0, 4_000))
    other = replace(one, key="exp2", layer_range=(3_999, 10_000))
    with pytest.raises(ConflictError, match="overlaps with that of experiment exp1"):
        check_room(other, [one], now=NOW)
    with pytest.raises(ConflictError, match="and is paused"):
        check_room(other, [replace(one, status=ExperimentStatus.PAUSED)], now=NOW)
    for room in (
        [replace(one, layer_range=(0, 3_999))],
        [replace(one, layer="basket")],
        [replace(one, status=ExperimentStatus.STOPPED)],
        [replace(one, end=NOW)],
        [other],
        [RUNNING],
    ):
        check_room(other, room, now=NOW)
    check_room(replace(other, status=ExperimentStatus.DRAFT), [one], now=NOW)
    check_room(RUNNING, [replace(RUNNING, key="exp2")], now=NOW)


def test_no_salt_of_an_experiment_is_that_of_a_layer() -> None:
    assert replace(RUNNING, key="layer", phase=3).salt != replace(RUNNING, layer="3").layer_salt


def test_the_key_of_the_hold_out_is_taken() -> None:
    check_registrable("holdouts")
    with pytest.raises(ConflictError, match="the hold-out's own key"):
        check_registrable("holdout")


def test_who_was_begun_first_decides_first_and_who_is_not_on_never() -> None:
    early = replace(RUNNING, key="z", begun_at=NOW - DAY)
    late, twin = replace(RUNNING, key="b", begun_at=NOW), replace(RUNNING, key="a", begun_at=NOW)
    paused = replace(early, key="p", status=ExperimentStatus.PAUSED)
    to_come = replace(early, key="t", start=NOW + DAY)
    assert serving_order([late, paused, twin, to_come, early], now=NOW) == (early, twin, late)


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("draft", "paused"),
        ("draft", "stopped"),
        ("running", "draft"),
        ("paused", "draft"),
        ("stopped", "paused"),
    ],
)
def test_a_status_follows_only_where_it_can(was: str, becomes: str) -> None:
    before = replace(DRAFT, status=ExperimentStatus(was))
    with pytest.raises(ConflictError, match=f"status cannot go from {was} to {becomes}"):
        replace(DRAFT, status=ExperimentStatus(becomes)).begun_from(before, now=NOW)


@pytest.mark.parametrize(
    "change",
    [
        {"variants": (replace(HALVES[0], weight=60), replace(HALVES[1], weight=40))},
        {"variants": (HALVES[0], replace(HALVES[1], model_version="m3"))},
        {"layer": "home"},
        {"primary_metric": "conversion"},
        {"alpha": 0.1},
        {"minimum_effect": 0.01},
        {"guardrails": (GuardrailMetric("complaints", 0.01),)},
        {"coverage": 0.5},
    ],
)
def test_a_running_experiment_is_held_to_what_was_registered(change: dict[str, Any]) -> None:
    begun = RUNNING.begun_from(None, now=NOW)
    with pytest.raises(ConflictError, match="while the experiment is running"):
        replace(begun, **change).begun_from(begun, now=NOW)
    stopped = replace(begun, status=ExperimentStatus.STOPPED).begun_from(begun, now=NOW)
    assert replace(begun, **change).begun_from(stopped, now=NOW).phase == 2


def test_coverage_may_rise_and_words_may_change_while_it_runs() -> None:
    begun = replace(RUNNING, coverage=0.1).begun_from(None, now=NOW)
    raised = replace(begun, coverage=0.5, hypothesis="more is better").begun_from(begun, now=NOW)
    assert (raised.phase, raised.salt) == (1, begun.salt)


def test_it_is_on_between_its_start_and_its_end() -> None:
    on = replace(RUNNING, start=NOW, end=NOW + timedelta(days=7))
    assert [on.is_on(NOW + timedelta(days=day)) for day in (-1, 0, 6, 7)] == [False, True, True, False]
    assert not replace(on, status=ExperimentStatus.PAUSED).is_on(NOW)
    assert RUNNING.is_on(NOW)


def test_versions_are_in_use_while_an_experiment_runs_or_is_paused() -> None:
    def one(key: str, version: str, status: ExperimentStatus) -> Experiment:
        return Experiment(key, (ExperimentVariant("a", version, 100),), status=status)

    experiments = [
        one("drafted", "m1", ExperimentStatus.DRAFT),
        one("running", "m2", ExperimentStatus.RUNNING),
        one("paused", "m3", ExperimentStatus.PAUSED),
        one("stopped", "m4", ExperimentStatus.STOPPED),
    ]
    assert versions_in_use(experiments) == {"m2", "m3"}
