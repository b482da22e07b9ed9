"""Make the sample bank. In: a seed, the end of the window, counts. Out: items, customers, events, truth.

The same arguments make the same bank, to the byte: every part draws from its own stream of the seed, and
there is no clock inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from recsvc.domain.customers import Customer
from recsvc.domain.items import Item
from recsvc.sample_bank.articles import write_magazine
from recsvc.sample_bank.dealing import draw_dealing
from recsvc.sample_bank.everyday import draw_everyday
from recsvc.sample_bank.happenings import gather, write_down
from recsvc.sample_bank.offers import stock_offers
from recsvc.sample_bank.people import N_SHOW, draw_demographics, register_people
from recsvc.sample_bank.reading import draw_reading
from recsvc.sample_bank.rhythm import STAGES, Stage, draw_stages, draw_visits
from recsvc.sample_bank.tastes import Tastes, draw_tastes
from recsvc.sample_bank.timeline import BoolArray, IntArray, Window
from recsvc.sample_bank.words import CATEGORIES

_EVENTS_PER_VISIT = 5.5
_MIN_CUSTOMERS = 2 * N_SHOW


@dataclass(frozen=True, slots=True)
class Truth:
    """What the generator meant, by customer id. Nothing that learns may look at it.

    `top_categories` are the two or three that hold about 85 % of the interest at the window's end, the
    strongest first; `tastes` and `tastes_at_start` are whole distributions over categories; `drifting` are
    the customers whose tastes moved; `lifecycle` is a `Stage` as text.
    """

    top_categories: Mapping[str, tuple[str, ...]]
    tastes: Mapping[str, Mapping[str, float]]
    tastes_at_start: Mapping[str, Mapping[str, float]]
    drifting: tuple[str, ...]
    lifecycle: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SampleBank:
    """A synthetic bank. `events` has the event fields as columns, in order of time."""

    items: tuple[Item, ...]
    customers: tuple[Customer, ...]
    events: pl.DataFrame
    truth: Truth
    show_customers: tuple[str, ...]


def make_sample_bank(
    *,
    seed: int = 7,
    end: datetime,
    n_customers: int = 5000,
    n_articles: int = 600,
    n_offers: int = 40,
    n_days: int = 90,
    n_events: int = 200_000,
) -> SampleBank:
    """Make a bank whose last event lies within hours before `end`.

    `n_events` is met, unless customers run out of articles that they have not read.

    Raises:
        ValueError: `end` has no offset from UTC, or a count is too small or too large.
    """
    _check_counts(n_customers, n_days, n_events)
    window = Window.ending(end, n_days)
    streams = _streams(seed)
    magazine = write_magazine(n_articles, window, streams["articles"])
    stock = stock_offers(n_offers, window, first_row=n_articles)
    stage = draw_stages(n_customers, N_SHOW, streams["stages"])
    known = draw_demographics(n_customers, streams["people"])
    tastes = draw_tastes(known.age, _may_drift(stage), window, streams["tastes"])
    people = register_people(known, stage, window, streams["people"])
    visits = draw_visits(stage, N_SHOW, round(n_events / _EVENTS_PER_VISIT), window, streams["visits"])
    reading, impressions = draw_reading(visits, tastes, magazine, window, n_events, streams["reading"])
    dealing = draw_dealing(visits, people, tastes, stock, n_events, streams["offers"])
    everyday = draw_everyday(visits, people, stage, reading, n_events, streams["everyday"])
    filler = impressions.head(max(n_events - len(reading) - len(dealing) - len(everyday), 0))
    items = magazine.items + stock.items
    customer_ids = [customer.customer_id for customer in people.customers]
    return SampleBank(
        items=items,
        customers=people.customers,
        events=write_down(
            gather([filler, reading, dealing, everyday]), customer_ids, [item.item_id for item in items]
        ),
        truth=_truth(customer_ids, tastes, stage),
        show_customers=tuple(customer_ids[:N_SHOW]),
    )


def _check_counts(n_customers: int, n_days: int, n_events: int) -> None:
    if n_customers < _MIN_CUSTOMERS:
        raise ValueError(f"n_customers must be at least {_MIN_CUSTOMERS}")
    if n_days < 7:
        raise ValueError("n_days must be at least 7")
    if n_events < 10 * n_customers:
        raise ValueError("n_events must be at least 10 for each customer")


def _streams(seed: int) -> dict[str, np.random.Generator]:
    """One stream of randomness per part, so that a change in one part leaves the others as they were."""
    names = ("articles", "stages", "people", "tastes", "visits", "reading", "offers", "everyday")
    children = np.random.SeedSequence(seed).spawn(len(names))
    return {name: np.random.default_rng(child) for name, child in zip(names, children, strict=True)}


def _may_drift(stage: IntArray) -> BoolArray:
    """Tastes drift only in customers who are there to show it."""
    return np.isin(stage, [STAGES.index(Stage.ACTIVE), STAGES.index(Stage.AT_RISK)])


def _truth(customer_ids: list[str], tastes: Tastes, stage: IntArray) -> Truth:
    def by_customer(shares: list[list[float]]) -> dict[str, dict[str, float]]:
        return {
            customer_id: dict(zip(CATEGORIES, row, strict=True))
            for customer_id, row in zip(customer_ids, shares, strict=True)
        }

    return Truth(
        top_categories=dict(zip(customer_ids, tastes.top_categories(), strict=True)),
        tastes=by_customer(tastes.at_end.round(4).tolist()),
        tastes_at_start=by_customer(tastes.at_start.round(4).tolist()),
        drifting=tuple(customer_ids[row] for row in np.flatnonzero(tastes.is_drifting).tolist()),
        lifecycle={
            customer_id: STAGES[row].value
            for customer_id, row in zip(customer_ids, stage.tolist(), strict=True)
        },
    )
