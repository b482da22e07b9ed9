"""A reason says what carried a score, in the customer's language, and nothing that may not be said."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsvc.bundles.bundle import History
from recsvc.bundles.id_table import id_arrays
from recsvc.bundles.item_pages import item_arrays
from recsvc.bundles.manifest import LiveFacts, PartFacts
from recsvc.domain.items import Item, ItemKind
from recsvc.domain.slates import Reason, Source
from recsvc.live.scoring import PARTS, TASTE
from recsvc.live.state import LiveState
from recsvc.serving.candidate import Candidate, Shares
from recsvc.serving.catalogue_view import CatalogueView, make_view
from recsvc.serving.cold_items import ColdItems
from recsvc.serving.customers import Subject
from recsvc.serving.drivers import MAX_NAMED
from recsvc.serving.grounds import NEW_FOR
from recsvc.serving.live_shares import shares_of
from recsvc.serving.past import NO_PAST, Past
from recsvc.serving.reason_texts import TEXTS, text_of
from recsvc.serving.reasons import explain
from recsvc.serving.scoring import make_scorer
from recsvc.serving.verification import Model

from .made_bundles import bundle_of

NOW = datetime(2026, 3, 1, tzinfo=UTC)
FRESH = Item("art", category="money", published_at=NOW)
IDS = ["art", "bonds", "cash", "debt"]
SHARES = {
    "fits_your_history": Shares(2.0, 0.3, 0.5, 1.0, 0.1),
    "more_of_what_you_read": Shares(0.3, 2.0, 0.5, 1.0, 0.1),
    "read_by_people_like_you": Shares(0.5, 0.3, 2.0, 1.0, 0.1),
    "popular": Shares(0.5, 0.3, 0.2, 1.0, 0.9),
    "new": Shares(0.5, 0.3, 0.2, 1.0, 1.9),
    "more_for_you": Shares(-0.5, -0.3, -0.2, -1.0, 0.0),
}
NAMES_HISTORY = {"because_you_read", "fits_your_history", "more_of_what_you_read", "read_by_people_like_you"}


def golden_case() -> dict[str, Any]:
    beside = Path(__file__).parents[2].parent / "shared" / "golden"
    file = Path(os.environ.get("RECSVC_TEST_GOLDEN_DIR", beside)) / "cx.json"
    if not file.is_file():
        pytest.skip(f"there is no {file}: set RECSVC_TEST_GOLDEN_DIR")
    (case,) = [one for one in json.loads(file.read_text())["cases"] if one["id"] == "als_explain"]
    return case


def a_model(factors: Any, *, ridge: float = 0.1, confidence: float = 1.0, popularity: float = 0.0) -> Model:
    """ALS of these item factors over `IDS`; with a weight of popularity, the first item the most popular."""
    factors = np.array(factors, dtype=np.float32)
    parts = [PartFacts("als", 1 - popularity, {"confidence": confidence, "regularization": ridge})]
    parts += [PartFacts("popularity", popularity, {})] if popularity else []
    ids = IDS[: len(factors)]
    items = [Item(one, title={"en": one.title(), "zh": f"《{one}》"}) for one in ids]
    arrays = {
        **id_arrays("item_ids", ids),
        **item_arrays(items),
        "popularity": np.array([1000.0, 1, 1, 1], dtype=np.float32)[: len(factors)],
        "als_item_factors": factors,
        "als_gram": factors.T @ factors + ridge * np.eye(factors.shape[1], dtype=np.float32),
    }
    bundle = bundle_of(tuple(parts), arrays)
    return Model(bundle, make_scorer(bundle))


def a_subject(history: dict[int, float] | None = None, **facts: Any) -> Subject:
    rows = np.array(list(history or {}), dtype=np.int32)
    past = Past(History(rows, np.array(list((history or {}).values()), dtype=np.float32)))
    subject = Subject("c1", "en", False, None, None, None, past if history else NO_PAST, frozenset(), ())
    return replace(subject, **facts)


def reasons(
    chosen: list[Candidate],
    subject: Subject,
    model: Model | None = None,
    *,
    view: CatalogueView | None = None,
    locale: str = "en",
    in_detail: bool = True,
    state: LiveState | None = None,
) -> list[Reason]:
    view = view or make_view((), model.bundle if model else None, revision=1)
    return explain(chosen, subject, model, view, locale=locale, in_detail=in_detail, now=NOW, state=state)


def scored(model: Model, subject: Subject, row: int, shares: Shares | None = None) -> Candidate:
    score = float(model.scorer.score(subject.past.history)[row])
    return Candidate(Item(IDS[row]), score, Source.PERSONALISED, row, shares)


# --- the reference --------------------------------------------------------------------------------


def test_the_parts_of_an_als_score_are_those_of_the_reference() -> None:
    """Its confidences are whole ones, not additions to 1: strengths under a confidence of 1 here."""
    case = golden_case()
    given, expected = case["inputs"], case["expected"]
    model = a_model(given["item_factors"], ridge=given["reg"])
    rows = np.array([int(row) for row in given["user_history"]], dtype=np.int32)
    history = History(rows, np.array(list(given["user_history"].values()), dtype=np.float32))
    asked = np.array([given["item"]], dtype=np.int32)
    (own,) = model.scorer.account(history).of(asked).own
    within = {"abs": case["tolerance"]}
    assert dict(zip(map(str, rows), own, strict=True)) == pytest.approx(
        expected["closed_form_contributions"], **within
    )
    assert [list(pair) for pair in zip(rows, own, strict=True)] == [
        pytest.approx(pair, **within) for pair in expected["contributions"]
    ]
    assert own.sum() == pytest.approx(expected["closed_form_score"], **within)
    assert model.scorer.score(history)[given["item"]] == pytest.approx(expected["total_score"], **within)


# --- what carried it most -------------------------------------------------------------------------


def of_bonds_of_the_same_category(candidate: Candidate) -> list[Reason]:
    """The reason to somebody who looked at bonds, which are of the category of the fresh item."""
    model = a_model([[1, 0], [0, 1]])
    view = make_view([Item("bonds", category="money")], model.bundle, revision=1)
    subject, state = a_subject({1: 1.0}, live_id="c1"), read_by("c1", "bonds")
    return reasons([candidate], subject, model, view=view, state=state, in_detail=False)


def read_by(customer_id: str, *item_ids: str) -> LiveState:
    state = LiveState((0.25, 7.0))
    for item_id in item_ids:
        state.record(customer_id, item_id, 1.0)
    return state


@pytest.mark.parametrize("code", SHARES)
def test_what_carried_a_score_most_is_its_reason(code: str) -> None:
    candidate = Candidate(FRESH, 1.0, Source.PERSONALISED, 0, SHARES[code])
    (reason,) = of_bonds_of_the_same_category(candidate)
    assert (reason.code, reason.because) == (code, ())


@pytest.mark.parametrize("order", list(permutations([3.0, 2.0, 1.0, 0.5, 0.1]))[::7])
def test_no_share_is_preferred_to_a_greater_one(order: tuple[float, ...]) -> None:
    candidate = Candidate(FRESH, 1.0, Source.FOLDED_IN, 0, Shares(*order))
    codes = ["fits_your_history", "more_of_what_you_read", "read_by_people_like_you", "popular", "new"]
    (reason,) = of_bonds_of_the_same_category(candidate)
    assert reason.code == codes[int(np.argmax(order))]


@pytest.mark.parametrize(
    ("published_at", "is_new"),
    [
        (NOW, True),
        (NOW - NEW_FOR, True),
        (NOW - NEW_FOR - timedelta(seconds=1), False),
        (NOW + timedelta(seconds=1), False),
        (None, False),
    ],
    ids=["now", "young", "old", "to come", "of no date"],
)
def test_only_what_is_known_to_be_young_is_called_new(published_at: datetime | None, is_new: bool) -> None:
    item = Item("art", published_at=published_at)
    of_shares = Candidate(item, 1.0, Source.PERSONALISED, None, SHARES["new"])
    of_catalogue = Candidate(item, 0.0, Source.EDITORIAL, None)
    model = a_model([[1, 0], [0, 1]])
    given = [one.code for one in reasons([of_shares, of_catalogue], a_subject({1: 1.0}), model)]
    assert given == (["new", "new"] if is_new else ["popular", "more_for_you"])


def counted(counts: dict[str, float], **more: Any) -> tuple[Model, CatalogueView]:
    """A model that counted these items by their interactions, and a view of them and more."""
    model = a_model(np.eye(len(counts)))
    popularity = np.array(list(counts.values()), dtype=np.float32)
    bundle = replace(model.bundle, arrays={**model.bundle.arrays, "popularity": popularity})
    return replace(model, bundle=bundle), make_view([Item(one) for one in more], bundle, revision=1)


def a_state(meetings: dict[str, int], at: float = 1.0) -> LiveState:
    state = LiveState((0.25, 7.0))
    for item_id, n in meetings.items():
        for reader in range(n):
            state.record(f"r{reader}", item_id, at)
    return state


@pytest.mark.parametrize("state", [None, a_state({"bonds": 1})], ids=["trained", "live"])
@pytest.mark.parametrize("source", [Source.PERSONALISED, Source.POPULAR, Source.SEGMENT_POPULAR])
def test_what_nobody_ever_met_is_not_called_popular(source: Source, state: LiveState | None) -> None:
    model, view = counted({"art": 0.0, "bonds": 3.0}, unheard_of=True)
    shares = SHARES["popular"] if source is Source.PERSONALISED else None
    chosen = [
        Candidate(Item("art"), 1.0, source, 0, shares),
        Candidate(Item("unheard_of"), 1.0, source, None, shares),
    ]
    for subject in (a_subject(), a_subject({1: 1.0})):
        for reason in reasons(chosen, subject, model, view=view, state=state):
            assert reason.code not in ("popular", "popular_with_people_like_you")


def test_on_the_popular_rung_only_the_upper_half_is_called_popular() -> None:
    model, view = counted({"art": 9.0, "bonds": 8.0, "cash": 2.0, "debt": 1.0})
    chosen = [Candidate(Item(one), 1.0, Source.POPULAR, row) for row, one in enumerate(IDS)]
    trained = [one.code for one in reasons(chosen, a_subject(), model, view=view)]
    assert trained == ["popular", "popular", "more_for_you", "more_for_you"]
    # What is live counts, as far as there is anything: of cash and debt there is.
    state = a_state({"cash": 5, "debt": 2})
    live = [one.code for one in reasons(chosen, a_subject(), model, view=view, state=state)]
    assert live == ["more_for_you", "more_for_you", "popular", "popular"]
    state = a_state({"cash": 5, "debt": 2, "bonds": 1, "art": 1})
    live = [one.code for one in reasons(chosen, a_subject(), model, view=view, state=state)]
    assert live == ["more_for_you", "more_for_you", "popular", "popular"]


def test_offers_are_held_against_offers_alone() -> None:
    model, view = counted({"art": 900.0, "bonds": 800.0, "cash": 2.0, "debt": 1.0})
    items = [Item(one, kind=ItemKind.OFFER if one in ("cash", "debt") else ItemKind.CONTENT) for one in IDS]
    view = make_view(items, model.bundle, revision=1)
    chosen = [Candidate(item, 1.0, Source.POPULAR, row) for row, item in enumerate(items)]
    codes = [one.code for one in reasons(chosen, a_subject(), model, view=view)]
    assert codes == ["popular", "more_for_you"] * 2


def test_in_a_segment_only_the_upper_half_is_called_popular_there() -> None:
    model, _ = counted({"art": 1.0, "bonds": 1.0, "cash": 1.0, "debt": 9.0})
    manifest = replace(model.bundle.manifest, segments=("young",))
    of_segment = np.array([[4.0, 3.0, 2.0, 1.0]], dtype=np.float32)
    bundle = replace(
        model.bundle, manifest=manifest, arrays={**model.bundle.arrays, "segment_popularity": of_segment}
    )
    chosen = [Candidate(Item(one), 1.0, Source.SEGMENT_POPULAR, row) for row, one in enumerate(IDS)]
    codes = [one.code for one in reasons(chosen, a_subject(segment="young"), replace(model, bundle=bundle))]
    assert codes == ["popular_with_people_like_you"] * 2 + ["more_for_you", "popular"]


@pytest.mark.parametrize("in_detail", [False, True])
@pytest.mark.parametrize("source", list(Source))
@pytest.mark.parametrize("kind", list(ItemKind))
@pytest.mark.parametrize("shares", [None, *SHARES.values()], ids=["none", *SHARES])
def test_of_somebody_unknown_no_history_is_named_and_nobody_like_them(
    in_detail: bool, source: Source, kind: ItemKind, shares: Shares | None
) -> None:
    state = LiveState((0.25, 7.0))
    for customer in ("c1", "c2"):
        state.record(customer, "bonds", 1.0)
    state.record("c2", "art", 2.0)
    candidate = Candidate(Item("art", kind=kind), 1.0, source, 0, shares)
    model = a_model([[1, 0], [0.9, 0.1]])
    (reason,) = reasons([candidate], a_subject(), model, in_detail=in_detail, state=state)
    assert reason.because == ()
    assert reason.code not in NAMES_HISTORY | {"popular_with_people_like_you"}


def test_what_a_model_says_to_everybody_fits_nobody_in_particular() -> None:
    """The first item owes its score to its popularity, which is in the model; the second does not."""
    model = a_model([[0.1, 1], [1, 0.1], [1, 0], [0, 1]], popularity=0.7)
    subject = a_subject({2: 1.0})
    for in_detail in (False, True):
        chosen = [scored(model, subject, row) for row in (0, 1)]
        popular, own = reasons(chosen, subject, model, in_detail=in_detail)
        assert popular.code == "popular"
        assert own.code == ("because_you_read" if in_detail else "fits_your_history")


# --- drivers --------------------------------------------------------------------------------------


def test_what_spoke_against_an_item_is_never_named() -> None:
    model = a_model([[1, 0.2], [0.9, 0.3], [0.7, -0.9], [-0.8, 0.1]])
    subject = a_subject({1: 1.0, 3: 2.0})
    (own,) = model.scorer.account(subject.past.history).of(np.array([0], dtype=np.int32)).own
    assert own[0] > 0 > own[1]
    (reason,) = reasons([scored(model, subject, 0, SHARES["fits_your_history"])], subject, model)
    assert reason == Reason("because_you_read", "Because you looked at “Bonds”", ("bonds",))


def test_nothing_is_named_that_the_score_is_no_lower_without() -> None:
    """What is left of a history takes over the part of what is gone, and more: the ridge shares it out."""
    rng = np.random.default_rng(5)
    n_named = n_kept_back = 0
    for _ in range(300):
        model = a_model(rng.normal(size=(4, 3)), ridge=0.05, confidence=8.0)
        subject = a_subject({row: float(rng.uniform(0.5, 2)) for row in (1, 2, 3)})
        history = subject.past.history
        account = model.scorer.account(history)
        (own,) = account.of(np.array([0], dtype=np.int32)).own
        (reason,) = reasons([scored(model, subject, 0, SHARES["fits_your_history"])], subject, model)
        positive = {IDS[row] for row, part in zip(history.item_rows, own, strict=True) if part > 0}
        n_kept_back += bool(positive - set(reason.because))
        if reason.because:
            assert set(reason.because) <= positive and len(reason.because) <= MAX_NAMED
            left = ~np.isin(history.item_rows, [IDS.index(one) for one in reason.because])
            if left.any():
                n_named += 1
                after = model.scorer.score(History(history.item_rows[left], history.strengths[left]))
                assert after[0] < model.scorer.score(history)[0]
        else:
            assert reason.code == "fits_your_history"
    assert n_named > 100 and n_kept_back > 10


def blended(factors: Any, *, trained: float, taste: float) -> Model:
    """A model whose bundle says how much it counts beside a taste."""
    model = a_model(factors)
    live = LiveFacts(
        ItemKind.CONTENT, 0.25, 7.0, dict.fromkeys(PARTS, 0.0) | {"taste": taste}, trained, 0, {}
    )
    manifest = replace(model.bundle.manifest, live=live)
    return replace(model, bundle=replace(model.bundle, manifest=manifest))


@pytest.mark.parametrize(("taste", "named"), [(0.0, ("bonds",)), (5.0, ())])
def test_nothing_is_named_without_which_the_blended_score_would_rise(
    taste: float, named: tuple[str, ...]
) -> None:
    """The model goes by bonds. Without them more of what was met lately is of art's own category."""
    model = blended([[1, 0], [0.9, 0], [0, 1], [0.3, 0.2]], trained=0.1, taste=taste)
    items = [Item(one, category="money" if one == "bonds" else "leisure") for one in IDS]
    view = make_view(items, model.bundle, revision=1)
    subject = a_subject({1: 1.0, 2: 1.0}, live_id="c1")
    chosen = Candidate(items[0], 1.0, Source.PERSONALISED, 0, SHARES["fits_your_history"])
    (reason,) = reasons([chosen], subject, model, view=view, state=read_by("c1", "bonds", "cash"))
    assert reason.because == named


