"""`recsvc evaluate --logged`: what another policy would have earned, from decisions that were logged.

The service's own answers carry a propensity for every item. It keeps no log of its decisions yet, so that a
front end that wants this logs what it was answered and what came of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from recsvc.cli.reports import tell_table
from recsvc.cli.terminal import print_json, say
from recsvc.errors import HistoryError, SourceError
from recsvc.experimentation.off_policy import (
    Estimate,
    Logged,
    Support,
    clipped,
    doubly_robust,
    inverse_propensity,
    self_normalised,
    support_of,
    switch_doubly_robust,
)
from recsvc.experimentation.reward_models import expected_rewards
from recsvc.history.decisions import PROBABILITY, DecisionColumns, Decisions, has_column, read_decisions

UNIFORM = "uniform"
MAX_CELLS = 20_000_000
_COLUMNS = ("action", "position", "propensity", "reward", "unit", "row", "probability", "context")
Places = Mapping[str, int]


class _Columns(click.ParamType[DecisionColumns]):
    name = "names"

    def convert(
        self, value: object, param: click.Parameter | None, context: click.Context | None
    ) -> DecisionColumns:
        if isinstance(value, DecisionColumns):
            return value
        given: dict[str, Any] = {}
        for pair in filter(None, str(value).split(",")):
            name, _, column = pair.partition("=")
            if name not in _COLUMNS or not column:
                self.fail(f"{pair!r} is none of {', '.join(_COLUMNS)} with = and a column", param, context)
            if name != "context" and name in given:
                self.fail(f"{name} is given twice", param, context)
            given[name] = (*given.get("context", ()), column) if name == "context" else column
        return DecisionColumns(**given)


def off_policy_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of an estimate from logged decisions."""
    options = (
        click.option(
            "--logged",
            type=click.Path(path_type=Path),
            help="File of logged decisions with propensities: estimate what --target would have earned.",
        ),
        click.option(
            "--target",
            metavar="uniform|FILE",
            help="The other policy: uniform, a log whose shares of actions are it, or a file with a column "
            "probability.",
        ),
        click.option(
            "--columns",
            type=_Columns(),
            default="",
            metavar="NAME=COLUMN,…",
            help="Columns of --logged and --target: action, propensity, reward (so called when not named), "
            "position, context (may be repeated), unit, row, probability.",
        ),
        click.option(
            "--clip",
            type=click.FloatRange(1, 1_000_000),
            default=10.0,
            show_default=True,
            help="Largest weight of clipped and switched estimates of --logged.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def report_off_policy(
    path: Path, target: str | None, columns: DecisionColumns, clip: float, *, as_json: bool
) -> None:
    """Estimate and print. Ends with exit code 1 and the reason where the support is poor."""
    if target is None:
        raise click.UsageError("--logged needs --target: uniform, or a file that tells the other policy.")
    decisions = read_decisions(path, columns, ("propensity", "reward"))
    logged = _logged(decisions, target, columns)
    support = support_of(logged)
    estimates = {} if support.refusal else _estimates(logged, clip)
    if as_json:
        print_json(_as_json(decisions, logged, target, support, estimates))
    else:
        _tell(decisions, logged, target, support, estimates)
    if support.refusal:
        raise HistoryError(f"no estimate: {support.refusal}")


def _logged(decisions: Decisions, target: str, columns: DecisionColumns) -> Logged:
    policy = None if target == UNIFORM else _read_policy(Path(target), columns)
    actions = _places(decisions.actions, policy.actions if policy else np.array([], object))
    strata, keys = _places(decisions.strata), _places(decisions.keys)
    n = len(decisions.actions)
    if n * len(actions) > MAX_CELLS:
        raise SourceError(f"{n:,} decisions of {len(actions):,} actions are too many: estimate from a sample")
    rows = np.array([actions[one] for one in decisions.actions])
    stratum_rows = np.array([strata[one] for one in decisions.strata])
    key_rows = np.array([keys[one] for one in decisions.keys])
    if policy is None:
        shares = np.full((len(keys), len(actions)), 1 / len(actions))
    else:
        shares = _shares(policy, actions, keys, target)
    rewards = decisions.numbers["reward"]
    expected = expected_rewards(rewards, rows, stratum_rows, len(actions), decisions.units)
    return Logged(
        rewards,
        rows,
        decisions.numbers["propensity"],
        shares[key_rows],
        expected,
        stratum_rows,
        decisions.units,
    )


def _read_policy(path: Path, columns: DecisionColumns) -> Decisions:
    is_told = has_column(path, columns.probability)
    plain = replace(columns, unit=None, row=columns.row if is_told else None)
    return read_decisions(path, plain, (PROBABILITY,) if is_told else ())


def _shares(policy: Decisions, actions: Places, keys: Places, target: str) -> NDArray[np.float64]:
    """What the policy does at each key of the log: (n_keys, n_actions), rows sum to 1."""
    told = policy.numbers.get(PROBABILITY)
    shares = np.zeros((len(keys), len(actions)))
    for number, (action, key) in enumerate(zip(policy.actions, policy.keys, strict=True)):
        if key in keys:
            shares[keys[key], actions[action]] += 1.0 if told is None else told[number]
    sums = shares.sum(axis=1)
    for key, place in keys.items():
        label = key.replace("\x1f", ", ")
        if sums[place] == 0:
            raise SourceError(f"{target} says nothing of {label}, which the log has: complete it")
        if told is not None and abs(sums[place] - 1) > 1e-6:
            raise SourceError(f"the probabilities of {target} for {label} sum to {sums[place]:g}: make it 1")
    normalised: NDArray[np.float64] = shares / sums[:, None]
    return normalised


def _places(*texts: NDArray[np.object_]) -> Places:
    names = sorted({one for part in texts for one in part.tolist()})
    return {name: place for place, name in enumerate(names)}


def _estimates(logged: Logged, clip: float) -> Mapping[str, Estimate]:
    return {
        "ips": inverse_propensity(logged),
        "snips": self_normalised(logged),
        "dr": doubly_robust(logged),
        "clipped_ips": clipped(logged, clip),
        "switch_dr": switch_doubly_robust(logged, clip),
    }


def _as_json(
    decisions: Decisions,
    logged: Logged,
    target: str,
    support: Support,
    estimates: Mapping[str, Estimate],
) -> Mapping[str, object]:
    return {
        "target": target,
        "decisions": len(logged.rewards),
        "left_out": decisions.n_left_out,
        "actions": logged.target.shape[1],
        "logged_mean": float(logged.rewards.mean()),
        "support": {
            "effective_sample": support.effective_sample,
            "largest_weight": support.largest_weight,
            "largest_share": support.largest_share,
            "unsupported": support.unsupported,
        },
        "refusal": support.refusal,
        "estimates": {
            name: {
                "value": one.value,
                "interval": [one.cautious.low, one.cautious.high],
                "normal_interval": [one.interval.low, one.interval.high],
            }
            for name, one in estimates.items()
        }
        or None,
    }


def _tell(
    decisions: Decisions,
    logged: Logged,
    target: str,
    support: Support,
    estimates: Mapping[str, Estimate],
) -> None:
    say(f"read {len(logged.rewards):,} decisions, {decisions.n_left_out:,} left out")
    say(f"mean reward as logged: {logged.rewards.mean():.6g}")
    say(
        f"worth {support.effective_sample:,.0f} decisions of {target}; largest weight "
        f"{support.largest_weight:.4g}, {support.largest_share:.1%} of all; "
        f"{support.unsupported:.1%} of what it does was never logged"
    )
    if not estimates:
        return
    table = Table(title=f"Mean reward of {target}")
    for heading in ("estimate", "value", "95 % interval", "normal interval"):
        table.add_column(heading, justify="left" if heading == "estimate" else "right")
    for name, one in estimates.items():
        intervals = (f"{each.low:.6g} to {each.high:.6g}" for each in (one.cautious, one.interval))
        table.add_row(name, f"{one.value:.6g}", *intervals)
    tell_table(table)
