"""The offline training run. In: a clean history, items, customers. Out: a published bundle and a report."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from recsvc.bundles.item_pages import item_arrays
from recsvc.bundles.manifest import Manifest
from recsvc.bundles.registry import Registry
from recsvc.domain.propensity import PropensityRules
from recsvc.policy import Policy
from recsvc.training.budget import Budget
from recsvc.training.bundling import golden_queries, library_versions, model_arrays
from recsvc.training.cold_start import cold_start_arrays
from recsvc.training.describing import describe
from recsvc.training.families.base import Family, training_data
from recsvc.training.gate.footing import Candidate
from recsvc.training.holdout import split
from recsvc.training.live_parts import LiveChoice, weigh_live
from recsvc.training.material import Source, gather
from recsvc.training.profiles import CHANNELS
from recsvc.training.propensity.fitting import PropensityChoice, fit_propensity
from recsvc.training.proposing import proposed_share, shortlist_arrays
from recsvc.training.selection import Selection, select_model
from recsvc.training.threads import one_blas_thread
from recsvc.training.trials import Progress


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What a run did. `seconds` is wall time by stage, `cpu_seconds` over all threads.

    `candidate` is what the promotion gate judges.
    """

    manifest: Manifest
    selection: Selection
    candidate: Candidate
    live: LiveChoice
    propensity: PropensityChoice
    seconds: Mapping[str, float]
    cpu_seconds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class _Stopwatch:
    """Times the stages of a run and tells of them."""

    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict)
    cpu_seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.progress(name, 0.0)
        started, cpu_started = time.perf_counter(), time.process_time()
        # BLAS adds up in another order with more threads: with one, any machine gives the same bytes.
        with one_blas_thread():
            yield
        self.seconds[name] = round(time.perf_counter() - started, 3)
        self.cpu_seconds[name] = round(time.process_time() - cpu_started, 3)
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
    time_budget_seconds: float | None = None,
    progress: Progress = lambda stage, share: None,
) -> TrainingReport:
    """Judge the families and a blend of them, fit the best on everything, and publish it.

    How much of what is live counts beside it is chosen by a replay of the end of the history. Where enough
    offers were sent, a model of who responds to them goes with it.

    Args:
        time_budget_seconds: wall time after which the search of settings settles for the best that it has
            seen; None for the whole plan, which gives the same model on any machine.

    Raises:
        TrainingError: there is too little to learn from.
        RegistryError: the bundle cannot be written.
    """
    watch = _Stopwatch(progress)
    with watch.stage("prepare"):
        material = gather(source, policy)
        registry.check_writable()  # Before the long part, and after all that would leave nothing to publish.
    with watch.stage("select"):
        parts = split(material.table, policy, material.kind, seed=seed)
        selection = select_model(
            families,
            parts,
            item_categories=material.categories_of,
            seed=seed,
            progress=progress,
            budget=Budget(time_budget_seconds, time.perf_counter),
        )
    with watch.stage("live"):
        live = weigh_live(material, policy, parts, selection, seed=seed, progress=progress)
    with watch.stage("fit"):
        data = training_data(material.matrix)
        model = selection.chosen.fit(data, seed=seed)
        shortlist = shortlist_arrays(data, model, seed=seed)
        proposed = proposed_share(data, model, shortlist)
        catalogue = material.catalogue(material.matrix.item_ids)
        cold_start = cold_start_arrays(model, data, catalogue, as_of=material.window.until)
    with watch.stage("profiles"):
        descriptions = describe(material, policy)
    with watch.stage("propensity"):
        propensity = fit_propensity(
            material.table,
            material.source.items,
            material.source.customers,
            PropensityRules(policy.offers.propensity, policy.portraits.purchases),
            since=material.window.since,
            until=material.window.until,
            seed=seed,
        )
    with watch.stage("publish"):
        facts = Manifest(
            version="",
            parts=model.facts,
            strength_scale=data.strength_scale,
            created_at=created_at,
            seed=seed,
            data_window=material.window,
            rows=material.rows,
            policy_version=policy.version,
            categories=material.categories,
            segments=tuple(rule.name for rule in policy.segments),
            channels=CHANNELS,
            libraries=library_versions(),
            metrics={one.name: one.evaluation.accuracy for one in selection.tried},
            holdout=selection.holdout,
            arrays={},
            golden_queries=golden_queries(material.matrix, data, model),
            population=descriptions.population,
            live=live.facts,
            lists=_lists(selection, proposed),
            name=name,
            propensity=propensity.model,
        )
        arrays = {
            **model_arrays(material.matrix, data, model),
            **shortlist,
            **cold_start,
            **descriptions.arrays,
            **live.arrays,
            **propensity.arrays,
            **item_arrays(catalogue),
        }
        manifest = registry.publish(facts, arrays)
    candidate = Candidate(
        manifest.version,
        selection.chosen,
        selection.judged,
        parts,
        material,
        descriptions.arrays["profile_segment"],
    )
    return TrainingReport(manifest, selection, candidate, live, propensity, watch.seconds, watch.cpu_seconds)


def _lists(selection: Selection, proposed: Mapping[str, float]) -> Mapping[str, Mapping[str, float]]:
    """What the lists of every model do as a whole; of the chosen one also what its proposals hold."""
    of_all = {one.name: one.evaluation.catalogue for one in selection.tried}
    chosen = selection.chosen.name
    return {**of_all, chosen: {**of_all.get(chosen, {}), **proposed}}
