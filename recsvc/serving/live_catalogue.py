"""The items that may be served now. In: the store's catalogue and rules, the bundle. Out: one frozen view.

The bundle carries the items as they were known at training, so that a bundle alone can serve; whatever
the store says of an item wins over it, a retirement included. Of the store only what changed is read.
"""

from __future__ import annotations

import bisect
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from itertools import chain
from operator import attrgetter

import numpy as np
import structlog
from numpy.typing import NDArray

from recsvc.bundles.bundle import Bundle
from recsvc.domain.items import Item, ItemKind, ItemStatus
from recsvc.domain.merchandising import NO_RULES, MerchandisingRule, RuleBook
from recsvc.errors import StoreError
from recsvc.serving.cold_items import NO_COLD_ITEMS, ColdItems, place_cold_items
from recsvc.serving.live_bundles import LiveBundles
from recsvc.serving.protocols import Catalogue
from recsvc.serving.verification import Model

log = structlog.get_logger()

_LIVE = ItemStatus.LIVE  # An enumeration is slow to ask for a member, and a catalogue is long.


@dataclass(frozen=True)
class CatalogueView:
    """The live items at one revision, laid beside one bundle.

    `trained_rows` holds, by kind, the bundle's rows of live items in ascending order; `fresh` holds
    live items that the bundle has no row for, newest first; `cold` those of them that the bundle can place,
    `unplaced` the others. `known` are all items, whatever their status: what a customer said of one holds
    after it was retired. So do `rows`, from the id to the bundle's row, and `by_row`, which leads back.
    """

    revision: int
    model_version: str | None
    items: Mapping[str, Item]
    trained_rows: Mapping[ItemKind, NDArray[np.int32]]
    fresh: Mapping[ItemKind, tuple[Item, ...]]
    cold: Mapping[ItemKind, ColdItems]
    unplaced: Mapping[ItemKind, tuple[Item, ...]]
    by_row: Sequence[Item]
    rows: Mapping[str, int]
    rules: RuleBook
    known: Mapping[str, Item]
    _moments: tuple[datetime, ...]

    def item_at(self, row: int) -> Item | None:
        """The item of a row of the bundle; None where it is not live, or the view has no model."""
        item = self.by_row[row] if row < len(self.by_row) else None
        return item if item is not None and item.status is _LIVE else None

    @cached_property
    def label(self) -> str:
        """What a cached slate depends on of this view."""
        return f"{self.revision}:{self.model_version}"

    def next_change(self, after: datetime) -> datetime | None:
        """When the next item begins or ends to be valid, or a rule to be on; None when none will."""
        position = bisect.bisect_right(self._moments, after)
        return self._moments[position] if position < len(self._moments) else None

    @cached_property
    def categories(self) -> Mapping[ItemKind, frozenset[str | None]]:
        """The categories of the items of each kind: None among them where an item has none."""
        items = self.items.values()
        return {kind: frozenset(one.category for one in items if one.kind is kind) for kind in ItemKind}

    @cached_property
    def without_model(self) -> CatalogueView:
        """The same items, when no model can be asked about them."""
        fresh = _by_kind(self.items.values())
        return replace(
            self,
            model_version=None,
            trained_rows={kind: np.zeros(0, dtype=np.int32) for kind in ItemKind},
            fresh=fresh,
            cold=dict.fromkeys(ItemKind, NO_COLD_ITEMS),
            unplaced=fresh,
            by_row=(),
            rows={},
        )


@dataclass(frozen=True, slots=True)
class _Standing:
    """A model, and the view that was laid beside this very model."""

    model: Model | None
    view: CatalogueView


@dataclass(frozen=True, slots=True)
class _Serving:
    """Everything that answers: the champion, and every model by version, the champion included."""

    champion: _Standing
    by_version: Mapping[str, _Standing]

    def of(self, version: str | None) -> _Standing:
        """The model of the version, or the champion where none is asked for or that one does not serve."""
        return self.champion if version is None else self.by_version.get(version, self.champion)


