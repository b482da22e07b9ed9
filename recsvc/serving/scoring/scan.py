"""Exact lists without scoring everything, where norms spread. In: a customer's factors. Out: the best items.

Items stand by falling norm, as training laid them out; by Cauchy and Schwarz no score is above the product of
the two norms. So once the items that are left could not reach the n-th best score found, none of them need
be looked at.
"""

from __future__ import annotations

import numpy as np

from recsvc.serving.scoring.parts import FloatArray, OpenRows, RowArray

_FIRST_BLOCK = 2_048
_GROWTH = 4
"""A block ends at so many times its beginning: what it finds may spare the next one."""
_ROUNDING = 2.0**-20
"""What sums of float32 in another order may differ by, to the product of the norms."""


class BlockScan:
    """`factors`, (n_items, n_factors), stand by falling norm; `rows`, (n_items,), says whose they are.

    Nothing of the factors is copied.
    """

    def __init__(self, factors: FloatArray, rows: RowArray) -> None:
        self._factors, self._rows = factors, rows
        self._places = np.empty(len(rows), dtype=np.int32)
        self._places[rows] = np.arange(len(rows), dtype=np.int32)
        norms = np.sqrt(np.einsum("ij,ij->i", factors, factors))
        # The greatest norm from each place on: it holds whatever the order.
        self._greatest = float(norms.max(initial=0))
        self._bounds_negated: FloatArray = -np.maximum.accumulate(norms[::-1])[::-1]

    def best(self, customer: FloatArray, open_rows: OpenRows, n: int) -> RowArray:
        """The rows of the best `n` open items and of all that tie with the last, ascending.

        What scores less than the last by no more than rounding may be among them.
        """
        reach = float(np.sqrt(customer @ customer)) * (1 + _ROUNDING)
        barred = self._places[open_rows.used]
        start, need, least = 0, len(self._rows), -np.inf
        stop = min(max(_FIRST_BLOCK, _GROWTH * n), need)
        scores, places = np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.intp)
        while start < need:
            found = self._scored(customer, start, stop, barred, open_rows)
            kept = np.flatnonzero(found >= least) if np.isfinite(least) else np.flatnonzero(found > -np.inf)
            scores = np.concatenate([scores, found[kept]])
            places = np.concatenate([places, kept + start])
            if len(scores) >= n:
                nth = float(np.partition(scores, len(scores) - n)[len(scores) - n])
                least = nth - _ROUNDING * reach * self._greatest
                need = self._still_within(least, reach)
            start, stop = stop, min(need, _GROWTH * stop)
        rows: RowArray = np.sort(self._rows[places[scores >= least]])
        return rows

    def _scored(
        self, customer: FloatArray, start: int, stop: int, barred: RowArray, open_rows: OpenRows
    ) -> FloatArray:
        """Scores of a block, with -inf for what is not open."""
        found: FloatArray = self._factors[start:stop] @ customer
        found[barred[(barred >= start) & (barred < stop)] - start] = -np.inf
        if open_rows.is_of_kind is not None:
            found[~open_rows.is_of_kind[self._rows[start:stop]]] = -np.inf
        return found

    def _still_within(self, least: float, reach: float) -> int:
        """The place from which on no item can reach so high a score."""
        if least <= 0 or reach == 0:
            return len(self._rows)
        return int(np.searchsorted(self._bounds_negated, -least / reach, side="right"))
