"""What serves now: every model, with its view of the catalogue. In: the store, bundles. Out: both, as one.

Of the store only what changed is read.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from recsvc.bundles.bundle import Bundle
from recsvc.domain.items import Item, ItemKind
from recsvc.domain.merchandising import NO_RULES, MerchandisingRule, RuleBook
from recsvc.errors import StoreError
from recsvc.serving.catalogue_view import CatalogueView, make_view, view_of
from recsvc.serving.live_bundles import LiveBundles
from recsvc.serving.protocols import Catalogue
from recsvc.serving.verification import Model

log = structlog.get_logger()


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
        """The view beside the champion that serves now, for its label: what it holds may be gone."""
        return self._serving.champion.view

    @property
    def versions(self) -> frozenset[str]:
        """The versions of all models that answer now."""
        return frozenset(self._serving.by_version)

    def is_content(self, item_id: str) -> bool:
        """Whether the item is an article, as far as is known."""
        stored = self.view.known.stored.get(item_id)  # In memory: no file of a model is asked after for it.
        return self.readable_view().is_content(item_id) if stored is None else stored.kind is ItemKind.CONTENT

    def readable_view(self) -> CatalogueView:
        """The view beside the champion, or, where its files were touched, what can be known without them."""
        return self.model_and_view()[1]

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
        """All items of the store by id, in the order of ids.

        It is read anew where it went back, or may have: another may have taken its place while it was away,
        without the last changes and with others since.
        """
        if self.is_stale or not 0 <= self._revision < revision:
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
        """The model with its view: the one that it has, if that is of this revision.

        Of a model whose files were touched nothing is read: no answer will ask for more of it.
        """
        standing = self._serving.of(model.version if model else None)
        if standing.model is model and standing.view.revision == self._revision:
            return standing
        if model is None or self._is_untouched(model.bundle):
            bundle = model.bundle if model else None
            view = view_of(self._stored, bundle, revision=self._revision, rules=self._rules)
        else:
            view = standing.view.held_under(self._stored, revision=self._revision, rules=self._rules)
        return _Standing(model, view)
