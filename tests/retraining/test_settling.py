"""A bundle is settled once: checked, judged, promoted or held; and old ones go."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from recsvc.bundles.gate_report import Decision
from recsvc.bundles.opening import open_bundle
from recsvc.bundles.registry import Registry
from recsvc.errors import BundleCorruptError, BundleErasedError
from recsvc.history.interactions import InteractionTable
from recsvc.retraining.settling import Settled, Wish, settle
from recsvc.sample_bank import SampleBank
from recsvc.training.blending import Recipe
from recsvc.training.bundling import segment_rows
from recsvc.training.families import Popularity
from recsvc.training.families.base import training_data
from recsvc.training.gate.footing import Candidate
from recsvc.training.holdout import split
from recsvc.training.material import Source, gather

from ..small_bank import END, POLICY, flip, publish_changed


@pytest.fixture(scope="session")
def candidate(bank_in_small: SampleBank) -> Candidate:
    """A candidate that shows everybody the same, whatever its version is."""
    table = InteractionTable.from_frame(bank_in_small.events)
    material = gather(Source(table, bank_in_small.items, bank_in_small.customers), POLICY)
    parts = split(material.table, POLICY, material.kind, seed=1)
    recipe = Recipe(((Popularity(), 1.0),))
    rows = segment_rows(material.matrix.customer_ids, bank_in_small.customers, POLICY)
    judged = recipe.fit(training_data(parts.train), seed=1)
    return Candidate("", recipe, judged, parts, material, rows)


def settled(registry: Registry, candidate: Candidate, version: str, **wanted: Any) -> Settled:
    """Settle a version of the shelf as if the candidate had just been published under it."""
    report: Any = SimpleNamespace(
        manifest=SimpleNamespace(version=version), candidate=replace(candidate, version=version)
    )
    options: dict[str, Any] = {"wish": Wish.IF_BETTER, "erased_among": lambda ids: {}, **wanted}
    policy = options.pop("policy", POLICY)
    return settle(report, registry, policy, seed=1, **options)


def test_the_first_is_promoted_and_one_that_is_worse_becomes_the_challenger(
    shelf: tuple[Path, Path], candidate: Candidate
) -> None:
    registry, (first, second) = Registry(shelf[0].parent), (shelf[0].name, shelf[1].name)
    done = settled(registry, candidate, first)
    assert done.is_promoted and [one.code for one in done.gate.reasons] == ["no_champion"]
    done = settled(registry, candidate, second)
    assert not done.is_promoted and done.gate.decision is Decision.HOLD
    aliases = registry.aliases()
    assert (aliases.champion, aliases.challenger) == (first, second)
    assert registry.report_of(second) == done.gate


@pytest.mark.parametrize(("wish", "promoted"), [(Wish.ANYWAY, True), (Wish.NEVER, False)])
def test_what_the_gate_says_can_be_overruled_and_is_kept_all_the_same(
    shelf: tuple[Path, Path], candidate: Candidate, wish: Wish, promoted: bool
) -> None:
    registry = Registry(shelf[0].parent)
    registry.promote(shelf[0].name)
    done = settled(registry, candidate, shelf[1].name, wish=wish)
    assert (done.is_promoted, done.gate.decision) == (promoted, Decision.HOLD)
    assert (registry.aliases().champion == shelf[1].name) is promoted
    assert registry.report_of(shelf[1].name) == done.gate


def test_where_the_champion_cannot_be_read_the_candidate_takes_its_place(
    shelf: tuple[Path, Path], candidate: Candidate
) -> None:
    registry = Registry(shelf[0].parent)
    registry.promote(shelf[0].name)
    flip(shelf[0] / "popularity.npy", 200)
    done = settled(registry, candidate, shelf[1].name)
    assert done.is_promoted and done.gate.reasons[0].code == "champion_unreadable"
    assert "popularity.npy" in done.gate.reasons[0].text


def test_a_bundle_that_is_unsound_or_knows_who_was_erased_meanwhile_is_withdrawn(
    shelf: tuple[Path, Path], candidate: Candidate
) -> None:
    registry = Registry(shelf[0].parent)
    erased = {open_bundle(shelf[0]).customers.id_of(3): END + timedelta(days=1)}

    def erased_among(ids: object) -> dict[str, datetime]:
        return erased

    with pytest.raises(BundleErasedError):
        settled(registry, candidate, shelf[0].name, erased_among=erased_among, wish=Wish.ANYWAY)
    flip(shelf[1] / "popularity.npy", 200)
    with pytest.raises(BundleCorruptError):
        settled(registry, candidate, shelf[1].name)
    assert registry.versions() == () and registry.aliases().champion is None


def test_old_bundles_go_when_a_new_one_is_settled_but_not_what_an_experiment_names(
    shelf: tuple[Path, Path], candidate: Candidate
) -> None:
    registry, oldest = Registry(shelf[0].parent), shelf[0].name
    for year in (2027, 2028, 2029):
        publish_changed(shelf[0], lambda arrays: None, {"created_at": END.replace(year=year)})
    new, between, gone, second, _ = registry.versions()
    registry.promote(between)
    policy = replace(POLICY, training=msgspec.structs.replace(POLICY.training, keep_bundles=2))
    done = settled(registry, candidate, new, policy=policy, pinned=lambda: {oldest})
    assert done.withdrawn == (gone, second)
    assert set(registry.versions()) == {new, between, oldest}
