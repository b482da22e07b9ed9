"""What lists are like at each strength of what orders them. In: a sample bank. Out: figures of 500 lists.

A model is trained on the bank's events up to a moment, and the real engine answers at that moment. Relevant
is what a customer turned to first afterwards, of the articles that there were. `recsvc.training.metrics`
names the conventions of the figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import count
from pathlib import Path
from statistics import mean

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from recsvc.bundles.registry import Registry
from recsvc.domain.customers import Customer
from recsvc.domain.items import Channel, Item, ItemKind
from recsvc.domain.slates import SlateRequest
from recsvc.history.interactions import InteractionTable
from recsvc.policy import Policy, load_policy
from recsvc.policy_lists import ListsPolicy
from recsvc.sample_bank import SampleBank, make_sample_bank
from recsvc.serving.customers import SubjectReader
from recsvc.serving.engine import Engine
from recsvc.serving.live_bundles import LiveBundles
from recsvc.serving.live_catalogue import LiveCatalogue
from recsvc.serving.live_feed import LiveFeed
from recsvc.serving.live_follower import LiveSources
from recsvc.serving.reranking.likeness import Likeness
from recsvc.serving.reranking.mix import divergence, mix_of
from recsvc.stores.memory import MemoryCatalogue, MemoryCustomers, MemoryEvents
from recsvc.training.families import FAMILIES
from recsvc.training.material import Source
from recsvc.training.metrics import catalogue_metrics, intra_list_diversity, ranking_metrics, times_shown
from recsvc.training.pipeline import train

END = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
N_CUSTOMERS = 500
LENGTH = 10
DIVERSITIES = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
CALIBRATIONS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9)
CAPS = (1.0, 0.8, 0.7, 0.6, 0.4)
PLAIN = ListsPolicy(calibration=0.0, most_of_a_category=1.0)
"""Nothing but the scores: what each concern is measured against."""

_N_BANK_CUSTOMERS, _N_ARTICLES, _N_EVENTS = 1_400, 240, 70_000
_N_DAYS, _HELD_OUT_DAYS = 60, 14


@dataclass(frozen=True, slots=True)
class Figures:
    """Means over customers and lists of `LENGTH`, but for those of the catalogue.

    `unlikeness` is one less the mean likeness of a list's pairs; `divergence` is KL(p‖q~) from the category
    mix of the customer's history, in nats; `most_of_a_category` the mean share of a list's commonest one.
    """

    concern: str
    strength: float
    ndcg: float
    intra_list_diversity: float
    unlikeness: float
    divergence: float
    most_of_a_category: float
    coverage: float
    gini: float
    novelty: float


@dataclass(frozen=True)
class ListBench:
    """A trained bank, with what customers turned to afterwards: by customer id."""

    policy: Policy
    catalogue: LiveCatalogue
    customers: MemoryCustomers
    now: datetime
    live: LiveFeed
    relevant: Mapping[str, frozenset[str]]
    _made: dict[tuple[ListsPolicy, float], Mapping[str, Sequence[Item]]] = field(default_factory=dict)

    def figures(self, concern: str, strength: float, lists: ListsPolicy, diversity: float = 0.0) -> Figures:
        """The figures of one list for each customer."""
        found = self._made.get((lists, diversity))
        if found is None:
            found = self._made[lists, diversity] = self.lists(lists, diversity)
        return self._measure(concern, strength, found)

    def lists(self, lists: ListsPolicy, diversity: float = 0.0) -> Mapping[str, Sequence[Item]]:
        """What the engine shows each customer."""
        ids = count()
        policy = replace(self.policy, lists=lists)
        reader = SubjectReader(self.customers, MemoryEvents(), policy)
        engine = Engine(self.catalogue, reader, policy, clock=lambda: self.now, new_id=lambda: str(next(ids)))
        items = self.catalogue.view.items
        asked = (
            SlateRequest(ItemKind.CONTENT, one, limit=LENGTH, diversity=diversity) for one in self.relevant
        )
        return {
            request.customer_id: [items[shown.item_id] for shown in engine.recommend(request).items]
            for request in asked
        }

    @cached_property
    def mixes(self) -> Mapping[str, Mapping[str, float]]:
        """The category mix of each customer's history."""
        model, view = self.catalogue.model_and_view()
        reader = SubjectReader(self.customers, MemoryEvents(), self.policy)

        def mix(customer_id: str) -> Mapping[str, float]:
            subject = reader.read(
                customer_id, channel=Channel.WEB, model=model, items=view.items, now=self.now
            )
            return mix_of(subject.past, view, ItemKind.CONTENT)

        return {customer_id: mix(customer_id) for customer_id in self.relevant}

    @cached_property
    def customer_counts(self) -> NDArray[np.int64]:
        """How many customers of the training took each item: (n_items,)."""
        model, _ = self.catalogue.model_and_view()
        assert model is not None
        counts = np.zeros(len(model.bundle.items), dtype=np.int64)
        for customer_row in range(len(model.bundle.customers)):
            counts[model.bundle.history_of(customer_row).item_rows] += 1
        return counts

    def _measure(self, concern: str, strength: float, lists: Mapping[str, Sequence[Item]]) -> Figures:
        model, view = self.catalogue.model_and_view()
        assert model is not None
        items = model.bundle.items
        content = view.trained_rows[ItemKind.CONTENT]
        rows = np.full((len(lists), LENGTH), -1, dtype=np.int32)
        hits = np.zeros((len(lists), LENGTH), dtype=np.bool_)
        for place, (customer_id, shown) in enumerate(lists.items()):
            found = [items.row_of(item.item_id) for item in shown]
            rows[place, : len(found)] = [-1 if row is None else row for row in found]
            hits[place, : len(shown)] = [item.item_id in self.relevant[customer_id] for item in shown]
        n_relevant = np.array([len(self.relevant[one]) for one in lists], dtype=np.int64)
        categories = [one.category for one in view.items.values()]
        numbers = {category: number for number, category in enumerate(dict.fromkeys(categories))}
        of_row = np.full(len(items), -1, dtype=np.int64)
        for row in range(len(items)):
            if item := view.item_at(row):
                of_row[row] = numbers[item.category]
        shown_times = {LENGTH: times_shown(rows, len(items), LENGTH)[content]}
        n_customers = len(model.bundle.customers)
        catalogue = catalogue_metrics(shown_times, self.customer_counts[content], n_customers)
        return Figures(
            concern,
            strength,
            float(ranking_metrics(hits, n_relevant, [LENGTH])[f"ndcg@{LENGTH}"].mean()),
            float(np.nanmean(intra_list_diversity(rows, of_row, LENGTH))),
            mean(map(_unlikeness, lists.values())),
            mean(
                divergence(self.mixes[one], [item.category for item in shown]) for one, shown in lists.items()
            ),
            mean(_most_of_a_category(shown) for shown in lists.values()),
            catalogue[f"coverage@{LENGTH}"],
            catalogue[f"gini@{LENGTH}"],
            catalogue[f"novelty@{LENGTH}"],
        )