@pytest.mark.parametrize(("bonds", "named"), [([0.9, 0], ("bonds",)), ([-0.9, 0], ())])
def test_nor_is_what_is_shared_with_readers_alike_where_the_model_holds_it_against_the_item(
    bonds: list[float], named: tuple[str, ...]
) -> None:
    model = blended([[1, 0], bonds, [0, 1], [0.3, 0.2]], trained=0.5, taste=0.0)
    state = read_by("c1", "bonds")
    for item_id in ("bonds", "art"):
        state.record("twin", item_id, 2.0)
    chosen = Candidate(Item("art"), 1.0, Source.PERSONALISED, 0, SHARES["read_by_people_like_you"])
    (reason,) = reasons([chosen], a_subject({1: 1.0, 3: 0.1}, live_id="c1"), model, state=state)
    assert (reason.code, reason.because) == ("read_by_people_like_you", named)


def test_a_taste_is_told_by_what_was_met_lately_of_the_category() -> None:
    model = blended([[1, 0], [0.9, 0.1], [0.5, 0.2], [0, 1]], trained=0.5, taste=1.0)
    items = [Item(one, category="leisure" if one == "debt" else "money") for one in IDS]
    view = make_view(items, model.bundle, revision=1)
    subject = a_subject({1: 1.0, 2: 1.0, 3: 1.0}, live_id="c1")
    state = read_by("c1", "debt", "cash", "bonds")
    chosen = Candidate(items[0], 1.0, Source.PERSONALISED, 0, SHARES["more_of_what_you_read"])
    (reason,) = reasons([chosen], subject, model, view=view, state=state)
    text = "From a category that you looked at"
    assert reason == Reason("more_of_what_you_read", text, ("bonds", "cash"))


