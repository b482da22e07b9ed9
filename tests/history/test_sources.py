"""Files of every kind give the same rows, and what cannot be read is said in one sentence."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsvc.errors import MappingError, SourceError, TooManyRejectsError
from recsvc.history import blocks
from recsvc.history.csv_lines import CsvSource
from recsvc.history.sources import open_source
from tests.history.examples import Mapped, Read, an_event, many_events, rejects_in, write_events

SUFFIXES = [".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".json", ".ndjson", ".parquet"]
HEADER = "customer_id,item_id,type,occurred_at\n"
GOOD = "c1,i1,view,2026-11-01T09:00:00Z\n"


def ids_in(path: Path, read: Read) -> list[tuple[str, str]]:
    return read(path).table.frame.select("customer_id", "item_id").rows()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_kind_of_file_gives_the_same_interactions(suffix: str, tmp_path: Path, read: Read) -> None:
    events = [
        an_event(customer_id=f"c{i}", channel="web", value=i / 4, quantity=i + 1, position=1)
        for i in range(20)
    ]
    read_back = list(read(write_events(tmp_path / f"events{suffix}", events)).table.interactions())
    expected = list(read(write_events(tmp_path / "reference.jsonl", events)).table.interactions())
    assert read_back == expected and len(expected) == 20


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "customer_id",
    [
        "78afa995795e4d85b5d9ceeca43f5fef",
        "00000000000000000000000000000000",
        "12345678901234567890123456789012",
    ],
)
def test_a_32_hex_id_comes_out_as_it_went_in(
    suffix: str, customer_id: str, tmp_path: Path, read: Read
) -> None:
    path = write_events(tmp_path / f"events{suffix}", [an_event(customer_id=customer_id)])
    assert ids_in(path, read) == [(customer_id, "i1")]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("number", [-(2**63), 2**63 - 1, -8845298781299428018, 0, -1])
def test_a_signed_64_bit_id_comes_out_as_it_went_in(
    suffix: str, number: int, tmp_path: Path, read: Read
) -> None:
    path = write_events(tmp_path / f"events{suffix}", [an_event(customer_id=number, item_id=number)])
    assert ids_in(path, read) == [(str(number), str(number))]


def test_an_id_of_more_than_64_bits_in_json_keeps_its_digits(tmp_path: Path, read: Read) -> None:
    path = write_events(tmp_path / "e.jsonl", [an_event(customer_id=10**30 + 1)])
    assert ids_in(path, read) == [(str(10**30 + 1), "i1")]


def test_a_float_column_of_ids_is_refused(tmp_path: Path, read: Read) -> None:
    path = write_events(tmp_path / "e.parquet", [an_event(customer_id=1.0e18)])
    with pytest.raises(MappingError, match=r"customer_id but holds Float64.*export it as text"):
        read(path)


@pytest.mark.parametrize(
    ("suffix", "number", "reason"),
    [
        (".jsonl", 1.0e18, "bad_item_id"),
        (".jsonl", 12.5, "bad_item_id"),
        (".csv", "1.0e18", "rounded_item_id"),
        (".csv", "1.46541E+18", "rounded_item_id"),
    ],
)
def test_an_id_that_lost_its_digits_is_a_reject(
    suffix: str, number: object, reason: str, tmp_path: Path, read: Read, rejects_path: Path
) -> None:
    path = write_events(tmp_path / f"e{suffix}", [*many_events(3), an_event(item_id=number)])
    if suffix == ".csv":
        path.write_text(HEADER + GOOD + f"c1,{number},view,2026-11-01T09:00:00Z\n")
    read(path)
    assert [reject["reason"] for reject in rejects_in(rejects_path)] == [reason]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("missing.csv", None, "check the path"),
        ("empty.csv", b"", "is empty"),
        ("empty.parquet", b"", "is empty"),
        ("events.xlsx", b"x", "unknown suffix"),
        ("events", b"x", "unknown suffix"),
        ("events.parquet", b"PAR1 and nothing else", "no readable Parquet"),
        ("events.csv.gz", b"a,b\n", "cannot be read"),
        ("events.csv", gzip.compress(b"a,b\n", mtime=0), "suffix .gz"),
        ("events.csv", "customer_id,item_id\n".encode("utf-16"), "save it as UTF-8"),
        ("events.csv", b"\ncustomer_id,item_id\n", "no header"),
        ("events.csv", b"customer_id,item_id,item_id\n1,2,3\n", "names the column 'item_id' twice"),
        ("events.csv", HEADER.encode(), "holds no rows"),
        ("events.jsonl", b"\n\n", "holds no rows"),
    ],
)
def test_a_file_that_cannot_be_read_gets_one_sentence(
    name: str, content: bytes | None, says: str, tmp_path: Path, read: Read, rejects_path: Path
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError) as refused:
        read(path)
    assert says in str(refused.value) and str(path) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not rejects_path.exists()


def test_a_folder_is_no_file(tmp_path: Path, read: Read) -> None:
    (tmp_path / "events.parquet").mkdir()
    with pytest.raises(SourceError, match="is a folder: name a file in it"):
        read(tmp_path / "events.parquet")


@pytest.mark.parametrize("name", ["events.csv.gz", "events.jsonl.gz"])
def test_a_compressed_file_that_is_cut_short_stops_the_read(
    name: str, tmp_path: Path, read: Read, rejects_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first block is read, and its reject written, before the end is missed.
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 512)
    path = write_events(tmp_path / name, [an_event(customer_id="bad id"), *many_events(500)])
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(SourceError, match=r"cut short|cannot be read"):
        read(path)
    assert rejects_path.parent.is_dir() and not list(rejects_path.parent.iterdir())


def test_a_parquet_file_that_is_cut_short_stops_the_read(tmp_path: Path, read: Read) -> None:
    path = write_events(tmp_path / "e.parquet", many_events(500))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SourceError, match="no readable Parquet file"):
        read(path)


@pytest.mark.parametrize(
    "content",
    [
        HEADER + GOOD,
        "\ufeff" + HEADER + GOOD,
        (HEADER + GOOD).replace("\n", "\r\n"),
        "\ufeff" + (HEADER + GOOD).replace("\n", "\r\n"),
        (HEADER + GOOD).rstrip("\n"),
        HEADER + "\n" + GOOD + "\n\r\n",
        HEADER + '"c1","i1","view","2026-11-01T09:00:00Z"\n',
        HEADER.replace(",", ",noise,", 1)
        + '"c1","a ""quoted"", \r\n two-line text",i1,view,2026-11-01T09:00:00Z\n',
    ],
)
def test_csv_as_different_programs_write_it(content: str, tmp_path: Path, read: Read) -> None:
    path = tmp_path / "events.csv"
    path.write_bytes(content.encode())
    history = read(path)
    assert history.table.frame.select("customer_id", "item_id").rows() == [("c1", "i1")]
    assert history.report.n_rows == 1


def test_another_separator_is_said_in_the_mapping(tmp_path: Path, read: Read, mapped: Mapped) -> None:
    path = tmp_path / "events.csv"
    path.write_text((HEADER + GOOD).replace(",", ";"))
    assert len(read(path, mapping=mapped('[events]\nseparator = ";"')).table) == 1


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("c1,i1,view\n", "ragged_line"),
        ("c1,i1,view,2026-11-01T09:00:00Z,more\n", "ragged_line"),
        ('c1,i1,"view,2026-11-01T09:00:00Z\n', "unparsable_line"),
        ("c1,i\udcff1,view,2026-11-01T09:00:00Z\n", "not_utf8"),
        ('c1,"i1"\r1,view,2026-11-01T09:00:00Z\n', "unparsable_line"),
    ],
)
def test_a_broken_csv_line_is_one_reject_and_its_neighbours_stay(
    bad: str, reason: str, tmp_path: Path, read: Read, rejects_path: Path
) -> None:
    path = tmp_path / "events.csv"
    before, after = GOOD.replace("i1", "before"), GOOD.replace("i1", "after")
    path.write_bytes((HEADER + before + bad + after).encode("utf-8", "surrogateescape"))
    history = read(path)
    assert history.table.frame["item_id"].to_list() == ["before", "after"]
    (reject,) = rejects_in(rejects_path)
    assert (reject["row"], reject["reason"], reject["source"]) == (2, reason, str(path))
    assert history.report.n_rows == 3


def test_a_stray_quote_inside_a_field_is_just_a_character(tmp_path: Path, read: Read, mapped: Mapped) -> None:
    path = tmp_path / "events.csv"
    path.write_text('customer_id,note,item_id\nc1,a 5" pipe,i1\nc2,plain,i2\nc3,7" and 8",i3\n')
    assert ids_in(path, read) == [("c1", "i1"), ("c2", "i2"), ("c3", "i3")]


@pytest.mark.parametrize(
    "bad", ["{", "[]", "7", '"text"', "{'customer_id': 1}", "\udcff", '{"a": NaN}', "[" * 5000]
)
def test_a_broken_json_line_is_one_reject(bad: str, tmp_path: Path, read: Read, rejects_path: Path) -> None:
    path = write_events(tmp_path / "e.jsonl", many_events(2))
    path.write_bytes(
        path.read_bytes() + f"{bad}\r\n\n".encode("utf-8", "surrogateescape") + b'{"type": "view"}\n'
    )
    history = read(path)
    assert len(history.table) == 2 and history.report.n_rows == 4
    reasons = {reject["row"]: reject["reason"] for reject in rejects_in(rejects_path)}
    assert reasons == {3: "unparsable_line", 4: "missing_customer_id"}


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".jsonl.gz"])
def test_a_file_of_many_blocks_gives_every_row_once(
    suffix: str, tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 97)
    events = many_events(300)
    table = read(write_events(tmp_path / f"e{suffix}", events)).table
    assert table.frame["item_id"].to_list() == [event["item_id"] for event in events]


def test_rows_are_counted_from_one_without_the_header_and_blank_lines(
    tmp_path: Path, read: Read, rejects_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "e.csv"
    path.write_text(HEADER + "\n" + GOOD * 2 + "\r\n\nragged\n\n" + GOOD + "\nragged again\n")
    for block_bytes in (64, 10_000):
        monkeypatch.setattr(blocks, "BLOCK_BYTES", block_bytes)
        assert read(path).report.n_rows == 5
        assert [reject["row"] for reject in rejects_in(rejects_path)] == [3, 5]


def test_no_block_grows_with_the_file_even_behind_an_open_quote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 64)
    monkeypatch.setattr(blocks, "LONGEST_ROW_BYTES", 256)
    path = tmp_path / "e.csv"
    path.write_text(HEADER + '"' + GOOD * 1000)
    sizes = [len(block) for block, _ in blocks.read_blocks(path, lambda block: 0)]
    assert max(sizes) <= 256 + 64 and sum(sizes) == path.stat().st_size


def test_an_open_quote_costs_its_line_and_not_the_rest_of_the_file(
    tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 64)
    monkeypatch.setattr(blocks, "LONGEST_ROW_BYTES", 256)
    lines = [GOOD.replace("i1", f"i{i}") for i in range(100)]
    path = tmp_path / "e.csv"
    path.write_text(HEADER + "".join(lines[:50]) + '"' + GOOD + "".join(lines[50:]))
    history = read(path)
    assert history.table.frame["item_id"].to_list() == [f"i{i}" for i in range(100)]
    assert history.report.reasons == (("unparsable_line", 1),)


CELLS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=8),
    newline=st.sampled_from(["\n", "\r\n"]),
    block_bytes=st.sampled_from([16, 100_000]),
)
def test_any_csv_that_python_writes_is_read_as_it_was_written(
    rows: list[tuple[str, str, str]], newline: str, block_bytes: int, tmp_path: Path
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=newline, quoting=csv.QUOTE_ALL)
    writer.writerows([("a", "b", "c"), *rows])
    path = tmp_path / "any.csv"
    path.write_bytes(text.getvalue().encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK_BYTES", block_bytes)
        batches = list(CsvSource(path, ",").batches(["a", "b", "c"]))
    assert all(batch.rejects.is_empty() for batch in batches)
    read_back = [tuple(cell or "" for cell in row[:3]) for batch in batches for row in batch.rows.rows()]
    assert read_back == rows
    assert [row for batch in batches for row in batch.rows["row"]] == list(range(1, len(rows) + 1))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    characters=st.lists(
        st.sampled_from([b"a", b"1", b",", b'"', b"\n", b"\r", b"\x00", b"\xff", b"{", b" "]), max_size=60
    ),
    suffix=st.sampled_from([".csv", ".jsonl"]),
)
def test_whatever_stands_in_a_file_every_line_is_a_row_or_a_reject(
    characters: list[bytes], suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"any{suffix}"
    path.write_bytes(b"item_id,b\n" + b"".join(characters))
    batches = list(open_source(path).batches(["item_id"]))
    numbers = [row for batch in batches for frame in (batch.rows, batch.rejects) for row in frame["row"]]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))


def test_an_optional_field_that_only_later_json_lines_have_is_read(
    tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 512)
    path = write_events(tmp_path / "e.jsonl", [*many_events(50), an_event(channel="branch")])
    assert read(path).table.frame["channel"].to_list() == [None] * 50 + ["branch"]


def test_only_the_wanted_columns_are_read(tmp_path: Path) -> None:
    path = write_events(tmp_path / "e.parquet", [an_event(noise=1)])
    (batch,) = open_source(path).batches(["item_id"])
    assert batch.rows.columns == ["item_id", "row"]


def test_rejects_only_stop_the_read_even_without_a_limit(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "e.jsonl"
    path.write_text('{"customer_id": "c 1", "item_id": "i"}\n{\n')
    with pytest.raises(TooManyRejectsError, match="2 of 2 rows were rejected"):
        read(path)


def test_a_file_without_one_sound_line_is_rejects_only(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "e.jsonl"
    path.write_text("{\n{\n{\n")
    with pytest.raises(TooManyRejectsError, match=r"unparsable_line \(3\)"):
        read(path)
