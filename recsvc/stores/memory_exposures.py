"""Exposures in memory: for tests and trials. Same behaviour as the real store, nothing kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from recsvc.domain.exposures import Exposure, join_exposures


class MemoryExposures:
    """Who met which variant of which experiment."""

    def __init__(self, *, erased_at: Callable[[str], datetime | None] = lambda _: None) -> None:
        self._erased_at = erased_at
        self._met: list[Exposure] = []
        self._lock = threading.Lock()

    def record(self, met: Sequence[Exposure]) -> None:
        """Keep exposures, or add their counts to those that are there; none of one erased since."""
        with self._lock:
            new = [replace(one, exposed_at=one.exposed_at.astimezone(UTC)) for one in met]
            self._met = join_exposures([*self._met, *filter(self._may_stay, join_exposures(new))])

    def of_customer(self, customer_id: str) -> tuple[Exposure, ...]:
        """Every exposure of the customer, by experiment, phase and variant."""
        return tuple(one for one in self._met if one.customer_id == customer_id)

    def of_phase(self, experiment: str, phase: int) -> Iterator[Exposure]:
        """Every exposure of an experiment's phase, by customer and variant."""
        return iter([one for one in self._met if (one.experiment, one.phase) == (experiment, phase)])

    def delete_customer(self, customer_id: str) -> int:
        """Delete every exposure of the customer; how many there were."""
        with self._lock:
            before = len(self._met)
            self._met = [one for one in self._met if one.customer_id != customer_id]
            return before - len(self._met)

    def _may_stay(self, one: Exposure) -> bool:
        erased_at = self._erased_at(one.customer_id)
        return erased_at is None or one.exposed_at > erased_at
