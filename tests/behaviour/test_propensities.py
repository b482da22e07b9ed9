"""Offers come by who responds to what, where that could be learned, and only with consent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from recsvc.bundles.registry import Registry
from recsvc.domain.customers import Consents, Customer
from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Channel, Item
from recsvc.domain.slates import OfferItem, Slate, SlateRequest
from recsvc.policy import Policy
from recsvc.sample_bank import SampleBank
from recsvc.serving.offers.replaying import replay

from ..small_bank import OFFER, POLICY, World, publish_changed
from ..training.propensity.examples import OFFERS, UNTIL, fitted, happenings

ALL = tuple(Channel)
WILLING = Consents(personalisation=True, marketing=ALL)
UNWILLING = Consents(personalisation=False, marketing=ALL)


@pytest.fixture
def knowing(bank_in_small: SampleBank, shelf: tuple[Path, Path]) -> World:
    """A world whose champion has learned from offers sent, with what it learned from in the store."""
    choice = fitted()
    bundle = publish_changed(
        shelf[0], lambda arrays: arrays.update(choice.arrays), {"propensity": choice.model}
    )
    Registry(bundle.parent).promote(bundle.name)
    return world_over(bundle.parent, bank_in_small.items)


def world_over(folder: Path, items: Iterable[Item], policy: Policy = POLICY) -> World:
    offers = (replace(one, channels=()) for one in OFFERS)
    world = World(folder, items=[*items, *offers], policy=policy, now=UNTIL)
    world.events.append(_of(happenings()), received_at=UNTIL)
    return world


def _of(happenings: tuple[Interaction, ...]) -> list[Interaction]:
    return [one for one in happenings if one.customer_id in ("c000", *SPENDERS, *SAVERS)]


def _spent(customer_id: str) -> float:
    return sum(float(one.value or 0) for one in happenings() if one.customer_id == customer_id)


BY_SPENDING = sorted({one.customer_id for one in happenings()}, key=_spent)
SAVERS, SPENDERS = BY_SPENDING[:8], BY_SPENDING[-8:]


def propensities(slate: Slate) -> dict[str, float]:
    """P of the offers that the model learned from."""
    found = {}
    for one in slate.items:
        assert isinstance(one, OfferItem) and one.priority is not None
        if one.item_id in LEARNED:
            found[one.item_id] = one.priority.propensity
    return found


LEARNED = {one.item_id for one in OFFERS}


def offers_of(world: World, customer_id: str, consents: Consents = WILLING) -> Slate:
    world.record(Customer(customer_id, consents=consents, attributes={"age": 40}))
    return world.slate(OFFER, customer_id, limit=100)


def test_who_spends_more_is_told_to_be_likelier_to_respond(knowing: World) -> None:
    of_spenders = [propensities(offers_of(knowing, one)) for one in SPENDERS]
    of_savers = [propensities(offers_of(knowing, one)) for one in SAVERS]
    assert all(of.keys() == LEARNED for of in (*of_spenders, *of_savers))
    hardest = "o3"
    assert sum(of[hardest] for of in of_spenders) > sum(of[hardest] for of in of_savers) + 8 * 0.3


def test_what_is_told_is_what_the_model_says_of_the_whole_table(knowing: World) -> None:
    slate = offers_of(knowing, "c000")
    model, _ = knowing.catalogue.model_and_view()
    assert model is not None and model.propensities is not None
    asked = model.propensities
    offers: tuple[Item, ...] = tuple(knowing.catalogue.view.items[name] for name in sorted(LEARNED))
    did = [one for one in happenings() if one.customer_id == "c000"]
    facts = asked.facts({"age": 40}, did, offers, knowing.now)
    wanted = asked.propensities(facts, offers, Channel.WEB).round(6).tolist()
    assert propensities(slate) == dict(zip(sorted(LEARNED), wanted, strict=True))


def test_without_consent_everybody_is_somebody_unknown(knowing: World) -> None:
    unknown = propensities(offers_of(knowing, "nobody", UNWILLING))
    for one in ("c000", *SPENDERS):
        assert propensities(offers_of(knowing, one, UNWILLING)) == unknown
    assert propensities(offers_of(knowing, SPENDERS[0])) != unknown


def test_what_a_visitor_did_in_the_session_counts(knowing: World) -> None:
    bought = [one for one in happenings() if one.customer_id == SPENDERS[0] and one.value is not None]
    request = SlateRequest(OFFER, "", limit=100)
    new = propensities(knowing.engine.recommend_visitor(request, []))
    spender = propensities(knowing.engine.recommend_visitor(request, bought))
    assert new.keys() == spender.keys() == LEARNED
    assert spender["o3"] > new["o3"]


def test_a_decision_with_propensities_is_made_again_byte_for_byte(knowing: World) -> None:
    exploring = replace(POLICY, offers=msgspec.structs.replace(POLICY.offers, exploration=0.2))
    there = world_over(knowing.registry.folder, (), exploring)
    for customer_id in (*SPENDERS, *SAVERS):
        offers_of(there, customer_id)
    assert len(there.decisions.kept) == 16
    for kept in there.decisions.kept:
        again = replay(kept, there.decisions.grounds[kept.grounds])
        assert again.differs == ()
