"""A diverse list is less alike than one by score, and never worse than it must be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from recsvc.domain.items import Item
from recsvc.domain.slates import Source
from recsvc.serving.candidates import Candidate
from recsvc.serving.reranking import Likeness, choose, n_to_consider

TAGS = ("home", "loan", "news", "guide")

items = st.lists(
    st.tuples(
        st.sampled_from([None, "saving", "travel", "cards"]), st.lists(st.sampled_from(TAGS), max_size=4)
    ),
    min_size=1,
    max_size=25,
)


def candidates(drawn: list[tuple[str | None, list[str]]]) -> list[Candidate]:
    return [
        Candidate(Item(f"i{n}", category=category, tags=tuple(tags)), 1 / (n + 1), Source.PERSONALISED, n)
        for n, (category, tags) in enumerate(drawn)
    ]


def likeness(one: Item, other: Item) -> float:
    """As the docstring of `Likeness` says it."""
    same_category = float(one.category is not None and one.category == other.category)
    union = set(one.tags) | set(other.tags)
    in_common = len(set(one.tags) & set(other.tags)) / len(union) if union else same_category
    return (same_category + in_common) / 2


@given(items)
def test_likeness_is_that_of_category_and_tags(drawn: list[tuple[str | None, list[str]]]) -> None:
    alike = [candidate.item for candidate in candidates(drawn)]
    measure = Likeness(alike)
    for row, one in enumerate(alike):
        assert [round(x, 5) for x in measure(row)] == [round(likeness(one, other), 5) for other in alike]


@given(items, st.integers(1, 30), st.floats(0, 1))
def test_a_slate_is_as_long_as_it_can_be_begins_with_the_best_and_repeats_nothing(
    drawn: list[tuple[str | None, list[str]]], limit: int, diversity: float
) -> None:
    given = candidates(drawn)
    chosen = choose(given, limit, diversity)
    assert len(chosen) == min(limit, len(given))
    assert len({candidate.item.item_id for candidate in chosen}) == len(chosen)
    assert chosen[0] is given[0]
    assert choose(given, limit, diversity) == chosen


@given(items, st.integers(1, 30))
def test_without_a_wish_for_diversity_the_order_is_that_of_the_scores(
    drawn: list[tuple[str | None, list[str]]], limit: int
) -> None:
    given = candidates(drawn)
    assert choose(given, limit, 0) == given[:limit]


def test_with_full_diversity_every_category_comes_before_any_comes_twice() -> None:
    given = candidates([("saving", ["home"])] * 5 + [("travel", ["news"])] * 5 + [("cards", ["loan"])] * 5)
    assert {one.item.category for one in choose(given, 3, 1)} == {"saving", "travel", "cards"}


def test_candidates_of_several_rungs_keep_the_order_of_the_rungs() -> None:
    low = Candidate(Item("low"), 1_000.0, Source.POPULAR, 1)
    high = Candidate(Item("high"), 0.1, Source.PERSONALISED, 0)
    assert choose([high, low], 2, 0.1)[0] is high


def test_more_is_looked_at_only_for_a_diverse_list() -> None:
    assert n_to_consider(10, 0) == 10
    assert n_to_consider(10, 0.1) > 10
    assert choose([], 10, 0.5) == []
