"""Let customers meet offers. In: visits, people, tastes, offers. Out: impressions, clicks, deals, refusals.

An offer is shown only where it was allowed: valid and live then, on its channels, in its countries, within
the customer's risk class, and with consent to marketing on the channel. Among those, taste, season and
priority decide; what the customer makes of it depends on taste.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from recsvc.domain.items import Channel, ItemStatus
from recsvc.sample_bank.happenings import gather, happened
from recsvc.sample_bank.offers import Stock
from recsvc.sample_bank.people import COUNTRIES, People
from recsvc.sample_bank.rhythm import CHANNELS, Visits
from recsvc.sample_bank.tastes import Tastes
from recsvc.sample_bank.timeline import DAY_MS, HOUR_MS, BoolArray, FloatArray, IntArray

_SHOWN_PER_EVENT = 0.07  # of all events asked for
_PERSONAL_CHANNELS = (Channel.CALL_CENTRE, Channel.BRANCH)
_LONGEST_SEASON_MS = 150 * DAY_MS


def draw_dealing(
    visits: Visits,
    people: People,
    tastes: Tastes,
    stock: Stock,
    n_events: int,
    rng: np.random.Generator,
) -> pl.DataFrame:
    """What customers did with offers, when `n_events` of all kinds are asked for."""
    visit_row = np.sort(rng.choice(len(visits.at_ms), round(_SHOWN_PER_EVENT * n_events)))
    allowed = _allowed(visits, visit_row, people, stock)
    taste = tastes.at(visits.customer_row[visit_row], visits.at_ms[visit_row])[:, stock.category]
    appeal = (taste + 0.02) * _season(visits.at_ms[visit_row], stock) * _pull(stock)
    lot = np.where(allowed, np.log(appeal) + rng.gumbel(size=appeal.shape), -np.inf)
    offer = lot.argmax(axis=1)
    kept = allowed[np.arange(len(offer)), offer]
    visit_row, offer, liking = visit_row[kept], offer[kept], taste[np.arange(len(offer)), offer][kept]
    return _responses(visits, visit_row, offer, liking, stock, rng)


def _allowed(visits: Visits, visit_row: IntArray, people: People, stock: Stock) -> BoolArray:
    """(n_visits, n_offers): whether the offer may be shown on the visit."""
    customer, channel = visits.customer_row[visit_row], visits.channel_row[visit_row]
    at_ms = visits.at_ms[visit_row][:, None]
    is_live = np.array([item.status is ItemStatus.LIVE for item in stock.items])
    on_channel = _memberships([item.channels for item in stock.items], CHANNELS)
    in_country = _memberships([terms.jurisdictions for terms in stock.terms], COUNTRIES)
    risk_class = np.array([terms.risk_class for terms in stock.terms])
    limit = np.where(at_ms[:, 0] < people.risk_limit_until_ms[customer], people.risk_limit[customer], 0)
    allowed: BoolArray = (
        is_live
        & (stock.valid_from_ms <= at_ms)
        & (at_ms < stock.valid_to_ms - HOUR_MS)  # A visit lasts; what it starts must still be valid.
        & on_channel.T[channel]
        & in_country.T[people.country_row[customer]]
        & (risk_class <= limit[:, None])
        & people.may_market[customer, channel][:, None]
    )
    return allowed


def _memberships(lists: Sequence[Sequence[str]], names: Sequence[str]) -> BoolArray:
    """(n_lists, n_names): whether the list holds the name; an empty list holds every name."""
    return np.array([[not one or name in one for name in names] for one in lists])


def _season(at_ms: IntArray, stock: Stock) -> FloatArray:
    """Seasonal offers swell and ebb over their validity; the others are always 1."""
    length = stock.valid_to_ms.astype(np.float64) - stock.valid_from_ms
    done = np.clip((at_ms[:, None] - stock.valid_from_ms) / length, 0, 1)
    return np.where(length <= _LONGEST_SEASON_MS, 0.4 + 1.6 * np.sin(np.pi * done), 1.0)


def _pull(stock: Stock) -> FloatArray:
    return np.array([0.6 + 0.2 * terms.priority for terms in stock.terms])


def _responses(
    visits: Visits,
    visit_row: IntArray,
    offer: IntArray,
    liking: FloatArray,
    stock: Stock,
    rng: np.random.Generator,
) -> pl.DataFrame:
    n = len(visit_row)
    shown_ms = visits.at_ms[visit_row] + 2_000
    is_personal = np.isin(visits.channel_row[visit_row], [CHANNELS.index(c) for c in _PERSONAL_CHANNELS])
    keenness = np.clip(0.25 + 1.3 * liking, 0.0, 0.9)
    viewed = rng.random(n) < keenness
    clicked = viewed & ~is_personal & (rng.random(n) < 0.5)
    accepted = viewed & (rng.random(n) < np.where(is_personal, 0.35, 0.18))
    converted = accepted & (rng.random(n) < 0.5)
    redeemed = accepted & ~converted & (rng.random(n) < 0.7)
    dismissed = ~viewed & (rng.random(n) < 0.12)
    euros = np.maximum(stock.usual_amount[offer] * rng.lognormal(0, 0.5, n), 0.0)
    steps = {
        "impression": (np.ones(n, bool), 0),
        "view": (viewed, 4_000),
        "click": (clicked, 9_000),
        "accept": (accepted, 90_000),
        "redeem": (redeemed, 150_000),
        "convert": (converted, 240_000),
        "dismiss": (dismissed, 6_000),
    }
    has_slate = ~is_personal
    slates = pl.select(pl.format("s_{}o", pl.Series(visit_row).cast(pl.String).str.zfill(6))).to_series()
    slates = slates.zip_with(pl.Series(has_slate), pl.Series([None], dtype=pl.String).new_from_index(0, n))
    position = rng.integers(1, 4, n)
    placement = pl.Series(np.where(is_personal, "adviser", rng.choice(["home", "account"], n)))
    parts = []
    for name, (rows, delay_ms) in steps.items():
        chosen = pl.Series(rows)
        is_deal = name in ("redeem", "convert")
        part = happened(
            name,
            visits,
            visit_row[rows],
            shown_ms[rows] + delay_ms,
            item_row=stock.first_row + offer[rows],
            euros=euros[rows] if is_deal else None,
            position=position[rows],
            placement=placement.filter(chosen),
            slate_id=slates.filter(chosen),
        )
        parts.append(part.with_columns(quantity=pl.lit(1)) if is_deal else part)
    return gather(parts)
