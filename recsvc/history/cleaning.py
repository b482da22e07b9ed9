"""Sort the good rows of a file from the bad. In: batches as read. Out: typed rows, and rejects with reasons.

Most rows are plainly good: their ids and types were judged before, and their other fields pass. Only the
others go through the whole list of checks, which says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recsvc.history.blocks import ROW
from recsvc.history.checks import Limits, are_bad, raw, split_by_checks
from recsvc.history.decoding import Decoder
from recsvc.history.interactions import TABLE_SCHEMA
from recsvc.history.known import Codes, KnownValues, Prints, Rows
from recsvc.policy import ItemRule, Policy

_CODED = ("customer_id", "item_id", "type")
_Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A batch, judged.

    `good` has fields as `TABLE_SCHEMA` types them, and `row`; `bad` decoded fields beside their raw values,
    `row`, `reason` and `detail`.
    """

    good: pl.DataFrame
    bad: pl.DataFrame
    n_ignored: int


class Cleaner:
    """Judges the rows of one file, batch by batch."""

    def __init__(self, decoder: Decoder, policy: Policy, limits: Limits) -> None:
        self.decoder = decoder
        self._limits = limits
        rules = policy.interaction_types.items()
        self._itemless = [name for name, rule in rules if rule.item is ItemRule.NONE]
        # Categories keep their codes while one lives; a value that is not known has the code of the first.
        self._categories = pl.Series([""], dtype=TABLE_SCHEMA["customer_id"])
        self._known = {field: KnownValues() for field in _CODED}

    def clean(self, rows: pl.DataFrame) -> Cleaned:
        """The good rows of a batch in order, and the others."""
        coded, are_sure = self._look_up(rows)
        others = self.decoder.fields(rows, [name for name in self._fields() if name not in _CODED])
        are_sure &= ~are_bad(others, self._limits).to_numpy()
        columns = [
            rows[ROW],
            *(pl.Series(name, codes).cat.to(TABLE_SCHEMA[name]) for name, codes in coded.items()),
            *(others[name].cast(TABLE_SCHEMA[name]) for name in self._fields() if name not in _CODED),
        ]
        sure = pl.DataFrame(columns).select(*self._fields(), ROW)
        if are_sure.all():
            return Cleaned(sure, others.clear(), 0)
        is_sure = pl.Series(are_sure)
        judged = self._judge(rows.filter(~is_sure))
        good = pl.concat([sure.filter(is_sure), judged.good])
        return Cleaned(good.sort(ROW) if judged.good.height else good, judged.bad, judged.n_ignored)

    def _fields(self) -> Sequence[str]:
        named = self.decoder.plan.columns
        return [name for name in TABLE_SCHEMA if name in named or name in _CODED]

    def _judge(self, rows: pl.DataFrame) -> Cleaned:
        """Every check on every row."""
        decoded = self.decoder.decode(rows)
        n_rows, ignored = decoded.height, self.decoder.rules.ignore_types
        if ignored and "raw.type" in decoded.columns:
            decoded = decoded.filter(~raw("type").cast(pl.String).is_in(ignored).fill_null(False))
        good, bad = split_by_checks(decoded, self._limits)
        # A survey is about no item, whatever its row says.
        item = pl.when(~pl.col("type").is_in(self._itemless)).then(pl.col("item_id")).alias("item_id")
        typed = good.with_columns(item).select(
            *(pl.col(name).cast(TABLE_SCHEMA[name]) for name in self._fields()), ROW
        )
        return Cleaned(typed, bad, n_rows - decoded.height)

    def _look_up(self, rows: pl.DataFrame) -> tuple[dict[str, Codes], _Mask]:
        """The codes of customers, items and types, and for which rows all three are good."""
        coded, are_sure = {}, np.ones(rows.height, np.bool_)
        for field in _CODED:
            coded[field], is_good = self._codes(field, rows)
            are_sure &= is_good
        return coded, are_sure

    def _codes(self, field: str, rows: pl.DataFrame) -> tuple[Codes, _Mask]:
        """The code of each row's value, and whether it is good: (n_rows,) both."""
        column = self.decoder.column_of(field)
        if column is None:
            name = self.decoder.plan.constant_type
            code = self._codes_of(pl.Series([name]))[0]
            return np.full(rows.height, code), np.full(rows.height, name not in self._itemless)
        known, prints = self._known[field], Prints.of(rows[column])
        codes, are_good = known.find(prints)
        if not are_good.all():
            unknown = np.flatnonzero(~are_good)
            good, found = self._judge_values(field, rows[column].gather(unknown))
            learned = unknown[good]
            codes[learned], are_good[learned] = found, True
            known.learn(prints.at(learned), found)
        return codes, are_good

    def _judge_values(self, field: str, values: pl.Series) -> tuple[Rows, Codes]:
        """The places of the good ones among the values, and their codes."""
        decoded = self.decoder.fields(values.to_frame().with_row_index(ROW), [field])
        are_good = ~are_bad(decoded, self._limits) & decoded[field].is_not_null()
        if field == "type":
            # Rows that are dropped or lose their item are no plain ones.
            are_good &= ~decoded["type"].is_in(self._itemless)
            if "raw.type" in decoded.columns:
                are_good &= ~decoded["raw.type"].cast(pl.String).is_in(self.decoder.rules.ignore_types)
        return np.flatnonzero(are_good.to_numpy()), self._codes_of(decoded[field].filter(are_good))

    @staticmethod
    def _codes_of(texts: pl.Series) -> Codes:
        return texts.cast(TABLE_SCHEMA["customer_id"]).to_physical().to_numpy()
