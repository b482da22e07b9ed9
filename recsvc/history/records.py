"""Read a file row by row into values. In: a path, and how a row becomes a value. Out: values and a report.

For catalogues and customers, which are small beside the events: every row is a Python mapping here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Generic, TypeVar

import msgspec
import polars as pl

from recsvc.errors import FieldError, SourceError
from recsvc.history.blocks import ROW, BadLine, bad_lines_frame
from recsvc.history.json_lines import JsonLinesSource
from recsvc.history.rejects import RejectionReport, RejectsFile, check_reject_limit
from recsvc.history.sources import Source

Fields = Mapping[str, object]
Value = TypeVar("Value")
_PLACE = re.compile(r"`\$\.(\w+)")
_MISSING = re.compile(r"missing required field `(\w+)`")
_SHOWN_CHARS = 200


class BadRowError(ValueError):
    """A row cannot become a value. Never leaves this package: it becomes a reject."""

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        super().__init__(detail)


@dataclass(frozen=True, slots=True)
class Recipe(Generic[Value]):
    """How the fields of a row become a value: `shape` gives its JSON form, `kind` is its type.

    `faults_of` says what is wrong with a value beyond its type.
    """

    kind: type[Value]
    id_field: str
    shape: Callable[[Fields], Fields]
    faults_of: Callable[[Value], Sequence[FieldError]] = lambda _: ()


def read_records(
    source: Source,
    recipe: Recipe[Value],
    *,
    rejects_path: Path,
    reject_limit: float,
    notes: tuple[str, ...] = (),
) -> tuple[tuple[Value, ...], RejectionReport]:
    """Every row as a value, in order. The same value twice counts as a duplicate; the first id wins.

    Raises:
        SourceError: the file is unreadable or holds no rows.
        TooManyRejectsError: the limit was passed, or no row was good.
    """
    values: dict[str, Value] = {}
    n_rows = n_duplicates = 0
    with RejectsFile(rejects_path) as rejects:
        for number, fields in _numbered_rows(source):
            n_rows += 1
            if isinstance(fields, BadLine):
                rejects.add(_with_source(bad_lines_frame([fields]), source))
                continue
            try:
                value = _convert(fields, recipe)
                n_duplicates += not _add(values, value, recipe.id_field)
            except BadRowError as error:
                rejects.add(_with_source(_reject(number, fields, error), source))
        report = rejects.report(n_rows=n_rows, n_duplicates=n_duplicates, guesses=notes)
    if n_rows == 0:
        raise SourceError(f"{source.path} holds no rows: export it again")
    check_reject_limit(report, reject_limit)
    return tuple(values.values()), report


def unread_fields(source: Source, known: tuple[str, ...]) -> tuple[str, ...]:
    """Notes on the columns that nothing reads, when one looks like a slip of the pen."""
    notes = []
    for column in source.schema:
        close = get_close_matches(column, known, n=1, cutoff=0.75)
        if column not in known and close:
            notes.append(f"the column '{column}' was not read; did you mean '{close[0]}'?")
    return tuple(notes)


def _numbered_rows(source: Source) -> Iterator[tuple[int, Fields | BadLine]]:
    if isinstance(source, JsonLinesSource):
        yield from enumerate(source.objects(), start=1)
        return
    for batch in source.batches(list(source.schema)):
        for reject in batch.rejects.iter_rows(named=True):
            line = str(reject["raw"]["line"]).encode()
            yield reject[ROW], BadLine(reject[ROW], reject["reason"], reject["detail"], line)
        for row in batch.rows.iter_rows(named=True):
            yield row.pop(ROW), row


def _convert(fields: Fields, recipe: Recipe[Value]) -> Value:
    try:
        value = msgspec.convert(recipe.shape(fields), type=recipe.kind)
    except msgspec.ValidationError as error:
        raise _bad_row(str(error), recipe.kind.__name__.lower()) from error
    for fault in recipe.faults_of(value):
        name = fault.pointer.removeprefix("/terms").split("/")[1]
        raise BadRowError(f"bad_{name}", f"{fault.pointer} {fault.detail}; mend or drop the row")
    return value


def _bad_row(message: str, kind: str) -> BadRowError:
    """The reason code, from where msgspec says that the fault lies."""
    if missing := _MISSING.search(message):
        name = missing[1]
        return BadRowError(f"missing_{name}", f"the {kind} has no {name}; add it, or map a column to it")
    place = _PLACE.search(message)
    first_word = message.split(" ", 1)[0]
    name = place[1] if place else (first_word if "_" in first_word else kind)
    return BadRowError(f"bad_{name}", f"{message}; mend or drop the row")


def _add(values: dict[str, Value], value: Value, id_field: str) -> bool:
    known = values.setdefault(getattr(value, id_field), value)
    if known is value:
        return True
    if known != value:
        detail = f"an earlier row has the same {id_field} and other content; keep one of them"
        raise BadRowError(f"conflicting_{id_field}", detail)
    return False


def _reject(number: int, fields: Fields, error: BadRowError) -> pl.DataFrame:
    raw = {name: None if value is None else _as_text(value) for name, value in fields.items()}
    struct = pl.Struct(dict.fromkeys(raw, pl.String) or {"line": pl.String})
    schema = {ROW: pl.UInt32(), "reason": pl.String(), "detail": pl.String(), "raw": struct}
    return pl.DataFrame([(number, error.reason, str(error), raw)], schema=schema, orient="row")


def _as_text(value: object) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()
    return text[:_SHOWN_CHARS]


def _with_source(rejects: pl.DataFrame, source: Source) -> pl.DataFrame:
    return rejects.with_columns(pl.lit(str(source.path)).alias("source"))
