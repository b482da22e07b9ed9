"""What an item is, as named features. In: an item. Out: names such as `category:saving` or `word:fund`.

Training and serving both ask here, so that both speak of an item in the same words. Nothing in a feature
says which item it was: two items with the same features are alike to whoever learns from them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import combinations, islice

from recsvc.domain.items import AttributeValue, Item

EVERY_ITEM = "item"
"""The feature of all items: what is learned of it holds for an item of which nothing else is known."""

MAX_WORDS = 300
MAX_TAGS = 12  # Pairs grow with the square.
MAX_VALUE_CHARS = 40  # A longer attribute is a text, and says nothing that another item's says too.
_GENERAL_PREFIXES = ("kind:", "age_days:")
_AGES_DAYS = (1, 7, 30, 90, 365, 1825)
_WORD = re.compile(r"[^\W_]+")
_WRITTEN_WITHOUT_SPACES = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")


def item_features(item: Item, *, as_of: datetime | None) -> tuple[str, ...]:
    """The features of the item, each once, the plainest first.

    Args:
        as_of: the moment that the item's age counts to; None leaves its age out. An item of a later
            moment is new.
    """
    return tuple(dict.fromkeys(_features(item, as_of)))


def says_what_it_is(feature: str) -> bool:
    """Whether the feature tells more of an item than that it is one, of which kind, and how old."""
    return feature != EVERY_ITEM and not feature.startswith(_GENERAL_PREFIXES)


def _features(item: Item, as_of: datetime | None) -> Iterator[str]:
    yield EVERY_ITEM
    yield f"kind:{item.kind.value}"
    labels = [f"category:{item.category}"] if item.category else []
    labels += [f"tag:{tag}" for tag in sorted(set(item.tags))[:MAX_TAGS]]
    yield from labels
    yield from (f"{one}+{other}" for one, other in combinations(labels, 2))
    yield from _age(item, as_of)
    yield from _period(item.title.values(), labels)
    yield from _attributes(item.attributes)
    texts = (*item.title.values(), *item.summary.values())
    yield from islice(dict.fromkeys(f"word:{word}" for text in texts for word in _words(text)), MAX_WORDS)


def _age(item: Item, as_of: datetime | None) -> Iterator[str]:
    """How old the item is, by the shortest of the usual spans that it fits into."""
    since = item.published_at or item.valid_from
    if since is None or as_of is None:
        return
    age = as_of - since
    fitting = (f"{days}" for days in _AGES_DAYS if age <= timedelta(days=days))
    yield f"age_days:{next(fitting, 'more')}"


def _period(titles: Iterable[str], labels: Iterable[str]) -> Iterator[str]:
    """The decade of the year that a title ends with or names last, alone and with each label."""
    for title in titles:
        if years := _YEAR.findall(title):
            decade = f"decade:{years[-1][:3]}0"
            yield decade
            yield from (f"{label}+{decade}" for label in labels)


def _attributes(attributes: Mapping[str, AttributeValue]) -> Iterator[str]:
    """Words and yes or no; a number would be a feature of its own item only."""
    for name, value in sorted(attributes.items()):
        if isinstance(value, bool | str) and len(str(value)) <= MAX_VALUE_CHARS:
            yield f"attribute:{name}={str(value).casefold()}"


def _words(text: str) -> Iterator[str]:
    """Words of two letters or more; pairs of signs where a script does not part its words."""
    for word in _WORD.findall(text.casefold()):
        if not _WRITTEN_WITHOUT_SPACES.search(word):
            yield from (word,) if len(word) > 1 else ()
            continue
        for run in _WRITTEN_WITHOUT_SPACES.findall(word):
            yield from (run[place : place + 2] for place in range(max(len(run) - 1, 1)))
