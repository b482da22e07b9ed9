"""Keep erased customers out of models. In: what there is to train on, tombstones. Out: the same without them.

A tombstone ends what was before it; what the customer does afterwards belongs to a new beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

import polars as pl

from recsvc.bundles.bundle import Bundle
from recsvc.errors import TrainingError
from recsvc.history.interactions import InteractionTable
from recsvc.training.material import Source

ErasedAmong = Callable[[Iterable[str]], Mapping[str, datetime]]
"""Those of the customers who were erased, and when: `SqlCustomers.erased_among`."""


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


def check_none_erased(bundle: Bundle, erased_among: ErasedAmong) -> None:
    """Refuse a bundle that knows customers who were erased while it was trained. Raises StoreError.

    Raises:
        TrainingError: how many there are.
    """
    ids = bundle.customers.ids_of(range(len(bundle.customers)))
    created_at = bundle.manifest.created_at
    n_erased = sum(erased_at >= created_at for erased_at in erased_among(ids).values())
    if n_erased:
        raise TrainingError(
            f"{n_erased} of the customers of {bundle.version} were erased while it was trained: train again"
        )