@pytest.mark.parametrize("category", [None, "leisure"])
def test_nobody_is_told_of_a_category_that_they_met_nothing_of_or_turned_down(category: str | None) -> None:
    """The state still holds debt, of the category of leisure; the past holds it no more."""
    model = blended([[1, 0], [0.9, 0.1], [0.5, 0.2], [0, 1]], trained=0.5, taste=1.0)
    view = make_view([Item("debt", category="leisure")], model.bundle, revision=1)
    chosen = Candidate(
        Item("art", category=category), 1.0, Source.PERSONALISED, 0, SHARES["more_of_what_you_read"]
    )
    subject, state = a_subject({1: 1.0}, live_id="c1"), read_by("c1", "debt", "bonds")
    (reason,) = reasons([chosen], subject, model, view=view, state=state)
    assert reason.code == "popular"


def test_of_what_the_model_cannot_place_it_does_not_say_that_it_fits() -> None:
    model, shares = a_model([[1, 0], [0.9, 0.1]]), Shares(2.0, 0.0, 0.0, 1.0, 0.0)
    chosen = [
        Candidate(Item(one), 1.0, Source.PERSONALISED, row, shares) for one, row in (("art", 0), ("x", None))
    ]
    codes = [one.code for one in reasons(chosen, a_subject({1: 1.0}), model, in_detail=False)]
    assert codes == ["fits_your_history", "more_for_you"]


