"""Read back what a customer did, as far as counts for propensities. In: types. Out: the query, and deeds.

It is asked for every offer list, so what an event carries beyond its columns is read only where there is an
amount in it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec

from recsvc.domain.interactions import Deed
from recsvc.stores.documents import decode_document
from recsvc.stores.event_rows import read_channel
from recsvc.stores.tables import from_micros


class _Amount(msgspec.Struct):
    value: Decimal | None = None


def statement_for(types: Sequence[str]) -> str:
    """The query for a customer's latest `most` events of so many types, in the driver's own words."""
    return _statement(len(types))


def parameters_for(customer_id: str, types: Sequence[str], most: int) -> dict[str, Any]:
    """The parameters of the query."""
    return {"customer": customer_id, "most": most} | {f"type{n}": name for n, name in enumerate(types)}


def deeds_of(rows: Iterable[Sequence[Any]]) -> tuple[Deed, ...]:
    """The deeds of rows that come latest first, oldest first. Raises StoreError."""
    found = [_deed(*row) for row in rows]
    found.reverse()
    return tuple(found)


def distinct_types(types: Collection[str]) -> tuple[str, ...]:
    """The types in an order, so that the same query is asked for the same types."""
    return tuple(sorted(set(types)))


def _deed(
    event_id: str, kind: str, item_id: str | None, occurred_at: int, channel: str | None, rest: str
) -> Deed:
    amount = decode_document(rest, _Amount, f"event {event_id}").value if '"value"' in rest else None
    return Deed(kind, item_id, from_micros(occurred_at), read_channel(channel, event_id), amount)


@cache
def _statement(n_types: int) -> str:
    types = ", ".join(f":type{number}" for number in range(n_types))
    return (
        "SELECT event_id, type, item_id, occurred_at, channel, document FROM events "
        f"WHERE customer_id = :customer AND type IN ({types}) "
        "ORDER BY occurred_at DESC, event_id DESC LIMIT :most"
    )
