"""What is live in this worker. In: the event store, the models that serve. Out: their states, up to date.

Redis has no part in it, and neither have other workers: each follows the store by itself, so that all come
to the same state. One that starts anew comes to it too, so long as no more than `N_LAST` meetings came since
the model was trained; after more, it knows less of what was before them than those who were there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import structlog

from recsvc.errors import StoreError
from recsvc.live.state import DEFAULT_BOUNDS, Bounds, LiveState
from recsvc.serving.answers import LiveReport
from recsvc.serving.live_beginning import begin_state, state_version
from recsvc.serving.live_follower import Follower, LiveSources
from recsvc.serving.verification import Model

log = structlog.get_logger()

N_LAST = 100_000
"""So many meetings of the store are read at a start, at most: some seconds of work. What speaks for no item,
such as an impression, is not counted and only passed over."""
STALE_SECONDS = 5.0
FOLLOW_SECONDS = 0.25
"""So often a worker reads what is new, asked or not."""
REBUILD_SECONDS = 900.0
"""So long a share of somebody who was forgotten may stay in the counts, which name nobody: building a state
anew costs seconds, and everybody who is forgotten meanwhile is left out by the same one."""

_BATCH = 1_000
_REST_SECONDS = 1.0  # So long no request asks a store that failed.
_PATIENCE_SECONDS = 0.1  # So long a request waits for another that is asking.


@dataclass(frozen=True, slots=True)
class LiveReading:
    """A live state that stands still, and the moment to score it at: that of its latest event, or now.

    `moment` is in seconds since 1970 and never ahead of the clock: the same events make the same scores,
    whenever they are asked for.
    """

    state: LiveState
    moment: float


@dataclass(slots=True)
class _Kept:
    """A state that is followed: when it last met the end of the store, and since when it is outdated.

    Outdated is what is not as another would build it. `n_expected` is how much news was expected when it
    last asked.
    """

    follower: Follower
    caught_up_at: float
    outdated_at: float | None
    n_expected: int

    def note_outdated(self, now: float) -> None:
        """Remember the first such moment."""
        if self.outdated_at is None:
            self.outdated_at = now


class LiveFeed:
    """Holds the live state of every model that serves, and of one before until nobody asks for it.

    A model without live parts, or none at all, has the state of the store alone. Nothing here raises because
    the store fails: the states then stand as they are, and the report says so.
    """

    def __init__(
        self,
        sources: LiveSources,
        *,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
        bounds: Bounds = DEFAULT_BOUNDS,
        n_last: int = N_LAST,
        rebuild_seconds: float = REBUILD_SECONDS,
    ) -> None:
        """`rebuild_seconds` differs from worker to worker, so that not all of them build at once."""
        self._sources = sources
        self._clock = clock
        self._monotonic = monotonic
        self._bounds = bounds
        self._n_last = n_last
        self._rebuild_seconds = rebuild_seconds
        self._kept: Mapping[str | None, _Kept] = {}  # By the version of the model.
        self._models: tuple[Model | None, ...] = (None,)  # Those that serve, the champion first.
        self._asking = threading.Lock()  # Held by the one who asks the store, and never while waiting for it.
        self._lock = threading.Lock()  # Held while a state is read or changed.
        self._began_at = self._rests_until = monotonic()
        self._is_failing = False
        self._n_expected = 0
        self._head = 0

    @property
    def is_stale(self) -> bool:
        """Whether a state has not met the end of the store for some seconds, or is not there."""
        states = [(model, self._kept.get(state_version(model))) for model in self._models]
        if any(kept is None and model is not None for model, kept in states):
            return True
        caught_up_at = min(kept.caught_up_at if kept else self._began_at for _, kept in states)
        return self._monotonic() - caught_up_at > STALE_SECONDS

    def follow(self, model: Model | None, beside: Sequence[Model] = ()) -> None:
        """Have a state for the champion, and for each model beside it, before they serve.

        Those of models that serve no more stay until the next call. A state is built beside what serves, so
        no request waits for it. Where one cannot be built for the fault of its model, the others are, and
        then this raises what was wrong.
        """
        wanted = {state_version(one): one for one in (*beside, model)}
        missing = [one for version, one in wanted.items() if version not in self._kept]
        failures: list[Exception] = []
        if not missing:
            self._kept = {version: self._kept[version] for version in wanted}
        for one in reversed(missing):  # The champion's first.
            try:
                if one is None or one.bundle.is_untouched():
                    self._build(one)
            except Exception as error:
                failures.append(error)
        self._models = (model, *beside)  # They serve from now on, with a state or without.
        if failures:
            raise failures[0]

    def refresh(self) -> None:
        """Read what is new. A worker does this again and again, in a thread of its own.

        Somebody who was forgotten still stands in the counts of items, and somebody who agrees now is
        missing: some time after, the state is built anew, so that it is again what any other worker would
        build.
        """
        self.catch_up()
        for model in self._models:
            kept = self._kept.get(state_version(model))
            since = kept.outdated_at if kept else None
            if since is not None and self._monotonic() - since > self._rebuild_seconds:
                self._build(model)

    def catch_up(self) -> None:
        """Read what is new to the end, batch by batch: between two of them requests go on."""
        try:
            self._head = self._sources.tail.last_sequence()
        except StoreError as error:
            self._note_failure(error)
            return
        for kept in self._kept.values():
            while self._advance(kept) == _BATCH:
                pass

    @contextmanager
    def reading(
        self, model: Model | None, *, at_most_age_seconds: float = 0.0
    ) -> Iterator[LiveReading | None]:
        """The state of this model, up to date, which nobody changes meanwhile. None while it is not there.

        It is asked what is new if that was last done longer ago than the age, or something is expected.
        """
        kept = self._kept.get(state_version(model))
        if kept is None:
            yield None
            return
        now = self._monotonic()
        is_old = kept.n_expected != self._n_expected or now - kept.caught_up_at >= at_most_age_seconds
        if is_old and now >= self._rests_until:
            self._advance(kept, patience_seconds=_PATIENCE_SECONDS)
        state = kept.follower.state
        with self._lock:
            moment, latest = self._clock().timestamp(), state.latest
            yield LiveReading(state, min(latest, moment) if np.isfinite(latest) else moment)

    def expect(self) -> None:
        """Let the next reading ask what is new, however young the last look is: this worker stored events."""
        # Of two who come here at once one count may be lost, and no news: both had stored theirs before.
        self._n_expected += 1

    def forget(self, customer_id: str) -> None:
        """Keep nothing of a customer who was erased."""
        with self._lock:
            for kept in self._kept.values():
                kept.follower.state.forget((customer_id,))
                kept.note_outdated(self._monotonic())

    def report(self) -> LiveReport:
        """How far the state of the champion has come, and how far it was to come at the last look.

        How far is not known while the store fails or there is no such state.
        """
        kept = self._kept.get(state_version(self._models[0]))
        if kept is None:
            return LiveReport(0, None, self.is_stale)
        sequence = kept.follower.sequence
        return LiveReport(
            sequence, None if self._is_failing else max(self._head - sequence, 0), self.is_stale
        )

    def _advance(self, kept: _Kept, *, patience_seconds: float = -1.0) -> int:
        """Take what is new, a batch at most; how many events it was."""
        if not self._asking.acquire(timeout=patience_seconds):
            return 0
        try:
            kept.n_expected = self._n_expected  # Before asking: what is stored from now on is expected again.
            news = kept.follower.ask(_BATCH)
            with self._lock:
                if kept.follower.take(news):
                    kept.note_outdated(self._monotonic())
        except StoreError as error:
            self._note_failure(error)
            return 0
        finally:
            self._asking.release()
        self._is_failing = False
        if news.n_events < _BATCH:
            kept.caught_up_at = self._monotonic()
        return news.n_events

    def _build(self, model: Model | None) -> None:
        """Build the state of a model from its snapshot and the store, and let one reference move to it."""
        n_expected = self._n_expected
        try:
            follower = begin_state(self._sources, model, self._bounds, self._n_last)
            is_outdated = follower.read_to_end(_BATCH)
        except StoreError as error:
            self._note_failure(error)
            return
        version, now = state_version(model), self._monotonic()
        kept = _Kept(follower, now, now if is_outdated else None, n_expected)
        self._kept = {**self._kept, version: kept}
        log.info("live_state_built", version=version, sequence=follower.sequence)

    def _note_failure(self, error: StoreError) -> None:
        self._rests_until = self._monotonic() + _REST_SECONDS
        if not self._is_failing:
            log.warning("live_state_stands_still", reason=str(error))
        self._is_failing = True
