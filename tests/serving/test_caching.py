"""A kept slate is served as it was, for as long as everything that it depends on stands."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields, replace

from recsvc.domain.items import Channel, Item, ItemKind
from recsvc.domain.slates import Arm, Fetched, SlateKey, SlateRequest
from recsvc.serving.answers import CacheStatus, ServedSlate
from recsvc.serving.customers import SubjectReader
from recsvc.serving.slate_places import MAX_KEYS, SlateKeys, slate_key

from ..small_bank import CONTENT, OFFER, POLICY, DownCache, DownStore, World

REQUEST = SlateRequest(CONTENT, "c0001")
OTHERWISE: dict[str, Any] = {
    "kind": OFFER,
    "customer_id": "c0002",
    "limit": 11,
    "channel": Channel.EMAIL,
    "placement": "home",
    "locale": "zh",
    "categories": ("saving",),
    "exclude": ("a0001",),
    "diversity": 0.5,
    "explain": True,
    "arm": Arm("reading", 1, "a"),
}

ARMS = [
    None,
    Arm("e1", 1, "a"),
    Arm("e1", 1, "a", "v1"),
    Arm("e1", 1, "b", "v1"),
    Arm("e1", 2, "a", "v1"),
    Arm("e2", 1, "a", "v1", (("calibration", 0.0),)),
    Arm("e2", 1, "a", "v1", (("calibration", 0.9),)),
]
requests = st.builds(
    SlateRequest,
    kind=st.sampled_from(ItemKind),
    customer_id=st.sampled_from(["c1", "c2", "c1:web"]),
    limit=st.integers(1, 3),
    channel=st.sampled_from([Channel.WEB, Channel.EMAIL]),
    placement=st.sampled_from(["home", "default"]),
    locale=st.sampled_from([None, "en", "zh"]),
    categories=st.lists(st.sampled_from(["a", "b", "a,b"]), max_size=2).map(tuple),
    exclude=st.lists(st.sampled_from(["a", "b", "ab"]), max_size=2).map(tuple),
    diversity=st.sampled_from([0.0, 0.5, 1.0]),
    explain=st.booleans(),
    arm=st.sampled_from(ARMS),
)
inputs = st.tuples(requests, st.sampled_from(["1:v1", "1:v2", "11:v1"]), st.sampled_from(["p1", "p2"]))


def ask(world: World, request: SlateRequest = REQUEST) -> ServedSlate:
    return world.cached.recommend(request)


@given(inputs, inputs)
def test_keys_are_equal_exactly_when_everything_that_they_stand_for_is(one: Any, other: Any) -> None:
    assert (slate_key(*one) == slate_key(*other)) == (one == other)


def test_every_field_of_a_request_has_a_part_in_its_key() -> None:
    assert OTHERWISE.keys() == {field.name for field in fields(SlateRequest)}
    variants = [REQUEST, *(replace(REQUEST, **{name: value}) for name, value in OTHERWISE.items())]
    keys = [slate_key(one, "1:v1", "p1") for one in variants]
    keys += [
        slate_key(REQUEST, "2:v1", "p1"),
        slate_key(REQUEST, "1:v2", "p1"),
        slate_key(REQUEST, "1:v1", "p2"),
    ]
    assert all(one != other for one, other in combinations(keys, 2))


def test_a_key_that_is_remembered_is_the_key_that_would_be_built() -> None:
    keys = SlateKeys("p1")
    variants = [REQUEST, *(replace(REQUEST, **{name: value}) for name, value in OTHERWISE.items())]
    for label in ("1:v1", "2:v1", "1:v1"):
        for one in variants * 2:
            assert keys.key_of(one, label) == slate_key(one, label, "p1")


def test_what_is_remembered_of_keys_stays_bounded() -> None:
    keys = SlateKeys("p1")
    for number in range(MAX_KEYS + 10):
        keys.key_of(replace(REQUEST, customer_id=f"c{number}"), "1:v1")
    assert len(keys._known) <= MAX_KEYS
    n_known = len(keys._known)
    keys.key_of(replace(REQUEST, exclude=("a1",)), "1:v1")
    assert len(keys._known) == n_known


def test_a_second_identical_request_is_a_hit_with_identical_bytes(world: World) -> None:
    first = ask(world)
    second = ask(world)
    assert (first.cache, second.cache) == (CacheStatus.MISS, CacheStatus.HIT)
    assert replace(second, cache=first.cache) == first
    assert json.loads(first.body)["source"] == "personalised"


@pytest.mark.parametrize("name", OTHERWISE)
def test_another_request_is_a_slate_of_its_own(world: World, name: str) -> None:
    ask(world)
    assert ask(world, replace(REQUEST, **{name: OTHERWISE[name]})).cache is CacheStatus.MISS


def test_promoting_another_version_needs_no_flush(world: World, shelf: tuple[Path, Path]) -> None:
    ask(world)
    world.registry.promote(shelf[1].name)
    world.refresh()
    after = ask(world)
    assert (after.cache, after.model_version) == (CacheStatus.MISS, shelf[1].name)
    world.registry.roll_back()
    world.refresh()
    assert (ask(world).cache, ask(world).model_version) == (CacheStatus.HIT, shelf[0].name)


def test_a_change_of_the_catalogue_needs_no_flush(world: World) -> None:
    ask(world)
    world.put(Item("brand-new"))
    assert ask(world).cache is CacheStatus.MISS


def test_another_policy_has_slates_of_its_own(world: World) -> None:
    ask(world)
    world.cached = world.cached_over(world.cache, policy_version="p2")
    assert ask(world).cache is CacheStatus.MISS


def test_a_customer_whose_epoch_moved_gets_a_new_slate(world: World) -> None:
    ask(world)
    world.did("c0001", "like", "a0070")
    world.cache.move_epoch("c0001")
    after = ask(world)
    assert after.cache is CacheStatus.MISS
    assert json.loads(after.body)["source"] == "folded_in"


def test_a_slate_that_ended_is_not_served(world: World) -> None:
    before = ask(world)
    world.now = before.expires_at - timedelta(milliseconds=1)
    assert ask(world).cache is CacheStatus.HIT
    world.now = before.expires_at  # The cache's own clock has not moved.
    assert ask(world).cache is CacheStatus.MISS


def test_a_slate_is_kept_no_longer_than_its_items_are_valid(world: World) -> None:
    world.put(Item("brief", valid_to=world.now + timedelta(seconds=5)))
    ask(world)
    world.seconds = 4.9
    assert ask(world).cache is CacheStatus.HIT
    world.seconds = 5.1
    assert ask(world).cache is CacheStatus.MISS


def test_a_cache_that_does_not_answer_is_passed_by(world: World) -> None:
    world.cached = world.cached_over(DownCache())
    for _ in range(2):
        served = ask(world)
        assert served.cache is CacheStatus.BYPASSED
        assert json.loads(served.body)["items"]


def test_a_cache_that_does_not_answer_is_told_of_once_and_once_more_when_it_does(world: World) -> None:
    cache = DownCache()
    world.cached = world.cached_over(cache)
    with structlog.testing.capture_logs() as log:
        ask(world), ask(world)
        cache.fetch = lambda key: Fetched(1, None)  # type: ignore[method-assign]
        ask(world), ask(world)
        cache.keep = lambda *given: None  # type: ignore[method-assign]
        ask(world), ask(world)
    told = [line["event"] for line in log if line["event"].startswith("slate")]
    assert told == [
        "slate_cache_bypassed",
        "slate_cache_bypassed_no_more",
        "slates_not_kept",
        "slates_not_kept_no_more",
    ]


def test_a_cache_that_takes_nothing_changes_no_answer(world: World) -> None:
    class Full(DownCache):
        def fetch(self, key: object) -> Fetched:
            return Fetched(1, None)

    world.cached = world.cached_over(Full())
    assert ask(world).cache is CacheStatus.MISS


@pytest.mark.parametrize("value", [b"", b"\x00", b"\xc1", b"[]", b"\x95\xa1a\xa1b\xc0\xc0\xc0", b"\xff" * 40])
def test_what_another_hand_put_into_the_cache_is_a_miss(world: World, value: bytes) -> None:
    class Strange(DownCache):
        def fetch(self, key: object) -> Fetched:
            return Fetched(1, value)

        def ask(self, key: object, heard: Callable[[Fetched | None], object]) -> bool:
            heard(Fetched(1, value))
            return True

    world.cached = world.cached_over(Strange())
    heard: list[ServedSlate | None] = []
    assert world.cached.ask(REQUEST, heard.append)
    assert heard == [None]
    assert ask(world).cache is CacheStatus.MISS


def test_a_degraded_slate_is_not_kept(world: World) -> None:
    good = world.engine
    world.engine = world.engine_over(SubjectReader(DownStore(), world.events, POLICY))
    world.cached = world.cached_over(world.cache)
    assert [ask(world).cache for _ in range(2)] == [CacheStatus.MISS] * 2
    world.engine = good
    world.cached = world.cached_over(world.cache)
    assert json.loads(ask(world).body)["degraded"] == []


def test_a_slate_made_while_the_model_moved_is_not_kept_under_the_old_one(
    world: World, shelf: tuple[Path, Path]
) -> None:
    class Moving:
        """The catalogue moves after the key was built."""

        def fetch(self, key: SlateKey) -> Fetched:
            world.registry.promote(shelf[1].name)
            world.refresh()
            return world.cache.fetch(key)

        def keep(self, *given: Any) -> None:
            raise AssertionError("kept under the wrong key")

    world.cached = world.cached_over(Moving())
    assert ask(world).model_version == shelf[1].name


def test_the_tag_is_that_of_the_bytes(world: World) -> None:
    one, other = ask(world), ask(world, replace(REQUEST, limit=3))
    assert one.etag != other.etag
    assert one.etag.startswith('"')
    assert one.etag.endswith('"')
