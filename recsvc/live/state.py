"""What the last events say, bounded. In: meetings of customers with items. Out: arrays that scores read.

Counts decay exponentially and are kept as logarithms of forward-decayed sums (Cormode, Shkapenyuk,
Srivastava and Xu 2009, "Forward decay"): log2 of the sum of 2 ** (t / half-life) over the events of an item.
Time passing then changes nothing that is stored, an event changes one row, events may come late, and nothing
overflows.

Memory: an item takes 4 bytes a reader kept and 8 a half-life, and about 220 more with an id of 36 letters:
0.5 KB with 64 readers; a customer 4 bytes a recent item and about 180 more: 1 KB with 200. Where either is
full, an eighth makes room: the items with the lowest count of the longest half-life, the customers longest
unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from recsvc.domain.rows import NO_ROW
from recsvc.live.places import (
    Floats,
    Places,
    Rows,
    by_appearance,
    grown,
    kept_rows,
    renumbered,
    rings,
)

SECONDS_A_DAY = 86_400.0
_NOBODY = NO_ROW
_FIRST_PLACES = 256
_FORGOTTEN = "\0"  # No id begins so: these are the names of rows that belong to nobody any more.


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept: items, customers, readers of an item, items of a customer; whole numbers above 0."""

    n_items: int = 20_000
    n_customers: int = 50_000
    n_readers: int = 64
    n_recent: int = 200


