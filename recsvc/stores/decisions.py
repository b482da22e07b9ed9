"""The decision log in SQL. In: entries. Out: decisions, in a chain that shows what was changed.

Entries are only ever added, by `offer_ledger`, in one order for all processes; an erasure takes away what is
personal.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from sqlalchemy import Connection, bindparam, select, update

from recsvc.domain.decision_chain import Break, ChainCheck, Entry, Head, erasure, opened
from recsvc.domain.decisions import Decision, Grounds, read_grounds
from recsvc.errors import NotFoundError, StoreError
from recsvc.stores.database import Database
from recsvc.stores.offer_tables import decision_grounds, decisions

_PAGE = 500
_DIGEST_BYTES = 32

_HEAD = "SELECT n, hash FROM decisions_head WHERE id = 1"
_NEW_HEAD = "UPDATE decisions_head SET n = :last, hash = :sealed"
_NEXT_PAGE = (
    select(decisions)
    .where(decisions.c.sequence > bindparam("after"))
    .order_by(decisions.c.sequence)
    .limit(_PAGE)
)
_ONE = select(decisions).where(decisions.c.decision_id == bindparam("wanted"))
_OF_CUSTOMER = (
    select(decisions)
    .where(decisions.c.customer_id == bindparam("wanted"), decisions.c.sequence < bindparam("before"))
    .order_by(decisions.c.sequence.desc())
    .limit(bindparam("limit"))
)
_NUMBERS_OF_CUSTOMER = (
    select(decisions.c.sequence)
    .where(decisions.c.customer_id == bindparam("wanted"))
    .order_by(decisions.c.sequence)
)
_GROUNDS = select(decision_grounds.c.document).where(decision_grounds.c.digest == bindparam("wanted"))
_END = 2**62


class SqlDecisions:
    """Every decision that was ever kept."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, decision_id: str) -> Decision:
        """One decision. Raises NotFoundError, StoreError."""
        with self._database.reading() as connection:
            row = connection.execute(_ONE, {"wanted": decision_id}).one_or_none()
        entry = None if row is None else _entry(row)
        if entry is None or entry.is_erasure:
            raise NotFoundError(f"there is no decision {decision_id}")
        return _opened(entry)

    def grounds(self, digest: str) -> Grounds:
        """What decisions of this digest stand on. Raises NotFoundError; StoreError where it was changed."""
        with self._database.reading() as connection:
            document = connection.execute(_GROUNDS, {"wanted": digest}).scalar_one_or_none()
        if document is None:
            raise NotFoundError(f"the offers and the policy {digest} of the decision were not kept")
        grounds = unpack_grounds(digest, _bytes(document))
        if grounds is None:
            raise StoreError(f"the offers and the policy {digest} of a decision were changed in the store")
        return grounds

    def of_customer(
        self, customer_id: str, *, before: int | None = None, limit: int = 100
    ) -> Sequence[tuple[int, Decision]]:
        """The customer's latest decisions with their numbers, before a number, latest first.

        Raises StoreError.
        """
        place = {"wanted": customer_id, "before": _END if before is None else before, "limit": limit}
        with self._database.reading() as connection:
            rows = connection.execute(_OF_CUSTOMER, place).all()
        return [(row.sequence, _opened(_entry(row))) for row in rows]

    def every_of(self, customer_id: str) -> Iterator[Decision]:
        """Every decision for the customer, latest first. Raises StoreError."""
        before: int | None = None
        while found := self.of_customer(customer_id, before=before):
            yield from (decision for _, decision in found)
            before = found[-1][0]

    def verified(self) -> Iterator[tuple[Entry | Break, float]]:
        """Every entry in its order, once it proved sound, and at last the first that is broken, if one is.

        With each comes what share of all it is the end of. Raises StoreError.
        """
        begun_at = self._head()
        check = ChainCheck(begun_at)
        sound: dict[str, bool] = {}
        for entry in self._entries(begun_at):
            broken = check.follow(entry) or self._unfounded(entry, sound)
            if broken is not None:
                yield broken, 1.0
                return
            yield entry, entry.sequence / begun_at.n
        broken = check.end(begun_at)
        if broken is None and check.untold is not None:
            broken = self._erased_meanwhile(check, begun_at)
        if broken is not None:
            yield broken, 1.0

    def _erased_meanwhile(self, check: ChainCheck, begun_at: Head) -> Break | None:
        """Whether what is missing is told of by erasures that came while the entries were read."""
        head = self._head()
        for entry in self._entries(head, after=begun_at.n):
            if (broken := check.follow(entry)) is not None:
                return broken
        return check.end(head) or check.untold

    def _unfounded(self, entry: Entry, sound: dict[str, bool]) -> Break | None:
        """A break where the entry stands on what was changed. `sound` is what is known of grounds so far."""
        if entry.is_erasure:
            return None
        digest = _opened(entry).grounds
        if digest not in sound:
            sound[digest] = self._is_sound(digest)
        what = "the offers and the policy that it stands on are missing or changed"
        return None if sound[digest] else Break(entry.sequence, entry.decision_id, what)

    def _is_sound(self, digest: str) -> bool:
        try:
            self.grounds(digest)
        except (NotFoundError, StoreError):
            return False
        return True

    def _head(self) -> Head:
        with self._database.reading() as connection:
            return read_head(self._database, connection)

    def _entries(self, head: Head, *, after: int = -_END) -> Iterator[Entry]:
        """All entries up to a head; what stands below the first number is told too."""
        until = head.n
        while True:
            with self._database.reading() as connection:
                rows = connection.execute(_NEXT_PAGE, {"after": after}).all()
            yield from (_entry(row) for row in rows if row.sequence <= until)
            if len(rows) < _PAGE or rows[-1].sequence > until:
                return
            after = rows[-1].sequence


