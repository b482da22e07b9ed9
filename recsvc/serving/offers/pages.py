"""Offers on a page. In: the facts of a request. Out: what its other placements leave to it.

What earlier placements show is decided anew, by the same pure steps; nothing is reserved for them here.
What is pinned further down is left to that placement, unless it is pinned here too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from msgspec.structs import replace as with_changes

from recsvc.domain.contacts import Shortage
from recsvc.domain.items import ItemKind
from recsvc.domain.slates import SlateRequest
from recsvc.policy import Policy
from recsvc.policy_offers import OffersPolicy
from recsvc.serving.basis import Basis
from recsvc.serving.offers.choosing import pinned_on
from recsvc.serving.offers.deciding import decide
from recsvc.serving.offers.facts import Facts, Proposals
from recsvc.serving.offers.gates import OPEN, refused_by
from recsvc.serving.offers.gathering import list_facts, marketers_facts
from recsvc.serving.offers.sameness import places_of
from recsvc.serving.offers.table import OfferTable, Rows
from recsvc.serving.reranking import requests_of_page


@dataclass(frozen=True)
class OfferPage:
    """The facts of each placement of a page that shows offers, in their order: those before the one asked
    for, it, those after. `own` is its place."""

    placements: tuple[Facts, ...]
    own: int

    @property
    def facts(self) -> Facts:
        """Those of the placement asked for."""
        return self.placements[self.own]

    def with_proposals(self, proposals: Proposals, shortages: Mapping[str, Shortage]) -> OfferPage:
        """The same page, where all placements are proposed this, and of this there is no contact left."""
        changed = (with_changes(one, proposals=proposals, shortages=shortages) for one in self.placements)
        return OfferPage(tuple(changed), self.own)

    def refused(self, table: OfferTable, policy: OffersPolicy) -> tuple[Rows, ...]:
        """Which gate refuses which offer, placement by placement: (n_offers,) each."""
        return tuple(refused_by(table, facts, policy) for facts in self.placements)

    def left(self, table: OfferTable, policy: OffersPolicy) -> Facts:
        """The facts of the placement asked for, after what the others of the page show."""
        if len(self.placements) == 1:
            return self.facts
        shown: list[str] = []
        for place, facts in enumerate(self.placements[: self.own]):
            there = _after(facts, shown, self.placements[place + 1 :], table, policy)
            shown += [one.offer_id for one in decide(there, table, policy).chosen]
        return _after(self.facts, shown, self.placements[self.own + 1 :], table, policy)


def page_of(
    request: SlateRequest, facts: Facts, basis: Basis, table: OfferTable, policy: Policy
) -> OfferPage:
    """The page of the request. Its own facts come with the limit of its placement."""
    *earlier, own = requests_of_page(request, policy.pages)
    return OfferPage(
        (
            *(_in_placement(one, facts, basis, table) for one in earlier),
            with_changes(facts, asked=replace(facts.asked, limit=own.limit)),
            *(_in_placement(one, facts, basis, table) for one in _later(request, policy)),
        ),
        len(earlier),
    )


def _later(request: SlateRequest, policy: Policy) -> tuple[SlateRequest, ...]:
    for page in policy.pages:
        names = [placement.name for placement in page.placements]
        if request.placement in names:
            return tuple(
                with_changes(request, placement=one.name, limit=one.items)
                for one in page.placements[names.index(request.placement) + 1 :]
                if one.kind in (None, ItemKind.OFFER.value)
            )
    return ()


def _in_placement(request: SlateRequest, facts: Facts, basis: Basis, table: OfferTable) -> Facts:
    return with_changes(
        facts,
        asked=list_facts(request, facts.asked.locale),
        marketers=marketers_facts(basis, request, table),
    )


def _after(
    facts: Facts, shown: list[str], later: Iterable[Facts], table: OfferTable, policy: OffersPolicy
) -> Facts:
    """The facts, where these were shown before and some are pinned further down."""
    below = [offer_id for there in later for offer_id in pins_standing(there, table, policy)]
    if below:
        own = pins_standing(facts, table, policy)
        below = [offer_id for offer_id in below if offer_id not in own]
    elsewhere = tuple(dict.fromkeys((*shown, *below)))
    return with_changes(facts, elsewhere=elsewhere, alike=(*facts.alike, *_one_with(elsewhere, table)))


def pins_standing(facts: Facts, table: OfferTable, policy: OffersPolicy) -> list[str]:
    """The pinned offers that every gate lets pass and that have a place on the list."""
    if not facts.marketers.pins:
        return []
    survivors = np.flatnonzero(refused_by(table, facts, policy) == OPEN).tolist()
    return [one.item.item_id for _, one in pinned_on(survivors, facts, table)]


def _one_with(offer_ids: tuple[str, ...], table: OfferTable) -> tuple[str, ...]:
    """The other offers of the series, the title or the exclusive group of one of these."""
    if not offer_ids:
        return ()
    offers = [table.items[table.row_of[offer_id]] for offer_id in offer_ids]
    taken = {place for one in offers for place in places_of(one)}
    others = (one for one in table.items if one.item_id not in offer_ids)
    return tuple(one.item_id for one in others if not taken.isdisjoint(places_of(one)))