DEFAULT_BOUNDS = Bounds()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a state knew of every item at a moment, and the last first meetings, in the order of time.

    `log_counts` (n_items, n_half_lives), `firsts`, `lasts` and `n_met` (n_items,) are those of the state, its
    counts not yet brought to a moment. `customers`, `items` (n_meetings,) are rows of the ids that whoever
    took the snapshot numbered them by; `seconds` (n_meetings,) since 1970.
    """

    log_counts: Floats
    firsts: Floats
    lasts: Floats
    n_met: Rows
    customers: Places
    items: Places
    seconds: Floats


class LiveState:
    """Counts by item, the last readers of each item and the last items of each customer.

    Rows are places in the arrays: they hold until the next `record`. Of one customer and item only the first
    meeting counts, as far back as the customer's recent items reach; a later one is only the item's latest.
    """

    def __init__(self, half_lives_days: tuple[float, ...], bounds: Bounds = DEFAULT_BOUNDS) -> None:
        self.half_lives_days = half_lives_days
        self.bounds = bounds
        self._rates = 1 / (np.array(half_lives_days) * SECONDS_A_DAY)
        self._item_rows: dict[str, int] = {}
        self._item_ids: list[str] = []  # By row.
        self._customer_rows: dict[str, int] = {}
        self._counts: Floats = np.empty((0, len(half_lives_days)))  # (n_items, n_half_lives), log2
        self._firsts: Floats = np.empty(0)  # (n_items,), seconds
        self._lasts: Floats = np.empty(0)
        self._n_met: Rows = np.empty(0, np.int64)  # (n_items,), ever
        self._readers: Places = np.empty((0, bounds.n_readers), np.int32)
        self._recent: Places = np.empty((0, bounds.n_recent), np.int32)
        self._n_recorded: Rows = np.empty(0, np.int64)  # (n_customers,), ever
        self._n_forgotten = 0
        self.latest = -np.inf  # When the last meeting was, seconds.
        self._seen: Floats = np.empty(0)  # (n_customers,), seconds
        self._depths: Floats = np.empty(0)

    @classmethod
    def restored(
        cls,
        half_lives_days: tuple[float, ...],
        bounds: Bounds,
        snapshot: Snapshot,
        item_ids: Sequence[str],
        customer_id_of: Callable[[int], str],
    ) -> LiveState:
        """The state that a snapshot was taken of, as far as its meetings reach.

        `item_ids` (n_items,) names all items of the snapshot; `bounds` has room for them.
        """
        state, firsts, n_items = cls(half_lives_days, bounds), snapshot.firsts, len(item_ids)
        customers, rows = by_appearance(snapshot.customers)
        items, seconds, n_customers = snapshot.items, snapshot.seconds, len(customers)
        state._item_rows, state._item_ids = {one: row for row, one in enumerate(item_ids)}, list(item_ids)
        state._customer_rows = {customer_id_of(one): row for row, one in enumerate(customers.tolist())}
        state._counts, state._n_met = snapshot.log_counts.copy(), snapshot.n_met.copy()
        state._firsts, state._lasts = firsts.copy(), snapshot.lasts.copy()
        # Each meeting gets the place it had, so that who comes next replaces the oldest reader.
        n_before = snapshot.n_met - np.bincount(items, minlength=n_items)
        state._readers = rings(rows, items, n_before, bounds.n_readers)
        state._recent = rings(items, rows, np.zeros(n_customers, np.int64), bounds.n_recent)
        state._n_recorded = np.bincount(rows, minlength=n_customers)
        state._seen, state._depths = np.empty(n_customers), np.empty(n_customers)
        state._seen[rows], state._depths[rows] = seconds, seconds - np.minimum(firsts[items], seconds)
        state.latest = float(snapshot.lasts.max(initial=-np.inf))
        while state.n_customers > bounds.n_customers:
            state._forget_customers()
        return state

    @property
    def n_items(self) -> int:
        return len(self._item_rows)

    @property
    def n_customers(self) -> int:
        return len(self._customer_rows)

    @property
    def item_ids(self) -> Sequence[str]:
        """The id of each row's item: (n_items,). It grows; where rows move, there is another one."""
        return self._item_ids

    def item_rows(self, item_ids: Iterable[str]) -> Rows:
        """The rows of those of the items that are known."""
        known = self._item_rows
        return np.array([known[one] for one in item_ids if one in known], np.int64)

    def rows_of(self, item_ids: Iterable[str]) -> Rows:
        """The row of every one of the items, `NO_ROW` for one that was never met."""
        return np.array([self._item_rows.get(one, NO_ROW) for one in item_ids], np.int64)

    def knows_item(self, item_id: str) -> bool:
        """Whether the item was ever met, as far as it is still known."""
        return item_id in self._item_rows

    def customer_row(self, customer_id: str) -> int | None:
        """The row of a customer; None for one who is not known."""
        return self._customer_rows.get(customer_id)

    def record(self, customer_id: str, item_id: str, at: float) -> None:
        """Take in a meeting at a moment in seconds since 1970. Costs some 10 µs."""
        item = self._item_rows.get(item_id)
        if item is None:
            item = self._new_item(item_id, at)
        customer = self._customer_rows.get(customer_id)
        if customer is None:
            customer = self._new_customer(customer_id)
        self._lasts[item] = max(self._lasts[item], at)
        self.latest = max(self.latest, at)
        recent = self._recent[customer]
        if item in recent:
            return
        self._firsts[item] = first = min(self._firsts[item], at)
        counts = self._counts[item]
        np.logaddexp2(counts, at * self._rates, out=counts)
        self._readers[item, self._n_met[item] % self.bounds.n_readers] = customer
        recent[self._n_recorded[customer] % self.bounds.n_recent] = item
        self._n_met[item] += 1
        self._n_recorded[customer] += 1
        if at >= self._seen[customer]:
            self._seen[customer], self._depths[customer] = at, at - first

    def customer_ids(self) -> list[str]:
        """Everybody of whom something is kept."""
        # Copied at once: another thread may forget somebody meanwhile.
        return [one for one in list(self._customer_rows) if not one.startswith(_FORGOTTEN)]

    def forget(self, customer_ids: Iterable[str]) -> None:
        """Keep nothing of the customers but a share in the counts of items, which name nobody.

        Their rows stay, blank, until room is needed; those who are not known change nothing. One look at all
        readers does for all customers: some ms for 20,000 items.
        """
        known = [row for one in customer_ids if (row := self._customer_rows.pop(one, None)) is not None]
        if not known:
            return
        rows = np.array(known)
        readers = self._readers[: self.n_items]
        readers[np.isin(readers, rows)] = _NOBODY
        self._recent[rows], self._n_recorded[rows] = _NOBODY, 0
        self._seen[rows], self._depths[rows] = -np.inf, 0.0
        for number, row in enumerate(known, self._n_forgotten):
            self._customer_rows[f"{_FORGOTTEN}{number}"] = row
        self._n_forgotten += len(known)

    def log_counts(self, half_life: int, at: float) -> Floats:
        """log2 of every item's decayed count under the half-life of this place: (n_items,)."""
        counts: Floats = self._counts[: self.n_items, half_life] - at * self._rates[half_life]
        return counts

    def firsts(self) -> Floats:
        """When each item was first met, seconds: (n_items,)."""
        return self._firsts[: self.n_items]

    def lasts(self) -> Floats:
        """When each item was last met, seconds: (n_items,)."""
        return self._lasts[: self.n_items]

    def recent(self, customer: int) -> Rows:
        """The rows of the last items that a customer met for the first time, in no order: (n_recent,)."""
        kept = self._recent[customer]
        recent: Rows = kept[kept >= 0].astype(np.int64)
        return recent

    def seen(self, customer: int) -> tuple[float, float]:
        """When a customer last met an item for the first time, and how old the item was: seconds both."""
        return float(self._seen[customer]), float(self._depths[customer])

    def likeness(self, customer: int) -> Floats:
        """How much of what each customer recently met this one met too: (n_customers + 1,), the last is 0.

        The shared items, each by 1 / log2(2 + its readers), over the other's number of recent items (more by
        four, so that one shared item of one is not everything). The last place is for a reader who has gone.
        """
        recent = self._recent[customer]
        recent = recent[recent >= 0]
        readers = self._readers[recent]
        shares = np.broadcast_to((1 / np.log2(2 + self._n_met[recent]))[:, None], readers.shape)
        n_customers = len(self._customer_rows)
        shared = np.bincount(readers.ravel() + 1, weights=shares.ravel(), minlength=n_customers + 1)[1:]
        shared[customer] = 0.0
        n_recent = np.minimum(self._n_recorded[:n_customers], self.bounds.n_recent)
        return np.append(shared / (n_recent + 4.0), 0.0)

    def parts_of_likeness(self, customer: int, others: Places) -> tuple[Rows, Floats]:
        """What each recent item of a customer adds to the likeness of others: (n_recent,), its row, and
        (n_others, n_recent). Nobody, of row -1, has nothing in common."""
        recent = self._recent[customer]
        recent = recent[recent >= 0]
        n_shared = (self._readers[recent] == others[:, None, None]).sum(axis=2)
        n_recent = np.minimum(self._n_recorded[others], self.bounds.n_recent) + 4.0
        parts = n_shared / np.log2(2 + self._n_met[recent]) / n_recent[:, None]
        parts[others < 0] = 0.0
        return recent.astype(np.int64), parts

    def readers(self, items: Rows) -> Places:
        """The last customers who met each item for the first time: (n_rows, n_readers), -1 for none."""
        return self._readers[items]

    def _new_item(self, item_id: str, at: float) -> int:
        if len(self._item_rows) == self.bounds.n_items:
            self._forget_items()
        row = len(self._item_rows)
        if row == len(self._firsts):
            n = min(max(2 * row, _FIRST_PLACES), self.bounds.n_items)
            self._counts, self._readers = grown(self._counts, n, -np.inf), grown(self._readers, n, _NOBODY)
            self._firsts, self._lasts = grown(self._firsts, n, 0), grown(self._lasts, n, 0)
            self._n_met = grown(self._n_met, n, 0)
        self._counts[row], self._readers[row], self._n_met[row] = -np.inf, _NOBODY, 0
        self._firsts[row] = self._lasts[row] = at
        self._item_rows[item_id] = row
        self._item_ids.append(item_id)
        return row

    def _new_customer(self, customer_id: str) -> int:
        if len(self._customer_rows) == self.bounds.n_customers:
            self._forget_customers()
        row = len(self._customer_rows)
        if row == len(self._seen):
            n = min(max(2 * row, _FIRST_PLACES), self.bounds.n_customers)
            self._recent, self._n_recorded = grown(self._recent, n, _NOBODY), grown(self._n_recorded, n, 0)
            self._seen, self._depths = grown(self._seen, n, -np.inf), grown(self._depths, n, 0)
        self._recent[row], self._n_recorded[row] = _NOBODY, 0
        self._seen[row], self._depths[row] = -np.inf, 0.0
        self._customer_rows[customer_id] = row
        return row

    def _forget_items(self) -> None:
        longest = int(np.argmax(self.half_lives_days))
        kept, places = kept_rows(self._counts[: self.n_items, longest])
        for array in (self._counts, self._readers, self._firsts, self._lasts, self._n_met):
            array[: len(kept)] = array[kept]
        self._item_rows = renumbered(self._item_rows, places)
        self._item_ids = list(self._item_rows)
        self._recent = places[self._recent]

    def _forget_customers(self) -> None:
        kept, places = kept_rows(self._seen[: len(self._customer_rows)])
        for array in (self._recent, self._n_recorded, self._seen, self._depths):
            array[: len(kept)] = array[kept]
        self._customer_rows = renumbered(self._customer_rows, places)
        self._readers = places[self._readers]
