"""What may be known of a customer when an offer is sent: what came before, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Item, ItemKind
from recsvc.domain.propensity import (
    MAX_KNOWN,
    PropensityFacts,
    PropensityRules,
    gather_facts,
    known_offers,
    read_sendings,
)
from recsvc.policy_offers import PropensityPolicy

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
RULES = PropensityRules(PropensityPolicy(), ("purchase", "transaction"))
ITEMS = (
    Item("week", ItemKind.OFFER, category="saving", attributes={"duration_days": 7}),
    Item("open", ItemKind.OFFER),
    Item("article", ItemKind.CONTENT),
)
OFFERS = known_offers(ITEMS, RULES.offers)


def did(type: str, item_id: str | None, days: float, value: str | None = None) -> Interaction:
    money = None if value is None else Decimal(value)
    return Interaction(f"{type}{days}", type, "c1", item_id, BEGIN + timedelta(days=days), value=money)


def facts_at(days: float, *interactions: Interaction) -> PropensityFacts:
    as_of = BEGIN + timedelta(days=days)
    return gather_facts({}, interactions, OFFERS, RULES, since=BEGIN, as_of=as_of)


def test_what_happened_at_the_moment_or_later_is_not_known() -> None:
    before = (did("transaction", None, 1, "5"), did("impression", "week", 2))
    after = (did("transaction", None, 4, "9"), did("accept", "week", 4), did("impression", "open", 5))
    assert facts_at(4, *before, *after) == facts_at(4, *before)
    assert facts_at(4, *before).purchase_days == (3.0,)


def test_a_purchase_without_money_counts_as_one_whose_money_is_not_known() -> None:
    facts = facts_at(10, did("transaction", None, 1), did("transaction", None, 2, "5"))
    assert facts.purchase_amounts == (None, 5.0) and facts.observed_days == 10.0


def test_a_response_counts_up_to_the_last_moment_of_the_offers_own_duration() -> None:
    sent = did("impression", "week", 0)
    for days, responded in ((0, True), (7, True), (7.01, False)):
        (sending,) = read_sendings([sent, did("redeem", "week", days)], OFFERS, RULES.offers)
        assert (sending.responded_at is not None) is responded, days


def test_an_offer_without_a_duration_has_the_days_of_the_policy() -> None:
    (sending,) = read_sendings([did("impression", "open", 0)], OFFERS, RULES.offers)
    assert sending.ends_at - sending.sent_at == timedelta(days=30)


def test_shown_again_within_a_day_is_the_same_sending_and_later_another() -> None:
    shown = [did("impression", "week", days) for days in (0, 0.5, 0.9, 3)]
    sendings = read_sendings(shown, OFFERS, RULES.offers)
    assert [one.sent_at - BEGIN for one in sendings] == [timedelta(0), timedelta(days=3)]


def test_one_response_counts_for_every_sending_that_is_open() -> None:
    shown = [did("impression", "week", days) for days in (0, 3)]
    sendings = read_sendings([*shown, did("redeem", "week", 5)], OFFERS, RULES.offers)
    assert all(one.responded_at for one in sendings)


def test_a_response_without_a_view_is_a_response() -> None:
    (sending,) = read_sendings([did("impression", "week", 0), did("redeem", "week", 1)], OFFERS, RULES.offers)
    assert sending.viewed_at is None and sending.responded_at is not None


def test_content_is_never_sent_as_an_offer() -> None:
    assert read_sendings([did("impression", "article", 0)], OFFERS, RULES.offers) == ()


def test_an_offer_is_open_until_it_is_responded_to_or_its_time_is_up() -> None:
    history = [did("impression", "week", 0), did("impression", "open", 0), did("accept", "open", 2)]
    open_after = {
        days: [one.is_open_at(BEGIN + timedelta(days=days)) for one in facts_at(days, *history).sendings]
        for days in (1, 3, 8)
    }
    assert open_after == {1: [True, True], 3: [True, False], 8: [False, False]}


def test_of_a_long_history_the_latest_count_as_the_whole_time_that_they_cover() -> None:
    history = [did("transaction", None, n / 10, "1") for n in range(MAX_KNOWN + 50)]
    facts = facts_at(40, *history)
    assert len(facts.purchase_days) == MAX_KNOWN
    assert facts.observed_days == 35.0
