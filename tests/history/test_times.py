"""Times in every unit, typed or as text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsvc.errors import MappingError, TooManyRejectsError
from recsvc.history.times import EPOCH, TimeUnit, parse_times, unit_that_fits
from tests.history.examples import AS_OF, Mapped, Read, an_event, rejects_in, write_events

MOMENT = datetime(2017, 2, 12, 8, 30, 15, tzinfo=UTC)
SECONDS = int(MOMENT.timestamp())
PER_SECOND: dict[TimeUnit, int] = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def parsed(values: list[object], dtype: pl.DataType, unit: TimeUnit, zone: str | None = None) -> list[object]:
    frame = pl.DataFrame({"t": pl.Series(values, dtype=dtype)})
    times = frame.select(parse_times(pl.col("t"), dtype, unit, origin=None, zone=zone).dt.epoch("us"))
    return [None if n is None else EPOCH + timedelta(microseconds=n) for n in times["t"].to_list()]


@pytest.mark.parametrize("dtype", [pl.Int64(), pl.String(), pl.Float64()])
@pytest.mark.parametrize(
    ("unit", "size"), [("s", 1), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9), ("minutes", 60), ("hours", 3600)]
)
def test_counts_are_read_in_their_unit(unit: TimeUnit, size: float, dtype: pl.DataType) -> None:
    count = round(SECONDS / size)
    written: object = str(count) if dtype == pl.String() else count
    expected = EPOCH + timedelta(seconds=round(count * size))
    assert parsed([written], dtype, unit) == [expected]


@settings(deadline=None)
@given(st.integers(946_684_800_000_000_000, 1_900_000_000_000_000_000))
def test_a_count_of_nanoseconds_as_text_keeps_its_microseconds(count: int) -> None:
    assert parsed([str(count)], pl.String(), "ns") == [EPOCH + timedelta(microseconds=count // 1000)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2017-02-12T08:30:15Z", MOMENT),
        ("2017-02-12t08:30:15z", MOMENT),
        ("2017-02-12 08:30:15Z", MOMENT),
        ("2017-02-12T09:30:15+01:00", MOMENT),
        ("2017-02-12T08:30:15.250Z", MOMENT + timedelta(milliseconds=250)),
        ("2017-02-12T08:30:15", None),
        ("2017-02-30T08:30:15Z", None),
        ("2017-02-12", None),
        ("yesterday", None),
        ("1486888215", None),
    ],
)
def test_iso_texts_need_an_offset(text: str, expected: datetime | None) -> None:
    assert parsed([text], pl.String(), "iso") == [expected]


def test_a_zone_places_texts_without_offset() -> None:
    texts: list[object] = ["2017-07-12 10:30:15", "2017-07-12T10:30:15Z"]
    expected = [datetime(2017, 7, 12, 8, 30, 15, tzinfo=UTC), datetime(2017, 7, 12, 10, 30, 15, tzinfo=UTC)]
    assert parsed(texts, pl.String(), "iso", "Europe/Berlin") == expected


@pytest.mark.parametrize(("value", "dtype"), [(20170212, pl.Int64()), ("2017-02-12", pl.String())])
def test_dates_are_midnights(value: object, dtype: pl.DataType) -> None:
    assert parsed([value], dtype, "date") == [datetime(2017, 2, 12, tzinfo=UTC)]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "minutes", "hours", "days"])
@pytest.mark.parametrize("dtype", [pl.Int64(), pl.String(), pl.Float64()])
@pytest.mark.parametrize("count", [2**63 - 1, -(2**63), 10**18 + 7, SECONDS * 10**9])
def test_an_absurd_count_never_overflows_into_a_plausible_time(
    unit: TimeUnit, dtype: pl.DataType, count: int
) -> None:
    written: object = str(count) if dtype == pl.String() else count
    (moment,) = parsed([written], dtype, unit)
    assert isinstance(moment, datetime) and moment.year in (1, 9999)


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e400"])
def test_what_is_no_finite_number_is_no_time(text: str) -> None:
    assert parsed([text], pl.String(), "s") == [None]
    assert parsed([float(text)], pl.Float64(), "s") == [None]


@pytest.mark.parametrize("unit", PER_SECOND)
def test_the_unit_that_fits_is_found(unit: TimeUnit) -> None:
    assert unit_that_fits([SECONDS * PER_SECOND[unit]] * 3, AS_OF) == unit


def test_hours_since_a_start_fit_no_unit() -> None:
    assert unit_that_fits([0, 6, 504], AS_OF) is None


def test_typed_times_need_no_unit(tmp_path: Path, read: Read) -> None:
    naive = pl.DataFrame({"customer_id": ["c"], "item_id": ["i"], "type": ["view"], "occurred_at": [MOMENT]})
    for dtype in (pl.Datetime("ms", "UTC"), pl.Datetime("ns"), pl.Datetime("us", "Asia/Tokyo")):
        frame = naive.with_columns(pl.col("occurred_at").cast(dtype))
        frame.write_parquet(tmp_path / "e.parquet")
        (interaction,) = read(tmp_path / "e.parquet").table.interactions()
        assert interaction.occurred_at == MOMENT


def test_hours_count_from_their_origin(tmp_path: Path, read: Read, mapped: Mapped) -> None:
    mapping = mapped('[events.time]\nunit = "hours"\norigin = 2018-01-01T00:00:00Z')
    path = write_events(tmp_path / "e.csv", [an_event(occurred_at=25)])
    (interaction,) = read(path, mapping=mapping).table.interactions()
    assert interaction.occurred_at == datetime(2018, 1, 2, 1, tzinfo=UTC)


def test_numbers_that_are_no_times_need_a_unit(tmp_path: Path, read: Read) -> None:
    path = write_events(tmp_path / "e.csv", [an_event(occurred_at=6), an_event(occurred_at=7)])
    with pytest.raises(MappingError, match=r"numbers like 6.*set unit and origin under \[events.time\]"):
        read(path)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
@pytest.mark.parametrize(("said", "true"), [("s", "ms"), ("ms", "s"), ("s", "us"), ("ns", "ms"), ("us", "s")])
def test_a_wrong_unit_is_called_by_name_with_the_right_one(
    said: str, true: TimeUnit, suffix: str, tmp_path: Path, read: Read, mapped: Mapped, rejects_path: Path
) -> None:
    events = [an_event(occurred_at=(SECONDS + i) * PER_SECOND[true]) for i in range(5)]
    path = write_events(tmp_path / f"e{suffix}", events)
    with pytest.raises(TooManyRejectsError) as refused:
        read(path, mapping=mapped(f'[events.time]\nunit = "{said}"'))
    assert f"the time unit '{said}' is probably wrong" in str(refused.value)
    assert f'unit = "{true}"' in str(refused.value)
    assert len(rejects_in(rejects_path)) == 5


def test_old_times_are_good_where_the_mapping_says_how_old(
    tmp_path: Path, read: Read, mapped: Mapped
) -> None:
    path = write_events(tmp_path / "e.csv", [an_event(occurred_at="1996-05-01T00:00:00Z")])
    with pytest.raises(TooManyRejectsError, match="time_too_early"):
        read(path)
    mapping = mapped("[events.time]\nearliest = 1995-01-01T00:00:00Z")
    assert len(read(path, mapping=mapping).table) == 1


def test_no_times_on_request(tmp_path: Path, read: Read, mapped: Mapped) -> None:
    path = write_events(tmp_path / "e.csv", [an_event()])
    table = read(path, mapping=mapped('[events.time]\nunit = "none"')).table
    assert not table.has_times
