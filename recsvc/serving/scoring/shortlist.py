"""The few items worth scoring. In: a history, what is open. Out: rows that hold the first places of all.

One rule says how a model finds them, and training keeps it: where norms spread, an exact scan by blocks;
else, where there are many items, neighbours of the history propose and the model disposes; else all items
may as well be scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from recsvc.bundles.bundle import Bundle, History
from recsvc.bundles.manifest import MOST_PROPOSED
from recsvc.serving.scoring.factors import FoldedFactors
from recsvc.serving.scoring.parts import FloatArray, OpenRows, RowArray
from recsvc.serving.scoring.scan import BlockScan
from recsvc.serving.scoring.scorers import Alone, Scorer
from recsvc.serving.scoring.similarities import Proposals

SHORTLIST_SIZE = 300
"""So many of `MOST_PROPOSED` are scored, the best by those parts of a blend that are soon scored: on Gowalla
nothing that the proposals hold of the exact first 20 is lost by that first look."""
DEPTH = 50
"""How many places of a scored shortlist are as good as those of the whole ranking: further down, more and
more of what belongs there was never proposed."""
SCANNED_DEPTHS = (100, 500)
"""Most lists are filled from so many; what is filtered hard wants more."""


class Shortlist(Protocol):
    """How a model finds what it would put first. `depths` are how far down, look by look."""

    @property
    def depths(self) -> Sequence[int]: ...

    def among(self, open_rows: OpenRows, history: History, depth: int) -> RowArray:
        """Open rows, ascending, that hold the first `depth` places after a history that is not empty."""
        ...


class Proposed:
    """What a history's items were taken with holds nearly all that the whole model would put first."""

    depths = (DEPTH,)

    def __init__(self, proposals: Proposals, scorer: Scorer) -> None:
        self._proposals, self._scorer = proposals, scorer

    def among(self, open_rows: OpenRows, history: History, depth: int) -> RowArray:
        """At most `SHORTLIST_SIZE`, whatever the depth; `MOST_PROPOSED` where all parts cost alike."""
        strengths = self._proposals.summed(history)
        strengths[open_rows.used] = 0
        if open_rows.is_of_kind is not None:
            strengths *= open_rows.is_of_kind
        proposed = _strongest(np.flatnonzero(strengths != 0), strengths, MOST_PROPOSED)
        if len(proposed) > SHORTLIST_SIZE:
            rough = self._scorer.glance(history, proposed, strengths[proposed])
            if rough is not None:
                proposed = np.sort(proposed[_greatest(rough, SHORTLIST_SIZE)])
        return proposed


class Scanned:
    """The first places themselves, exactly."""

    depths = SCANNED_DEPTHS

    def __init__(self, scan: BlockScan, scorer: Alone) -> None:
        self._scan, self._scorer = scan, scorer

    def among(self, open_rows: OpenRows, history: History, depth: int) -> RowArray:
        folded = self._scorer.folded(history)
        assert isinstance(folded, FoldedFactors), "only factors are laid out to be scanned"
        return self._scan.best(folded.customer, open_rows, depth)


def make_shortlist(bundle: Bundle, scorer: Scorer) -> Shortlist | None:
    """None where the bundle brings nothing to make one by, since its items are soon scored."""
    arrays = bundle.arrays
    if "scan_rows" in arrays and isinstance(scorer, Alone):
        return Scanned(BlockScan(arrays["scan_factors"], arrays["scan_rows"]), scorer)
    if "proposal_items" in arrays:
        return Proposed(Proposals(arrays["proposal_items"], arrays["proposal_scores"]), scorer)
    return None


def _strongest(rows: np.ndarray, strengths: FloatArray, n: int) -> RowArray:
    """The `n` rows of the greatest strengths, ascending."""
    if len(rows) > n:
        rows = np.sort(rows[_greatest(strengths[rows], n)])
    return rows.astype(np.int32)


def _greatest(scores: FloatArray, n: int) -> np.ndarray:
    return np.argpartition(scores, -n)[-n:]
