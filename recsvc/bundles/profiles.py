"""Profiles as a bundle keeps them: arrays by customer. In: arrays and names. Out: one `CustomerProfile`.

Training asks here what a segment may know of a customer, before it publishes the same arrays that serving
asks: so both find the same segment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from numpy.typing import NDArray

from recsvc.domain.lifetime import Purchases
from recsvc.domain.profiles import CustomerProfile, Journey, Lifecycle

LIFECYCLES = tuple(Lifecycle)
JOURNEYS = tuple(Journey)
ABSENT = -1
"""Stands in the integer arrays for what is not known; scores, which begin at 1, have 0 for it."""


@dataclass(frozen=True, slots=True)
class ProfileArrays:
    """The arrays `profile_…` with the names of their columns; rows are customers.

    `as_of` is the end of the training window, None where the history has no times.
    """

    arrays: Mapping[str, NDArray[Any]]
    categories: Sequence[str]
    channels: Sequence[str]
    as_of: datetime | None

    def profile_of(self, customer_row: int, customer_id: str, segment: str | None = None) -> CustomerProfile:
        """What training kept of one customer."""
        frequency = int(self._at("frequency", customer_row))
        return CustomerProfile(
            customer_id=customer_id,
            as_of=self.as_of,
            recency_days=float(self._at("recency_days", customer_row)) if frequency and self.as_of else None,
            frequency=frequency,
            monetary_value=float(self._at("monetary_value", customer_row)),
            category_affinity=self._shares("category_affinity", self.categories, customer_row),
            channel_share=self._shares("channel_share", self.channels, customer_row),
            recency_score=int(self._at("recency_score", customer_row)) or None,
            frequency_score=int(self._at("frequency_score", customer_row)) or None,
            monetary_score=int(self._at("monetary_score", customer_row)) or None,
            lifecycle=_named(LIFECYCLES, int(self._at("lifecycle", customer_row))),
            journey=_named(JOURNEYS, int(self._at("journey", customer_row))),
            purchases=self._purchases(customer_row),
            segment=segment,
        )

    def _at(self, name: str, customer_row: int) -> Any:
        return self.arrays[f"profile_{name}"][customer_row]

    def _shares(self, name: str, names: Sequence[str], customer_row: int) -> Mapping[str, float]:
        shares = self._at(name, customer_row).tolist()
        known = [(one, share) for one, share in zip(names, shares, strict=True) if share > 0]
        return dict(sorted(known, key=lambda one: (-one[1], one[0])))

    def _purchases(self, customer_row: int) -> Purchases | None:
        repeats, last, age = self._at("purchases", customer_row).tolist()
        return None if repeats == ABSENT else Purchases(repeats, last, age)


def _named(names: Sequence[Any], row: int) -> Any:
    return None if row == ABSENT else names[row]
