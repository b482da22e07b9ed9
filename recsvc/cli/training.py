"""`recsvc train`: the offline training script."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import click

from recsvc.bundles.registry import Registry
from recsvc.cli.gate_report import tell_settled
from recsvc.cli.live_report import live_json, tell_live
from recsvc.cli.own_run import own_run
from recsvc.cli.propensity_report import propensity_json, tell_propensity
from recsvc.cli.reports import (
    families_json,
    metrics_table,
    peak_memory_bytes,
    rejects_json,
    selection_json,
    tell_cost,
    tell_rejects,
    tell_table,
)
from recsvc.cli.sources import (
    Files,
    Parts,
    files_options,
    read_files,
    read_store,
    time_budget_option,
    to_train_on,
)
from recsvc.cli.store_facts import tombstones, versions_of_experiments
from recsvc.cli.terminal import json_option, models_option, print_json, progress_bar, say, settings_with
from recsvc.clock_and_ids import now
from recsvc.domain.training_runs import MAX_NAME_CHARS, RANGES, Promotion, TrainingRequest
from recsvc.policy import load_policy
from recsvc.retraining.settling import Settled, Wish, settle, settle_freely
from recsvc.training.erased import without_erased
from recsvc.training.families import FAMILIES
from recsvc.training.pipeline import TrainingReport
from recsvc.training.pipeline import train as run_training


@dataclass(frozen=True, slots=True)
class Cost:
    """Of reading: wall time, and CPU time over all threads."""

    seconds: float
    cpu_seconds: float


@click.command(epilog="\b\nExample:\n  recsvc train --events events.csv.gz --mapping mapping.toml\n")
@files_options
@models_option
@click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), default=1, show_default=True, help="Seed of chance."
)
@click.option("--name", default="", help="A name to remember the run by.")
@click.option(
    "--promote",
    "wish",
    flag_value=Wish.IF_BETTER,
    type=Wish,
    default=Wish.IF_BETTER,
    help="Point champion at the new bundle if it is better.  [default]",
)
@click.option("--no-promote", "wish", flag_value=Wish.NEVER, type=Wish, help="Leave the champion.")
@click.option(
    "--promote-anyway",
    "wish",
    flag_value=Wish.ANYWAY,
    type=Wish,
    help="Point champion at the new bundle, whatever the promotion gate says.",
)
@time_budget_option
@json_option
def train(
    files: Files,
    models: Path | None,
    seed: int,
    name: str,
    wish: Wish,
    time_budget: float | None,
    as_json: bool,
) -> None:
    """Train on a history and publish the best model as a bundle.

    Tries every model family on held-out interactions, fits the best one on everything, and publishes it
    to the models folder. How much of what is live counts beside it is chosen by a replay of the end of the
    history. The promotion gate then judges it beside the champion. Reads CSV, CSV.gz, JSON lines and Parquet;
    without --events, the store.
    """
    settings = settings_with(models=models)
    policy = load_policy(settings.policy_file)
    registry = Registry(settings.models_dir)
    registry.aliases()  # What cannot be read now could not be moved after the long part.
    started = now()
    with ExitStack() as stack:
        progress, commit = stack.enter_context(progress_bar()), settle_freely
        erased_among = stack.enter_context(tombstones(settings))
        if not files.events:
            own = stack.enter_context(own_run(settings, _request(seed, name, time_budget, wish), started))
            progress, commit = own.shown_by(progress), own.commit
        clock, cpu_clock = time.perf_counter(), time.process_time()
        parts = (
            read_files(files, settings, policy, as_of=started, progress=progress)
            if files.events
            else read_store(settings)
        )
        reading = Cost(round(time.perf_counter() - clock, 3), round(time.process_time() - cpu_clock, 3))
        report = run_training(
            without_erased(to_train_on(parts, files.mapping), erased_among),
            policy,
            registry,
            families=FAMILIES,
            seed=seed,
            created_at=started,
            name=name,
            time_budget_seconds=time_budget,
            progress=progress,
        )
        settled = settle(
            report,
            registry,
            policy,
            wish=wish,
            seed=seed,
            erased_among=erased_among,
            pinned=lambda: versions_of_experiments(settings),
            commit=commit,
        )
    if as_json:
        print_json(_as_json(report, parts, reading, settled))
    else:
        _tell(report, parts, settled)


def _request(seed: int, name: str, time_budget: float | None, wish: Wish) -> TrainingRequest:
    """What the store keeps of it; the command itself takes any name and budget."""
    promote: Promotion = "never" if wish is Wish.NEVER else "if_better"
    least, most = RANGES["time_budget_seconds"]
    budget = None if time_budget is None else min(max(time_budget, least), most)
    return TrainingRequest(seed=seed, name=name[:MAX_NAME_CHARS], time_budget_seconds=budget, promote=promote)


def _as_json(report: TrainingReport, parts: Parts, reading: Cost, settled: Settled) -> object:
    return {
        "version": report.manifest.version,
        "chosen": report.selection.chosen.name,
        "why": report.selection.why,
        "holdout": report.selection.holdout,
        "families": families_json(report.selection.tried),
        **selection_json(report.selection),
        "live": live_json(report.live),
        "propensity": propensity_json(report.propensity),
        "rows": report.manifest.rows,
        "rejects": rejects_json(parts.reports),
        "seconds": {"read": reading.seconds, **report.seconds},
        "cpu_seconds": {"read": reading.cpu_seconds, **report.cpu_seconds},
        "peak_memory_bytes": peak_memory_bytes(),
        "promoted": settled.is_promoted,
        "decision": settled.gate.decision,
        "reasons": settled.gate.reasons,
    }


def _tell(report: TrainingReport, parts: Parts, settled: Settled) -> None:
    tell_rejects(parts.reports)
    if report.selection.tried:
        title = f"Judged on {report.selection.holdout}"
        tell_table(metrics_table(title, report.selection.tried, report.selection.chosen.name))
    say(report.selection.why)
    tell_cost(report.selection)
    tell_live(report.live)
    tell_propensity(report.propensity)
    rows = report.manifest.rows
    say(f"published {report.manifest.version}: {rows.customers:,} customers, {rows.items:,} items")
    say(f"at most {peak_memory_bytes() / 1e6:,.0f} MB of memory were in use")
    tell_settled(settled)
