"""What was judged once is looked up: batches, crowded slots and forgotten values change no row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recsvc.history import known, sources
from recsvc.history.known import KnownValues, Prints
from tests.history.examples import Event, Mapped, Read, an_event, rejects_in, write_events


def mixed_events() -> list[Event]:
    """Good and bad rows, whose values come again and again, side by side and far apart."""
    good = [an_event(customer_id=f"c{i % 9}", item_id=f"i{i % 14}", value=str(i)) for i in range(60)]
    bad: list[Event] = [
        an_event(customer_id="two words"),
        an_event(item_id="1.5E+18"),
        an_event(type="stare"),
        an_event(type="nps", item_id="i1", score=9),
        an_event(item_id=""),
        an_event(value="dear", customer_id="c1"),
        an_event(occurred_at="soon", item_id="i2"),
    ]
    return [row for place, row in enumerate(good) for row in (row, bad[place % len(bad)])]


def column_of(*texts: str) -> pl.Series:
    return pl.Series(texts, dtype=pl.String)


def test_a_value_is_found_by_the_code_it_was_learned_with() -> None:
    values = KnownValues()
    first = Prints.of(column_of("a", "b", "c", "b"))
    assert not values.find(first)[1].any()
    values.learn(first, np.array([7, 8, 9, 8], np.uint32))
    codes, are_known = values.find(Prints.of(column_of("c", "new", "b", "a")))
    assert are_known.tolist() == [True, False, True, True]
    assert codes[are_known].tolist() == [9, 8, 7]


def test_what_was_learned_stays_known_while_the_table_grows() -> None:
    values = KnownValues()
    texts = [f"id-{number}" for number in range(50_000)]
    codes = np.arange(len(texts), dtype=np.uint32)
    for start in range(0, len(texts), 5_000):
        part = slice(start, start + 5_000)
        values.learn(Prints.of(column_of(*texts[part])), codes[part])
    found, are_known = values.find(Prints.of(column_of(*texts)))
    assert are_known.mean() > 0.99
    assert (found[are_known] == codes[are_known]).all()


def test_without_room_values_stay_unknown_and_none_is_mistaken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "_FIRST_SLOTS", 8)
    monkeypatch.setattr(known, "_MAX_SLOTS", 8)
    values = KnownValues()
    texts = [f"id-{number}" for number in range(100)]
    codes = np.arange(100, dtype=np.uint32)
    values.learn(Prints.of(column_of(*texts)), codes)
    values.learn(Prints.of(column_of(*texts)), codes)
    found, are_known = values.find(Prints.of(column_of(*texts)))
    assert 0 < are_known.sum() <= 8
    assert (found[are_known] == codes[are_known]).all()


@pytest.mark.parametrize("max_slots", [4, 2**22])
@pytest.mark.parametrize("batch_rows", [1, 7, 50])
def test_batches_change_neither_rows_nor_rejects(
    batch_rows: int,
    max_slots: int,
    tmp_path: Path,
    read: Read,
    rejects_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = write_events(tmp_path / "e.parquet", mixed_events())
    whole, rejects = read(path), rejects_in(rejects_path)
    monkeypatch.setattr(sources, "BATCH_ROWS", batch_rows)
    monkeypatch.setattr(known, "_FIRST_SLOTS", 4)
    monkeypatch.setattr(known, "_MAX_SLOTS", max_slots)
    again = read(path)
    assert again.report == whole.report and rejects_in(rejects_path) == rejects
    assert again.table.frame.equals(whole.table.frame)


def test_rows_stay_in_the_order_of_the_file_whichever_way_they_were_judged(
    tmp_path: Path, read: Read
) -> None:
    kinds = [("view", "i1"), ("nps", None), ("view", "i2"), ("complaint", None), ("like", "i1")]
    events = [an_event(type=kind, item_id=item, customer_id=f"c{i}") for i, (kind, item) in enumerate(kinds)]
    frame = read(write_events(tmp_path / "e.jsonl", events)).table.frame
    assert frame["customer_id"].to_list() == ["c0", "c1", "c2", "c3", "c4"]
    assert frame["item_id"].to_list() == ["i1", None, "i2", None, "i1"]


def test_ids_that_are_numbers_in_one_file_and_texts_in_another_are_the_same(
    tmp_path: Path, read: Read
) -> None:
    numbers = write_events(tmp_path / "a.parquet", [an_event(customer_id=7, item_id=i) for i in range(5)])
    texts = write_events(tmp_path / "b.csv", [an_event(customer_id="7", item_id=f"{i}") for i in range(6)])
    report = read(numbers, texts).report
    assert (report.n_rows, report.n_duplicates) == (11, 5)


def test_a_score_without_a_scale_is_judged_alone(tmp_path: Path, read: Read, mapped: Mapped) -> None:
    mapping = mapped('[events.columns]\nscore = "mark"')
    path = write_events(tmp_path / "e.csv", [an_event(mark="9"), an_event(mark="dear", item_id="i2")])
    report = read(path, mapping=mapping).report
    assert report.reasons == (("bad_score", 1),)
