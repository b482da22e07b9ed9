"""Read raw events into a clean history. In: files, a mapping, the policy. Out: `History`, a rejects file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from recsvc.errors import SourceError
from recsvc.history.blocks import ROW
from recsvc.history.checks import TIME_CODES, Limits, raw_of
from recsvc.history.cleaning import Cleaned, Cleaner
from recsvc.history.columns import EventPlan, plan_events
from recsvc.history.decoding import Decoder, numbers_in
from recsvc.history.duplicates import drop_duplicates
from recsvc.history.interactions import TABLE_SCHEMA, InteractionTable
from recsvc.history.mapping import EventMapping, FileMapping
from recsvc.history.rejects import RejectionReport, RejectsFile, as_raw, check_reject_limit
from recsvc.history.sources import Source, open_source
from recsvc.history.times import unit_that_fits
from recsvc.policy import Policy

Progress = Callable[[str, float], None]
DEFAULT_REJECT_LIMIT = 0.02

_ORIGIN = (ROW, "source")
_CONFLICT = "an earlier row has the same event_id and other content; give each event its own id"
_TIME_SAMPLE = 1000


@dataclass(frozen=True, slots=True)
class History:
    """What was read: the clean interactions, and what became of the other rows."""

    table: InteractionTable
    report: RejectionReport


def read_interactions(
    paths: Sequence[Path],
    mapping: FileMapping,
    policy: Policy,
    *,
    rejects_path: Path,
    as_of: datetime,
    reject_limit: float = DEFAULT_REJECT_LIMIT,
    progress: Progress | None = None,
) -> History:
    """Read events from files into one history.

    Bad rows land in `rejects_path`; exact duplicates and ignored types are dropped and counted.
    `reject_limit` is a ratio of all rows; `as_of` is the moment after which a time lies in the future;
    `progress` hears the stage and the share of it that is done.

    Raises:
        SourceError: a file is missing, empty, of an unknown kind or unreadable, or nothing is left.
        MappingError: the mapping does not fit a file.
        TooManyRejectsError: the limit was passed, or no row was good.
    """
    with RejectsFile(rejects_path) as rejects:
        reading = _Reading(mapping.events or EventMapping(), policy, as_of, rejects)
        rows = _read_files(paths, mapping, reading, progress or (lambda stage, done: None))
        unique = drop_duplicates(rows, origin=_ORIGIN)
        if not unique.conflicts.is_empty():
            rejects.add(_conflicts(unique.conflicts, paths))
        report = rejects.report(
            n_rows=reading.n_rows,
            n_duplicates=unique.n_duplicates,
            n_ignored=reading.n_ignored,
            guesses=tuple(dict.fromkeys(reading.notes)),
        )
    _check_any_row(paths, report)
    check_reject_limit(report, reject_limit, hint=reading.unit_hint())
    return History(reading.table(unique.firsts), report)


@dataclass(slots=True)
class _Reading:
    """One read under way: what it was told, and what it has counted."""

    rules: EventMapping
    policy: Policy
    as_of: datetime
    rejects: RejectsFile
    n_rows: int = 0
    n_ignored: int = 0
    notes: list[str] = field(default_factory=list)
    bad_times: list[float] = field(default_factory=list)
    n_bad_times: int = 0
    unit: str = ""

    def keep(self, cleaned: Cleaned, plan: EventPlan, source: Source) -> pl.DataFrame:
        """The good rows of a batch; the others go to the rejects."""
        self.n_ignored += cleaned.n_ignored
        if not cleaned.bad.is_empty():
            self._reject(cleaned.bad, plan, source)
        return cleaned.good

    def table(self, rows: pl.DataFrame) -> InteractionTable:
        """The kept rows as a table, with the constants of the mapping."""
        constants = self.rules.constants
        same = {
            "channel": constants.channel,
            "currency": constants.currency,
            "placement": constants.placement,
        }
        given = [
            pl.lit(str(value), dtype=pl.String).cast(pl.Categorical).alias(name)
            for name, value in same.items()
            if value is not None and name not in rows.columns
        ]
        return InteractionTable.from_frame(rows.with_columns(given))

    def unit_hint(self) -> str:
        """What is probably wrong with the time unit, when most of the rejects are bad times."""
        if self.n_bad_times * 2 < max(self.rejects.n_rejected, 1):
            return ""
        fitting = unit_that_fits(self.bad_times, self.as_of)
        if fitting is None or fitting == self.unit:
            return "most are times that cannot be: check unit, origin and earliest under [events.time]"
        return (
            f"the time unit '{self.unit}' is probably wrong: with '{fitting}' the times lie in the "
            f'past, so set unit = "{fitting}" under [events.time]'
        )

    def _reject(self, bad: pl.DataFrame, plan: EventPlan, source: Source) -> None:
        columns = dict(plan.columns)
        if plan.rating_column:
            columns["rating"] = plan.rating_column
        self.rejects.add(
            bad.select(
                pl.lit(str(source.path)).alias("source"), ROW, "reason", "detail", raw_of(bad, columns)
            )
        )
        untimely = bad.filter(pl.col("reason").is_in(TIME_CODES))
        self.n_bad_times += untimely.height
        if untimely.height and len(self.bad_times) < _TIME_SAMPLE:
            self.bad_times += numbers_in(untimely["raw.occurred_at"].head(_TIME_SAMPLE))
        self.unit = plan.unit or "iso"


def _read_files(
    paths: Sequence[Path], mapping: FileMapping, reading: _Reading, progress: Progress
) -> pl.DataFrame:
    parts: list[pl.DataFrame] = []
    for place, path in enumerate(paths):
        source = open_source(path, separator=reading.rules.separator)
        for part, done in _read_file(source, mapping, reading):
            # Only rows with an id can be in conflict and must tell where they stood.
            origin = [pl.lit(place, dtype=pl.UInt16).alias("source")]
            parts.append(part.with_columns(origin) if "event_id" in part.columns else part.drop(ROW))
            progress("reading events", (place + done) / len(paths))
    return _joined(parts)


def _joined(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """The parts one below the other, column by column: each is dropped from the parts as it is joined."""
    schema = {"customer_id": TABLE_SCHEMA["customer_id"]}
    for part in parts:
        schema |= part.schema
    columns = []
    for name, dtype in schema.items():
        pieces = [
            part[name] if name in part.columns else pl.repeat(None, part.height, dtype=dtype, eager=True)
            for part in parts
        ]
        parts = [part.drop(name, strict=False) for part in parts]
        columns.append(_stacked([pl.Series(dtype=dtype), *pieces], dtype).alias(name))
        del pieces
    return pl.DataFrame(columns)


def _stacked(pieces: list[pl.Series], dtype: pl.DataType) -> pl.Series:
    """The pieces one below the other."""
    if any(piece.null_count() for piece in pieces) or not isinstance(dtype, pl.Categorical | pl.Datetime):
        return pl.concat(pieces, rechunk=True)
    # numpy gives large arrays back to the system at once; the memory of polars lingers for seconds.
    numbers = pl.Series(np.concatenate([piece.to_physical().to_numpy() for piece in pieces]))
    return numbers.cat.to(dtype) if isinstance(dtype, pl.Categorical) else numbers.cast(dtype)


def _read_file(
    source: Source, mapping: FileMapping, reading: _Reading
) -> Iterator[tuple[pl.DataFrame, float]]:
    plan = plan_events(mapping.events, source, reading.policy)
    reading.notes.extend(plan.notes)
    limits = Limits.of(reading.policy, reading.rules.time.earliest, reading.as_of)
    cleaner = Cleaner(Decoder(plan, reading.rules), reading.policy, limits)
    for batch in source.batches(plan.wanted, plan.id_columns):
        reading.n_rows += batch.rows.height + batch.rejects.height
        if not batch.rejects.is_empty():
            reading.rejects.add(batch.rejects.with_columns(pl.lit(str(source.path)).alias("source")))
        if batch.rows.is_empty():
            continue
        cleaner.decoder, note = cleaner.decoder.with_unit_from(batch.rows, reading.as_of)
        if note:
            reading.notes.append(note)
        yield reading.keep(cleaner.clean(batch.rows), cleaner.decoder.plan, source), batch.done_ratio


def _conflicts(conflicts: pl.DataFrame, paths: Sequence[Path]) -> pl.DataFrame:
    names = pl.Series([str(path) for path in paths], dtype=pl.String)
    fields = [pl.col(name) for name in conflicts.columns if name not in _ORIGIN]
    return conflicts.select(
        pl.lit(names).gather(pl.col("source")).alias("source"),
        ROW,
        pl.lit("conflicting_event_id").alias("reason"),
        pl.lit(_CONFLICT).alias("detail"),
        as_raw(fields),
    )


def _check_any_row(paths: Sequence[Path], report: RejectionReport) -> None:
    names = ", ".join(map(str, paths)) or "no file"
    if report.n_rows == 0:
        raise SourceError(f"{names} holds no rows: export it again")
    if report.n_ignored == report.n_rows:
        raise SourceError(
            f"every row of {names} has a type that ignore_types lists: nothing is left to learn"
        )
