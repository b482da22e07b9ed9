"""What a rule may say, and when and for what it holds."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from recsvc.domain.items import Channel, Item, ItemKind
from recsvc.domain.merchandising import NO_RULES_ON, MerchandisingRule, RuleAction, RuleBook, RulesOn

NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
EVERY_ACTION = pytest.mark.parametrize("action", list(RuleAction))


def rule(action: str = "boost", rule_id: str = "r1", **fields: Any) -> MerchandisingRule:
    """A rule about item a, on for the hour after NOW, but for what is given."""
    target = {} if "item_id" in fields or "category" in fields else {"item_id": "a"}
    times = {"starts_at": NOW, "ends_at": NOW + HOUR}
    return MerchandisingRule(rule_id, RuleAction(action), **{**times, **target, **fields})


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("boost", {"rule_id": "a b"}, "rule_id must be 1 to 256 characters out of A-Z a-z 0-9 _ . : -"),
    ("boost", {"item_id": "a b"}, "item_id must be 1 to 256 characters out of A-Z a-z 0-9 _ . : -"),
    ("block", {"item_id": None}, "a rule names an item or a category: give category or item_id"),
    ("bury", {"item_id": "a", "category": "cards"}, "a rule names an item_id or a category and not both"),
    ("pin", {"category": "cards"}, "a pin names an item_id and no category"),
    ("pin", {"item_id": "a", "category": "cards"}, "a pin names an item_id and no category"),
    ("boost", {"ends_at": NOW}, "starts_at must be before ends_at"),
    ("boost", {"starts_at": NOW.replace(tzinfo=None)}, "starts_at must carry an offset from UTC, "),
    ("boost", {"ends_at": NOW.replace(tzinfo=None)}, "ends_at must carry an offset from UTC, "),
    ("boost", {"factor": 1.0}, "of a boost, factor must be above 1 and at most 10"),
    ("boost", {"factor": 10.1}, "of a boost, factor must be above 1 and at most 10"),
    ("boost", {"factor": float("nan")}, "of a boost, factor must be above 1 and at most 10"),
    ("bury", {"factor": 1.0}, "of a bury, factor must be at least 0.01 and below 1"),
    ("bury", {"factor": 0.0}, "of a bury, factor must be at least 0.01 and below 1"),
    ("pin", {"factor": 2.0}, "only a boost or a bury has a factor"),
    ("block", {"factor": 0.5}, "only a boost or a bury has a factor"),
    ("boost", {"position": 1}, "only a pin has a position"),
    ("pin", {"position": 0}, "position must be 1 to 100"),
    ("pin", {"position": 101}, "position must be 1 to 100"),
]


@pytest.mark.parametrize(("action", "fields", "sentence"), WRONG)
def test_a_rule_that_makes_no_sense_is_refused_in_one_sentence(
    action: str, fields: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError) as refused:
        rule(action, **fields)
    assert str(refused.value).startswith(sentence)


def test_what_is_not_said_is_sensible() -> None:
    said = [(rule(action).factor, rule(action).position) for action in RuleAction]
    assert said == [(None, 1), (2.0, None), (0.5, None), (None, None)]
    assert rule("boost", factor=10.0).factor == 10
    assert rule("bury", factor=0.01).factor == 0.01
    assert rule("pin", position=100).position == 100


@EVERY_ACTION
def test_a_rule_is_on_from_its_start_until_before_its_end(action: RuleAction) -> None:
    one = rule(action)
    moments = (-timedelta.resolution, timedelta(0), HOUR - timedelta.resolution, HOUR)
    assert [one.is_on(NOW + each, Channel.WEB, "home") for each in moments] == [False, True, True, False]
    elsewhere = replace(one, starts_at=NOW.astimezone(timezone(timedelta(hours=8))))
    assert elsewhere.is_on(NOW, Channel.WEB, "home")


def test_a_rule_is_on_on_its_channels_and_placements_only() -> None:
    one = rule(channels=(Channel.WEB, Channel.EMAIL), placements=("home", "basket"))
    assert {c for c in Channel if one.is_on(NOW, c, "home")} == {Channel.WEB, Channel.EMAIL}
    assert [one.is_on(NOW, Channel.WEB, p) for p in ("home", "basket", "footer", None)] == [
        *(True, True),
        *(False, False),
    ]
    assert all(rule().is_on(NOW, channel, None) for channel in Channel)


def test_a_rule_names_an_item_or_all_of_a_category_of_its_kind() -> None:
    article, offer = Item("a", category="cards"), Item("o", ItemKind.OFFER, category="cards")
    plain = Item("b")
    assert [rule(item_id="a").names(each) for each in (article, offer, plain)] == [True, False, False]
    assert [rule(category="cards").names(each) for each in (article, offer, plain)] == [True, True, False]
    of_offers = rule(category="cards", kind=ItemKind.OFFER)
    assert [of_offers.names(each) for each in (article, offer, plain)] == [False, True, False]
    assert not rule(item_id="a", kind=ItemKind.OFFER).names(article)


def test_an_item_of_no_category_is_in_no_rules_category() -> None:
    rules = RulesOn((rule("block", category="cards"), rule("block", "r2", item_id="x")))
    assert not rules.blocks(Item("b"))


def test_boosts_and_buries_of_one_item_multiply_within_the_limits_of_one() -> None:
    article = Item("a", category="cards")
    rules = RulesOn((rule("boost", factor=3.0), rule("bury", "r2", category="cards")))
    assert rules.factor_of(article) == 1.5
    assert [each.rule_id for each in rules.weighing(article)] == ["r1", "r2"]
    assert rules.factor_of(Item("b")) == 1
    strong = RulesOn((rule("boost", factor=9.0), rule("boost", "r2", factor=9.0)))
    assert strong.factor_of(article) == strong.highest_factor == 10
    weak = RulesOn((rule("bury", factor=0.01), rule("bury", "r2", factor=0.01)))
    assert (weak.factor_of(article), weak.highest_factor) == (0.01, 1)


def test_pins_stand_by_position_and_then_by_id() -> None:
    rules = RulesOn(
        (rule("pin", "c", position=2), rule("pin", "b"), rule("block", "d"), rule("pin", "a", position=2))
    )
    assert [pin.rule_id for pin in rules.pins] == ["b", "a", "c"]


def test_the_book_finds_the_rules_that_are_on() -> None:
    book = RuleBook(
        (
            rule(rule_id="z"),
            rule(rule_id="ended", starts_at=NOW - HOUR, ends_at=NOW),
            rule(rule_id="to-come", starts_at=NOW + HOUR, ends_at=NOW + 2 * HOUR),
            rule(rule_id="a", ends_at=NOW + 5 * HOUR),
            rule(rule_id="by-mail", channels=(Channel.EMAIL,)),
        )
    )
    assert [each.rule_id for each in book.on(NOW, Channel.WEB, "home").rules] == ["a", "z"]
    assert [each.rule_id for each in book.on(NOW, Channel.EMAIL, None).rules] == ["a", "by-mail", "z"]
    assert [each.rule_id for each in book.on(NOW + HOUR, Channel.WEB, None).rules] == ["a", "to-come"]
    assert book.on(NOW + 9 * HOUR, Channel.WEB, None) is NO_RULES_ON
    assert set(book.moments) == {NOW - HOUR, NOW, NOW + HOUR, NOW + 2 * HOUR, NOW + 5 * HOUR}


def test_the_book_looks_for_the_rules_of_a_list_once_while_none_begins_or_ends() -> None:
    book = RuleBook((rule(placements=("home",)), rule(rule_id="r2", starts_at=NOW + HOUR / 2)))
    first = book.on(NOW, Channel.WEB, "home")
    assert book.on(NOW + HOUR / 4, Channel.WEB, "home") is first
    assert book.on(NOW, Channel.WEB, "a") is book.on(NOW, Channel.WEB, "b")
    assert [each.rule_id for each in book.on(NOW + HOUR / 2, Channel.WEB, "home").rules] == ["r1", "r2"]
    assert [each.rule_id for each in book.on(NOW + HOUR / 2, Channel.WEB, "a").rules] == ["r2"]
    assert [each.rule_id for each in book.on(NOW, Channel.WEB, "home").rules] == ["r1"]


def test_what_the_book_keeps_is_bounded_whatever_is_asked() -> None:
    names = tuple(f"p{n}" for n in range(100))
    book = RuleBook(tuple(rule(rule_id=f"r{n}", ends_at=NOW + n * HOUR) for n in range(1, 40)))
    book = RuleBook((*book.rules, rule(rule_id="z", placements=names)))
    for hour in range(39):
        for name in (*names, "elsewhere"):
            assert len(book.on(NOW + hour * HOUR, Channel.WEB, name).rules) == 39 - hour + (
                hour == 0 and name in names
            )
    assert len(book._kept) <= 1_000


def test_no_item_is_lifted_by_more_than_the_rules_of_itself_and_of_one_category() -> None:
    many = [rule(rule_id=f"c{n}", category=f"c{n}", factor=1.5) for n in range(20)]
    own = [rule(rule_id=f"i{n}", item_id=f"i{n}", factor=2.0) for n in range(20)]
    bury = rule("bury", "b", category="c1")
    assert RulesOn(tuple(many)).highest_factor == 1.5
    assert RulesOn((*many, *own, bury)).highest_factor == 3
    assert RulesOn((*own, rule(rule_id="again", item_id="i3", factor=3.0))).highest_factor == 6
