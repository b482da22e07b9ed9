"""Where records are kept by hand. In: a record and the version it replaces. Out: its new version.

A change is durable before it is answered, and holds everywhere within a second: a customer's slates are
outdated at once, and every worker looks at the catalogue's revision again and again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from recsvc.domain.customers import Customer
from recsvc.domain.items import Item, ItemKind
from recsvc.domain.merchandising import MerchandisingRule
from recsvc.domain.offer_life import PutMany, PutOffer
from recsvc.domain.records import Versioned, Written
from recsvc.serving.catalogue_view import CatalogueView
from recsvc.serving.live_catalogue import LiveCatalogue
from recsvc.serving.offers.desk import OfferDesk


class CustomerStore(Protocol):
    """Keeps customers' records."""

    def get(self, customer_id: str) -> Versioned[Customer] | None:
        """The record and its version. Raises StoreError."""
        ...

    def put(self, customer: Customer, *, expected: str | None, now: datetime) -> Written:
        """Create the record, or replace the version `expected`."""
        ...


class ItemStore(Protocol):
    """Keeps items. Where it has none of an id, `standing` counts as stored."""

    def get(self, item_id: str, *, standing: Item | None = None) -> Versioned[Item] | None:
        """The item and its version; None of one that was retired. Raises StoreError."""
        ...

    def put(self, item: Item, *, expected: str | None, standing: Item | None = None) -> Written:
        """Create the item, or replace the version `expected`."""
        ...

    def put_many(self, changed: Sequence[Item]) -> int:
        """Create or replace all items or none; the revision after it. Raises StoreError."""
        ...

    def retire(self, item_id: str, *, expected: str | None, standing: Item | None = None) -> bool:
        """Take the item out of service."""
        ...


class RuleStore(Protocol):
    """Keeps merchandising rules."""

    def rules(self) -> tuple[MerchandisingRule, ...]:
        """Every rule by id. Raises StoreError."""
        ...

    def get(self, rule_id: str) -> Versioned[MerchandisingRule] | None:
        """The rule and its version. Raises StoreError."""
        ...

    def put(self, rule: MerchandisingRule, *, expected: str | None, now: datetime) -> Written:
        """Create the rule, or replace the version `expected`. Raises TooManyRulesError."""
        ...

    def delete(self, rule_id: str, *, expected: str | None) -> bool:
        """Remove the rule."""
        ...


class CustomerDesk:
    """Keeps what is recorded about customers. `outdate` ends their slates; it must not fail."""

    def __init__(
        self,
        store: CustomerStore,
        *,
        outdate: Callable[[Collection[str]], None],
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._outdate = outdate
        self._clock = clock

    def get(self, customer_id: str) -> Versioned[Customer] | None:
        """The record; None when there is none. Raises StoreError."""
        return self._store.get(customer_id)

    def put(self, customer: Customer, *, expected: str | None) -> Written:
        """Create the record, or replace the version `expected` ("*" is any version).

        Raises:
            PreconditionRequiredError: there is a record, and `expected` is None.
            PreconditionFailedError: the record is another version, or gone.
            StoreError: nothing was changed.
        """
        written = self._store.put(customer, expected=expected, now=self._clock())
        self._outdate([customer.customer_id])
        return written


class CatalogueDesk:
    """Keeps the items. One that only the served bundle knows can be read, replaced and retired too.

    Offers are kept in versions, by the desk for them.
    """

    def __init__(self, store: ItemStore, live: LiveCatalogue, offers: OfferDesk) -> None:
        self._store = store
        self._live = live
        self._offers = offers

    def get(self, item_id: str) -> Versioned[Item] | None:
        """The item; None when there is none, or it was retired. Raises StoreError."""
        return self._store.get(item_id, standing=self._served(item_id))

    def put(self, item: Item, *, expected: str | None, by: str) -> PutOffer:
        """Create the item, or replace the version `expected`. Raises as `CustomerDesk.put` does."""
        if item.kind is ItemKind.OFFER:
            return self._offers.put(item, expected=expected, by=by)
        standing = self._served(item.item_id)
        return PutOffer(item, self._store.put(item, expected=expected, standing=standing))

    def put_many(self, items: Sequence[Item], *, by: str) -> PutMany:
        """Create or replace all items or none. Raises StoreError."""
        return self._offers.put_many(items, by=by)

    def retire(self, item_id: str, *, expected: str | None, by: str) -> bool:
        """Take the item out of service for good; False when there is none. Raises as `put` does."""
        found = self.get(item_id)
        if found is not None and found.value.kind is ItemKind.OFFER:
            self._offers.retire(item_id, expected=expected, by=by)
            return True
        return self._store.retire(item_id, expected=expected, standing=self._served(item_id))

    def _served(self, item_id: str) -> Item | None:
        return self._live.readable_view().items.get(item_id)


@dataclass(frozen=True, slots=True)
class RuleStanding:
    """A rule, whether it is on at this moment, and how many items that could be shown now it names."""

    rule: MerchandisingRule
    is_on: bool
    matches: int


class MerchandisingDesk:
    """Keeps the rules. One may name what is not there yet: it matches nothing until it comes."""

    def __init__(
        self, store: RuleStore, *, view: Callable[[], CatalogueView], clock: Callable[[], datetime]
    ) -> None:
        """`view` is of what is live now."""
        self._store = store
        self._view = view
        self._clock = clock

    def standings(self) -> list[RuleStanding]:
        """Every rule by id, those that have ended included. Raises StoreError."""
        return self._stand(self._store.rules())

    def get(self, rule_id: str) -> Versioned[RuleStanding] | None:
        """The rule; None when there is none. Raises StoreError."""
        found = self._store.get(rule_id)
        return None if found is None else Versioned(self.standing(found.value), found.etag)

    def put(self, rule: MerchandisingRule, *, expected: str | None) -> Written:
        """Create the rule, or replace the version `expected`.

        Raises as `CustomerDesk.put` does, and TooManyRulesError.
        """
        return self._store.put(rule, expected=expected, now=self._clock())

    def delete(self, rule_id: str, *, expected: str | None) -> bool:
        """Remove the rule; False when there is none. Raises as `put` does."""
        return self._store.delete(rule_id, expected=expected)

    def standing(self, rule: MerchandisingRule) -> RuleStanding:
        """How the rule stands now."""
        return self._stand([rule])[0]

    def _stand(self, rules: Sequence[MerchandisingRule]) -> list[RuleStanding]:
        now, view = self._clock(), self._view()
        of_named = view.known.live_of({rule.category for rule in rules if rule.category is not None})
        by_category = Counter((item.category, item.kind) for item in of_named if item.is_valid_at(now))

        def matches(rule: MerchandisingRule) -> int:
            if rule.item_id is None:
                return sum(by_category[rule.category, kind] for kind in ItemKind if rule.kind in (None, kind))
            item = view.items.get(rule.item_id)
            return int(item is not None and rule.names(item) and item.is_valid_at(now))

        return [RuleStanding(rule, rule.is_in_time(now), matches(rule)) for rule in rules]
