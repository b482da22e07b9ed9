"""How alike items are. In: items. Out: likenesses of 0 to 1, row by row, and what makes two items one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from recsvc.domain.items import AttributeValue, Item, ItemKind
from recsvc.serving.candidate import Candidate

SERIES = "series"
"""The attribute that names the series of an item."""


class Likeness:
    """How alike items are, 0 to 1: the same category, and the share of tags in common (Jaccard)."""

    def __init__(self, items: Sequence[Item]) -> None:
        categories: dict[str | None, int] = {None: -1}
        self._category = np.array([categories.setdefault(one.category, len(categories)) for one in items])
        tags: dict[str, int] = {}
        places = [(row, tags.setdefault(tag, len(tags))) for row, one in enumerate(items) for tag in one.tags]
        self._tags = np.zeros((len(items), len(tags)))
        if places:
            rows, columns = zip(*places, strict=True)
            self._tags[rows, columns] = 1
        self._n_tags = self._tags.sum(axis=1)

    def __call__(self, row: int) -> NDArray[np.float64]:
        """How alike each item is to the one in this row: (n_items,)."""
        alike: NDArray[np.float64] = (self._category == self._category[row]).astype(np.float64)
        if self._category[row] < 0:
            alike[:] = 0
        if self._n_tags[row]:
            in_common = self._tags @ self._tags[row]
            alike += in_common / (self._n_tags + (self._n_tags[row] - in_common))
            alike /= 2
        else:  # Of two without tags the category alone can tell.
            alike[self._n_tags > 0] /= 2
        return alike


def series_of(item: Item) -> tuple[type, AttributeValue] | None:
    """The series of an item: equal for two of one series, and 1, 1.0 and true are three. None without one."""
    series = item.attributes.get(SERIES)
    return (type(series), series) if series else None


def first_of_its_kind(
    candidates: Iterable[Candidate], shown: Collection[Candidate] = ()
) -> Iterator[Candidate]:
    """The candidates, of each series and of duplicates only the first, and none of what was `shown` before.

    Items are one where they share `attributes["series"]` or the title in one locale; articles also where they
    share the url. That of an offer says little: many lead to the same landing page.
    """
    seen = {name for one in shown for name in names_of(one.item)}
    for candidate in candidates:
        names = names_of(candidate.item)
        if seen.isdisjoint(names):
            seen.update(names)
            yield candidate


def names_of(item: Item) -> list[object]:
    """What no two items of a list may share. The kinds of names cannot be taken for each other."""
    names: list[object] = [(locale, title) for locale, title in item.title.items() if title]
    if item.url and item.kind is ItemKind.CONTENT:
        names.append(item.url)
    if (series := series_of(item)) is not None:
        names.append((SERIES, *series))
    return names
