"""The skin around the engine that remembers. In: a request. Out: a slate as ready bytes.

A slate is serialised once, when it is made. The key holds everything that the slate depends on, so
promoting a model or changing the catalogue needs no flush; the customer's epoch outdates the rest.

Three tiers answer: the copy in this worker's memory, the slate in Redis, the engine. A stamp is taken before
Redis is asked, so that a copy of what Redis held counts no longer than that did. What several requests of a
worker miss at once is made once, and only those join in whose epoch and stamp are the maker's: a request that
came after an event never gets what was begun before it.

A copy that is asked for in the last fifth of its life is renewed behind the scenes, by the one worker that
holds the lease for it, while all answer with what still holds; without Redis each worker renews its own.
Nothing is ever served after its end, for that may be the end of an offer or of a suitability.

Where the engine has no time to make a list, a copy that only the model has left behind is better than what is
popular; it is said to be degraded, and kept by nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from recsvc.domain.slates import Slate, SlateRequest
from recsvc.errors import RedisError
from recsvc.serving.answers import CacheStatus, ServedSlate, said_without
from recsvc.serving.catalogue_view import CatalogueView
from recsvc.serving.customers import LOAD
from recsvc.serving.kept_slates import KeptSlate, etag_of, kept_slate
from recsvc.serving.live_catalogue import LiveCatalogue
from recsvc.serving.local_copies import LocalCopies
from recsvc.serving.outages import Outage
from recsvc.serving.protocols import Fetched, ReadySlates
from recsvc.serving.single_flight import SingleFlight
from recsvc.serving.slate_places import SlateKeys, SlatePlace
from recsvc.typed_decoding import decode_msgpack

RENEW_SECONDS = 0.25
LEASE_SECONDS = 10.0  # How long nobody else renews a slate. It lives longer than that after its renewal.


class SlateMaker(Protocol):
    """Makes slates."""

    def recommend(self, request: SlateRequest) -> Slate:
        """The slate for the request."""
        ...

    def recommend_ahead(self, request: SlateRequest, champion: str) -> Slate:
        """The slate as it will be when that version has become champion."""
        ...


class CachedEngine:
    """Answers from what is kept where it may, and from the engine otherwise."""

    def __init__(
        self,
        engine: SlateMaker,
        cache: ReadySlates,
        catalogue: LiveCatalogue,
        policy_version: str,
        *,
        clock: Callable[[], datetime],
        copies: LocalCopies | None = None,
    ) -> None:
        self._engine = engine
        self._cache = cache
        self._catalogue = catalogue
        self._keys = SlateKeys(policy_version)
        self._clock = clock
        self._copies = copies
        self._flights = SingleFlight[KeptSlate]()
        self._bypassed, self._not_kept = Outage("slate_cache_bypassed"), Outage("slates_not_kept")

    @property
    def n_waiting(self) -> int:
        """How many requests wait at this moment for a slate that another request makes."""
        return self._flights.n_waiting

    def recommend(self, request: SlateRequest) -> ServedSlate:
        """The slate for this request as JSON. A cache that fails is passed by, and said to be."""
        label = self._view_for(request).label
        copies = self._copies
        copy = copies.find(request, label) if copies is not None else None
        return copy if copy is not None else self._look_further(self._place_of(request, label))

    def recommend_many(self, requests: Sequence[SlateRequest]) -> Iterator[ServedSlate]:
        """The slates for these requests of as many customers, each as its turn comes.

        Redis is asked before, for all at once that are not kept here.
        """
        places = [self._place_beyond_copies(request) for request in requests]
        fetched = iter(self._fetch_many([place for place in places if place is not None]))
        return (
            self.recommend(request) if place is None else self._answer(*next(fetched))
            for request, place in zip(requests, places, strict=True)
        )

    def at_hand(self, request: SlateRequest) -> ServedSlate | None:
        """The slate that is kept in this worker's memory; None without one that counts."""
        copies = self._copies
        return copies.find(request, self._view_for(request).label) if copies is not None else None

    def ask(self, request: SlateRequest, heard: Callable[[ServedSlate | None], object]) -> bool:
        """Ask Redis for the slate, without waiting; whether `heard` will be told it, on another thread.

        It is told None where there is none that counts: `recommend` makes one.
        """
        place = self._place_of(request, self._view_for(request).label)
        return self._cache.ask(place.key, lambda fetched: heard(self._hit(place, fetched)))

    def renew_ageing(self) -> None:
        """Make anew what is asked for and ends before long. A worker does this again and again.

        Without Redis each worker does it for itself: whoever asks next shall not wait for it even then.
        """
        for request in self._copies.take_ageing() if self._copies is not None else ():
            try:
                self._renew(request)
            except RedisError:
                self._renew_alone(request)

    def warm(self, request: SlateRequest) -> bool:
        """Have what the request asks for kept here; whether it had to be made, and this worker made it.

        Raises RedisError.
        """
        label = self._view_for(request).label
        if self._copies is None or self._copies.find(request, label) is not None:
            return False
        place, kept = self._fetch(self._place_of(request, label))
        if kept is not None:
            self._copy(place, kept.served(CacheStatus.HIT))
            return False
        if not self._claim(place):
            return False
        _, is_ours = self._flights.make(place, lambda: self._make_and_keep(place))
        return is_ours

    def make_ahead(self, request: SlateRequest, champion: str) -> bool:
        """Have a copy ready for when that version, which serves beside the champion, is champion itself.

        False where another worker makes it at this moment. Without Redis, each makes its own.
        """
        place = self._place_of(request, self._catalogue.view_for(champion).label)
        stamp = place.stamp
        if self._copies is None or stamp is None:
            return True
        try:
            place, entry = self._fetch(place)
            if entry is None and not self._claim(place):
                return False
        except RedisError:
            place, entry = place.at(None), None
        if entry is None:
            slate = self._engine.recommend_ahead(request, champion)
            if slate.degraded or slate.model_version != champion:
                return True
            entry = kept_slate(slate)
            self._keep(place, slate, entry)
        self._copies.keep_coming(request, place.label, stamp, entry.served(CacheStatus.HIT))
        return True

    def _renew(self, request: SlateRequest) -> None:
        place, kept = self._fetch(self._place_of(request, self._view_for(request).label))
        if self._claim(place):
            self._flights.make(place, lambda: self._make_and_keep(place))
        elif kept is not None:  # Another worker makes it, or just has.
            self._copy(place, kept.served(CacheStatus.HIT))

    def _renew_alone(self, request: SlateRequest) -> None:
        place = self._place_of(request, self._view_for(request).label)
        if place.stamp is not None:
            self._make(place)

    def _place_of(self, request: SlateRequest, label: str) -> SlatePlace:
        """Where the slate belongs, before Redis is asked: what is copied counts from this moment on."""
        stamp = self._copies.stamp(request.customer_id) if self._copies is not None else None
        return SlatePlace(request, label, self._keys.key_of(request, label), None, stamp)

    def _fetch(self, place: SlatePlace) -> tuple[SlatePlace, KeptSlate | None]:
        """The place at its epoch, and what Redis keeps there that counts. Raises RedisError."""
        fetched = self._cache.fetch(place.key)
        return place.at(fetched.epoch), self._usable(fetched)

    def _fetch_many(self, places: Sequence[SlatePlace]) -> list[tuple[SlatePlace, Fetched | None]]:
        """The places at their epochs, and what Redis says of each; nothing where it cannot be asked."""
        if not places:
            return []
        try:
            fetched = self._cache.fetch_many([place.key for place in places])
        except RedisError as error:
            self._bypassed.begin(error)
            return [(place, None) for place in places]
        self._bypassed.end()
        return [(place.at(one.epoch), one) for place, one in zip(places, fetched, strict=True)]

    def _place_beyond_copies(self, request: SlateRequest) -> SlatePlace | None:
        """Where the slate belongs, if it must be looked for there."""
        label = self._view_for(request).label
        if self._copies is not None and self._copies.find(request, label) is not None:
            return None
        return self._place_of(request, label)

    def _claim(self, place: SlatePlace) -> bool:
        """Whether this worker is the one to make the slate. Raises RedisError."""
        return place.epoch is not None and self._cache.claim(place.key, place.epoch, LEASE_SECONDS)

    def _look_further(self, place: SlatePlace) -> ServedSlate:
        try:
            fetched = self._cache.fetch(place.key)
        except RedisError as error:
            self._bypassed.begin(error)
            return self._make(place)
        self._bypassed.end()
        return self._answer(place.at(fetched.epoch), fetched)

    def _answer(self, place: SlatePlace, fetched: Fetched | None) -> ServedSlate:
        return self._hit(place, fetched) or self._make(place)

    def _hit(self, place: SlatePlace, fetched: Fetched | None) -> ServedSlate | None:
        kept = self._usable(fetched) if fetched is not None else None
        if kept is None:
            return None
        served = kept.served(CacheStatus.HIT)
        self._copy(place, served)
        return served

    def _usable(self, fetched: Fetched) -> KeptSlate | None:
        if fetched.value is None:
            return None
        try:
            entry = decode_msgpack(fetched.value, KeptSlate)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None  # Another release kept it, or nobody that we know.
        return entry if entry.expires_at > self._clock() else None

    def _make(self, place: SlatePlace) -> ServedSlate:
        status = CacheStatus.MISS if place.epoch is not None else CacheStatus.BYPASSED
        if place.epoch is None and place.stamp is None:
            # Nothing tells whether an event came between two requests: nobody may join another's.
            return self._make_and_keep(place).served(status)
        entry, is_ours = self._flights.make(place, lambda: self._make_and_keep(place))
        return entry.served(status if is_ours else CacheStatus.JOINED)

    def _make_and_keep(self, place: SlatePlace) -> KeptSlate:
        slate = self._engine.recommend(place.request)
        if LOAD in slate.degraded:
            return self._of_former_model(place) or kept_slate(slate)
        entry = kept_slate(slate)
        # What was made without a part must not outlive its absence, and what was made while the model or the
        # catalogue moved does not belong under the key.
        view = self._view_for(place.request)
        if slate.degraded or view.label != place.label or view.model_version != slate.model_version:
            return entry
        self._keep(place, slate, entry)
        self._copy(place, entry.served(CacheStatus.MISS))
        return entry

    def _keep(self, place: SlatePlace, slate: Slate, entry: KeptSlate) -> None:
        if place.epoch is None:
            return
        ttl_seconds = (slate.expires_at - slate.generated_at).total_seconds()
        try:
            self._cache.keep(place.key, place.epoch, msgspec.msgpack.encode(entry), ttl_seconds)
        except RedisError as error:
            self._not_kept.begin(error)
        else:
            self._not_kept.end()

    def _of_former_model(self, place: SlatePlace) -> KeptSlate | None:
        """What is better than a list that nobody had time to make: a whole one by the champion before.

        All else that it depends on stands, so whatever is on it may be shown. None where an experiment says
        which model is to answer.
        """
        arm = place.request.arm
        if self._copies is None or (arm is not None and arm.model_version is not None):
            return None
        former = self._copies.find_of_former_model(place.request, place.label)
        if former is None:
            return None
        body = said_without(former.body, LOAD)
        return KeptSlate(
            etag_of(body), former.source, former.model_version, former.expires_at, body, former.generated_at
        )

    def _view_for(self, request: SlateRequest) -> CatalogueView:
        """What the slate for the request is to be made of: the arm's model, not the champion, in an arm."""
        arm = request.arm
        return self._catalogue.view if arm is None else self._catalogue.view_for(arm.model_version)

    def _copy(self, place: SlatePlace, served: ServedSlate) -> None:
        if self._copies is not None and place.stamp is not None:
            self._copies.keep(place.request, place.label, place.stamp, served)
