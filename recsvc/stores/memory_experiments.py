"""Experiments in memory: for tests and trials. Same behaviour as the real store, nothing kept."""

from __future__ import annotations

import threading
from datetime import datetime

from recsvc.domain.experiments import Experiment
from recsvc.domain.records import Versioned
from recsvc.domain.registration import Registered, check_registrable, check_room
from recsvc.stores.documents import check_expected, encode_document, etag_of


class MemoryExperiments:
    """The experiments as they are registered, those that were stopped included."""

    def __init__(self) -> None:
        self._kept: dict[str, Versioned[Experiment]] = {}
        self._revision = 0
        self._lock = threading.Lock()

    def revision(self) -> int:
        """A number that moves with every change; 0 while nothing was ever registered."""
        return self._revision

    def experiments(self) -> tuple[Experiment, ...]:
        """Every experiment by key."""
        return tuple(one.value for one in self.versions())

    def versions(self) -> tuple[Versioned[Experiment], ...]:
        """Every experiment with its version and when it was written, by key."""
        with self._lock:
            return tuple(kept for _, kept in sorted(self._kept.items()))

    def get(self, key: str) -> Versioned[Experiment] | None:
        """The experiment, its version and when it was written; None without one."""
        return self._kept.get(key)

    def put(self, experiment: Experiment, *, expected: str | None, now: datetime) -> Registered:
        """Register the experiment, or replace the version `expected`. Raises as `SqlExperiments.put` does."""
        check_registrable(experiment.key)
        with self._lock:
            before = self._kept.get(experiment.key)
            check_expected(None if before is None else _encode(before.value), expected)
            begun = experiment.begun_from(None if before is None else before.value, now=now)
            check_room(begun, [kept.value for kept in self._kept.values()], now=now)
            return Registered(self._write(begun, now), created=before is None)

    def pause(self, key: str, *, phase: int, because: str, now: datetime) -> bool:
        """Pause the experiment if it runs in that phase; whether it did."""
        with self._lock:
            found = self._kept.get(key)
            if found is None or not found.value.runs_in(phase):
                return False
            self._write(found.value.paused(because, now=now), now)
        return True

    def _write(self, experiment: Experiment, now: datetime) -> Versioned[Experiment]:
        written = Versioned(experiment, etag_of(_encode(experiment)), now)
        self._kept[experiment.key] = written
        self._revision += 1
        return written


def _encode(experiment: Experiment) -> str:
    return encode_document(experiment, f"experiment {experiment.key}")
