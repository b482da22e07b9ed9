"""A history in the order of time. In: an interaction table. Out: its events, and which of them are judged.

An event is an interaction of any type with a positive strength in the policy, with an item and a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
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

    `customers`, `items` (n_events,) are places in the ids; `seconds` (n_events,) since 1970. `is_judged`
    (n_events,): the first meeting of a customer with an item that somebody met at an earlier moment.
    """

    customers: NDArray[np.int64]
    items: NDArray[np.int64]
    seconds: NDArray[np.float64]
    is_judged: NDArray[np.bool_]
    customer_ids: tuple[str, ...]
    item_ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.seconds)

    def place_of(self, seconds: float) -> int:
        """How many events lie before a moment."""
        return int(np.searchsorted(self.seconds, seconds, side="left"))


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
    positive = [name for name, rule in policy.interaction_types.items() if rule.strength > 0]
    events = (
        table.compact.select(
            pl.col("customer_id", "item_id", "type").cast(pl.String),
            pl.col("occurred_at").dt.epoch("us"),
        )
        .filter(pl.col("type").is_in(positive))
        .drop_nulls(["item_id", "occurred_at"])
        .sort("occurred_at", "customer_id", "item_id")
    )
    if events.is_empty():
        raise TrainingError(
            "no event has an item and a type that the policy gives a positive strength, so there is nothing "
            "to replay; check the mapping's types"
        )
    customer_ids, customers = _places(events["customer_id"])
    item_ids, items = _places(events["item_id"])
    micros = events["occurred_at"].to_numpy()
    is_judged = np.zeros(len(micros), np.bool_)
    is_judged[np.unique(customers * len(item_ids) + items, return_index=True)[1]] = True
    of_items, firsts = np.unique(items, return_index=True)
    assert len(of_items) == len(item_ids)
    is_judged &= micros[firsts][items] < micros
    return EventStream(customers, items, micros / _MICROSECONDS, is_judged, customer_ids, item_ids)


def replay(
    stream: EventStream, state: LiveState, start: int, end: int, progress: Callable[[float], None]
) -> Iterator[Occasion]:
    """Bring the events before the place `end` into an empty state, and stop before each that is judged.

    From the place `start` on, each judged event is handed out while the state knows what happened before
    its moment and nothing else: events of one moment become known together, after all of them were judged.
    """
    met: list[set[str]] = [set() for _ in stream.customer_ids]
    moments = np.append(np.flatnonzero(np.diff(stream.seconds[:end], prepend=-np.inf)), end)
    for first, last in zip(moments[:-1].tolist(), moments[1:].tolist(), strict=True):
        for place in range(first, last):
            if place >= start and stream.is_judged[place]:
                yield _occasion(stream, place, met)
        for place in range(first, last):
            customer, item_id = int(stream.customers[place]), stream.item_ids[stream.items[place]]
            state.record(stream.customer_ids[customer], item_id, float(stream.seconds[place]))
            met[customer].add(item_id)
        if first // _TOLD_EVERY != last // _TOLD_EVERY:
            progress(last / end)


def _occasion(stream: EventStream, place: int, met: list[set[str]]) -> Occasion:
    customer = int(stream.customers[place])
    return Occasion(
        customer_id=stream.customer_ids[customer],
        item_id=stream.item_ids[stream.items[place]],
        at=float(stream.seconds[place]),
        met_ids=met[customer],
    )


def _places(ids: pl.Series) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The ids that occur, sorted, and the place of each row's among them: (n_rows,)."""
    distinct = ids.unique().sort()
    places = ids.rank("dense").to_numpy().astype(np.int64) - 1
    return tuple(distinct.to_list()), places
