"""Build the object graph: the one place that knows every part. It constructs, and never decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from recsvc.domain.access import ApiKey
from recsvc.domain.items import Channel, ItemKind
from recsvc.domain.slates import SlateRequest
from recsvc.policy import Policy
from recsvc.serving.answers import HealthReport, ItemList, ServedSlate
from recsvc.settings import Settings


class Engine(Protocol):
    """Answers with slates, whatever trouble the model or the cache is in."""

    def recommend(self, request: SlateRequest) -> ServedSlate:
        """The slate for the request."""
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


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that answers requests in one process. `new_id` makes request ids."""

    settings: Settings
    policy: Policy
    engine: Engine
    browser: Browser
    keys: Keys
    health: Health
    clock: Callable[[], datetime]
    new_id: Callable[[], str]

    def close(self) -> None:
        """Let go of what the process holds."""


def build_services(settings: Settings) -> Services:
    """Build every part from the settings."""
    raise NotImplementedError
