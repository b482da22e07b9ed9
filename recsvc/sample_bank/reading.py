"""Let customers read. In: visits, tastes, the magazine. Out: what they saw, read, liked and waved away.

What a customer reads is drawn by taste (the category), then by popularity and freshness (the article).
What the page shows besides is drawn half by taste and half by chance; it is looked at or dismissed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from recsvc.domain.items import Channel
from recsvc.sample_bank.articles import Magazine
from recsvc.sample_bank.happenings import gather, happened, spread
from recsvc.sample_bank.rhythm import CHANNELS, Visits
from recsvc.sample_bank.tastes import Tastes
from recsvc.sample_bank.timeline import DAY_MS, HOUR_MS, BoolArray, FloatArray, IntArray, Window
from recsvc.sample_bank.words import CATEGORIES

READING_CHANNELS = (Channel.WEB, Channel.MOBILE, Channel.EMAIL, Channel.PUSH)

_READS_PER_EVENT, _GLANCES_PER_EVENT = 0.36, 0.30  # of all events asked for
_REREAD_SHARE = 0.06
_EDITION_MS = 3 * HOUR_MS  # The shelf is restocked this often.
_FADED = 1e-4  # What is left of an article's freshness when it is long gone.
_RESPONSES = {"like": 0.10, "bookmark": 0.06, "share": 0.035, "comment": 0.015}
_DISMISS_SHARE, _NOT_INTERESTED_SHARE = 0.05, 0.02
_PLACEMENTS = np.array(["home", "home", "magazine", "article_end", "newsletter", "push"])


@dataclass(frozen=True, slots=True)
class Shown:
    """Articles put before customers during visits: one row per visit and article."""

    visit_row: IntArray
    item_row: IntArray
    is_read: BoolArray
    position: IntArray
    placement: pl.Series
    slate_id: pl.Series

    def where(self, chosen: BoolArray) -> tuple[IntArray, IntArray, dict[str, Any]]:
        """Visit rows, item rows and slate columns of the chosen ones."""
        columns: dict[str, Any] = {
            "position": self.position[chosen],
            "placement": self.placement.filter(pl.Series(chosen)),
            "slate_id": self.slate_id.filter(pl.Series(chosen)),
        }
        return self.visit_row[chosen], self.item_row[chosen], columns


def draw_reading(
    visits: Visits,
    tastes: Tastes,
    magazine: Magazine,
    window: Window,
    n_events: int,
    rng: np.random.Generator,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What customers did with articles and, apart, impressions to fill up the count of events with."""
    shown = _show(visits, tastes, magazine, window, n_events, rng)
    return _responses(shown, visits, rng), _impressions(shown, visits, rng)


def _show(
    visits: Visits,
    tastes: Tastes,
    magazine: Magazine,
    window: Window,
    n_events: int,
    rng: np.random.Generator,
) -> Shown:
    readers = visits.on(*READING_CHANNELS)
    read = spread(round(_READS_PER_EVENT * n_events), readers, rng)
    glanced = rng.choice(readers, round(_GLANCES_PER_EVENT * n_events))
    visit_row = np.concatenate([read, glanced])
    is_read = np.arange(len(visit_row)) < len(read)
    shares = tastes.at(visits.customer_row[visit_row], visits.at_ms[visit_row])
    shares[~is_read] = 0.5 * shares[~is_read] + 0.5 / len(CATEGORIES)
    category = _pick(shares, rng)
    item_row = _articles_on_shelf(category, visits.at_ms[visit_row], magazine, window, rng)
    kept = _once_each(visits, visit_row, item_row, len(magazine.items), rng)
    return _as_slates(visits, visit_row[kept], item_row[kept], is_read[kept], rng)


def _pick(shares: FloatArray, rng: np.random.Generator) -> IntArray:
    """One column per row, with the row's shares as probabilities."""
    column = (np.cumsum(shares, axis=1) < rng.random((len(shares), 1))).sum(axis=1)
    picked: IntArray = np.minimum(column, shares.shape[1] - 1)
    return picked


def _articles_on_shelf(
    category: IntArray, at_ms: IntArray, magazine: Magazine, window: Window, rng: np.random.Generator
) -> IntArray:
    """An article of each category out of those published by then, by popularity times freshness."""
    editions = np.arange(window.start_ms, window.end_ms, _EDITION_MS)
    edition = (at_ms - window.start_ms) // _EDITION_MS
    dice = rng.random(len(category))
    item_row = np.empty(len(category), np.int64)
    for column in range(len(CATEGORIES)):
        articles = np.flatnonzero(magazine.category == column)
        age_days = (editions[:, None] - magazine.published_ms[articles]) / DAY_MS
        freshness = np.exp2(-np.maximum(age_days, 0) / magazine.half_life_days[articles]) + _FADED
        weights = np.where(age_days >= 0, freshness * magazine.popularity[articles], 0.0)
        ladder = np.cumsum(weights, axis=1)
        mine = np.flatnonzero(category == column)
        steps = ladder[edition[mine]]
        # Strictly above, so that an article of weight 0 (not yet published) is never drawn.
        chosen = (steps <= dice[mine, None] * steps[:, -1:]).sum(axis=1)
        item_row[mine] = articles[np.minimum(chosen, len(articles) - 1)]
    return item_row


