"""A world around the small bank: one that all may look at, and a new one for whoever changes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from recsvc.bundles.registry import Registry
from recsvc.sample_bank import SampleBank, make_sample_bank

from ..conftest import made_once
from ..small_bank import END, World, train_on


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What is logged in a test is kept from the terminal."""
    with structlog.testing.capture_logs():
        yield


@pytest.fixture(scope="session")
def demo_bank() -> SampleBank:
    """The bank of the demo."""
    return make_sample_bank(end=END)


@pytest.fixture(scope="session")
def demo_shelf(demo_bank: SampleBank, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of it, trained as the demo trains it, and champion. Nobody may change it."""

    def train(folder: Path) -> None:
        Registry(folder).promote(train_on(demo_bank, folder))

    return made_once("demo", train, tmp_path_factory)


@pytest.fixture
def world(bank_in_small: SampleBank, shelf: tuple[Path, Path]) -> World:
    """The older bundle is champion; the stores hold the bank's items and customers, and no events."""
    Registry(shelf[0].parent).promote(shelf[0].name)
    return World(shelf[0].parent, items=bank_in_small.items, customers=bank_in_small.customers)
