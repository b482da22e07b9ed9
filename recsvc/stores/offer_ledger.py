"""Enter offer decisions. In: a decision, the offers whose contacts are counted. Out: both kept, or neither.

To reserve the contacts of a list and to keep its decision is one transaction, shared with whoever else waits
in this process. Processes take turns at it, so the chain has one order and no contact is taken twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from recsvc.domain.contacts import Shortage
from recsvc.domain.decision_chain import Entry, draft, head_after, link
from recsvc.domain.decisions import Decision, Grounds
from recsvc.domain.items import Item
from recsvc.domain.moments import to_micros
from recsvc.errors import StoreError
from recsvc.stores.contacts import LINE, SqlContacts
from recsvc.stores.database import Database
from recsvc.stores.decisions import add, add_grounds, read_head
from recsvc.stores.group_commit import GroupCommit
from recsvc.stores.offer_tables import decisions
from recsvc.stores.tombstones import SqlTombstones
from recsvc.stores.turns import writing_in_turn

WAIT_SECONDS = 10.0  # Nobody waits longer for an offer list.
_SALT_BYTES = 16
_ERASED = "the customer was erased while the decision was made: ask again"

Outcome = Mapping[str, Shortage]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A decision as it will stand in the chain, and what is to be reserved for it."""

    decision: Decision
    entry: Entry
    grounds: Grounds
    counted: Sequence[Item]
    until: datetime


class SqlOfferLedger:
    """Takes decisions from any thread, of several processes."""

    def __init__(
        self,
        database: Database,
        contacts: SqlContacts,
        *,
        random_bytes: Callable[[int], bytes],
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._database = database
        self._contacts = contacts
        self._random_bytes = random_bytes
        self._tombstones = SqlTombstones(database)
        self._known: set[str] = set()  # Grounds that are kept already.
        self._commits = GroupCommit[_Wanted, Outcome](
            self._enter_all,
            name="offer-ledger",
            wait_seconds=wait_seconds,
            too_late="there are no offers until it is quicker",
            stopping="the service is stopping and decides on no more offers",
        )

    def enter(
        self, decision: Decision, grounds: Grounds, counted: Sequence[Item], *, until: datetime
    ) -> Outcome:
        """Keep the decision and reserve a contact of each counted offer, or neither: then what is short.

        Durable once this returns nothing short. What is reserved comes back at `until` where not shown.

        Raises:
            StoreError: the list must not go out. One for a customer who was erased since is refused too.
        """
        entry = draft(decision, self._random_bytes(_SALT_BYTES))
        return self._commits.do(_Wanted(decision, entry, grounds, counted, until))

    @property
    def n_waiting(self) -> int:
        """How many decisions are in no transaction yet."""
        return self._commits.n_waiting

    def close(self) -> None:
        """Enter what waits, then end. Later decisions are refused."""
        self._commits.close()

    def _enter_all(self, group: Sequence[_Wanted]) -> list[Outcome | Exception]:
        """What came of each; where the group fails because of one, each is entered by itself."""
        try:
            return self._enter_together(group)
        except Exception as error:
            return [error] if len(group) == 1 else [self._enter_all([one])[0] for one in group]

    def _enter_together(self, group: Sequence[_Wanted]) -> list[Outcome | Exception]:
        with writing_in_turn(self._database, LINE) as connection:
            erased = self._erased(connection, group)
            outcomes: list[Outcome | Exception] = [
                StoreError(_ERASED) if one.entry.decision_id in erased else self._take(connection, one)
                for one in group
            ]
            taken = [one for one, outcome in zip(group, outcomes, strict=True) if outcome == {}]
            self._keep(connection, taken)
        self._known.update(one.grounds.digest for one in taken)
        return outcomes

    def _erased(self, connection: Connection, group: Sequence[_Wanted]) -> set[str]:
        """The decisions whose customers were erased since they were made."""
        made = [one.decision for one in group]
        erased = self._tombstones.erased_before(connection, decisions, {one.customer_id for one in made})
        return {
            one.decision_id
            for one in made
            if one.customer_id in erased and to_micros(one.decided_at) <= erased[one.customer_id]
        }

    def _take(self, connection: Connection, one: _Wanted) -> Outcome:
        return (
            self._contacts.take(connection, one.decision, one.counted, until=one.until) if one.counted else {}
        )

    def _keep(self, connection: Connection, taken: Sequence[_Wanted]) -> None:
        entries: list[Entry] = []
        head = read_head(self._database, connection)
        for one in taken:
            entries.append(link(one.entry, head))
            head = head_after(entries[-1])
        for digest, grounds in {one.grounds.digest: one.grounds for one in taken}.items():
            if digest not in self._known:
                add_grounds(self._database, connection, grounds)
        if entries:
            add(self._database, connection, entries)
