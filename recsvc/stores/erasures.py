"""Forget customers in SQL. In: a customer id. Out: a tombstone, a receipt, and what is still to be done.

One transaction writes the tombstone and deletes what is held, so no reader ever sees the one without the
other. What lies outside the database (Redis, rejects files, bytes of deleted rows) is done afterwards, and
a pending entry remembers it until it is. The entry holds the id only as long as that is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, func, select, text, update

from recsvc.domain.moments import to_micros
from recsvc.domain.records import ErasureReceipt, PendingErasure
from recsvc.stores.api_keys import TokenSource
from recsvc.stores.compaction import compact
from recsvc.stores.contacts import LINE
from recsvc.stores.database import Database
from recsvc.stores.decisions import AtErasure, forget_customer
from recsvc.stores.documents import decode_document, encode_document
from recsvc.stores.identities import remove_links
from recsvc.stores.offer_tables import reservations
from recsvc.stores.tables import customers, erasures_pending, events, exposures, tombstones
from recsvc.stores.tombstones import SqlTombstones, digest_of, draw_salt
from recsvc.stores.turns import writing_in_turn

_HELD = {"events": events, "customer": customers, "exposures": exposures}
PLACES = ("events", "customer", "exposures", "identities", "decisions", "slates", "rejects", "bundles")

_RECEIPT = select(tombstones.c.receipt).where(tombstones.c.digest == bindparam("wanted"))
_NEXT_SEQUENCE = select(func.coalesce(func.max(tombstones.c.sequence), 0) + 1)
_DUE = select(erasures_pending).where(erasures_pending.c.claimed_until <= bindparam("moment"))


class SqlErasures:
    """Who is to be forgotten, and how far that is. Safe to use from several processes at once."""

    def __init__(
        self,
        database: Database,
        *,
        tokens: TokenSource,
        of_decisions: AtErasure = forget_customer,
    ) -> None:
        """`of_decisions` does with a customer's decisions what the policy says, and counts them."""
        self._database = database
        self._tokens = tokens
        self._of_decisions = of_decisions

    def begin(
        self,
        customer_id: str,
        *,
        receipt_id: str,
        now: datetime,
        claimed_until: datetime,
        removed: Mapping[str, int],
    ) -> PendingErasure:
        """Set the tombstone and delete what is held under this id, all or nothing, durably.

        Where nothing was held since an earlier erasure, its tombstone and receipt stand. `removed` is what
        the caller counted elsewhere. Raises StoreError: nothing was changed.
        """
        # In the line of those who add to the chain of decisions, before anything is locked.
        with writing_in_turn(self._database, LINE) as connection:
            self._exclude_writers(connection)
            digest = digest_of(draw_salt(self._database, connection, self._tokens), customer_id)
            deleted = {
                name: connection.execute(delete(table).where(table.c.customer_id == customer_id)).rowcount
                for name, table in _HELD.items()
            }
            # What they were charged stays charged: nobody can tell any more whether they were shown.
            connection.execute(delete(reservations).where(reservations.c.customer_id == customer_id))
            deleted["identities"] = remove_links(connection, customer_id)
            deleted["decisions"] = self._of_decisions(self._database, connection, customer_id)
            if any(deleted.values()) or _receipt(connection, digest) is None:
                counts = dict.fromkeys(PLACES, 0) | dict(removed) | deleted
                self._set_tombstone(connection, digest, ErasureReceipt(receipt_id, now, None, counts))
            self._set_pending(connection, digest, customer_id, claimed_until)
        return PendingErasure(digest, customer_id, compacted=False)

    def receipt(self, digest: bytes) -> ErasureReceipt:
        """The receipt as it stands. Raises StoreError."""
        with self._database.reading() as connection:
            document = connection.execute(_RECEIPT, {"wanted": digest}).scalar_one()
        return _decode(document)

    def count(self, digest: bytes, removed: Mapping[str, int]) -> None:
        """Add to the receipt what was removed, unless the erasure was finished before. Raises StoreError."""
        with self._writing() as connection:
            receipt = _receipt(connection, digest)
            if receipt is not None and receipt.checked_at is None:
                counts = {place: n + removed.get(place, 0) for place, n in receipt.removed.items()}
                _write_receipt(connection, digest, replace(receipt, removed=counts))

    def drop_name(self, digest: bytes) -> None:
        """Keep nothing but the digest from now on. Raises StoreError."""
        self._change_pending(digest, customer_id=None)

    def compact(self, pending: PendingErasure, *, unhurried: bool) -> bool:
        """Overwrite the bytes of what was deleted; whether none are left. Raises StoreError.

        A store that is slow to rewrite is only rewritten where the caller is `unhurried`.
        """
        done = compact(self._database, pending.customer_id, unhurried=unhurried)
        if done:
            self._change_pending(pending.digest, compacted=1)
        return done

    def finish(self, digest: bytes, now: datetime) -> None:
        """Note that everything was seen to be gone. The first such moment stays. Raises StoreError."""
        with self._writing() as connection:
            connection.execute(delete(erasures_pending).where(erasures_pending.c.digest == digest))
            receipt = _receipt(connection, digest)
            if receipt is not None and receipt.checked_at is None:
                _write_receipt(connection, digest, replace(receipt, checked_at=now))

    def release(self, digest: bytes, until: datetime) -> None:
        """Let anybody go on with an unfinished erasure from that moment. Raises StoreError."""
        self._change_pending(digest, claimed_until=to_micros(until))

    def claim(
        self, now: datetime, claimed_until: datetime, *, also_claimed: bool = False
    ) -> tuple[PendingErasure, ...]:
        """Take over unfinished erasures that nobody works on; `also_claimed` those of others too.

        Raises StoreError.
        """
        moment = {"moment": 2**62 if also_claimed else to_micros(now)}
        with self._database.reading() as connection:
            if connection.execute(_DUE, moment).first() is None:
                return ()
        with self._database.writing() as connection:
            rows = connection.execute(_DUE.with_for_update(), moment).all()
            digests = [row.digest for row in rows]
            taken = update(erasures_pending).where(erasures_pending.c.digest.in_(digests))
            connection.execute(taken.values(claimed_until=to_micros(claimed_until)))
        return tuple(PendingErasure(row.digest, row.customer_id, bool(row.compacted)) for row in rows)

    def meant_by(self, digest: bytes) -> Callable[[str], bool]:
        """Tells whether an id is the one that the digest stands for. Raises StoreError."""
        salt = SqlTombstones(self._database).salt()
        return lambda customer_id: salt is not None and digest_of(salt, customer_id) == digest

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """A transaction beside which no erasure begins: that locks the same two rows the other way round."""
        with self._database.writing() as connection:
            if self._database.dialect == "postgresql":
                connection.execute(text("LOCK TABLE tombstones IN ROW EXCLUSIVE MODE"))
            yield connection

    def _exclude_writers(self, connection: Connection) -> None:
        # On SQLite the transaction itself does. Here: of events that are being stored now none may come
        # to light after the deletion, and of two erasures of one customer the second finds the first.
        if self._database.dialect == "postgresql":
            connection.execute(text("LOCK TABLE tombstones IN SHARE ROW EXCLUSIVE MODE"))
            held = "events, customers, exposures, identities, reservations, decisions"
            connection.execute(text(f"LOCK TABLE {held} IN SHARE ROW EXCLUSIVE MODE"))

    def _set_tombstone(self, connection: Connection, digest: bytes, receipt: ErasureReceipt) -> None:
        # Nobody else can be numbering: erasures exclude one another until their transactions end.
        sequence = connection.execute(_NEXT_SEQUENCE).scalar_one()
        values = {
            "erased_at": to_micros(receipt.requested_at),
            "receipt": _encode(receipt),
            "sequence": sequence,
        }
        statement = self._database.insert(tombstones).values(digest=digest, **values)
        connection.execute(statement.on_conflict_do_update(index_elements=["digest"], set_=values))

    def _set_pending(
        self, connection: Connection, digest: bytes, customer_id: str, claimed_until: datetime
    ) -> None:
        values = {
            "customer_id": customer_id,
            "compacted": 0,
            "claimed_until": to_micros(claimed_until),
        }
        statement = self._database.insert(erasures_pending).values(digest=digest, **values)
        connection.execute(statement.on_conflict_do_update(index_elements=["digest"], set_=values))

    def _change_pending(self, digest: bytes, **values: int | None) -> None:
        changed = update(erasures_pending).where(erasures_pending.c.digest == digest).values(**values)
        with self._database.writing() as connection:
            connection.execute(changed)


def _receipt(connection: Connection, digest: bytes) -> ErasureReceipt | None:
    document = connection.execute(_RECEIPT.with_for_update(), {"wanted": digest}).scalar_one_or_none()
    return None if document is None else _decode(document)


def _write_receipt(connection: Connection, digest: bytes, receipt: ErasureReceipt) -> None:
    changed = update(tombstones).where(tombstones.c.digest == digest)
    connection.execute(changed.values(receipt=_encode(receipt)))


def _encode(receipt: ErasureReceipt) -> str:
    return encode_document(receipt, "an erasure receipt")


def _decode(document: str) -> ErasureReceipt:
    return decode_document(document, ErasureReceipt, "an erasure receipt")
