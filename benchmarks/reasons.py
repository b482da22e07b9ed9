"""Whether reasons are true: without the items that one names, folded in again, the score is lower.

In: a bundle, its items and customers. Out: by code, how many of the reasons that name history items hold.
Slates come from the real engine, with the live state that the bundle was published with. What a reason names
is taken out of the history and of the recent items of the live state, the ranking that the engine serves is
made anew from what is left, and the item's score in it is held against that before. An item that no ranking
blended is held against the model's score alone.
"""

from __future__ import annotations

import copy
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count, product
from pathlib import Path
from typing import Protocol

import numpy as np

from recsvc.bundles.bundle import History
from recsvc.bundles.registry import Registry
from recsvc.domain.customers import Customer
from recsvc.domain.items import Channel, Item, ItemKind
from recsvc.domain.rows import NO_ROW
from recsvc.domain.slates import Slate, SlateRequest
from recsvc.history.interactions import InteractionTable
from recsvc.live.state import Bounds, LiveState
from recsvc.policy import Policy
from recsvc.sample_bank import make_sample_bank
from recsvc.serving.candidates import rankings
from recsvc.serving.customers import Subject, SubjectReader
from recsvc.serving.engine import Engine
from recsvc.serving.live_access import NO_LIVE, Live, LiveReader, weighing_of
from recsvc.serving.live_bundles import LiveBundles
from recsvc.serving.live_catalogue import LiveCatalogue
from recsvc.serving.live_snapshot import live_model_of, opened_state
from recsvc.serving.verification import Model
from recsvc.stores.memory import MemoryCatalogue, MemoryCustomers, MemoryEvents
from recsvc.training.families import FAMILIES
from recsvc.training.material import Source
from recsvc.training.pipeline import train

LEAST_SHARE = 0.95
N_REASONS = 2_000
_END = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Held:
    """Of `n` reasons of a code, those that hold. `n_whole` named all there was: nothing is left."""

    n: int
    n_true: int
    n_whole: int

    @property
    def share(self) -> float:
        """Of those after which something is left."""
        return self.n_true / (self.n - self.n_whole) if self.n > self.n_whole else 1.0


@dataclass(frozen=True, slots=True)
class ReasonsReport:
    """What the reasons of `n_slates` slates were. `codes` counts those that name nothing too.

    `slate_micros` is the CPU time of a slate of ten without detail, `detail_micros` what detail adds where
    something is named: microseconds, medians.
    """

    held: Mapping[str, Held]
    codes: Mapping[str, int]
    n_slates: int
    slate_micros: float
    detail_micros: float

    @property
    def share(self) -> float:
        """Of all reasons after which something is left, those that hold."""
        every = self.held.values()
        return Held(
            sum(one.n for one in every), sum(one.n_true for one in every), sum(one.n_whole for one in every)
        ).share


@dataclass(frozen=True)
class _Standing:
    """A live state that no event changes. Also the reading of itself."""

    state: LiveState

    @property
    def moment(self) -> float:
        return self.state.latest

    @contextmanager
    def reading(self, model: Model | None, *, at_most_age_seconds: float = 0.0) -> Iterator[_Standing]:
        yield self


class Recommends(Protocol):
    """Makes slates: what is judged."""

    def recommend(self, request: SlateRequest) -> Slate: ...


@dataclass(frozen=True)
class Service:
    """The engine over stores in memory, and what it answers from."""

    engine: Recommends
    subjects: SubjectReader
    catalogue: LiveCatalogue
    state: LiveState | None
    policy: Policy
    now: datetime

    def subject(self, customer_id: str) -> Subject:
        model, view = self.catalogue.model_and_view()
        return self.subjects.read(
            customer_id, channel=Channel.WEB, model=model, items=view.items, now=self.now
        )


def make_service(
    folder: Path, items: Iterable[Item], customers: Iterable[Customer], policy: Policy, now: datetime
) -> Service:
    """Of the champion in the folder of bundles."""
    bundles = LiveBundles(Registry(folder))
    bundles.refresh()
    catalogue = LiveCatalogue(MemoryCatalogue(items), bundles)
    catalogue.refresh()
    subjects = SubjectReader(MemoryCustomers(customers), MemoryEvents(), policy)
    model = bundles.model
    has_live = model is not None and live_model_of(model.bundle.manifest) is not None
    state = opened_state(model.bundle, Bounds()) if model and has_live else None
    numbers = count(1)
    engine = Engine(
        catalogue,
        subjects,
        policy,
        clock=lambda: now,
        new_id=lambda: str(next(numbers)),
        live=LiveReader(_Standing(state), monotonic=lambda: 0.0) if state else NO_LIVE,
    )
    return Service(engine, subjects, catalogue, state, policy, now)


@dataclass
class _Tally:
    n: Counter[str] = field(default_factory=Counter)
    n_true: Counter[str] = field(default_factory=Counter)
    n_whole: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)

    def held(self) -> dict[str, Held]:
        return {code: Held(n, self.n_true[code], self.n_whole[code]) for code, n in sorted(self.n.items())}


