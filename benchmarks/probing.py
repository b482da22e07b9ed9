"""Tell one worker of an event and ask all of them. In: a service. Out: lists that were behind it.

A customer turns down the first article of their list; then the list is asked for, each time on a connection
of its own that any worker may take, until it came several times in a row without the article.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from benchmarks.demo_service import Answer, Service

N_ASKED = 8
GIVES_UP_SECONDS = 10.0


@dataclass
class Probe:
    """Runs in a thread of its own until told to stop, and counts from the beginning."""

    service: Service
    n_events: int = 0  # That were acknowledged.
    n_refused: int = 0
    n_lists: int = 0  # After an event.
    n_elsewhere: int = 0  # Of these, those by another worker than the one that acknowledged the event.
    n_stale: int = 0  # Of these, those that still showed what was turned down.
    n_others: int = 0  # Answers that were no list.
    stale_seconds: float = 0.0  # From an acknowledgement to the last such list, at the longest.
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Turn articles down, each customer in turn."""
        number = 0
        while not self._stop.is_set():
            customer_id = self.service.customers[number % len(self.service.customers)]
            number += 1
            shown = self._list_of(customer_id).item_ids
            if shown:
                told = self.service.turn_down(customer_id, shown[0])
                if told.status == 202:
                    self.n_events += 1
                    self._watch(customer_id, shown[0], told.worker)
                else:
                    self.n_refused += 1
            self._stop.wait(0.1)

    def stop(self) -> None:
        """End the thread after the event that it is at."""
        self._stop.set()

    def _watch(self, customer_id: str, item_id: str, told_worker: str) -> None:
        acknowledged_at = time.monotonic()
        n_fresh = 0
        while n_fresh < N_ASKED and time.monotonic() - acknowledged_at < GIVES_UP_SECONDS:
            asked_at = time.monotonic()
            answer = self._list_of(customer_id)
            self.n_lists += 1
            self.n_elsewhere += answer.worker not in ("", told_worker)
            if item_id in answer.item_ids:
                self.n_stale, n_fresh = self.n_stale + 1, 0
                self.stale_seconds = max(self.stale_seconds, asked_at - acknowledged_at)
            else:
                n_fresh += answer.status == 200

    def _list_of(self, customer_id: str) -> Answer:
        answer = self.service.list_of(customer_id)
        self.n_others += answer.status != 200
        return answer
