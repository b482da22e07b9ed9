"""Read raw events into a clean history. In: files, a mapping, the policy. Out: `History`, a rejects file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import polars as pl

from recsvc.errors import SourceError
from recsvc.history.blocks import ROW
from recsvc.history.checks import TIME_CODES, Limits, raw, raw_of, split_by_checks
from recsvc.history.columns import EventPlan, plan_events
from recsvc.history.decoding import Decoder, numbers_in
from recsvc.history.duplicates import drop_duplicates
from recsvc.history.interactions import TABLE_SCHEMA, InteractionTable
from recsvc.history.mapping import EventMapping, FileMapping
from recsvc.history.rejects import RejectionReport, RejectsFile, as_raw, check_reject_limit
from recsvc.history.sources import Source, open_source
from recsvc.history.times import unit_that_fits
from recsvc.policy import ItemRule, Policy

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

    def clean(self, raw_rows: pl.DataFrame, decoder: Decoder, source: Source) -> pl.DataFrame:
        """The good rows of a batch; the others go to the rejects."""
        decoded = decoder.decode(raw_rows)
        if self.rules.ignore_types and "raw.type" in decoded.columns:
            kept = decoded.filter(
                ~raw("type").cast(pl.String).is_in(self.rules.ignore_types).fill_null(False)
            )
            self.n_ignored += decoded.height - kept.height
            decoded = kept
        good, bad = split_by_checks(decoded, Limits.of(self.policy, self.rules.time.earliest, self.as_of))
        if not bad.is_empty():
            self._reject(bad, decoder.plan, source)
        return self._typed(good, decoder.plan)

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

    def _typed(self, good: pl.DataFrame, plan: EventPlan) -> pl.DataFrame:
        itemless = [n for n, rule in self.policy.interaction_types.items() if rule.item is ItemRule.NONE]
        fields = [name for name in TABLE_SCHEMA if name in plan.columns or name in ("type", "item_id")]
        # A survey is about no item, whatever its row says.
        item = pl.when(~pl.col("type").is_in(itemless)).then(pl.col("item_id")).alias("item_id")
        return good.with_columns(item).select(
            *(pl.col(name).cast(TABLE_SCHEMA[name]) for name in fields), ROW
        )


def _read_files(
    paths: Sequence[Path], mapping: FileMapping, reading: _Reading, progress: Progress
) -> pl.DataFrame:
    parts = [
        pl.DataFrame(schema={"customer_id": TABLE_SCHEMA["customer_id"], ROW: pl.UInt32, "source": pl.UInt16})
    ]
    for place, path in enumerate(paths):
        source = open_source(path, separator=reading.rules.separator)
        for part, done in _read_file(source, mapping, reading):
            parts.append(part.with_columns(pl.lit(place, dtype=pl.UInt16).alias("source")))
            progress("reading events", (place + done) / len(paths))
    return pl.concat(parts, how="diagonal")


def _read_file(
    source: Source, mapping: FileMapping, reading: _Reading
) -> Iterator[tuple[pl.DataFrame, float]]:
    plan = plan_events(mapping.events, source, reading.policy)
    reading.notes.extend(plan.notes)
    decoder = Decoder(plan, reading.rules)
    for batch in source.batches(plan.wanted, plan.id_columns):
        reading.n_rows += batch.rows.height + batch.rejects.height
        if not batch.rejects.is_empty():
            reading.rejects.add(batch.rejects.with_columns(pl.lit(str(source.path)).alias("source")))
        if batch.rows.is_empty():
            continue
        decoder, note = decoder.with_unit_from(batch.rows, reading.as_of)
        if note:
            reading.notes.append(note)
        yield reading.clean(batch.rows, decoder, source), batch.done_ratio


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
