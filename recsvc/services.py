"""What answers requests in one process. In: nothing. Out: what the API may call of each part, and no more.

The API's tests need no store: whatever keeps these promises will do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from recsvc.bundles.registry import Aliases
from recsvc.domain.access import ApiKey
from recsvc.domain.customers import Customer
from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Channel, Item, ItemKind
from recsvc.domain.offer_life import PutMany, PutOffer
from recsvc.domain.profiles import Portrait
from recsvc.domain.records import ErasureReceipt, Taken, Versioned, Written
from recsvc.domain.slates import Slate, SlateRequest
from recsvc.experimentation.desks import ExperimentDesk, IdentityDesk
from recsvc.experimentation.results_desk import ResultsDesk, SatisfactionDesk
from recsvc.kept_answers import Place
from recsvc.policy import Policy
from recsvc.serving.answers import HealthReport, ItemList, ServedSlate
from recsvc.serving.desks import MerchandisingDesk
from recsvc.serving.models_desk import ModelFacts, ModelShelf
from recsvc.serving.offers.auditing import AuditDesk
from recsvc.serving.offers.desk import OfferDesk
from recsvc.serving.preview import Preview
from recsvc.serving.training_desk import TrainingDesk
from recsvc.settings import Settings
from recsvc.telemetry import Telemetry


class Engine(Protocol):
    """Answers with slates, whatever trouble the model or the cache is in."""

    def recommend(self, request: SlateRequest) -> ServedSlate:
        """The slate for the request."""
        ...

    def recommend_many(self, requests: Sequence[SlateRequest]) -> Iterator[ServedSlate]:
        """The slates for the requests of as many customers, each as its turn comes."""
        ...

    def at_hand(self, request: SlateRequest) -> ServedSlate | None:
        """The same slate, where it stands ready; None where somebody would have to wait for it."""
        ...

    def ask(self, request: SlateRequest, heard: Callable[[ServedSlate | None], object]) -> bool:
        """Ask for the same slate without waiting; whether `heard` will be told it, on any thread.

        It is told None where only `recommend` can say.
        """
        ...


class Computing(Protocol):
    """Bounds what a request for many lists costs."""

    def allowance(self) -> AbstractContextManager[None]:
        """What is asked for meanwhile is made until the allowance is used up; the rest is what is popular."""
        ...


class Visitors(Protocol):
    """Answers those who are nobody's customers yet."""

    def recommend_visitor(self, request: SlateRequest, did: Sequence[Interaction]) -> Slate:
        """The slate after what somebody did in a session; nothing of it is kept."""
        ...


class Browser(Protocol):
    """Answers with lists that are nobody's own."""

    def similar(self, item_id: str, *, limit: int, channel: Channel, locale: str | None) -> ItemList:
        """Items like the item. Raises NotFoundError for an unknown item."""
        ...

    def trending(
        self, *, kind: ItemKind, limit: int, channel: Channel, locale: str | None, categories: tuple[str, ...]
    ) -> ItemList:
        """What everybody turns to now."""
        ...


class Keys(Protocol):
    """Knows API keys by their text."""

    def authenticate(self, key_text: str) -> ApiKey | None:
        """The key; None when it is unknown or revoked. Raises StoreError."""
        ...


class Health(Protocol):
    """Knows how this worker is."""

    def report(self) -> HealthReport:
        """Whether it can answer, and what it has to do without."""
        ...


class Intake(Protocol):
    """Takes events in. Once `take` returns, they are durable and the next answer knows them."""

    def take(self, events: Sequence[Interaction]) -> Taken:
        """Store all events or none. Raises EventConflictError, StoreError."""
        ...


class CustomerDesk(Protocol):
    """Keeps what is recorded about customers."""

    def get(self, customer_id: str) -> Versioned[Customer] | None:
        """The record. Raises StoreError."""
        ...

    def put(self, customer: Customer, *, expected: str | None) -> Written:
        """Create the record, or replace the version `expected` ("*" is any version).

        Raises PreconditionRequiredError, PreconditionFailedError, StoreError.
        """
        ...


class CatalogueDesk(Protocol):
    """Keeps the items."""

    def get(self, item_id: str) -> Versioned[Item] | None:
        """The item, whatever its status. Raises StoreError."""
        ...

    def put(self, item: Item, *, expected: str | None, by: str) -> PutOffer:
        """Create the item, or replace the version `expected`. Raises as `CustomerDesk.put` does.

        `by` is the id of the key that asks for it. An offer may come to wait for approval instead.
        """
        ...

    def put_many(self, items: Sequence[Item], *, by: str) -> PutMany:
        """Create or replace all items or none. Raises StoreError."""
        ...

    def retire(self, item_id: str, *, expected: str | None, by: str) -> bool:
        """Take the item out of service for good; whether there was one. Raises as `put` does."""
        ...


class Portraits(Protocol):
    """Draws customers."""

    def portrait(self, customer_id: str) -> Portrait | None:
        """What is known of the customer now; None of one of whom nothing is known. Raises StoreError."""
        ...


class Privacy(Protocol):
    """Gives customers what is held about them, and forgets it."""

    def erase(self, customer_id: str) -> ErasureReceipt:
        """Forget the customer, tombstone first. Twice is the same answer. Raises StoreError."""
        ...

    def export(self, customer_id: str) -> Iterator[bytes]:
        """Everything that is held about the customer as one JSON document, piece by piece."""
        ...


class ModelsDesk(Protocol):
    """Shows the shelf of models and moves the champion."""

    def shelf(self) -> ModelShelf:
        """Every version and the aliases. Raises RegistryError."""
        ...

    def facts(self, version: str) -> ModelFacts:
        """What there is to know of a version. Raises NotFoundError, BundleRefusedError, RegistryError."""
        ...

    def preview(self, version: str, place: Place) -> Preview:
        """What would change if the version went live. `place` is held while that is made, or waited for.

        Raises as `facts` does, ReportNotReadyError and StoreError.
        """
        ...

    def promote(self, version: str) -> Aliases:
        """Point `champion` at a version, after the full check. Raises as `facts` does, and StoreError."""
        ...

    def roll_back(self) -> Aliases:
        """Point `champion` back. Raises NothingToRollBackError, RegistryError, StoreError."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that answers requests in one process. `new_id` makes request ids."""

    settings: Settings
    policy: Policy
    engine: Engine
    visitors: Visitors
    computing: Computing
    browser: Browser
    keys: Keys
    health: Health
    intake: Intake
    customers: CustomerDesk
    catalogue: CatalogueDesk
    offers: OfferDesk
    audit: AuditDesk
    merchandising: MerchandisingDesk
    training_runs: TrainingDesk
    portraits: Portraits
    satisfaction: SatisfactionDesk
    experiment_results: ResultsDesk
    privacy: Privacy
    models: ModelsDesk
    telemetry: Telemetry
    experiments: ExperimentDesk
    identities: IdentityDesk
    clock: Callable[[], datetime]
    new_id: Callable[[], str]
    closers: tuple[Callable[[], None], ...] = ()

    def close(self) -> None:
        """Let go of what the process holds."""
        for close in self.closers:
            close()
