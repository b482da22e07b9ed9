"""How runs are reported: tables for a person, one object for a program."""

from __future__ import annotations

import resource
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.segment import Segments
from rich.table import Table

from recsvc.bundles.manifest import PRIMARY_METRIC
from recsvc.cli.terminal import say, stderr

if TYPE_CHECKING:  # Whoever only looks at models must not wait until all that trains them is loaded.
    from recsvc.history.rejects import RejectionReport
    from recsvc.training.evaluation import Evaluation
    from recsvc.training.selection import Selection
    from recsvc.training.trials import Tried

_SHOWN = ("recall@20", "ndcg@20", "mrr@20", "hit_rate@20")  # The rest is in the JSON.
_SHOWN_OF_CATALOGUE = ("coverage@20", "gini@20", "novelty@20", "intra_list_diversity@20")
_MOST_COLUMNS = 110  # Of a table.
_HEADINGS = {"hit_rate": "hit", "intra_list_diversity": "diversity"}


def metrics_table(title: str, tried: Sequence[Tried], chosen: str) -> Table:
    """One row a family; the chosen one is marked. Without categories there is no column of diversity."""
    of_catalogue = [
        name for name in _SHOWN_OF_CATALOGUE if all(name in one.evaluation.catalogue for one in tried)
    ]
    table = Table(
        title=f"{title}, lists of 20",
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    table.add_column("model", no_wrap=True)
    for name in (*_SHOWN, *of_catalogue, "CPU s"):
        metric = name.split("@")[0]
        table.add_column(_HEADINGS.get(metric, metric), justify="right", no_wrap=True)
    for one in tried:
        accuracy = [f"{one.evaluation.accuracy[name].value:.4f}" for name in _SHOWN]
        whole = [f"{one.evaluation.catalogue[name]:.3f}" for name in of_catalogue]
        mark = "→ " if one.name == chosen else "  "
        table.add_row(f"{mark}{one.name}", *accuracy, *whole, f"{one.cpu_seconds:.1f}")
    return table


def families_json(tried: Sequence[Tried]) -> Mapping[str, Mapping[str, object]]:
    """Every metric of every model, with intervals under `intervals`; `seconds` is CPU time of the fit."""
    return {one.name: {**_plain(one.evaluation), "seconds": round(one.cpu_seconds, 3)} for one in tried}


def selection_json(selection: Selection) -> Mapping[str, object]:
    """What the chosen model is made of, everything that was tried for it, and what that cost in CPU time."""
    return {
        "parts": [{"family": family.name, "weight": weight} for family, weight in selection.chosen.parts],
        "trials": [
            {
                "family": one.family,
                "parameters": one.parameters,
                PRIMARY_METRIC: round(one.score.value, 6),
                "interval": (round(one.score.low, 6), round(one.score.high, 6)),
                "fit_cpu_seconds": one.fit_seconds,
                "judge_cpu_seconds": one.judge_seconds,
            }
            for one in selection.trials
        ],
        "selection_cpu_seconds": selection.cpu_seconds,
        "selection_in_als_fits": _in_als_fits(selection),
    }


def tell_cost(selection: Selection) -> None:
    """Say what selection cost, in CPU time and in fits of ALS."""
    fits = _in_als_fits(selection)
    in_fits = f", as much as {fits:.1f} fits of ALS" if fits else ""
    say(f"selection looked at {len(selection.trials)} settings in {selection.cpu_seconds:.1f} CPU s{in_fits}")


def peak_memory_bytes() -> int:
    """The most memory that this process has had in use so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux kilobytes.


def rejects_json(reports: Sequence[RejectionReport]) -> Mapping[str, object]:
    """What was rejected while reading, over all files."""
    reasons: Counter[str] = Counter()
    for report in reports:
        reasons.update(dict(report.reasons))
    paths = [str(report.path) for report in reports if report.path]
    return {
        "count": sum(report.n_rejected for report in reports),
        "path": paths[-1] if paths else None,
        "reasons": dict(reasons.most_common()),
    }


def tell_rejects(reports: Sequence[RejectionReport]) -> None:
    """Say what was read, guessed, dropped and rejected."""
    for report in reports:
        parts = [f"read {report.n_rows:,} rows"]
        parts += [f"{report.n_duplicates:,} duplicates dropped"] if report.n_duplicates else []
        parts += [f"{report.n_rejected:,} rejected, see {report.path}"] if report.n_rejected else []
        say(", ".join(parts))
        for guess in report.guesses:
            say(f"  {guess}")


def tell_table(table: Table) -> None:
    """Print a table on standard error. In a narrower terminal its lines wrap: no figure is cut."""
    wide = stderr.options.update(max_width=max(stderr.width, _MOST_COLUMNS), no_wrap=True, overflow="ignore")
    stderr.print(Segments(stderr.render(table, wide)))


def _in_als_fits(selection: Selection) -> float | None:
    one_fit = selection.als_fit_seconds
    return round(selection.cpu_seconds / one_fit, 2) if one_fit else None


def _plain(evaluation: Evaluation) -> dict[str, object]:
    accuracy = {name: round(one.value, 6) for name, one in evaluation.accuracy.items()}
    intervals = {name: (round(one.low, 6), round(one.high, 6)) for name, one in evaluation.accuracy.items()}
    catalogue = {name: round(value, 6) for name, value in evaluation.catalogue.items()}
    return {**accuracy, **catalogue, "intervals": intervals}
