"""So many lists at a time, so much of them for a request; whoever gets none is answered all the same."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import count, repeat
from typing import Any

import pytest

from recsvc.domain.slates import Slate, SlateRequest, Source
from recsvc.serving.bounded import BoundedEngine
from recsvc.serving.caching import CachedEngine

from ..small_bank import CONTENT, OFFER, World, ids, who


def bounded_over(world: World, engine: Any = None, cpu: Iterator[float] | None = None) -> BoundedEngine:
    clock = cpu or repeat(0.0)
    return BoundedEngine(engine or world.engine, n_places=1, cpu_clock=lambda: next(clock), wait_seconds=0.01)


class HeldUp:
    """An engine that makes nothing until it is let go."""

    def __init__(self, world: World) -> None:
        self._engine = world.engine
        self.began, self.may_go_on = threading.Event(), threading.Event()
        self.recommend_at_once = world.engine.recommend_at_once
        self.n_made = 0

    def recommend(self, request: SlateRequest) -> Slate:
        self.n_made += 1
        self.began.set()
        assert self.may_go_on.wait(30)
        return self._engine.recommend(request)


def test_who_gets_no_place_gets_what_is_popular_at_once(world: World) -> None:
    held_up = HeldUp(world)
    bounded = bounded_over(world, held_up)
    first, second = who(world.customers.each())[:2]
    made: list[Slate] = []
    maker = threading.Thread(target=lambda: made.append(bounded.recommend(SlateRequest(CONTENT, first))))
    maker.start()
    assert held_up.began.wait(30)
    at_once = bounded.recommend(SlateRequest(CONTENT, second))
    assert held_up.n_made == 1
    assert (at_once.source, at_once.degraded) == (Source.POPULAR, ("load",))
    assert at_once.customer_id == second and len(at_once.items) == 10
    held_up.may_go_on.set()
    maker.join()
    (whole,) = made
    assert whole.degraded == () and whole.source is not Source.POPULAR
    assert bounded.recommend(SlateRequest(CONTENT, second)).degraded == ()


def test_a_place_comes_back_when_making_fails(world: World) -> None:
    class Failing:
        recommend_at_once = world.engine.recommend_at_once
        is_broken = True

        def recommend(self, request: SlateRequest) -> Slate:
            if self.is_broken:
                raise RuntimeError("broken")
            return world.engine.recommend(request)

    failing = Failing()
    bounded = bounded_over(world, failing)
    request = SlateRequest(CONTENT, "c0001")
    for _ in range(3):
        with pytest.raises(RuntimeError):
            bounded.recommend(request)
    failing.is_broken = False
    assert bounded.recommend(request).degraded == ()


def test_a_request_makes_lists_until_its_allowance_is_used_up(world: World) -> None:
    bounded = bounded_over(world, cpu=count(0.0, 0.1))  # At each look a tenth is gone.
    request = SlateRequest(CONTENT, "c0001")
    with bounded.allowance(0.25):
        degraded = [bounded.recommend(request).degraded for _ in range(5)]
    assert degraded == [(), (), ("load",), ("load",), ("load",)]
    assert bounded.recommend(request).degraded == ()  # The next request begins anew.


def test_an_allowance_is_the_threads_own(world: World) -> None:
    bounded = bounded_over(world, cpu=count(0.0, 0.1))
    request, others = SlateRequest(CONTENT, "c0001"), list[Slate]()
    with bounded.allowance(0.05):
        other = threading.Thread(target=lambda: others.append(bounded.recommend(request)))
        other.start()
        other.join()
        assert bounded.recommend(request).degraded == ("load",)
    assert others[0].degraded == ()


def test_without_a_place_no_offer_is_made_and_nothing_is_reserved_or_logged(world: World) -> None:
    bounded = bounded_over(world)
    customer_id = next(one for one in who(world.customers.each()) if ids(world.slate(OFFER, one)))
    kept = len(world.decisions.kept)
    with bounded.allowance(-1):
        slate = bounded.recommend(SlateRequest(OFFER, customer_id))
    assert slate.items == () and slate.degraded == ("load",)
    assert len(world.decisions.kept) == kept


def test_a_list_made_at_once_is_kept_by_nobody(world: World) -> None:
    bounded = bounded_over(world)
    cached = CachedEngine(bounded, world.cache, world.catalogue, "p1", clock=lambda: world.now)
    request = SlateRequest(CONTENT, who(world.customers.each())[0])
    with bounded.allowance(-1):
        assert b'"degraded":["load"]' in cached.recommend(request).body
    assert b'"degraded":[]' in cached.recommend(request).body


def test_visitors_are_answered_at_once_too(world: World) -> None:
    bounded = bounded_over(world)
    with bounded.allowance(-1):
        slate = bounded.recommend_visitor(SlateRequest(CONTENT, ""), [])
    assert slate.degraded == ("load",) and slate.customer_id is None and slate.items
