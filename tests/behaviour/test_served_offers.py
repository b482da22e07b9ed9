"""What goes out to customers, from every rung and tier: allowed when it is served, counted and logged."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import msgspec
import pytest

from recsvc.domain.condition_facts import known_fields
from recsvc.domain.customers import Consents
from recsvc.domain.decisions import Gate
from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Channel, Item
from recsvc.domain.offer_terms import Cap, OfferTerms
from recsvc.domain.slates import OfferItem, SlateRequest
from recsvc.errors import StoreError
from recsvc.policy_offers import ContactCapPolicy, PairPolicy
from recsvc.serving.answers import CacheStatus, render_slate
from recsvc.serving.offers.deciding import decide
from recsvc.serving.offers.facts import Facts
from recsvc.serving.offers.slates import slate_of
from recsvc.serving.offers.table import make_table

from ..small_bank import CONTENT, END, OFFER, POLICY, World, ids
from .offer_rules import Asked, Situation, caps_broken, forbidden_by
from .offers_at_random import faults
from .random_offers import LOCALES, PLACEMENTS, random_customer, random_offers, random_policy

WILLING = Consents(personalisation=True, marketing=tuple(Channel))
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)


def world_with(world: World, **offers: Any) -> World:
    policy = replace(POLICY, offers=msgspec.structs.replace(POLICY.offers, **offers))
    return World(
        world.registry.folder, items=world.items.items(), customers=world.customers.each(), policy=policy
    )


def offer(item_id: str, category: str | None = "special", **terms: Any) -> Item:
    return Item(item_id, OFFER, category=category, terms=OfferTerms(value=Decimal(1_000), **terms))


def show(world: World, customer_id: str, body: dict[str, Any]) -> None:
    """All of a slate comes on the customer's screen."""
    seen = [
        Interaction(
            f"i-{body['slate_id']}-{one['item_id']}-{world.now.timestamp()}",
            "impression",
            customer_id,
            one["item_id"],
            world.now,
            channel=Channel(body["channel"]),
            slate_id=body["slate_id"],
        )
        for one in body["items"]
    ]
    if seen:
        world.events.append(seen, received_at=world.now)
        world.cache.move_epoch(customer_id)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_tier_answers_holds_only_what_is_allowed_then(world: World, seed: int) -> None:
    """Random banks beside a trained model; lists of cache and engine, shown or not, as time goes by."""
    draw = Random(f"served/{seed}")
    policy = random_policy(draw)
    # One that many may have, and that ends while lists with it are kept.
    ending = replace(offer("ending"), valid_to=END + draw.choice((20, 33, 61)) * SECOND)
    added = (*random_offers(draw, END, 10), ending)
    there = World(
        world.registry.folder,
        items=[*world.items.items(), *added],
        customers=world.customers.each(),
        policy=policy,
    )
    who = ["c0001", "c0002", "nobody", "somebody"]
    written = {}
    for customer_id in who:
        if customer_id != "nobody" and draw.random() < 0.8:
            there.record(random_customer(draw, customer_id, END))
            written[customer_id] = END
    contacts: dict[str, set[tuple[str, str, datetime]]] = defaultdict(set)
    n_cached = n_served = 0
    request: SlateRequest | None = None
    for step in range(120):
        # Seconds at first, in which offers and assessments end while lists with them are kept.
        there.now += draw.choice((0, 3, 7) if step < 40 else (0, 3, 30, 3_600, 40_000)) * SECOND
        there.seconds = (there.now - END).total_seconds()
        if request is None or draw.random() < 0.5:
            request = SlateRequest(
                OFFER,
                draw.choice(who),
                limit=draw.choice((3, 100)),
                channel=draw.choice((Channel.WEB, Channel.EMAIL)),
                placement=draw.choice(PLACEMENTS[:2]),
                locale=draw.choice((None, *LOCALES)),
            )
        customer_id = request.customer_id
        served = there.cached.recommend(request)
        body = json.loads(served.body)
        n_cached += served.cache is CacheStatus.HIT
        chosen = ids_in(body)
        n_served += len(chosen)
        asked = Asked(there.now, request.channel, request.placement, body["locale"], beside=())
        record = there.customers.get(customer_id)
        known = Situation(
            policy,
            record.value if record else None,
            written.get(customer_id),
            [*there.events.of_customer(customer_id)],
            there.catalogue.view.known,
        )
        offers = {one.item_id: one for one in there.items.items() if one.kind is OFFER}
        verdicts = {name: forbidden_by(one, asked, known) for name, one in offers.items()}
        found = faults(chosen, verdicts, offers, request.limit)
        # A contact that is reserved for an earlier list is none that the rules know of.
        wrong = [one for one in found if "is not on the list" not in one]
        assert wrong == [], f"{served.cache} at {there.now}"
        if draw.random() < 0.4:
            show(there, customer_id, body)
            known_slates = {(name, slate) for name, slate, _ in contacts[customer_id]}
            contacts[customer_id] |= {
                (name, body["slate_id"], there.now)
                for name in chosen
                if (name, body["slate_id"]) not in known_slates
            }
        elif draw.random() < 0.2 and chosen:
            there.did(customer_id, draw.choice(("dismiss", "reject", "click")), chosen[0])
            there.cache.move_epoch(customer_id)
    for of_customer in contacts.values():
        in_time = sorted(((name, at) for name, _, at in of_customer), key=lambda one: one[1])
        assert caps_broken(in_time, {one.item_id: one for one in added}) == []
    for one in added:
        n_contacts = sum(name == one.item_id for found in contacts.values() for name, _, _ in found)
        terms = one.offer_terms
        assert terms.inventory is None or n_contacts <= terms.inventory
        assert terms.budget is None or n_contacts * terms.budget.unit_cost <= terms.budget.total
    assert n_served and n_cached


