"""What experiments cost an answer. In: nothing. Out: microseconds of CPU of the outermost skin, as JSON.

    python -m benchmarks.exposing

The engine below answers at once, so what is measured is finding the arm, naming it and noting the exposure.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from recsvc.domain.experiments import Experiment, ExperimentStatus, ExperimentVariant
from recsvc.domain.items import ItemKind
from recsvc.domain.slates import SlateRequest, Source
from recsvc.experimentation.allocations import holdout_experiment
from recsvc.experimentation.exposed import ExposedEngine
from recsvc.experimentation.exposure_notes import ExposureNotes
from recsvc.experimentation.running import RunningExperiments
from recsvc.experimentation.units import Units
from recsvc.policy_experiments import ExperimentsPolicy
from recsvc.policy_lists import ListsPolicy
from recsvc.stores.memory_experiments import MemoryExperiments
from recsvc.stores.memory_exposures import MemoryExposures
from recsvc.stores.memory_identities import MemoryIdentities

N_ROUNDS = 50
REQUESTS = [SlateRequest(ItemKind.CONTENT, f"c{number}") for number in range(2_000)]


@dataclass(frozen=True)
class Ready:
    """An answer that was there already."""

    source: Source = Source.PERSONALISED
    model_version: str | None = "v1"


class AtOnce:
    """An engine that takes no time."""

    answer = Ready()

    def recommend(self, request: SlateRequest) -> Ready:
        """The one answer."""
        return self.answer

    def recommend_many(self, requests: Sequence[SlateRequest]) -> Iterator[Ready]:
        """The same for many."""
        return map(self.recommend, requests)

    def at_hand(self, request: SlateRequest) -> Ready:
        """The same."""
        return self.answer

    def ask(self, request: SlateRequest, heard: Callable[[Ready | None], object]) -> bool:
        """Tell the same."""
        heard(self.answer)
        return True


def micros_of(recommend: Callable[[SlateRequest], Ready]) -> float:
    """CPU of one answer: of many rounds the quickest, which others disturbed least."""
    rounds = []
    for _ in range(N_ROUNDS):
        began = time.thread_time()
        for request in REQUESTS:
            recommend(request)
        rounds.append(time.thread_time() - began)
    return min(rounds) / len(REQUESTS) * 1e6


def exposed(n_experiments: int, *, holdout_percent: int = 0) -> ExposedEngine[Ready]:
    """The skin while so many experiments run, each for a tenth of the customers but the last, for all."""
    store, exposures = MemoryExperiments(), MemoryExposures()
    for number in range(n_experiments):
        variants = (ExperimentVariant("a", "v1", 50), ExperimentVariant("b", "v1", 50))
        coverage = 1.0 if number == n_experiments - 1 else 0.1
        running = Experiment(f"e{number}", variants, coverage, status=ExperimentStatus.RUNNING)
        store.put(running, expected=None, now=datetime.now(UTC))
    holdout = holdout_experiment(ExperimentsPolicy(holdout_percent=holdout_percent))
    deals = RunningExperiments(store, ListsPolicy(), holdout=holdout, clock=lambda: datetime.now(UTC))
    deals.refresh()
    deals.open_for({"v1"}, ())
    return ExposedEngine(
        AtOnce(),
        deals,
        Units(MemoryIdentities(exposures)),
        ExposureNotes(exposures),
        clock=lambda: datetime.now(UTC),
        monotonic=time.monotonic,
    )


def main() -> None:
    """Print the cost beyond that of the engine below."""
    alone = micros_of(AtOnce().recommend)
    costs = {
        "no experiment": exposed(0),
        "one experiment": exposed(1),
        "three experiments": exposed(3),
        "one experiment and a hold-out": exposed(1, holdout_percent=10),
    }
    print(json.dumps({name: round(micros_of(skin.recommend) - alone, 2) for name, skin in costs.items()}))


if __name__ == "__main__":
    main()
