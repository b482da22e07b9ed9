"""Whether what is live pays beside the trained model. In: material, a chosen model. Out: weights, or why not.

The last first meetings of the history are replayed. Half-lives and weights are chosen on the first two thirds
of them; on the last third the blend has to rank better than the trained score alone by more than the standard
error of the difference. Then the weights are fitted anew on all. The trained score is of a model that had
seen nothing of the stretch: what selection judged where its hold-out came last, else a fit of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsvc.bundles.manifest import LiveFacts, Measured
from recsvc.domain.items import ItemKind
from recsvc.errors import TrainingError
from recsvc.live.places import Rows
from recsvc.live.scoring import PARTS
from recsvc.policy import Policy
from recsvc.training.goals import may_repeat
from recsvc.training.holdout import Split
from recsvc.training.material import Material
from recsvc.training.metrics import measured_together
from recsvc.training.prequential.choosing import longer_than
from recsvc.training.prequential.histories import histories_before
from recsvc.training.prequential.logit import PrunedFit
from recsvc.training.prequential.mixing import (
    CONTESTANTS,
    Mixed,
    Stage,
    choose_short_half_life,
    contest,
    fit_blend,
    fit_live,
    mix,
)
from recsvc.training.prequential.ranking import figures
from recsvc.training.prequential.snapshot import live_arrays, snapshot_before
from recsvc.training.prequential.stream import EventStream, event_stream
from recsvc.training.prequential.trained import Trained, opinions
from recsvc.training.selection import Selection
from recsvc.training.trained_before import place_of_cut, trained_before
from recsvc.training.trials import Progress

MOST_REPLAYED = 2_000
LEAST_REPLAYED = 150
_LEAST_SHARE_BEFORE = 3  # A stretch for which a model is fitted anew is at most one of so many parts.
_DIGITS = 6  # Of a weight: more would be of the machine's rounding.
_BLEND, _LIVE, _TRAINED = CONTESTANTS


@dataclass(frozen=True, slots=True)
class LiveChoice:
    """What was chosen, None where the trained model serves alone; why; the live arrays of the bundle."""

    facts: LiveFacts | None
    why: str
    arrays: Mapping[str, NDArray[Any]]


def weigh_live(
    material: Material, policy: Policy, parts: Split, selection: Selection, *, seed: int, progress: Progress
) -> LiveChoice:
    """Choose half-lives and weights of the live parts and of the trained score, and take the snapshot."""
    if (reason := _why_none(material, policy)) is not None:
        return _none(reason)
    try:
        stream = _of_kind(event_stream(material.table, policy), material)
    except TrainingError:
        return _none("no event has an item and a time")
    start = _start(stream, parts)
    if start is None:
        return _none(
            f"a replay needs {LEAST_REPLAYED} first meetings with items known before, at the end of a longer "
            "history, and there are fewer"
        )
    trained = trained_before(stream, start, material, policy, parts, selection, seed)
    categories = {one.item_id: one.category for one in material.source.items if one.category}
    stage = Stage(stream, start, trained.scored_ids, _others(stream, material), categories)
    mixed, half_life = _replayed(stage, trained, material, policy, progress)
    return _choose(mixed, half_life, stage, material, seed)


def _why_none(material: Material, policy: Policy) -> str | None:
    """Why a history cannot be replayed, where it cannot."""
    if material.table.compact["occurred_at"].null_count():
        return "the events have no times, so nobody knows what was live when"
    if may_repeat(material.kind, policy):
        return "the items may be had again, and a replay ranks only what is new to the customer"
    return None


def _none(reason: str) -> LiveChoice:
    return LiveChoice(None, f"no live part counts: {reason}", {})


def _others(stream: EventStream, material: Material) -> frozenset[str]:
    """The ids of the items that are not of the kind that models are judged on."""
    catalogue = material.catalogue(stream.item_ids)[: len(stream.item_ids)]
    return frozenset(item.item_id for item in catalogue if item.kind is not material.kind)


def _of_kind(stream: EventStream, material: Material) -> EventStream:
    """The stream where only meetings with items of the kind are judged."""
    others = _others(stream, material)
    is_kind = np.array([item_id not in others for item_id in stream.item_ids])
    return replace(stream, is_judged=stream.is_judged & is_kind[stream.items])


def _start(stream: EventStream, parts: Split) -> int | None:
    """Where the stretch begins; None where it would be too short.

    It lies behind the cut of the selection, if enough was met for the first time since.
    """
    judged = np.flatnonzero(stream.is_judged)
    if parts.cut is not None:
        later = judged[judged >= place_of_cut(stream, parts.cut)]
        if len(later) >= LEAST_REPLAYED:
            return int(later[-MOST_REPLAYED:][0])
    n = min(len(judged) // _LEAST_SHARE_BEFORE, MOST_REPLAYED)
    return int(judged[-n]) if n >= LEAST_REPLAYED else None


def _replayed(
    stage: Stage, trained: Trained, material: Material, policy: Policy, progress: Progress
) -> tuple[Sequence[Mixed], float]:
    """All occasions, and the short half-life that the first two thirds of them chose."""
    stream = stage.stream
    places = np.flatnonzero(stream.is_judged[stage.start :]) + stage.start
    half_life = choose_short_half_life(
        stage, _n_learned(len(places)), lambda share: progress("choose half-life", share)
    )
    histories = histories_before(
        material.table,
        policy,
        [stream.customer_ids[customer] for customer in stream.customers[places].tolist()],
        stream.seconds[places],
        trained.item_ids,
    )
    is_listed = np.array([item_id not in stage.other_ids for item_id in trained.item_ids])
    said = opinions(trained, histories, is_listed)
    return mix(stage, said, half_life, lambda share: progress("replay history", share)), half_life


def _n_learned(n_occasions: int) -> int:
    return n_occasions * 2 // 3


def _choose(
    mixed: Sequence[Mixed], half_life: float, stage: Stage, material: Material, seed: int
) -> LiveChoice:
    n_learned = _n_learned(len(mixed))
    learned, judged = mixed[:n_learned], mixed[n_learned:]
    tried, live = fit_blend(learned), fit_live(learned)
    if tried is None or live is None:
        return _none("nothing that was met was among what was live")
    ranks = contest(judged, tried, live)
    metrics = measured_together(
        {name: figures(of_one) for name, of_one in ranks.items()}, np.random.default_rng(seed)
    )
    compared = _compared(metrics)
    if not is_better(ranks):
        return _none(f"with them the lists are no better than by the trained score beyond chance; {compared}")
    chosen = fit_blend(mixed)
    if chosen is None or not any(chosen.weights[: len(PARTS)]):
        return _none(f"none pays beside the trained score; {compared}")
    facts = _facts(chosen, half_life, len(mixed), metrics, material.kind)
    return LiveChoice(facts, f"live parts count: {compared}", _arrays(facts, stage.stream, material))


def is_better(ranks: Mapping[str, Rows]) -> bool:
    """Whether the blend is better in NDCG@10 than the trained score by more than the standard error."""
    gained = figures(ranks[_BLEND])["ndcg@10"] - figures(ranks[_TRAINED])["ndcg@10"]
    return bool(gained.mean() > gained.std() / np.sqrt(len(gained)))


def _compared(metrics: Mapping[str, Mapping[str, Measured]]) -> str:
    """One clause with what each contestant reached."""
    one = {name: of_one["ndcg@10"].value for name, of_one in metrics.items()}
    return (
        f"ndcg@10 {one[_BLEND]:.4f} with both, {one[_LIVE]:.4f} live alone, {one[_TRAINED]:.4f} trained alone"
    )


def _facts(
    chosen: PrunedFit,
    half_life: float,
    n_learned: int,
    metrics: Mapping[str, Mapping[str, Measured]],
    kind: ItemKind,
) -> LiveFacts:
    *weights, trained = (round(weight, _DIGITS) for weight in chosen.weights)
    return LiveFacts(
        kind=kind,
        half_life_days=half_life,
        long_half_life_days=longer_than(half_life)[chosen.long],
        weights=dict(zip(PARTS, weights, strict=True)),
        trained_weight=trained,
        n_learned=n_learned,
        metrics=metrics,
    )


def _arrays(facts: LiveFacts, stream: EventStream, material: Material) -> Mapping[str, NDArray[Any]]:
    """The snapshot at the end of the history, by the rows of the bundle."""
    return live_arrays(
        snapshot_before(
            stream,
            len(stream),
            (facts.half_life_days, facts.long_half_life_days),
            customer_ids=material.matrix.customer_ids,
            item_ids=material.matrix.item_ids,
        )
    )
