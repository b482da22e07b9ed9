"""Who watches what runs: harm pauses an experiment, what is merely broken is told."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import structlog

from recsvc.domain.experiments import Direction, Experiment, ExperimentStatus, GuardrailMetric
from recsvc.errors import StoreError
from recsvc.experimentation.reports import Checks, GuardrailFinding
from recsvc.experimentation.results import ResultsReader
from recsvc.experimentation.watching import ExperimentWatch
from recsvc.observability import configure_logging
from recsvc.stores.memory_experiments import MemoryExperiments
from tests.experimentation.trials import START, Trial, an_experiment

NOW = START + timedelta(days=3)
GUARDED = (GuardrailMetric("complaints", 0.02, Direction.LOWER),)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    configure_logging("info", stream)
    yield stream
    structlog.reset_defaults()


def told(log: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


class Watched:
    """An experiment that runs, and whoever watches it; `seconds` is what the watch's timer says."""

    def __init__(self, **fields: Any) -> None:
        self.trial, self.experiments, self.seconds = Trial(), MemoryExperiments(), 0.0
        self.experiments.put(an_experiment(50, 50, **fields), expected=None, now=START)
        self.watch = self.by(self.trial.reader)

    def by(self, reader: ResultsReader) -> ExperimentWatch:
        return ExperimentWatch(
            self.experiments, reader, clock=lambda: NOW, monotonic=lambda: self.seconds, look_seconds=60
        )

    def complain(self, n_control: int, n_treatment: int, n: int = 1000) -> None:
        self.trial.happen("complaint", self.trial.expose("control", n)[:n_control])
        self.trial.happen("complaint", self.trial.expose("arm1", n)[:n_treatment])

    @property
    def kept(self) -> Experiment:
        found = self.experiments.get("e1")
        assert found is not None
        return found.value


def test_an_experiment_that_does_harm_is_paused_and_says_why(log: io.StringIO) -> None:
    watched = Watched(guardrails=GUARDED)
    watched.complain(50, 200)
    watched.watch.look()
    assert watched.kept.status is ExperimentStatus.PAUSED
    assert watched.kept.paused_because is not None
    assert "complaints rises by more than its margin of 0.02 in arm1" in watched.kept.paused_because
    (line,) = told(log)
    assert (line["event"], line["level"], line["experiment"]) == ("experiment_paused", "error", "e1")


@pytest.mark.parametrize("n_complaints", [50, 75, 97])
def test_harm_that_may_be_chance_pauses_nothing(log: io.StringIO, n_complaints: int) -> None:
    watched = Watched(guardrails=GUARDED)
    watched.complain(50, n_complaints)
    watched.watch.look()
    assert (watched.kept.status, told(log)) == (ExperimentStatus.RUNNING, [])


def test_a_wrong_split_and_a_wrong_model_are_told_and_pause_nothing(log: io.StringIO) -> None:
    watched = Watched(guardrails=GUARDED)
    watched.complain(5, 5)
    watched.trial.expose("arm1", 300, n_mismatched=2)
    watched.watch.look()
    assert watched.kept.status is ExperimentStatus.RUNNING
    assert [line["event"] for line in told(log)] == ["sample_ratio_mismatch", "model_mismatch"]
    assert told(log)[1]["n_answers"] == 600


def test_what_does_not_run_is_not_looked_at(log: io.StringIO) -> None:
    watched = Watched(guardrails=GUARDED, end=NOW - timedelta(hours=1))
    watched.complain(50, 300)
    watched.watch.look()
    assert (watched.kept.status, told(log)) == (ExperimentStatus.RUNNING, [])


def test_it_looks_again_when_it_is_time(log: io.StringIO) -> None:
    watched = Watched(guardrails=GUARDED)
    watched.watch.look()
    watched.complain(50, 300)
    watched.seconds = 59
    watched.watch.look()
    assert watched.kept.status is ExperimentStatus.RUNNING
    watched.seconds = 60
    watched.watch.look()
    assert watched.kept.status is ExperimentStatus.PAUSED


def test_one_that_cannot_be_read_hides_no_other(log: io.StringIO) -> None:
    watched = Watched(guardrails=GUARDED)
    watched.experiments.put(replace(an_experiment(50, 50), key="a0"), expected=None, now=START)
    watched.complain(50, 300)

    class Reader(ResultsReader):
        def watch(self, experiment: Experiment, **when: Any) -> tuple[Checks, tuple[GuardrailFinding, ...]]:
            if experiment.key == "a0":
                raise StoreError("a document cannot be read")
            return watched.trial.reader.watch(experiment, **when)

    watched.by(Reader(watched.trial.reader._outcomes, watched.trial.policy)).look()
    assert [line["event"] for line in told(log)] == ["experiment_not_watched", "experiment_paused"]


def test_an_arm_of_few_complaints_is_no_harm_and_certain_of_many() -> None:
    for n, state in ((100, "not_shown"), (2000, "holds")):
        watched = Watched(guardrails=(GuardrailMetric("complaints", 0.01, Direction.LOWER),))
        watched.complain(0, 0, n)
        (arm,) = watched.trial.report(watched.kept, NOW).arms
        assert arm.guardrails[0].state == state
