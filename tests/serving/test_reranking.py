"""A list answers to all of its concerns at once, and to none of them more than it must."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as with_changes
from numpy.typing import NDArray

from recsvc.bundles.bundle import History
from recsvc.domain.items import Item, ItemKind
from recsvc.domain.slates import SlateRequest, Source
from recsvc.policy_lists import ListsPolicy
from recsvc.serving.candidates import Candidate
from recsvc.serving.catalogue_view import CatalogueView, make_view
from recsvc.serving.customers import Subject
from recsvc.serving.past import NO_PAST, Past
from recsvc.serving.reranking import arrange, consider, fitting
from recsvc.serving.reranking.greedy import calibrated_rows, diverse_rows
from recsvc.serving.reranking.likeness import Likeness, first_of_its_kind
from recsvc.serving.reranking.mix import coded, divergence, mix_of
from recsvc.serving.reranking.pool import n_considered
from recsvc.serving.reranking.relevance import MOST_DISMISSED, relevance_of
from tests.serving.made_bundles import bundle_of_items

TAGS = ("home", "loan", "news", "guide")
PLAIN = ListsPolicy(calibration=0, most_of_a_category=1)

NO_VIEW = make_view((), None, revision=1)

drawn_items = st.lists(
    st.tuples(
        st.sampled_from([None, "saving", "travel", "cards"]), st.lists(st.sampled_from(TAGS), max_size=4)
    ),
    min_size=1,
    max_size=25,
)


def candidates(drawn: Sequence[tuple[str | None, Sequence[str]]]) -> list[Candidate]:
    return [
        Candidate(Item(f"i{n:02}", category=category, tags=tuple(tags)), 1 / (n + 1), Source.PERSONALISED, n)
        for n, (category, tags) in enumerate(drawn)
    ]


def of_categories(*categories: str | None) -> list[Candidate]:
    return candidates([(category, ()) for category in categories])


def subject(past: Past = NO_PAST) -> Subject:
    return Subject(
        customer_id="c1",
        locale="en",
        may_market=True,
        risk_limit=None,
        suitability_ends=None,
        segment=None,
        past=past,
        held_back=frozenset(),
        degraded=(),
    )


def arranged(
    considered: Sequence[Candidate],
    limit: int = 10,
    *,
    diversity: float = 0.0,
    lists: ListsPolicy = PLAIN,
    past: Past = NO_PAST,
    view: CatalogueView = NO_VIEW,
    categories: tuple[str, ...] = (),
) -> list[str]:
    request = SlateRequest(ItemKind.CONTENT, "c1", limit=limit, diversity=diversity, categories=categories)
    return [one.item.item_id for one in arrange(considered, request, subject(past), view, lists)]


def offer(item_id: str, **fields: Any) -> Item:
    return Item(item_id, kind=ItemKind.OFFER, **fields)


def ids(some: Sequence[Candidate]) -> list[str]:
    return [candidate.item.item_id for candidate in some]


@pytest.fixture(scope="module")
def golden() -> Mapping[str, Any]:
    beside = Path(__file__).parents[2].parent / "shared" / "golden"
    file = Path(os.environ.get("RECSVC_TEST_GOLDEN_DIR", beside)) / "cx.json"
    if not file.is_file():
        pytest.skip("no reference cases: set RECSVC_TEST_GOLDEN_DIR to their folder")
    return {case["id"]: case for case in json.loads(file.read_text("utf-8"))["cases"]}


def same_genre(genres: Sequence[str]) -> NDArray[np.float64]:
    return np.array([[float(one == other) for other in genres] for one in genres])


def test_the_reference_lists_of_marginal_relevance_are_met(golden: Mapping[str, Any]) -> None:
    case = golden["mmr"]
    names, given = list(case["inputs"]["rel"]), case["inputs"]
    relevance, alike = np.array(list(given["rel"].values())), same_genre(list(given["genre"].values()))
    for share, expected in case["expected"].items():
        found = diverse_rows(relevance, alike.__getitem__, float(share.removeprefix("lambda_")), given["k"])
        assert [names[row] for row in found] == expected


def test_the_reference_lists_of_calibration_are_met(golden: Mapping[str, Any]) -> None:
    case = golden["steck_calibration"]
    names, given = list(case["inputs"]["rel"]), case["inputs"]
    genres = list(given["genre"].values())
    codes, shares = coded(genres, given["p"])
    relevance = np.array(list(given["rel"].values()))
    expected = dict(case["expected"])
    assert divergence(given["p"], ["A"] * 3) == pytest.approx(expected.pop("kl_AAA"), abs=1e-9)
    assert divergence(given["p"], ["A", "B", "C"]) == pytest.approx(expected.pop("kl_ABC"), abs=1e-9)
    for strength, wanted in expected.items():
        weight = float(strength.removeprefix("lambda_"))
        found = calibrated_rows(relevance, codes, shares, weight, given["k"], given["alpha"])
        assert [names[row] for row in found] == wanted


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=12), st.integers(1, 6))
def test_calibration_alone_takes_whatever_brings_the_mix_closest(drawn: list[str], n: int) -> None:
    """The cost that is computed step by step, beside the divergence of whole lists."""
    mix = {"a": 0.5, "b": 0.3, "c": 0.2}
    codes, shares = coded(drawn, mix)
    chosen = calibrated_rows(np.zeros(len(drawn)), codes, shares, 1.0, n)
    for place, row in enumerate(chosen):
        before = [drawn[one] for one in chosen[:place]]
        open_rows = [one for one in range(len(drawn)) if one not in chosen[:place]]
        least = min(divergence(mix, [*before, drawn[one]]) for one in open_rows)
        assert divergence(mix, [*before, drawn[row]]) == pytest.approx(least)


def likeness(one: Item, other: Item) -> float:
    """As the docstring of `Likeness` says it."""
    same_category = float(one.category is not None and one.category == other.category)
    union = set(one.tags) | set(other.tags)
    in_common = len(set(one.tags) & set(other.tags)) / len(union) if union else same_category
    return (same_category + in_common) / 2


@given(drawn_items)
def test_likeness_is_that_of_category_and_tags(drawn: list[tuple[str | None, list[str]]]) -> None:
    alike = [candidate.item for candidate in candidates(drawn)]
    measure = Likeness(alike)
    for row, one in enumerate(alike):
        assert measure(row).tolist() == pytest.approx([likeness(one, other) for other in alike])


@given(drawn_items, st.integers(1, 30), st.floats(0, 1))
def test_a_list_is_as_long_as_it_can_be_begins_with_the_best_and_repeats_nothing(
    drawn: list[tuple[str | None, list[str]]], limit: int, diversity: float
) -> None:
    considered = candidates(drawn)
    chosen = arranged(considered, limit, diversity=diversity, lists=ListsPolicy())
    assert len(chosen) == len(set(chosen)) == min(limit, len(considered))
    assert chosen[0] == considered[0].item.item_id
    assert arranged(considered, limit, diversity=diversity, lists=ListsPolicy()) == chosen


@given(drawn_items, st.integers(1, 30))
def test_without_any_concern_the_order_is_that_of_the_scores(
    drawn: list[tuple[str | None, list[str]]], limit: int
) -> None:
    considered = candidates(drawn)
    assert arranged(considered, limit) == ids(considered[:limit])


def test_nothing_considered_is_an_empty_list() -> None:
    assert arranged([], diversity=0.5, lists=ListsPolicy(least_relevance=0.5)) == []


def test_with_full_diversity_every_category_comes_before_any_comes_twice() -> None:
    considered = candidates(
        [("saving", ["home"])] * 5 + [("travel", ["news"])] * 5 + [("cards", ["loan"])] * 5
    )
    assert arranged(considered, 3, diversity=1) == ["i00", "i05", "i10"]


def test_with_full_diversity_too_what_was_shown_or_is_like_something_dismissed_sinks() -> None:
    tags = (["home"], ["home"], ["news"], ["news"])
    considered = candidates([(one, tag) for one in ("saving", "travel") for tag in tags])
    assert arranged(considered, 2, diversity=1) == ["i00", "i06"]
    assert arranged(considered, 2, diversity=1, past=Past(shown={"i00": 1, "i06": 1})) == ["i01", "i07"]
    view = make_view([Item("no", category="saving", tags=("home",))], None, revision=1)
    assert arranged(considered, 2, diversity=1, past=Past(dismissed=("no",)), view=view) == ["i02", "i04"]


def test_equals_stand_in_the_order_in_which_they_came() -> None:
    considered = [with_changes(one, score=1.0) for one in of_categories(*["saving"] * 8)]
    for diversity in (0.0, 0.5, 1.0):
        assert arranged(considered, 5, diversity=diversity, lists=ListsPolicy()) == ids(considered[:5])


def test_a_lower_rung_stays_below_a_higher_one_unless_diversity_is_wished_for() -> None:
    high = of_categories(*["saving"] * 4)
    low = [
        with_changes(one, source=Source.POPULAR, score=1_000.0, item=replace(one.item, item_id=f"low{n}"))
        for n, one in enumerate(of_categories("travel", "cards"))
    ]
    shown = Past(shown={one.item.item_id: 3 for one in high})
    strict = ListsPolicy(calibration=0.9, most_of_a_category=0.4)
    assert arranged([*high, *low], 5, lists=strict, past=shown) == ["i00", "i01", "i02", "low0", "low1"]
    assert arranged([*high, *low], 5, diversity=1)[1].startswith("low")


class TestTheCap:
    HALF = ListsPolicy(calibration=0, most_of_a_category=0.5)

    def test_no_category_has_more_than_its_share(self) -> None:
        considered = of_categories(*["saving"] * 8, *["travel"] * 3, None, None)
        assert arranged(considered, 10, lists=self.HALF) == [
            *("i00", "i01", "i02", "i03", "i04"),
            *("i08", "i09", "i10", "i11", "i12"),
        ]

    def test_the_list_is_rather_filled_than_short(self) -> None:
        considered = of_categories(*["saving"] * 8, "travel")
        assert arranged(considered, 6, lists=self.HALF) == ["i00", "i01", "i02", "i03", "i04", "i08"]

    def test_it_does_not_hold_where_the_request_names_categories(self) -> None:
        considered = of_categories(*["saving"] * 8, *["travel"] * 3)
        found = arranged(considered, 6, lists=self.HALF, categories=("saving", "travel"))
        assert found == ids(considered[:6])

    def test_items_without_a_category_are_of_none(self) -> None:
        considered = of_categories(*[None] * 8)
        assert arranged(considered, 6, lists=self.HALF) == ids(considered[:6])

    def test_other_categories_are_looked_for_further_down(self) -> None:
        far = n_considered(4) + 30
        ranking = of_categories(*["saving"] * far, "travel", "cards", "travel")
        request = SlateRequest(ItemKind.CONTENT, "c1", limit=4)
        pool = consider(iter(ranking), request, self.HALF)
        assert pool.is_enough
        assert [one.item.category for one in pool.candidates[n_considered(4) :]] == ["travel", "cards"]
        assert not consider(iter(ranking[: n_considered(4)]), request, self.HALF).is_enough


class TestAKindOfOneCategory:
    """Its lists can be of nothing else: no further candidates are looked through for others."""

    LISTS = ListsPolicy(most_of_a_category=0.5)

    def n_looked_at(self, *catalogue: Item) -> int:
        view = make_view(catalogue, None, revision=1)
        lists = fitting(self.LISTS, ItemKind.CONTENT, view)
        request = SlateRequest(ItemKind.CONTENT, "c1", limit=4)
        ranking = iter(of_categories(*["saving"] * 100))
        consider(ranking, request, lists)
        return 100 - len(list(ranking))

    def test_no_further_candidates_are_looked_through(self) -> None:
        saving = Item("i", category="saving")
        assert self.n_looked_at(saving, offer("o", category="cards")) == n_considered(4)
        assert self.n_looked_at(saving, Item("j", category="travel")) == 100
        assert self.n_looked_at(saving, Item("j")) == 100

    def test_the_policy_holds_elsewhere(self) -> None:
        view = make_view([Item("i", category="saving"), Item("j", category="travel")], None, revision=1)
        assert fitting(self.LISTS, ItemKind.CONTENT, view) == self.LISTS


def test_how_many_are_considered_does_not_hang_on_the_wish_for_diversity() -> None:
    ranking = of_categories(*["saving", "travel", "cards", None] * 100)
    for diversity in (0.0, 0.1, 1.0):
        request = SlateRequest(ItemKind.CONTENT, "c1", limit=10, diversity=diversity)
        assert list(consider(iter(ranking), request, PLAIN).candidates) == ranking[:50]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Item("a", attributes={"series": "pensions"}), Item("b", attributes={"series": "pensions"})),
        (Item("a", attributes={"series": 1}), Item("b", attributes={"series": 1})),
        (Item("a", title={"en": "Same"}), Item("b", title={"en": "Same", "zh": "b"})),
        (offer("a", title={"en": "Same"}), offer("b", title={"en": "Same"})),
        (Item("a", url="https://x.example/1"), Item("b", url="https://x.example/1")),
    ],
)
def test_a_series_and_a_duplicate_count_once_and_the_best_of_them_stays(one: Item, other: Item) -> None:
    ranking = [Candidate(item, 1.0, Source.POPULAR, None) for item in (one, Item("between"), other)]
    assert ids(list(first_of_its_kind(ranking))) == ["a", "between"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Item("a", attributes={"series": "pensions"}), Item("b", attributes={"series": "rates"})),
        (Item("a", attributes={"series": None}), Item("b", attributes={"series": None})),
        (Item("a", attributes={"series": ""}), Item("b", attributes={"series": ""})),
        (Item("a", attributes={"series": 1}), Item("b", attributes={"series": True})),
        (Item("a", attributes={"series": 1}), Item("b", attributes={"series": 1.0})),
        (offer("a", url="https://x.example/offers"), offer("b", url="https://x.example/offers")),
        (Item("a", title={"en": "Gift"}), Item("b", title={"de": "Gift"})),
        (Item("a", title={"en": ""}), Item("b", title={"en": ""})),
        (Item("a", title={"series": "x"}), Item("b", attributes={"series": "x"})),
    ],
)
def test_what_only_looks_like_a_duplicate_is_none(one: Item, other: Item) -> None:
    ranking = [Candidate(item, 1.0, Source.POPULAR, None) for item in (one, other)]
    assert ids(list(first_of_its_kind(ranking))) == ["a", "b"]


class TestLeastRelevance:
    """Scores 10, 9, …, 0: their median is 5."""

    SCORED = tuple(with_changes(one, score=10.0 - n) for n, one in enumerate(of_categories(*[None] * 11)))
    LOWER = Candidate(Item("low"), 99.0, Source.POPULAR, None)

    @pytest.mark.parametrize(("least", "n"), [(0.0, 11), (0.2, 5), (0.6, 3), (1.0, 1)])
    def test_it_is_a_share_of_the_way_from_the_median_to_the_best(self, least: float, n: int) -> None:
        lists = msgspec.structs.replace(PLAIN, least_relevance=least)
        assert arranged(self.SCORED, 20, lists=lists) == ids(self.SCORED[:n])

    def test_it_holds_whatever_the_scale_of_the_scores(self) -> None:
        lists = msgspec.structs.replace(PLAIN, least_relevance=0.6)
        other = [with_changes(one, score=one.score / 1_000 - 7) for one in self.SCORED]
        assert arranged(other, 20, lists=lists) == ids(self.SCORED[:3])

    def test_nothing_follows_what_falls_short(self) -> None:
        lists = msgspec.structs.replace(PLAIN, least_relevance=0.2)
        assert "low" not in arranged([*self.SCORED, self.LOWER], 20, lists=lists)

    def test_lower_rungs_are_not_judged(self) -> None:
        lists = msgspec.structs.replace(PLAIN, least_relevance=1.0)
        popular = [with_changes(one, source=Source.POPULAR) for one in self.SCORED]
        assert arranged(popular, 20, lists=lists) == ids(popular)
        alike = [with_changes(one, score=1.0) for one in self.SCORED]
        assert arranged([*alike, self.LOWER], 20, lists=lists)[-1] == "low"


class TestRotation:
    FIFTY = tuple(of_categories(*[None] * 50))

    def place_of_the_best(self, times: int) -> int:
        relevance = relevance_of(self.FIFTY, 10, Past(shown={"i00": times}), NO_VIEW)
        return int((relevance > relevance[0]).sum())

    def test_the_best_sinks_by_one_and_a_half_lists_the_first_time_and_no_more_from_the_fourth(self) -> None:
        assert [self.place_of_the_best(times) for times in range(6)] == [0, 14, 25, 32, 32, 32]

    def test_what_was_shown_together_keeps_its_order(self) -> None:
        shown = {f"i{n:02}": 1 for n in range(10)}
        found = [one for one in arranged(self.FIFTY, 50, past=Past(shown=shown)) if one in shown]
        assert found == sorted(shown)


def test_items_like_a_dismissed_one_sink_and_others_of_its_category_do_not() -> None:
    dismissed = Item("no", category="travel", tags=("travel", "visa", "guide"))
    considered = candidates(
        [
            ("travel", ["travel", "visa", "news"]),  # Half of the tags.
            ("travel", ["travel", "hotel", "news"]),
            ("cards", ["travel", "visa", "guide"]),
            ("cards", ["fees"]),
        ]
    )
    view = make_view([dismissed], None, revision=1)
    assert arranged(considered, 4, past=Past(dismissed=("no",)), view=view) == ["i01", "i02", "i03", "i00"]
    assert arranged(considered, 4, past=Past(dismissed=("gone",)), view=view) == ids(considered)


def test_without_tags_a_dismissed_item_makes_its_series_sink_and_not_its_category() -> None:
    def article(item_id: str, series: str | None = None, *tags: str) -> Item:
        return Item(item_id, category="travel", tags=tags, attributes={"series": series})

    items = [article("a"), article("b", "visas"), article("c", None, "visa"), article("d")]
    considered = [Candidate(one, 1.0 / (n + 1), Source.PERSONALISED, n) for n, one in enumerate(items)]
    view = make_view([article("no", "visas"), article("tagged", None, "visa")], None, revision=1)
    assert arranged(considered, 4, past=Past(dismissed=("no",)), view=view) == ["a", "c", "d", "b"]
    assert arranged(considered, 4, past=Past(dismissed=("tagged",)), view=view) == ["a", "b", "d", "c"]


def test_of_many_dismissed_items_the_latest_count() -> None:
    no = Item("no", attributes={"series": "visas"})
    considered = [
        Candidate(replace(no, item_id="a"), 1.0, Source.POPULAR, None),
        Candidate(Item("b"), 0.5, Source.POPULAR, None),
    ]
    view = make_view([no], None, revision=1)
    others = tuple(f"x{n}" for n in range(MOST_DISMISSED - 1))
    assert arranged(considered, 2, past=Past(dismissed=("no", *others)), view=view) == ["b", "a"]
    assert arranged(considered, 2, past=Past(dismissed=("no", *others, "x")), view=view) == ["a", "b"]


class TestTheMix:
    CATALOGUE = tuple(
        Item(f"{category}{n}", category=category) for category in ("saving", "travel") for n in range(3)
    )
    VIEW = make_view((), bundle_of_items(CATALOGUE), revision=1)

    def past(self, strengths: Mapping[int, float], used: frozenset[str] = frozenset()) -> Past:
        rows = np.array(list(strengths), dtype=np.int32)
        return Past(History(rows, np.array(list(strengths.values()), dtype=np.float32)), used=used)

    def test_it_is_the_share_of_the_strengths(self) -> None:
        assert mix_of(self.past({0: 3, 1: 3, 4: 2}), self.VIEW, ItemKind.CONTENT) == {
            "saving": 0.75,
            "travel": 0.25,
        }

    def test_what_was_used_since_without_a_row_counts_like_the_mean(self) -> None:
        past = self.past({0: 1, 1: 3}, frozenset({"travel2", "unheard-of"}))
        assert mix_of(past, self.VIEW, ItemKind.CONTENT) == {
            "saving": pytest.approx(2 / 3),
            "travel": pytest.approx(1 / 3),
        }

    def test_other_kinds_and_items_that_are_gone_do_not_count(self) -> None:
        assert mix_of(self.past({0: 1}), self.VIEW, ItemKind.OFFER) == {}
        assert mix_of(self.past({77: 1}), self.VIEW, ItemKind.CONTENT) == {}
        assert mix_of(NO_PAST, self.VIEW, ItemKind.CONTENT) == {}

    def test_the_stronger_the_calibration_the_closer_the_list_is_to_it(self) -> None:
        past, considered = self.past({0: 1, 3: 1}), of_categories(*["saving"] * 8, *["travel"] * 8)
        by_id = {one.item.item_id: one.item.category for one in considered}

        def n_of_travel(strength: float) -> int:
            lists = msgspec.structs.replace(PLAIN, calibration=strength)
            found = arranged(considered, 6, lists=lists, past=past, view=self.VIEW)
            return sum(by_id[one] == "travel" for one in found)

        counts = [n_of_travel(strength) for strength in (0.0, 0.2, 0.5, 0.9)]
        assert counts == sorted(counts) and counts[0] == 0 and counts[-1] == 3

    def test_a_request_that_names_categories_is_not_calibrated(self) -> None:
        lists = msgspec.structs.replace(PLAIN, calibration=0.9)
        considered = of_categories(*["saving"] * 8, *["travel"] * 8)
        found = arranged(
            considered, 6, lists=lists, past=self.past({3: 1}), view=self.VIEW, categories=("saving",)
        )
        assert found == ids(considered[:6])


@given(st.integers(1, 100), st.sampled_from([0.1, 0.3, 0.5, 0.6, 0.7, 1.0]))
def test_a_share_of_a_list_is_rounded_up(limit: int, share: float) -> None:
    lists = msgspec.structs.replace(PLAIN, most_of_a_category=share)
    considered = of_categories(*["saving"] * limit, *[None] * limit)
    found = arranged(considered, limit, lists=lists)
    n_of_saving = sum(int(one[1:]) < limit for one in found)
    assert n_of_saving == ceil(round(share * limit, 9))
