"""Write the magazine. In: how many articles, the window. Out: items, and how popular and lasting each one is.

Articles appear day by day; a tenth or so stood there before the window began. How popular one is follows
a power law; how long it lasts depends on its form: news fades in two days, a guide in nine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsvc.domain.items import Item, ItemKind
from recsvc.sample_bank.timeline import DAY_MS, HOUR_MS, FloatArray, IntArray, Window, at_waking_hours, moment
from recsvc.sample_bank.words import CATEGORIES, LOCALES, Angle, Topic, compose, load_words

SITE = "https://specimen-bank.example"

Draft = tuple[Topic, Angle]

_EARLIER_SHARE = 0.14
_EARLIER_DAYS = 45
_POPULARITY_EXPONENT = 1.1
_HALF_LIFE_DAYS = {"news": 1.5, "story": 2.5, "opinion": 2.5, "guide": 7.0}
_MINUTES = {"news": 3, "story": 6, "opinion": 5, "guide": 9}


@dataclass(frozen=True, slots=True)
class Magazine:
    """The articles in order of publication. The arrays run along them."""

    items: tuple[Item, ...]
    category: IntArray  # row in CATEGORIES
    published_ms: IntArray
    popularity: FloatArray  # relative, 1 is the least
    half_life_days: FloatArray


def write_magazine(n_articles: int, window: Window, rng: np.random.Generator) -> Magazine:
    """Write `n_articles` with distinct titles, spread evenly over the categories and the window.

    Raises:
        ValueError: too few to fill every category, or more than there are distinct titles for.
    """
    n_earlier = max(len(CATEGORIES), round(_EARLIER_SHARE * n_articles))
    if n_articles <= n_earlier:
        raise ValueError(f"n_articles must be more than {n_earlier}, so that every category has some")
    published_ms = _publication_times(n_earlier, n_articles - n_earlier, window, rng)
    category = _categories(n_articles, rng)
    texts = _texts(category, rng)
    items = tuple(
        _article(row, category_row, topic, angle, published)
        for row, (category_row, (topic, angle), published) in enumerate(
            zip(category.tolist(), texts, published_ms.tolist(), strict=True)
        )
    )
    half_life = np.array([_HALF_LIFE_DAYS[angle.form] for _, angle in texts])
    return Magazine(
        items=items,
        category=category,
        published_ms=published_ms,
        popularity=1 + rng.pareto(_POPULARITY_EXPONENT, n_articles),
        half_life_days=half_life * rng.lognormal(0.0, 0.2, n_articles),
    )


def _publication_times(n_earlier: int, n_new: int, window: Window, rng: np.random.Generator) -> IntArray:
    earlier = window.start_ms - DAY_MS - (rng.random(n_earlier) * _EARLIER_DAYS * DAY_MS).astype(np.int64)
    share = (np.arange(n_new) + rng.random(n_new)) / n_new
    new = window.start_ms + (share * window.n_days * DAY_MS).astype(np.int64)
    raw = np.concatenate([earlier, new])
    published = at_waking_hours(raw, rng.uniform(5, 20, len(raw)), window.end_ms - HOUR_MS)
    # Whatever the counts, a demo made now has something from today.
    published[-1] = window.end_ms - int(rng.integers(HOUR_MS, 20 * HOUR_MS))
    return np.sort(published // 60_000 * 60_000)


def _categories(n_articles: int, rng: np.random.Generator) -> IntArray:
    """Every run of twelve articles holds each category once, so none ever falls silent."""
    n_runs = -(-n_articles // len(CATEGORIES))
    runs = rng.permuted(np.tile(np.arange(len(CATEGORIES)), (n_runs, 1)), axis=1)
    return runs.ravel()[:n_articles].astype(np.int64)


def _texts(category: IntArray, rng: np.random.Generator) -> list[Draft]:
    """A topic and an angle for every article, no pair twice."""
    stock = [_pairs(row, rng) for row in range(len(CATEGORIES))]
    n_most = int(np.bincount(category).max())
    if n_most > min(map(len, stock)):
        raise ValueError(f"n_articles asks for {n_most} titles in a category, more than there are words for")
    return [stock[row].pop() for row in category.tolist()]


def _pairs(category_row: int, rng: np.random.Generator) -> list[Draft]:
    """All pairs of a category, in rounds that use each topic once: a topic seldom comes twice in a row."""
    words = load_words()
    topics = words.categories[CATEGORIES[category_row]].topics
    rounds: list[list[Draft]] = []
    for topic in topics:
        fitting = [angle for angle in words.angles if topic[3] in angle.fits]
        for turn, angle in enumerate(rng.permutation(len(fitting)).tolist()):
            if turn == len(rounds):
                rounds.append([])
            rounds[turn].append((topic, fitting[angle]))
    return [one[row] for one in reversed(rounds) for row in rng.permutation(len(one)).tolist()]


def _article(row: int, category_row: int, topic: Topic, angle: Angle, published_ms: int) -> Item:
    item_id = f"a{row + 1:04d}"
    phrases = dict(zip(LOCALES, topic[:2], strict=True))
    return Item(
        item_id=item_id,
        kind=ItemKind.CONTENT,
        title={locale: compose(angle.title[locale], phrases[locale]) for locale in LOCALES},
        summary={locale: compose(angle.summary[locale], phrases[locale]) for locale in LOCALES},
        category=CATEGORIES[category_row],
        tags=(CATEGORIES[category_row], topic[2], angle.form),
        url=f"{SITE}/magazine/{item_id}",
        published_at=moment(published_ms),
        attributes={"form": angle.form, "reading_minutes": _MINUTES[angle.form], "synthetic": True},
    )
