"""Who may call. In: the request's headers and a scope. Out: nothing, or the error that says why not.

A key comes as `Authorization: Bearer <key>` or as `X-API-Key`. In a query it never counts, because
queries are written to logs.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from wsgiref.types import WSGIEnvironment

from recsvc.domain.access import ApiKey, Scope
from recsvc.errors import ForbiddenError, UnauthenticatedError
from recsvc.services import Services

_KEY_TEXT = re.compile(r"[A-Za-z0-9._~+/=:-]{1,256}")
_HOW = "send one valid API key as Authorization: Bearer or as X-API-Key"

# How the OpenAPI document names the two ways; one of them is enough.
SECURITY_SCHEMES = {
    "bearerKey": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key as `Authorization: Bearer <key>`.",
    },
    "headerKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "The same API key as `X-API-Key: <key>`.",
    },
}


class Presented(NamedTuple):
    """What a caller shows: the values of the two headers, None where one was not sent."""

    authorization: str | None
    header_key: str | None


def presented_in(environ: WSGIEnvironment) -> Presented:
    """What the caller of a request shows."""
    return Presented(environ.get("HTTP_AUTHORIZATION"), environ.get("HTTP_X_API_KEY"))


def authorise(services: Services, presented: Presented, scope: Scope) -> ApiKey | None:
    """Let a caller pass who holds the scope. The key; None where none is asked for.

    Raises:
        UnauthenticatedError: no key was given, or none that is known and valid.
        ForbiddenError: the key lacks the scope.
        StoreError: the keys cannot be looked up.
    """
    if services.settings.auth == "off":
        return None
    key = _authenticate(services, presented)
    if scope not in key.scopes:
        raise ForbiddenError(scope.value)
    return key


def security_of(scope: Scope | None) -> list[dict[str, list[str]]]:
    """What the OpenAPI document says of an operation that needs the scope."""
    return [{name: [scope.value]} for name in SECURITY_SCHEMES] if scope else []


def _authenticate(services: Services, presented: Presented) -> ApiKey:
    text = _presented_key(presented)
    # An odd text cannot be a key, so the store is not asked; unknown and revoked keys look the same.
    key = services.keys.authenticate(text) if _KEY_TEXT.fullmatch(text) else None
    if key is None:
        raise UnauthenticatedError(f"the API key is not valid; {_HOW}")
    return key


def _presented_key(presented: Presented) -> str:
    authorization, header_key = presented
    if authorization is None and header_key is None:
        raise UnauthenticatedError(f"no API key was given; {_HOW}")
    if authorization is None:
        return header_key or ""
    scheme, _, bearer_key = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise UnauthenticatedError(f"the Authorization header does not say Bearer; {_HOW}")
    if header_key is not None and header_key != bearer_key.strip(" "):
        raise UnauthenticatedError(f"two different API keys were given; {_HOW}")
    return bearer_key.strip(" ")
