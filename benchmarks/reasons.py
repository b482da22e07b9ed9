"""Whether reasons are true: without the items that one names, folded in again, the score is lower.

In: a bundle, its items and customers. Out: by code, how many of the reasons that name history items hold.
Slates come from the real engine, with the live state that the bundle was published with. What names items of
the history is held against the model's score after what is left of it, and a `read_by_people_like_you`
against the neighbours' part after what is left of the customer's recent items.
"""

from __future__ import annotations

import copy
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count, product
from pathlib import Path

import numpy as np

from recsvc.bundles.bundle import History
from recsvc.bundles.registry import Registry
from recsvc.domain.customers import Customer
from recsvc.domain.items import Channel, Item, ItemKind
from recsvc.domain.slates import Slate, SlateItem, SlateRequest
from recsvc.history.interactions import InteractionTable
from recsvc.live.scoring import PARTS, HalfLives, part_scores
from recsvc.live.state import Bounds, LiveState
from recsvc.policy import Policy
from recsvc.sample_bank import make_sample_bank
from recsvc.serving.customers import Subject, SubjectReader
from recsvc.serving.engine import Engine
from recsvc.serving.live_access import NO_LIVE, LiveReader
from recsvc.serving.live_bundles import LiveBundles
from recsvc.serving.live_catalogue import LiveCatalogue
from recsvc.serving.live_snapshot import live_model_of, opened_state
from recsvc.serving.reason_texts import BECAUSE_YOU_READ, FITS_YOUR_HISTORY, READ_BY_PEOPLE_LIKE_YOU
from recsvc.serving.verification import Model
from recsvc.stores.memory import MemoryCatalogue, MemoryCustomers, MemoryEvents
from recsvc.training.families import FAMILIES
from recsvc.training.material import Source
from recsvc.training.pipeline import train

LEAST_SHARE = 0.95
N_REASONS = 2_000
_END = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
_NEIGHBOURS = PARTS.index("neighbours")


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


@dataclass(frozen=True)
class Service:
    """The engine over stores in memory, and what it answers from."""

    engine: Engine
    subjects: SubjectReader
    catalogue: LiveCatalogue
    state: LiveState | None
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
    return Service(engine, subjects, catalogue, state, now)


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
    """Folds in again what is left of a history."""

    def __init__(self, service: Service) -> None:
        model, self._view = service.catalogue.model_and_view()
        assert model is not None, "there is no champion to judge"
        self._model = model
        self._state = copy.deepcopy(service.state)

    def take(self, subject: Subject, slate: Slate, tally: _Tally) -> None:
        for item in slate.items:
            self._take_item(subject, item, tally)

    def _take_item(self, subject: Subject, item: SlateItem, tally: _Tally) -> None:
        reason = item.reason
        assert reason is not None
        tally.codes[reason.code] += 1
        if not reason.because:
            return
        tally.n[reason.code] += 1
        if reason.code in (BECAUSE_YOU_READ, FITS_YOUR_HISTORY):
            before, after = self._trained(subject.past.history, item, reason.because)
        else:
            assert reason.code == READ_BY_PEOPLE_LIKE_YOU, f"nothing is known of reasons {reason.code}"
            before, after = self._by_neighbours(subject, item, reason.because)
        tally.n_whole[reason.code] += after is None
        tally.n_true[reason.code] += after is not None and after < before

    def _trained(self, history: History, item: SlateItem, named: Sequence[str]) -> tuple[float, float | None]:
        """The model's score before and after; None where nothing is left."""
        gone = [self._model.bundle.items.row_of(one) for one in named]
        is_left = ~np.isin(history.item_rows, np.array(gone, dtype=np.int32))
        before = self._score(history, item.item_id)
        if not is_left.any():
            return before, None
        return before, self._score(
            History(history.item_rows[is_left], history.strengths[is_left]), item.item_id
        )

    def _score(self, history: History, item_id: str) -> float:
        row = self._model.bundle.items.row_of(item_id)
        if row is not None:
            return float(self._model.scorer.score_of(history, np.array([row], dtype=np.int32))[0])
        factors = self._view.cold[self._view.items[item_id].kind].factors_of(item_id)
        assert factors, f"{item_id} was explained by a model that knows nothing of it"
        return float(self._model.scorer.score_with_new(history, np.zeros(0, dtype=np.int32), factors)[1][0])

    def _by_neighbours(
        self, subject: Subject, item: SlateItem, named: Sequence[str]
    ) -> tuple[float, float | None]:
        """The neighbours' part before and after; None where nothing is left."""
        state = self._state
        assert state is not None and subject.live_id is not None
        customer = state.customer_row(subject.live_id)
        assert customer is not None
        kept = state._recent[customer].copy()
        before = self._neighbours_part(state, subject.live_id, item.item_id)
        state._recent[customer] = np.where(np.isin(kept, state.rows_of(named)), -1, kept)
        is_left = bool((state._recent[customer] >= 0).any())
        after = self._neighbours_part(state, subject.live_id, item.item_id)
        state._recent[customer] = kept
        return before, after if is_left else None

    def _neighbours_part(self, state: LiveState, customer_id: str, item_id: str) -> float:
        scores = part_scores(state, customer_id, state.rows_of([item_id]), HalfLives(0, 1), state.latest)
        return float(scores[0, _NEIGHBOURS])


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
