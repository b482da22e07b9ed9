"""What an experiment is counted from, in SQL. In: a phase, or a stretch of time. Out: customers, events.

Customers are read a page at a time, and events for a few thousand customers at a time by the index that
begins with the customer: what is held at once does not grow with the number of events.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from math import nan
from typing import Any

import msgspec
from msgspec import json
from sqlalchemy import ARRAY, Column, ColumnElement, Text, any_, bindparam, func, select, tuple_

from recsvc.domain.moments import to_micros
from recsvc.domain.outcomes import ExposedCustomers, OutcomeEvents
from recsvc.stores.database import Database
from recsvc.stores.documents import decode_document
from recsvc.stores.exposed_columns import ExposedColumns
from recsvc.stores.tables import customers, events, exposures, identities

_AT_ONCE = 5_000
_MICROS = 1_000_000

_OWNER = identities.c.customer_id.label("owner")
_NEXT_EXPOSED = (
    select(
        exposures.c.customer_id,
        exposures.c.variant,
        exposures.c.exposed_at,
        exposures.c.channel,
        exposures.c.n_answers,
        exposures.c.n_fallbacks,
        exposures.c.n_mismatched,
        exposures.c.latency_micros,
        _OWNER,
    )
    .join_from(exposures, identities, identities.c.identity_id == exposures.c.customer_id, isouter=True)
    .where(
        exposures.c.experiment == bindparam("experiment"),
        exposures.c.phase == bindparam("phase"),
        tuple_(exposures.c.customer_id, exposures.c.variant) > tuple_(bindparam("id"), bindparam("variant")),
        exposures.c.exposed_at < bindparam("until"),
    )
    .order_by(exposures.c.customer_id, exposures.c.variant)
    .limit(bindparam("limit"))
)
_NEXT_VISITORS = (
    select(events.c.customer_id, func.min(events.c.occurred_at), func.min(_OWNER))
    .join_from(events, identities, identities.c.identity_id == events.c.customer_id, isouter=True)
    .where(
        events.c.customer_id > bindparam("id"),
        events.c.occurred_at >= bindparam("since"),
        events.c.occurred_at < bindparam("until"),
    )
    .group_by(events.c.customer_id)
    .order_by(events.c.customer_id)
    .limit(bindparam("limit"))
)
_NOTHING = (nan, nan, nan, "")


class Measures(msgspec.Struct):
    """What of an event's document is counted: the rest need not be read."""

    value: float | str | None = None
    currency: str | None = None
    score: float | None = None
    scale: float | None = None


class Described(msgspec.Struct):
    """What of a customer's record tells their segment."""

    attributes: dict[str, Any] = {}


