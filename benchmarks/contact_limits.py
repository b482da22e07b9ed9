"""Judge who was given one contact too many. In: what clients were answered. Out: the limits that were broken.

The store's own counts are not believed: what counts is what was on the lists.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

CAPPED, FUNDED, DAILY, PACED, FEW, CALM = "capped", "funded", "daily", "paced", "few", "calm"
LIMITS = {CAPPED: 2, FUNDED: 25, DAILY: 20, FEW: 9, CALM: 4}
"""How many contacts there may be: of each customer, in all, of a day, in all, of each customer over all."""
ALL_PACED = 50
SHARED = (FUNDED, DAILY, PACED, FEW)


@dataclass(frozen=True, slots=True)
class Contact:
    """An offer on a list that a client got at a moment, and that is held until another; None: for good."""

    customer_id: str
    offer_id: str
    at: datetime
    until: datetime | None


def judge(
    contacts: Sequence[Contact], due: Callable[[datetime], int]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The limits that were broken, and those that were never reached: at no moment may too many be held."""
    reached: dict[str, int] = dict.fromkeys((*LIMITS, PACED), -1_000)
    for moment in contacts:
        held = [
            one for one in contacts if one.at <= moment.at and (one.until is None or one.until > moment.at)
        ]
        for name, room in _room(held, moment, due).items():
            reached[name] = max(reached[name], -room)
    over = tuple(name for name, by in reached.items() if by > 0)
    unused = tuple(name for name, by in reached.items() if by < 0)
    return over, unused


def _room(held: Sequence[Contact], last: Contact, due: Callable[[datetime], int]) -> dict[str, int]:
    """How many more there might have been of each limit that the last contact counts against."""
    own = [one for one in held if one.customer_id == last.customer_id]
    same = [one for one in held if one.offer_id == last.offer_id]
    found = {CALM: LIMITS[CALM] - len(own)}
    if last.offer_id == CAPPED:
        found[CAPPED] = LIMITS[CAPPED] - sum(one.offer_id == CAPPED for one in own)
    elif last.offer_id == DAILY:
        found[DAILY] = LIMITS[DAILY] - sum(one.at.date() == last.at.date() for one in same)
    elif last.offer_id == PACED:
        found[PACED] = due(last.at) - len(same)
    else:
        found[last.offer_id] = LIMITS[last.offer_id] - len(same)
    return found
