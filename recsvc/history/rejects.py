"""Rows that cannot be used, never lost. In: rejected rows with reasons. Out: a JSON-lines file and a report.

Each line is {"source", "row", "reason", "detail", "raw": {column: text}}; rows are counted from 1, without
the header. The file appears whole or not at all, and a clean read leaves none.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import polars as pl

from recsvc.errors import SourceError, TooManyRejectsError

REJECT_COLUMNS = ("source", "row", "reason", "detail", "raw")


@dataclass(frozen=True, slots=True)
class RejectionReport:
    """What was read and what was left out.

    `n_rows` counts every row of the source; `reasons` are the reject codes, commonest first; `path` is None
    when nothing was rejected; `guesses` are sentences on what the mapping left open.
    """

    n_rows: int
    n_rejected: int = 0
    n_duplicates: int = 0
    n_ignored: int = 0
    reasons: tuple[tuple[str, int], ...] = ()
    path: Path | None = None
    guesses: tuple[str, ...] = ()


class RejectsFile:
    """Collects rejected rows. Leaving the `with` block normally publishes the file; an error discards it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reasons: Counter[str] = Counter()
        self._file: BinaryIO | None = None
        self._temporary: Path | None = None

    @property
    def n_rejected(self) -> int:
        """How many rows were rejected so far."""
        return self._reasons.total()

    @property
    def reasons(self) -> tuple[tuple[str, int], ...]:
        """The reason codes with their counts, commonest first."""
        return tuple(sorted(self._reasons.items(), key=lambda pair: (-pair[1], pair[0])))

    def add(self, rejects: pl.DataFrame) -> None:
        """Write rows with the columns source, row, reason, detail (texts) and raw (a struct of texts)."""
        if rejects.is_empty():
            return
        for reason, count in rejects["reason"].value_counts().iter_rows():
            self._reasons[reason] += count
        try:
            rejects.select(REJECT_COLUMNS).write_ndjson(self._open())
        except OSError as error:
            raise self._cannot_write(error) from error

    def report(
        self, *, n_rows: int, n_duplicates: int = 0, n_ignored: int = 0, guesses: tuple[str, ...] = ()
    ) -> RejectionReport:
        """The report of a finished read."""
        path = self.path if self.n_rejected else None
        return RejectionReport(n_rows, self.n_rejected, n_duplicates, n_ignored, self.reasons, path, guesses)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._publish()
        elif self._file is not None and self._temporary is not None:
            self._file.close()
            self._temporary.unlink(missing_ok=True)

    def _open(self) -> BinaryIO:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
            self._file, self._temporary = os.fdopen(handle, "wb"), Path(name)
        return self._file

    def _publish(self) -> None:
        try:
            if self._file is None or self._temporary is None:
                # Rejects of an earlier read would be taken for those of this one.
                self.path.unlink(missing_ok=True)
                return
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._temporary.chmod(0o644)
            self._temporary.replace(self.path)
        except OSError as error:
            raise self._cannot_write(error) from error

    def _cannot_write(self, error: OSError) -> SourceError:
        return SourceError(
            f"the rejects file {self.path} cannot be written: {error.strerror}; "
            "name another place with --rejects or RECSVC_DATA_DIR"
        )


def check_reject_limit(report: RejectionReport, limit_ratio: float, *, hint: str = "") -> None:
    """Stop when too many rows were rejected, or all of them. `hint` is what the reader knows of the cause.

    Raises:
        TooManyRejectsError: with the five commonest reasons.
    """
    everything = report.n_rejected == report.n_rows
    if report.n_rejected == 0 or not (everything or report.n_rejected > limit_ratio * report.n_rows):
        return
    error = TooManyRejectsError(
        n_rejected=report.n_rejected,
        n_rows=report.n_rows,
        limit_ratio=limit_ratio,
        reasons=report.reasons,
        path=str(report.path),
    )
    if hint:
        error.args = (f"{error}; {hint}",)
    raise error


def as_raw(columns: list[pl.Expr]) -> pl.Expr:
    """The columns as one struct of texts, exactly as read, so that no number loses a digit in JSON."""
    return pl.struct([column.cast(pl.String, strict=False) for column in columns]).alias("raw")
