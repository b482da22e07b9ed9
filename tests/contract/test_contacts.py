"""How often customers are met with offers: nobody once too often, and nothing is spent twice."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from recsvc.domain.contacts import Reserved
from recsvc.domain.interactions import IMPRESSION, Interaction
from recsvc.domain.items import Channel, Item, ItemKind
from recsvc.domain.offer_terms import Budget, Cap, OfferTerms
from recsvc.policy_offers import ContactCapPolicy, OffersPolicy
from recsvc.serving.offers.protocols import Contacts
from recsvc.stores.contacts import SqlContacts
from recsvc.stores.database import Database
from recsvc.stores.erasures import SqlErasures
from recsvc.stores.events import SqlEvents
from recsvc.stores.identities import SqlIdentities
from recsvc.stores.memory import MemoryEvents
from recsvc.stores.memory_contacts import MemoryContacts
from recsvc.stores.memory_erasures import MemoryErasures
from recsvc.stores.memory_identities import MemoryIdentities

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
HELD = 30 * MINUTE
ids = itertools.count()


def an_offer(offer_id: str, **terms: object) -> Item:
    return Item(offer_id, ItemKind.OFFER, terms=OfferTerms(**terms))  # type: ignore[arg-type]


TWICE = an_offer("loan", caps=(Cap(2, 24),))
Make = Callable[[OffersPolicy], Contacts]


@pytest.fixture
def contacts_with(
    database: Database | None,
    events: MemoryEvents | SqlEvents,
    identities: MemoryIdentities | SqlIdentities,
) -> Make:
    def make(policy: OffersPolicy) -> Contacts:
        if database:
            return SqlContacts(database, policy, is_content=lambda item_id: item_id.startswith("a"))
        assert isinstance(events, MemoryEvents) and isinstance(identities, MemoryIdentities)
        return MemoryContacts(events, identities, policy, is_content=lambda item_id: item_id.startswith("a"))

    return make


@pytest.fixture
def contacts(contacts_with: Make) -> Contacts:
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
    contacts: Contacts,
    slate_id: str,
    *offers: Item,
    at: datetime = NOW,
    customer_id: str = "c1",
    channel: Channel = Channel.WEB,
) -> Reserved:
    return contacts.reserve(customer_id, slate_id, offers, channel=channel, now=at, until=at + HELD)


def short(contacts: Contacts, *offers: Item, at: datetime = NOW, customer_id: str = "c1") -> dict[str, str]:
    found = contacts.shortages(customer_id, offers, channel=Channel.WEB, now=at)
    return {offer_id: shortage.what for offer_id, shortage in found.items()}


def test_an_offer_without_limits_is_never_short(contacts: Contacts) -> None:
    plain = an_offer("plain")
    for number in range(5):
        assert reserve(contacts, f"s{number}", plain).granted == ("plain",)
    assert short(contacts, plain) == {}


def test_a_customer_is_shown_an_offer_as_often_as_its_cap_says_in_any_window(
    contacts: Contacts, events: MemoryEvents | SqlEvents
) -> None:
    show(events, "loan", NOW - 23 * HOUR, slate_id="s1")
    assert short(contacts, TWICE) == {}
    show(events, "loan", NOW - HOUR, slate_id="s2")
    found = contacts.shortages("c1", [TWICE], channel=Channel.WEB, now=NOW)["loan"]
    assert (found.what, found.name, found.used, found.limit) == ("cap", "2 in 24 h", 2, 2)
    assert short(contacts, TWICE, at=NOW + HOUR) == {}, "the first has left the window"


def test_a_slate_that_is_shown_ten_times_is_one_contact(
    contacts: Contacts, events: MemoryEvents | SqlEvents
) -> None:
    for number in range(10):
        show(events, "loan", NOW - HOUR + number * MINUTE, slate_id="s1")
    assert short(contacts, TWICE) == {}
    show(events, "loan", NOW - HOUR)
    assert short(contacts, TWICE) == {"loan": "cap"}, "one without a slate is one of its own"


def test_a_reservation_counts_until_it_ends_and_not_twice_once_it_is_shown(
    contacts: Contacts, events: MemoryEvents | SqlEvents
) -> None:
    assert reserve(contacts, "s1", TWICE).granted == ("loan",)
    show(events, "loan", NOW + MINUTE, slate_id="s1")
    assert reserve(contacts, "s2", TWICE, at=NOW + 2 * MINUTE).granted == ("loan",)
    refused = reserve(contacts, "s3", TWICE, at=NOW + 3 * MINUTE)
    assert refused.granted == () and refused.refused["loan"].what == "cap"
    later = NOW + 2 * MINUTE + HELD
    assert reserve(contacts, "s4", TWICE, at=later).granted == ("loan",), "s2 was never shown"


def test_a_slate_that_nobody_will_show_gives_its_contacts_back(contacts: Contacts) -> None:
    both = [an_offer("loan", caps=(Cap(1, 24),)), an_offer("card", inventory=1)]
    assert reserve(contacts, "s1", *both).granted == ("loan", "card")
    assert short(contacts, *both) == {"loan": "cap", "card": "inventory"}
    contacts.release("c1", "s1")
    assert short(contacts, *both) == {}


def test_what_one_offer_lacks_takes_nothing_from_the_others(contacts: Contacts) -> None:
    gone, left = an_offer("gone", inventory=0), an_offer("left", inventory=1)
    found = reserve(contacts, "s1", gone, left)
    assert (found.granted, found.refused["gone"].what) == (("left",), "inventory")


def test_a_contact_on_one_channel_counts_on_all(contacts: Contacts, events: MemoryEvents | SqlEvents) -> None:
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
    found = reserve(calm, "s1", an_offer("o1"), an_offer("o2"), an_offer("o3"))
    assert (found.granted, list(found.refused)) == (("o1", "o2"), ["o3"])


def test_who_was_anonymous_keeps_what_they_were_shown(
    contacts: Contacts,
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


def a_budget(total: str, **more: object) -> Item:
    budget = Budget(Decimal(total), Decimal("2.50"), **more)  # type: ignore[arg-type]
    return an_offer("cashback", budget=budget)


def test_a_budget_pays_for_whole_contacts_of_all_customers_and_no_more(
    contacts: Contacts, events: MemoryEvents | SqlEvents
) -> None:
    offer = a_budget("7.00")  # Two contacts, and two euros that pay for none.
    for who in ("c1", "c2"):
        assert reserve(contacts, f"s-{who}", offer, customer_id=who).granted
        show(events, "cashback", NOW + MINUTE, slate_id=f"s-{who}", customer_id=who)
    found = reserve(contacts, "s-c3", offer, customer_id="c3").refused["cashback"]
    assert (found.what, found.used, found.limit) == ("budget", 2, 2)
    assert short(contacts, offer, at=NOW + 40 * DAY, customer_id="c4") == {"cashback": "budget"}


def test_what_was_reserved_and_not_shown_can_be_spent_again(
    contacts: Contacts, events: MemoryEvents | SqlEvents
) -> None:
    offer = a_budget("2.50")
    assert reserve(contacts, "s1", offer).granted
    assert short(contacts, offer, customer_id="c2") == {"cashback": "budget"}
    assert short(contacts, offer, at=NOW + HELD, customer_id="c2") == {}
    assert reserve(contacts, "s2", offer, at=NOW + HELD, customer_id="c2").granted
    show(events, "cashback", NOW + HELD + MINUTE, slate_id="s2", customer_id="c2")
    assert short(contacts, offer, at=NOW + DAY, customer_id="c3") == {"cashback": "budget"}


def test_a_day_has_a_budget_of_its_own(contacts: Contacts, events: MemoryEvents | SqlEvents) -> None:
    offer = a_budget("250", daily=Decimal(5))
    for who in ("c1", "c2"):
        assert reserve(contacts, f"s-{who}", offer, customer_id=who).granted
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
        assert reserve(paced, f"s{number}", offer, customer_id=f"c{number}").granted
    assert short(paced, offer, customer_id="c9") == {"cashback": "pacing"}
    assert short(free, offer, customer_id="c9") == {}


def test_of_many_at_once_none_is_once_too_often(contacts: Contacts) -> None:
    one_for_all = an_offer("one", inventory=7)

    def ask(number: int) -> Reserved:
        return reserve(contacts, f"s{number}", TWICE, one_for_all, customer_id=f"c{number % 4}")

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, range(48)))
    assert sum("loan" in one.granted for one in found) == 8, "two for each of four"
    assert sum("one" in one.granted for one in found) == 7


def test_of_an_erased_customer_nothing_is_held_and_nothing_spent_comes_back(
    contacts: Contacts,
    erasures: MemoryErasures | SqlErasures,
    database: Database | None,
) -> None:
    if database is None:
        pytest.skip("memory forgets a reservation with the process")
    offer = an_offer("one", inventory=1)
    assert reserve(contacts, "s1", offer).granted
    erasures.begin("c1", receipt_id="r1", now=NOW, claimed_until=NOW, removed={})
    with database.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM reservations").scalar_one() == 0
    assert short(contacts, offer, at=NOW + DAY, customer_id="c2") == {"one": "inventory"}
