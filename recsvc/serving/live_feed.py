"""What is live in this worker. In: the event store, the model that serves. Out: a live state, up to date.

Redis has no part in it, and neither have other workers: each follows the store by itself, so that all come
to the same state. One that starts anew comes to it too, so long as no more than `N_LAST` meetings came since
the model was trained; after more, it knows less of what was before them than those who were there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import structlog

from recsvc.bundles.bundle import Bundle
from recsvc.errors import StoreError
from recsvc.live.state import DEFAULT_BOUNDS, Bounds, LiveState
from recsvc.serving.answers import LiveReport
from recsvc.serving.live_follower import Follower, LiveSources, Trained, place_of
from recsvc.serving.live_snapshot import live_model_of, opened_state, snapshot_of
from recsvc.serving.verification import Model

log = structlog.get_logger()

HALF_LIVES_DAYS = (0.25, 7.0)
"""Those of a state that belongs to no model: for what is popular now and what was lately."""
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
_SKEW = timedelta(hours=1)  # By so much the clocks of those who take events in may differ.


@dataclass(frozen=True, slots=True)
class LiveReading:
    """A live state that stands still, and the moment to score it at: that of its latest event, or now.

    `moment` is in seconds since 1970 and never ahead of the clock: the same events make the same scores,
    whenever they are asked for.
    """

    state: LiveState
    moment: float


class LiveFeed:
    """Holds the live state of the model that serves, and of the one before until nobody asks for it.

    A model without live parts, or none at all, has the state of the store alone. Nothing here raises because
    the store fails: the state then stands as it is, and the report says so.
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
        self._followers: Mapping[str | None, Follower] = {}  # By the version of the model; the newest last.
        self._model: Model | None = None
        self._asking = threading.Lock()  # Held by the one who asks the store, and never while waiting for it.
        self._lock = threading.Lock()  # Held while a state is read or changed.
        self._caught_up_at = monotonic()
        self._rests_until = self._caught_up_at
        self._is_failing = False
        self._outdated_at: float | None = None  # Since when it is not what another would build.
        self._expects_news = False
        self._head = 0

    @property
    def is_stale(self) -> bool:
        """Whether the state has not met the end of the store for some seconds, or is not there."""
        is_there = self._model is None or _version_of(self._model) in self._followers
        return not is_there or self._monotonic() - self._caught_up_at > STALE_SECONDS

    def follow(self, model: Model | None) -> None:
        """Have a state for this model before it serves; that of the one before stays until the next call.

        It is built beside what serves, so no request waits for it.
        """
        version = _version_of(model)
        try:
            if version in self._followers:
                self._followers = {version: self._followers[version]}
            elif model is None or model.bundle.is_untouched():
                self._build(model)
        finally:
            self._model = model  # It serves from now on, with a state or without.

    def refresh(self) -> None:
        """Read what is new. A worker does this again and again, in a thread of its own.

        Somebody who was forgotten still stands in the counts of items, and somebody who agrees now is
        missing: some time after, the state is built anew, so that it is again what any other worker would
        build.
        """
        self.catch_up()
        since = self._outdated_at
        is_there = _version_of(self._model) in self._followers
        if is_there and since is not None and self._monotonic() - since > self._rebuild_seconds:
            self._build(self._model)

    def catch_up(self) -> None:
        """Read what is new to the end, batch by batch: between two of them requests go on."""
        try:
            self._head = self._sources.tail.last_sequence()
        except StoreError as error:
            self._note_failure(error)
            return
        for follower in self._followers.values():
            while self._advance(follower) == _BATCH:
                pass

    @contextmanager
    def reading(
        self, model: Model | None, *, at_most_age_seconds: float = 0.0
    ) -> Iterator[LiveReading | None]:
        """The state of this model, up to date, which nobody changes meanwhile. None while it is not there.

        It is asked what is new if that was last done longer ago than the age, or something is expected.
        """
        follower = self._followers.get(_version_of(model))
        if follower is None:
            yield None
            return
        now = self._monotonic()
        is_old = self._expects_news or now - self._caught_up_at >= at_most_age_seconds
        if is_old and now >= self._rests_until:
            self._advance(follower, patience_seconds=_PATIENCE_SECONDS)
        with self._lock:
            moment, latest = self._clock().timestamp(), follower.state.latest
            yield LiveReading(follower.state, min(latest, moment) if np.isfinite(latest) else moment)

    def expect(self) -> None:
        """Let the next reading ask what is new, however young the last look is: this worker stored events."""
        self._expects_news = True

    def forget(self, customer_id: str) -> None:
        """Keep nothing of a customer who was erased."""
        with self._lock:
            for follower in self._followers.values():
                follower.state.forget((customer_id,))
            self._note_outdated()

    def report(self) -> LiveReport:
        """How far the state of the model that serves has come, and how far it was to come at the last look.

        How far is not known while the store fails or there is no such state.
        """
        follower = self._followers.get(_version_of(self._model))
        if follower is None:
            return LiveReport(0, None, self.is_stale)
        n_behind = None if self._is_failing else max(self._head - follower.sequence, 0)
        return LiveReport(follower.sequence, n_behind, self.is_stale)

    def _advance(self, follower: Follower, *, patience_seconds: float = -1.0) -> int:
        """Take what is new, a batch at most; how many events it was."""
        if not self._asking.acquire(timeout=patience_seconds):
            return 0
        try:
            self._expects_news = False  # Before asking: what is stored from now on is expected again.
            news = follower.ask(_BATCH)
            with self._lock:
                if follower.take(news):
                    self._note_outdated()
        except StoreError as error:
            self._note_failure(error)
            return 0
        finally:
            self._asking.release()
        self._is_failing = False
        if news.n_events < _BATCH:
            self._caught_up_at = self._monotonic()
        return news.n_events

    def _note_outdated(self) -> None:
        if self._outdated_at is None:
            self._outdated_at = self._monotonic()

    def _build(self, model: Model | None) -> None:
        """Build the state of a model from its snapshot and the store, and let one reference move to it."""
        try:
            follower = self._begin(model)
            is_outdated = follower.read_to_end(_BATCH)
        except StoreError as error:
            self._note_failure(error)
            return
        version = _version_of(model)
        others = {one: kept for one, kept in self._followers.items() if one != version}
        self._followers = {**others, version: follower}
        self._caught_up_at = self._monotonic()
        self._outdated_at = self._caught_up_at if is_outdated else None
        log.info("live_state_built", version=version, sequence=follower.sequence)

    def _begin(self, model: Model | None) -> Follower:
        # Who is erased or withdraws from here on is found by whoever follows.
        places = self._sources.places()
        start = self._start(model)
        if model is None or _version_of(model) is None:
            state = LiveState(HALF_LIVES_DAYS, self._bounds)
            return Follower(self._sources, state, start=start, places=places)
        state = opened_state(model.bundle, self._bounds)
        trained = _trained(model.bundle)
        follower = Follower(self._sources, state, start=start, places=places, trained=trained)
        known, made_at = set(state.customer_ids()), model.bundle.manifest.created_at
        erased = self._sources.erasures.erased_among(known)
        state.forget({one for one, erased_at in erased.items() if erased_at >= made_at})
        follower.leave_out(self._sources.refusing(known))
        return follower

    def _start(self, model: Model | None) -> int:
        """Where to begin to read: what came before is in the model's snapshot, or too long ago."""
        sources, place = self._sources, 0
        if model is not None and _version_of(model) is not None:
            place = place_of(sources.tail, model.bundle.manifest.created_at - _SKEW)
        return sources.tail.start_of_last(self._n_last, sources.types, after=place)

    def _note_failure(self, error: StoreError) -> None:
        self._rests_until = self._monotonic() + _REST_SECONDS
        if not self._is_failing:
            log.warning("live_state_stands_still", reason=str(error))
        self._is_failing = True


def _trained(bundle: Bundle) -> Trained | None:
    """What the snapshot of a bundle holds; None where its events had no times."""
    until, meetings = bundle.manifest.data_window.until, snapshot_of(bundle).seconds
    if until is None:
        return None
    since = datetime.fromtimestamp(meetings[0], UTC) if len(meetings) else until
    return Trained(since, until, bundle.manifest.created_at)


def _version_of(model: Model | None) -> str | None:
    """The version of a model that has a live state of its own."""
    if model is None or live_model_of(model.bundle.manifest) is None:
        return None
    return model.version
