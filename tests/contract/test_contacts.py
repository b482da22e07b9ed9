"""How often customers are met with offers: nobody once too often, and nothing is spent twice."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from recsvc.domain.interactions import IMPRESSION, Interaction
from recsvc.domain.items import Channel, Item, ItemKind
from recsvc.domain.offer_terms import Budget, Cap, OfferTerms
from recsvc.errors import StoreError
from recsvc.policy_offers import ContactCapPolicy, OffersPolicy
from recsvc.serving.offers.protocols import Contacts, OfferLedger
from recsvc.stores.contacts import SqlContacts
from recsvc.stores.database import Database
from recsvc.stores.erasures import SqlErasures
from recsvc.stores.events import SqlEvents
from recsvc.stores.identities import SqlIdentities
from recsvc.stores.memory import MemoryEvents
from recsvc.stores.memory_contacts import MemoryContacts, MemoryOfferLedger
from recsvc.stores.memory_erasures import MemoryErasures
from recsvc.stores.memory_identities import MemoryIdentities
from recsvc.stores.offer_ledger import SqlOfferLedger
from tests.contract.test_decisions import GROUNDS, a_decision

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
HELD = 30 * MINUTE
ids = itertools.count()


def an_offer(offer_id: str, **terms: object) -> Item:
    return Item(offer_id, ItemKind.OFFER, terms=OfferTerms(**terms))  # type: ignore[arg-type]


TWICE = an_offer("loan", caps=(Cap(2, 24),))


@dataclass(frozen=True)
class Book:
    """What counts contacts, and what takes them."""

    contacts: Contacts
    ledger: OfferLedger


Make = Callable[[OffersPolicy], Book]


@pytest.fixture
def contacts_with(
    database: Database | None,
    events: MemoryEvents | SqlEvents,
    identities: MemoryIdentities | SqlIdentities,
) -> Iterator[Make]:
    closing = ExitStack()

    def is_content(item_id: str) -> bool:
        return item_id.startswith("a")

    def make(policy: OffersPolicy) -> Book:
        if database:
            contacts = SqlContacts(database, policy, is_content=is_content)
            ledger = SqlOfferLedger(database, contacts, random_bytes=os.urandom)
            closing.callback(ledger.close)
            return Book(contacts, ledger)
        assert isinstance(events, MemoryEvents) and isinstance(identities, MemoryIdentities)
        counted = MemoryContacts(events, identities, policy, is_content=is_content)
        return Book(counted, MemoryOfferLedger(counted))

    with closing:
        yield make


@pytest.fixture
def contacts(contacts_with: Make) -> Book:
    return contacts_with(OffersPolicy())


def show(
    events: MemoryEvents | SqlEvents,
    item_id: str,
    at: datetime,
    *,
    slate_id: str | None = None,
    customer_id: str = "c1",
    channel: Channel | None = Channel.WEB,
) -> None:
    one = Interaction(
        f"e{next(ids)}", IMPRESSION, customer_id, item_id, at, channel=channel, slate_id=slate_id
    )
    events.append([one], received_at=at)


def reserve(
    book: Book,
    slate_id: str,
    *offers: Item,
    at: datetime = NOW,
    customer_id: str = "c1",
    channel: Channel = Channel.WEB,
) -> dict[str, str]:
    """Reserve a contact of each of the offers, or none: then what is short."""
    decision = replace(a_decision(0, customer_id), decision_id=slate_id, decided_at=at, channel=channel)
    found = book.ledger.enter(decision, GROUNDS, offers, until=at + HELD)
    return {offer_id: shortage.what for offer_id, shortage in found.items()}


def short(book: Book, *offers: Item, at: datetime = NOW, customer_id: str = "c1") -> dict[str, str]:
    found = book.contacts.shortages(customer_id, offers, channel=Channel.WEB, now=at)
    return {offer_id: shortage.what for offer_id, shortage in found.items()}


def test_an_offer_without_limits_is_never_short(contacts: Book) -> None:
    plain = an_offer("plain")
    for number in range(5):
        assert reserve(contacts, f"s{number}", plain) == {}
    assert short(contacts, plain) == {}


def test_a_customer_is_shown_an_offer_as_often_as_its_cap_says_in_any_window(
    contacts: Book, events: MemoryEvents | SqlEvents
) -> None:
    show(events, "loan", NOW - 23 * HOUR, slate_id="s1")
    assert short(contacts, TWICE) == {}
    show(events, "loan", NOW - HOUR, slate_id="s2")
    found = contacts.contacts.shortages("c1", [TWICE], channel=Channel.WEB, now=NOW)["loan"]
    assert (found.what, found.name, found.used, found.limit) == ("cap", "2 in 24 h", 2, 2)
    assert short(contacts, TWICE, at=NOW + HOUR) == {}, "the first has left the window"


def test_a_slate_that_is_shown_ten_times_is_one_contact(
    contacts: Book, events: MemoryEvents | SqlEvents
) -> None:
    for number in range(10):
        show(events, "loan", NOW - HOUR + number * MINUTE, slate_id="s1")
    assert short(contacts, TWICE) == {}
    show(events, "loan", NOW - HOUR)
    assert short(contacts, TWICE) == {"loan": "cap"}, "one without a slate is one of its own"


def test_a_reservation_counts_until_it_ends_and_not_twice_once_it_is_shown(
    contacts: Book, events: MemoryEvents | SqlEvents
) -> None:
    assert reserve(contacts, "s1", TWICE) == {}
    show(events, "loan", NOW + MINUTE, slate_id="s1")
    assert reserve(contacts, "s2", TWICE, at=NOW + 2 * MINUTE) == {}
    assert reserve(contacts, "s3", TWICE, at=NOW + 3 * MINUTE) == {"loan": "cap"}
    later = NOW + 2 * MINUTE + HELD
    assert reserve(contacts, "s4", TWICE, at=later) == {}, "s2 was never shown"


def test_where_one_offer_is_short_nothing_is_taken_of_any_and_nothing_decided(
    contacts: Book, database: Database | None
) -> None:
    gone, left = an_offer("gone", inventory=0), an_offer("left", inventory=1)
    assert reserve(contacts, "s1", left, gone) == {"gone": "inventory"}
    assert n_decisions(contacts, database) == 0
    assert short(contacts, left) == {}
    assert reserve(contacts, "s2", left) == {}
    assert n_decisions(contacts, database) == 1


def n_decisions(book: Book, database: Database | None) -> int:
    if isinstance(book.ledger, MemoryOfferLedger):
        return len(book.ledger.kept)
    assert database is not None
    with database.reading() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM decisions").scalar_one())


def test_of_a_decision_that_cannot_be_kept_nothing_is_reserved(
    contacts: Book, database: Database | None
) -> None:
    if database is None:
        pytest.skip("memory always keeps")
    assert reserve(contacts, "s1", an_offer("plain")) == {}
    few = an_offer("few", inventory=1)
    with pytest.raises(StoreError, match="s1 already"):
        reserve(contacts, "s1", few)
    assert short(contacts, few) == {}
    assert reserve(contacts, "s2", few) == {}


def test_a_contact_on_one_channel_counts_on_all(contacts: Book, events: MemoryEvents | SqlEvents) -> None:
    show(events, "loan", NOW - HOUR, slate_id="s1", channel=Channel.EMAIL)
    show(events, "loan", NOW - HOUR, slate_id="s2", channel=None)
    assert short(contacts, TWICE) == {"loan": "cap"}


def test_fatigue_counts_all_offers_on_its_channels_and_content_only_where_it_says_so(
    contacts_with: Make, events: MemoryEvents | SqlEvents
) -> None:
    loan, card = an_offer("loan"), an_offer("card")
    show(events, "card", NOW - HOUR, slate_id="s1", channel=Channel.EMAIL)
    show(events, "a1", NOW - HOUR, slate_id="s1", channel=Channel.WEB)

    def with_cap(**said: object) -> dict[str, str]:
        cap = ContactCapPolicy(**{"name": "calm", "most": 1, "hours": 24, **said})  # type: ignore[arg-type]
        return short(contacts_with(OffersPolicy(contact_caps=(cap,))), loan, card)

    assert with_cap() == {"loan": "contact_cap", "card": "contact_cap"}
    assert with_cap(channels=("web",)) == {}
    assert with_cap(channels=("web",), content=True) == {"loan": "contact_cap", "card": "contact_cap"}
    assert with_cap(channels=("email",)) == {}, "nobody asks on that channel"


def test_within_one_slate_fatigue_leaves_room_for_the_first_offers_only(contacts_with: Make) -> None:
    calm = contacts_with(OffersPolicy(contact_caps=(ContactCapPolicy("calm", 2, 24),)))
    three = [an_offer(f"o{number}") for number in range(1, 4)]
    assert reserve(calm, "s1", *three) == {"o3": "contact_cap"}
    assert reserve(calm, "s2", *three[:2]) == {}


def test_who_was_anonymous_keeps_what_they_were_shown(
    contacts: Book,
    events: MemoryEvents | SqlEvents,
    identities: MemoryIdentities | SqlIdentities,
) -> None:
    show(events, "loan", NOW - HOUR, slate_id="s1", customer_id="anonymous-7")
    reserve(contacts, "s2", TWICE, customer_id="device-9")
    assert short(contacts, TWICE) == {}
    identities.link("c1", "anonymous-7", now=NOW)
    identities.link("c1", "device-9", now=NOW)
    for who in ("c1", "anonymous-7", "device-9"):
        assert short(contacts, TWICE, customer_id=who) == {"loan": "cap"}


def test_a_slate_was_met_when_any_of_a_customers_ids_met_it_first(
    contacts: Book,
    events: MemoryEvents | SqlEvents,
    identities: MemoryIdentities | SqlIdentities,
) -> None:
    offer = an_offer("loan", caps=(Cap(1, 2), Cap(5, 48)))
    identities.link("c1", "anonymous-7", now=NOW)
    show(events, "loan", NOW - 3 * HOUR, slate_id="s1")
    show(events, "loan", NOW - HOUR, slate_id="s1", customer_id="anonymous-7")
    assert short(contacts, offer) == {}
    show(events, "loan", NOW - HOUR, slate_id="s2", customer_id="anonymous-7")
    assert short(contacts, offer) == {"loan": "cap"}


def a_budget(total: str, **more: object) -> Item:
    budget = Budget(Decimal(total), Decimal("2.50"), **more)  # type: ignore[arg-type]
    return an_offer("cashback", budget=budget)


def test_a_budget_pays_for_whole_contacts_of_all_customers_and_no_more(
    contacts: Book, events: MemoryEvents | SqlEvents
) -> None:
    offer = a_budget("7.00")  # Two contacts, and two euros that pay for none.
    for who in ("c1", "c2"):
        assert reserve(contacts, f"s-{who}", offer, customer_id=who) == {}
        show(events, "cashback", NOW + MINUTE, slate_id=f"s-{who}", customer_id=who)
    assert reserve(contacts, "s-c3", offer, customer_id="c3") == {"cashback": "budget"}
    assert short(contacts, offer, at=NOW + 40 * DAY, customer_id="c4") == {"cashback": "budget"}


def test_what_was_reserved_and_not_shown_can_be_spent_again(
    contacts: Book, events: MemoryEvents | SqlEvents
) -> None:
    offer = a_budget("2.50")
    assert reserve(contacts, "s1", offer) == {}
    assert short(contacts, offer, customer_id="c2") == {"cashback": "budget"}
    assert short(contacts, offer, at=NOW + HELD, customer_id="c2") == {}
    assert reserve(contacts, "s2", offer, at=NOW + HELD, customer_id="c2") == {}
    show(events, "cashback", NOW + HELD + MINUTE, slate_id="s2", customer_id="c2")
    assert short(contacts, offer, at=NOW + DAY, customer_id="c3") == {"cashback": "budget"}


def test_each_offer_of_a_slate_that_was_not_shown_is_given_back_by_itself(contacts: Book) -> None:
    both = [an_offer(one, inventory=1) for one in ("one", "two")]
    assert reserve(contacts, "s1", *both) == {}
    for offer in both:
        assert short(contacts, offer, at=NOW + HELD, customer_id="c2") == {}
        assert reserve(contacts, f"s-{offer.item_id}", offer, at=NOW + HELD, customer_id="c2") == {}


def test_what_ended_and_took_from_nobody_else_is_forgotten_and_what_took_is_given_back(
    contacts: Book, database: Database | None
) -> None:
    paid = an_offer("one", inventory=1)
    assert reserve(contacts, "s1", paid, TWICE) == {}
    assert reserve(contacts, "s2", TWICE, customer_id="c2") == {}
    assert reserve(contacts, "s3", TWICE, at=NOW + HELD) == {}
    if database is not None:
        with database.reading() as connection:
            rows = connection.exec_driver_sql("SELECT slate_id, offer_id FROM reservations").all()
        assert {tuple(row) for row in rows} == {("s1", "one"), ("s2", "loan"), ("s3", "loan")}
    assert short(contacts, paid, at=NOW + HELD, customer_id="c3") == {}


def test_a_day_has_a_budget_of_its_own(contacts: Book, events: MemoryEvents | SqlEvents) -> None:
    offer = a_budget("250", daily=Decimal(5))
    for who in ("c1", "c2"):
        assert reserve(contacts, f"s-{who}", offer, customer_id=who) == {}
        show(events, "cashback", NOW, slate_id=f"s-{who}", customer_id=who)
    assert short(contacts, offer, customer_id="c3") == {"cashback": "daily_budget"}
    assert short(contacts, offer, at=NOW + 12 * HOUR - MINUTE, customer_id="c3") == {
        "cashback": "daily_budget"
    }
    assert short(contacts, offer, at=NOW + 12 * HOUR, customer_id="c3") == {}, "it is the next day in UTC"


def test_a_budget_lasts_as_long_as_its_offer_is_valid_unless_the_policy_lets_it_run(
    contacts_with: Make, events: MemoryEvents | SqlEvents
) -> None:
    offer = a_budget("25")  # Ten contacts.
    offer = Item(
        offer.item_id, offer.kind, valid_from=NOW - DAY, valid_to=NOW + 9 * DAY, terms=offer.offer_terms
    )
    paced, free = contacts_with(OffersPolicy()), contacts_with(OffersPolicy(pacing="none"))
    for number in range(2):
        assert reserve(paced, f"s{number}", offer, customer_id=f"c{number}") == {}
    assert short(paced, offer, customer_id="c9") == {"cashback": "pacing"}
    assert short(free, offer, customer_id="c9") == {}


def test_of_many_at_once_none_is_once_too_often(contacts: Book) -> None:
    one_for_all = an_offer("one", inventory=7)
    calls = [(number, offer) for number in range(48) for offer in (TWICE, one_for_all)]

    def ask(call: tuple[int, Item]) -> str | None:
        number, offer = call
        found = reserve(contacts, f"s{number}-{offer.item_id}", offer, customer_id=f"c{number % 4}")
        return None if found else offer.item_id

    with ThreadPoolExecutor(8) as pool:
        granted = Counter(pool.map(ask, calls))
    assert granted["loan"] == 8, "two for each of four"
    assert granted["one"] == 7


def test_of_an_erased_customer_nothing_is_held_and_nothing_spent_comes_back(
    contacts: Book,
    erasures: MemoryErasures | SqlErasures,
    database: Database | None,
) -> None:
    if database is None:
        pytest.skip("memory forgets a reservation with the process")
    offer = an_offer("one", inventory=1)
    assert reserve(contacts, "s1", offer) == {}
    erasures.begin("c1", receipt_id="r1", now=NOW, claimed_until=NOW, removed={})
    with database.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM reservations").scalar_one() == 0
    assert short(contacts, offer, at=NOW + DAY, customer_id="c2") == {"one": "inventory"}
