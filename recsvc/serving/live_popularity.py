"""What is popular now, by counts that fade. In: what is live, the open items. Out: candidates, best first."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from recsvc.domain.items import Item, ItemKind
from recsvc.domain.slates import Source
from recsvc.live.places import Floats
from recsvc.live.scoring import HalfLives, best_first, log_popularity
from recsvc.live.state import LiveState
from recsvc.serving.candidate import Candidate
from recsvc.serving.catalogue_view import CatalogueView
from recsvc.serving.cold_items import ColdItems
from recsvc.serving.live_access import Live
from recsvc.serving.scoring.parts import OpenRows, RowArray

HALF_LIVES = HalfLives(0, 1)
"""The places that the short and the long half-life have in every state that serves."""
MOST_NEWS = 1_000
"""So many of the newest items without a place are looked through for what nobody has met, at each request."""

_FIRST_LOOK = 256  # Of so many items a shortlist is nearly always full.


@dataclass(frozen=True, slots=True)
class Open:
    """The items of a kind that a customer may be shown: in the view, and not used before.

    `open_rows` are the bundle's; `cold` items have none but factors, `unplaced` ones nothing.
    """

    kind: ItemKind
    view: CatalogueView
    open_rows: OpenRows
    cold: ColdItems
    used: Collection[str]
    used_rows: Collection[int]

    @property
    def rows(self) -> RowArray:
        """The bundle's rows of them, ascending."""
        return self.open_rows.all

    def item(self, item_id: str) -> Item | None:
        """The item of this id, if it is one of them."""
        item = self.view.items.get(item_id)
        if item is None or item.kind is not self.kind or item_id in self.used:
            return None
        return None if self.view.known.row_of(item_id) in self.used_rows else item

    def unplaced(self) -> Iterator[Item]:
        """Those that the model can say nothing of, newest first: no more than can be news."""
        newest = islice(self.view.unplaced[self.kind], MOST_NEWS)
        return (item for item in newest if item.item_id not in self.used)


def popular_now(live: Live, of: Open) -> Iterator[Candidate]:
    """Every item that anybody has met, by its counts of both half-lives, which multiplied make its score.

    What few take now and many took lately stands behind what many take now.
    """
    rows = np.arange(live.state.n_items)
    of_short, of_long = (
        log_popularity(live.state, rows, place, live.at) for place in (HALF_LIVES.short, HALF_LIVES.long)
    )
    scores = np.where(
        np.isfinite(live.state.log_counts(HALF_LIVES.long, live.at)), of_short + of_long, -np.inf
    )
    for row, item in open_by_score(live.state, scores, of):
        yield Candidate(item, float(scores[row]), Source.POPULAR, of.view.known.row_of(item.item_id))


def open_by_score(state: LiveState, scores: Floats, of: Open) -> Iterator[tuple[int, Item]]:
    """The open items and their rows in the state by falling score; of equals the later first met first."""
    ids = state.item_ids
    for row in _falling(scores, state.firsts()):
        if (item := of.item(ids[row])) is not None:
            yield row, item


def _falling(scores: Floats, firsts: Floats) -> Iterator[int]:
    known = np.flatnonzero(scores > -np.inf)
    among = scores[known]
    least = np.partition(among, -_FIRST_LOOK)[-_FIRST_LOOK] if len(among) > 2 * _FIRST_LOOK else -np.inf
    for rows in (known[among >= least], known[among < least]):
        yield from rows[best_first(scores[rows], firsts[rows])].tolist()
