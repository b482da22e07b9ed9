"""`recsvc evaluate --prequential-from`: a history replayed event by event, and how it is reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import click
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from recsvc.bundles.manifest import Measured
from recsvc.cli.reports import rejects_json, tell_rejects, tell_table
from recsvc.cli.sources import Files, read_files, to_train_on
from recsvc.cli.terminal import print_json, progress_bar, say, settings_with
from recsvc.clock_and_ids import now
from recsvc.history.rejects import RejectionReport
from recsvc.policy import load_policy
from recsvc.training.prequential.exposure import Exposure
from recsvc.training.prequential.judging import PartReport, PrequentialReport, judge_from

_FIGURES = ("hit@10", "ndcg@10", "mrr")


class Moment(click.ParamType[datetime]):
    """A day, or a time of one, in UTC where it names no offset."""

    name = "date"

    def convert(
        self, value: object, param: click.Parameter | None, context: click.Context | None
    ) -> datetime:
        try:
            moment = datetime.fromisoformat(str(value).strip())
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is no date; give a day such as 2017-01-01, or a time such as 2017-01-01T06:00Z",
                param,
                context,
            )


def report_replay(
    files: Files, since: datetime, *, seed: int
) -> tuple[PrequentialReport, Sequence[RejectionReport]]:
    """Read events, and items if any, and judge what comes from a moment on.

    Raises HistoryError, SourceError, TrainingError.
    """
    settings = settings_with()
    policy = load_policy(settings.policy_file)
    with progress_bar() as progress:
        parts = read_files(files, settings, policy, as_of=now(), progress=progress)
        report = judge_from(
            to_train_on(parts, files.mapping).table,
            policy,
            since,
            categories={one.item_id: one.category for one in parts.items if one.category},
            rng=np.random.default_rng(seed),
            progress=progress,
        )
    return report, parts.reports


def print_replay(report: PrequentialReport, rejected: Sequence[RejectionReport], since: datetime) -> None:
    """The report as one JSON object on standard output."""
    model = report.model
    print_json(
        {
            "prequential": {
                "n": report.n_judged,
                **_values(report.blend),
                **{name: round(value, 6) for name, value in _exposed(report.exposure).items()},
                "half_life_days": round(model.half_life_days, 6),
                "long_half_life_days": round(model.long_half_life_days, 6),
                "from": since.isoformat(),
                "learned_from": report.n_learned,
                "intervals": _intervals(report.blend),
                "parts": {name: _part_json(part) for name, part in report.parts.items()},
            },
            "rejects": rejects_json(rejected),
        }
    )


def tell_replay(report: PrequentialReport, rejected: Sequence[RejectionReport], since: datetime) -> None:
    """The report as a table for a person, on standard error."""
    tell_rejects(rejected)
    title = f"{report.n_judged:,} first-time interactions from {since:%Y-%m-%d} on"
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    table.add_column("part", no_wrap=True)
    exposed = {name.split("@")[0].split("_")[-1]: value for name, value in _exposed(report.exposure).items()}
    for name in (*_FIGURES, "weight", "adds ndcg@10", *exposed):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_row("→ blend", *_cells(report.blend), "", "", *(f"{value:.3f}" for value in exposed.values()))
    for name, part in report.parts.items():
        gain = part.gain["ndcg@10"]
        gained = f"{gain.value:+.4f} ± {(gain.high - gain.low) / 2:.4f}"
        table.add_row(f"  {name}", *_cells(part.alone), f"{part.weight:.3f}", gained if part.weight else "–")
    tell_table(table)
    model, ndcg = report.model, report.blend["ndcg@10"]
    say(
        f"ndcg@10 of the blend: {ndcg.low:.4f} to {ndcg.high:.4f} (95 %); a part's figures are of it alone, "
        "what it adds of the blend with it and without"
    )
    say(f"{', '.join(exposed)}: of the first ten of the blend, over all items that had an event by the end")
    say(
        f"chosen on the {report.n_learned:,} first-time interactions before: half-lives of "
        f"{model.half_life_days * 24:.3g} hours and {model.long_half_life_days:.3g} days, and the weights"
    )


def _values(figures: Mapping[str, Measured]) -> Mapping[str, float]:
    return {name: round(figures[name].value, 6) for name in _FIGURES}


def _intervals(figures: Mapping[str, Measured]) -> Mapping[str, tuple[float, float]]:
    return {name: (round(figures[name].low, 6), round(figures[name].high, 6)) for name in _FIGURES}


def _part_json(part: PartReport) -> Mapping[str, object]:
    return {
        **_values(part.alone),
        "intervals": _intervals(part.alone),
        "weight": round(part.weight, 6),
        "gain": {**_values(part.gain), "intervals": _intervals(part.gain)},
    }


def _exposed(exposure: Exposure) -> Mapping[str, float]:
    """By name; diversity only where it is known."""
    told = {"coverage@10": exposure.coverage, "gini@10": exposure.gini, "novelty@10": exposure.novelty}
    of_lists = {} if exposure.diversity is None else {"intra_list_diversity@10": exposure.diversity}
    return {**told, **of_lists}


def _cells(figures: Mapping[str, Measured]) -> Sequence[str]:
    return [f"{figures[name].value:.4f}" for name in _FIGURES]
