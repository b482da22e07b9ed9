"""MovieLens: films that nobody has rated yet, ranked among themselves by what they are."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.bench import POLICY, SEED, Bench, Finding, mapping_named
from recsvc.history.catalogue import read_items
from recsvc.training.budget import Budget
from recsvc.training.cold_items import WITHHELD_RATIO, evaluate_cold_items
from recsvc.training.families import FAMILIES
from recsvc.training.holdout import split
from recsvc.training.material import Source, gather
from recsvc.training.selection import select_model


def cold_items(bench: Bench) -> Iterator[Finding]:
    """The model that selection chooses for MovieLens, under each seed."""
    table = bench.read("movielens-small/ratings.parquet", "movielens")
    items, _ = read_items(
        bench.file("movielens-small/movies.csv"),
        mapping_named("movielens"),
        rejects_path=bench.work / "films-rejects.jsonl",
    )
    material = gather(Source(table, items), POLICY)
    selection = select_model(
        FAMILIES,
        split(table, POLICY, seed=SEED),
        item_categories=material.categories_of,
        seed=SEED,
        progress=lambda stage, share: None,
        budget=Budget(None, time.perf_counter),
    )
    catalogue = material.catalogue(material.matrix.item_ids)[: len(material.matrix.item_ids)]
    report = evaluate_cold_items(material.matrix, catalogue, selection.chosen)
    what = f"{selection.chosen.name}, {WITHHELD_RATIO:.0%} of films withheld"
    for seed, ndcg, n_customers in zip(report.seeds, report.ndcg, report.n_customers, strict=True):
        yield Finding(f"{what}, seed {seed}", ndcg, "ndcg@10", note=f"{n_customers} customers")
    yield Finding(f"{what}, mean", report.mean, "ndcg@10", least=0.17)
