"""What the business decides about lists and pages. In: `[lists]` and `[[pages]]` of the policy. Out: values.

Every field has a default, so that a policy from before there were any goes on working.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

MAX_ITEMS = 100


class ListsPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the order of a list weighs more than the score of each item. `serving.reranking` says how."""

    calibration: float = 0.5
    most_of_a_category: float = 0.7
    least_relevance: float = 0.0
    rotation_hours: float = 24.0
    page_minutes: float = 5.0
    like_dismissed_days: float = 7.0

    def __post_init__(self) -> None:
        if not 0 <= self.calibration < 1:
            raise ValueError("calibration must be 0 or more and below 1")
        if not 0 < self.most_of_a_category <= 1:
            raise ValueError("most_of_a_category must be above 0 and at most 1")
        if not 0 <= self.least_relevance <= 1:
            raise ValueError("least_relevance must be 0 to 1")
        if not 0 <= self.rotation_hours <= 24 * 30:
            raise ValueError("rotation_hours must be 0 to 720")
        if not 0 <= self.page_minutes <= 60:
            raise ValueError("page_minutes must be 0 to 60")
        if not 0 <= self.like_dismissed_days <= 365:
            raise ValueError("like_dismissed_days must be 0 to 365")


LEVERS = ListsPolicy.__struct_fields__
"""What a variant of an experiment may set otherwise."""


def with_levers(lists: ListsPolicy, levers: Sequence[tuple[str, float]]) -> ListsPolicy:
    """The same, with other values laid over.

    Raises:
        ValueError: one of them is no lever, or its value is out of range.
    """
    unknown = next((name for name, _ in levers if name not in LEVERS), None)
    if unknown is not None:
        raise ValueError(f"{unknown} is no lever; there are {', '.join(LEVERS)}")
    return msgspec.structs.replace(lists, **dict(levers))


class PagePlacement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A placement of a page, and how many items it takes. Without a kind it may show either."""

    name: str
    items: int
    kind: Literal["content", "offer"] | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a placement must have a name")
        if not 1 <= self.items <= MAX_ITEMS:
            raise ValueError(f"items of a placement must be 1 to {MAX_ITEMS}")


class PagePolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page: its placements, the one that shows the best items first."""

    name: str
    placements: tuple[PagePlacement, ...]

    def __post_init__(self) -> None:
        if not self.placements:
            raise ValueError("a page must have placements")


def check_pages(pages: Sequence[PagePolicy]) -> None:
    """Raises ValueError where a placement stands twice: nobody could tell which page is asked for."""
    seen: set[str] = set()
    for name in (placement.name for page in pages for placement in page.placements):
        if name in seen:
            raise ValueError(f"pages name the placement {name} twice; a placement stands on one page, once")
        seen.add(name)
