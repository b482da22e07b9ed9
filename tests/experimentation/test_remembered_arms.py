"""Whoever asks again is in the arm that they would be dealt to, whatever was remembered."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from msgspec.structs import replace as with_changes

from recsvc.domain.items import ItemKind
from recsvc.domain.slates import SlateRequest
from recsvc.experimentation.remembered_arms import RememberedArms
from recsvc.experimentation.running import Dealing

from .test_running import CUSTOMERS, NOW, Process, Registered, a_test


def dealt(*tests: object) -> Dealing:
    dealing = Process(Registered(*tests)).running.dealing  # type: ignore[arg-type]
    assert dealing is not None
    return dealing


def ask(customer_id: str) -> SlateRequest:
    return SlateRequest(ItemKind.CONTENT, customer_id)


def test_whoever_asks_again_gets_the_same_arm_without_being_dealt_again() -> None:
    arms, dealing = RememberedArms(), dealt(a_test())
    for customer_id in CUSTOMERS[:50]:
        first = arms.of(ask(customer_id), customer_id, dealing, NOW)
        assert (first.held, first.arm) == dealing.arms_of(customer_id, NOW)
        assert first.request == with_changes(ask(customer_id), arm=first.arm)
        assert arms.of(ask(customer_id), customer_id, dealing, NOW) is first


def test_another_dealing_is_another_memory() -> None:
    arms, before, after = RememberedArms(), dealt(a_test()), dealt(replace(a_test(), phase=2))
    moved = 0
    for customer_id in CUSTOMERS[:200]:
        for dealing in (before, after, before):
            found = arms.of(ask(customer_id), customer_id, dealing, NOW)
            assert (found.held, found.arm) == dealing.arms_of(customer_id, NOW)
        moved += before.arms_of(customer_id, NOW) != after.arms_of(customer_id, NOW)
    assert moved


def test_a_login_that_makes_a_customer_another_unit_is_seen() -> None:
    arms, dealing = RememberedArms(), dealt(a_test())
    for unit in CUSTOMERS[:20]:
        assert arms.of(ask("c1"), unit, dealing, NOW).arm == dealing.arms_of(unit, NOW)[1]


def test_once_an_experiment_has_ended_nobody_is_in_it() -> None:
    end = NOW + timedelta(hours=1)
    arms, dealing = RememberedArms(), dealt(replace(a_test(), end=end))
    inside = next(one for one in CUSTOMERS if dealing.arms_of(one, NOW)[1])
    assert arms.of(ask(inside), inside, dealing, end - timedelta(microseconds=1)).arm
    after = arms.of(ask(inside), inside, dealing, end)
    assert (after.arm, after.request) == (None, ask(inside))


def test_what_is_remembered_stays_bounded() -> None:
    arms, dealing = RememberedArms(3), dealt(a_test())
    for customer_id in CUSTOMERS[:50]:
        arms.of(ask(customer_id), customer_id, dealing, NOW)
    assert arms._memory is not None
    assert len(arms._memory.placed) <= 3


def test_a_look_that_finds_nothing_new_leaves_the_same_dealing() -> None:
    process = Process(Registered(a_test()))
    before = process.running.dealing
    process.running.refresh()
    assert process.running.dealing is before is not None