def test_what_a_taste_adds_is_no_share_of_the_model() -> None:
    weighted = np.zeros((2, len(PARTS)))
    weighted[0, TASTE] = 1.0
    first, second = shares_of(weighted, np.array([0.5, 0.3]), np.zeros(2))
    assert (first.taste, first.trained) == pytest.approx((0.5, 0.1))
    assert (second.taste, second.trained) == pytest.approx((-0.5, -0.1))


@pytest.mark.parametrize("title", [{}, {"en": ""}, {"en": "  "}])
def test_a_missing_title_leaves_no_empty_quotes(title: dict[str, str]) -> None:
    model = a_model([[1, 0], [0.9, 0.1]])
    view = make_view([Item("bonds", title=title)], model.bundle, revision=1)
    subject = a_subject({1: 1.0})
    (reason,) = reasons([scored(model, subject, 0)], subject, model, view=view)
    assert reason == Reason("fits_your_history", "Fits what you looked at", ("bonds",))


def test_an_item_without_a_row_says_because_of_what_it_is_there() -> None:
    model = a_model([[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9]])
    new = Item("just-in")
    cold = ColdItems((Item("other"), new), {"als": np.array([[0, 1], [1, 0.05]], dtype=np.float32)})
    view = make_view([new], model.bundle, revision=1)
    view = replace(view, cold={**view.cold, ItemKind.CONTENT: cold})
    subject = a_subject({1: 1.0, 3: 1.0})
    factors = cold.factors_of("just-in")
    assert factors is not None
    carried = model.scorer.account(subject.past.history).of_new(factors)
    no_rows = np.zeros(0, dtype=np.int32)
    _, (score,) = model.scorer.score_with_new(subject.past.history, no_rows, factors)
    assert carried.own.sum() == pytest.approx(score, rel=1e-4)
    (reason,) = reasons([Candidate(new, score, Source.PERSONALISED, None)], subject, model, view=view)
    assert (reason.code, reason.because[0]) == ("because_you_read", "bonds")


