"""Follow the event store with one live state. In: a place in the order of events. Out: the state after it.

A state is a function of the snapshot it began with and of the events after its start, taken in the order in
which they were stored: whoever has come as far holds the very same.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from recsvc.domain.interactions import TailEvent
from recsvc.live.state import LiveState
from recsvc.policy import Policy
from recsvc.serving.protocols import ConsentRecords, ErasureTail, EventTail

Meeting = tuple[str, str, float]
"""A customer, an item, and when they met: seconds since 1970."""


@dataclass(frozen=True, slots=True)
class LiveSources:
    """What a live state is made of: events and erasures in their order, consents, and what counts."""

    tail: EventTail
    erasures: ErasureTail
    consents: ConsentRecords
    policy: Policy

    def refusing(self, customer_ids: set[str]) -> set[str]:
        """Those of the customers who may not be personalised for. Raises StoreError."""
        agreed = self.consents.personalisation_of(customer_ids) if customer_ids else {}
        without_record = self.policy.consent_without_record.personalisation
        return {each for each in customer_ids if not agreed.get(each, without_record)}


@dataclass(frozen=True, slots=True)
class Trained:
    """What a snapshot holds: the events up to `until` that were there when the bundle was made.

    What came in later but occurred earlier may have been trained on too, from a file that was imported
    afterwards. From `since` on the snapshot knows every meeting, so that none of them counts twice.
    """

    since: datetime
    until: datetime
    created_at: datetime

    def holds(self, event: TailEvent) -> bool:
        """Whether the event is in the snapshot already, or so old that nobody can tell."""
        is_in_time = event.received_at < self.created_at or event.occurred_at < self.since
        return is_in_time and event.occurred_at <= self.until


@dataclass(frozen=True, slots=True)
class News:
    """What came since a place in the order: how many events, up to which one, and what counts of it.

    `gone` are those of the state's customers who were erased, up to the erasure at the place `erasure`.
    """

    n_events: int
    sequence: int
    erasure: int
    gone: Collection[str]
    meetings: Sequence[Meeting]


class Follower:
    """A live state, and how far it has come. `ask` reads the stores, `take` changes the state.

    Not safe to share between threads: whoever holds it sees to it that one asks at a time, and that nobody
    reads the state while it takes.
    """

    def __init__(
        self,
        sources: LiveSources,
        state: LiveState,
        *,
        start: int,
        erasure: int,
        trained: Trained | None = None,
    ) -> None:
        self.state = state
        self.start = self.sequence = start
        self._erasure = erasure
        self._trained = trained
        self._sources = sources
        self._to_sweep: list[str] = []

    def ask(self, limit: int) -> News:
        """What came since, at most `limit` events of it. Raises StoreError.

        Erasures are read first: an event from before an erasure that was read later would outlive it.
        """
        late = self._sources.erasures.erased_after(self._erasure)
        # Found here: it takes 2 µs a customer, for which no request need wait.
        gone = late.among(self.state.customer_ids()) if late else ()
        erasure = late.sequence if late else self._erasure
        events = self._sources.tail.after(self.sequence, limit)
        sequence = events[-1].sequence if events else self.sequence
        return News(len(events), sequence, erasure, gone, self._meetings(events))

    def take(self, news: News) -> bool:
        """Bring the state to where the news end; whether somebody was forgotten."""
        self.state.forget(news.gone)
        self._erasure = news.erasure
        record = self.state.record
        for customer_id, item_id, at in news.meetings:
            record(customer_id, item_id, at)
        self.sequence = news.sequence
        return bool(news.gone)

    def next_customers(self, n: int) -> set[str]:
        """The next `n` customers of the state: all of them have their turn, again and again."""
        if not self._to_sweep:
            self._to_sweep = self.state.customer_ids()
        some, self._to_sweep = self._to_sweep[:n], self._to_sweep[n:]
        return set(some)

    def _meetings(self, events: Sequence[TailEvent]) -> list[Meeting]:
        """What the policy gives a strength above 0, names an item, and is not in the snapshot."""
        rules, trained = self._sources.policy.interaction_types, self._trained
        counted = [
            (one.customer_id, one.item_id, one.occurred_at.timestamp())
            for one in events
            if one.item_id is not None
            and one.type in rules
            and rules[one.type].strength > 0
            and not (trained is not None and trained.holds(one))
        ]
        refusing = self._sources.refusing({meeting[0] for meeting in counted})
        return [meeting for meeting in counted if meeting[0] not in refusing]


def place_of(tail: EventTail, moment: datetime) -> int:
    """A place in the order of events before which all were received earlier than the moment.

    As far as the clocks agree of those who received them. Raises StoreError.
    """
    low, high = 0, tail.last_sequence()
    while low < high:
        middle = (low + high) // 2
        found = tail.after(middle, 1)
        if found and found[0].received_at < moment:
            low = found[0].sequence
        else:
            high = middle
    return low
