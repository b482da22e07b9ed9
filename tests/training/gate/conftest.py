"""A bank of two tastes, three ages and two categories, and a shelf with champions of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from recsvc.bundles.registry import Registry
from recsvc.domain.customers import Customer
from recsvc.domain.items import Item
from recsvc.serving.verification import Model, load_model
from recsvc.training.blending import Recipe
from recsvc.training.bundling import segment_rows
from recsvc.training.families import Cooccurrence, Popularity
from recsvc.training.families.base import Family, training_data
from recsvc.training.gate.footing import Candidate
from recsvc.training.holdout import Split, split
from recsvc.training.listing import Scores
from recsvc.training.material import Material, Source, gather
from recsvc.training.pipeline import train

from ..examples import AS_OF, POLICY, busy_history

N_CUSTOMERS, N_ITEMS = 300, 120
GOOD = Recipe(((Cooccurrence(), 1.0),))


@dataclass(frozen=True)
class Bank:
    """What the candidates are made from, and the champions that they meet."""

    source: Source
    material: Material
    parts: Split
    folder: Path

    def candidate(self, judged: Scores | None = None, recipe: Recipe = GOOD) -> Candidate:
        """A candidate that is judged as what is given, else as its recipe says."""
        judged = judged or recipe.fit(training_data(self.parts.train), seed=1)
        rows = segment_rows(self.material.matrix.customer_ids, self.source.customers, POLICY)
        return Candidate("20261122T120000Z-new-000000", recipe, judged, self.parts, self.material, rows)

    def champion(self, family: Family, until: datetime | None = None) -> Model:
        """A champion that was trained on what came before a moment; None: on everything."""
        report = train(
            Source(self.source.table.between(None, until), self.source.items, self.source.customers),
            POLICY,
            Registry(self.folder),
            families=(family,),
            seed=1,
            created_at=until or AS_OF,
        )
        return load_model(self.folder / report.manifest.version)


@pytest.fixture(scope="session")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    customers = [
        Customer(f"c{n:03}", attributes={"age": 25 if n < 60 else 70 if n < 160 else 45})
        for n in range(N_CUSTOMERS)
    ]
    items = [Item(f"i{n:03}", category="odd" if n % 2 else "even") for n in range(N_ITEMS)]
    source = Source(busy_history(N_CUSTOMERS, N_ITEMS, 9_000), items, customers)
    material = gather(source, POLICY)
    parts = split(material.table, POLICY, material.kind, seed=1)
    assert parts.cut is not None
    return Bank(source, material, parts, tmp_path_factory.mktemp("champions"))


@pytest.fixture(scope="session")
def champion(bank: Bank) -> Model:
    """One that has seen everything."""
    return bank.champion(Cooccurrence())


@pytest.fixture(scope="session")
def popular_champion(bank: Bank) -> Model:
    """One that shows everybody the same."""
    return bank.champion(Popularity())


@pytest.fixture(scope="session")
def older_champion(bank: Bank) -> Model:
    """One whose data ended a week before the hold-out begins."""
    assert bank.parts.cut is not None
    return bank.champion(Cooccurrence(), bank.parts.cut - timedelta(days=7))


Champion = Callable[[], Model]
