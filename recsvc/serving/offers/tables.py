"""Keep the tables of offers. In: a view of the catalogue. Out: its offers as columns, made once."""

from __future__ import annotations

from recsvc.domain.condition_facts import known_fields
from recsvc.policy import Policy
from recsvc.serving.live_catalogue import CatalogueView
from recsvc.serving.offers.table import OfferTable, make_table

MAX_KEPT = 8
"""A view for each model that answers, and those that were just replaced."""


class OfferTables:
    """Makes tables, and keeps those of the latest views."""

    def __init__(self, policy: Policy) -> None:
        self._fields = known_fields(policy)
        self._kept: dict[int, tuple[CatalogueView, OfferTable]] = {}

    def of(self, view: CatalogueView) -> OfferTable:
        """The live offers of the view."""
        kept = self._kept.get(id(view))
        if kept is not None:
            return kept[1]
        table = make_table(view.items.values(), self._fields)
        while len(self._kept) >= MAX_KEPT:
            self._kept.pop(next(iter(self._kept)), None)
        self._kept[id(view)] = (view, table)  # The view is kept too, so that nothing else gets its id.
        return table
