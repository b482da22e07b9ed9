"""Read CSV. In: a path. Out: batches of rows, every column as text; ragged lines as rejects.

polars fills a short line with nulls and refuses a file with a long one. So numpy counts each line's fields
first, and polars parses only the lines that have as many as the header.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from recsvc.errors import SourceError
from recsvc.history.blocks import ROW, BadLine, Batch, bad_lines_frame, read_blocks, without_bom

_QUOTE, _NEWLINE, _RETURN = ord('"'), ord("\n"), ord("\r")


@dataclass(frozen=True, slots=True)
class _Lines:
    """Where a block's records lie: record i is block[starts[i]:ends[i]], its newline included."""

    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    n_fields: npt.NDArray[np.int64]


class CsvSource:
    """A CSV file with a header line."""

    def __init__(self, path: Path, separator: str) -> None:
        self.path = path
        self.is_open_ended = False
        self._separator = separator
        self._header = self._read_header()
        self.schema = pl.Schema(dict.fromkeys(self._header, pl.String()))

    def batches(self, columns: Sequence[str], id_columns: Collection[str] = ()) -> Iterator[Batch]:
        """The rows in order; lines with too few or too many fields are rejects."""
        n_before, is_first = 0, True
        for block, done in read_blocks(self.path, _last_record_end):
            if is_first:
                block, is_first = block.partition(b"\n")[2], False
            batch, n_rows = self._parse(block, columns, n_before, done)
            n_before += n_rows
            yield batch

    def _read_header(self) -> list[str]:
        first = next(read_blocks(self.path, _last_record_end), (b"", 1.0))[0]
        line = without_bom(first).split(b"\n", 1)[0].rstrip(b"\r")
        try:
            header = next(csv.reader([line.decode()], delimiter=self._separator), [])
        except (UnicodeDecodeError, csv.Error) as error:
            raise SourceError(
                f"the header of {self.path} cannot be read: {error}; save it as UTF-8"
            ) from error
        if not any(header):
            raise SourceError(f"{self.path} has no header line: the first line must name the columns")
        twice = {name for name in header if header.count(name) > 1}
        if twice:
            raise SourceError(f"{self.path} names the column '{min(twice)}' twice: rename one of the two")
        return header

    def _parse(self, block: bytes, columns: Sequence[str], n_before: int, done: float) -> tuple[Batch, int]:
        lines = _find_records(block, ord(self._separator))
        if lines is None or not _is_utf8(block):
            return self._parse_line_by_line(block, columns, n_before, done)
        is_blank = _are_blank(block, lines)
        numbers = n_before + np.cumsum(~is_blank)
        is_whole = (lines.n_fields == len(self._header)) & ~is_blank
        ragged = np.flatnonzero(~is_whole & ~is_blank)
        bad = [
            self._ragged(int(numbers[i]), int(lines.n_fields[i]), block[lines.starts[i] : lines.ends[i]])
            for i in ragged
        ]
        rows = self._read(_keep(block, lines, is_whole), columns)
        if rows is None or rows.height != int(is_whole.sum()):
            return self._parse_line_by_line(block, columns, n_before, done)
        numbered = rows.with_columns(pl.Series(ROW, numbers[is_whole], pl.UInt32))
        return Batch(numbered, bad_lines_frame(bad), done), int((~is_blank).sum())

    def _read(self, block: bytes, columns: Sequence[str]) -> pl.DataFrame | None:
        """The block as polars reads it; None when polars sees other records in it than we do."""
        if not block:
            return pl.DataFrame(schema=dict.fromkeys(columns, pl.String()))
        try:
            rows = pl.read_csv(
                block,
                has_header=False,
                separator=self._separator,
                new_columns=self._header,
                infer_schema=False,
            )
        except pl.exceptions.ComputeError:
            # A quote that closes before a lone carriage return, for one.
            return None
        return rows.select(columns)

    def _parse_line_by_line(
        self, block: bytes, columns: Sequence[str], n_before: int, done: float
    ) -> tuple[Batch, int]:
        """The slow way, for a block with stray quotes or broken text: each line stands or falls alone."""
        bad: list[BadLine] = []
        rows: list[list[str | None]] = []
        numbers: list[int] = []
        number = n_before
        places = [self._header.index(column) for column in columns]
        for line in block.split(b"\n"):
            if not line.strip(b"\r"):
                continue
            number += 1
            try:
                fields = next(
                    csv.reader([line.rstrip(b"\r").decode()], delimiter=self._separator, strict=True)
                )
            except UnicodeDecodeError:
                bad.append(
                    BadLine(number, "not_utf8", "the line is not UTF-8 text; save the file as UTF-8", line)
                )
            except csv.Error as error:
                bad.append(
                    BadLine(number, "unparsable_line", f"the line is no CSV: {error}; mend its quotes", line)
                )
            else:
                if len(fields) == len(self._header):
                    rows.append([fields[place] or None for place in places])
                    numbers.append(number)
                else:
                    bad.append(self._ragged(number, len(fields), line))
        frame = pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String()), orient="row")
        numbered = frame.with_columns(pl.Series(ROW, numbers, pl.UInt32))
        return Batch(numbered, bad_lines_frame(bad), done), number - n_before

    def _ragged(self, row: int, n_fields: int, line: bytes) -> BadLine:
        detail = f"the line has {n_fields} fields, the header has {len(self._header)}; mend the line"
        return BadLine(row, "ragged_line", detail, line.rstrip(b"\r\n"))


