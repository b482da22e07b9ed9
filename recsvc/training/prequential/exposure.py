"""What the first ten of a replay do to the catalogue. In: the first ten of each occasion. Out: four figures.

Coverage, Gini and intra-list diversity are those of `metrics`, over all items that are known at the end of
the replay. Novelty differs in one thing: an item is as new as it was when it was shown. It is the mean over
all that was shown of -log2 of the item's share of the first meetings before that moment, in bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsvc.live.places import Floats
from recsvc.training.metrics import coverage, gini, information, intra_list_diversity, times_shown
from recsvc.training.prequential.ranking import CUTOFF
from recsvc.training.prequential.stream import EventStream


@dataclass(frozen=True, slots=True)
class Exposure:
    """Of the first ten of all occasions. `diversity` is None where there is no category or no pair."""

    coverage: float
    gini: float
    novelty: float
    diversity: float | None


class Exposures:
    """The first ten of each occasion, one after the other. `categories` are by id of the items with one."""

    def __init__(self, stream: EventStream, categories: Mapping[str, str]) -> None:
        self.categories = categories
        self._stream = stream
        self._places = {item_id: place for place, item_id in enumerate(stream.item_ids)}
        self._moments: list[float] = []
        self._lists: list[list[int]] = []

    def add(self, at: float, item_ids: Iterable[str]) -> None:
        """What was shown at a moment, seconds since 1970: at most ten items, best first."""
        places = [self._places[item_id] for item_id in item_ids]
        self._lists.append(places + [-1] * (CUTOFF - len(places)))
        self._moments.append(at)

    def measured(self) -> Exposure:
        """The figures of all that was added."""
        lists = np.array(self._lists, dtype=np.int32).reshape(-1, CUTOFF)
        times = times_shown(lists, len(self._places), CUTOFF)
        return Exposure(
            coverage=coverage(times),
            gini=gini(times),
            novelty=_novelty(self._stream, lists, np.array(self._moments)),
            diversity=self._diversity(lists),
        )

    def _diversity(self, lists: NDArray[np.int32]) -> float | None:
        if not self.categories:
            return None
        rows = {category: row for row, category in enumerate(sorted(set(self.categories.values())))}
        told = (self.categories.get(item_id) for item_id in self._stream.item_ids)
        item_categories = np.array([-1 if one is None else rows[one] for one in told], dtype=np.int64)
        of_lists = intra_list_diversity(lists, item_categories, CUTOFF)
        known = of_lists[~np.isnan(of_lists)]
        return float(known.mean()) if len(known) else None


def _novelty(stream: EventStream, lists: NDArray[np.int32], moments: Floats) -> float:
    """The mean information of what was shown when it was shown, 0 where nothing was.

    `lists` (n_lists, n_places) are places in the item ids, -1 for none; `moments` (n_lists,) seconds.
    """
    met, seconds = stream.items[stream.is_first], stream.seconds[stream.is_first]
    n_before = np.searchsorted(seconds, moments, side="left")  # Of all first meetings: they are in order.
    of_list, places = np.nonzero(lists >= 0)
    items, until = lists[of_list, places].astype(np.int64), n_before[of_list]
    # Each first meeting as one number, by item and then by place in time: those before a moment lie together.
    by_item = np.sort(met * len(met) + np.arange(len(met)))
    starts = np.searchsorted(by_item, items * len(met))
    n_met = np.searchsorted(by_item, items * len(met) + until) - starts
    bits = information(n_met, until)
    return float(bits.mean()) if len(bits) else 0.0
