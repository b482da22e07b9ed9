"""Read logged decisions, or a policy's probabilities. In: a file, its columns. Out: rows as arrays.

A stratum is what the policies may tell apart: the position, and every context column that is named. Its
label is the text of these, so that two files name their strata alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recsvc.errors import MappingError, SourceError
from recsvc.history.blocks import ROW
from recsvc.history.columns import require_column
from recsvc.history.sources import open_source

MAX_LEFT_OUT = 0.02
PROBABILITY = "probability"
EVERYTHING = "everything"
_NUMBERS = ("propensity", "reward", PROBABILITY)
_RULES = {
    "propensity": (pl.col("propensity") > 0) & (pl.col("propensity") <= 1),
    "reward": pl.col("reward").is_finite(),
    PROBABILITY: (pl.col(PROBABILITY) >= 0) & (pl.col(PROBABILITY) <= 1),
}


@dataclass(frozen=True, slots=True)
class DecisionColumns:
    """Which column is which. `position`, `unit` and `row` may be absent; `context` are any number.

    With `row`, probabilities are told decision by decision: the column names the same decision in both files.
    """

    action: str = "action"
    position: str | None = None
    propensity: str = "propensity"
    reward: str = "reward"
    unit: str | None = None
    row: str | None = None
    probability: str = PROBABILITY
    context: tuple[str, ...] = ()

    @property
    def of_keys(self) -> tuple[str, ...]:
        """By which a policy's probabilities are looked up."""
        return (self.row,) if self.row else self.of_strata

    @property
    def of_strata(self) -> tuple[str, ...]:
        """What the policies tell apart."""
        return (*((self.position,) if self.position else ()), *self.context)


@dataclass(frozen=True, slots=True)
class Decisions:
    """Rows of a file, n of them: the action's id, the stratum's label, and numbers by name (n,).

    `keys` (n,) are what probabilities are looked up by: the strata, or what `row` names.
    `units` (n,) number the units, None without a column of them. `n_left_out` rows could not be used.
    """

    actions: NDArray[np.object_]
    strata: NDArray[np.object_]
    keys: NDArray[np.object_]
    numbers: Mapping[str, NDArray[np.float64]]
    units: NDArray[np.int64] | None
    n_left_out: int


def has_column(path: Path, column: str) -> bool:
    """Whether the file names the column. Raises SourceError."""
    return column in open_source(path).schema


def read_decisions(path: Path, columns: DecisionColumns, numbers: Sequence[str]) -> Decisions:
    """The rows of the file with their `numbers`: any of propensity, reward and probability.

    The rows keep their order. A row without an action or unit, or with a number that cannot be (a propensity
    must be above 0 and at most 1), is left out and counted.

    Raises:
        SourceError: the file cannot be read, has no such column, or more than 2 % of it must be left out.
        MappingError: a column that is named is not there, or is called row.
    """
    source = open_source(path)
    wanted = {name: str(getattr(columns, name)) for name in ("action", *numbers)}
    if columns.unit is not None:
        wanted["unit"] = columns.unit
    needed = tuple(dict.fromkeys((*wanted.values(), *_labels(columns, numbers))))
    if ROW in needed:
        raise MappingError(f"{path}: the column {ROW} cannot be read, for rows are numbered by it: rename it")
    for column in needed:
        require_column(column, source, f"of {path}")
    parts: list[pl.DataFrame] = []
    n_bad = 0
    for batch in source.batches(needed, [columns.action]):
        n_bad += batch.rejects.height
        parts.append(batch.rows.select(*_as_ours(wanted), *_labels_of(columns, numbers)))
    rows = pl.concat(parts)
    texts = [name for name in ("action", "unit") if name in wanted]
    is_good = pl.all_horizontal(
        *(pl.col(name).fill_null("") != "" for name in texts),
        *(_RULES[name].fill_null(False) for name in numbers),
    )
    good = rows.filter(is_good)
    n_left_out = n_bad + rows.height - good.height
    _check_left_out(path, n_left_out, n_bad + rows.height, wanted)
    return Decisions(
        good["action"].to_numpy(),
        good["stratum"].to_numpy(),
        good["key"].to_numpy(),
        {name: good[name].to_numpy() for name in numbers},
        good["unit"].rank("dense").cast(pl.Int64).to_numpy() - 1 if "unit" in wanted else None,
        n_left_out,
    )


def _as_ours(wanted: Mapping[str, str]) -> Iterator[pl.Expr]:
    for name, column in wanted.items():
        kind = pl.Float64() if name in _NUMBERS else pl.String()
        yield pl.col(column).cast(kind, strict=False).alias(name)


def _labels(columns: DecisionColumns, numbers: Sequence[str]) -> tuple[str, ...]:
    """The columns that labels are made of. A file of probabilities by row needs none but that."""
    if columns.row and PROBABILITY in numbers:
        return columns.of_keys
    return (*columns.of_strata, *columns.of_keys)


def _labels_of(columns: DecisionColumns, numbers: Sequence[str]) -> Iterator[pl.Expr]:
    has_strata = set(columns.of_strata) <= set(_labels(columns, numbers))
    for name, of_label in (("stratum", columns.of_strata if has_strata else ()), ("key", columns.of_keys)):
        texts = [pl.col(column).cast(pl.String).fill_null("") for column in of_label]
        yield (pl.concat_str(texts, separator="\x1f") if texts else pl.lit(EVERYTHING)).alias(name)


def _check_left_out(path: Path, n_left_out: int, n_rows: int, wanted: Mapping[str, str]) -> None:
    if n_rows == n_left_out:
        raise SourceError(f"{path} holds no decision that can be used: check {', '.join(wanted.values())}")
    if n_left_out > MAX_LEFT_OUT * n_rows:
        raise SourceError(
            f"{n_left_out:,} of {n_rows:,} rows of {path} cannot be used, over {MAX_LEFT_OUT:.0%}: "
            f"an action must be given, a unit where it is asked for, a propensity above 0 and at most 1, a "
            f"reward a number; mend the file"
        )
