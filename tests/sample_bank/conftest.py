"""One bank of the default size for all who look, and small ones for those who ask for several."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from recsvc.domain.items import Item
from recsvc.sample_bank import SampleBank, make_sample_bank

END = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
READS = ("view", "dwell", "click", "like", "bookmark", "share", "comment")


@pytest.fixture(scope="session")
def bank() -> SampleBank:
    return make_sample_bank(end=END)


@pytest.fixture(scope="session")
def items(bank: SampleBank) -> dict[str, Item]:
    return {item.item_id: item for item in bank.items}


@pytest.fixture(scope="session")
def item_events(bank: SampleBank) -> pl.DataFrame:
    """The events that name an item, with the item's kind, category and publication."""
    facts = pl.DataFrame(
        {
            "item_id": [item.item_id for item in bank.items],
            "kind": [item.kind.value for item in bank.items],
            "category": [item.category for item in bank.items],
            "published_at": [item.published_at for item in bank.items],
        }
    )
    return bank.events.join(facts, on="item_id", how="inner")


@pytest.fixture(scope="session")
def reads(item_events: pl.DataFrame) -> pl.DataFrame:
    """What customers read of their own will."""
    return item_events.filter((pl.col("kind") == "content") & pl.col("type").is_in(READS))
