"""What is live for one request. In: the live states, a model, a moment. Out: a state and its weights.

Whatever goes wrong with what is live, there is an answer without it.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath
from typing import Generic, Protocol, TypeVar

import structlog

from recsvc.domain.items import ItemKind
from recsvc.live.scoring import LiveModel
from recsvc.live.state import LiveState
from recsvc.serving.live_snapshot import live_model_of
from recsvc.serving.verification import Model

log = structlog.get_logger()

T = TypeVar("T")

AT_MOST_AGE_SECONDS = 0.05
"""So long an answer goes by the last look into the store. What this worker took in itself is read at once."""
FAILING_SECONDS = 60.0
"""So long after a failure a worker says that it has to do without what is live."""


class Reading(Protocol):
    """A live state that nobody changes meanwhile, and the moment to score it at, seconds since 1970."""

    @property
    def state(self) -> LiveState: ...

    @property
    def moment(self) -> float: ...


class LiveStates(Protocol):
    """Has a live state for each model that serves."""

    def reading(
        self, model: Model | None, *, at_most_age_seconds: float = ...
    ) -> AbstractContextManager[Reading | None]:
        """The state of the model, no older than the age; None while it is not there."""
        ...


@dataclass(frozen=True, slots=True)
class Weighing:
    """How what is live is weighed against what was trained, as a replay chose it: for items of one kind."""

    kind: ItemKind
    model: LiveModel
    trained_weight: float


@dataclass(frozen=True, slots=True)
class Live:
    """What is live for a request at `now`; `at` is the time of the latest event. Seconds since 1970.

    `weighing` None says what is popular now, and nothing of what that counts beside what was trained.
    """

    weighing: Weighing | None
    state: LiveState
    at: float
    now: float

    def weighing_of(self, kind: ItemKind) -> Weighing | None:
        """How items of the kind are weighed for a customer; None where the model ranks them alone."""
        return self.weighing if self.weighing and self.weighing.kind is kind else None

    def knows(self, customer_id: str | None) -> bool:
        """Whether anything was recorded of the customer; None is nobody."""
        return customer_id is not None and self.state.customer_row(customer_id) is not None


@contextmanager
def live_of(states: LiveStates | None, model: Model | None, now: datetime) -> Iterator[Live | None]:
    """What is live beside a model, or without any, for as long as it is read; None while it is not there."""
    if states is None:
        yield None
        return
    with states.reading(model, at_most_age_seconds=AT_MOST_AGE_SECONDS) as reading:
        if reading is None:
            yield None
        else:
            yield Live(weighing_of(model), reading.state, reading.moment, now.timestamp())


def weighing_of(model: Model | None) -> Weighing | None:
    """What the bundle of the model says of it; None where nothing live counts."""
    facts = model.bundle.manifest.live if model is not None else None
    chosen = live_model_of(model.bundle.manifest) if model is not None else None
    if facts is None or chosen is None:
        return None
    return Weighing(facts.kind, chosen, facts.trained_weight)


@dataclass(frozen=True, slots=True)
class Made(Generic[T]):
    """What was made; not whole if what is live should have had a part in it and had none."""

    value: T
    is_whole: bool


class LiveReader:
    """Has answers made of what is live, and remembers for a while that this failed."""

    def __init__(self, states: LiveStates | None, *, monotonic: Callable[[], float]) -> None:
        self._states = states
        self._monotonic = monotonic
        self._failed_at = -math.inf

    @property
    def is_failing(self) -> bool:
        """Whether of late something could only be made without what is live."""
        return self._monotonic() - self._failed_at < FAILING_SECONDS

    def made(self, model: Model | None, now: datetime, make: Callable[[Live | None], T]) -> Made[T]:
        """What is made of what is live; whatever goes wrong with it, what is made without it.

        What goes wrong without it too is not its fault: that raises what `make` raises.
        """
        try:
            with live_of(self._states, model, now) as live:
                is_missed = live is None and self._states is not None and weighing_of(model) is not None
                return Made(make(live), not is_missed)
        except Exception as error:
            failure = error
        value = make(None)
        self._note(failure)
        return Made(value, False)

    def _note(self, failure: Exception) -> None:
        """The first failure is told, by its type and place: its words may name somebody."""
        if not self.is_failing:
            log.warning("live_state_unusable", error=type(failure).__name__, place=_place_of(failure))
        self._failed_at = self._monotonic()


def _place_of(failure: Exception) -> str | None:
    """The line of code that raised it."""
    last = next(reversed(traceback.extract_tb(failure.__traceback__)), None)
    return f"{PurePath(last.filename).name}:{last.lineno}" if last else None


NO_LIVE = LiveReader(None, monotonic=lambda: 0.0)
"""For whoever serves without what is live."""
