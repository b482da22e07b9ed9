"""Whatever becomes of the champion, something sound serves, and what is not sound is named."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from recsvc.bundles.registry import ALIASES_FILE, Registry
from recsvc.domain.items import Item, ItemStatus
from recsvc.domain.slates import Source
from recsvc.serving.live_bundles import LiveBundles

from ..small_bank import CONTENT, World, flip, ids, publish_changed


def live(folder: Path) -> LiveBundles:
    bundles = LiveBundles(Registry(folder))
    bundles.refresh()
    return bundles


def serving(bundles: LiveBundles) -> str | None:
    return bundles.model.version if bundles.model else None


def refused(bundles: LiveBundles) -> list[str]:
    return [one.version for one in bundles.refused]


@pytest.fixture
def older(shelf: tuple[Path, Path]) -> Path:
    return shelf[0]


@pytest.fixture
def newer(shelf: tuple[Path, Path]) -> Path:
    """The champion; the older one was it before."""
    registry = Registry(shelf[0].parent)
    registry.promote(shelf[0].name)
    registry.promote(shelf[1].name)
    return shelf[1]


def test_nothing_serves_while_nothing_was_promoted(older: Path, tmp_path: Path) -> None:
    for folder in (older.parent, tmp_path / "none"):
        assert serving(live(folder)) is None
        assert refused(live(folder)) == []


def test_the_champion_serves_and_a_promotion_is_followed(older: Path, newer: Path) -> None:
    bundles = live(newer.parent)
    assert serving(bundles) == newer.name
    Registry(newer.parent).promote(older.name)
    assert serving(bundles) == newer.name
    bundles.refresh()
    assert serving(bundles) == older.name
    Registry(newer.parent).roll_back()
    bundles.refresh()
    assert serving(bundles) == newer.name
    assert refused(bundles) == []


def test_a_champion_that_is_corrupt_at_the_start_is_named_and_the_last_good_one_serves(
    older: Path, newer: Path
) -> None:
    flip(newer / "popularity.npy", 200)
    bundles = live(newer.parent)
    assert serving(bundles) == older.name
    (one,) = bundles.refused
    assert one.version == newer.name
    assert "popularity.npy" in one.reason


def test_a_champion_that_is_corrupted_while_it_serves_gives_way_to_the_last_good_one(
    older: Path, newer: Path
) -> None:
    bundles = live(newer.parent)
    flip(newer / "history_items.npy", 200)
    bundles.refresh()
    assert (serving(bundles), refused(bundles)) == (older.name, [newer.name])
    bundles.refresh()
    assert (serving(bundles), refused(bundles)) == (older.name, [newer.name])


def test_a_change_is_seen_even_when_the_time_of_the_file_was_set_back(older: Path, newer: Path) -> None:
    bundles = live(newer.parent)
    file = newer / "popularity.npy"
    before = file.stat()
    flip(file, 200)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    bundles.refresh()
    assert (serving(bundles), refused(bundles)) == (older.name, [newer.name])


def test_a_bad_bundle_that_is_promoted_does_not_take_the_place_of_what_serves(
    older: Path, newer: Path
) -> None:
    bundles = live(newer.parent)
    bad = publish_changed(older, lambda arrays: arrays.pop("popularity"))
    Registry(newer.parent).promote(bad.name)
    bundles.refresh()
    assert (serving(bundles), refused(bundles)) == (newer.name, [bad.name])
    Registry(newer.parent).roll_back()
    bundles.refresh()
    assert (serving(bundles), refused(bundles)) == (newer.name, [])


def test_a_champion_that_was_repaired_is_taken_again(older: Path, newer: Path) -> None:
    bundles = live(newer.parent)
    flip(newer / "popularity.npy", 200)
    bundles.refresh()
    flip(newer / "popularity.npy", 200)
    bundles.refresh()
    assert (serving(bundles), refused(bundles)) == (newer.name, [])


def test_a_bundle_that_is_gone_gives_way(older: Path, newer: Path) -> None:
    bundles = live(newer.parent)
    shutil.rmtree(newer)
    bundles.refresh()
    assert (serving(bundles), refused(bundles)) == (older.name, [newer.name])


def test_nothing_serves_when_nothing_is_sound(older: Path, newer: Path) -> None:
    bundles = live(newer.parent)
    for path in (older, newer):
        flip(path / "catalogue.npy", 500)
    bundles.refresh()
    assert serving(bundles) is None
    assert sorted(refused(bundles)) == sorted([older.name, newer.name])


@pytest.mark.parametrize("raw", [b"{", b"\xff", b'{"champion": 3}'])
def test_aliases_that_cannot_be_read_change_nothing(newer: Path, raw: bytes) -> None:
    bundles = live(newer.parent)
    (newer.parent / ALIASES_FILE).write_bytes(raw)
    bundles.refresh()
    assert serving(bundles) == newer.name


def test_what_serves_goes_on_when_the_aliases_are_gone(newer: Path) -> None:
    bundles = live(newer.parent)
    (newer.parent / ALIASES_FILE).unlink()
    bundles.refresh()
    assert serving(bundles) == newer.name


@pytest.mark.parametrize("odd", ["../../etc", "/etc", "a\\u0000b", "", "x/y"])
def test_aliases_that_point_astray_are_refused(older: Path, newer: Path, odd: str) -> None:
    content = f'{{"champion": "{odd}", "former_champions": ["{older.name}"]}}'
    (newer.parent / ALIASES_FILE).write_text(content)
    assert serving(live(newer.parent)) == older.name


def test_a_refused_bundle_is_not_read_again_until_it_changes(older: Path, newer: Path) -> None:
    flip(newer / "popularity.npy", 200)
    bundles = live(newer.parent)
    before = bundles.refused
    read_at = (newer / "manifest.json").stat().st_atime_ns
    for _ in range(3):
        bundles.refresh()
    assert bundles.refused == before
    assert (newer / "manifest.json").stat().st_atime_ns == read_at


# --- versions beside the champion ------------------------------------------------------------------


def beside(bundles: LiveBundles) -> list[str]:
    return [model.version for model in bundles.beside]


def test_what_is_wanted_beside_the_champion_serves_until_it_is_wanted_no_more(
    older: Path, newer: Path
) -> None:
    wanted = {older.name}
    bundles = LiveBundles(Registry(newer.parent), wanted_versions=lambda: wanted)
    bundles.refresh()
    assert (serving(bundles), beside(bundles)) == (newer.name, [older.name])
    wanted.clear()
    bundles.refresh()
    assert (serving(bundles), beside(bundles)) == (newer.name, [])


def test_a_champion_that_is_wanted_too_is_held_once_and_read_once(older: Path, newer: Path) -> None:
    bundles = LiveBundles(Registry(newer.parent), wanted_versions=lambda: {older.name, newer.name})
    bundles.refresh()
    assert (serving(bundles), beside(bundles)) == (newer.name, [older.name])
    held = bundles.beside[0]
    Registry(newer.parent).promote(older.name)
    bundles.refresh()
    assert bundles.model is held
    assert beside(bundles) == [newer.name]


def test_a_bundle_that_is_refused_beside_the_champion_is_named_and_nothing_takes_its_place(
    older: Path, newer: Path
) -> None:
    flip(older / "popularity.npy", 200)
    bundles = LiveBundles(Registry(newer.parent), wanted_versions=lambda: {older.name, "nowhere"})
    bundles.refresh()
    assert (serving(bundles), beside(bundles)) == (newer.name, [])
    assert sorted(refused(bundles)) == sorted([older.name, "nowhere"])
    flip(older / "popularity.npy", 200)
    bundles.refresh()
    assert (beside(bundles), refused(bundles)) == ([older.name], ["nowhere"])


def test_an_erasure_counts_the_rows_of_every_model_that_serves(older: Path, newer: Path) -> None:
    bundles = LiveBundles(Registry(newer.parent), wanted_versions=lambda: {older.name})
    bundles.refresh()
    assert (bundles.rows_of("c0001"), bundles.rows_of("nobody")) == (2, 0)


def test_each_version_answers_with_the_view_laid_beside_it(world: World, shelf: tuple[Path, Path]) -> None:
    first, second = (path.name for path in shelf)
    world.wanted = {second}
    world.refresh()
    assert world.catalogue.versions == {first, second}
    for asked, expected in ((None, first), (first, first), (second, second), ("nowhere", first)):
        model, view = world.catalogue.model_and_view(asked)
        assert model is not None
        assert (model.version, view.model_version) == (expected, expected)
        assert world.catalogue.view_for(asked) is view
    world.registry.promote(second)
    world.wanted = {first}
    world.refresh()
    moved, _ = world.catalogue.model_and_view(first)
    champion, _ = world.catalogue.model_and_view()
    assert moved is not None and champion is not None
    assert (moved.version, champion.version) == (first, second)


def test_a_version_whose_files_were_touched_gives_way_to_the_champion(
    world: World, shelf: tuple[Path, Path]
) -> None:
    world.wanted = {shelf[1].name}
    world.refresh()
    with (shelf[1] / "popularity.npy").open("r+b") as stream:
        stream.truncate(100)
    model, view = world.catalogue.model_and_view(shelf[1].name)
    assert model is not None
    assert model.version == view.model_version == shelf[0].name


def test_a_change_of_the_catalogue_reaches_every_version(world: World, shelf: tuple[Path, Path]) -> None:
    world.wanted = {shelf[1].name}
    world.refresh()
    world.put(Item("brand-new"))
    for version in (path.name for path in shelf):
        assert "brand-new" in world.catalogue.view_for(version).items


def test_a_change_of_the_catalogue_does_not_wait_for_a_model_that_is_made_ready(
    world: World, shelf: tuple[Path, Path]
) -> None:
    first, second = (path.name for path in shelf)
    world.registry.promote(second)
    world.bundles.refresh()
    assert world.catalogue.lay_coming() == second
    world.items.put_many([Item("brand-new")])
    world.catalogue.follow()
    assert world.catalogue.view.model_version == first
    for version in (first, second):
        view = world.catalogue.view_for(version)
        assert (view.model_version, "brand-new" in view.items) == (version, True)
    world.catalogue.refresh()
    assert world.catalogue.view.model_version == second


# --- between two refreshes ------------------------------------------------------------------------


def test_an_answer_comes_from_a_model_and_the_view_laid_beside_it(
    world: World, shelf: tuple[Path, Path]
) -> None:
    customer_id = "c0001"
    before = ids(world.slate(CONTENT, customer_id))
    world.registry.promote(shelf[1].name)
    world.bundles.refresh()  # The catalogue has not followed yet.
    between = world.slate(CONTENT, customer_id)
    assert (between.model_version, ids(between)) == (shelf[0].name, before)
    world.catalogue.refresh()
    after = world.slate(CONTENT, customer_id)
    assert (after.model_version, after.source) == (shelf[1].name, Source.PERSONALISED)


def test_a_model_whose_files_were_touched_is_not_asked_until_it_was_checked_again(world: World) -> None:
    assert world.bundles.model is not None
    file = world.bundles.model.bundle.path / "popularity.npy"
    raw = file.read_bytes()
    with file.open("r+b") as stream:
        stream.truncate(100)
    slate = world.slate(CONTENT, "c0001", limit=5)
    assert (slate.source, slate.model_version, slate.degraded) == (Source.EDITORIAL, None, ("model",))
    assert len(slate.items) == 5
    assert world.catalogue.readable_view().model_version is None
    assert world.browser.trending(
        kind=CONTENT, limit=5, channel=slate.channel, locale=None, categories=()
    ).items
    file.write_bytes(raw)
    world.refresh()
    assert world.slate(CONTENT, "c0001").source is Source.PERSONALISED


def test_what_the_store_says_is_followed_beside_a_model_whose_files_were_touched(world: World) -> None:
    assert world.bundles.model is not None
    with (world.bundles.model.bundle.path / "popularity.npy").open("r+b") as stream:
        stream.truncate(100)
    before = ids(world.slate(CONTENT, "c0001", limit=5))
    for item_id in before[:2]:
        world.items.put_many([Item(item_id, status=ItemStatus.PAUSED)])
        world.catalogue.follow()
    slate = world.slate(CONTENT, "c0001", limit=5)
    assert (slate.source, ids(slate)[:3], len(slate.items)) == (Source.EDITORIAL, before[2:], 5)


CUT_SHORT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from recsvc.domain.items import Item
from recsvc.serving.untouched import LatelyUntouched
from tests.small_bank import CONTENT, World

world = World(Path(sys.argv[2]), is_untouched=LatelyUntouched(lambda: 10.0))
path = world.bundles.model.bundle.path
assert world.slate(CONTENT, "c0001").source == "personalised"
for file in path.glob("*.npy"):
    with file.open("r+b") as stream:
        stream.truncate(0)
world.items.put_many([Item("brand-new")])
world.catalogue.follow()
for _ in range(3):
    slate = world.slate(CONTENT, "c0001", explain=True)
    print(slate.source.value, len(slate.items))
    world.browser.similar(slate.items[0].item_id, limit=3, channel=slate.channel, locale=None)
    world.refresh()
"""


def test_a_worker_lives_on_when_every_file_under_it_is_cut_short(older: Path, newer: Path) -> None:
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-W", "error", "-c", CUT_SHORT, root, str(newer.parent)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr  # Below 0: a signal, SIGBUS, ended it.
    said = [line for line in ran.stdout.splitlines() if line.endswith(" 10")]
    assert said == ["editorial 10", "personalised 10", "personalised 10"]


def test_a_champion_that_was_touched_is_left_before_its_successor_is_all_ready(
    world: World, shelf: tuple[Path, Path]
) -> None:
    customer_id = "c0001"
    world.registry.promote(shelf[1].name)
    world.refresh()
    flip(shelf[1] / "popularity.npy", 200)
    world.bundles.refresh()
    assert world.slate(CONTENT, customer_id).source is Source.EDITORIAL
    world.catalogue.leave_touched()
    after = world.slate(CONTENT, customer_id)
    assert (after.model_version, after.source) == (shelf[0].name, Source.PERSONALISED)
