"""Keep erased customers out of models. In: what there is to train on, tombstones. Out: the same without them.

A tombstone ends what was before it; what the customer does afterwards belongs to a new beginning.
"""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from recsvc.bundles.erased import ErasedAmong
from recsvc.history.interactions import InteractionTable
from recsvc.training.material import Source


def without_erased(source: Source, erased_among: ErasedAmong) -> Source:
    """The source without interactions from before their customers were erased.

    An interaction of which nobody knows when it occurred counts as from before. Raises StoreError.
    """
    frame = source.table.compact
    erased = erased_among(frame["customer_id"].unique().cast(pl.String).to_list())
    if not erased:
        return source
    marks = pl.DataFrame(
        {"customer_id": list(erased), "erased_at": list(erased.values())},
        schema={"customer_id": frame.schema["customer_id"], "erased_at": frame.schema["occurred_at"]},
    )
    kept = frame.join(marks, on="customer_id", how="left", maintain_order="left").filter(
        pl.col("erased_at").is_null() | (pl.col("occurred_at") > pl.col("erased_at")).fill_null(False)
    )
    return replace(source, table=InteractionTable(kept.drop("erased_at")))
