"""Lists that belong to nobody. In: an item, or nothing. Out: what is like it, or what is popular now."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import chain, islice

from recsvc.domain.items import Channel, Item, ItemKind
from recsvc.domain.merchandising import RulesOn
from recsvc.domain.slates import Source
from recsvc.errors import NotFoundError
from recsvc.policy import Policy
from recsvc.serving.answers import ItemList
from recsvc.serving.candidates import Candidate, open_to, popular, ranked
from recsvc.serving.catalogue_view import CatalogueView
from recsvc.serving.live_access import NO_LIVE, Live, LiveReader
from recsvc.serving.live_catalogue import LiveCatalogue
from recsvc.serving.offers.anybody import open_to_anybody
from recsvc.serving.offers.tables import OfferTables
from recsvc.serving.past import NO_PAST
from recsvc.serving.showing import show_item
from recsvc.serving.verification import Model


class Browser:
    """Answers for items. Of offers, only those are on such a list that anybody may see."""

    def __init__(
        self,
        catalogue: LiveCatalogue,
        policy: Policy,
        *,
        clock: Callable[[], datetime],
        live: LiveReader = NO_LIVE,
    ) -> None:
        self._catalogue = catalogue
        self._policy = policy
        self._tables = OfferTables(policy)
        self._clock = clock
        self._live = live

    def similar(self, item_id: str, *, limit: int, channel: Channel, locale: str | None) -> ItemList:
        """Items of the same kind that are like the item. Raises NotFoundError for an unknown one."""
        model, view = self._catalogue.model_and_view()
        item = view.items.get(item_id)
        if item is None:
            raise NotFoundError("there is no such item, or it is not live")
        candidates = chain(_like(item, model, view), _of_category(item, model, view))
        others = (c for c in candidates if c.item.item_id != item_id)
        return self._list(others, limit=limit, channel=channel, locale=locale, model=model, view=view)

    def trending(
        self,
        *,
        kind: ItemKind,
        limit: int,
        channel: Channel,
        locale: str | None,
        categories: tuple[str, ...],
    ) -> ItemList:
        """What most customers take now, as far as it is known what is live."""
        model, view = self._catalogue.model_and_view()

        def made(live: Live | None) -> ItemList:
            candidates = chain(_popular(kind, model, view, live), _fresh(kind, view))
            wanted = (c for c in candidates if not categories or c.item.category in categories)
            return self._list(wanted, limit=limit, channel=channel, locale=locale, model=model, view=view)

        return self._live.made(model, self._clock(), made).value

    def _list(
        self,
        candidates: Iterator[Candidate],
        *,
        limit: int,
        channel: Channel,
        locale: str | None,
        model: Model | None,
        view: CatalogueView,
    ) -> ItemList:
        now = self._clock()
        rules = view.rules.on(now, channel, placement=None)
        language = locale or self._policy.serving.default_locale
        offers = open_to_anybody(
            self._tables.of(view), self._policy, channel=channel, locale=language, now=now
        )
        shown = list(islice(_presentable(candidates, channel, now, rules, offers), limit))
        return ItemList(
            items=tuple(show_item(c, position, None, language) for position, c in enumerate(shown, start=1)),
            source=shown[0].source if shown else Source.EDITORIAL,
            model_version=model.version if model else None,
            generated_at=now,
        )


def _presentable(
    candidates: Iterator[Candidate],
    channel: Channel,
    now: datetime,
    rules: RulesOn,
    offers: frozenset[str],
) -> Iterator[Candidate]:
    seen: set[str] = set()
    for candidate in candidates:
        item = candidate.item
        on_channel = not item.channels or channel in item.channels
        if (
            item.item_id not in seen
            and on_channel
            and item.is_valid_at(now)
            and (item.kind is ItemKind.CONTENT or item.item_id in offers)
            and not rules.blocks(item)
        ):
            seen.add(item.item_id)
            yield candidate


def _like(item: Item, model: Model | None, view: CatalogueView) -> Iterator[Candidate]:
    row = model.bundle.items.row_of(item.item_id) if model else None
    if model is None or row is None:
        return
    likeness = model.scorer.similar(row)
    rows = view.trained_rows[item.kind]
    alike = rows[likeness[rows] > 0]
    yield from ranked(alike, likeness[alike], Source.PERSONALISED, view)


def _popular(
    kind: ItemKind, model: Model | None, view: CatalogueView, live: Live | None = None
) -> Iterator[Candidate]:
    return popular(open_to(NO_PAST, kind, model, view), model, live)


def _of_category(item: Item, model: Model | None, view: CatalogueView) -> Iterator[Candidate]:
    everything = chain(_popular(item.kind, model, view), _fresh(item.kind, view))
    return (c for c in everything if item.category is not None and c.item.category == item.category)


def _fresh(kind: ItemKind, view: CatalogueView) -> Iterator[Candidate]:
    return (Candidate(item, 0.0, Source.EDITORIAL, None) for item in view.fresh[kind])
