"""The files hold the whole bank, to the byte, and say that it is synthetic."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import msgspec
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from recsvc.domain.customers import Customer
from recsvc.domain.items import Item
from recsvc.sample_bank import SampleBank, SampleFiles, Truth, make_sample_bank, write_sample_bank

from .conftest import END


@pytest.fixture
def small_bank() -> SampleBank:
    return make_sample_bank(end=END, n_customers=60, n_articles=60, n_events=2_000)


def contents(files: SampleFiles) -> dict[str, bytes]:
    return {field.name: getattr(files, field.name).read_bytes() for field in fields(files)}


def test_the_same_bank_writes_the_same_bytes(small_bank: SampleBank, tmp_path: Path) -> None:
    again = make_sample_bank(end=END, n_customers=60, n_articles=60, n_events=2_000)
    one = contents(write_sample_bank(small_bank, tmp_path / "one"))
    other = contents(write_sample_bank(again, tmp_path / "deep" / "other"))
    assert one == other


def test_what_is_written_can_be_read_back(small_bank: SampleBank, tmp_path: Path) -> None:
    files = write_sample_bank(small_bank, tmp_path)
    items = msgspec.json.Decoder(Item).decode_lines(files.items.read_bytes())
    customers = msgspec.json.Decoder(Customer).decode_lines(files.customers.read_bytes())
    assert tuple(items) == small_bank.items
    assert tuple(customers) == small_bank.customers
    assert msgspec.json.decode(files.truth.read_bytes(), type=Truth) == small_bank.truth
    assert_frame_equal(pl.read_parquet(files.events), small_bank.events)


def test_the_note_says_in_words_that_nothing_is_real(small_bank: SampleBank, tmp_path: Path) -> None:
    note = write_sample_bank(small_bank, tmp_path).note
    assert note.name == "README.txt"
    text = note.read_text("utf-8")
    assert text.startswith("Everything in this folder is synthetic.")
    assert "No customer here is a real person" in text
    assert "not a real bank" in " ".join(text.split())
    assert "合成" in text
