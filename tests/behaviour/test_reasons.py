"""Reasons through the engine: true for whom the model knows, and silent about who may not be known."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace as with_changes

from benchmarks.reasons import LEAST_SHARE, Service, judge_reasons, make_service
from recsvc.bundles.opening import read_manifest
from recsvc.bundles.registry import Registry
from recsvc.domain.customers import Consents, Customer
from recsvc.domain.items import Item, ItemKind
from recsvc.domain.slates import Slate, SlateItem, SlateRequest
from recsvc.sample_bank import SampleBank
from recsvc.serving.reason_texts import TEXTS

from ..small_bank import END, POLICY, World, publish_changed, who

SAY_NOTHING_OF_ANYBODY = {"popular", "new", "more_for_you", "our_pick"}
N_REASONS = 300


def listening_to(part: str, weight: float, shelf: tuple[Path, Path], tmp_path: Path) -> Path:
    """Models of which the champion listens to a live part, whatever a replay would choose."""
    bundle = Path(shutil.copytree(shelf[0], tmp_path / shelf[0].name))
    live = read_manifest(bundle).live
    assert live is not None
    weights = {**live.weights, part: weight}
    listening = publish_changed(bundle, lambda arrays: None, {"live": replace(live, weights=weights)})
    Registry(tmp_path).promote(listening.name)
    return tmp_path


@pytest.mark.parametrize(
    ("part", "weight", "code"),
    [("neighbours", 0.6, "read_by_people_like_you"), ("taste", 1.2, "more_of_what_you_read")],
)
def test_without_the_items_that_reasons_name_served_scores_are_lower(
    part: str,
    weight: float,
    code: str,
    shelf: tuple[Path, Path],
    tmp_path: Path,
    bank_in_small: SampleBank,
) -> None:
    folder = listening_to(part, weight, shelf, tmp_path)
    service = make_service(folder, bank_in_small.items, bank_in_small.customers, POLICY, END)
    report = judge_reasons(service, who(bank_in_small.customers), N_REASONS)
    assert sum(one.n - one.n_whole for one in report.held.values()) > 0.8 * N_REASONS
    assert {"because_you_read", code} <= set(report.held)
    assert all(one.share >= LEAST_SHARE for one in report.held.values()), report.held


@dataclass(frozen=True)
class Misnaming:
    """An engine that blames every score on what was read of other categories."""

    service: Service

    def recommend(self, request: SlateRequest) -> Slate:
        slate = self.service.engine.recommend(request)
        _, view = self.service.catalogue.model_and_view()
        rows = self.service.subject(request.customer_id).past.history.item_rows.tolist()
        read = [item for row in rows if (item := view.item_at(row)) is not None]
        items = []
        for item in slate.items:
            others = tuple(one.item_id for one in read if one.category != item.category)
            assert item.reason
            is_named = bool(item.reason.because)
            reason = with_changes(item.reason, because=others[:3] if is_named else ())
            items.append(with_changes(item, reason=reason))
        return replace(slate, items=tuple(items))


def test_the_benchmark_finds_out_reasons_that_are_not_true(
    shelf: tuple[Path, Path], tmp_path: Path, bank_in_small: SampleBank
) -> None:
    folder = listening_to("taste", 1.2, shelf, tmp_path)
    service = make_service(folder, bank_in_small.items, bank_in_small.customers, POLICY, END)
    misnaming = replace(service, engine=Misnaming(service))
    assert judge_reasons(misnaming, who(bank_in_small.customers), N_REASONS).share < 0.6


def nobody(world: World) -> str:
    return "nobody"


def unconsented(world: World) -> str:
    """Who reads a lot, was trained on, and said no."""
    world.record(Customer("c0001", attributes={"age": 22}, consents=Consents(personalisation=False)))
    world.did("c0001", "like", *(item.item_id for item in world.items.items()[:3]))
    return "c0001"


def erased(world: World) -> str:
    """Who was trained on and in the live state, and is to be known no more."""
    world.customers.erase("c0001", world.now + timedelta(seconds=1))
    return "c0001"


STRANGERS: list[Callable[[World], str]] = [nobody, unconsented, erased]


def shown(world: World, customer_id: str) -> list[SlateItem]:
    """Everything of both kinds, with every reason in detail."""
    return [
        item for kind in ItemKind for item in world.slate(kind, customer_id, limit=100, explain=True).items
    ]


@pytest.mark.parametrize("stranger", STRANGERS, ids=lambda make: make.__name__)
def test_a_stranger_reads_nothing_of_a_history(world: World, stranger: Callable[[World], str]) -> None:
    world.put(Item("just-in", title={"en": "Just in"}, published_at=world.now))
    items = shown(world, stranger(world))
    assert {item.item_id for item in items} >= {"just-in"}
    for item in items:
        assert item.reason and not item.reason.because
        assert item.reason.code in SAY_NOTHING_OF_ANYBODY
        assert item.reason.text == TEXTS[item.reason.code]["en"]


@pytest.mark.parametrize("stranger", STRANGERS, ids=lambda make: make.__name__)
def test_nor_without_a_model(
    bank_in_small: SampleBank, tmp_path: Path, stranger: Callable[[World], str]
) -> None:
    world = World(tmp_path, items=bank_in_small.items)
    items = shown(world, stranger(world))
    assert items
    assert {item.reason.code for item in items if item.reason} <= {"new", "more_for_you"}
    assert not any(item.reason and item.reason.because for item in items)
