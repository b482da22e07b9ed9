"""Whatever goes wrong with what is live, there is an answer without it, and it is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from recsvc.domain.slates import Slate, SlateRequest
from recsvc.serving.answers import CacheStatus
from recsvc.serving.engine import Engine
from recsvc.serving.live_access import FAILING_SECONDS

from ..small_bank import CONTENT, World

CUSTOMER = "c0001"


def break_live(world: World) -> None:
    """Let the state of every model raise what names a customer."""

    def broken(half_life: int, at: float) -> Any:
        raise KeyError(CUSTOMER)

    for follower in [kept.follower for kept in world.feed._kept.values()]:
        follower.state.log_counts = broken  # type: ignore[method-assign]


def without_live(world: World) -> Slate:
    reader = world.live._states
    world.live._states = None
    slate = world.slate(CONTENT, CUSTOMER)
    world.live._states = reader
    return slate


def test_a_live_state_that_is_broken_leaves_the_lists_as_if_there_were_none(world: World) -> None:
    whole, alone = world.slate(CONTENT, CUSTOMER), without_live(world)
    assert whole.items != alone.items
    break_live(world)
    slate = world.slate(CONTENT, CUSTOMER)
    assert slate.items == alone.items
    assert (whole.degraded, alone.degraded, slate.degraded) == ((), (), ("live",))


def test_a_list_that_had_to_do_without_what_is_live_is_not_kept(world: World) -> None:
    break_live(world)
    request = SlateRequest(CONTENT, CUSTOMER)
    assert [world.cached.recommend(request).cache for _ in range(2)] == [CacheStatus.MISS] * 2


def test_a_broken_live_state_is_told_once_and_names_nobody(world: World) -> None:
    break_live(world)
    with capture_logs() as logs:
        for _ in range(3):
            world.slate(CONTENT, CUSTOMER)
    (told,) = [one for one in logs if one["event"] == "live_state_unusable"]
    assert told["error"] == "KeyError" and told["place"].startswith("test_live_access.py:")
    assert CUSTOMER not in str(told)


@pytest.mark.parametrize(
    "ask",
    [
        lambda world: world.slate(CONTENT, CUSTOMER),
        lambda world: world.browser.trending(
            kind=CONTENT, limit=3, channel=SlateRequest(CONTENT, CUSTOMER).channel, locale=None, categories=()
        ),
    ],
    ids=["slate", "trending"],
)
def test_for_a_while_a_worker_says_that_it_had_to_do_without(
    world: World, ask: Callable[[World], object]
) -> None:
    break_live(world)
    before = world.health.report().degraded
    ask(world)
    world.seconds += FAILING_SECONDS - 1
    (kept,) = world.feed._kept.values()
    kept.caught_up_at = world.seconds
    during = world.health.report().degraded
    world.seconds += 2
    kept.caught_up_at = world.seconds
    assert (before, during, world.health.report().degraded) == ((), ("live",), ())


def test_what_fails_without_it_too_is_not_its_fault(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*of: object) -> None:
        raise ZeroDivisionError("somewhere else")

    monkeypatch.setattr(Engine, "_slate", broken)
    with capture_logs() as logs, pytest.raises(ZeroDivisionError):
        world.slate(CONTENT, CUSTOMER)
    assert not [one for one in logs if one["event"] == "live_state_unusable"]
    assert world.health.report().degraded == ()


def test_a_model_whose_live_state_is_not_there_serves_without_it_and_says_so(world: World) -> None:
    alone = without_live(world)
    world.feed._kept = {}
    slate = world.slate(CONTENT, CUSTOMER)
    assert (slate.items, slate.degraded) == (alone.items, ("live",))


def test_a_list_knows_what_another_worker_stored_a_moment_ago(world: World) -> None:
    """The store is looked into again after a twentieth of a second; nobody follows it meanwhile."""

    def known_after(seconds: float, customer_id: str) -> bool:
        world.slate(CONTENT, "nobody")
        world.did(customer_id, "view", "a0001")
        world.seconds += seconds
        world.slate(CONTENT, "nobody")
        (kept,) = world.feed._kept.values()
        return kept.follower.state.customer_row(customer_id) is not None

    world.seconds += 1.0
    assert known_after(0.06, "reader-1")
    assert not known_after(0.01, "reader-2")
