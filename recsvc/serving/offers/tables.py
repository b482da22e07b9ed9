"""Keep the tables of offers. In: a view of the catalogue. Out: its offers as columns, and for the log.

Both are made once for each view.
"""

from __future__ import annotations

from dataclasses import dataclass

from recsvc.domain.condition_facts import known_fields
from recsvc.domain.decisions import Grounds, make_grounds
from recsvc.domain.items import ItemKind
from recsvc.errors import NotFoundError
from recsvc.policy import Policy
from recsvc.serving.catalogue_view import CatalogueView
from recsvc.serving.offers.table import OfferTable, make_table

MAX_KEPT = 8
"""A view for each model that answers, and those that were just replaced."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A view is kept with what was made of it, so that nothing else gets its id."""

    view: CatalogueView
    table: OfferTable
    grounds: Grounds


class OfferTables:
    """Makes tables, and keeps those of the latest views."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy.offers
        self._fields = known_fields(policy)
        self._kept: dict[int, _Kept] = {}

    def of(self, view: CatalogueView) -> OfferTable:
        """The live offers of the view."""
        return self._of(view).table

    def with_offer(self, view: CatalogueView, offer_id: str) -> OfferTable:
        """The live offers and this one, whatever its status. Raises NotFoundError."""
        table = self._of(view).table
        if offer_id in table.row_of:
            return table
        offer = view.known.get(offer_id)
        if offer is None or offer.kind is not ItemKind.OFFER:
            raise NotFoundError("there is no such offer")
        return make_table([*table.items, offer], self._fields)

    def grounds_of(self, view: CatalogueView) -> Grounds:
        """The same offers and the policy, as the log keeps them."""
        return self._of(view).grounds

    def _of(self, view: CatalogueView) -> _Kept:
        kept = self._kept.get(id(view))
        if kept is None:
            table = make_table(view.live(ItemKind.OFFER), self._fields)
            kept = _Kept(view, table, make_grounds(table.items, self._policy, self._fields))
            while len(self._kept) >= MAX_KEPT:
                self._kept.pop(next(iter(self._kept)), None)
            self._kept[id(view)] = kept
        return kept
