"""A model goes live only when it is sound and knows nobody who was erased; back is exactly back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from recsvc.bundles.gate_report import (
    Compared,
    Decision,
    GateReason,
    GateReport,
    PersonaOutcome,
    SegmentOutcome,
)
from recsvc.bundles.manifest import PartFacts
from recsvc.bundles.opening import open_bundle, read_manifest
from recsvc.bundles.registry import Registry
from recsvc.domain.slates import SlateRequest
from recsvc.errors import BundleRefusedError, NotFoundError, ReportNotReadyError
from recsvc.kept_answers import Place
from recsvc.sample_bank import SampleBank
from recsvc.serving.answers import render_slate
from recsvc.serving.checking import CheckerHere
from recsvc.serving.customers import SubjectReader
from recsvc.serving.kept_previews import PreviewsHere
from recsvc.serving.live_bundles import LiveBundles
from recsvc.serving.models_desk import ModelsDesk
from recsvc.serving.preview import FIRST, MAX_CUSTOMERS, Preview, Previewer
from recsvc.serving.preview_making import PreviewAsk, PreviewMaker

from ..small_bank import CONTENT, END, OFFER, POLICY, Arrays, World, flip, publish_changed


@dataclass
class Tombstones:
    erased: dict[str, datetime] = field(default_factory=dict)

    def __call__(self, customer_ids: Iterable[str]) -> Mapping[str, datetime]:
        return {one: self.erased[one] for one in customer_ids if one in self.erased}


@pytest.fixture
def tombstones() -> Tombstones:
    return Tombstones()


@pytest.fixture
def world(shelf: tuple[Path, Path], bank_in_small: SampleBank) -> World:
    return World(shelf[0].parent, items=bank_in_small.items, customers=bank_in_small.customers)


@pytest.fixture
def desk(world: World, tombstones: Tombstones) -> ModelsDesk:
    previews = PreviewsHere(preview_maker(world), clock=lambda: world.now)
    return ModelsDesk(world.registry, tombstones, previews, world.catalogue)


def preview_maker(world: World) -> PreviewMaker:
    subjects = SubjectReader(world.customers, world.events, POLICY)
    previewer = Previewer(world.items, world.rules.rules, subjects, POLICY)
    return PreviewMaker(world.registry, CheckerHere(), previewer, POLICY.version)


@dataclass
class NeverReady:
    asked: list[PreviewAsk] = field(default_factory=list)

    def preview(self, ask: PreviewAsk, place: Place) -> Preview:
        self.asked.append(ask)
        raise ReportNotReadyError("is being made", 5)

    def stop(self) -> None:
        pass


def preview(desk: ModelsDesk, version: str) -> Preview:
    return desk.preview(version, nullcontext())


def popular_only(bundle: Path) -> Path:
    """The same bank under a model that shows everybody the same."""

    def drop(arrays: Arrays) -> None:
        prefixes = (*(f"{one.family}_" for one in read_manifest(bundle).parts), "live_", "feature_")
        for name in [name for name in arrays if name.startswith(prefixes) or "_by_feature" in name]:
            del arrays[name]

    facts = {"parts": (PartFacts("popularity", 1.0, {}),), "live": None, "golden_queries": ()}
    return publish_changed(bundle, drop, facts)


def test_the_shelf_tells_of_every_version_and_of_what_the_gate_decided(
    desk: ModelsDesk, shelf: tuple[Path, Path]
) -> None:
    registry, (older, newer) = Registry(shelf[0].parent), (shelf[0].name, shelf[1].name)
    registry.promote(older)
    registry.challenge(newer)
    reason = GateReason("coverage", "too little of it")
    registry.keep_report(GateReport(newer, older, Decision.HOLD, (reason,)))
    found = desk.shelf()
    assert [(one.version, one.alias, one.decision) for one in found.models] == [
        (newer, "challenger", Decision.HOLD),
        (older, "champion", None),
    ]
    assert "ndcg@20" in found.models[0].metrics
    facts = desk.facts("challenger")
    assert facts.manifest.version == newer and facts.gate is not None and facts.gate.reasons == (reason,)
    (shelf[1] / "gate.json").write_text("{")
    assert desk.facts(newer).gate is None
    (shelf[1] / "manifest.json").write_text("{")
    assert desk.shelf().models[0].problem is not None
    with pytest.raises(BundleRefusedError, match=r"manifest\.json"):
        desk.facts(newer)


def test_a_version_that_is_not_there_is_not_found(desk: ModelsDesk) -> None:
    for ask in (desk.facts, desk.promote, lambda version: preview(desk, version)):
        for version in ("20300101T000000Z-als-000000", "challenger", "..", "a:b"):
            with pytest.raises(NotFoundError):
                ask(version)


def test_a_corrupt_bundle_is_never_promoted(desk: ModelsDesk, shelf: tuple[Path, Path]) -> None:
    desk.promote(shelf[0].name)
    flip(shelf[1] / "popularity.npy", 200)
    with pytest.raises(BundleRefusedError, match=r"popularity\.npy has another checksum"):
        desk.promote(shelf[1].name)
    assert desk.shelf().champion == shelf[0].name


def test_a_bundle_that_knows_an_erased_customer_is_not_promoted_and_still_a_way_back(
    desk: ModelsDesk, shelf: tuple[Path, Path], tombstones: Tombstones
) -> None:
    older, newer = shelf[0].name, shelf[1].name
    desk.promote(older)
    desk.promote(newer)
    tombstones.erased[open_bundle(shelf[0]).customers.id_of(0)] = END + timedelta(days=2)
    with pytest.raises(BundleRefusedError, match="1 of its customers were erased"):
        desk.promote(older)
    assert desk.shelf().champion == newer
    assert desk.roll_back().champion == older


def test_a_roll_back_brings_back_the_very_bytes(
    desk: ModelsDesk, shelf: tuple[Path, Path], world: World, bank_in_small: SampleBank
) -> None:
    other = popular_only(shelf[0])
    asked = [
        SlateRequest(kind, customer.customer_id)
        for customer in bank_in_small.customers[:20]
        for kind in (CONTENT, OFFER)
    ]

    def answers() -> list[bytes]:
        world.refresh()
        slates = (world.engine.recommend(request) for request in asked)
        return [render_slate(replace(slate, slate_id="")) for slate in slates]

    desk.promote(shelf[0].name)
    before = answers()
    desk.promote(other.name)
    assert sum(one != another for one, another in zip(before, answers(), strict=True)) > 10
    assert desk.roll_back().champion == shelf[0].name
    assert answers() == before


def test_workers_agree_after_one_look_each(desk: ModelsDesk, shelf: tuple[Path, Path]) -> None:
    workers = [LiveBundles(Registry(shelf[0].parent)) for _ in range(2)]

    def served() -> list[str | None]:
        for worker in workers:
            worker.refresh()
        return [worker.model.version if worker.model else None for worker in workers]

    desk.promote(shelf[0].name)
    assert served() == [shelf[0].name] * 2
    desk.promote(shelf[1].name)
    assert served() == [shelf[1].name] * 2
    desk.roll_back()
    assert served() == [shelf[0].name] * 2


def test_a_preview_of_the_champion_itself_says_that_nothing_changes(
    desk: ModelsDesk, shelf: tuple[Path, Path], world: World
) -> None:
    desk.promote(shelf[0].name)
    world.refresh()
    found = preview(desk, "champion")
    assert (found.version, found.champion) == (shelf[0].name, shelf[0].name)
    assert (found.overlap, found.n_changed, found.n_customers) == (1.0, 0, MAX_CUSTOMERS)
    assert found.offers and found.categories
    for reach in (*found.offers, *found.categories):
        assert reach.candidate == reach.champion > 0


def test_a_preview_tells_whose_lists_change_and_who_reaches_whom(
    desk: ModelsDesk, shelf: tuple[Path, Path], world: World
) -> None:
    other = popular_only(shelf[0]).name
    desk.promote(shelf[0].name)
    world.refresh()
    persona = PersonaOutcome("a reader", read_manifest(shelf[0]).golden_queries[0].history, (), 1, 1, 0, True)
    segments = [
        SegmentOutcome("lost", 40, Compared(0.1, 0.2, -0.5, -0.6, -0.4), False),
        SegmentOutcome("few", 4, None, None),
        SegmentOutcome("won", 40, Compared(0.2, 0.1, 1.0, 0.9, 1.1), True),
    ]
    world.registry.keep_report(
        GateReport(other, shelf[0].name, Decision.HOLD, (), segments=tuple(segments), personas=(persona,))
    )
    found = preview(desk, other)
    assert found.overlap is not None and 0 < found.overlap < 1
    assert found.n_changed is not None and found.n_changed > 10
    changes = [abs(one.candidate - one.champion) for one in found.categories]
    assert changes == sorted(changes, reverse=True) and changes[0] > 0
    assert all(one.title for one in found.offers)
    assert [one.segment for one in found.segments] == ["won", "lost", "few"]
    (lists,) = found.personas
    assert len(lists.candidate) == len(lists.champion) == FIRST and lists.candidate != lists.champion
    assert all(one.title for one in (*lists.history, *lists.candidate))
    assert preview(desk, other) == found  # Nothing moved meanwhile.


def test_a_preview_shows_what_the_catalogue_says_now(
    desk: ModelsDesk, shelf: tuple[Path, Path], world: World
) -> None:
    desk.promote(shelf[0].name)
    world.refresh()
    first = preview(desk, shelf[1].name)
    offer = first.offers[0].name
    world.items.retire(offer, expected="*")
    world.catalogue.refresh()
    second = preview(desk, shelf[1].name)
    assert second.catalogue_revision > first.catalogue_revision
    assert offer not in {one.name for one in second.offers}


def test_a_preview_is_found_again_though_the_catalogue_moves(
    world: World, tombstones: Tombstones, shelf: tuple[Path, Path]
) -> None:
    """Where something changes every second, one of each change would never be there."""
    never_ready = NeverReady()
    desk = ModelsDesk(world.registry, tombstones, never_ready, world.catalogue)
    desk.promote(shelf[0].name)
    world.refresh()
    for item_id in [item.item_id for item in world.items.items()[:2]]:
        with pytest.raises(ReportNotReadyError):
            preview(desk, shelf[1].name)
        world.items.retire(item_id, expected="*")
        world.refresh()
    assert never_ready.asked == [PreviewAsk(shelf[1].name, shelf[0].name)] * 2


def test_without_a_champion_a_preview_compares_with_nothing(
    desk: ModelsDesk, shelf: tuple[Path, Path]
) -> None:
    found = preview(desk, shelf[0].name)
    assert (found.champion, found.overlap, found.n_changed) == (None, None, None)
    assert found.categories and all(one.champion == 0 for one in found.categories)


def test_a_preview_of_a_corrupt_bundle_names_the_reason(desk: ModelsDesk, shelf: tuple[Path, Path]) -> None:
    flip(shelf[1] / "popularity.npy", 200)
    with pytest.raises(BundleRefusedError, match=r"popularity\.npy has another checksum"):
        preview(desk, shelf[1].name)
