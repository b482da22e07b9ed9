"""A whole training run on synthetic events: what is not fitting, how much memory, and how files are read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.bench import Bench, Finding, Run, cpu_ratio, read_events
from recsvc.history.mapping import FileMapping, load_mapping

N_EVENTS, N_CUSTOMERS, N_ITEMS = 3_000_000, 60_000, 8_000  # More items than EASE takes.
N_TASTES = 40
DAYS = 90
TYPES = {"view": 0.7, "click": 0.2, "purchase": 0.1}
ROUNDS = 5
_FITTING = ("select", "fit")


def whole_run(bench: Bench) -> Iterator[Finding]:
    """`recsvc train` in a fresh process."""
    events = _synthetic(bench.work)
    models = bench.work / "models"
    nothing = bench.python("-c", "import recsvc.cli.training")
    run = bench.recsvc("train", "--events", events, "--models", models)
    spent = run.report["cpu_seconds"]
    for stage, seconds in spent.items():
        yield Finding(f"stage {stage}", seconds, "CPU s")
    fitting = sum(spent[stage] for stage in _FITTING)
    outside = 1 - fitting / run.cpu_seconds
    note = "selection counts as fitting, with the judging that it does"
    yield Finding("share of CPU outside selection and fit", outside, most=0.25, note=note)
    yield from _memory(run, nothing, models)
    yield from _reading(events, bench.work)


def _memory(run: Run, nothing: Run, models: Path) -> Iterator[Finding]:
    """Of the run's own: what the interpreter and libraries take before anything is read is not."""
    manifest = json.loads((models / run.report["version"] / "manifest.json").read_bytes())
    rows = manifest["rows"]
    n_factors = sum(int(part["parameters"].get("n_factors", 0)) for part in manifest["parts"])
    factors = (rows["customers"] + rows["items"]) * n_factors * 4
    yield Finding("peak memory", run.peak_bytes / 1e6, "MB")
    yield Finding("of that, Python and libraries", nothing.peak_bytes / 1e6, "MB")
    yield Finding("of that, factors of the chosen model", factors / 1e6, "MB", note=f"{n_factors} a row")
    own = (run.peak_bytes - nothing.peak_bytes - factors) / rows["interactions"]
    yield Finding("peak memory over these, an interaction", own, "bytes", most=60.0)


def _reading(events: Path, work: Path) -> Iterator[Finding]:
    what = "reading Parquet, to pyarrow's dictionary read"
    try:
        from pyarrow import parquet
    except ImportError:
        yield Finding(what, None, note="pyarrow is not installed")
        return
    columns = ["customer_id", "item_id", "type", "channel"]
    mapping: FileMapping = load_mapping(None)
    ratio = cpu_ratio(
        lambda: read_events(events, mapping, work),
        lambda: parquet.read_table(events, read_dictionary=columns),
        ROUNDS,
    )
    yield Finding(what, ratio, "of its CPU", most=1.5, note=f"median of {ROUNDS} rounds in turns")


def _synthetic(work: Path) -> Path:
    """Customers of some taste each, who take popular items, most of them of their taste."""
    rng = np.random.default_rng(11)
    customers = (rng.random(N_EVENTS) ** 1.5 * N_CUSTOMERS).astype(np.int64)
    items = (rng.random(N_EVENTS) ** 2.5 * N_ITEMS).astype(np.int64)
    to_taste = items - items % N_TASTES + customers % N_TASTES
    items = np.where(rng.random(N_EVENTS) < 0.7, to_taste, items) % N_ITEMS
    seconds = np.sort(rng.integers(0, DAYS * 86_400, N_EVENTS))
    path = work / "events.parquet"
    pl.DataFrame(
        {
            "customer_id": np.char.add("c", np.char.zfill(customers.astype(str), 6)),
            "item_id": np.char.add("i", np.char.zfill(items.astype(str), 5)),
            "type": rng.choice(list(TYPES), N_EVENTS, p=list(TYPES.values())),
            "occurred_at": (np.datetime64("2026-01-01", "us") + seconds * np.timedelta64(1_000_000, "us")),
            "channel": rng.choice(["web", "mobile"], N_EVENTS),
        }
    ).with_columns(pl.col("occurred_at").dt.replace_time_zone("UTC")).write_parquet(path)
    return path