def all_figures(bench: ListBench) -> Iterator[Figures]:
    """Each concern alone at each of its strengths, and the policy that serves at each wish for diversity."""
    for diversity in DIVERSITIES:
        yield bench.figures("diversity", diversity, PLAIN, diversity)
    for strength in CALIBRATIONS:
        yield bench.figures("calibration", strength, msgspec.structs.replace(PLAIN, calibration=strength))
    for share in CAPS:
        yield bench.figures("cap", share, msgspec.structs.replace(PLAIN, most_of_a_category=share))
    for diversity in DIVERSITIES:
        yield bench.figures("policy, diversity", diversity, bench.policy.lists, diversity)


def make_bench(folder: Path) -> ListBench:
    """Make the bank, train on it in the folder, and keep what came after for judging."""
    bank = make_sample_bank(
        end=END, n_customers=_N_BANK_CUSTOMERS, n_articles=_N_ARTICLES, n_days=_N_DAYS, n_events=_N_EVENTS
    )
    policy, now = load_policy(), END - timedelta(days=_HELD_OUT_DAYS)
    items = [item for item in bank.items if item.published_at is None or item.published_at < now]
    before = bank.events.filter(pl.col("occurred_at") < now)
    registry = Registry(folder)
    trained = train(
        Source(InteractionTable.from_frame(before), items, bank.customers),
        policy,
        registry,
        families=FAMILIES,
        seed=1,
        created_at=now,
    )
    registry.promote(trained.manifest.version)
    catalogue = LiveCatalogue(MemoryCatalogue(items), bundles := LiveBundles(registry))
    bundles.refresh()
    catalogue.refresh()
    customers = MemoryCustomers(bank.customers)
    sources = LiveSources(MemoryEvents(), customers, customers, policy)
    live = LiveFeed(sources, clock=lambda: now, monotonic=lambda: 0.0)
    live.follow(bundles.model)
    return ListBench(policy, catalogue, customers, now, live, _relevant(bank, items, policy, now))


def _relevant(
    bank: SampleBank, items: Sequence[Item], policy: Policy, since: datetime
) -> Mapping[str, frozenset[str]]:
    """What each of the first 500 customers who may be personalised turned to first after the moment."""
    content = [item.item_id for item in items if item.kind is ItemKind.CONTENT]
    positive = [name for name, rule in policy.interaction_types.items() if rule.strength > 0]
    first = (
        bank.events.filter(pl.col("item_id").is_in(content) & pl.col("type").is_in(positive))
        .group_by("customer_id", "item_id")
        .agg(pl.col("occurred_at").min(), pl.len())
    )
    knows = first.filter(pl.col("occurred_at") < since)["customer_id"].unique().to_list()
    later = first.filter((pl.col("occurred_at") >= since) & pl.col("customer_id").is_in(knows))
    by_customer = later.group_by("customer_id").agg("item_id").sort("customer_id")
    may = {one.customer_id for one in bank.customers if _may_personalise(one, policy)}
    found = [(one, frozenset(taken)) for one, taken in by_customer.iter_rows() if one in may]
    return dict(found[:N_CUSTOMERS])


def _may_personalise(customer: Customer, policy: Policy) -> bool:
    if customer.consents is None:
        return policy.consent_without_record.personalisation
    return customer.consents.personalisation


def _unlikeness(items: Sequence[Item]) -> float:
    """One less the mean likeness of the list's pairs."""
    likeness_to = Likeness(items)
    pairs = [float(likeness_to(row)[:row].sum()) for row in range(len(items))]
    return 1 - sum(pairs) / max(len(items) * (len(items) - 1) / 2, 1)


def _most_of_a_category(items: Sequence[Item]) -> float:
    categories = [item.category for item in items]
    return max((categories.count(one) for one in categories), default=0) / max(len(items), 1)