def judge_reasons(service: Service, customer_ids: Sequence[str], n_reasons: int = N_REASONS) -> ReasonsReport:
    """Of the slates of both kinds, customer by customer, until so many reasons named something."""
    judge, tally = _Judge(service), _Tally()
    plain: list[float] = []
    added: list[float] = []
    for customer_id, kind in product(customer_ids, ItemKind):
        if tally.n.total() >= n_reasons:
            break
        without = _timed(service, SlateRequest(kind, customer_id))
        detailed = _timed(service, SlateRequest(kind, customer_id, explain=True))
        plain.append(without.micros)
        if any(item.reason and item.reason.because for item in detailed.slate.items):
            added.append(detailed.micros - without.micros)
        judge.take(service.subject(customer_id), detailed.slate, tally)
    return ReasonsReport(
        tally.held(), dict(tally.codes), len(plain), float(np.median(plain)), float(np.median(added or [0.0]))
    )


@dataclass(frozen=True, slots=True)
class _Timed:
    slate: Slate
    micros: float


def _timed(service: Service, request: SlateRequest) -> _Timed:
    started = time.thread_time_ns()
    slate = service.engine.recommend(request)
    return _Timed(slate, (time.thread_time_ns() - started) / 1e3)


class _Judge:
    """Ranks again by what is left of a past."""

    def __init__(self, service: Service) -> None:
        model, self._view = service.catalogue.model_and_view()
        assert model is not None, "there is no champion to judge"
        self._service, self._policy, self._model = service, service.policy, model
        self._state = copy.deepcopy(service.state)

    def take(self, subject: Subject, slate: Slate, tally: _Tally) -> None:
        before = self._blended(subject, slate.kind)
        for item in slate.items:
            assert item.reason is not None
            code, named = item.reason.code, item.reason.because
            tally.codes[code] += 1
            if not named:
                continue
            after = self._without(subject, named)
            falls = self._falls(subject, after, slate.kind, item.item_id, before, named)
            tally.n[code] += 1
            tally.n_whole[code] += falls is None
            tally.n_true[code] += falls is True

    def _without(self, subject: Subject, named: Sequence[str]) -> Subject:
        history = subject.past.history
        gone = [self._model.bundle.items.row_of(one) for one in named]
        is_left = ~np.isin(history.item_rows, [row for row in gone if row is not None])
        left = History(history.item_rows[is_left], history.strengths[is_left])
        return replace(subject, past=replace(subject.past, history=left))

    def _falls(
        self,
        subject: Subject,
        after: Subject,
        kind: ItemKind,
        item_id: str,
        before: Mapping[str, float],
        named: Sequence[str],
    ) -> bool | None:
        """Whether the score is lower after; None where nothing is left to score by."""
        if item_id not in before:
            if not len(after.past.history):
                return None
            return self._by_model(after.past.history, item_id) < self._by_model(subject.past.history, item_id)
        with self._forgotten(subject, named) as is_anything_left:
            if not (is_anything_left or len(after.past.history)):
                return None
            # What is not among the best any more stands below all that is.
            return self._blended(after, kind).get(item_id, -np.inf) < before[item_id]

    def _blended(self, subject: Subject, kind: ItemKind) -> dict[str, float]:
        """By item id the scores that the engine's first ranking blended."""
        weighing = weighing_of(self._model)
        if self._state is None or weighing is None:
            return {}
        live = Live(weighing, self._state, self._state.latest, self._service.now.timestamp())
        first = next(rankings(kind, subject, self._model, self._view, self._policy, live))
        return {one.item.item_id: one.score for one in first if one.shares is not None}

    @contextmanager
    def _forgotten(self, subject: Subject, named: Sequence[str]) -> Iterator[bool]:
        """While it is on, these are no recent items of the customer's. Yields whether any are left."""
        state = self._state
        customer = state.customer_row(subject.live_id) if state and subject.live_id is not None else None
        if state is None or customer is None:
            yield False
            return
        kept = state._recent[customer].copy()
        state._recent[customer] = np.where(np.isin(kept, state.item_rows(named)), NO_ROW, kept)
        yield bool((state._recent[customer] != NO_ROW).any())
        state._recent[customer] = kept

    def _by_model(self, history: History, item_id: str) -> float:
        row = self._model.bundle.items.row_of(item_id)
        if row is not None:
            return float(self._model.scorer.score_of(history, np.array([row], dtype=np.int32))[0])
        factors = self._view.cold[self._view.items[item_id].kind].factors_of(item_id)
        assert factors, f"{item_id} was explained by a model that knows nothing of it"
        return float(self._model.scorer.score_with_new(history, np.zeros(0, dtype=np.int32), factors)[1][0])


def of_sample_bank(folder: Path, policy: Policy) -> tuple[Service, list[str]]:
    """The bank of the demo, trained by the pipeline; and its customers."""
    bank = make_sample_bank(end=_END)
    source = Source(InteractionTable.from_frame(bank.events), bank.items, bank.customers)
    return _trained_on(source, folder, policy), [one.customer_id for one in bank.customers]


def of_events(table: InteractionTable, folder: Path, policy: Policy) -> tuple[Service, list[str]]:
    """A history without a catalogue; and its customers."""
    service = _trained_on(Source(table, (), ()), folder, policy)
    model, _ = service.catalogue.model_and_view()
    customers = model.bundle.customers if model else ()
    return service, [customers.id_of(row) for row in range(len(customers))] if model else []


def _trained_on(source: Source, folder: Path, policy: Policy) -> Service:
    registry = Registry(folder)
    report = train(source, policy, registry, families=FAMILIES, seed=1, created_at=_END)
    registry.promote(report.manifest.version)
    return make_service(folder, source.items, source.customers, policy, _END)
