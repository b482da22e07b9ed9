"""What is live and what was trained make one list, by the weights that a replay chose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsvc.bundles.bundle import Bundle
from recsvc.bundles.features import feature_arrays
from recsvc.bundles.id_table import id_arrays
from recsvc.bundles.item_pages import item_arrays
from recsvc.bundles.manifest import PartFacts
from recsvc.domain.items import Item, ItemKind
from recsvc.domain.slates import Source
from recsvc.live.places import Rows
from recsvc.live.scoring import NEVER_NEGATIVE, PARTS, SHORTLIST_LENGTH, HalfLives, LiveModel, part_scores
from recsvc.live.state import Bounds, LiveState
from recsvc.serving.candidates import Candidate, rankings
from recsvc.serving.catalogue_view import make_view
from recsvc.serving.customers import Subject
from recsvc.serving.live_access import Live, Weighing
from recsvc.serving.live_popularity import MOST_NEWS
from recsvc.serving.live_shares import LEAST_RIVALS
from recsvc.serving.past import NO_PAST, Past
from recsvc.serving.scoring import make_scorer
from recsvc.serving.scoring.parts import OpenRows
from recsvc.serving.scoring.standardised import NoOpinion
from recsvc.serving.verification import Model
from recsvc.training.blending import standardised
from recsvc.training.prequential.ranking import shortlisted
from recsvc.training.prequential.stream import Occasion

from ..small_bank import CONTENT, OFFER, POLICY
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
            **item_arrays(items(N_ITEMS)),
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


def met_by(customer_id: str, seed: int, n_meetings: int) -> list[int]:
    """The rows of what a customer met in such a state, in order."""
    state = a_state(seed, n_meetings)
    customer = state.customer_row(customer_id)
    if customer is None:
        return []
    met = [one for one in range(state.n_items) if customer in state.readers(np.array([one]))]
    return sorted(IDS.index(state.item_ids[one]) for one in met)


def live_of(
    state: LiveState, trained_weight: float = 0.0, weights: Mapping[str, float] | None = None
) -> Live:
    by_part = {**dict.fromkeys(PARTS, 0.0), **(weights or WEIGHTS)}
    model = LiveModel(0.25, 7.0, tuple(by_part[name] for name in PARTS))
    return Live(Weighing(CONTENT, model, trained_weight), state, NOW, NOW)


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
    order = np.argsort(-(judged.parts @ np.array(live.weighing.model.weights)), kind="stable")
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
        by_live = float(parts @ np.array(live.weighing.model.weights))
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
        carried = sum(msgspec.structs.astuple(one.shares))
        rivals = shown[: max(LEAST_RIVALS, 2 * place)]
        assert carried == pytest.approx(one.score - np.mean([rival.score for rival in rivals]), abs=1e-9)
    for name in ("trained", "neighbours", "popularity", "newness"):
        of_all = [getattr(one.shares, name) for one in shown]
        assert np.std(of_all) > 0
        assert np.mean(of_all[:LEAST_RIVALS]) < max(of_all[:LEAST_RIVALS])


def test_what_was_weighed_on_one_kind_orders_no_other() -> None:
    """Offers are ranked as the model alone ranks them, and who has no history gets the hottest of them."""
    model, state = a_model(a_bundle()), a_state(4)
    offers = [Item(one, OFFER) for one in IDS[:50]]
    for n in range(40):
        state.record(f"d{n}", "i040", NOW - HOUR)
    live = live_of(state, 0.5)
    for who in (subject("c4", HISTORY), subject("c4", {0: 1.0, 60: 1.0})):
        with_live, alone = (ranking(model, one, who, offers, OFFER) for one in (live, None))
        personal = [one for one in with_live if one.source is Source.PERSONALISED]
        assert personal and personal == [one for one in alone if one.source is Source.PERSONALISED]
        assert not any(one.shares for one in with_live)
        assert any(one.shares for one in ranking(model, live, who, offers))
    for who in (subject("c4"), subject("stranger"), subject(None)):
        first, *_ = ranking(model, live, who, offers, OFFER)
        assert (first.item.item_id, first.source) == ("i040", Source.POPULAR)


def place_of(item_id: str, candidates: Sequence[Candidate]) -> int:
    return ids(candidates).index(item_id)


weights_of_parts = st.fixed_dictionaries(
    {name: st.floats(0, 2) if name in NEVER_NEGATIVE else st.floats(-1, 1) for name in PARTS}
)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    weights=weights_of_parts,
    trained_weight=st.floats(0, 2),
    row=st.integers(0, N_ITEMS - 1),
    viewer=st.sampled_from(["c1", "c7", "newcomer"]),
    hours_ago=st.floats(0, 300),
)
def test_one_more_view_by_somebody_else_never_worsens_a_place(
    seed: int,
    weights: Mapping[str, float],
    trained_weight: float,
    row: int,
    viewer: str,
    hours_ago: float,
) -> None:
    model, state, item_id = a_model(a_bundle()), a_state(seed, n_meetings=400), IDS[row]
    met = met_by("c0", seed, n_meetings=400)
    state.record("c2", item_id, NOW - 301 * HOUR)
    who = subject("c0", {one: 1.0 for one in met} or None)
    before = ranking(model, live_of(state, trained_weight, weights), who)
    if row in met:
        assert item_id not in ids(before)
        return
    state.record(viewer, item_id, NOW - hours_ago * HOUR)
    after = ranking(model, live_of(state, trained_weight, weights), who)
    assert place_of(item_id, after) <= place_of(item_id, before)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000), weights=weights_of_parts, trained_weight=st.floats(0, 2))
def test_one_more_view_by_oneself_never_worsens_a_place_where_content_repeats(
    seed: int, weights: Mapping[str, float], trained_weight: float
) -> None:
    policy = replace(POLICY, serving=msgspec.structs.replace(POLICY.serving, repeat_content=True))
    model, state = a_model(a_bundle()), a_state(seed, n_meetings=400)
    met = met_by("c0", seed, n_meetings=400)
    who = subject("c0", {one: 1.0 for one in met})
    item_id = IDS[met[0]]
    view = make_view((), model.bundle, revision=1)

    def whole() -> list[Candidate]:
        live = live_of(state, trained_weight, weights)
        *_, last = rankings(CONTENT, who, model, view, policy, live)
        return list(last)

    before = place_of(item_id, whole())
    state.record("c0", item_id, NOW)
    assert place_of(item_id, whole()) <= before


def test_every_item_stands_once_and_scores_never_rise_within_a_rung() -> None:
    model, state = a_model(a_bundle()), a_state(5)
    fresh = [Item(f"new{n}") for n in range(70)]
    for who in (subject("c4", HISTORY), subject("c4"), subject("stranger"), subject(None)):
        listed = ranking(model, live_of(state, 0.7), who, fresh)
        assert len(set(ids(listed))) == len(set(IDS) | {item.item_id for item in fresh}) - len(
            who.past.history
        )
        for source in Source:
            scores = [one.score for one in listed if one.source is source and one.item.item_id in set(IDS)]
            first_of_each = scores[: len(set(scores))]
            assert first_of_each == sorted(first_of_each, reverse=True)


def test_what_comes_after_the_shortlist_is_the_trained_ranking() -> None:
    model, live = a_model(a_bundle()), live_of(a_state(5), 0.7)
    who = subject("c4", HISTORY)
    personal = [one for one in ranking(model, live, who) if one.source is Source.PERSONALISED]
    head = {one.item.item_id for one in personal if one.shares}
    trained = [one for one in ids(ranking(model, None, who)) if one not in head]
    tail = [one.item.item_id for one in personal if not one.shares]
    assert 0 < len(head) < N_ITEMS - len(HISTORY)
    assert tail == list(dict.fromkeys(trained))[: len(tail)]
    assert len(head) + len(tail) == N_ITEMS - len(HISTORY)


def test_who_has_done_nothing_gets_what_is_popular_now() -> None:
    model, state = a_model(a_bundle()), a_state(6)
    for n in range(40):
        state.record(f"d{n}", "i190", NOW - HOUR)
    for who in (subject("stranger"), subject(None)):
        listed = ranking(model, live_of(state), who)
        assert listed[0].item.item_id == "i190"
        assert {one.source for one in listed} == {Source.POPULAR}
    met = set(state.item_ids)
    listed = ids(ranking(model, live_of(state), subject(None)))
    never = [one for one in listed if one not in met]
    assert listed[len(listed) - len(never) :] == never
    popularity = model.bundle.popularity
    assert never == sorted(never, key=lambda one: -popularity[IDS.index(one)])


def test_who_is_known_only_to_the_live_state_gets_a_list_of_their_own() -> None:
    model, state = a_model(a_bundle()), a_state(7)
    state.record("newcomer", "i003", NOW - HOUR)
    state.record("c1", "i003", NOW - HOUR)
    own = ranking(model, live_of(state, 0.7), subject("newcomer"))
    assert own[0].source is Source.FOLDED_IN
    assert own[0].shares and own[0].shares.trained == 0


def test_nothing_personal_is_read_of_somebody_who_may_not_be_asked_about() -> None:
    """The list of one who has no live id is that of one whom the state never met."""
    model, state = a_model(a_bundle()), a_state(8)
    history = {199: 1.0}
    unnamed = ranking(model, live_of(state, 0.7), subject(None, history))
    stranger = ranking(model, live_of(state, 0.7), subject("stranger", history))
    known = ranking(model, live_of(state, 0.7), subject("c4", history))
    assert ids(unnamed) == ids(stranger) != ids(known)


def test_of_items_that_nobody_met_the_newer_stands_higher() -> None:
    model, state = a_model(a_bundle()), a_state(9)
    at = datetime.fromtimestamp(NOW, UTC)
    fresh = [
        Item("old", published_at=at - timedelta(days=90)),
        Item("new", published_at=at - timedelta(minutes=5)),
        Item("undated"),
    ]
    weights = {**WEIGHTS, "newness": 0.5}
    listed = ids(ranking(model, live_of(state, 0.7, weights), subject("c4", HISTORY), fresh))
    assert listed.index("new") < listed.index("undated") < listed.index("old")


class CountingState(LiveState):
    """Counts how many items it is asked for."""

    n_asked = 0

    def knows_item(self, item_id: str) -> bool:
        self.n_asked += 1
        return super().knows_item(item_id)

    def rows_of(self, item_ids: Iterable[str]) -> Rows:
        asked = list(item_ids)
        self.n_asked += len(asked)
        return super().rows_of(asked)


def test_a_request_looks_through_no_more_than_the_newest_for_what_nobody_met() -> None:
    at = datetime.fromtimestamp(NOW, UTC)
    fresh = [Item(f"n{n:04}", published_at=at - timedelta(minutes=n)) for n in range(3 * MOST_NEWS)]
    unmet = {fresh[MOST_NEWS - 5].item_id, fresh[-5].item_id}
    state = CountingState((0.25, 7.0))
    for item in fresh:
        if item.item_id not in unmet:
            state.record("c9", item.item_id, NOW - HOUR)
    state.n_asked = 0
    listed = ranking(a_model(a_bundle()), live_of(state, 0.7), subject("c4", HISTORY), fresh)
    assert {one.item.item_id for one in listed if one.shares} & unmet == {fresh[MOST_NEWS - 5].item_id}
    assert state.n_asked <= MOST_NEWS + 4 * SHORTLIST_LENGTH


def test_what_is_to_be_published_later_is_no_news() -> None:
    model, live = a_model(a_bundle()), live_of(a_state(9), 0.7, {**WEIGHTS, "newness": 0.5})
    at = datetime.fromtimestamp(NOW, UTC)
    fresh = [Item("now", published_at=at), Item("tomorrow", published_at=at + timedelta(days=1))]
    listed: dict[str, Source] = {}
    for one in ranking(model, live, subject("c4", HISTORY), fresh):
        listed.setdefault(one.item.item_id, one.source)
    assert listed["now"] is Source.PERSONALISED
    assert listed["tomorrow"] is Source.EDITORIAL


def test_what_has_factors_and_is_to_be_published_later_is_no_news_either() -> None:
    bundle = a_bundle(als=1.0)
    features = feature_arrays(("category:saving",), {"als": 9 * np.ones((1, 6), dtype=np.float32)})
    bundle = replace(bundle, arrays={**bundle.arrays, **features})
    at = datetime.fromtimestamp(NOW, UTC)
    fresh = [
        Item("now", category="saving", published_at=at),
        Item("tomorrow", category="saving", published_at=at + timedelta(days=1)),
    ]
    view = make_view(fresh, bundle, revision=1)
    assert {item.item_id for item in view.cold[CONTENT].items} == {"now", "tomorrow"}
    listed = ranking(a_model(bundle), live_of(a_state(9), 0.7), subject("c4", HISTORY), fresh)
    blended = {one.item.item_id for one in listed if one.shares}
    assert "now" in blended and "tomorrow" not in blended


def test_what_few_take_now_and_many_took_lately_stands_behind_what_many_take_now() -> None:
    """The score is of both half-lives: what was taken all week passes what is a little hotter just now."""
    model, state = a_model(a_bundle()), LiveState((0.25, 7.0))
    for n in range(40):
        state.record(f"d{n}", "i001", NOW - 24 * HOUR * (1 + n % 5))
    for n in range(8):
        state.record(f"e{n}", "i002", NOW - 10 * HOUR)
        state.record(f"f{n}", "i001", NOW)
        state.record(f"g{n}", "i003", NOW)
    for n in range(2):
        state.record(f"h{n}", "i003", NOW)
    short, long = (dict(zip(state.item_ids, state.log_counts(place, NOW), strict=True)) for place in (0, 1))
    assert max(short, key=lambda one: short[one]) != "i001" == max(long, key=lambda one: long[one])
    listed = [one for one in ranking(model, live_of(state), subject(None)) if one.item.item_id in short]
    assert ids(listed) == sorted(short, key=lambda one: -(short[one] + long[one]))
    assert ids(listed)[0] == "i001"
    for one in listed:
        assert one.score == pytest.approx(short[one.item.item_id] + long[one.item.item_id])


def test_what_the_state_forgot_does_not_pass_for_news() -> None:
    """What has a row in the bundle but none in the state was its coldest; what never had one may be hot."""
    model, state = a_model(a_bundle(popularity=1.0)), a_state(10, bounds=Bounds(n_items=80))
    met = set(state.item_ids)
    live = live_of(state, 0.0, {"popularity": 1.0})
    head = [one for one in ranking(model, live, subject("c4", {199: 1.0}), [Item("news")]) if one.shares]
    scores = {one.item.item_id: one.score for one in head}
    of_met = [score for one, score in scores.items() if one in met]
    of_forgotten = [score for one, score in scores.items() if one not in met and one != "news"]
    assert of_forgotten and set(of_forgotten) == {min(of_met)}
    assert scores["news"] == pytest.approx(np.mean(of_met))


@given(scores=st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0]), min_size=1, max_size=40), n=st.integers(1, 12))
def test_the_best_rows_are_the_best_whatever_is_equal(scores: list[float], n: int) -> None:
    popularity = np.array(scores, dtype=np.float32)
    rows = np.arange(len(scores), dtype=np.int32)
    best = NoOpinion(popularity).best(OpenRows(rows, rows[:0], len(rows)), n)
    assert len(best) == min(n, len(scores)) and (np.diff(best) > 0).all()
    assert sorted(popularity[best].tolist()) == sorted(scores)[-len(best) :]
