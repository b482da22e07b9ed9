"""The versions of an offer, as they are kept. In: the steps of their lives. Out: each version as it stands.

Every step is kept, and none is ever changed. `offer_life` says which may come next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from recsvc.domain.items import Item, ItemKind, ItemStatus
from recsvc.errors import NotFoundError

IMPORT = "import"
"""By whom offers are written and approved that an operator brings from a file."""
NOBODY = "nobody"
"""By whom things are done while no keys are asked for. It cannot approve: it may have written."""


class Move(StrEnum):
    """What may be done to a version."""

    APPROVE = "approve"
    PUBLISH = "publish"
    PAUSE = "pause"
    RESUME = "resume"
    RETIRE = "retire"


@dataclass(frozen=True, slots=True)
class Step:
    """A version as it stood from then on. `number` counts the steps of an offer from 1.

    `by` is the id of a key, or one of the names above. `at` is None where it was before steps were kept.
    """

    offer_id: str
    number: int
    version: int
    status: ItemStatus
    by: str
    at: datetime | None
    item: Item


@dataclass(frozen=True, slots=True)
class Passage:
    """That a version came to a status, by whom and when."""

    status: ItemStatus
    by: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class OfferVersion:
    """A version of an offer as it stands. `approved_by` is None where nobody had to, or nobody did yet."""

    offer_id: str
    version: int
    status: ItemStatus
    written_by: str
    written_at: datetime | None
    approved_by: str | None
    approved_at: datetime | None
    history: tuple[Passage, ...]
    item: Item


@dataclass(frozen=True, slots=True)
class OfferRecord:
    """An offer as it is stored. `item` is what is served of it, or stands ready to; None where it is gone."""

    offer_id: str
    item: Item | None
    kept: tuple[Step, ...]

    @property
    def stored(self) -> Item | None:
        """The item, if it is an offer."""
        return self.item if self.item is not None and self.item.kind is ItemKind.OFFER else None

    @property
    def adopted(self) -> tuple[Step, ...]:
        """The steps of an offer that came to be served before any were kept of it."""
        stored = self.stored
        if stored is None or any(step.version == stored.offer_terms.version for step in self.kept):
            return ()
        return brought_in(stored, len(self.kept), at=None)

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every step, in order."""
        return (*self.kept, *self.adopted)

    def versions(self) -> tuple[OfferVersion, ...]:
        """Every version, in order."""
        by_version: dict[int, list[Step]] = {}
        for step in self.steps:
            by_version.setdefault(step.version, []).append(step)
        return tuple(version_of(by_version[version]) for version in sorted(by_version))

    def version(self, number: int) -> OfferVersion:
        """The version. Raises NotFoundError."""
        for version in self.versions():
            if version.version == number:
                return version
        raise NotFoundError("there is no such version of an offer")

    @property
    def newest(self) -> int:
        """The number of the newest version; 0 where there is none."""
        return max((step.version for step in self.steps), default=0)

    def next_steps(self, *moved: tuple[int, Item, str, datetime]) -> tuple[Step, ...]:
        """The steps to be stored: those that were adopted, and one for each version, item, who and when."""
        first = len(self.steps) + 1
        new = [
            Step(self.offer_id, first + place, version, item.status, by, at, item)
            for place, (version, item, by, at) in enumerate(moved)
        ]
        return (*self.adopted, *new)

    def writers(self, number: int) -> frozenset[str]:
        """Who wrote the version."""
        drafts = (one for one in self.steps if one.version == number and one.status is ItemStatus.DRAFT)
        return frozenset(step.by for step in drafts)


def brought_in(item: Item, n_before: int, *, at: datetime | None) -> tuple[Step, ...]:
    """The steps of an offer that an operator brings: approved, and then what it is. `n_before` there are."""
    statuses = [] if item.status is ItemStatus.DRAFT else [ItemStatus.APPROVED]
    if item.status is not ItemStatus.APPROVED:
        statuses.append(item.status)
    version = item.offer_terms.version
    return tuple(
        Step(item.item_id, n_before + place, version, status, IMPORT, at, replace(item, status=status))
        for place, status in enumerate(statuses, start=1)
    )


def version_of(steps: Sequence[Step]) -> OfferVersion:
    """The version that came about by its steps, of which there is one at least."""
    first, last = steps[0], steps[-1]
    approval = next((step for step in steps if step.status is ItemStatus.APPROVED), None)
    passed = [
        Passage(step.status, step.by, step.at)
        for place, step in enumerate(steps)
        if place == 0 or steps[place - 1].status is not step.status
    ]
    return OfferVersion(
        offer_id=first.offer_id,
        version=first.version,
        status=last.status,
        written_by=first.by,
        written_at=first.at,
        approved_by=approval.by if approval else None,
        approved_at=approval.at if approval else None,
        history=tuple(passed),
        item=last.item,
    )
