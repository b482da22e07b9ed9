"""Gowalla in the split of the LightGCN paper: `recsvc evaluate` with no parameter, and what choosing took."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from benchmarks.bench import Bench, Finding, Run, mapping_file

# Recall@20 and NDCG@20, as BARS lists them or, of the last two, as their papers do.
PUBLISHED = {
    "ItemCF": (0.1570, 0.1214),
    "MF-BPR": (0.1627, 0.1378),
    "SLIM": (0.1699, 0.1382),
    "EASE": (0.1765, 0.1467),
    "LightGCN": (0.1820, 0.1547),
    "UltraGCN": (0.1862, 0.1580),
    "SimpleX": (0.1872, 0.1557),
    "BSPM-EM": (0.1920, 0.1597),
    "NESCL": (0.1917, 0.1617),
}


def gowalla(bench: Bench) -> Iterator[Finding]:
    """Every model that was tried, on the published test file; the chosen one is promised."""
    run = _evaluated(bench)
    chosen = run.report["chosen"]
    figures = run.report["families"]
    yield Finding(f"{chosen}, as chosen", figures[chosen]["recall@20"], "recall@20", least=0.190)
    yield Finding(f"{chosen}, as chosen", figures[chosen]["ndcg@20"], "ndcg@20", least=0.157)
    for name, metrics in figures.items():
        if name != chosen:
            yield Finding(name, metrics["recall@20"], "recall@20")
            yield Finding(name, metrics["ndcg@20"], "ndcg@20")
    for name, (recall, ndcg) in PUBLISHED.items():
        yield Finding(f"published: {name}", recall, "recall@20")
        yield Finding(f"published: {name}", ndcg, "ndcg@20")
    yield Finding("the whole run", run.cpu_seconds, "CPU s")


def selection(bench: Bench) -> Iterator[Finding]:
    """What the choice on Gowalla cost."""
    report = _evaluated(bench).report
    yield Finding("settings that were tried", len(report["trials"]))
    yield Finding("the whole selection", report["selection_cpu_seconds"], "CPU s")
    in_fits = report["selection_in_als_fits"]
    yield Finding("in fits of ALS at its best settings", in_fits, "fits", most=10.0)


@cache
def _evaluated(bench: Bench) -> Run:
    """Once for all sections that ask."""
    files = ("--train", bench.file("gowalla/train.parquet"), "--test", bench.file("gowalla/test.parquet"))
    return bench.recsvc("evaluate", *files, "--mapping", mapping_file("gowalla"))
