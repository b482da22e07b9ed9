"""The items that may be served now. In: the store's catalogue and the bundle's. Out: one frozen view.

The bundle carries the items as they were known at training, so that a bundle alone can serve; whatever
the store says of an item wins over it, a retirement included.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import structlog
from numpy.typing import NDArray

from recsvc.bundles.bundle import Bundle
from recsvc.domain.items import Item, ItemKind, ItemStatus
from recsvc.errors import StoreError
from recsvc.serving.live_bundles import LiveBundles
from recsvc.serving.protocols import Catalogue

log = structlog.get_logger()


@dataclass(frozen=True)
class CatalogueView:
    """The live items at one revision, laid beside one bundle.

    `trained_rows` holds, by kind, the bundle's rows of live items in ascending order; `fresh` holds
    live items that the bundle has no row for, newest first.
    """

    revision: int
    model_version: str | None
    items: Mapping[str, Item]
    trained_rows: Mapping[ItemKind, NDArray[np.int32]]
    fresh: Mapping[ItemKind, tuple[Item, ...]]
    by_row: Mapping[int, Item]
    _moments: tuple[datetime, ...]

    @property
    def label(self) -> str:
        """What a cached slate depends on of this view."""
        return f"{self.revision}:{self.model_version}"

    def next_change(self, after: datetime) -> datetime | None:
        """When the next item begins or ends to be valid; None when none will."""
        position = bisect.bisect_right(self._moments, after)
        return self._moments[position] if position < len(self._moments) else None


class LiveCatalogue:
    """Holds the view that serves. `refresh` replaces it when the store or the model moved."""

    def __init__(self, catalogue: Catalogue, bundles: LiveBundles) -> None:
        self._catalogue = catalogue
        self._bundles = bundles
        self._stored: tuple[Item, ...] = ()
        self._revision = -1
        self._view = make_view((), None, revision=-1)
        self.is_stale = False

    @property
    def view(self) -> CatalogueView:
        """The view that serves now."""
        return self._view

    def refresh(self) -> None:
        """Follow the store and the model. While the store cannot answer, the last view goes on serving."""
        try:
            revision = self._catalogue.revision()
            if revision != self._revision:
                self._stored, self._revision = self._catalogue.items(), revision
            self.is_stale = False
        except StoreError as error:
            self.is_stale = True
            log.warning("catalogue_unreachable", reason=str(error))
        model = self._bundles.model
        version = model.version if model else None
        if (self._view.revision, self._view.model_version) != (self._revision, version):
            self._view = make_view(self._stored, model.bundle if model else None, revision=self._revision)


def make_view(stored: Sequence[Item], bundle: Bundle | None, *, revision: int) -> CatalogueView:
    """Lay the store's items over the bundle's."""
    snapshot = bundle.catalogue() if bundle else ()
    known = {item.item_id: item for item in snapshot} | {item.item_id: item for item in stored}
    live = {item_id: item for item_id, item in known.items() if item.status is ItemStatus.LIVE}
    with_row = snapshot[: len(bundle.items)] if bundle else ()
    by_row = {row: live[item.item_id] for row, item in enumerate(with_row) if item.item_id in live}
    trained = {item.item_id for item in with_row}
    fresh = [item for item_id, item in live.items() if item_id not in trained]
    moments = {moment for item in live.values() for moment in (item.valid_from, item.valid_to) if moment}
    return CatalogueView(
        revision=revision,
        model_version=bundle.version if bundle else None,
        items=live,
        trained_rows={
            kind: np.array([row for row, item in by_row.items() if item.kind is kind], dtype=np.int32)
            for kind in ItemKind
        },
        fresh={
            kind: tuple(sorted((item for item in fresh if item.kind is kind), key=_newest_first))
            for kind in ItemKind
        },
        by_row=by_row,
        _moments=tuple(sorted(moments)),
    )


def _newest_first(item: Item) -> tuple[int, float, str]:
    published = item.published_at.timestamp() if item.published_at else 0.0
    return (-item.offer_terms.priority, -published, item.item_id)
