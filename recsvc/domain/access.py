"""Who may call what: scopes, the roles that bundle them, and API keys as they are stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Scope(StrEnum):
    """One thing that a key may do."""

    RECS_READ = "recs:read"
    EVENTS_WRITE = "events:write"
    CATALOGUE_WRITE = "catalogue:write"
    CUSTOMERS_READ = "customers:read"
    CUSTOMERS_WRITE = "customers:write"
    PRIVACY_ERASE = "privacy:erase"
    TRAIN_RUN = "train:run"
    MODELS_PROMOTE = "models:promote"
    EXPERIMENTS_WRITE = "experiments:write"
    AUDIT_READ = "audit:read"
    OFFERS_READ = "offers:read"
    OFFERS_APPROVE = "offers:approve"


class Role(StrEnum):
    """A usual bundle of scopes."""

    FRONTEND = "frontend"
    MARKETER = "marketer"
    ANALYST = "analyst"
    PRIVACY = "privacy"
    ADMIN = "admin"
    COMPLIANCE = "compliance"


ROLE_SCOPES: dict[Role, frozenset[Scope]] = {
    Role.FRONTEND: frozenset({Scope.RECS_READ, Scope.EVENTS_WRITE}),
    Role.MARKETER: frozenset(
        {
            Scope.RECS_READ,
            Scope.CATALOGUE_WRITE,
            Scope.OFFERS_READ,
            Scope.CUSTOMERS_READ,
            Scope.TRAIN_RUN,
            Scope.MODELS_PROMOTE,
            Scope.EXPERIMENTS_WRITE,
        }
    ),
    Role.ANALYST: frozenset({Scope.RECS_READ, Scope.EXPERIMENTS_WRITE, Scope.AUDIT_READ}),
    Role.PRIVACY: frozenset(
        {Scope.CUSTOMERS_READ, Scope.CUSTOMERS_WRITE, Scope.PRIVACY_ERASE, Scope.AUDIT_READ}
    ),
    Role.ADMIN: frozenset(Scope),
    Role.COMPLIANCE: frozenset({Scope.OFFERS_READ, Scope.OFFERS_APPROVE, Scope.AUDIT_READ}),
}


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as the store knows it: never its secret. `digest` is the SHA-256 of the whole key text."""

    key_id: str
    digest: str
    label: str
    scopes: frozenset[Scope]
    created_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key at its making: the only moment when its text is known."""

    key_id: str
    key: str
    scopes: frozenset[Scope]
