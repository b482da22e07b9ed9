"""What is live and what was trained make one list, by the weights that a replay chose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import pytest

from recsvc.bundles.bundle import Bundle
from recsvc.bundles.id_table import id_arrays
from recsvc.bundles.manifest import PartFacts
from recsvc.domain.items import Item, ItemKind
from recsvc.domain.slates import Source
from recsvc.live.scoring import PARTS, SHORTLIST_LENGTH, HalfLives, LiveModel, part_scores
from recsvc.live.state import Bounds, LiveState
from recsvc.serving.candidates import Candidate, rankings
from recsvc.serving.customers import Subject
from recsvc.serving.live_catalogue import make_view
from recsvc.serving.live_ranking import Live
from recsvc.serving.live_shares import LEAST_RIVALS
from recsvc.serving.past import NO_PAST, Past
from recsvc.serving.scoring import make_scorer
from recsvc.serving.verification import Model
from recsvc.training.blending import standardised
from recsvc.training.prequential.ranking import shortlisted
from recsvc.training.prequential.stream import Occasion

from ..small_bank import CONTENT, POLICY
from .made_bundles import bundle_of, history_of

N_ITEMS = 200
IDS = [f"i{row:03}" for row in range(N_ITEMS)]
HOUR = 3600.0
NOW = 400 * HOUR
HISTORY = {3: 1.0, 70: 2.0, 71: 1.0}
WEIGHTS = {"popularity": 0.7, "long_popularity": 0.2, "newness": 0.1, "recency": 0.05, "neighbours": 0.4}


def items(n: int) -> list[Item]:
    return [Item(one) for one in IDS[:n]]


def a_bundle(seed: int = 5, **weights: float) -> Bundle:
    """Factors at random for the spectral family and ALS, and popularity; none with features."""
    rng = np.random.default_rng(seed)
    als, spectral = (rng.normal(size=(N_ITEMS, 6)).astype(np.float32) for _ in range(2))
    weights = weights or {"als": 0.5, "spectral": 0.3, "popularity": 0.2}
    parameters = {"als": {"confidence": 3.0, "regularization": 2.0}}
    parts = tuple(PartFacts(name, weight, parameters.get(name, {})) for name, weight in weights.items())
    return bundle_of(
        parts,
        {
            **id_arrays("item_ids", IDS),
            "catalogue": np.frombuffer(msgspec.json.encode(items(N_ITEMS)), dtype=np.uint8),
            "popularity": rng.pareto(2, size=N_ITEMS).astype(np.float32),
            "als_item_factors": als,
            "als_gram": als.T @ als + 2 * np.eye(6, dtype=np.float32),
            "spectral_item_factors": spectral,
            "spectral_fold_in": np.ones(N_ITEMS, dtype=np.float32),
            "spectral_gram": spectral.T @ spectral,
        },
    )


def a_model(bundle: Bundle) -> Model:
    return Model(bundle, make_scorer(bundle))


def a_state(seed: int, n_meetings: int = 1_500, bounds: Bounds | None = None) -> LiveState:
    """What the customers c0 to c19 met in the hours before now, the items of low numbers more often."""
    rng = np.random.default_rng(seed)
    state = LiveState((0.25, 7.0), bounds or Bounds())
    for at in np.sort(rng.uniform(0, NOW, size=n_meetings)).tolist():
        item = min(int(rng.integers(0, N_ITEMS)), int(rng.integers(0, N_ITEMS)))
        state.record(f"c{rng.integers(0, 20)}", IDS[item], at)
    return state


def live_of(
    state: LiveState, trained_weight: float = 0.0, weights: Mapping[str, float] | None = None
) -> Live:
    by_part = {**dict.fromkeys(PARTS, 0.0), **(weights or WEIGHTS)}
    model = LiveModel(0.25, 7.0, tuple(by_part[name] for name in PARTS))
    return Live(model, trained_weight, state, NOW)


def subject(
    live_id: str | None, history: Mapping[int, float] | None = None, segment: str | None = None
) -> Subject:
    past = Past(history_of(history, N_ITEMS)) if history else NO_PAST
    return Subject("c0", "en", True, None, None, segment, past, frozenset(), (), live_id)


def ranking(
    model: Model, live: Live | None, who: Subject, stored: Sequence[Item] = (), kind: ItemKind = CONTENT
) -> list[Candidate]:
    """The whole of it: the last of the rankings."""
    view = make_view(stored, model.bundle, revision=1)
    *_, whole = rankings(kind, who, model, view, POLICY, live)
    return list(whole)


def ids(candidates: Sequence[Candidate]) -> list[str]:
    return [one.item.item_id for one in candidates]


def test_the_list_is_the_one_that_the_replay_judges() -> None:
    model, state = a_model(a_bundle()), a_state(1)
    met = frozenset(IDS[row] for row in HISTORY)
    judged = shortlisted(state, Occasion("c4", "i001", NOW, met), HalfLives(0, 1))
    live = live_of(state)
    order = np.argsort(-(judged.parts @ np.array(live.model.weights)), kind="stable")
    wanted = [state.item_ids[row] for row in judged.rows[order]]
    shown = ranking(model, live, subject("c4", HISTORY))[:SHORTLIST_LENGTH]
    assert ids(shown) == wanted
    assert {one.source for one in shown} == {Source.PERSONALISED}


@pytest.mark.parametrize("weights", [{"als": 1.0}, {"als": 0.6, "spectral": 0.4}, {"popularity": 1.0}])
def test_the_trained_score_counts_in_deviations_from_its_mean_as_training_has_it(
    weights: dict[str, float],
) -> None:
    bundle, state = a_bundle(**weights), a_state(2)
    model, history = a_model(bundle), history_of(HISTORY, N_ITEMS)
    of_all = standardised(model.scorer.score(history)[None].astype(np.float32).copy())[0]
    live = live_of(state, 1.5)
    for one in ranking(model, live, subject("c4", HISTORY))[:SHORTLIST_LENGTH]:
        (parts,) = part_scores(state, "c4", state.rows_of([one.item.item_id]), HalfLives(0, 1), NOW)
        assert one.row is not None
        by_live = float(parts @ np.array(live.model.weights))
        assert one.score == pytest.approx(by_live + 1.5 * of_all[one.row], rel=1e-4, abs=1e-4)


def test_shares_make_up_what_a_score_is_above_those_it_stands_against() -> None:
    every = {**WEIGHTS, "passed_over": 0.3, "depth": 0.02}
    model, live = a_model(a_bundle()), live_of(a_state(3), 0.8, every)
    (first, _) = rankings(
        CONTENT, subject("c4", HISTORY), model, make_view((), model.bundle, revision=1), POLICY, live
    )
    shown = list(first)
    for place, one in enumerate(shown, start=1):
        assert one.shares
        carried = one.shares.trained + one.shares.neighbours + one.shares.popularity + one.shares.newness
        rivals = shown[: max(LEAST_RIVALS, 2 * place)]
        assert carried == pytest.approx(one.score - np.mean([rival.score for rival in rivals]), abs=1e-9)
    for name in ("trained", "neighbours", "popularity", "newness"):
        of_all = [getattr(one.shares, name) for one in shown]
        assert np.std(of_all) > 0
        assert np.mean(of_all[:LEAST_RIVALS]) < max(of_all[:LEAST_RIVALS])
