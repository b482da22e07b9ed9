"""Places after boosts and buries, and pins among the rest: against the plainest way to work them out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsvc.domain.items import Item
from recsvc.domain.merchandising import NO_RULES_ON, MerchandisingRule, RuleAction, RulesOn
from recsvc.domain.slates import AppliedRule, Source
from recsvc.serving.candidate import Candidate
from recsvc.serving.merchandising import MAX_LOOKED_AT, as_ranked, ruled, source_of

NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


def rule(action: str, rule_id: str = "r", **fields: Any) -> MerchandisingRule:
    return MerchandisingRule(rule_id, RuleAction(action), NOW, NOW + timedelta(hours=1), **fields)


def ranking(n: int, categories: str = "x") -> list[Candidate]:
    """Items i1, i2, … by falling score, of the categories in turn; the lower half stands on a lower rung."""
    return [
        Candidate(
            Item(f"i{p}", category=categories[(p - 1) % len(categories)]),
            1 / p,
            Source.PERSONALISED if p <= n / 2 else Source.POPULAR,
            p,
        )
        for p in range(1, n + 1)
    ]


def whole(candidates: Sequence[Candidate], *rules: MerchandisingRule) -> list[Candidate]:
    (only,) = ruled([iter(candidates)], RulesOn(rules))
    return list(only)


def ids(candidates: Sequence[Candidate]) -> list[str]:
    return [candidate.item.item_id for candidate in candidates]


def test_a_boost_by_two_lifts_an_item_to_half_its_place() -> None:
    found = whole(ranking(20), rule("boost", item_id="i20"))
    assert ids(found)[:11] == [*(f"i{p}" for p in range(1, 10)), "i20", "i10"]


def test_a_bury_by_half_sinks_an_item_to_twice_its_place() -> None:
    found = whole(ranking(20), rule("bury", item_id="i3"))
    assert ids(found)[:7] == ["i1", "i2", "i4", "i5", "i6", "i3", "i7"]


def test_the_first_stays_first_under_a_boost_and_the_last_stays_last_under_a_bury() -> None:
    found = whole(ranking(9), rule("boost", "a", item_id="i1"), rule("bury", "b", item_id="i9"))
    assert ids(found) == ids(ranking(9))


def test_a_stronger_boost_never_stands_lower_and_a_stronger_bury_never_higher() -> None:
    places = [
        ids(whole(ranking(40), rule(action, item_id="i20", factor=factor))).index("i20") + 1
        for action, factor in [
            *(("bury", factor) for factor in (0.01, 0.1, 0.5, 0.9)),
            *(("boost", factor) for factor in (1.1, 2.0, 4.0, 10.0)),
        ]
    ]
    assert places == [40, 40, 40, 22, 19, 10, 5, 2]


def test_a_category_moves_as_its_items_do_and_keeps_its_order() -> None:
    found = ids(whole(ranking(12, "xy"), rule("boost", category="y", factor=10.0)))
    assert found == ["i2", "i4", "i6", "i8", "i10", "i1", "i12", "i3", "i5", "i7", "i9", "i11"]


def test_what_was_moved_has_the_score_and_the_rung_of_its_place_and_remembers_its_own() -> None:
    plain = ranking(20)
    found = whole(plain, rule("boost", item_id="i20"))
    moved = found[9]
    assert (moved.score, moved.source) == (plain[9].score, Source.PERSONALISED)
    assert as_ranked(moved) == plain[19]
    assert moved.rules == (AppliedRule("r", RuleAction.BOOST),)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert [one for one in found if one.item.item_id != "i20"] == plain[:19]


def test_a_list_without_a_boost_or_a_bury_is_passed_on_as_it_is() -> None:
    rankings = [iter(ranking(3)), iter(ranking(5))]
    for rules in (NO_RULES_ON, RulesOn((rule("pin", item_id="i1"), rule("block", "b", item_id="i2")))):
        assert list(ruled(iter(rankings), rules)) == rankings


def test_the_look_goes_no_further_down_than_a_boost_could_lift_from() -> None:
    looked_at = 0

    def counted() -> Iterator[Candidate]:
        nonlocal looked_at
        for candidate in ranking(1_000):
            looked_at += 1
            yield candidate

    (found,) = ruled([counted()], RulesOn((rule("boost", item_id="i500"),)))
    assert len(list(islice(found, 10))) == 10
    assert looked_at == 21


def test_of_a_shortlist_only_what_is_certain_comes() -> None:
    """What stands further down the whole ranking may be lifted into the places after."""
    everything = ranking(100)
    boost = RulesOn((rule("boost", item_id="i60", factor=4.0),))
    short, full = (list(one) for one in ruled([iter(everything[:50]), iter(everything)], boost))
    assert ids(short) == [f"i{p}" for p in range(1, 13)]
    assert ids(full)[:16] == [*(f"i{p}" for p in range(1, 15)), "i60", "i15"]
    assert sorted(ids(full)) == sorted(ids(everything))


def test_far_down_nothing_is_moved_and_nothing_is_lost() -> None:
    far = MAX_LOOKED_AT + 500
    found = ids(whole(ranking(far), rule("bury", category="x", factor=0.01)))
    assert found == ids(ranking(far))
    lifted = ids(whole(ranking(far), rule("boost", item_id=f"i{far}")))
    assert lifted == ids(ranking(far))


@settings(deadline=None, max_examples=200)
@given(
    n=st.integers(1, 60),
    factors=st.dictionaries(st.integers(1, 60), st.sampled_from([0.05, 0.3, 0.5, 1.5, 2.0, 7.0]), max_size=6),
    shortlist=st.integers(1, 30),
)
def test_the_order_is_that_of_place_over_factor_however_it_is_found(
    n: int, factors: dict[int, float], shortlist: int
) -> None:
    rules = RulesOn(
        tuple(
            rule("boost" if factor > 1 else "bury", f"r{p}", item_id=f"i{p}", factor=factor)
            for p, factor in factors.items()
        )
    )
    plain = ranking(n)
    expected = sorted(range(1, n + 1), key=lambda p: (p / factors.get(p, 1), -factors.get(p, 1)))
    *short, full = (list(one) for one in ruled([iter(plain[:shortlist]), iter(plain)], rules))
    assert ids(full) == [f"i{p}" for p in expected]
    for beginning in short:
        assert beginning == full[: len(beginning)]
    for one, p in zip(full, expected, strict=True):
        place = min(math.ceil(p / factors.get(p, 1)), n)
        assert one.score == pytest.approx(1 / place)


def test_the_rung_that_answered_is_the_highest_on_the_list() -> None:
    assert source_of(ranking(4)[::-1]) is Source.PERSONALISED
    assert source_of(ranking(4)[2:]) is Source.POPULAR
    assert source_of([]) is Source.EDITORIAL
