"""What a customer did, as far as counts for propensities. In: how to ask the store, types. Out: deeds.

It is asked for every offer list, so what an event carries beyond its columns is read only where there is an
amount in it.
"""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from functools import cache

import msgspec

from recsvc.domain.interactions import Deed
from recsvc.domain.moments import from_micros
from recsvc.stores.database import Ask
from recsvc.stores.documents import decode_document
from recsvc.stores.event_rows import read_channel


class _Amount(msgspec.Struct):
    value: Decimal | None = None


def deeds_of(ask: Ask, customer_id: str, types: Collection[str], *, limit: int) -> list[Deed]:
    """The customer's latest `limit` events of these types, oldest first. Raises StoreError."""
    names = {f"type{number}": name for number, name in enumerate(types)}
    rows = ask(_statement(len(names)), {"customer": customer_id, "most": limit, **names})
    return [_deed(*row) for row in reversed(rows)]


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
