"""Cut a text file, compressed or not, into blocks of whole rows. In: a path. Out: bytes, block by block.

Blocks bound the memory that a read takes, whatever the size of the file.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import polars as pl

from recsvc.errors import SourceError

ROW = "row"
BLOCK_BYTES = 8 * 2**20
# A row longer than this is no row: it is cut at a line's end and rejected.
LONGEST_ROW_BYTES = 4 * BLOCK_BYTES
UTF8_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
_REJECT_SCHEMA: dict[str, pl.DataType] = {
    "row": pl.UInt32(),
    "reason": pl.String(),
    "detail": pl.String(),
    "raw": pl.Struct({"line": pl.String}),
}
_RAW_LINE_CHARS = 2000


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows as read: the wanted columns, and `row` (UInt32, 1-based).

    `rejects` are lines that are no rows: row, reason, detail, and raw, a struct with the line's text.
    """

    rows: pl.DataFrame
    rejects: pl.DataFrame
    done_ratio: float


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no row."""

    row: int
    reason: str
    detail: str
    line: bytes


def bad_lines_frame(bad_lines: Sequence[BadLine]) -> pl.DataFrame:
    """The lines as the rejects of a batch. What is not UTF-8 in a line is shown as U+FFFD."""
    rows = [
        (bad.row, bad.reason, bad.detail, {"line": bad.line.decode("utf-8", "replace")[:_RAW_LINE_CHARS]})
        for bad in bad_lines
    ]
    return pl.DataFrame(rows, schema=_REJECT_SCHEMA, orient="row")


def read_blocks(path: Path, last_cut: Callable[[bytes], int]) -> Iterator[tuple[bytes, float]]:
    """Blocks that end at the end of a row, with the share of the file that was read.

    `last_cut(block)` is how many bytes of a block are whole rows.

    Raises:
        SourceError: the file is unreadable, cut short or not UTF-8 text at all.
    """
    size = max(path.stat().st_size, 1)
    pending = b""
    try:
        with path.open("rb") as raw:
            is_compressed = path.suffix.lower() == ".gz"
            stream = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if is_compressed else raw
            while chunk := stream.read(BLOCK_BYTES):
                if not pending:
                    _check_encoding(path, chunk)
                pending += chunk
                cut = last_cut(pending)
                if not cut and len(pending) > LONGEST_ROW_BYTES:
                    cut = pending.rfind(b"\n") + 1 or len(pending)
                if cut:
                    yield pending[:cut], min(raw.tell() / size, 1.0)
                    pending = pending[cut:]
    except EOFError as error:
        raise SourceError(f"{path} is cut short: copy or export it again") from error
    except (OSError, zlib.error) as error:
        raise SourceError(f"{path} cannot be read: {error}; copy or export it again") from error
    if pending:
        yield pending, 1.0


def without_bom(block: bytes) -> bytes:
    """The first block of a file without the byte-order mark that Windows programs put there."""
    return block.removeprefix(UTF8_BOM)


def _check_encoding(path: Path, chunk: bytes) -> None:
    if chunk.startswith(_UTF16_BOMS):
        raise SourceError(f"{path} is UTF-16 text: save it as UTF-8")
    if chunk.startswith(b"\x1f\x8b"):
        raise SourceError(f"{path} is compressed: give it the suffix .gz")
