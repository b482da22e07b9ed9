"""Many offers are judged at once, and as each of them is alone."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from random import Random

import numpy as np
from msgspec.structs import replace as with_changes

from recsvc.domain.condition_facts import known_fields
from recsvc.domain.contacts import Shortage
from recsvc.domain.items import Channel
from recsvc.policy import Policy
from recsvc.serving.offers.deciding import decide
from recsvc.serving.offers.facts import CustomerFacts, Facts, ListFacts
from recsvc.serving.offers.gates import GATES, OPEN, findings_of, refused_by, refused_once_counted
from recsvc.serving.offers.table import MAX_KEPT, Bools, OfferTable, make_table

from ...behaviour.random_offers import CATEGORIES, LOCALES, PLACEMENTS, random_offers, random_policy

NOW = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
WHATS = ("cap", "contact_cap", "budget", "daily_budget", "pacing", "inventory")


def a_bank(draw: Random) -> tuple[OfferTable, Policy]:
    policy = random_policy(draw)
    return make_table(random_offers(draw, NOW, 60), known_fields(policy)), policy


def some_facts(draw: Random, table: OfferTable, policy: Policy) -> Facts:
    asked = ListFacts(
        10,
        draw.choice(tuple(Channel)),
        draw.choice(PLACEMENTS),
        draw.choice(LOCALES),
        categories=draw.choice(((), (), CATEGORIES[:2])),
        exclude=tuple(draw.sample(table.ids, 3)),
    )
    customer = CustomerFacts(
        "c1",
        may_market=draw.random() < 0.9,
        country=draw.choice((None, "DE", "AT", "US")),
        risk_limit=draw.choice((None, 0, 1, 3, 7)),
        fields={"attributes.age": draw.choice((17, 40))},
        used=tuple(draw.sample(table.ids, 2)),
    )
    return Facts(
        decision_id="s", now=NOW, customer=customer, asked=asked, lists=policy.lists, policy_version="p"
    )


def test_all_at_once_are_refused_by_what_refuses_each_of_them_first() -> None:
    for seed in range(40):
        draw = Random(f"gates/{seed}")
        table, policy = a_bank(draw)
        for _ in range(5):
            facts = some_facts(draw, table, policy)
            found = refused_by(table, facts, policy.offers)
            judged = decide(facts, table, policy.offers).judged
            for offer, number, one in zip(table.items, found.tolist(), judged.each(), strict=True):
                shut = [each for each in findings_of(offer, table, facts, policy.offers) if not each.passed]
                first = GATES[number].gate if number != OPEN else None
                assert first == (shut[0].gate if shut else None) == one.refused_by
                assert one.compared == (shut[0].compared if shut else {})


def test_what_is_short_once_contacts_are_counted_is_refused_as_if_it_were_known_from_the_beginning() -> None:
    n_short = 0
    for seed in range(40):
        draw = Random(f"counts/{seed}")
        table, policy = a_bank(draw)
        facts = some_facts(draw, table, policy)
        before = refused_by(table, facts, policy.offers)
        kept = before.copy()
        short = {
            one: Shortage(draw.choice(WHATS), "n", Decimal(1), Decimal(1))
            for one in table.ids
            if draw.random() < 0.3
        }
        reserved = draw.choice((None, tuple(draw.sample(table.ids, 30))))
        counted = with_changes(facts, shortages=short, reserved=reserved)
        after = refused_once_counted(before, table, counted, policy.offers)
        assert np.array_equal(after, refused_by(table, counted, policy.offers))
        assert np.array_equal(before, kept)
        n_short += int((after != before).sum())
    assert n_short > 100


def test_a_table_remembers_a_judgement_for_each_value_and_no_more_than_so_many() -> None:
    table, _ = a_bank(Random("kept"))
    asked: list[int] = []

    def judge(of: OfferTable, value: int) -> Bools:
        asked.append(value)
        return np.asarray(of.risk_class > value)

    for _ in range(2):
        kept = table.kept(judge, 0)
        assert kept is not None and kept.any()
        assert table.kept(judge, 7) is None
    assert asked == [0, 7]
    for value in range(8, 8 + MAX_KEPT):
        table.kept(judge, value)
    assert len(table._kept) <= MAX_KEPT
