"""Rules on customers: who fulfils them, who is not known to, and what is said of a mistake."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from recsvc.domain.condition_facts import facts_of, known_fields
from recsvc.domain.condition_reading import (
    MAX_COMPARISONS,
    MAX_DEPTH,
    MAX_LISTED,
    ConditionError,
    parse_condition,
)
from recsvc.domain.conditions import Condition, Fact, FieldKind, FieldType
from recsvc.domain.customers import Customer, Suitability
from recsvc.domain.profiles import Lifecycle
from recsvc.policy import load_policy

FIELDS = {
    "attributes.age": FieldType(FieldKind.NUMBER),
    "attributes.country": FieldType(FieldKind.TEXT),
    "attributes.is_home_owner": FieldType(FieldKind.BOOLEAN),
    "segment": FieldType(FieldKind.TEXT, ("saver", "rfm:lost")),
}
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def rule(document: Any) -> Condition:
    return parse_condition(document, FIELDS)


def compare(field: str, op: str, value: Any) -> dict[str, Any]:
    return {"field": field, "op": op, "value": value}


YES, NO, UNKNOWN = (
    compare("attributes.age", "at_least", 18),
    compare("attributes.age", "below", 18),
    compare("attributes.country", "equals", "IE"),
)
GROWN_UP: dict[str, Fact] = {"attributes.age": 40}


@pytest.mark.parametrize(
    ("op", "value", "fits", "does_not"),
    [
        ("equals", 40, [40, 40.0], [39]),
        ("not_equals", 40, [39], [40]),
        ("in", [1, 40], [40], [2]),
        ("not_in", [1, 40], [2], [40]),
        ("at_least", 40, [40, 41], [39.9]),
        ("above", 40, [40.1], [40]),
        ("at_most", 40, [40], [40.1]),
        ("below", 40, [39], [40]),
        ("between", [18, 40], [18, 30, 40], [17, 41]),
    ],
)
def test_each_comparison_holds_for_those_whom_it_names(
    op: str, value: Any, fits: list[float], does_not: list[float]
) -> None:
    condition = rule(compare("attributes.age", op, value))
    assert [condition.holds({"attributes.age": age}) for age in fits] == [True] * len(fits)
    assert [condition.holds({"attributes.age": age}) for age in does_not] == [False] * len(does_not)


@pytest.mark.parametrize(
    ("op", "value"),
    [
        ("equals", 40),
        ("not_equals", 40),
        ("in", [40]),
        ("not_in", [40]),
        ("at_least", 0),
        ("above", 0),
        ("at_most", 999),
        ("below", 999),
        ("between", [0, 999]),
    ],
)
@pytest.mark.parametrize(
    "fact", [{}, {"attributes.age": None}, {"attributes.age": "40"}, {"attributes.age": True}]
)
def test_a_customer_of_whom_the_value_is_not_known_fulfils_neither_a_comparison_nor_its_opposite(
    op: str, value: Any, fact: dict[str, Fact]
) -> None:
    compared = compare("attributes.age", op, value)
    assert not rule(compared).holds(fact)
    assert not rule({"not": compared}).holds(fact)


@pytest.mark.parametrize(("a", "b"), list(product([True, False, None], repeat=2)))
def test_rules_are_joined_by_the_logic_of_three_values(a: bool | None, b: bool | None) -> None:
    written = {True: YES, False: NO, None: UNKNOWN}
    both = False if False in (a, b) else None if None in (a, b) else True
    either = True if True in (a, b) else None if None in (a, b) else False
    for word, truth in (("all", both), ("any", either)):
        joined = {word: [written[a], written[b]]}
        assert rule(joined).holds(GROWN_UP) is (truth is True)
        assert rule({"not": joined}).holds(GROWN_UP) is (truth is False)


def test_a_customer_of_several_segments_is_in_each_of_them() -> None:
    facts: dict[str, Fact] = {"segment": ("saver", "rfm:lost")}
    assert rule(compare("segment", "equals", "saver")).holds(facts)
    assert rule(compare("segment", "in", ["rfm:lost"])).holds(facts)
    assert not rule(compare("segment", "not_in", ["rfm:lost"])).holds(facts)
    assert not rule(compare("segment", "not_equals", "saver")).holds(facts)
    assert not rule(compare("segment", "not_equals", "saver")).holds({"segment": ()})


def test_yes_is_no_number_and_one_is_no_yes() -> None:
    owner = rule(compare("attributes.is_home_owner", "equals", True))
    assert owner.holds({"attributes.is_home_owner": True})
    assert not owner.holds({"attributes.is_home_owner": 1})


def test_findings_name_what_stands_in_the_way_and_the_remedy_what_would_have_to_change() -> None:
    condition = rule({"all": [YES, UNKNOWN, {"not": compare("segment", "equals", "rfm:lost")}]})
    facts: dict[str, Fact] = {"attributes.age": 16, "segment": ("rfm:lost",)}
    found = [(one.comparison.pointer, one.found, one.wanted) for one in condition.findings(facts)]
    assert found == [("/all/0", 16, True), ("/all/1", None, True), ("/all/2/not", ("rfm:lost",), False)]
    assert condition.remedy(facts) == (
        "attributes.age must be at least 18, and is 16; and attributes.country must be IE, and is not known; "
        "and segment must not be rfm:lost, and is rfm:lost"
    )
    assert condition.remedy({**facts, "attributes.age": 18, "attributes.country": "IE"}) == (
        "segment must not be rfm:lost, and is rfm:lost"
    )


def test_one_way_out_of_several_is_enough_and_the_remedy_says_so() -> None:
    either = {"any": [compare("attributes.age", "between", [18, 25]), UNKNOWN]}
    assert rule(either).remedy({"attributes.age": 40}) == (
        "attributes.age must be between 18 and 25, and is 40; "
        "or attributes.country must be IE, and is not known"
    )
    not_both = {"not": {"all": [YES, compare("attributes.country", "not_in", ["IE", "NL"])]}}
    assert rule(not_both).remedy({"attributes.age": 40, "attributes.country": "DE"}) == (
        "attributes.age must not be at least 18, and is 40; "
        "or attributes.country must be one of IE, NL, and is DE"
    )


def test_of_a_rule_that_holds_nothing_stands_in_the_way() -> None:
    condition = rule({"any": [NO, YES]})
    assert condition.holds(GROWN_UP)
    assert condition.findings(GROWN_UP) == ()
    assert condition.remedy(GROWN_UP) is None
    assert rule({"all": [YES, UNKNOWN]}).fields() == {"attributes.age", "attributes.country"}


AGE = "attributes.age"


@pytest.mark.parametrize(
    ("document", "places"),
    [
        (None, [""]),
        ([], [""]),
        ({}, [""]),
        ({"all": []}, ["/all"]),
        ({"all": YES}, ["/all"]),
        ({"all": [YES], "any": [YES]}, [""]),
        ({"not": [YES]}, ["/not"]),
        ({"field": AGE, "op": "at_least"}, ["/value"]),
        ({"field": AGE}, ["/op", "/value"]),
        ({**YES, "note": "x"}, ["/note"]),
        ({"alll": [YES]}, ["/alll", "/field", "/op", "/value"]),
        (compare("attributes.agee", "at_least", 18), ["/field"]),
        (compare("__class__", "equals", "x"), ["/field"]),
        (compare([], {}, 1), ["/field", "/op"]),
        ({"all": [YES, {"any": [NO, compare("nobody.knows", "equals", 1)]}]}, ["/all/1/any/1/field"]),
        (compare(AGE, "approximately", 18), ["/op"]),
        (compare("attributes.country", "at_least", 3), ["/op"]),
        (compare(AGE, "at_least", "18"), ["/value"]),
        (compare(AGE, "at_least", True), ["/value"]),
        (compare(AGE, "at_least", 10**400), ["/value"]),
        (compare(AGE, "at_least", [18]), ["/value"]),
        (compare(AGE, "in", 18), ["/value"]),
        (compare(AGE, "in", []), ["/value"]),
        (compare(AGE, "in", [1] * (MAX_LISTED + 1)), ["/value"]),
        (compare(AGE, "in", [1, "2", None]), ["/value/1", "/value/2"]),
        (compare(AGE, "between", [18]), ["/value"]),
        (compare(AGE, "between", [65, 18]), ["/value"]),
        (compare("segment", "in", ["saver", "savers"]), ["/value/1"]),
        (compare("attributes.country", "equals", ""), ["/value"]),
        (compare("attributes.is_home_owner", "equals", "yes"), ["/value"]),
        ({"all": [compare("x", "equals", 1), compare(AGE, "is", 1)]}, ["/all/0/field", "/all/1/op"]),
    ],
)
def test_a_mistake_in_a_rule_is_named_by_its_place(document: Any, places: list[str]) -> None:
    with pytest.raises(ConditionError) as caught:
        rule(document)
    assert [fault.pointer for fault in caught.value.faults] == places


def test_a_slip_of_the_pen_is_answered_with_what_was_meant() -> None:
    with pytest.raises(ConditionError, match=r"did you mean attributes\.age"):
        rule(compare("attributes.agee", "at_least", 18))


def test_a_rule_is_neither_too_deep_nor_too_long() -> None:
    deep: Any = YES
    for _ in range(MAX_DEPTH - 1):
        deep = {"not": deep}
    assert rule(deep)
    with pytest.raises(ConditionError, match="deep"):
        rule({"not": deep})
    half = {"any": [NO] * (MAX_COMPARISONS // 2)}
    assert rule({"all": [half, half]})
    with pytest.raises(ConditionError, match="one too many"):
        rule({"all": [half, half, YES]})


def test_a_rule_may_ask_for_what_the_policy_declares_the_portrait_segments_and_suitability() -> None:
    fields = known_fields(load_policy())
    assert fields["attributes.age"] == FieldType(FieldKind.NUMBER)
    assert fields["profile.frequency"] == FieldType(FieldKind.NUMBER)
    assert fields["profile.top_category"] == FieldType(FieldKind.TEXT)
    assert set(fields["profile.lifecycle"].words) == {stage.value for stage in Lifecycle}
    assert {"rfm:champions", "lifecycle:new"} < set(fields["segment"].words)
    assert fields["suitability.horizon_years"] == FieldType(FieldKind.NUMBER)
    assert "attributes.shoe_size" not in fields


def test_an_assessment_that_has_run_out_is_a_fact_no_more() -> None:
    assessed = Suitability(max_risk_class=4, objectives=("growth",), expires_at=NOW)
    customer = Customer("c1", {"age": 40, "country": None}, suitability=assessed)
    before = facts_of(customer, None, ("saver",), as_of=NOW - timedelta(seconds=1))
    assert before["suitability.max_risk_class"] == 4
    assert before["suitability.objectives"] == ("growth",)
    assert facts_of(customer, None, ("saver",), as_of=NOW) == {"attributes.age": 40, "segment": ("saver",)}
    assert facts_of(None, None, (), as_of=NOW) == {}
