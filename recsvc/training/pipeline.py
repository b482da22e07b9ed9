"""The offline training run. In: a clean history, items, customers. Out: a published bundle and a report."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np
from threadpoolctl import threadpool_limits

from recsvc.bundles.manifest import DataWindow, Manifest, RowCounts
from recsvc.bundles.profiles import ProfileArrays
from recsvc.bundles.registry import Registry
from recsvc.domain.customers import Customer
from recsvc.domain.items import Item, ItemKind
from recsvc.errors import TrainingError
from recsvc.history.interactions import InteractionTable
from recsvc.history.matrix import InteractionMatrix, build_matrix
from recsvc.history.times import EPOCH
from recsvc.policy import Policy
from recsvc.training.bundling import (
    catalogue_array,
    category_rows,
    complete_catalogue,
    golden_queries,
    library_versions,
    model_arrays,
    segment_popularity,
    segment_rows,
)
from recsvc.training.families.base import Family, training_data
from recsvc.training.holdout import split
from recsvc.training.portraits import draw_portraits, segment_fields
from recsvc.training.profiles import CHANNELS, build_profiles
from recsvc.training.selection import Progress, Selection, select_model

MIN_CUSTOMERS = 2
MIN_ITEMS = 2


@dataclass(frozen=True, slots=True)
class Source:
    """What there is to train on. `kind` is taken for items of which nothing but the id is known."""

    table: InteractionTable
    items: Sequence[Item] = ()
    customers: Sequence[Customer] = ()
    kind: ItemKind = ItemKind.CONTENT


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What a run did. `seconds` is wall time by stage."""

    manifest: Manifest
    selection: Selection
    seconds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class _Stopwatch:
    """Times the stages of a run and tells of them."""

    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.progress(name, 0.0)
        started = time.perf_counter()
        # BLAS adds up in another order with more threads: with one, any machine gives the same bytes.
        with threadpool_limits(1, user_api="blas"):
            yield
        self.seconds[name] = round(time.perf_counter() - started, 3)
        self.progress(name, 1.0)


def train(
    source: Source,
    policy: Policy,
    registry: Registry,
    *,
    families: Sequence[Family],
    seed: int,
    created_at: datetime,
    name: str = "",
    progress: Progress = lambda stage, share: None,
) -> TrainingReport:
    """Judge the families, fit the best on everything, and publish it.

    Raises:
        TrainingError: there is too little to learn from.
        RegistryError: the bundle cannot be written.
    """
    watch = _Stopwatch(progress)
    with watch.stage("prepare"):
        table = _with_consent(source, policy)
        categories = tuple(sorted({item.category for item in source.items if item.category}))
        matrix = build_matrix(table, policy, as_of=None)
        _demand_enough(matrix)
        registry.check_writable()  # Before the long part, and after all that would leave nothing to publish.
    with watch.stage("select"):
        selection = select_model(
            families,
            split(table, policy, np.random.default_rng(seed)),
            item_categories=lambda part: (
                category_rows(complete_catalogue(part.item_ids, source.items, source.kind), categories)
                if categories
                else None
            ),
            seed=seed,
            progress=progress,
        )
    with watch.stage("fit"):
        data = training_data(matrix)
        fitted = selection.chosen.fit(data, seed=seed)
    with watch.stage("profiles"):
        window = _window(table)
        portraits = draw_portraits(table, matrix.customer_ids, policy, as_of=window.until)
        unsorted = build_profiles(
            table,
            matrix.customer_ids,
            category_of={item.item_id: item.category for item in source.items if item.category},
            categories=categories,
            segment_rows=np.zeros(len(matrix.customer_ids), dtype=np.int16),
            policy=policy,
            as_of=window.until,
        )
        known = ProfileArrays({**unsorted.arrays(), **portraits.arrays()}, categories, CHANNELS, window.until)
        fields = segment_fields(known, len(matrix.customer_ids), policy)
        segments = segment_rows(matrix.customer_ids, source.customers, policy, fields)
        profiles = replace(unsorted, segment_rows=segments)
    with watch.stage("publish"):
        catalogue = complete_catalogue(matrix.item_ids, source.items, source.kind)
        manifest = registry.publish(
            Manifest(
                version="",
                family=selection.chosen.family.name,
                parameters={**fitted.parameters, "strength_scale": data.strength_scale},
                created_at=created_at,
                seed=seed,
                data_window=window,
                rows=_row_counts(table, matrix),
                policy_version=policy.version,
                categories=categories,
                segments=tuple(rule.name for rule in policy.segments),
                channels=CHANNELS,
                libraries=library_versions(),
                metrics={one.name: one.evaluation.accuracy for one in selection.tried},
                holdout=selection.holdout,
                arrays={},
                golden_queries=golden_queries(matrix, data, fitted),
                population=portraits.population,
                name=name,
            ),
            {
                **model_arrays(matrix, data, fitted),
                **profiles.arrays(),
                **portraits.arrays(),
                "segment_popularity": segment_popularity(table, matrix, segments, policy, window.until),
                "catalogue": catalogue_array(catalogue),
            },
        )
    return TrainingReport(manifest, selection, watch.seconds)


def _with_consent(source: Source, policy: Policy) -> InteractionTable:
    """The history of who agreed to personalisation; whoever was never asked, as the policy says."""
    asked = {c.customer_id: c.consents.personalisation for c in source.customers if c.consents}
    if not policy.consent_without_record.personalisation:
        return source.table.of_customers([one for one, agreed in asked.items() if agreed])
    refused = [one for one, agreed in asked.items() if not agreed]
    return source.table.without_customers(refused) if refused else source.table


def _demand_enough(matrix: InteractionMatrix) -> None:
    n_customers, n_items = matrix.strengths.shape
    if n_customers < MIN_CUSTOMERS or n_items < MIN_ITEMS:
        raise TrainingError(
            f"there is too little to learn from: {n_customers} customers and {n_items} items with a positive "
            f"interaction, at least {MIN_CUSTOMERS} and {MIN_ITEMS} are needed; give more events, or check "
            "the types in the mapping"
        )


def _window(table: InteractionTable) -> DataWindow:
    if not table.has_times:
        return DataWindow(None, None)
    # As numbers: polars would look the zone up in the system's time zone files, which may be absent.
    micros = table.compact["occurred_at"].drop_nulls().dt.epoch("us").to_numpy()
    since, until = (EPOCH + timedelta(microseconds=int(one)) for one in (micros.min(), micros.max()))
    return DataWindow(since, until)


def _row_counts(table: InteractionTable, matrix: InteractionMatrix) -> RowCounts:
    return RowCounts(
        customers=len(matrix.customer_ids),
        items=len(matrix.item_ids),
        interactions=len(table),
        pairs=int(matrix.strengths.nnz),
    )