def _once_each(
    visits: Visits, visit_row: IntArray, item_row: IntArray, n_items: int, rng: np.random.Generator
) -> IntArray:
    """Rows that stay: an article is seldom met twice by a customer, and never twice in a visit."""
    in_visit = np.unique(visit_row * n_items + item_row, return_index=True)[1]
    in_visit = np.sort(in_visit)  # Reads stand before glances, so a read wins over a glance.
    by_time = in_visit[np.argsort(visits.at_ms[visit_row[in_visit]], kind="stable")]
    pair = visits.customer_row[visit_row[by_time]] * n_items + item_row[by_time]
    is_first = np.zeros(len(by_time), bool)
    is_first[np.unique(pair, return_index=True)[1]] = True
    return by_time[is_first | (rng.random(len(by_time)) < _REREAD_SHARE)]


def _as_slates(
    visits: Visits, visit_row: IntArray, item_row: IntArray, is_read: BoolArray, rng: np.random.Generator
) -> Shown:
    """Number what a visit showed from 1, what was read mostly nearer to the top."""
    lot = rng.random(len(visit_row)) + np.where(is_read, 0.0, 0.5)
    order = np.lexsort((lot, visit_row))
    visit_row, item_row, is_read = visit_row[order], item_row[order], is_read[order]
    is_start = np.r_[True, visit_row[1:] != visit_row[:-1]][: len(visit_row)]
    start = np.maximum.accumulate(np.where(is_start, np.arange(len(visit_row)), 0))
    channel = visits.channel_row[visit_row]
    on_page = rng.integers(0, 4, len(visits.at_ms))[visit_row]
    letter = np.where(channel == CHANNELS.index(Channel.EMAIL), 4, on_page)
    letter = np.where(channel == CHANNELS.index(Channel.PUSH), 5, letter)
    slates = pl.select(pl.format("s_{}c", pl.Series(visit_row).cast(pl.String).str.zfill(6))).to_series()
    return Shown(
        visit_row=visit_row,
        item_row=item_row,
        is_read=is_read,
        position=np.arange(len(visit_row)) - start + 1,
        placement=pl.Series(_PLACEMENTS[letter]),
        slate_id=slates,
    )


def _responses(shown: Shown, visits: Visits, rng: np.random.Generator) -> pl.DataFrame:
    """A read article is clicked or viewed, often dwelt on, at times more; a glance is at times dismissed."""
    n = len(shown.visit_row)
    opened_ms = visits.at_ms[shown.visit_row] + rng.integers(5_000, 14 * 60_000, n)
    is_clicked = shown.is_read & (rng.random(n) < 0.55)
    is_viewed = shown.is_read & (~is_clicked | (rng.random(n) < 0.7))
    is_dwelt = is_viewed & (rng.random(n) < 0.45)
    dice = rng.random(n)
    chosen = {
        "click": (is_clicked, 0),
        "view": (is_viewed, 800),
        "dwell": (is_dwelt, 45_000),
        "dismiss": (~shown.is_read & (dice < _DISMISS_SHARE), 0),
        "not_interested": (~shown.is_read & (dice > 1 - _NOT_INTERESTED_SHARE), 0),
    }
    for delay, (name, share) in enumerate(_RESPONSES.items()):
        chosen[name] = (shown.is_read & (rng.random(n) < share), 60_000 + 5_000 * delay)
    parts = []
    for name, (rows, delay_ms) in chosen.items():
        visit_row, item_row, columns = shown.where(rows)
        parts.append(
            happened(name, visits, visit_row, opened_ms[rows] + delay_ms, item_row=item_row, **columns)
        )
    return gather(parts)


def _impressions(shown: Shown, visits: Visits, rng: np.random.Generator) -> pl.DataFrame:
    """Every article shown was on the screen, in a random order of rows."""
    order = rng.permutation(len(shown.visit_row))
    visit_row = shown.visit_row[order]
    return happened(
        "impression",
        visits,
        visit_row,
        visits.at_ms[visit_row] + 1_000 + shown.position[order],
        item_row=shown.item_row[order],
        position=shown.position[order],
        placement=shown.placement.gather(order),
        slate_id=shown.slate_id.gather(order),
    )
