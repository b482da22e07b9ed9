"""Follow the event store with one live state. In: a place in the order of events. Out: the state after it.

A state is a function of the snapshot it began with, of who agrees now, and of the events after its start in
the order in which they were stored: whoever has come as far holds the very same. Who withdraws a consent is
forgotten at the next look. What that leaves in the counts, and what of one who agrees later was left out,
only a state that is built anew puts right: `take` says when.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from recsvc.domain.interactions import TailEvent
from recsvc.live.state import LiveState
from recsvc.policy import Policy
from recsvc.serving.protocols import ConsentRecords, ErasureTail, EventTail

Meeting = tuple[str, str, float]
"""A customer, an item, and when they met: seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Places:
    """How far erasures and changes of customers' records have been read, each in their order."""

    erasure: int
    change: int


@dataclass(frozen=True, slots=True)
class LiveSources:
    """What a live state is made of: events and erasures in their order, consents, and what counts."""

    tail: EventTail
    erasures: ErasureTail
    consents: ConsentRecords
    policy: Policy

    @property
    def types(self) -> frozenset[str]:
        """The types of events that speak for an item."""
        rules = self.policy.interaction_types
        return frozenset(name for name, rule in rules.items() if rule.strength > 0)

    def places(self) -> Places:
        """Where the orders of erasures and of changed records end now. Raises StoreError."""
        return Places(self.erasures.last_erasure(), self.consents.last_change())

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
    """What came since a place in the order: how many meetings, up to which event, and what counts of it.

    `gone` are those of the state's customers who were erased or withdrew their consent; `left_out` those who
    refuse, so that their meetings do not count; `returned` those once left out who agree now.
    """

    n_events: int
    sequence: int
    places: Places
    gone: Collection[str]
    left_out: Collection[str]
    returned: Collection[str]
    meetings: Sequence[Meeting]


class Follower:
    """A live state, and how far it has come. `ask` reads the stores, `take` changes the state.

    Not safe to share between threads: whoever holds it sees to it that one asks at a time, and that nobody
    reads the state while it takes. It remembers who was left out, no more of them than the state may have
    customers: who has slipped from either changes nothing until a state is built anew.
    """

    def __init__(
        self,
        sources: LiveSources,
        state: LiveState,
        *,
        start: int,
        places: Places,
        trained: Trained | None = None,
    ) -> None:
        self.state = state
        self.sequence = start
        self._places = places
        self._trained = trained
        self._sources = sources
        self._types = sources.types
        self._left_out: dict[str, None] = {}  # The latest last.

    def ask(self, limit: int) -> News:
        """What came since, at most `limit` meetings of it. Raises StoreError.

        Erasures and changed records are read first: an event from before an erasure that was read later
        would outlive it.
        """
        erasure, erased = self._erased()
        change, withdrawn, returned = self._changed()
        sequence, events = self._events(limit)
        new = [one for one in events if self._trained is None or not self._trained.holds(one)]
        refusing = self._sources.refusing({one.customer_id for one in new})
        return News(
            n_events=len(events),
            sequence=sequence,
            places=Places(erasure, change),
            gone={*erased, *withdrawn},
            left_out=refusing,
            returned=returned,
            meetings=[
                (one.customer_id, str(one.item_id), one.occurred_at.timestamp())
                for one in new
                if one.customer_id not in refusing
            ],
        )

    def take(self, news: News) -> bool:
        """Bring the state to where the news end; whether it now differs from one that is built anew."""
        self.state.forget(news.gone)
        self._note(news.left_out, news.returned)
        record = self.state.record
        for customer_id, item_id, at in news.meetings:
            record(customer_id, item_id, at)
        self.sequence, self._places = news.sequence, news.places
        return bool(news.gone or news.returned)

    def read_to_end(self, batch: int) -> bool:
        """Take all there is, before anybody reads the state; whether it differs as `take` says.

        Raises StoreError.
        """
        is_outdated, n_events = False, batch
        while n_events == batch:
            news = self.ask(batch)
            is_outdated |= self.take(news)
            n_events = news.n_events
        return is_outdated

    def leave_out(self, customer_ids: Collection[str]) -> None:
        """Forget those who refuse, whom the snapshot knows: should they agree, it will know them again."""
        self.state.forget(customer_ids)
        self._note(customer_ids, ())

    def _erased(self) -> tuple[int, Collection[str]]:
        """The place of the last erasure, and who of the state's customers was erased since the last look."""
        late = self._sources.erasures.erased_after(self._places.erasure)
        # Found here, at 2 µs a customer: while it takes, requests read the state.
        return (late.sequence, late.among(self.state.customer_ids())) if late else (self._places.erasure, ())

    def _changed(self) -> tuple[int, set[str], set[str]]:
        """The place of the last changed record, who withdrew since the last look, and who agreed again."""
        changed = self._sources.consents.changed_after(self._places.change)
        if changed is None:
            return self._places.change, set(), set()
        known = changed.customer_ids.intersection(self.state.customer_ids())
        left_out = changed.customer_ids & self._left_out.keys()
        refusing = self._sources.refusing({*known, *left_out})
        return changed.sequence, refusing & known, set(left_out - refusing)

    def _events(self, limit: int) -> tuple[int, Sequence[TailEvent]]:
        """The place that is reached, and the meetings up to it."""
        tail, last = self._sources.tail, self._sources.tail.last_sequence()
        if last <= self.sequence:
            return self.sequence, ()
        events = tail.meetings_after(self.sequence, limit, self._types)
        reached = events[-1].sequence if events else last
        return reached if len(events) == limit else max(reached, last), events

    def _note(self, left_out: Collection[str], returned: Collection[str]) -> None:
        for one in (*left_out, *returned):
            self._left_out.pop(one, None)
        self._left_out.update(dict.fromkeys(left_out))
        n_over = len(self._left_out) - self.state.bounds.n_customers
        for one in list(islice(self._left_out, max(n_over, 0))):
            del self._left_out[one]


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
