"""`recsvc evaluate`: how good the models are, learned from one file and measured on another."""

from __future__ import annotations

import re
from pathlib import Path

import click
import numpy as np

from recsvc.bootstrap import now
from recsvc.cli.reports import families_json, metrics_table, rejects_json, tell_rejects, tell_table
from recsvc.cli.sources import rejects_file
from recsvc.cli.terminal import json_option, print_json, progress_bar, say, settings_with
from recsvc.errors import TrainingError
from recsvc.history.interactions import InteractionTable
from recsvc.history.mapping import load_mapping
from recsvc.history.matrix import build_matrix
from recsvc.history.readers import History, read_interactions
from recsvc.policy import Policy, load_policy
from recsvc.settings import Settings
from recsvc.training.evaluation import PRIMARY_METRIC
from recsvc.training.families import FAMILIES, families_named
from recsvc.training.families.base import Family
from recsvc.training.holdout import held_out_from, split
from recsvc.training.selection import Judge, Progress, Selection, Tried, select_model

_NUMBER = re.compile(r"[0-9]{1,4}")


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
    epilog="\b\nExample:\n  recsvc evaluate --train train.parquet --test test.parquet --cutoffs 10,20\n"
)
@click.option(
    "--train", "train_path", type=click.Path(path_type=Path), required=True, help="File to learn from."
)
@click.option(
    "--test", "test_path", type=click.Path(path_type=Path), required=True, help="File to measure on."
)
@click.option("--mapping", type=click.Path(path_type=Path), help="TOML file that says which column is what.")
@click.option("--cutoffs", type=_Cutoffs(), default="10,20,100", show_default=True, help="Lengths of lists.")
@click.option("--families", default="all", show_default=True, help="Names with commas, or all.")
@click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), default=1, show_default=True, help="Seed of chance."
)
@json_option
def evaluate(
    train_path: Path,
    test_path: Path,
    mapping: Path | None,
    cutoffs: tuple[int, ...],
    families: str,
    seed: int,
    as_json: bool,
) -> None:
    """Learn from one file of interactions and measure on another.

    Full ranking: every item is ranked for every customer, what the customer had in training is masked.
    The choice among the models is made on the training file alone.
    """
    wanted = _families(families)
    settings = settings_with()
    policy = load_policy(settings.policy_file)
    with progress_bar() as progress:
        files = {"train": train_path, "test": test_path}
        read = [_read(path, what, mapping, policy, settings, progress) for what, path in files.items()]
        train, test = (history.table for history in read)
        selection = select_model(
            wanted,
            split(train, policy, np.random.default_rng(seed)),
            item_categories=lambda matrix: None,
            seed=seed,
            progress=progress,
        )
        tried = _measure(selection, wanted, train, test, policy, cutoffs, seed, progress)
    reports = [history.report for history in read]
    if as_json:
        print_json(
            {
                "families": families_json(tried),
                "chosen": selection.chosen.name,
                "why": selection.why,
                "selected_on": selection.holdout,
                "rejects": rejects_json(reports),
            }
        )
        return
    tell_rejects(reports)
    tell_table(metrics_table(f"Measured on {test_path.name}", tried, selection.chosen.name))
    say(f"chosen on the training file alone: {selection.why}")


def _families(names: str) -> tuple[Family, ...]:
    known = [family.name for family in FAMILIES]
    wanted = tuple(known) if names == "all" else tuple(name.strip() for name in names.split(","))
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


def _measure(
    selection: Selection,
    families: tuple[Family, ...],
    train: InteractionTable,
    test: InteractionTable,
    policy: Policy,
    cutoffs: tuple[int, ...],
    seed: int,
    progress: Progress,
) -> tuple[Tried, ...]:
    """Every family on the test file; with popularity beside it as selection weighed it."""
    learned, asked = build_matrix(train, policy, as_of=None), build_matrix(test, policy, as_of=None)
    held_out = held_out_from(learned, asked, "the test file")
    if held_out is None or not held_out.relevant.nnz:  # A row of zeros would say that the models are bad.
        raise TrainingError(
            "too few customers of the training file have new items in the test file to measure anything; "
            "check that both name customers and items in the same way"
        )
    cutoffs = tuple(sorted({*cutoffs, int(PRIMARY_METRIC.split("@")[1])}))
    judge = Judge(learned, held_out, item_categories=None, seed=seed, progress=progress, cutoffs=cutoffs)
    weights = {
        family.name: [
            one.candidate.popularity_weight for one in selection.tried if one.candidate.family == family
        ]
        for family in families
    }
    return tuple(
        outcome for family in families for outcome in judge.judge(family, weights[family.name] or [0.0])
    )