class SqlOutcomes:
    """Who met an experiment, and what they did before and since."""

    def __init__(self, database: Database, *, at_once: int = _AT_ONCE) -> None:
        self._database = database
        self._at_once = at_once
        is_among = partial(_is_among, database.dialect)
        self._ids_of = (
            select(identities.c.identity_id, identities.c.customer_id)
            .where(is_among(identities.c.customer_id))
            .order_by(identities.c.identity_id)
        )
        self._records = select(customers.c.customer_id, customers.c.document).where(
            is_among(customers.c.customer_id)
        )
        self._events = select(
            events.c.customer_id, events.c.type, events.c.occurred_at, events.c.document
        ).where(
            is_among(events.c.customer_id),
            events.c.occurred_at >= bindparam("since"),
            events.c.occurred_at < bindparam("until"),
            events.c.type.in_(bindparam("types", expanding=True)),
        )

    def exposed(self, experiment: str, phase: int, *, until: datetime) -> ExposedCustomers:
        """Everybody who met a variant in the phase before a moment. Raises StoreError."""
        found = ExposedColumns()
        place: dict[str, Any] = {"experiment": experiment, "phase": phase, "id": "", "variant": ""}
        place |= {"until": to_micros(until), "limit": self._at_once}
        while True:
            rows = self._all(_NEXT_EXPOSED, place)
            for row in rows:
                found.add(row[-1] or row[0], *row[1:-1])
            if len(rows) < self._at_once:
                return found.sorted()
            place |= {"id": rows[-1][0], "variant": rows[-1][1]}

    def visitors(self, since: datetime, until: datetime) -> ExposedCustomers:
        """Everybody of whom there is an event in between, as if exposed at the first. Raises StoreError."""
        found = ExposedColumns()
        place: dict[str, Any] = {"id": "", "since": to_micros(since), "until": to_micros(until)}
        place["limit"] = self._at_once
        while True:
            rows = self._all(_NEXT_VISITORS, place)
            for name, first_at, owner in rows:
                found.add(owner or name, "", first_at, "", 0, 0, 0, 0)
            if len(rows) < self._at_once:
                return found.sorted()
            place["id"] = rows[-1][0]

    def events(
        self, exposed: ExposedCustomers, types: Sequence[str], *, before_seconds: float, until: datetime
    ) -> Iterator[OutcomeEvents]:
        """The customers' events of these types from `before_seconds` before their exposure to a moment.

        Raises StoreError.
        """
        before, end = int(before_seconds * _MICROS), to_micros(until)
        for start in range(0, exposed.n if types else 0, self._at_once):
            ids = exposed.customer_ids[start : start + self._at_once]
            own = {name: start + place for place, name in enumerate(ids)}
            places = {row[0]: own[row[1]] for row in self._all(self._ids_of, {"ids": self._ids(ids)})} | own
            since = min(exposed.exposed_at[start : start + self._at_once]) - before
            names = list(places)
            for some in range(0, len(names), self._at_once):
                wanted = {"ids": self._ids(names[some : some + self._at_once]), "types": list(types)}
                rows = self._all(self._events, {**wanted, "since": since, "until": end})
                yield to_columns(rows, places, exposed.exposed_at, types, before)

    def attributes(self, exposed: ExposedCustomers) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Of those who have a record, their places and their attributes. Raises StoreError."""
        for start in range(0, exposed.n, self._at_once):
            ids = exposed.customer_ids[start : start + self._at_once]
            places = {name: start + place for place, name in enumerate(ids)}
            for name, document in self._all(self._records, {"ids": self._ids(ids)}):
                yield places[name], decode_document(document, Described, f"customer {name}").attributes

    def _ids(self, names: Sequence[str]) -> str | list[str]:
        return list(names) if self._database.dialect == "postgresql" else json.encode(names).decode()

    def _all(self, statement: Any, parameters: Mapping[str, Any]) -> Sequence[Any]:
        with self._database.reading() as connection:
            return connection.execute(statement, parameters).all()


def _is_among(dialect: str, column: Column[str]) -> ColumnElement[bool]:
    """Whether the column is one of `ids`: one parameter, for thousands would cost more than the rows."""
    if dialect == "postgresql":
        return column == any_(bindparam("ids", type_=ARRAY(Text)))
    return column.in_(select(func.json_each(bindparam("ids")).table_valued("value").c.value))


def to_columns(
    rows: Sequence[Sequence[Any]],
    places: Mapping[str, int],
    exposed_at: Sequence[int],
    types: Sequence[str],
    before: int,
) -> OutcomeEvents:
    """Rows of customer, type, moment and document as columns, but those too long before the exposure.

    Raises:
        StoreError: a document cannot be read.
    """
    numbers = {name: number for number, name in enumerate(types)}
    of: list[int] = []
    kinds: list[int] = []
    seconds: list[float] = []
    measured: list[tuple[float, float, float, str]] = []
    for name, kind, occurred_at, document in rows:
        place = places[name]
        since = occurred_at - exposed_at[place]
        if since < -before:
            continue
        of.append(place)
        kinds.append(numbers[kind])
        seconds.append(since / _MICROS)
        if document == "{}":  # Most events carry nothing that is measured.
            measured.append(_NOTHING)
            continue
        found = decode_document(document, Measures, "an event")
        of_event = (_number(found.value), _number(found.score), _number(found.scale), found.currency or "")
        measured.append(of_event)
    values, scores, scales, currencies = zip(*measured, strict=True) if measured else ((), (), (), ())
    return OutcomeEvents(of, kinds, seconds, values, scores, scales, currencies)


def _number(given: float | str | None) -> float:
    return nan if given is None else float(given)
