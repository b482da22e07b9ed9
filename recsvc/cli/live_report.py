"""How it is told what live parts count. In: what a training chose. Out: rows of a table, JSON, a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table

from recsvc.bundles.manifest import LiveFacts, Measured
from recsvc.cli.reports import tell_table
from recsvc.cli.terminal import say
from recsvc.domain.items import ItemKind

if TYPE_CHECKING:  # Whoever only looks at models must not wait until all that trains them is loaded.
    from recsvc.training.live_parts import LiveChoice

_FIGURES = ("hit@10", "ndcg@10", "mrr")
_MARKED = "blend"
_NAMES = {ItemKind.CONTENT: "content", ItemKind.OFFER: "offers"}


def live_json(choice: LiveChoice) -> Mapping[str, object]:
    """Why, and what was chosen: null where the trained model serves alone."""
    return {"why": choice.why, "chosen": choice.facts and _facts_json(choice.facts)}


def tell_live(choice: LiveChoice) -> None:
    """Say it to a person, on standard error."""
    say(choice.why)
    if choice.facts:
        tell_table(_figures_table(choice.facts))
        for name, told in live_rows(choice.facts)[:3]:
            say(f"{name}: {told}")


def live_rows(live: LiveFacts | None) -> Sequence[tuple[str, str]]:
    """What a sheet of a model says of its live parts: a name and a text a row."""
    if live is None:
        return (("live parts", "none: the trained model serves alone"),)
    weights = {**live.weights, "trained score": live.trained_weight}
    return (
        ("live parts", f"rank {_NAMES[live.kind]}; what else there is, the trained model ranks alone"),
        ("half-lives", f"{_in_words(live.half_life_days)} and {_in_words(live.long_half_life_days)}"),
        ("live weights", ", ".join(f"{name} {weight:.3g}" for name, weight in weights.items() if weight)),
        *((f"ndcg@10 live, {name}", _interval(one["ndcg@10"])) for name, one in live.metrics.items()),
    )


def _figures_table(live: LiveFacts) -> Table:
    table = Table(
        title=f"Judged on the last third of {live.n_learned:,} first-time interactions, replayed",
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    table.add_column("ranked by", no_wrap=True)
    for name in _FIGURES:
        table.add_column(name, justify="right", no_wrap=True)
    for name, figures in live.metrics.items():
        mark = "→ " if name == _MARKED else "  "
        table.add_row(f"{mark}{name}", *(f"{figures[one].value:.4f}" for one in _FIGURES))
    return table


def _facts_json(live: LiveFacts) -> Mapping[str, object]:
    return {
        "kind": live.kind,
        "half_life_days": live.half_life_days,
        "long_half_life_days": live.long_half_life_days,
        "weights": live.weights,
        "trained_weight": live.trained_weight,
        "learned_from": live.n_learned,
        "metrics": {name: _figures_json(figures) for name, figures in live.metrics.items()},
    }


def _figures_json(figures: Mapping[str, Measured]) -> Mapping[str, object]:
    return {
        **{name: round(one.value, 6) for name, one in figures.items()},
        "intervals": {name: (round(one.low, 6), round(one.high, 6)) for name, one in figures.items()},
    }


def _in_words(days: float) -> str:
    """A time in hours where it is under two days."""
    return f"{days * 24:.3g} hours" if days < 2 else f"{days:.3g} days"


def _interval(one: Measured) -> str:
    return f"{one.value:.4f} ({one.low:.4f} to {one.high:.4f})"
