"""A world around the small bank: one that all may look at, and a new one for whoever changes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from recsvc.bundles.registry import Registry
from recsvc.sample_bank import SampleBank

from ..small_bank import World


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What is logged in a test is kept from the terminal."""
    with structlog.testing.capture_logs():
        yield


@pytest.fixture
def world(bank_in_small: SampleBank, shelf: tuple[Path, Path]) -> World:
    """The older bundle is champion; the stores hold the bank's items and customers, and no events."""
    Registry(shelf[0].parent).promote(shelf[0].name)
    return World(shelf[0].parent, items=bank_in_small.items, customers=bank_in_small.customers)
