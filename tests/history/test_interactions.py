"""The table of interactions: windows, the way to the store and back, ids derived from content."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Channel
from recsvc.errors import SourceError
from recsvc.history.interactions import TABLE_SCHEMA, InteractionTable
from tests.history.examples import Mapped, Read, an_event, many_events, write_events

START = datetime(2026, 11, 1, tzinfo=UTC)
IDS = st.from_regex(r"[A-Za-z0-9_.:-]{1,12}", fullmatch=True)
INTERACTIONS = st.builds(
    Interaction,
    event_id=IDS,
    type=st.sampled_from(["view", "purchase", "transaction"]),
    customer_id=IDS,
    item_id=st.none() | IDS,
    occurred_at=st.datetimes(datetime(2000, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
    channel=st.none() | st.sampled_from(Channel),
    slate_id=st.none() | IDS,
    position=st.none() | st.integers(1, 100),
    placement=st.none() | IDS,
    value=st.none() | st.decimals(0, 10**6, places=2),
    currency=st.none() | st.just("EUR"),
    quantity=st.none() | st.integers(1, 100),
    score=st.none() | st.floats(0, 10),
    scale=st.none() | st.just(10.0),
)


def at(hour: int, **changes: object) -> Interaction:
    fields = {"event_id": f"e{hour}", "type": "view", "customer_id": "c1", "item_id": "i1"} | changes
    return Interaction(occurred_at=START + timedelta(hours=hour), **fields)  # type: ignore[arg-type]


@settings(deadline=None)
@given(st.lists(INTERACTIONS, max_size=20))
def test_what_the_store_gives_comes_back_as_it_was(interactions: list[Interaction]) -> None:
    assert list(InteractionTable.from_interactions(interactions).interactions()) == interactions


def test_an_empty_store_is_an_empty_table() -> None:
    table = InteractionTable.from_interactions([])
    assert len(table) == 0 and not table.has_times and list(table.interactions()) == []


def test_a_window_holds_its_start_and_not_its_end() -> None:
    table = InteractionTable.from_interactions([at(hour) for hour in range(5)])
    window = table.between(START + timedelta(hours=1), START + timedelta(hours=3))
    assert window.frame["event_id"].to_list() == ["e1", "e2"]
    assert len(table.between(None, None)) == 5
    assert len(table.between(START + timedelta(hours=4), None)) == 1
    assert len(table.between(None, START)) == 0


def test_the_frame_has_every_column_with_texts_as_strings() -> None:
    frame = InteractionTable.from_interactions([at(1)]).frame
    assert frame.columns == list(TABLE_SCHEMA)
    for name in ("customer_id", "item_id", "type", "channel", "event_id"):
        assert frame.schema[name] == pl.String
    assert frame.schema["occurred_at"] == pl.Datetime("us", "UTC")


def test_an_id_derived_from_content_is_the_same_at_every_reading(tmp_path: Path, read: Read) -> None:
    events = many_events(50)
    first = {one.item_id: one.event_id for one in _read(tmp_path / "a.csv", events, read)}
    again = {one.item_id: one.event_id for one in _read(tmp_path / "b.parquet", events[::-1], read)}
    assert first == again and len(set(first.values())) == 50
    assert all(len(event_id) == 32 and int(event_id, 16) >= 0 for event_id in first.values())


def test_an_id_derived_from_content_never_changes_between_releases(tmp_path: Path, read: Read) -> None:
    (interaction,) = _read(tmp_path / "e.csv", [an_event(channel="web", value=12.5)], read)
    assert interaction.event_id == "72e5be27a9a3535683df156679a3b9c8"


def test_money_is_the_decimal_that_was_written(tmp_path: Path, read: Read) -> None:
    (interaction,) = _read(tmp_path / "e.jsonl", [an_event(value=40.02, currency="EUR")], read)
    assert interaction.value == Decimal("40.02")


def test_without_times_there_is_nothing_to_import(tmp_path: Path, read: Read, mapped: Mapped) -> None:
    path = write_events(tmp_path / "e.csv", many_events(2))
    table = read(path, mapping=mapped('[events.time]\nunit = "none"')).table
    with pytest.raises(SourceError, match="no times"):
        next(table.interactions())


def _read(path: Path, events: list[dict[str, object]], read: Read) -> list[Interaction]:
    return list(read(write_events(path, events)).table.interactions())


@pytest.mark.parametrize("order", [range(10), random.Random(1).sample(range(10), 10), [3] * 5])
@pytest.mark.parametrize(("since", "until"), [(2, 7), (7, 2), (None, 4), (4, None), (-5, 50), (20, None)])
def test_a_window_is_the_same_in_any_order_of_rows(
    order: list[int], since: int | None, until: int | None
) -> None:
    def moment(hour: int | None) -> datetime | None:
        return None if hour is None else START + timedelta(hours=hour)

    table = InteractionTable.from_interactions([at(hour) for hour in order])
    window = table.between(moment(since), moment(until)).frame["event_id"].to_list()
    low, high = since if since is not None else -100, until if until is not None else 100
    assert window == [f"e{hour}" for hour in order if low <= hour < high]
