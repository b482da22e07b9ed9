"""Decide when customers come by. In: how many, how busy. Out: each one's lifecycle stage, and all visits.

A visit is a customer on a channel at a moment. Each customer has a rhythm of their own, from one visit in
weeks to one a day; a stage shows in how long the customer has been silent, measured by that rhythm.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from recsvc.domain.items import Channel
from recsvc.sample_bank.timeline import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    FloatArray,
    IntArray,
    Window,
    at_waking_hours,
)

CHANNELS: tuple[Channel, ...] = tuple(Channel)
LAST_VISIT_MS = 30 * MINUTE_MS  # No visit starts later than this before the end, so that its events fit in.

_ACTIVITY_EXPONENT = 1.5
_REGULARITY = 3.0
_MIN_GAP_DAYS = 0.8
_REFERENCE_DAYS = 90
_CHANNEL_WEIGHTS = {
    Channel.WEB: 4.0,
    Channel.MOBILE: 5.0,
    Channel.EMAIL: 1.6,
    Channel.SMS: 0.35,
    Channel.PUSH: 1.0,
    Channel.CALL_CENTRE: 0.45,
    Channel.BRANCH: 0.5,
}


class Stage(StrEnum):
    """Where a customer stands with the bank, as the generator meant it.

    new: came first within the last 25 days. active: last came within one own gap between visits.
    at_risk: silent for 3 to 5 own gaps, 9 to 28 days. dormant: silent for 32 to 55 days. churned: silent
    for 60 to 80. All but active visit often before. Days are for a window of 90, and scale with it.
    """

    NEW = "new"
    ACTIVE = "active"
    AT_RISK = "at_risk"
    DORMANT = "dormant"
    CHURNED = "churned"


STAGES: tuple[Stage, ...] = tuple(Stage)
_STAGE_SHARES = (0.10, 0.60, 0.12, 0.10, 0.08)
# The longest gap at which the stage can still be told, in days: a silence must stand out against it.
_STAGE_MAX_GAP = np.array([5.0, 30.0, 6.0, 8.0, 5.0])


@dataclass(frozen=True, slots=True)
class Visits:
    """All visits in order of time."""

    customer_row: IntArray
    at_ms: IntArray
    channel_row: IntArray  # row in CHANNELS

    def on(self, *channels: Channel) -> IntArray:
        """The rows of the visits on these channels."""
        return np.flatnonzero(np.isin(self.channel_row, [CHANNELS.index(channel) for channel in channels]))


def draw_stages(n_customers: int, n_show: int, rng: np.random.Generator) -> IntArray:
    """A lifecycle stage for each customer, as rows in STAGES; the show customers are active."""
    stage = rng.choice(len(STAGES), n_customers, p=_STAGE_SHARES)
    stage[:n_show] = STAGES.index(Stage.ACTIVE)
    return stage.astype(np.int64)


def draw_visits(
    stage: IntArray, n_show: int, n_visits: int, window: Window, rng: np.random.Generator
) -> Visits:
    """About `n_visits` visits of customers in these stages."""
    n = len(stage)
    scale = window.n_days / _REFERENCE_DAYS
    span_start, span_factor = _first_days(stage, rng)
    gap = _gaps(stage, span_factor, n_show, n_visits, rng)
    silence = _silences(stage, gap, rng)
    customer_row, ago_days = _renewals(gap, silence, _REFERENCE_DAYS - span_start, rng)
    hour = _visiting_hours(n, customer_row, rng)
    latest = window.end_ms - LAST_VISIT_MS
    at_ms = at_waking_hours(window.end_ms - (ago_days * scale * DAY_MS).astype(np.int64), hour, latest)
    channel_row = _channels(n, customer_row, rng)
    show_row = np.arange(n_show)
    customer_row = np.concatenate([customer_row, show_row])
    at_ms = np.concatenate([at_ms, latest - rng.integers(0, 2 * HOUR_MS, n_show)])
    channel_row = np.concatenate([channel_row, show_row % 2])
    order = np.argsort(at_ms, kind="stable")
    order = order[at_ms[order] >= window.start_ms]
    return Visits(customer_row[order], at_ms[order], channel_row[order])


def _first_days(stage: IntArray, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """The first day that each customer may come on, and the share of the window they are around for."""
    first = np.where(stage == STAGES.index(Stage.NEW), rng.uniform(66, 84, len(stage)), 0.0)
    last = np.array([90.0, 90.0, 75.0, 47.0, 20.0])[stage]
    return first, (last - first) / _REFERENCE_DAYS


def _gaps(
    stage: IntArray, span_factor: FloatArray, n_show: int, n_visits: int, rng: np.random.Generator
) -> FloatArray:
    """Days between visits: a power law of activity, scaled so that the visits add up to about `n_visits`."""
    activity = 1 + rng.pareto(_ACTIVITY_EXPONENT, len(stage))
    longest = _STAGE_MAX_GAP[stage]
    longest[:n_show] = 2.5

    def gaps(scale: float) -> FloatArray:
        return np.clip(_REFERENCE_DAYS / (scale * activity), _MIN_GAP_DAYS, longest)

    low, high = 1e-3, 1e3
    for _ in range(40):
        middle = float(np.sqrt(low * high))
        too_few = float((span_factor * _REFERENCE_DAYS / gaps(middle)).sum()) < n_visits
        low, high = (middle, high) if too_few else (low, middle)
    return gaps(low)


def _silences(stage: IntArray, gap: FloatArray, rng: np.random.Generator) -> FloatArray:
    """How many days before the end each customer came last."""
    n = len(stage)
    own = rng.random(n) * gap
    at_risk = np.clip(rng.uniform(3, 5, n) * gap, 9, 28)
    choices = np.stack([own, own, at_risk, rng.uniform(32, 55, n), rng.uniform(60, 80, n)])
    silence: FloatArray = choices[stage, np.arange(n)]
    return silence


def _renewals(
    gap: FloatArray, silence: FloatArray, first_ago: FloatArray, rng: np.random.Generator
) -> tuple[IntArray, FloatArray]:
    """Walk back from each last visit, gap by gap, to the first: (customer_row, days before the end)."""
    n_steps = np.ceil(np.maximum(first_ago - silence, 0) / gap * 1.3).astype(np.int64) + 4
    customer_row = np.repeat(np.arange(len(gap)), n_steps)
    steps = rng.gamma(_REGULARITY, gap[customer_row] / _REGULARITY)
    is_last_visit = np.cumsum(n_steps) - n_steps
    steps[is_last_visit] = silence
    total = np.cumsum(steps)
    ago = total - np.repeat(total[is_last_visit] - silence, n_steps)
    is_last = np.zeros(len(ago), bool)
    is_last[is_last_visit] = True
    kept = is_last | (ago <= first_ago[customer_row])
    return customer_row[kept], ago[kept]


def _visiting_hours(n: int, customer_row: IntArray, rng: np.random.Generator) -> FloatArray:
    """Each customer has an hour of the day that they prefer."""
    preferred = rng.choice([8.0, 12.5, 18.0, 20.5], n, p=[0.25, 0.2, 0.3, 0.25])
    hour: FloatArray = np.clip(preferred[customer_row] + rng.normal(0, 1.6, len(customer_row)), 5.5, 23.4)
    return hour


def _channels(n: int, customer_row: IntArray, rng: np.random.Generator) -> IntArray:
    """Each customer has channels that they prefer."""
    weights = np.array([_CHANNEL_WEIGHTS[channel] for channel in CHANNELS])
    preference = rng.dirichlet(weights, n).cumsum(axis=1)
    drawn = (preference[customer_row] < rng.random((len(customer_row), 1))).sum(axis=1)
    channel_row: IntArray = np.minimum(drawn, len(CHANNELS) - 1)
    return channel_row
