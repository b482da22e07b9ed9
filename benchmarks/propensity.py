"""Starbucks: who completes an offer that is sent, by a model of what was known before.

The model learns from everything before one hour; each offer sent at another is then asked about with what was
known just before it, by the code that serves. Hours have no order within: what happened in the hour of a
sending counts for its outcome alone.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.bench import POLICY, SEED, mapping_named
from recsvc.bundles.propensity import PropensityReport
from recsvc.domain.customers import Customer
from recsvc.domain.items import Item
from recsvc.domain.propensity import PropensityRules
from recsvc.history.catalogue import read_customers, read_items
from recsvc.history.interactions import InteractionTable
from recsvc.history.readers import read_interactions
from recsvc.serving.offers.propensity import PropensityScorer
from recsvc.training.propensity.fitting import PropensityChoice, fit_propensity
from recsvc.training.propensity.judging import judge
from recsvc.training.propensity.pasts import Past, read_pasts

BEGIN = datetime(2018, 1, 1, tzinfo=UTC)  # As the mapping has it.
FOLDER = "starbucks"
EVENTS = "dev_events_lt504h.parquet"
NOT_ASKED = "informational"  # Such an offer asks for nothing, so nobody can complete it.
# Completed or not is all that counts; an offer sent again at the next wave is another sending.
RULES = PropensityRules(
    msgspec.structs.replace(POLICY.offers.propensity, viewed=("view",), responded=("redeem",)),
    POLICY.portraits.purchases,
)
PROMISED = {"auc": 0.87, "log_loss": 0.45, "ece": 0.03}
N_OFFERS, N_ROUNDS = 300, 200


@dataclass(frozen=True, slots=True)
class Data:
    """What the files hold. `known_until` is the end of the hours that they cover."""

    table: InteractionTable
    items: Sequence[Item]
    customers: Sequence[Customer]
    known_until: datetime


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was learned, and how well it told of what came later. Seconds are of CPU."""

    choice: PropensityChoice
    scorer: PropensityScorer
    report: PropensityReport
    fit_seconds: float


def hour(hours: float) -> datetime:
    """The moment of an hour of the study."""
    return BEGIN + timedelta(hours=hours)


def read_data(folder: Path, events: Path, known_until: float | None, work: Path) -> Data:
    """Read the files. Without `known_until`, they cover one step of time more than their last event."""
    mapping, rejects = mapping_named("starbucks"), work / "rejects.jsonl"
    table = read_interactions(
        [events], mapping, POLICY, rejects_path=rejects, as_of=datetime.now(UTC), reject_limit=1.0
    ).table
    items, _ = read_items(folder / "portfolio.json", mapping, rejects_path=rejects)
    customers, _ = read_customers(folder / "profile.parquet", mapping, rejects_path=rejects)
    times = np.unique(table.compact["occurred_at"].to_physical().to_numpy())
    inferred = (times[-1] + np.diff(times).min() - BEGIN.timestamp() * 1e6) / 3.6e9
    return Data(table, items, customers, hour(inferred if known_until is None else known_until))


def measure(data: Data, *, train_until: float, measured: float) -> Measurement:
    """Learn from what came before one hour, and judge what was sent in another whose window has closed."""
    started = time.process_time()
    choice = fit_propensity(
        data.table.between(None, hour(train_until)),
        data.items,
        data.customers,
        RULES,
        since=BEGIN,
        until=hour(train_until),
        seed=SEED,
        is_asked=lambda offer: offer.category != NOT_ASKED,
    )
    fit_seconds = time.process_time() - started
    if choice.model is None:
        raise SystemExit(choice.why)
    scorer = PropensityScorer(choice.model, choice.arrays)
    return Measurement(choice, scorer, _judged(scorer, data, hour(measured)), fit_seconds)


def _judged(scorer: PropensityScorer, data: Data, moment: datetime) -> PropensityReport:
    attributes = {one.customer_id: one.attributes for one in data.customers}
    rows = {item.item_id: row for row, item in enumerate(data.items) if item.category != NOT_ASKED}
    predicted, came_true, whose = [], [], []
    for number, past in enumerate(read_pasts(data.table, data.items, RULES)):
        wanted = [
            one
            for one in past.sendings
            if one.item_id in rows
            and timedelta(0) <= one.sent_at - moment < timedelta(hours=1)
            and one.ends_at <= data.known_until
        ]
        for one in wanted:
            known = attributes.get(past.customer_id, {})
            facts = scorer.facts(known, past.interactions, data.items, one.sent_at)
            chances = scorer.propensities(facts, data.items, one.channel)
            predicted.append(chances[rows[one.item_id]])
            came_true.append(one.responded_at is not None)
            whose.append(number)
    hours = (moment - BEGIN) / timedelta(hours=1)
    return judge(
        np.array(predicted),
        np.array(came_true),
        np.array(whose),
        judged_on=f"offers sent in hour {hours:g} whose window closed within the data",
        seed=SEED,
    )


def milliseconds_for_300(scorer: PropensityScorer, data: Data, moment: datetime) -> float:
    """CPU time of facts and propensities of 300 offers, the median over the customers with most history."""
    offers = tuple(
        replace(
            data.items[row % len(data.items)],
            item_id=f"o{row}",
            attributes={"difficulty": 1 + row % 23, "duration_days": 3 + row % 11},
        )
        for row in range(N_OFFERS)
    )
    attributes = {one.customer_id: one.attributes for one in data.customers}
    pasts = sorted(read_pasts(data.table, data.items, RULES), key=_length, reverse=True)[:N_ROUNDS]
    seconds = []
    for past in pasts:
        started = time.process_time()
        facts = scorer.facts(attributes.get(past.customer_id, {}), past.interactions, offers, moment)
        scorer.propensities(facts, offers, None)
        seconds.append(time.process_time() - started)
    return float(np.median(seconds)) * 1e3


def _length(past: Past) -> int:
    return len(past.interactions)


def is_kept(report: PropensityReport) -> Mapping[str, bool]:
    """Whether each promise is kept: a least AUC, a most of every other metric."""
    found = {name: report.metrics[name].value for name in PROMISED}
    return {
        name: found[name] >= bound if name == "auc" else found[name] <= bound
        for name, bound in PROMISED.items()
    }