def forget_customer(database: Database, connection: Connection, customer_id: str) -> int:
    """Take away what is personal of the customer's decisions, and tell the chain; how many there were.

    The transaction is one that nobody adds entries beside.
    """
    numbers = connection.execute(_NUMBERS_OF_CUSTOMER, {"wanted": customer_id}).scalars().all()
    if numbers:
        personal = {"customer_id": None, "personal": None, "salt": None}
        connection.execute(update(decisions).where(decisions.c.customer_id == customer_id).values(personal))
        add(database, connection, [erasure(numbers, read_head(database, connection))])
    return len(numbers)


def keep_customer(database: Database, connection: Connection, customer_id: str) -> int:
    """Leave the customer's decisions as they are."""
    return 0


AtErasure = Callable[[Database, Connection, str], int]
"""What an erasure does with a customer's decisions; how many it changed."""


def at_erasure(rule: Literal["keep", "pseudonymise"]) -> AtErasure:
    """What is done with a customer's decisions: the law may ask to keep them as they are."""
    return forget_customer if rule == "pseudonymise" else keep_customer


def add(database: Database, connection: Connection, entries: Sequence[Entry]) -> None:
    """Add entries that follow the head, and each other, in a transaction that nobody else adds beside.

    Raises StoreError: one of them is there already.
    """
    if database.insert_new(connection, decisions, [_row(entry) for entry in entries]) < len(entries):
        ids = ", ".join(entry.decision_id for entry in entries)
        raise StoreError(f"there is a decision {ids} already: none is kept twice")
    last = entries[-1]
    database.asking(connection)(_NEW_HEAD, {"last": last.sequence, "sealed": last.hash})


def add_grounds(database: Database, connection: Connection, grounds: Grounds) -> None:
    """Keep what decisions stand on, where it is not kept yet."""
    database.insert_new(connection, decision_grounds, [(grounds.digest, _pack(grounds))])


def read_head(database: Database, connection: Connection) -> Head:
    """The head of the chain. Raises StoreError where somebody took it away."""
    for n, sealed in database.asking(connection)(_HEAD, {}):
        return Head(int(n), _bytes(sealed))
    raise StoreError("the log of decisions has no head: it was taken away")


def _row(entry: Entry) -> tuple[Any, ...]:
    return (
        entry.sequence,
        entry.decision_id,
        entry.customer_id,
        entry.body,
        entry.personal,
        entry.salt,
        entry.commitment,
        entry.hash,
    )


def _entry(row: Any) -> Entry:
    return Entry(
        row.sequence,
        row.decision_id,
        row.customer_id,
        _bytes(row.body),
        None if row.personal is None else _bytes(row.personal),
        None if row.salt is None else _bytes(row.salt),
        _bytes(row.commitment),
        _bytes(row.hash),
    )


def _bytes(part: Any) -> bytes:
    """What stands in a column, even where somebody wrote text there: then it is not what was sealed."""
    return part.encode() if isinstance(part, str) else bytes(part)


def _opened(entry: Entry) -> Decision:
    try:
        return opened(entry)
    except ValueError as error:
        raise StoreError(f"{error}: see recsvc decisions verify") from error


def _pack(grounds: Grounds) -> bytes:
    packed = zlib.compress(grounds.document)
    return (
        hashlib.sha256(packed).digest() + packed
    )  # Some bits of what is packed change nothing that is read.


def unpack_grounds(digest: str, packed: bytes) -> Grounds | None:
    """The grounds, where they are those of the digest and no bit of them was changed."""
    sealed, packed = packed[:_DIGEST_BYTES], packed[_DIGEST_BYTES:]
    if hashlib.sha256(packed).digest() != sealed:
        return None
    try:
        grounds = read_grounds(zlib.decompress(packed))
    except (zlib.error, ValueError):
        return None
    return grounds if grounds.digest == digest else None
