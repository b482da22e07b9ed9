"""A worker keeps itself current, and says how it is."""

from __future__ import annotations

import threading
from pathlib import Path

import structlog

from recsvc.bundles.registry import ALIASES_FILE
from recsvc.domain.items import Item
from recsvc.sample_bank import SampleBank
from recsvc.serving.health import Health
from recsvc.serving.live_feed import STALE_SECONDS
from recsvc.serving.refreshing import Refresher

from ..small_bank import DownCache, DownStore, World, flip


def test_a_healthy_worker_is_ready_and_lacks_nothing(world: World) -> None:
    report = world.health.report()
    assert (report.ready, report.degraded, report.redis, report.store) == (True, (), True, True)
    assert world.bundles.model
    assert report.model_version == world.bundles.model.version
    assert report.n_items == len(world.catalogue.view.items) > 80
    assert report.refused_bundles == ()


def test_a_worker_without_redis_is_ready_and_says_so(world: World) -> None:
    report = Health(world.bundles, world.catalogue, DownCache(), world.feed, world.live).report()
    assert (report.ready, report.degraded, report.redis) == (True, ("redis",), False)


def test_a_worker_tells_what_it_leaves_alone(world: World) -> None:
    health = Health(
        *(world.bundles, world.catalogue, world.cache, world.feed, world.live),
        breakers={"redis": lambda: False, "slates": lambda: True},
    )
    assert health.state().breakers == {"redis": False, "slates": True}


def test_a_worker_without_a_store_is_ready_and_says_so(world: World) -> None:
    world.catalogue._catalogue = DownStore()
    world.refresh()
    report = world.health.report()
    assert (report.ready, report.degraded, report.store) == (True, ("store",), False)


def test_a_worker_that_falls_behind_the_events_says_so(world: World) -> None:
    world.did("c0001", "view", "a0001", "a0002")
    in_time = world.health.report()
    world.seconds += STALE_SECONDS + 1
    stale = world.health.report()
    world.feed.refresh()
    caught_up = world.health.report()
    assert [report.live.sequence for report in (in_time, stale, caught_up)] == [0, 0, 2]
    assert [report.degraded for report in (in_time, stale, caught_up)] == [(), ("live",), ()]


def test_a_worker_without_a_model_is_ready_while_it_has_items(
    bank_in_small: SampleBank, tmp_path: Path
) -> None:
    report = World(tmp_path, items=bank_in_small.items).health.report()
    assert (report.ready, report.degraded, report.model_version) == (True, ("model",), None)


def test_a_worker_with_nothing_to_show_is_not_ready(tmp_path: Path) -> None:
    report = World(tmp_path).health.report()
    assert (report.ready, report.degraded, report.n_items) == (False, ("model",), 0)


def test_a_worker_that_cannot_tell_which_model_is_wanted_says_so(world: World) -> None:
    aliases = world.registry.folder / ALIASES_FILE
    held = aliases.read_bytes()
    aliases.write_bytes(b"{")
    world.refresh()
    report = world.health.report()
    assert (report.ready, report.degraded) == (True, ("registry",))
    assert report.model_version is not None
    aliases.write_bytes(held)
    world.refresh()
    assert world.health.report().degraded == ()


def test_a_refused_bundle_is_named(world: World, shelf: tuple[Path, Path]) -> None:
    world.registry.promote(shelf[1].name)
    flip(shelf[1] / "popularity.npy", 200)
    world.refresh()
    report = world.health.report()
    assert (report.ready, report.degraded, report.model_version) == (True, ("bundle_refused",), shelf[0].name)
    (refused,) = report.refused_bundles
    assert refused.version == shelf[1].name
    assert "popularity.npy" in refused.reason


# --- the catalogue ---------------------------------------------------------------------------------


def test_the_catalogue_is_read_again_only_when_it_moved(world: World) -> None:
    before = world.catalogue.view
    world.refresh()
    assert world.catalogue.view is before
    world.put(Item("brand-new"))
    assert "brand-new" in world.catalogue.view.items
    assert world.catalogue.view.label != before.label


def test_a_store_that_comes_back_is_followed_again(world: World) -> None:
    store = world.catalogue._catalogue
    world.catalogue._catalogue = DownStore()
    world.refresh()
    assert world.catalogue.is_stale
    world.items.put_many([Item("brand-new")])
    world.catalogue._catalogue = store
    world.refresh()
    assert not world.catalogue.is_stale
    assert "brand-new" in world.catalogue.view.items


# --- the refresher ---------------------------------------------------------------------------------


def test_a_refresher_refreshes_at_once_in_order_and_again_and_again() -> None:
    done: list[str] = []
    often = threading.Event()

    def second() -> None:
        done.append("second")
        if len(done) >= 6:
            often.set()

    refresher = Refresher((lambda: done.append("first"), second), 0.001)
    refresher.start()
    assert done[:2] == ["first", "second"]
    assert often.wait(30)
    refresher.stop()
    n_done = len(done)
    assert done[:6] == ["first", "second"] * 3
    assert not often.wait(0.02) or len(done) == n_done


def test_a_refresh_that_fails_ends_nothing_and_is_logged() -> None:
    tries: list[int] = []
    often = threading.Event()

    def fail() -> None:
        tries.append(1)
        if len(tries) >= 3:
            often.set()
        raise RuntimeError("out of luck")

    others: list[int] = []
    with structlog.testing.capture_logs() as logged:
        refresher = Refresher((fail, lambda: others.append(1)), 0.001)
        refresher.start()
        assert often.wait(30)
        refresher.stop()
    assert len(others) >= 3
    assert {entry["event"] for entry in logged} == {"refresh_failed"}


def test_a_refresher_that_never_started_can_be_stopped() -> None:
    Refresher((), 10).stop()


def test_stopping_does_not_wait_for_the_next_round() -> None:
    refresher = Refresher((lambda: None,), 3600)
    refresher.start()
    refresher.stop()
    assert "refresher" not in {thread.name for thread in threading.enumerate()}
