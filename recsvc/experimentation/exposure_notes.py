"""Exposures on their way to the store. In: answers in arms. Out: batches, one row for each customer and arm.

An answer only leaves a note in memory; twice a second a thread writes what was noted, a thousand notes in one
transaction: whoever waits to write events waits for no more. While the store fails, notes are kept for the
next try, as many as there is room for, and a try costs what a thousand notes cost; no answer waits for it.

A process that is killed loses what it noted since the last write, half a second of answers. Whoever comes
again is noted then; whoever does not is missing from the results, with all that they did, as if they had come
before the experiment. That is sound, because a kill takes from all arms alike. It would not be, if one arm's
answers were what killed the process: then its customers are too few, and the sample-ratio check says so.
A write that failed after the store had taken it counts answers twice, and no customer.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Protocol

import structlog

from recsvc.domain.exposures import Exposure
from recsvc.domain.items import Channel
from recsvc.domain.slates import Arm
from recsvc.errors import StoreError

log = structlog.get_logger()

WRITE_SECONDS = 0.5
"""How often notes are written."""
MAX_NOTES = 200_000
"""So many customers in arms wait for the store at most, some 80 MB; who comes after them is not noted."""

MAX_WRITTEN = 1_000
"""So many notes are written in one transaction, at most."""


class ExposureStore(Protocol):
    """Where exposures are kept."""

    def record(self, met: Sequence[Exposure]) -> None:
        """Insert exposures, or add their counts to those that are there. Raises StoreError."""
        ...


@dataclass(slots=True)
class _Note:
    """The answers to a customer in an arm since the last write."""

    exposed_at: datetime
    channel: Channel
    model_version: str | None
    n_answers: int
    n_fallbacks: int
    n_mismatched: int
    latency_micros: int


_Key = tuple[str, int, str, str]


class ExposureNotes:
    """Notes who was served what. Safe to share between threads."""

    def __init__(self, store: ExposureStore, *, max_notes: int = MAX_NOTES) -> None:
        self._store = store
        self._max_notes = max_notes
        self._notes: dict[_Key, _Note] = {}
        self._n_left_out = 0
        self._lock = threading.Lock()
        self._writing = threading.Lock()

    def note(
        self,
        arm: Arm,
        customer_id: str,
        *,
        at: datetime,
        channel: Channel,
        model_version: str | None,
        is_fallback: bool,
        is_mismatched: bool,
        latency_micros: int,
    ) -> None:
        """Note an answer."""
        key = (arm.experiment, arm.phase, customer_id, arm.variant)
        with self._lock:
            note = self._notes.get(key)
            if note is None:
                if len(self._notes) >= self._max_notes:
                    self._n_left_out += 1
                    return
                note = self._notes[key] = _Note(at, channel, model_version, 0, 0, 0, 0)
            note.n_answers += 1
            note.n_fallbacks += is_fallback
            note.n_mismatched += is_mismatched
            note.latency_micros += latency_micros

    def write(self) -> None:
        """Write what was noted. A process does this again and again, and once more when it ends."""
        with self._writing:
            with self._lock:
                taken, self._notes = self._notes, {}
                n_left_out, self._n_left_out = self._n_left_out, 0
            if n_left_out:
                log.error("exposures_left_out", answers=n_left_out)
            while taken:
                piece = list(islice(taken.items(), MAX_WRITTEN))
                try:
                    self._store.record([_exposure(key, note) for key, note in piece])
                except StoreError as error:
                    log.warning("exposures_not_written", customers=len(taken), reason=str(error))
                    self._keep(taken)
                    return
                for key, _ in piece:
                    del taken[key]

    def _keep(self, taken: dict[_Key, _Note]) -> None:
        """Put notes back that could not be written, before those that came since."""
        with self._lock:
            for key, since in self._notes.items():
                note = taken.get(key)
                if note is None:
                    if len(taken) >= self._max_notes:
                        self._n_left_out += since.n_answers
                        continue
                    taken[key] = since
                    continue
                note.n_answers += since.n_answers
                note.n_fallbacks += since.n_fallbacks
                note.n_mismatched += since.n_mismatched
                note.latency_micros += since.latency_micros
            self._notes = taken


def _exposure(key: _Key, note: _Note) -> Exposure:
    experiment, phase, customer_id, variant = key
    return Exposure(
        experiment,
        phase,
        customer_id,
        variant,
        note.exposed_at,
        note.channel,
        note.model_version,
        note.n_answers,
        note.n_fallbacks,
        note.n_mismatched,
        note.latency_micros,
    )