def ids_in(body: dict[str, Any]) -> list[str]:
    return [one["item_id"] for one in body["items"]]


def test_every_offer_says_what_its_place_was_computed_from(world: World) -> None:
    slate = world.slate(OFFER, "c0001", limit=100)
    priorities = []
    for item in slate.items:
        assert isinstance(item, OfferItem) and item.priority is not None
        factors = item.priority
        assert 0 < factors.propensity < 1
        assert item.propensity == 1.0 and not item.explored
        priorities.append(factors.propensity * factors.context * factors.value * factors.lever)
    assert len(priorities) > 5


def test_a_cap_holds_over_slates_that_were_shown(world: World) -> None:
    there = world_with(world)
    there.put(offer("rare", caps=(Cap(2, 24.0),)))
    met = []
    for _ in range(4):
        body = json.loads(render_slate(there.slate(OFFER, "c0001")))
        met.append("rare" in ids_in(body))
        show(there, "c0001", body)
        there.now += HOUR
    assert met == [True, True, False, False]
    there.now += DAY
    assert "rare" in ids(there.slate(OFFER, "c0001"))


def test_what_was_reserved_and_never_shown_comes_back(world: World) -> None:
    there = world_with(world)
    there.put(offer("single", inventory=1))
    assert "single" in ids(there.slate(OFFER, "c0001"))
    assert "single" not in ids(there.slate(OFFER, "c0002"))
    there.now += timedelta(seconds=60, minutes=30)
    assert "single" in ids(there.slate(OFFER, "c0002"))


def test_a_cap_over_all_offers_shortens_the_list(world: World) -> None:
    there = world_with(world, contact_caps=(ContactCapPolicy("all", 3, 24.0),))
    slate = there.slate(OFFER, "c0001")
    assert len(slate.items) == 3
    judged = there.decisions.kept[-1].judged
    assert {one.refused_by for one in judged.each()} >= {Gate.CAP}


@pytest.mark.parametrize("part", ["log", "contacts"])
def test_without_its_store_no_offer_goes_out(
    world: World, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = world_with(world)
    there.put(offer("capped", caps=(Cap(1, 24.0),)))
    if part == "log":
        there.decisions.is_down = True
    else:

        def down(*_: object, **__: object) -> None:
            raise StoreError("the counts do not answer")

        monkeypatch.setattr(there.contacts, "shortages", down)
    slate = there.slate(OFFER, "c0001")
    assert (slate.items, slate.degraded) == ((), ("store",))
    monkeypatch.undo()
    there.decisions.is_down = False
    assert "capped" in ids(there.slate(OFFER, "c0001")), "what was reserved for the list was given back"


def test_no_loan_stands_beside_help_with_debts(world: World) -> None:
    there = world_with(world, pairs=(PairPolicy(content=("debt help",), offers=("borrowing",)),))
    there.put(offer("loan", "borrowing"), Item("help", category="debt help"))
    assert "loan" in ids(there.slate(OFFER, "c0001"))
    there.rule("pin", item_id="help")
    assert "help" in ids(there.slate(CONTENT, "c0001"))
    assert "loan" not in ids(there.slate(OFFER, "c0001"))


def test_what_was_decided_can_be_decided_again_to_the_byte(world: World) -> None:
    there = world_with(world, exploration=0.05)
    there.put(offer("capped", caps=(Cap(1, 24.0),)), offer("adults", eligibility=ADULTS))
    fields = known_fields(there.policy)
    for customer_id in ("c0001", "c0002", "nobody", "c0003"):
        slate = there.slate(OFFER, customer_id, explain=True)
        kept = there.decisions.kept[-1]
        facts = msgspec.json.decode(kept.facts, type=Facts)
        judged = set(kept.judged.offer_ids)
        table = make_table([one for one in there.items.items() if one.item_id in judged], fields)
        assert facts.answer is not None
        again = decide(facts, table, there.policy.offers)
        assert (again.judged, again.chosen) == (kept.judged, kept.chosen)
        body = render_slate(slate_of(facts, facts.answer, again, table))
        assert body == render_slate(slate)
        assert hashlib.sha256(body).hexdigest() == kept.body_digest


ADULTS = {"field": "attributes.age", "op": "at_least", "value": 18}


def test_a_visitor_is_offered_nothing_whose_contacts_are_counted(world: World) -> None:
    there = world_with(world)
    there.put(offer("capped", caps=(Cap(1, 24.0),)), offer("open"))
    slate = there.engine.recommend_visitor(SlateRequest(OFFER, ""), ())
    assert "open" in ids(slate) and "capped" not in ids(slate)
