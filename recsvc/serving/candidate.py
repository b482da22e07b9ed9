"""A candidate: an item that a rung of the ladder proposes, with its score and what carried it."""

from __future__ import annotations

import msgspec

from recsvc.domain.items import Item
from recsvc.domain.slates import AppliedRule, Source


class Shares(msgspec.Struct, frozen=True):
    """What carried a score that is a sum of trained and live parts, each above what its rivals have of it.

    The rivals are the best of the shortlist: twice as many as the item's place says, twenty at least.
    `trained` is what the history adds to the model's score, `taste` what the categories met lately do,
    `popularity` that of the counts, of recency, and of what the model says to everybody, `newness` that of
    all that hangs on an item's age.
    """

    trained: float
    taste: float
    neighbours: float
    popularity: float
    newness: float


class Candidate(msgspec.Struct, frozen=True):
    """An item proposed by a rung, with the rung's score. `row` is the bundle's, None where it has none.

    A struct is made five times as fast as a dataclass, and lists make hundreds.

    `shares` is None where the score is the model's alone, or nobody's. `rules` are those of the marketers
    that name the item; `own` is the candidate as the rung proposed it, None where no rule moved it.
    """

    item: Item
    score: float
    source: Source
    row: int | None
    shares: Shares | None = None
    rules: tuple[AppliedRule, ...] = ()
    own: Candidate | None = None
