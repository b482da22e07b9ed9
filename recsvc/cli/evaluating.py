"""`recsvc evaluate`: how good the models are, learned and measured, replayed, or off policy."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import click
import numpy as np
from click.core import ParameterSource
from numpy.typing import NDArray

from recsvc.bundles.manifest import PRIMARY_METRIC
from recsvc.cli.off_policy import off_policy_options, report_off_policy
from recsvc.cli.prequential import Moment, print_replay, report_replay, tell_replay
from recsvc.cli.reports import (
    families_json,
    metrics_table,
    rejects_json,
    selection_json,
    tell_cost,
    tell_rejects,
    tell_table,
)
from recsvc.cli.sources import (
    Files,
    default_kind,
    items_option,
    read_files,
    rejects_file,
    time_budget_option,
)
from recsvc.cli.terminal import json_option, print_json, progress_bar, say, settings_with
from recsvc.clock_and_ids import now
from recsvc.domain.items import Item, ItemKind
from recsvc.errors import TrainingError
from recsvc.history.decisions import DecisionColumns
from recsvc.history.interactions import InteractionTable
from recsvc.history.mapping import load_mapping
from recsvc.history.matrix import InteractionMatrix, build_matrix
from recsvc.history.readers import History, read_interactions
from recsvc.policy import Policy, load_policy
from recsvc.settings import Settings
from recsvc.training.budget import Budget
from recsvc.training.bundling import category_rows, complete_catalogue
from recsvc.training.evaluation import HeldOut
from recsvc.training.families import FAMILIES, OPTIONAL_FAMILIES, families_named
from recsvc.training.families.base import Family
from recsvc.training.goals import recounted
from recsvc.training.holdout import held_out_later, split
from recsvc.training.selection import select_model
from recsvc.training.trials import Judge, Progress

_NUMBER = re.compile(r"[0-9]{1,4}")
_NOT_OF_A_REPLAY = {
    "train_path": "--train",
    "test_path": "--test",
    "cutoffs": "--cutoffs",
    "families": "--families",
    "time_budget": "--time-budget",
}
_OF_LOGGED_ALONE = {"target", "columns", "clip"}
_OF_LOGGED = {"logged", "as_json", *_OF_LOGGED_ALONE}
_PRIMARY_CUTOFF = int(PRIMARY_METRIC.split("@")[1])


class _Cutoffs(click.ParamType[tuple[int, ...]]):
    name = "numbers"

    def convert(
        self, value: object, param: click.Parameter | None, context: click.Context | None
    ) -> tuple[int, ...]:
        parts = str(value).split(",")
        if not all(_NUMBER.fullmatch(part.strip()) and 1 <= int(part) <= 1000 for part in parts):
            self.fail("give whole numbers from 1 to 1000 with commas, for example 10,20,100", param, context)
        return tuple(sorted({int(part) for part in parts}))


@click.command(
    epilog="\b\nExample:\n"
    "  recsvc evaluate --train train.parquet --test test.parquet --cutoffs 10,20\n"
    "  recsvc evaluate --events events.parquet --prequential-from 2017-01-01\n"
    "  recsvc evaluate --logged log.parquet --target uniform --columns reward=click\n"
)
@click.option("--train", "train_path", type=click.Path(path_type=Path), help="File to learn from.")
@click.option("--test", "test_path", type=click.Path(path_type=Path), help="File to measure on.")
@click.option(
    "--events",
    "event_paths",
    type=click.Path(path_type=Path),
    multiple=True,
    help="File of events to replay; may be repeated.",
)
@click.option(
    "--prequential-from",
    "since",
    type=Moment(),
    metavar="DATE",
    help="Replay --events, and judge each first-time interaction from this day on.",
)
@items_option(
    "File of items: where it gives categories, the diversity within lists is measured, and a replay judges "
    "the part taste. Without it both are left out."
)
@click.option("--mapping", type=click.Path(path_type=Path), help="TOML file that says which column is what.")
@click.option("--cutoffs", type=_Cutoffs(), default="10,20,100", show_default=True, help="Lengths of lists.")
@click.option("--families", default="all", show_default=True, help="Names with commas, or all.")
@click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), default=1, show_default=True, help="Seed of chance."
)
@time_budget_option
@off_policy_options
@json_option
@click.pass_context
def evaluate(
    context: click.Context,
    train_path: Path | None,
    test_path: Path | None,
    event_paths: tuple[Path, ...],
    since: datetime | None,
    items: Path | None,
    mapping: Path | None,
    cutoffs: tuple[int, ...],
    families: str,
    seed: int,
    time_budget: float | None,
    logged: Path | None,
    target: str | None,
    columns: DecisionColumns,
    clip: float,
    as_json: bool,
) -> None:
    """Learn from one file and measure on another, or by replay.

    Full ranking: every item is ranked for every customer, what the customer had in training is masked.
    Where the mapping says that the items are of a kind that the policy lets customers have again, as it does
    offers, nothing is masked, and to be found is what they took up, first-time or not: what they accepted,
    or did with it what says as much. The choice among the models is made on the training file alone.

    With --events and --prequential-from: in the order of time, every first-time interaction from that day on
    with an item that had an event before is ranked among all such items from what was known just before it.
    Half-lives and weights are chosen on what came before that day.

    With --logged and --target: what another policy would have earned, by IPS, SNIPS, DR and with clipped
    weights, or the reason why the log cannot tell.
    """
    if logged is not None:
        _check_options(context, lambda name: name in _OF_LOGGED, "does not go with --logged.")
        report_off_policy(logged, target, columns, clip, as_json=as_json)
        return
    _check_options(
        context,
        lambda name: name not in _OF_LOGGED_ALONE,
        "goes with --logged: name a file of logged decisions.",
    )
    if since is not None:
        _check_replay(context, event_paths)
        files = Files(events=event_paths, mapping=mapping, items=items)
        replayed = report_replay(files, since, seed=seed)
        (print_replay if as_json else tell_replay)(*replayed, since)
        return
    if event_paths:
        raise click.UsageError(
            "--events is for a replay: say from when on to judge with --prequential-from DATE."
        )
    if train_path is None or test_path is None:
        missing = "--train" if train_path is None else "--test"
        raise click.UsageError(
            f"Missing option '{missing}': give --train and --test, or --events and --prequential-from."
        )
    wanted, kind = _families(families), default_kind(load_mapping(mapping))
    settings = settings_with()
    policy = load_policy(settings.policy_file)
    with progress_bar() as progress:
        histories = {"train": train_path, "test": test_path}
        read = [_read(path, what, mapping, policy, settings, progress) for what, path in histories.items()]
        only_items = Files(mapping=mapping, items=items)
        described = read_files(only_items, settings, policy, as_of=now(), progress=progress)
        train, test = (history.table for history in read)
        selection = select_model(
            wanted,
            split(train, policy, kind, seed=seed),
            item_categories=lambda matrix: _categories(matrix, described.items, kind),
            seed=seed,
            progress=progress,
            budget=Budget(time_budget, time.perf_counter),
        )
        learned, held_out = _measured_on(train, test, policy, kind)
        categories = _categories(learned, described.items, kind)
        judge = Judge(learned, held_out, item_categories=categories, seed=seed, progress=progress)
        recipes = [one.recipe for one in selection.tried] or [selection.chosen]
        tried = judge.measure(recipes, tuple(sorted({*cutoffs, _PRIMARY_CUTOFF})))
    reports = [*(history.report for history in read), *described.reports]
    if as_json:
        print_json(
            {
                "families": families_json(tried),
                "chosen": selection.chosen.name,
                "why": selection.why,
                "selected_on": selection.holdout,
                "measured_on": held_out.description,
                **selection_json(selection),
                "rejects": rejects_json(reports),
            }
        )
        return
    tell_rejects(reports)
    tell_table(metrics_table(f"Measured on {test_path.name}", tried, selection.chosen.name))
    say(f"measured on {held_out.description}")
    say(f"chosen on the training file alone: {selection.why}")
    tell_cost(selection)


def _check_options(context: click.Context, is_read: Callable[[str], bool], rule: str) -> None:
    """Refuse an option on the command line that is not read."""
    for parameter in context.command.params:
        name = parameter.name or ""
        if not is_read(name) and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{parameter.opts[0]} {rule}")


def _check_replay(context: click.Context, event_paths: tuple[Path, ...]) -> None:
    """Refuse what a replay does not read, and a replay of nothing."""
    for name, option in _NOT_OF_A_REPLAY.items():
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(
                f"{option} does not go with --prequential-from: a replay reads --events alone."
            )
    if not event_paths:
        raise click.UsageError("--prequential-from replays a file of events: name it with --events PATH.")


def _families(names: str) -> tuple[Family, ...]:
    known = [family.name for family in (*FAMILIES, *OPTIONAL_FAMILIES)]
    wanted = () if names == "all" else tuple(name.strip() for name in names.split(","))
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join(known)}", param_hint="--families")
    return families_named(wanted)


def _read(
    path: Path, what: str, mapping: Path | None, policy: Policy, settings: Settings, progress: Progress
) -> History:
    started = now()
    return read_interactions(
        [path],
        load_mapping(mapping),
        policy,
        rejects_path=rejects_file(settings, started, what),
        as_of=started,
        progress=progress,
    )


def _categories(matrix: InteractionMatrix, items: Sequence[Item], kind: ItemKind) -> NDArray[np.int64] | None:
    """The row of each item's category, -1 for none: (n_items,). None where no item has one."""
    names = sorted({item.category for item in items if item.category})
    return category_rows(complete_catalogue(matrix.item_ids, items, kind), names) if names else None


def _measured_on(
    train: InteractionTable, test: InteractionTable, policy: Policy, kind: ItemKind
) -> tuple[InteractionMatrix, HeldOut]:
    """The whole training file, and what its customers are to find of the test file."""
    learned = recounted(build_matrix(train, policy, as_of=None), kind, train, policy, as_of=None)
    held_out = held_out_later(learned, test, policy, kind, "in the test file")
    if held_out is None or not held_out.relevant.nnz:  # A row of zeros would say that the models are bad.
        raise TrainingError(
            "too few customers of the training file have new items in the test file to measure anything; "
            "check that both name customers and items in the same way"
        )
    return learned, held_out
