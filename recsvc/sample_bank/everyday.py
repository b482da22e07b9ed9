"""Let customers do what they do anyway. In: visits. Out: payments, surveys, complaints, unsubscribes."""

from __future__ import annotations

import numpy as np
import polars as pl

from recsvc.domain.items import Channel
from recsvc.domain.surveys import SURVEYS
from recsvc.sample_bank.happenings import gather, happened
from recsvc.sample_bank.people import N_SHOW, People
from recsvc.sample_bank.rhythm import CHANNELS, STAGES, Stage, Visits
from recsvc.sample_bank.timeline import FloatArray, IntArray

# Shares of all events asked for.
_TRANSACTIONS, _SURVEYS, _COMPLAINTS, _UNSUBSCRIBES = 0.075, 0.012, 0.001, 0.0008
_SCALES = {name: (scale.lowest, scale.highest) for name, scale in SURVEYS.items()}
_LETTER_CHANNELS = (Channel.EMAIL, Channel.SMS, Channel.PUSH)


def draw_everyday(
    visits: Visits,
    people: People,
    stage: IntArray,
    reading: pl.DataFrame,
    n_events: int,
    rng: np.random.Generator,
) -> pl.DataFrame:
    """Transactions, surveys, complaints and unsubscribes."""
    mood = _moods(stage, rng)
    return gather(
        [
            _transactions(visits, reading, round(_TRANSACTIONS * n_events), rng),
            _surveys(visits, mood, round(_SURVEYS * n_events), rng),
            _complaints(visits, mood, round(_COMPLAINTS * n_events), rng),
            _unsubscribes(visits, people, round(_UNSUBSCRIBES * n_events), rng),
        ]
    )


def _moods(stage: IntArray, rng: np.random.Generator) -> FloatArray:
    """How content each customer is, 0 to 1: those on their way out are less so."""
    usual = {
        Stage.NEW: 0.78,
        Stage.ACTIVE: 0.76,
        Stage.AT_RISK: 0.55,
        Stage.DORMANT: 0.48,
        Stage.CHURNED: 0.35,
    }
    mean = np.array([usual[one] for one in STAGES])[stage]
    return np.clip(rng.normal(mean, 0.15), 0.02, 0.98)


def _transactions(visits: Visits, reading: pl.DataFrame, n: int, rng: np.random.Generator) -> pl.DataFrame:
    """Payments, first of all on visits when nothing was read (the latest first): each leaves a trace."""
    silent = np.setdiff1d(np.arange(len(visits.at_ms)), reading["visit_row"].to_numpy())
    others = rng.choice(visits.on(Channel.WEB, Channel.MOBILE), max(n - len(silent), 0))
    visit_row = np.concatenate([silent[::-1][:n], others])
    at_ms = visits.at_ms[visit_row] + rng.integers(30_000, 15 * 60_000, len(visit_row))
    usual = rng.lognormal(3.6, 0.6, int(visits.customer_row.max()) + 1)[visits.customer_row[visit_row]]
    euros = np.clip(usual * rng.lognormal(0, 0.9, len(visit_row)), 0.5, 25_000)
    return happened("transaction", visits, visit_row, at_ms, euros=euros)


def _surveys(visits: Visits, mood: FloatArray, n: int, rng: np.random.Generator) -> pl.DataFrame:
    parts = []
    for name, (lowest, highest) in _SCALES.items():
        visit_row = np.sort(rng.choice(len(visits.at_ms), n // len(_SCALES)))
        felt = np.clip(mood[visits.customer_row[visit_row]] + rng.normal(0, 0.12, len(visit_row)), 0, 1)
        score = np.rint(lowest + felt * (highest - lowest))
        at_ms = visits.at_ms[visit_row] + rng.integers(16 * 60_000, 20 * 60_000, len(visit_row))
        scale = np.full(len(score), float(highest))
        parts.append(happened(name, visits, visit_row, at_ms, score=score, scale=scale))
    return gather(parts)


def _complaints(visits: Visits, mood: FloatArray, n: int, rng: np.random.Generator) -> pl.DataFrame:
    """From those who are discontent; never from those who are shown around, for it ends all offers."""
    weight = (1 - mood[visits.customer_row]) ** 2 * (visits.customer_row >= N_SHOW)
    visit_row = np.sort(rng.choice(len(weight), n, p=weight / weight.sum()))
    at_ms = visits.at_ms[visit_row] + rng.integers(17 * 60_000, 20 * 60_000, n)
    return happened("complaint", visits, visit_row, at_ms)


def _unsubscribes(visits: Visits, people: People, n: int, rng: np.random.Generator) -> pl.DataFrame:
    """Only where the record shows that marketing on the channel is no longer agreed to."""
    letters = visits.on(*(channel for channel in CHANNELS if channel in _LETTER_CHANNELS))
    refused = ~people.may_market[visits.customer_row[letters], visits.channel_row[letters]]
    visit_row = np.sort(rng.permutation(letters[refused])[:n])
    at_ms = visits.at_ms[visit_row] + rng.integers(60_000, 15 * 60_000, len(visit_row))
    return happened("unsubscribe", visits, visit_row, at_ms)
