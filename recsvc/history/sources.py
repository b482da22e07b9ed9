"""Open a file of rows by its suffix. In: a path. Out: its columns, and batches of raw rows in file order.

CSV (.csv), JSON lines (.jsonl, .ndjson, .json), both also with .gz, and Parquet (.parquet). A file is never
held whole in memory, and a line that is no row becomes a reject.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import polars as pl

from recsvc.errors import SourceError
from recsvc.history.blocks import ROW, Batch, bad_lines_frame
from recsvc.history.csv_lines import CsvSource
from recsvc.history.json_lines import JsonLinesSource

BATCH_ROWS = 2**17
_JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
KNOWN_SUFFIXES = ".csv, .jsonl, .ndjson, .json (each also with .gz) or .parquet"


class Source(Protocol):
    """A file that can be read in batches."""

    path: Path
    schema: pl.Schema  # those of a text file are all text
    is_open_ended: bool  # whether later rows may hold columns that the schema does not name

    def batches(self, columns: Sequence[str], id_columns: Collection[str] = ()) -> Iterator[Batch]:
        """Its rows in order, of these columns. In `id_columns` a number with a fraction is never an id."""
        ...


class ParquetSource:
    """A Parquet file. Only the wanted columns are read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_open_ended = False
        try:
            self.schema = pl.Schema(pl.read_parquet_schema(path))
            self._n_rows = int(pl.scan_parquet(path).select(pl.len()).collect().item())
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
            raise self._unreadable(error) from error

    def batches(self, columns: Sequence[str], id_columns: Collection[str] = ()) -> Iterator[Batch]:
        """The rows in order."""
        lazy = pl.scan_parquet(self.path).select(columns)
        try:
            # Slices, because a stream reads row groups ahead and holds them all decoded. They grow, because
            # at first every value is new, and a new one takes many times the memory of a known one.
            end, size = 0, max(BATCH_ROWS // 16, 1)
            while end < self._n_rows:
                rows = lazy.slice(end, size).collect()
                numbers = pl.int_range(end + 1, end + rows.height + 1, dtype=pl.UInt32)
                end, size = end + rows.height, min(2 * size, BATCH_ROWS)
                yield Batch(rows.with_columns(numbers.alias(ROW)), bad_lines_frame([]), end / self._n_rows)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: BaseException) -> SourceError:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return SourceError(f"{self.path} is no readable Parquet file: {reason}; copy or export it again")


def open_source(path: Path, *, separator: str = ",") -> Source:
    """Open a file of rows. `separator` is for CSV only.

    Raises:
        SourceError: it is missing, a folder, empty, of an unknown kind, or unreadable.
    """
    kind = _checked_kind(path)
    if kind == ".parquet":
        return ParquetSource(path)
    return CsvSource(path, separator) if kind == ".csv" else JsonLinesSource(path)


def is_json_lines(path: Path) -> bool:
    """Whether the suffix says JSON lines."""
    return _kind(path) in _JSON_SUFFIXES


def _checked_kind(path: Path) -> str:
    kind = _kind(path)
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise SourceError(f"{path} is a folder: name a file in it")
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}; check the path") from error
    if kind not in (".csv", ".parquet", *_JSON_SUFFIXES):
        raise SourceError(f"{path} has an unknown suffix: rename or convert it to {KNOWN_SUFFIXES}")
    if size == 0:
        raise SourceError(f"{path} is empty: export it again")
    return kind


def _kind(path: Path) -> str:
    name = path.name.lower()
    is_text_in_gzip = name.endswith(".gz") and not name.endswith(".parquet.gz")
    return Path(name.removesuffix(".gz")).suffix if is_text_in_gzip else Path(name).suffix
