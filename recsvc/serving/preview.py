"""What would change if a version went live. In: a version. Out: lists of some customers, now and then.

Some customers are asked for their first ten of each kind, through the engine itself, gates and all, once with
the champion and once with the version. What is live is left out on both sides: it would be the same. The
customers are spread evenly over those that the version knows, so that everybody who looks sees the same.
It takes a second of CPU, and more of a large catalogue: no work for a process that answers requests.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from recsvc.bundles.bundle import History
from recsvc.bundles.gate_report import GateReport, SegmentOutcome
from recsvc.domain.items import Item, ItemKind, text_in
from recsvc.domain.merchandising import MerchandisingRule, RuleBook
from recsvc.domain.slates import OfferItem, SlateItem, SlateRequest
from recsvc.policy import Policy
from recsvc.serving.catalogue_view import CatalogueView, make_view
from recsvc.serving.customers import SubjectReader
from recsvc.serving.engine import Engine
from recsvc.serving.live_catalogue import LiveCatalogue
from recsvc.serving.offers.protocols import Contacts
from recsvc.serving.offers.uncounted import NOBODY_COUNTS
from recsvc.serving.protocols import Catalogue
from recsvc.serving.verification import Model

MAX_CUSTOMERS = 30
"""Each takes four lists; a share of so many is off by .18 at most."""

FIRST = 10
MAX_REACHES = 100


@dataclass(frozen=True, slots=True)
class Reach:
    """How many of the customers who were asked get something on their first ten under either model.

    `name` is an offer's id or a category; `title` is the offer's, in the default locale.
    """

    name: str
    title: str | None
    candidate: int
    champion: int


@dataclass(frozen=True, slots=True)
class ShownItem:
    """An item of a list, with its title in the default locale."""

    item_id: str
    title: str | None
    category: str | None


@dataclass(frozen=True, slots=True)
class PersonaLists:
    """A made-up customer's first ten under both models, of what is live now."""

    name: str
    history: tuple[ShownItem, ...]
    candidate: tuple[ShownItem, ...]
    champion: tuple[ShownItem, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """What a version would change.

    `overlap` is the mean share of the champion's first ten that stay, `n_changed` of how many customers they
    are not the same; None where no champion serves to compare with. `segments` are those of the gate's
    report, the winners first.
    """

    version: str
    champion: str | None
    catalogue_revision: int
    n_customers: int
    overlap: float | None
    n_changed: int | None
    offers: tuple[Reach, ...]
    categories: tuple[Reach, ...]
    segments: tuple[SegmentOutcome, ...]
    personas: tuple[PersonaLists, ...]


_Lists = Mapping[str, tuple[SlateItem, ...]]  # By customer: the first ten of each kind, one after the other.


class Previewer:
    """Makes previews of models over the catalogue."""

    def __init__(
        self,
        catalogue: Catalogue,
        rules: Callable[[], Sequence[MerchandisingRule]],
        subjects: SubjectReader,
        policy: Policy,
        *,
        contacts: Callable[[Callable[[str], bool]], Contacts] = lambda is_content: NOBODY_COUNTS,
    ) -> None:
        """`contacts` makes what counts contacts, of what tells whether an item is content.

        They are looked at, and nothing is reserved: nobody will be shown the lists.
        """
        self._catalogue = catalogue
        self._rules = rules
        self._subjects = subjects
        self._policy = policy
        self._contacts = contacts

    def preview(
        self, candidate: Model, champion: Model | None, gate: GateReport | None, *, now: datetime
    ) -> Preview:
        """What would change if the candidate took the champion's place. Raises StoreError."""
        beside, view = self._views([candidate, champion])
        asked = _sample(candidate)
        after = self._lists(candidate, beside, asked, now)
        before = self._lists(champion, view, asked, now) if champion else None
        overlaps = None if before is None else [_overlap(before[one], after[one]) for one in asked]
        views = (beside, view)
        return Preview(
            version=candidate.version,
            champion=champion.version if champion else None,
            catalogue_revision=view.revision,
            n_customers=len(asked),
            overlap=None if overlaps is None else float(np.mean(overlaps)),
            n_changed=None if overlaps is None else sum(one < 1 for one in overlaps),
            offers=_reaches(after, before or {}, _offers_of, lambda name: self._title(_live(name, views))),
            categories=_reaches(after, before or {}, _categories_of, lambda name: None),
            segments=_winners_first(gate),
            personas=self._personas([(candidate, beside), (champion, view)], gate),
        )

    def _views(self, models: Sequence[Model | None]) -> list[CatalogueView]:
        """The catalogue as the store has it now, beside each of the models."""
        revision = self._catalogue.revision()  # Before the rest: what changes meanwhile is a later one.
        stored, rules = self._catalogue.items(), RuleBook(tuple(self._rules()))
        return [
            make_view(stored, model.bundle if model else None, revision=revision, rules=rules)
            for model in models
        ]

    def _lists(self, model: Model, view: CatalogueView, asked: Sequence[str], now: datetime) -> _Lists:
        engine = Engine(
            _Standing(model, view),
            self._subjects,
            self._policy,
            clock=lambda: now,
            new_id=lambda: "preview",
            contacts=self._contacts(view.is_content),
        )
        wanted = {one: [SlateRequest(kind, one, limit=FIRST) for kind in ItemKind] for one in asked}
        return {
            customer_id: tuple(item for request in both for item in engine.recommend(request).items)
            for customer_id, both in wanted.items()
        }

    def _personas(
        self, beside: Sequence[tuple[Model | None, CatalogueView]], gate: GateReport | None
    ) -> tuple[PersonaLists, ...]:
        """Those of the policy, else those that the gate made of the catalogue."""
        named = [(one.name, one.history) for one in self._policy.personas]
        made = [(one.name, one.history) for one in gate.personas] if gate else []
        views = [view for _, view in reversed(beside)]
        shown = []
        for name, history in named or made:
            candidate, champion = (
                () if model is None else tuple(map(self._shown, _first_of(model, view, history)))
                for model, view in beside
            )
            taken = tuple(self._shown(_live(item_id, views)) for item_id in history)
            shown.append(PersonaLists(name, taken, candidate, champion))
        return tuple(shown)

    def _shown(self, item: Item) -> ShownItem:
        return ShownItem(item.item_id, self._title(item), item.category)

    def _title(self, item: Item) -> str | None:
        return text_in(item.title, self._policy.serving.default_locale)


class _Standing(LiveCatalogue):
    """One model beside its view, which nothing moves."""

    def __init__(self, model: Model, view: CatalogueView) -> None:
        self._pair = (model, view)
        self.is_stale = False

    def model_and_view(self, version: str | None = None) -> tuple[Model | None, CatalogueView]:
        return self._pair


def _sample(model: Model) -> tuple[str, ...]:
    """Customers spread evenly over the rows of the model."""
    n = len(model.bundle.customers)
    rows = np.unique(np.linspace(0, n - 1, min(n, MAX_CUSTOMERS)).astype(np.int64))
    return model.bundle.customers.ids_of(rows.tolist())


def _live(item_id: str, views: Iterable[CatalogueView]) -> Item:
    """The live item as the first of the views has it that knows it; a bare one where none does."""
    found = (view.items.get(item_id) for view in views)
    return next(filter(None, found), Item(item_id))


def _overlap(before: Sequence[SlateItem], after: Sequence[SlateItem]) -> float:
    """The share of what was listed before that stays; 1 of nothing that stays nothing."""
    had, gets = ({item.item_id for item in items} for items in (before, after))
    return len(had & gets) / len(had) if had else float(not gets)


def _offers_of(items: Sequence[SlateItem]) -> set[str]:
    return {item.item_id for item in items if isinstance(item, OfferItem)}


def _categories_of(items: Sequence[SlateItem]) -> set[str]:
    return {item.category for item in items if item.category is not None}


def _reaches(
    after: _Lists,
    before: _Lists,
    names_of: Callable[[Sequence[SlateItem]], set[str]],
    title_of: Callable[[str], str | None],
) -> tuple[Reach, ...]:
    """The reach of whatever the lists name, what changes most first."""
    candidate, champion = (
        Counter(name for items in lists.values() for name in names_of(items)) for lists in (after, before)
    )
    names = sorted({*candidate, *champion})
    reaches = [Reach(name, title_of(name), candidate[name], champion[name]) for name in names]
    return tuple(sorted(reaches, key=lambda one: -abs(one.candidate - one.champion))[:MAX_REACHES])


def _winners_first(gate: GateReport | None) -> tuple[SegmentOutcome, ...]:
    """What gains most first; those that were not judged last."""

    def loss(one: SegmentOutcome) -> float:
        change = one.compared.change if one.compared else None
        return math.inf if change is None else -change

    return tuple(sorted(gate.segments, key=loss)) if gate else ()


def _first_of(model: Model, view: CatalogueView, history: Sequence[str]) -> list[Item]:
    """The first ten live items after a history, as the trained score orders them."""
    rows = np.sort(np.concatenate(list(view.trained_rows.values())))
    taken = [row for item_id in history if (row := model.bundle.items.row_of(item_id)) is not None]
    rows = rows[~np.isin(rows, taken)]
    if taken:
        past = History(np.array(sorted(taken), dtype=np.int32), np.ones(len(taken), dtype=np.float32))
        scores = model.scorer.score_of(past, rows)
    else:
        scores = model.bundle.popularity[rows]
    return [view.known.at(int(rows[place])) for place in np.argsort(-scores, kind="stable")[:FIRST]]