def _last_record_end(block: bytes) -> int:
    if b'"' not in block:
        return block.rfind(b"\n") + 1
    characters = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero((characters == _NEWLINE) & ~_inside_quotes(characters))
    return int(ends[-1]) + 1 if len(ends) else 0


def _find_records(block: bytes, separator: int) -> _Lines | None:
    """The records of a block; None when its quotes do not pair up as CSV quotes do."""
    if not block.endswith(b"\n"):
        block += b"\n"
    characters = np.frombuffer(block, np.uint8)
    is_end, is_separator = characters == _NEWLINE, characters == separator
    if b'"' in block:
        if not _quotes_are_sound(characters, separator):
            return None
        outside = ~_inside_quotes(characters)
        is_end &= outside
        is_separator &= outside
    ends = np.flatnonzero(is_end) + 1
    starts = np.concatenate([[0], ends[:-1]])
    n_separators = np.diff(np.searchsorted(np.flatnonzero(is_separator), ends), prepend=0)
    return _Lines(starts, ends, n_separators + 1)


def _inside_quotes(characters: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Whether each character stands within quotes. A doubled quote closes and opens again: that is right."""
    inside: npt.NDArray[np.bool_] = np.logical_xor.accumulate(characters == _QUOTE)
    return inside


def _quotes_are_sound(characters: npt.NDArray[np.uint8], separator: int) -> bool:
    places = np.flatnonzero(characters == _QUOTE)
    if len(places) % 2:
        return False
    opens, closes = places[::2], places[1::2]
    before, after = characters[np.maximum(opens - 1, 0)], characters[closes + 1]
    borders = (separator, _NEWLINE, _QUOTE)
    # A quote at the very start has itself before it, which is a border too.
    opens_well = np.isin(before, borders)
    return bool(opens_well.all() and np.isin(after, (*borders, _RETURN)).all())


def _are_blank(block: bytes, lines: _Lines) -> npt.NDArray[np.bool_]:
    lengths = lines.ends - lines.starts
    first = np.frombuffer(block + b"\n", np.uint8)[lines.starts]
    is_blank: npt.NDArray[np.bool_] = (lengths == 1) | ((lengths == 2) & (first == _RETURN))
    return is_blank


def _keep(block: bytes, lines: _Lines, is_kept: npt.NDArray[np.bool_]) -> bytes:
    if is_kept.all():
        return block
    wanted = np.repeat(is_kept, lines.ends - lines.starts)[: len(block)]
    kept: bytes = np.frombuffer(block, np.uint8)[wanted].tobytes()
    return kept


def _is_utf8(block: bytes) -> bool:
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True
