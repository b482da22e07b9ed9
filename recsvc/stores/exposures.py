"""Exposures in SQL. In: who met which variant, and the answers since. Out: one row of each, with all counts.

Several processes add to the same rows. Whatever comes twice or in another order: the earliest moment stays,
with the channel and the model version of that answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import bindparam, case, select

from recsvc.domain.exposures import Exposure, join_exposures
from recsvc.domain.items import Channel
from recsvc.domain.moments import from_micros, to_micros
from recsvc.errors import StoreError
from recsvc.stores.database import Database
from recsvc.stores.tables import exposures
from recsvc.stores.tombstones import SqlTombstones

_KEY = ("experiment", "phase", "customer_id", "variant")
_OF_FIRST = ("exposed_at", "channel", "model_version")
_COUNTS = ("n_answers", "n_fallbacks", "n_mismatched", "latency_micros")
_IN_ORDER = select(exposures).order_by(*(exposures.c[name] for name in _KEY))
_OF_CUSTOMER = _IN_ORDER.where(exposures.c.customer_id == bindparam("customer"))
_OF_PHASE = _IN_ORDER.where(
    exposures.c.experiment == bindparam("experiment"), exposures.c.phase == bindparam("phase")
)


class SqlExposures:
    """Who met which variant of which experiment. Safe to use from several processes at once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tombstones = SqlTombstones(database)
        insert = database.insert(exposures)
        given = insert.excluded
        is_earlier = given.exposed_at < exposures.c.exposed_at
        first = {name: case((is_earlier, given[name]), else_=exposures.c[name]) for name in _OF_FIRST}
        sums = {name: exposures.c[name] + given[name] for name in _COUNTS}
        self._add = insert.on_conflict_do_update(index_elements=list(_KEY), set_=first | sums)

    def record(self, met: Sequence[Exposure]) -> None:
        """Insert exposures, or add their counts to those that are there, in one transaction.

        One whose customer was erased since is left out. Raises StoreError: nothing was changed.
        """
        rows = [_row(one) for one in join_exposures(met)]  # By key: two writers never wait in a circle.
        if not rows:
            return
        with self._database.writing() as connection:
            erased = self._tombstones.erased_before(
                connection, exposures, {row["customer_id"] for row in rows}
            )
            kept = [row for row in rows if row["exposed_at"] > erased.get(row["customer_id"], -1)]
            if kept:
                connection.execute(self._add, kept)

    def of_customer(self, customer_id: str) -> tuple[Exposure, ...]:
        """Every exposure of the customer, by experiment, phase and variant. Raises StoreError."""
        with self._database.reading() as connection:
            rows = connection.execute(_OF_CUSTOMER, {"customer": customer_id}).all()
        return tuple(map(_exposure, rows))

    def of_phase(self, experiment: str, phase: int) -> Iterator[Exposure]:
        """Every exposure of an experiment's phase, by customer and variant. Raises StoreError."""
        wanted = {"experiment": experiment, "phase": phase}
        with self._database.reading() as connection:
            yield from map(_exposure, connection.execute(_OF_PHASE, wanted))


def _row(one: Exposure) -> dict[str, Any]:
    names = (*_KEY, "model_version", *_COUNTS)
    moment = {"exposed_at": to_micros(one.exposed_at), "channel": one.channel.value}
    return {name: getattr(one, name) for name in names} | moment


def _exposure(row: Any) -> Exposure:
    try:
        channel = Channel(row.channel)
    except ValueError:
        raise StoreError(f"an exposure has the channel {row.channel}: install a newer release") from None
    return Exposure(
        row.experiment,
        row.phase,
        row.customer_id,
        row.variant,
        from_micros(row.exposed_at),
        channel,
        row.model_version,
        *(getattr(row, name) for name in _COUNTS),
    )
