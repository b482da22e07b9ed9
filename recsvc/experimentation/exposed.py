"""The outermost skin of the engine. In: a request. Out: the answer of the customer's arm, and an exposure.

Which arm that is follows from the customer's id alone, so it is the same on every channel, in every process
and after a restart. Whoever answers below, a cache or the engine, the exposure is noted here, after the
answer; what was served is compared with what the arm names. Known customers, strangers and anonymous ones are
treated alike. Whatever fails in here, the customer gets the champion's answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Generic, Protocol, TypeVar

import structlog

from recsvc.domain.slates import Arm, SlateRequest, Source
from recsvc.experimentation.exposure_notes import ExposureNotes
from recsvc.experimentation.remembered_arms import Placed, RememberedArms
from recsvc.experimentation.running import Dealing, RunningExperiments

log = structlog.get_logger()

ALARM_SECONDS = 60.0
"""Mismatches of an experiment are told at most so often."""
_OWN_LISTS = (Source.PERSONALISED, Source.FOLDED_IN)


class Served(Protocol):
    """An answer, as far as it matters here."""

    @property
    def source(self) -> Source: ...

    @property
    def model_version(self) -> str | None: ...


S = TypeVar("S", bound=Served)
A = TypeVar("A", bound=Served | None)
S_co = TypeVar("S_co", bound=Served, covariant=True)


class InnerEngine(Protocol[S_co]):
    """What answers: it serves the arm that a request names."""

    def recommend(self, request: SlateRequest) -> S_co:
        """The answer to the request."""
        ...

    def recommend_many(self, requests: Sequence[SlateRequest]) -> Iterator[S_co]:
        """The answers to the requests, each as its turn comes."""
        ...

    def at_hand(self, request: SlateRequest) -> S_co | None:
        """The answer, where nobody has to wait for it."""
        ...

    def ask(self, request: SlateRequest, heard: Callable[[S_co | None], object]) -> bool:
        """Ask for the answer without waiting; whether `heard` will be told it, or None, on any thread."""
        ...


class Units(Protocol):
    """Who an id is."""

    def canonical_of(self, customer_id: str) -> str:
        """The customer whose id it is."""
        ...

    def unit_of(self, customer_id: str) -> str:
        """The id by which that customer is dealt to variants."""
        ...

    @property
    def are_current(self) -> bool:
        """Whether both can be told without asking the store."""
        ...


class ExposedEngine(Generic[S]):
    """Answers each customer as their arm says, and notes who met which."""

    def __init__(
        self,
        engine: InnerEngine[S],
        running: RunningExperiments,
        units: Units,
        notes: ExposureNotes,
        *,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._recommend = engine.recommend
        self._recommend_many = engine.recommend_many
        self._at_hand = engine.at_hand
        self._ask = engine.ask
        self._running = running
        self._units = units
        self._notes = notes
        self._arms = RememberedArms()
        self._clock = clock
        self._monotonic = monotonic
        self._n_mismatches = 0
        self._mismatches: dict[str, int] = {}  # By experiment, since it was last told.
        self._told_at: dict[str, float] = {}

    def recommend(self, request: SlateRequest) -> S:
        """The answer for the customer's arm; the champion's where no experiment decides."""
        dealing = self._running.dealing
        return (
            self._recommend(request) if dealing is None else self._in_arm(request, dealing, self._recommend)
        )

    def recommend_many(self, requests: Sequence[SlateRequest]) -> Iterator[S]:
        """The same for many requests, each as its turn comes."""
        dealing = self._running.dealing
        return self._recommend_many(requests) if dealing is None else self._many_in_arms(requests, dealing)

    def at_hand(self, request: SlateRequest) -> S | None:
        """The same answer, where nobody has to wait for it; None where it must be fetched or made."""
        dealing = self._running.dealing
        if dealing is None:
            return self._at_hand(request)
        return self._in_arm(request, dealing, self._at_hand) if self._units.are_current else None

    def ask(self, request: SlateRequest, heard: Callable[[S | None], object]) -> bool:
        """Ask for the same without waiting; whether `heard` will be told it, or None, on any thread."""
        dealing = self._running.dealing
        if dealing is None:
            return self._ask(request, heard)
        if not self._units.are_current:
            return False
        now, begun = self._clock(), self._monotonic()
        placed = self._place(request, dealing, now)
        if placed is None:
            return self._ask(request, heard)

        def told(served: S | None) -> None:
            if served is not None:
                self._note_met(placed, request, served, now, self._monotonic() - begun)
            heard(served)

        return self._ask(placed.request, told)

    def _in_arm(self, request: SlateRequest, dealing: Dealing, answer: Callable[[SlateRequest], A]) -> A:
        now = self._clock()  # Before the answer: whatever the customer does with it comes later.
        placed = self._place(request, dealing, now)
        if placed is None:
            return answer(request)
        begun = self._monotonic()
        served = answer(placed.request)
        if served is not None:
            self._note_met(placed, request, served, now, self._monotonic() - begun)
        return served

    def _many_in_arms(self, requests: Sequence[SlateRequest], dealing: Dealing) -> Iterator[S]:
        now = self._clock()
        placed = [self._place(request, dealing, now) for request in requests]
        begun = self._monotonic()
        asked = [one.request if one else request for one, request in zip(placed, requests, strict=True)]
        answers = self._recommend_many(asked)
        shared = (self._monotonic() - begun) / max(len(asked), 1)  # What was looked up for all at once.
        for request, one in zip(requests, placed, strict=True):
            begun = self._monotonic()
            served = next(answers)
            if one is not None:
                self._note_met(one, request, served, now, shared + self._monotonic() - begun)
            yield served

    def count_mismatches(self) -> int:
        """Answers so far from another model than an experiment had assigned."""
        return self._n_mismatches

    def _place(self, request: SlateRequest, dealing: Dealing, now: datetime) -> Placed | None:
        try:
            return self._arms.of(request, self._units.unit_of(request.customer_id), dealing, now)
        except Exception:  # No fault of ours may cost a customer the answer.
            log.exception("arm_not_found")
            return None

    def _note_met(
        self, placed: Placed, request: SlateRequest, served: Served, now: datetime, seconds: float
    ) -> None:
        try:
            for one in (placed.held, placed.arm):
                if one is not None:
                    self._note(one, request, served, now, int(seconds * 1e6))
        except Exception:  # The customer has an answer, and keeps it.
            log.exception("exposure_not_noted")

    def _note(self, arm: Arm, request: SlateRequest, served: Served, now: datetime, micros: int) -> None:
        version = served.model_version
        is_mismatched = arm.model_version is not None and version != arm.model_version
        self._notes.note(
            arm,
            self._units.canonical_of(request.customer_id),
            at=now,
            channel=request.channel,
            model_version=version,
            is_fallback=served.source not in _OWN_LISTS,
            is_mismatched=is_mismatched,
            latency_micros=micros,
        )
        if is_mismatched:
            self._alarm(arm, version)

    def _alarm(self, arm: Arm, version: str | None) -> None:
        """Count a mismatch, and tell of all since the last time, at most once a minute."""
        self._n_mismatches += 1
        self._mismatches[arm.experiment] = self._mismatches.get(arm.experiment, 0) + 1
        now = self._monotonic()
        if now - self._told_at.get(arm.experiment, -ALARM_SECONDS) < ALARM_SECONDS:
            return
        self._told_at[arm.experiment] = now
        log.error(
            "served_another_model_than_assigned",
            experiment=arm.experiment,
            variant=arm.variant,
            assigned=arm.model_version,
            served=version,
            answers=self._mismatches.pop(arm.experiment),
        )
