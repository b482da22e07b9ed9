"""Why an offer is made to a customer, and why not: explanations agree with the lists, and name every gate."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from recsvc.domain.customers import Consents, Customer, Suitability
from recsvc.domain.decisions import Gate
from recsvc.domain.items import Channel, ItemStatus
from recsvc.domain.offer_terms import Cap
from recsvc.domain.slates import SlateRequest
from recsvc.errors import NotFoundError, StoreError
from recsvc.serving.customers import SubjectReader

from ..small_bank import END, OFFER, DownStore, World
from .random_offers import random_customer, random_offers, random_policy
from .test_served_offers import offer, world_with

WILLING = Consents(personalisation=True, marketing=tuple(Channel))


@pytest.mark.parametrize("seed", range(5))
def test_an_explanation_agrees_with_the_list_on_every_offer(world: World, seed: int) -> None:
    draw = Random(f"explained/{seed}")
    there = World(
        world.registry.folder,
        items=[*world.items.items(), *random_offers(draw, END, 30)],
        customers=world.customers.each(),
        policy=random_policy(draw),
    )
    for customer_id in ("c0001", "somebody"):
        there.record(random_customer(draw, customer_id, END))
        request = SlateRequest(OFFER, customer_id, limit=5)
        # Explained first: to make the list takes contacts.
        offers = [one for one in there.items.items() if one.kind is OFFER]
        explained = {one.item_id: there.engine.explain_offer(request, one.item_id) for one in offers}
        slate = there.engine.recommend(request)
        places = {one.item_id: one.position for one in slate.items}
        for offer_id, found in explained.items():
            assert found.position == places.get(offer_id), offer_id
            shut = tuple(one.gate for one in found.findings if not one.passed)
            if found.refused_by is not None and found.refused_by is not Gate.GROUP:
                assert shut == (found.refused_by, *found.also_refused_by)
            if found.position is not None:
                assert shut == () and found.priority is not None
        judged = {one.offer_id: one.refused_by for one in there.decisions.kept[-1].judged.each()}
        assert judged and {name: explained[name].refused_by for name in judged} == judged


def test_every_gate_that_shuts_is_named_with_what_would_open_it(world: World) -> None:
    there = world_with(world)
    risky = replace(offer("risky", risk_class=6, jurisdictions=("JP",)), status=ItemStatus.PAUSED)
    there.put(risky)
    there.record(Customer("c0001", consents=WILLING, suitability=Suitability(max_risk_class=3)))
    found = there.engine.explain_offer(SlateRequest(OFFER, "c0001"), "risky")
    assert found.refused_by is Gate.SUITABILITY
    assert found.also_refused_by == (Gate.STATUS, Gate.JURISDICTION)
    suitability = next(one for one in found.findings if one.gate is Gate.SUITABILITY)
    assert {3, 6} <= set(suitability.compared.values()) and suitability.remedy
    assert all(one.remedy is None for one in found.findings if one.passed)
    assert "not suitable" in found.sentence


def test_to_explain_takes_no_contact_and_keeps_no_decision(world: World) -> None:
    there = world_with(world)
    there.put(offer("rare", caps=(Cap(1, 24),), inventory=1))
    there.record(Customer("c0001", consents=WILLING))
    for _ in range(3):
        assert there.engine.explain_offer(SlateRequest(OFFER, "c0001", limit=100), "rare").position
    assert there.decisions.kept == []
    there.engine.recommend(SlateRequest(OFFER, "c0001", limit=100))
    found = there.engine.explain_offer(SlateRequest(OFFER, "c0001", limit=100), "rare")
    assert found.refused_by is Gate.CAP


def test_a_stranger_is_explained_and_an_unknown_offer_is_not(world: World) -> None:
    found = world.engine.explain_offer(SlateRequest(OFFER, "nobody-yet"), "o01")
    assert found.findings and found.as_of == END
    with pytest.raises(NotFoundError):
        world.engine.explain_offer(SlateRequest(OFFER, "nobody-yet"), "o-none")


def test_while_the_store_is_away_nothing_is_explained(world: World) -> None:
    engine = world.engine_over(SubjectReader(DownStore(), world.events, world.policy))
    with pytest.raises(StoreError):
        engine.explain_offer(SlateRequest(OFFER, "c0001"), "o01")
