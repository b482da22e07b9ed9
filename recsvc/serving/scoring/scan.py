"""Exact lists without scoring everything, where norms spread. In: a customer's factors. Out: the best items.

Items stand by falling norm, as training laid them out; by Cauchy and Schwarz no score is above the product of
the two norms. So once the items that are left could not reach the n-th best score found, none of them need
be looked at.
"""

from __future__ import annotations

import math

import numpy as np

from recsvc.serving.scoring.parts import FloatArray, OpenRows, PlaceArray, RowArray

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
        reach = math.sqrt(float(customer @ customer)) * (1 + _ROUNDING)
        barred = np.sort(self._places[open_rows.used])
        stop = min(max(_FIRST_BLOCK, _GROWTH * n), len(self._rows))
        # Most of the first block is out of the question as soon as its own n-th best score is known.
        found = self._scored(customer, 0, stop, barred, open_rows)
        least = self._allowing_for_rounding(_nth_best(found, n), reach)
        places = _reaching(found, least)
        scores = found[places]
        while stop < (need := self._still_within(least, reach)):
            start, stop = stop, min(need, _GROWTH * stop)
            found = self._scored(customer, start, stop, barred, open_rows)
            kept = _reaching(found, least)
            if len(kept):
                scores = np.concatenate((scores, found[kept]))
                places = np.concatenate((places, kept + start))
                least = max(least, self._allowing_for_rounding(_nth_best(scores, n), reach))
        rows: RowArray = self._rows[places[scores >= least]]
        rows.sort()
        return rows

    def _scored(
        self, customer: FloatArray, start: int, stop: int, barred: RowArray, open_rows: OpenRows
    ) -> FloatArray:
        """Scores of a block, with -inf for what is not open. `barred` places stand in ascending order."""
        found: FloatArray = self._factors[start:stop] @ customer
        first, last = barred.searchsorted((start, stop))
        if first < last:
            found[barred[first:last] - start] = -math.inf
        if open_rows.is_of_kind is not None:
            found[~open_rows.is_of_kind[self._rows[start:stop]]] = -math.inf
        return found

    def _allowing_for_rounding(self, score: float, reach: float) -> float:
        return score - _ROUNDING * reach * self._greatest

    def _still_within(self, least: float, reach: float) -> int:
        """The place from which on no item can reach so high a score."""
        if least <= 0 or reach == 0:
            return len(self._rows)
        # A key of another precision would have all bounds converted. What it loses, `reach` allows for.
        return int(self._bounds_negated.searchsorted(np.float32(-least / reach), side="right"))


def _nth_best(scores: FloatArray, n: int) -> float:
    """-inf where there are fewer."""
    if len(scores) < n:
        return -math.inf
    return float(np.partition(scores, len(scores) - n)[len(scores) - n])


def _reaching(scores: FloatArray, least: float) -> PlaceArray:
    """Where the scores are no less, but for -inf, which is that of what is closed."""
    return (scores >= least if least > -math.inf else scores > least).nonzero()[0]
