"""Ids come out exactly as they went in, and only ids of the table are found."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsvc.bundles.id_table import IdTable, id_arrays
from recsvc.domain.identifiers import ID_PATTERN

IDS = st.from_regex(ID_PATTERN, fullmatch=True)


def table_of(ids: list[str]) -> IdTable:
    arrays = id_arrays("item_ids", ids)
    return IdTable(arrays["item_ids_text"], arrays["item_ids_offsets"])  # type: ignore[arg-type]


@given(st.sets(IDS, max_size=40), IDS)
def test_every_id_has_its_row_and_no_other_id_has_one(known: set[str], other: str) -> None:
    ids = sorted(known)
    table = table_of(ids)
    assert len(table) == len(ids)
    assert table.is_in_order()
    assert [table.row_of(one) for one in ids] == list(range(len(ids)))
    assert list(table.ids_of(range(len(ids)))) == ids
    assert (table.row_of(other) is not None) == (other in known)


@given(st.lists(IDS, min_size=2, max_size=10))
def test_a_table_out_of_order_says_so(ids: list[str]) -> None:
    assert table_of(ids).is_in_order() == (ids == sorted(set(ids)))


def test_ids_that_look_like_numbers_stay_texts() -> None:
    ids = sorted(["9f3c1b7e5d2a4860b1e7c94d3f6a0852", "-7310442876150923814", "007", "1e5"])
    assert list(table_of(ids).ids_of(np.arange(4))) == ids