class LiveCatalogue:
    """Holds the views that serve, one for each model.

    `refresh` replaces them when the store or a model moved. `follow` does it for the store alone, so that
    what the catalogue says does not wait for a model that is yet to be made ready.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        bundles: LiveBundles,
        rules: Callable[[], Sequence[MerchandisingRule]] = tuple,
        *,
        is_untouched: Callable[[Bundle], bool] = Bundle.is_untouched,
    ) -> None:
        """`rules` reads the merchandising rules; a change of them moves the catalogue's revision."""
        self._catalogue = catalogue
        self._bundles = bundles
        self._read_rules = rules
        self._is_untouched = is_untouched
        self._stored: Mapping[str, Item] = {}
        self._rules = NO_RULES
        self._revision = -1
        self._serving = _Serving(_Standing(None, make_view((), None, revision=-1)), {})
        self._moving = threading.Lock()
        self.is_stale = False

    @property
    def view(self) -> CatalogueView:
        """The view beside the champion that serves now."""
        return self._serving.champion.view

    @property
    def versions(self) -> frozenset[str]:
        """The versions of all models that answer now."""
        return frozenset(self._serving.by_version)

    def is_content(self, item_id: str) -> bool:
        """Whether the item is an article, as far as is known."""
        item = self.view.known.get(item_id)
        return item is not None and item.kind is ItemKind.CONTENT

    def view_for(self, version: str | None) -> CatalogueView:
        """The view beside the model of the version, or beside the champion where that does not serve."""
        return self._serving.of(version).view

    def model_and_view(self, version: str | None = None) -> tuple[Model | None, CatalogueView]:
        """What answers now: a model, and the view that was laid beside this very model.

        The model is that of the version where one is asked for and serves, else the champion. Both come from
        one reference, so an answer never mixes versions. A model whose files were touched since they were
        checked is left out: the next refresh finds what can take its place.
        """
        serving = self._serving
        for standing in (serving.of(version), serving.champion):
            if standing.model is None or self._is_untouched(standing.model.bundle):
                return standing.model, standing.view
        return None, serving.champion.view.without_model

    def leave_touched(self) -> None:
        """Turn from a champion whose files were touched, at once, and not when its successor is all ready.

        A list without what is live is better than one without a model.
        """
        standing = self._serving.champion.model
        if standing is not None and not self._is_untouched(standing.bundle):
            self.refresh()

    def lay_coming(self) -> str | None:
        """Have the champion that is to come serve beside the one that serves now: its version.

        None where none is to come, or none serves. It is champion with the next refresh.
        """
        model = self._bundles.model
        if model is None or self._serving.champion.model in (None, model):
            return None
        with self._moving:
            coming, serving = {model.version: self._laid(model)}, self._serving
            self._serving = replace(serving, by_version={**serving.by_version, **coming})
        return model.version

    def refresh(self) -> None:
        """Follow the store and the model. While the store cannot answer, the last view goes on serving."""
        with self._moving:
            self._look()
            self._serve(self._bundles.model, self._bundles.beside)

    def follow(self) -> None:
        """Follow the store, whatever models are to come: those that serve now go on."""
        with self._moving:
            self._look()
            serving = self._serving
            beside = [one.model for one in serving.by_version.values() if one.model is not None]
            self._serve(serving.champion.model, beside)

    def _look(self) -> None:
        try:
            revision = self._catalogue.revision()
            if revision != self._revision:
                stored, rules = self._stored_at(revision), RuleBook(tuple(self._read_rules()))
                self._stored, self._rules, self._revision = stored, rules, revision
            self.is_stale = False
        except StoreError as error:
            self.is_stale = True
            log.warning("catalogue_unreachable", reason=str(error))

    def _stored_at(self, revision: int) -> Mapping[str, Item]:
        """All items of the store by id, in the order of ids. Where it went back, it is read anew."""
        if not 0 <= self._revision < revision:
            return {item.item_id: item for item in self._catalogue.items()}
        changed = {item.item_id: item for item in self._catalogue.changed_after(self._revision)}
        is_new = not changed.keys() <= self._stored.keys()
        stored = {**self._stored, **changed}
        return dict(sorted(stored.items())) if is_new else stored

    def _serve(self, model: Model | None, beside: Iterable[Model]) -> None:
        champion = self._laid(model)
        others = {each.version: self._laid(each) for each in beside if each is not model}
        own = {model.version: champion} if model else {}
        self._serving = _Serving(champion, others | own)

    def _laid(self, model: Model | None) -> _Standing:
        """The model with its view: the one that it has, if that is of this revision."""
        standing = self._serving.of(model.version if model else None)
        if standing.model is model and standing.view.revision == self._revision:
            return standing
        bundle = model.bundle if model else None
        stored = self._stored.values()
        return _Standing(model, make_view(stored, bundle, revision=self._revision, rules=self._rules))


def revision_in(label: str) -> str:
    """The revision that a view's label names."""
    return label.partition(":")[0]


def make_view(
    stored: Iterable[Item], bundle: Bundle | None, *, revision: int, rules: RuleBook = NO_RULES
) -> CatalogueView:
    """Lay the store's items over the bundle's, and the rules beside them."""
    snapshot = bundle.catalogue() if bundle else ()
    known = {item.item_id: item for item in chain(snapshot, stored)}
    live = {item_id: item for item_id, item in known.items() if item.status is _LIVE}
    if len(live) == len(known):
        live = known  # One table less, of every item, in every worker.
    rows = bundle.row_by_item if bundle else {}
    by_row = tuple(map(known.__getitem__, rows))
    kinds = [item.kind if item.status is _LIVE else None for item in by_row]
    fresh = _by_kind(item for item_id, item in live.items() if item_id not in rows)
    cold = {kind: place_cold_items(fresh[kind], bundle) for kind in ItemKind}
    return CatalogueView(
        revision=revision,
        model_version=bundle.version if bundle else None,
        items=live,
        trained_rows={
            kind: np.flatnonzero([one is kind for one in kinds]).astype(np.int32) for kind in ItemKind
        },
        fresh=fresh,
        cold=cold,
        unplaced={kind: _all_but(cold[kind].items, fresh[kind]) for kind in ItemKind},
        by_row=by_row,
        rows=rows,
        rules=rules,
        known=known,
        _moments=tuple(sorted(_moments_of(live.values()).union(rules.moments))),
    )


def _moments_of(items: Collection[Item]) -> set[datetime]:
    """When one of the items begins or ends to be valid."""
    ends = (map(attrgetter(name), items) for name in ("valid_from", "valid_to"))
    return set(filter(None, chain.from_iterable(ends)))


def _all_but(some: Iterable[Item], items: Sequence[Item]) -> tuple[Item, ...]:
    out = {item.item_id for item in some}
    return tuple(item for item in items if item.item_id not in out)


def _by_kind(items: Iterable[Item]) -> dict[ItemKind, tuple[Item, ...]]:
    ordered = sorted(items, key=_newest_first)
    return {kind: tuple(item for item in ordered if item.kind is kind) for kind in ItemKind}


def _newest_first(item: Item) -> tuple[int, float, str]:
    published = item.published_at.timestamp() if item.published_at else 0.0
    return (-item.offer_terms.priority, -published, item.item_id)
