"""Make a thing once for all who ask for it at once. In: what it is, how to make it. Out: the thing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

PATIENCE_SECONDS = 1.0


@dataclass(slots=True)
class _Flight(Generic[T]):
    is_over: threading.Event = field(default_factory=threading.Event)
    made: T | None = None
    failure: BaseException | None = None


class SingleFlight(Generic[T]):
    """Lets one of several askers make what all of them want, while the others wait for it."""

    def __init__(self, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._patience_seconds = patience_seconds
        self._flights: dict[Hashable, _Flight[T]] = {}
        self._n_waiting = 0
        self._lock = threading.Lock()

    @property
    def n_waiting(self) -> int:
        """How many wait at this moment for what another makes."""
        return self._n_waiting

    def make(self, what: Hashable, make: Callable[[], T]) -> tuple[T, bool]:
        """The thing, and whether this call made it. Raises what making it raised.

        Who waited longer than the patience makes it too: a maker that hangs holds up nobody else.
        """
        with self._lock:
            flight = self._flights.get(what)
            is_first = flight is None
            if flight is None:
                flight = self._flights[what] = _Flight()
        if is_first:
            return self._fly(what, flight, make), True
        if not self._wait(flight):
            return make(), True
        if flight.failure is not None:
            raise flight.failure
        assert flight.made is not None
        return flight.made, False

    def _wait(self, flight: _Flight[T]) -> bool:
        with self._lock:
            self._n_waiting += 1
        try:
            return flight.is_over.wait(self._patience_seconds)
        finally:
            with self._lock:
                self._n_waiting -= 1

    def _fly(self, what: Hashable, flight: _Flight[T], make: Callable[[], T]) -> T:
        try:
            flight.made = make()
            return flight.made
        except BaseException as error:
            flight.failure = error
            raise
        finally:
            with self._lock:
                del self._flights[what]
            flight.is_over.set()
