"""For compliance: what was decided on offers, and why. In: a customer. Out: decisions, an explanation."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Response

from recsvc.api.audit_schemas import (
    DECISION_EXAMPLE,
    EXPLANATION_EXAMPLE,
    DecisionsQuery,
    DecisionsSchema,
    ExplanationQuery,
    ExplanationSchema,
)
from recsvc.api.bodies import JSON
from recsvc.api.documents import CHANGE_HEADERS
from recsvc.api.endpoints import Endpoints, services
from recsvc.api.problems import NOT_FOUND
from recsvc.domain.access import Scope
from recsvc.domain.decisions import Decision
from recsvc.domain.items import ItemKind
from recsvc.domain.slates import SlateRequest

audit = Endpoints("audit", "Why offers were made, and why not.")

_UNCACHED = {"Cache-Control": "no-store"}
_NOT_SHOWN = ("customer_id", "facts")  # The one is asked by; the other is for whoever makes it again.


@audit.get(
    "/v1/customers/<customer_id>/decisions",
    requires=Scope.AUDIT_READ,
    query=DecisionsQuery,
    answers=DecisionsSchema,
    headers=CHANGE_HEADERS,
    example={"customer_id": "c1", "decisions": [DECISION_EXAMPLE], "before": None},
)
def get_decisions(customer_id: str, query: dict[str, Any]) -> Response:
    """Every offer list that was decided for the customer, latest first, with what was refused and why.

    Where there are more, `before` of the answer is the `before` of the next call.
    """
    page = services().audit.decisions(customer_id, **query)
    shown = [_shown(decision) for decision in page.decisions]
    return _answer({"customer_id": customer_id, "decisions": shown, "before": page.before})


@audit.get(
    "/v1/customers/<customer_id>/offers/<offer_id>/explanation",
    requires=Scope.AUDIT_READ,
    query=ExplanationQuery,
    answers=ExplanationSchema,
    headers=CHANGE_HEADERS,
    example=EXPLANATION_EXAMPLE,
    problems=(NOT_FOUND,),
)
def get_explanation(customer_id: str, offer_id: str, query: dict[str, Any]) -> Response:
    """Why the customer would be made the offer at this moment, or would not.

    Every gate says what it compared and whether it passed; of one that did not, what would have to change.
    A customer whom nobody knows is explained as a stranger. Nothing is reserved and nothing kept.
    """
    request = SlateRequest(ItemKind.OFFER, customer_id, **query)
    found = services().audit.explanation(request, offer_id)
    return _answer({"customer_id": customer_id, **msgspec.to_builtins(found)})


def _shown(decision: Decision) -> dict[str, Any]:
    return {name: value for name, value in decision.told().items() if name not in _NOT_SHOWN}


def _answer(body: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(body), mimetype=JSON, headers=_UNCACHED)
