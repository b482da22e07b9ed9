"""Read JSON lines. In: a path. Out: batches of rows, every value as text; bad lines as rejects.

Each line is parsed alone, so that a bad one is one reject. Numbers keep their digits: an integer of any
length becomes its decimal text.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import polars as pl

from recsvc.history.blocks import ROW, BadLine, Batch, bad_lines_frame, read_blocks, without_bom


class JsonLinesSource:
    """A file of JSON objects, one a line. Its schema is that of the first block; later lines may add."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_open_ended = True
        names: dict[str, None] = {}
        for fields in _parse_lines(next(read_blocks(path, _last_line_end), (b"", 1.0))[0], 0):
            if isinstance(fields, dict):
                names.update(dict.fromkeys(fields))
        self.schema = pl.Schema(dict.fromkeys(names, pl.String()))

    def batches(self, columns: Sequence[str], id_columns: Collection[str] = ()) -> Iterator[Batch]:
        """The rows in order; lines that are no JSON object are rejects."""
        number = 0
        for block, done in read_blocks(self.path, _last_line_end):
            bad: list[BadLine] = []
            numbers: list[int] = []
            texts: dict[str, list[str | None]] = {column: [] for column in columns}
            for fields in _parse_lines(block, number):
                number += 1
                if isinstance(fields, BadLine):
                    bad.append(fields)
                    continue
                numbers.append(number)
                for column, values in texts.items():
                    values.append(_as_text(fields.get(column), is_id=column in id_columns))
            schema = dict.fromkeys(columns, pl.String())
            rows = pl.DataFrame(texts, schema=schema).with_columns(pl.Series(ROW, numbers, pl.UInt32))
            yield Batch(rows, bad_lines_frame(bad), done)

    def objects(self) -> Iterator[Mapping[str, object] | BadLine]:
        """The lines as objects, or with what is wrong with them, in order."""
        number = 0
        for block, _ in read_blocks(self.path, _last_line_end):
            for fields in _parse_lines(block, number):
                number += 1
                yield fields


def _parse_lines(block: bytes, n_before: int) -> Iterator[dict[str, object] | BadLine]:
    decode = msgspec.json.Decoder().decode
    number = n_before
    for line in (without_bom(block) if n_before == 0 else block).split(b"\n"):
        if not line.strip():
            continue
        number += 1
        try:
            fields = decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            detail = f"the line is no JSON: {error}; mend or drop it"
            yield BadLine(number, "unparsable_line", detail, line.strip())
            continue
        if isinstance(fields, dict):
            yield fields
        else:
            detail = 'the line is no JSON object; write one {"field": value, …} a line'
            yield BadLine(number, "unparsable_line", detail, line.strip())


def _as_text(value: object, *, is_id: bool) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        # A number with a fraction has lost digits as an id: the words make sure that no check passes it.
        return f"{value!r} (a number with a fraction)" if is_id else repr(value)
    return msgspec.json.encode(value).decode()


def _last_line_end(block: bytes) -> int:
    return block.rfind(b"\n") + 1
