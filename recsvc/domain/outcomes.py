"""What an experiment is counted from: who met it, and what they did before and since, as columns.

A row of an object for each of a million events would cost many times what the events hold. So customers
stand in columns, one place each, and events name their customer by that place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class ExposedCustomers:
    """Canonical customers, one place each in every column, in the order of their ids.

    A customer counts for the first variant that they met; `crossed` is 1 where they met a second one.
    `exposed_at` is in microseconds since 1970 in UTC. The counts are of answers since, on all variants.
    """

    customer_ids: Sequence[str] = ()
    variants: Sequence[str] = ()
    exposed_at: Sequence[int] = ()
    channels: Sequence[str] = ()
    crossed: Sequence[int] = ()
    n_answers: Sequence[int] = ()
    n_fallbacks: Sequence[int] = ()
    n_mismatched: Sequence[int] = ()
    latency_micros: Sequence[int] = ()

    @property
    def n(self) -> int:
        return len(self.customer_ids)


@dataclass(frozen=True, slots=True)
class OutcomeEvents:
    """Some of the events of exposed customers, in no order, one place each in every column.

    `places` say whose event it is, `types` are places among the types that were asked for, `seconds` count
    from the customer's exposure and are below 0 before it. A value, score or scale that an event does not
    carry is NaN, and a currency is empty.
    """

    places: Sequence[int]
    types: Sequence[int]
    seconds: Sequence[float]
    values: Sequence[float]
    scores: Sequence[float]
    scales: Sequence[float]
    currencies: Sequence[str]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a report reads at most: events from `since` to `until`, and exposures.

    `since` None is the first exposure. `before` is how far before that moment it reads. `exposed` names the
    experiment and the phase whose exposures are read, `n_times` over.
    """

    since: datetime | None
    until: datetime
    before: timedelta = timedelta(0)
    exposed: tuple[str, int] | None = None
    n_times: int = 1
