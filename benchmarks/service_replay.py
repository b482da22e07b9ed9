"""The prequential replay through the running service. In: events, a moment. Out: both sides' figures.

A model is trained on the events before the moment, by the ordinary command. The service that serves it gets
every article when it first appears and every event in the order of time, and is asked for a list before each
first meeting with an article that somebody met before. The evaluator ranks the very same occasions with the
half-lives and weights of the same bundle: the service is what the evaluator says it is if both agree.

The evaluator knows when the next meeting happens, and how old everything is by then; to the service it is as
late as its latest event says. So the occasions are ranked a third time, by the evaluator as of that event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from benchmarks.bench import POLICY, SEED, Bench
from benchmarks.running_service import RunningService
from recsvc.bundles.bundle import History
from recsvc.bundles.manifest import LiveFacts, Measured, PartFacts
from recsvc.bundles.registry import Registry
from recsvc.history.interactions import InteractionTable
from recsvc.live.scoring import PARTS, blend
from recsvc.live.state import LiveState
from recsvc.serving.verification import Model, load_model
from recsvc.training import blending
from recsvc.training.metrics import measured_together
from recsvc.training.prequential.choosing import longer_than
from recsvc.training.prequential.histories import histories_before
from recsvc.training.prequential.mixing import Stage, mix
from recsvc.training.prequential.ranking import CUTOFF, figures
from recsvc.training.prequential.stream import EventStream, Occasion, event_stream
from recsvc.training.prequential.trained import Trained, opinions

Ranks = NDArray[np.int64]

SIDES = (SERVICE, EVALUATOR, AT_LATEST) = ("service", "evaluator", "evaluator as of the latest event")

_NOT_LISTED = np.iinfo(np.int32).max


@dataclass(frozen=True, slots=True)
class Comparison:
    """Figures over the same `n` occasions, by side (`SIDES`) and metric.

    `agreement` is the share of them that have on a side the rank that the service gave; ranks below the first
    ten count as the same, for the service was asked for ten.
    """

    n: int
    figures: Mapping[str, Mapping[str, Measured]]
    agreement: Mapping[str, float]


@dataclass(frozen=True)
class Task:
    """A stream whose judged events from the place `start` on are the occasions. `types` are by event."""

    stream: EventStream
    types: Sequence[str]
    start: int
    table: InteractionTable

    @property
    def places(self) -> NDArray[np.int64]:
        """Those of the occasions: (n_occasions,)."""
        found: NDArray[np.int64] = np.flatnonzero(self.stream.is_judged[self.start :]) + self.start
        return found


def compare(bench: Bench, events: str, mapping: str, since: datetime, n_occasions: int | None) -> Comparison:
    """Train, serve, replay and judge. `n_occasions` None takes all. Raises NoDataError."""
    task = task_of(bench.read(events, mapping), since, n_occasions)
    version = train_before(bench, events, mapping, since)
    with RunningService(bench.work) as service:
        shown = service_ranks(service, task)
    model = load_model(Registry(bench.work / "models").path_of(version))
    ranks = {SERVICE: shown} | {
        side: evaluator_ranks(stage(task.stream, task.start, ids_of(model), frozenset(), {}), task, model)
        for side, stage in ((EVALUATOR, Stage), (AT_LATEST, AsOfLatest))
    }
    measured = measured_together(
        {side: figures(of_one) for side, of_one in ranks.items()}, np.random.default_rng(SEED)
    )
    return Comparison(
        len(shown), measured, {side: agreement(shown, of_one) for side, of_one in ranks.items()}
    )


def agreement(one: Ranks, other: Ranks) -> float:
    """The share of occasions that have the same rank among the first ten, or none."""
    return float((np.minimum(one, CUTOFF + 1) == np.minimum(other, CUTOFF + 1)).mean())


@dataclass(frozen=True, slots=True)
class AsOfLatest(Stage):
    """The same occasions, each as of the latest event before it."""

    def replay(self, state: LiveState, progress: Callable[[float], None]) -> Iterator[Occasion]:
        for occasion in Stage.replay(self, state, progress):
            yield replace(occasion, at=state.latest)


def task_of(table: InteractionTable, since: datetime, n_occasions: int | None) -> Task:
    """The first so many occasions from a moment on, and all events up to the last of them."""
    stream = event_stream(table, POLICY)
    start = stream.place_of(since.timestamp())
    judged = np.flatnonzero(stream.is_judged[start:])[:n_occasions] + start
    end = int(judged[-1]) + 1
    cut = replace(
        stream,
        customers=stream.customers[:end],
        items=stream.items[:end],
        seconds=stream.seconds[:end],
        is_judged=stream.is_judged[:end],
    )
    return Task(cut, _types(table)[:end], start, table)


def train_before(bench: Bench, events: str, mapping: str, since: datetime) -> str:
    """Train on what the file holds before a moment; the version. The time of the file is in seconds."""
    known = pl.read_parquet(bench.file(events)).filter(pl.col("timestamp") < since.timestamp())
    known.write_parquet(bench.work / "before.parquet")
    mapping_file = Path(__file__).parents[1] / "scripts" / "mappings" / f"{mapping}.toml"
    arguments = ("--events", bench.work / "before.parquet", "--mapping", mapping_file)
    return str(bench.recsvc("train", *arguments, "--models", bench.work / "models").report["version"])


def service_ranks(service: RunningService, task: Task) -> Ranks:
    """The place of what was met on the list just before it was, on each occasion: (n_occasions,)."""
    stream, ranks = task.stream, []
    known = {stream.item_ids[item] for item in stream.items[: task.start].tolist()}
    for first, last in _moments(stream, task.start):
        for place in range(first, last):
            if stream.is_judged[place]:
                customer_id = stream.customer_ids[stream.customers[place]]
                shown = service.list_of(customer_id, CUTOFF)
                item_id = stream.item_ids[stream.items[place]]
                ranks.append(shown.index(item_id) + 1 if item_id in shown else _NOT_LISTED)
        for place in range(first, last):
            event = _event(task, place)
            if event["item_id"] not in known:
                known.add(event["item_id"])
                service.publish(event["item_id"], event["occurred_at"])
            service.tell(event)
    return np.array(ranks)


def ids_of(model: Model) -> tuple[str, ...]:
    """The ids of the model's items, by row."""
    return model.bundle.items.ids_of(range(len(model.bundle.items)))


