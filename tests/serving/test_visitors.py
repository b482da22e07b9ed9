"""Lists for visitors: known by nothing but what they did in this session."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from typing import Any

from recsvc.domain.interactions import Interaction
from recsvc.domain.slates import ANONYMOUS, Slate, SlateRequest, Source
from tests.small_bank import CONTENT, OFFER, World, ids


def visit(world: World, *done: tuple[str, str | None], kind: Any = CONTENT, **wanted: Any) -> Slate:
    places = count(1)
    did = [
        Interaction(f"v{place}", type, "anonymous", item_id, world.now + timedelta(milliseconds=place))
        for (type, item_id), place in zip(done, places, strict=False)
    ]
    return world.engine.recommend_visitor(SlateRequest(kind, ANONYMOUS, **wanted), did)


def test_a_visitor_who_did_nothing_gets_the_popular_list(world: World) -> None:
    slate = visit(world)
    assert slate.customer_id is None
    assert slate.source is Source.POPULAR
    assert len(slate.items) == 10


def test_what_a_visitor_did_is_folded_in_as_that_of_a_new_customer(world: World) -> None:
    first, second = ids(world.slate(CONTENT, "nobody"))[:2]
    slate = visit(world, ("like", first), ("click", second))
    assert slate.source is Source.FOLDED_IN
    assert not {first, second} & set(ids(slate))
    assert ids(slate) != ids(visit(world))


def test_what_a_visitor_dismissed_is_gone(world: World) -> None:
    first = ids(visit(world))[0]
    assert first not in ids(visit(world, ("dismiss", first)))


def test_a_visitor_who_complained_sees_no_offers(world: World) -> None:
    assert visit(world, kind=OFFER).items
    assert not visit(world, ("complaint", None), kind=OFFER).items


def test_no_visitor_sees_an_offer_with_a_risk(world: World) -> None:
    offers = visit(world, kind=OFFER, limit=100).items
    by_id = {item.item_id: item for item in world.items.items()}
    assert offers
    assert all((by_id[offer.item_id].offer_terms.risk_class or 0) == 0 for offer in offers)


def test_nothing_of_a_visit_is_kept(world: World) -> None:
    before = ids(visit(world))
    visit(world, ("like", before[0]), ("dismiss", before[1]))
    assert ids(visit(world)) == before
    assert world.events.last_sequence() == 0
