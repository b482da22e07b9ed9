"""What an experiment is counted from, in memory: for tests and trials. Same behaviour as in SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from recsvc.domain.customers import Customer
from recsvc.domain.exposures import Exposure
from recsvc.domain.interactions import Interaction
from recsvc.domain.moments import to_micros
from recsvc.domain.outcomes import ExposedCustomers, OutcomeEvents
from recsvc.stores.event_rows import to_row
from recsvc.stores.exposed_columns import ExposedColumns
from recsvc.stores.outcomes import to_columns


class Exposures(Protocol):
    """Knows who met a phase of an experiment."""

    def of_phase(self, experiment: str, phase: int) -> Iterator[Exposure]: ...


class Events(Protocol):
    """Knows what happened."""

    def each(self, since: datetime | None = None, until: datetime | None = None) -> Iterator[Interaction]: ...


class Records(Protocol):
    """Knows what is recorded about customers."""

    def each(self) -> Iterable[Customer]: ...


class MemoryOutcomes:
    """Who met an experiment, and what they did before and since. `customer_of` is who an id belongs to."""

    def __init__(
        self,
        exposures: Exposures,
        events: Events,
        records: Records,
        *,
        customer_of: Callable[[str], str] = lambda name: name,
    ) -> None:
        self._exposures, self._events, self._records = exposures, events, records
        self._customer_of = customer_of

    def exposed(self, experiment: str, phase: int, *, until: datetime) -> ExposedCustomers:
        """Everybody who met a variant in the phase before a moment."""
        found = ExposedColumns()
        for one in self._exposures.of_phase(experiment, phase):
            if one.exposed_at < until:
                counts = (one.n_answers, one.n_fallbacks, one.n_mismatched, one.latency_micros)
                met_at = to_micros(one.exposed_at)
                found.add(self._customer_of(one.customer_id), one.variant, met_at, one.channel.value, *counts)
        return found.sorted()

    def visitors(self, since: datetime, until: datetime) -> ExposedCustomers:
        """Everybody of whom there is an event in between, as if exposed at the first."""
        found = ExposedColumns()
        for one in self._events.each(since, until):
            found.add(self._customer_of(one.customer_id), "", to_micros(one.occurred_at), "", 0, 0, 0, 0)
        return found.sorted()

    def events(
        self, exposed: ExposedCustomers, types: Sequence[str], *, before_seconds: float, until: datetime
    ) -> Iterator[OutcomeEvents]:
        """The customers' events of these types from `before_seconds` before their exposure to a moment."""
        places = {name: place for place, name in enumerate(exposed.customer_ids)}
        rows = []
        for one in self._events.each(None, until):
            customer_id = self._customer_of(one.customer_id)
            if customer_id in places and one.type in types:
                row = to_row(one, 0)
                rows.append((customer_id, row.type, row.occurred_at, row.document))
        if rows:
            yield to_columns(rows, places, exposed.exposed_at, types, int(before_seconds * 1_000_000))

    def attributes(self, exposed: ExposedCustomers) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Of those who have a record, their places and their attributes."""
        places = {name: place for place, name in enumerate(exposed.customer_ids)}
        for record in self._records.each():
            if record.customer_id in places:
                yield places[record.customer_id], record.attributes
