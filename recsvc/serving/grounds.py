"""What is true of items and of a customer, so that a reason may say it. In: a subject, a model, what is live.

What carried a score is one thing, and whether its reason would be true is another: an article that nobody
met is not popular, and one of no date is not new.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from math import isfinite

import numpy as np

from recsvc.domain.items import Item, ItemKind
from recsvc.domain.rows import NO_ROW
from recsvc.live.places import Floats
from recsvc.live.state import LiveState
from recsvc.serving.candidate import Candidate
from recsvc.serving.catalogue_view import CatalogueView
from recsvc.serving.customers import Subject
from recsvc.serving.verification import Model

NEW_FOR = timedelta(days=30)
"""Only an item that is known to be younger is called new, whatever its age did for its score."""
N_COMPARED = 500
"""Of so many items of a kind at most, evenly spread over the catalogue, the median count is found."""

_SHORT_HALF_LIFE = 0


@dataclass(frozen=True)
class Grounds:
    """The facts of one request about the items `asked`, by id. `state` is None where nothing live is read."""

    subject: Subject
    model: Model | None
    view: CatalogueView
    now: datetime
    state: LiveState | None
    asked: Sequence[str]

    @cached_property
    def is_known(self) -> bool:
        """Whether there is a history that may be spoken of."""
        return len(self.subject.past.history) > 0 or bool(self.subject.past.used)

    def is_new(self, item: Item) -> bool:
        """Not what has no date, nor what is yet to be published."""
        return item.published_at is not None and timedelta(0) <= self.now - item.published_at <= NEW_FOR

    def is_met(self, candidate: Candidate) -> bool:
        """Whether anybody ever had to do with the item."""
        return isfinite(self._counted[candidate.item.item_id])

    def is_popular(self, candidate: Candidate) -> bool:
        """Whether more people have to do with the item now than with most of its kind that anybody met."""
        count = self._counted[candidate.item.item_id]
        return isfinite(count) and count > self._median_of(candidate.item.kind)

    def is_popular_in_segment(self, candidate: Candidate) -> bool:
        """The same among those of the customer's segment."""
        segment, row = self.subject.segment, candidate.row
        if self.model is None or segment is None or row is None:
            return False
        counts = self.model.bundle.segment_popularity(segment)
        if counts is None:
            return False
        of_kind = counts[self.view.trained_rows[candidate.item.kind]]
        return bool(counts[row] > np.median(of_kind[of_kind > 0])) if (of_kind > 0).any() else False

    @cached_property
    def _counted(self) -> Mapping[str, float]:
        return dict(zip(self.asked, self._counts(self.asked).tolist(), strict=True))

    def _counts(self, item_ids: Sequence[str]) -> Floats:
        """log2 of how many people have to do with each item now: (n_item_ids,), -inf for nobody ever.

        Where something live is read, what only the training knew of stands below everything else.
        """
        trained = self._trained_counts(item_ids)
        if self.state is None:
            return trained
        rows = self.state.rows_of(item_ids)
        live = np.full(len(rows), -np.inf)
        of_known = self.state.log_counts(_SHORT_HALF_LIFE, self.state.latest)[rows[rows != NO_ROW]]
        live[rows != NO_ROW] = of_known
        return np.where(np.isfinite(live), live, np.where(np.isfinite(trained), _FORGOTTEN, -np.inf))

    def _trained_counts(self, item_ids: Sequence[str]) -> Floats:
        counts = np.zeros(len(item_ids))
        if self.model is not None:
            rows = self.view.known.rows_of(item_ids)
            counts[rows != NO_ROW] = self.model.bundle.popularity[rows[rows != NO_ROW]]
        return np.log2(counts, out=np.full(len(counts), -np.inf), where=counts > 0)

    @cached_property
    def _medians(self) -> dict[ItemKind, float]:
        return {}

    def _median_of(self, kind: ItemKind) -> float:
        """The median count of the items of the kind that anybody met."""
        if kind not in self._medians:
            self._medians[kind] = self._find_median(kind)
        return self._medians[kind]

    def _find_median(self, kind: ItemKind) -> float:
        rows, fresh = self.view.trained_rows[kind], self.view.fresh[kind]
        step = 1 + (len(rows) + len(fresh)) // N_COMPARED
        compared = [self.view.known.at(row) for row in rows[::step].tolist()] + list(fresh[::step])
        counts = self._counts([one.item_id for one in compared])
        met = counts[np.isfinite(counts)]
        return float(np.median(met)) if len(met) else np.inf


_FORGOTTEN = np.finfo(np.float64).min / 4  # Below every count, and two of them still make a sum.