def evaluator_ranks(stage: Stage, task: Task, model: Model) -> Ranks:
    """The rank that the replay of training gives to what was met, on each occasion: (n_occasions,)."""
    bundle, stream = model.bundle, task.stream
    facts = cast(LiveFacts, bundle.manifest.live)
    item_ids = ids_of(model)
    published = cast(blending.Model, _Published(model))
    scale = bundle.manifest.strength_scale
    trained = Trained(published, item_ids, scale, bundle.popularity, newcomers=None)
    customer_ids = [stream.customer_ids[one] for one in stream.customers[task.places].tolist()]
    histories = histories_before(task.table, POLICY, customer_ids, stream.seconds[task.places], item_ids)
    said = opinions(trained, histories, np.ones(len(item_ids), np.bool_))
    long = longer_than(facts.half_life_days).index(facts.long_half_life_days)
    weights = (*(facts.weights[name] for name in PARTS), facts.trained_weight)
    mixed = mix(stage, said, facts.half_life_days, lambda share: None)
    whole = [one.under(long).whole for one in mixed]
    return np.array([one.rank(blend(one.parts, weights)) for one in whole])


@dataclass(frozen=True)
class _Published:
    """A published model where the replay wants one that was just fitted."""

    model: Model

    @property
    def parts(self) -> tuple[PartFacts, ...]:
        return self.model.bundle.manifest.parts

    def score(self, histories: csr_matrix) -> NDArray[np.float32]:
        """(n_histories, n_items)."""
        scores = np.zeros(histories.shape, np.float32)
        for place in range(histories.shape[0]):
            own = histories[place]
            if own.nnz:
                history = History(own.indices.astype(np.int32), own.data.astype(np.float32))
                scores[place] = self.model.scorer.score(history)
        return scores


def _moments(stream: EventStream, start: int) -> Iterator[tuple[int, int]]:
    """The places of the events of each moment: from, and before which."""
    begin = stream.of_moment(start)
    firsts = np.flatnonzero(np.diff(stream.seconds[begin:], prepend=-np.inf)) + begin
    yield from zip(firsts.tolist(), [*firsts.tolist()[1:], len(stream)], strict=True)


def _event(task: Task, place: int) -> dict[str, Any]:
    stream = task.stream
    at = datetime.fromtimestamp(float(stream.seconds[place]), UTC)
    return {
        "event_id": f"replayed-{place}",
        "type": task.types[place],
        "customer_id": stream.customer_ids[stream.customers[place]],
        "item_id": stream.item_ids[stream.items[place]],
        "occurred_at": at.isoformat(),
        "channel": "web",
    }


def _types(table: InteractionTable) -> list[str]:
    """The types of the events of a stream, in its order."""
    positive = [name for name, rule in POLICY.interaction_types.items() if rule.strength > 0]
    events = (
        table.compact.select(
            pl.col("customer_id", "item_id", "type").cast(pl.String), pl.col("occurred_at").dt.epoch("us")
        )
        .filter(pl.col("type").is_in(positive))
        .drop_nulls(["item_id", "occurred_at"])
        .sort("occurred_at", "customer_id", "item_id", maintain_order=True)
    )
    return events["type"].to_list()