def test_readers_alike_are_alike_by_what_was_read_by_both() -> None:
    state = LiveState((0.25, 7.0))
    for customer, item in (
        *[("c1", one) for one in ("bonds", "cash", "secret")],
        *[("twin", one) for one in ("bonds", "secret", "art")],
        *[("other", one) for one in ("cash", "debt")],
    ):
        state.record(customer, item, 1.0)
    model = a_model([[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9]])
    subject = a_subject({1: 1.0, 2: 1.0}, live_id="c1")
    chosen = [
        Candidate(Item(one), 1.0, Source.PERSONALISED, None, SHARES["read_by_people_like_you"])
        for one in ("art", "debt", "nobody-read-it")
    ]
    found = reasons(chosen, subject, model, state=state)
    assert {one.code for one in found} == {"read_by_people_like_you"}
    # What may not be named, such as what was turned down since, is not.
    assert [one.because for one in found] == [("bonds",), ("cash",), ()]
    nobody = replace(subject, live_id=None)
    assert not any(one.because for one in reasons(chosen, nobody, model, state=state))


# --- texts ----------------------------------------------------------------------------------------


def test_every_code_has_a_text_in_every_language() -> None:
    assert {code: set(texts) for code, texts in TEXTS.items()} == {code: {"en", "zh"} for code in TEXTS}
    for code in TEXTS:
        english, chinese = (text_of(code, locale, "{Title}") for locale in ("en", "zh"))
        assert english.isascii() or "“{Title}”" in english
        assert any("\u4e00" <= sign <= "\u9fff" for sign in chinese)
        assert ("{Title}" in english) == ("{Title}" in chinese) == (code == "because_you_read")


def test_every_code_that_is_given_has_a_text() -> None:
    given = {"because_you_read", "popular_with_people_like_you", "our_pick", *SHARES}
    assert set(TEXTS) == given


@pytest.mark.parametrize(
    ("locale", "text"),
    [
        ("en", "Because you looked at “Bonds”"),
        ("zh", "因为您看过“《bonds》”"),
        ("zh-HK", "因为您看过“《bonds》”"),
        ("xx", "Because you looked at “Bonds”"),
    ],
)
def test_a_locale_that_nobody_has_falls_back_to_english(locale: str, text: str) -> None:
    model = a_model([[1, 0], [0.9, 0.1]])
    subject = a_subject({1: 1.0})
    (reason,) = reasons([scored(model, subject, 0)], subject, model, locale=locale)
    assert reason.text == text
