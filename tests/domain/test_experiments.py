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
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)
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
        ({"layer_range": (6_000, 6_000)}, "layer_range must be"),
        ({"layer_range": (0, 10_001)}, "layer_range must be"),
        ({"alpha": 0.0}, "alpha and power"),
        ({"power": 1.0}, "alpha and power"),
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
    draft = DRAFT.begun_from(None)
    begun = RUNNING.begun_from(draft)
    paused = replace(begun, status=ExperimentStatus.PAUSED).begun_from(begun)
    resumed = replace(paused, status=ExperimentStatus.RUNNING).begun_from(paused)
    stopped = replace(resumed, status=ExperimentStatus.STOPPED).begun_from(resumed)
    again = RUNNING.begun_from(stopped)
    assert [one.phase for one in (draft, begun, paused, resumed, stopped, again)] == [0, 1, 1, 1, 1, 2]
    assert begun.salt == resumed.salt != again.salt


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
    with pytest.raises(ValueError, match=f"status cannot go from {was} to {becomes}"):
        replace(DRAFT, status=ExperimentStatus(becomes)).begun_from(before)


@pytest.mark.parametrize(
    "change",
    [
        {"variants": (replace(HALVES[0], weight=60), replace(HALVES[1], weight=40))},
        {"variants": (HALVES[0], replace(HALVES[1], model_version="m3"))},
        {"layer": "home"},
        {"primary_metric": "conversion"},
        {"alpha": 0.1},
        {"coverage": 0.5},
    ],
)
def test_a_running_experiment_is_held_to_what_was_registered(change: dict[str, Any]) -> None:
    begun = RUNNING.begun_from(None)
    with pytest.raises(ValueError, match="while the experiment runs"):
        replace(begun, **change).begun_from(begun)
    stopped = replace(begun, status=ExperimentStatus.STOPPED).begun_from(begun)
    assert replace(begun, **change).begun_from(stopped).phase == 2


def test_coverage_may_rise_and_words_may_change_while_it_runs() -> None:
    begun = replace(RUNNING, coverage=0.1).begun_from(None)
    raised = replace(begun, coverage=0.5, hypothesis="more is better").begun_from(begun)
    assert (raised.phase, raised.salt) == (1, begun.salt)


def test_it_is_on_between_its_start_and_its_end() -> None:
    on = replace(RUNNING, start=NOW, end=NOW + timedelta(days=7))
    assert [on.is_on(NOW + timedelta(days=day)) for day in (-1, 0, 6, 7)] == [False, True, True, False]
    assert not replace(on, status=ExperimentStatus.PAUSED).is_on(NOW)
    assert RUNNING.is_on(NOW)
