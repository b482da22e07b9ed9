"""What is live at a moment of a history, counted at once. In: a stream, a place in it. Out: a snapshot.

The same as bringing the events into a `LiveState` one by one, as long as nobody meets more items than such a
state keeps of a customer, and within what rounding differs by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsvc.live.places import Floats, Rows
from recsvc.live.state import SECONDS_A_DAY, Bounds, LiveState, Snapshot
from recsvc.training.holdout import rows_in
from recsvc.training.prequential.stream import EventStream

MOST_MEETINGS = 50_000
"""The last first meetings that a snapshot keeps: 25 ms of CPU for whoever restores it."""


def snapshot_before(
    stream: EventStream,
    end: int,
    half_lives_days: Sequence[float],
    *,
    customer_ids: Sequence[str],
    item_ids: Sequence[str],
) -> Snapshot:
    """What the events before the place `end` say of the items, each of which had one by then.

    Meetings with other items are left out, and those of other customers are only counted. Rows are places in
    `customer_ids` and `item_ids`.
    """
    rows = rows_in(item_ids, stream.item_ids)[stream.items[:end]]
    places = np.flatnonzero(rows >= 0)
    rows, seconds = rows[places], stream.seconds[places]
    n_items = len(item_ids)
    firsts, lasts = np.full(n_items, np.inf), np.full(n_items, -np.inf)
    np.minimum.at(firsts, rows, seconds)
    np.maximum.at(lasts, rows, seconds)
    is_first = stream.is_first[places]
    counts = [_log_counts(rows[is_first], seconds[is_first], one, n_items) for one in half_lives_days]
    customers = rows_in(customer_ids, stream.customer_ids)[stream.customers[places]]
    kept = np.flatnonzero(is_first & (customers >= 0))[-MOST_MEETINGS:]
    return Snapshot(
        log_counts=np.stack(counts, axis=1),
        firsts=firsts,
        lasts=lasts,
        n_met=np.bincount(rows[is_first], minlength=n_items).astype(np.int64),
        customers=customers[kept].astype(np.int32),
        items=rows[kept].astype(np.int32),
        seconds=seconds[kept],
    )


def state_before(
    stream: EventStream, place: int, half_lives_days: tuple[float, ...], bounds: Bounds
) -> LiveState:
    """A state that knows what came before the moment of a place, as one that was opened from a bundle would.

    Its first rows are those of the items that had an event by then, in the order of their ids.
    """
    end = stream.of_moment(place)
    item_ids = [stream.item_ids[item] for item in np.unique(stream.items[:end]).tolist()]
    taken = snapshot_before(stream, end, half_lives_days, customer_ids=stream.customer_ids, item_ids=item_ids)
    return LiveState.restored(half_lives_days, bounds, taken, item_ids, stream.customer_ids.__getitem__)


def live_arrays(snapshot: Snapshot) -> Mapping[str, NDArray[Any]]:
    """A snapshot as the arrays of a bundle."""
    return {
        "live_log_counts": snapshot.log_counts,
        "live_firsts": snapshot.firsts,
        "live_lasts": snapshot.lasts,
        "live_met": snapshot.n_met,
        "live_meeting_customers": snapshot.customers,
        "live_meeting_items": snapshot.items,
        "live_meeting_seconds": snapshot.seconds,
    }


def _log_counts(rows: Rows, seconds: Floats, half_life_days: float, n_items: int) -> Floats:
    """log2 of the sum of 2 ** (t / half-life) over the meetings of each item: (n_items,)."""
    powers = seconds * (1 / (half_life_days * SECONDS_A_DAY))
    highest = np.full(n_items, -np.inf)
    np.maximum.at(highest, rows, powers)
    sums = np.bincount(rows, weights=np.exp2(powers - highest[rows]), minlength=n_items)
    counts: Floats = highest + np.log2(np.maximum(sums, 1.0))  # The highest alone adds 1.
    return counts
