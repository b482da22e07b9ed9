"""A history in the order of time. In: an interaction table. Out: its events, and which of them are judged.

An event is an interaction of any type with a positive strength in the policy, with an item and a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recsvc.errors import TrainingError
from recsvc.history.interactions import InteractionTable
from recsvc.live.state import LiveState
from recsvc.policy import Policy

_MICROSECONDS = 1e6
_TOLD_EVERY = 1024  # Events between two words of progress.


@dataclass(frozen=True, slots=True)
class EventStream:
    """Events in the order of time, and at one moment by customer and item, whatever the order of the file.

    `customers`, `items` (n_events,) are places in the ids; `seconds` (n_events,) since 1970. `is_first`
    (n_events,): the first meeting of a customer with an item. `is_judged` (n_events,): a first one with an
    item that somebody met at an earlier moment.
    """

    customers: NDArray[np.int64]
    items: NDArray[np.int64]
    seconds: NDArray[np.float64]
    is_first: NDArray[np.bool_]
    is_judged: NDArray[np.bool_]
    customer_ids: tuple[str, ...]
    item_ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.seconds)

    def place_of(self, seconds: float) -> int:
        """How many events lie before a moment."""
        return int(np.searchsorted(self.seconds, seconds, side="left"))

    def of_moment(self, place: int) -> int:
        """The first place of the moment that a place lies in; how many there are, for a place after all."""
        return self.place_of(self.seconds[place]) if place < len(self) else len(self)


@dataclass(frozen=True, slots=True)
class Occasion:
    """A first meeting about to happen, and what the customer met before: good until the next is asked for."""

    customer_id: str
    item_id: str
    at: float
    met_ids: Set[str]


def event_stream(table: InteractionTable, policy: Policy) -> EventStream:
    """Put the events of a table in order.

    Raises:
        TrainingError: the table has no times, or no event with an item counts.
    """
    if not table.has_times:
        raise TrainingError(
            "the events have no times, so they cannot be replayed; map the column that says when to "
            "occurred_at, or measure on a file of its own with --train and --test"
        )
    rows = _positive_rows(table, policy)
    if not len(rows):
        raise TrainingError(
            "no event has an item and a type that the policy gives a positive strength, so there is nothing "
            "to replay; check the mapping's types"
        )
    customer_ids, customers = _places(table, "customer_id", rows)
    item_ids, items = _places(table, "item_id", rows)
    # As numbers: polars would look the zone up in the system's time zone files, which may be absent.
    micros = table.compact["occurred_at"].to_physical().gather(rows).to_numpy()
    order = np.lexsort((items, customers, micros))
    customers, items, micros = customers[order], items[order], micros[order]
    is_first = np.zeros(len(micros), np.bool_)
    is_first[np.unique(customers * len(item_ids) + items, return_index=True)[1]] = True
    known_since = micros[np.unique(items, return_index=True)[1]]
    is_judged = is_first & (known_since[items] < micros)
    return EventStream(customers, items, micros / _MICROSECONDS, is_first, is_judged, customer_ids, item_ids)


def replay(
    stream: EventStream, state: LiveState, start: int, end: int, progress: Callable[[float], None]
) -> Iterator[Occasion]:
    """Bring the events before the place `end` into an empty state, and stop before each that is judged.

    From the place `start` on, each judged event is handed out while the state knows what happened before
    its moment and nothing else: events of one moment become known together, after all of them were judged.
    """
    for place in range(stream.of_moment(start)):
        _record(stream, place, state)
        if place % _TOLD_EVERY == 0:
            progress(place / end)
    yield from resume(stream, state, start, end, progress)


def resume(
    stream: EventStream, state: LiveState, start: int, end: int, progress: Callable[[float], None]
) -> Iterator[Occasion]:
    """`replay` with a state that knows already what came before the moment of `start`."""
    begin = stream.of_moment(start)
    met = _met_before(stream, begin, start, end)
    moments = np.append(np.flatnonzero(np.diff(stream.seconds[begin:end], prepend=-np.inf)) + begin, end)
    for first, last in zip(moments[:-1].tolist(), moments[1:].tolist(), strict=True):
        for place in range(max(first, start), last):
            if stream.is_judged[place]:
                yield _occasion(stream, place, met)
        for place in range(first, last):
            _record(stream, place, state)
            customer = int(stream.customers[place])
            if customer in met:
                met[customer].add(stream.item_ids[stream.items[place]])
        if first // _TOLD_EVERY != last // _TOLD_EVERY:
            progress(last / end)


def _record(stream: EventStream, place: int, state: LiveState) -> None:
    customer_id = stream.customer_ids[stream.customers[place]]
    state.record(customer_id, stream.item_ids[stream.items[place]], float(stream.seconds[place]))


def _met_before(stream: EventStream, begin: int, start: int, end: int) -> dict[int, set[str]]:
    """What everybody who is judged from `start` to `end` met before the place `begin`."""
    judged = np.unique(stream.customers[start:end][stream.is_judged[start:end]])
    met: dict[int, set[str]] = {customer: set() for customer in judged.tolist()}
    before = np.flatnonzero(np.isin(stream.customers[:begin], judged))
    pairs = zip(stream.customers[before].tolist(), stream.items[before].tolist(), strict=True)
    for customer, item in pairs:
        met[customer].add(stream.item_ids[item])
    return met


def _occasion(stream: EventStream, place: int, met: Mapping[int, set[str]]) -> Occasion:
    customer = int(stream.customers[place])
    return Occasion(
        customer_id=stream.customer_ids[customer],
        item_id=stream.item_ids[stream.items[place]],
        at=float(stream.seconds[place]),
        met_ids=met[customer],
    )


def _positive_rows(table: InteractionTable, policy: Policy) -> NDArray[np.int64]:
    """The rows that are events: of a positive strength, with an item and a time."""
    codes = table.codes("type")
    present = np.flatnonzero(np.bincount(codes, minlength=1))
    is_positive = np.zeros(int(present.max(initial=0)) + 1, np.bool_)
    for code, name in zip(present.tolist(), table.texts("type", present), strict=True):
        rule = policy.interaction_types.get(name)
        is_positive[code] = rule is not None and rule.strength > 0
    told = table.compact.select(pl.col("item_id", "occurred_at").is_not_null())
    return np.flatnonzero(is_positive[codes] & (told["item_id"] & told["occurred_at"]).to_numpy())


def _places(
    table: InteractionTable, column: str, rows: NDArray[np.int64]
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The ids that occur in the rows, sorted bytewise, and the place of each row's among them: (n_rows,)."""
    codes = table.codes(column)[rows]
    present = np.flatnonzero(np.bincount(codes))
    ids = table.texts(column, present)
    places = np.zeros(int(present[-1]) + 1, np.int64)
    places[present[ids.arg_sort().to_numpy()]] = np.arange(len(present))
    return tuple(ids.sort().to_list()), places[codes]
