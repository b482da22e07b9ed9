"""Erased customers are in no model that is trained later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from recsvc.bundles.bundle import Bundle
from recsvc.bundles.erased import check_none_erased
from recsvc.bundles.opening import open_bundle
from recsvc.bundles.registry import Registry
from recsvc.domain.interactions import Interaction
from recsvc.errors import BundleErasedError
from recsvc.history.interactions import InteractionTable
from recsvc.policy import load_policy
from recsvc.training.erased import without_erased
from recsvc.training.families import FAMILIES
from recsvc.training.material import Source
from recsvc.training.pipeline import train

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Tombstones:
    """Knows who was erased, and when."""

    def __init__(self, **erased: datetime) -> None:
        self.erased = erased

    def __call__(self, customer_ids: Iterable[str]) -> Mapping[str, datetime]:
        return {name: self.erased[name] for name in customer_ids if name in self.erased}


def a_history() -> list[Interaction]:
    """Four customers who each took every second of twelve items, an hour apart."""
    return [
        Interaction(f"{name}-{number}", "purchase", name, f"i{number}", NOW - number * HOUR)
        for place, name in enumerate(("c1", "c2", "c3", "c4"))
        for number in range(place % 2, 12, 2)
    ]


def source_of(interactions: Iterable[Interaction]) -> Source:
    return Source(InteractionTable.from_interactions(interactions))


def kept_of(source: Source) -> dict[str, int]:
    rows = source.table.frame["customer_id"].value_counts().iter_rows()
    return dict(sorted(rows))


def test_what_was_before_an_erasure_is_left_out_and_what_came_after_stays() -> None:
    source = without_erased(source_of(a_history()), Tombstones(c1=NOW - 4 * HOUR, c3=NOW + HOUR))
    assert kept_of(source) == {"c1": 2, "c2": 6, "c4": 6}
    assert source.table.compact.columns == source_of(a_history()).table.compact.columns


def test_the_rows_that_stay_keep_their_order() -> None:
    everything = [event.event_id for event in a_history()]
    kept = without_erased(source_of(a_history()), Tombstones(c2=NOW)).table.frame["event_id"].to_list()
    assert kept == [event_id for event_id in everything if not event_id.startswith("c2")]


def test_where_nobody_was_erased_nothing_changes() -> None:
    source = source_of(a_history())
    assert without_erased(source, Tombstones(c9=NOW)) is source


def test_without_times_everything_of_an_erased_customer_is_left_out() -> None:
    frame = pl.DataFrame({"customer_id": ["c1", "c2"], "item_id": ["i1", "i1"], "type": ["click", "click"]})
    source = Source(InteractionTable.from_frame(frame))
    assert kept_of(without_erased(source, Tombstones(c1=NOW))) == {"c2": 1}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    registry = Registry(tmp_path_factory.mktemp("models"))
    source = without_erased(source_of(a_history()), Tombstones(c4=NOW))
    popularity = [family for family in FAMILIES if family.name == "popularity"]
    report = train(source, load_policy(), registry, families=popularity, seed=1, created_at=NOW)
    return open_bundle(registry.path_of(report.manifest.version))


def test_no_byte_of_a_later_bundle_names_an_erased_customer(bundle: Bundle) -> None:
    files: list[Path] = list(bundle.path.iterdir())
    assert any(b"c3" in file.read_bytes() for file in files)
    assert bundle.customers.row_of("c4") is None
    assert not any(b"c4" in file.read_bytes() for file in files if file.name.startswith("customer_ids"))


def test_a_bundle_that_knows_who_was_erased_while_it_was_trained_is_refused(bundle: Bundle) -> None:
    with pytest.raises(
        BundleErasedError, match=r"refused: 1 of its customers were erased since its training"
    ):
        check_none_erased(bundle, Tombstones(c1=NOW + HOUR, c2=NOW - HOUR))


def test_a_bundle_of_customers_who_came_back_before_it_was_trained_is_sound(bundle: Bundle) -> None:
    check_none_erased(bundle, Tombstones(c1=NOW - HOUR, c9=NOW + HOUR))
