"""A decision that was kept is made again, byte for byte, from what the log holds alone."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random

import msgspec
import pytest
from msgspec.structs import replace as with_changes

from recsvc.domain.decision_chain import Break
from recsvc.domain.items import Channel
from recsvc.domain.slates import SlateRequest
from recsvc.serving.answers import render_slate
from recsvc.serving.offers.replaying import replay
from recsvc.stores.database import open_database
from recsvc.stores.decisions import SqlDecisions
from tests.offer_ledgers import enter

from ..small_bank import END, OFFER, World
from .random_offers import LOCALES, PLACEMENTS, random_customer, random_events, random_offers, random_policy

N_WORLDS, N_EACH = 20, 50


def test_a_thousand_random_decisions_come_out_again_byte_for_byte(world: World, tmp_path: Path) -> None:
    bodies: dict[str, bytes] = {}
    with closing(open_database(f"sqlite:///{tmp_path / 'log.sqlite3'}")) as database:
        log = SqlDecisions(database)
        for number in range(N_WORLDS):
            there, served = a_world(world, number)
            for kept in there.decisions.kept:
                # Ids count anew in every world.
                enter(database, kept, there.decisions.grounds[kept.grounds])
            bodies |= served
        assert len(bodies) == N_WORLDS * N_EACH
        n_offers = 0
        for decision_id, body in bodies.items():
            decision = log.get(decision_id)
            again = replay(decision, log.grounds(decision.grounds))
            assert (again.body, again.differs) == (body, ()), decision_id
            n_offers += len(decision.chosen)
        assert n_offers > 1_000
        assert not any(isinstance(one, Break) for one, _ in log.verified())


def a_world(world: World, number: int) -> tuple[World, dict[str, bytes]]:
    """A random policy, customers and offers, which change between decisions; and what was answered."""
    draw = Random(f"replayed/{number}")
    there = World(
        world.registry.folder,
        items=[*world.items.items(), *random_offers(draw, END, 15)],
        customers=world.customers.each(),
        policy=random_policy(draw),
    )
    there._ids = iter(f"{number}-{place}" for place in range(10_000))  # type: ignore[assignment]
    served: dict[str, bytes] = {}
    for _ in range(N_EACH):
        customer_id = draw.choice(("c0001", "c0002", "c0003", "nobody"))
        if draw.random() < 0.3:
            there.record(random_customer(draw, customer_id, there.now))
        if draw.random() < 0.2:
            there.put(*random_offers(draw, there.now, 3))
        if draw.random() < 0.3:
            offers = [one for one in there.items.items() if one.kind is OFFER]
            happened = random_events(draw, f"{customer_id}", offers, there.now)
            there.events.append(
                [with_changes(one, event_id=f"{number}-{len(served)}-{one.event_id}") for one in happened],
                received_at=there.now,
            )
        request = SlateRequest(
            OFFER,
            customer_id,
            limit=draw.choice((3, 10)),
            channel=draw.choice((Channel.WEB, Channel.EMAIL)),
            placement=draw.choice(PLACEMENTS[:2]),
            locale=draw.choice((None, *LOCALES)),
            explain=draw.random() < 0.5,
        )
        slate = there.engine.recommend(request)
        served[slate.slate_id] = render_slate(slate)
    return there, served


@pytest.mark.parametrize("field", ["facts", "chosen", "body_digest"])
def test_a_decision_that_is_not_what_was_decided_is_told(world: World, field: str) -> None:
    slate = world.engine.recommend(SlateRequest(OFFER, "c0001"))
    (kept,) = world.decisions.kept
    grounds = world.decisions.grounds[kept.grounds]
    assert replay(kept, grounds).differs == () and len(slate.items) > 1
    if field == "facts":
        facts = msgspec.json.decode(kept.facts)
        facts["customer"]["may_market"] = False
        facts["answer"]["reasons"] = []
        changed = replace(kept, facts=msgspec.json.encode(facts).decode())
        assert "chosen" in replay(changed, grounds).differs
    elif field == "chosen":
        assert replay(replace(kept, chosen=kept.chosen[1:]), grounds).differs == ("chosen",)
    else:
        assert replay(replace(kept, body_digest="ff"), grounds).differs == ("body_digest",)
