"""For front ends, at a login: which ids are one customer. In: two ids. Out: whose they are, and the unit."""

from __future__ import annotations

import msgspec
from flask import Response

from recsvc.api.bodies import JSON
from recsvc.api.documents import CHANGE_HEADERS
from recsvc.api.endpoints import Answered, Endpoints, services
from recsvc.api.experiment_examples import IDENTITY_EXAMPLE
from recsvc.api.experiment_schemas import IdentitiesSchema, IdentitySchema
from recsvc.api.problems import CONFLICT
from recsvc.domain.access import Scope

identities = Endpoints("identities", "Ids that a customer had before they were known.")

_ALL = "/v1/customers/<customer_id>/identities"
_UNCACHED = {"Cache-Control": "no-store"}


@identities.get(
    _ALL,
    requires=Scope.CUSTOMERS_READ,
    answers=IdentitiesSchema,
    headers=CHANGE_HEADERS,
    example={"customer_id": "c1", "identities": [IDENTITY_EXAMPLE]},
)
def get_identities(customer_id: str) -> Response:
    """The ids that belong to the customer, by id; none of somebody nobody knows."""
    found = services().identities.of_customer(customer_id)
    body = {"customer_id": customer_id, "identities": found}
    return Response(msgspec.json.encode(body), mimetype=JSON, headers=_UNCACHED)


@identities.change(
    "PUT",
    f"{_ALL}/<identity_id>",
    requires=Scope.EVENTS_WRITE,
    answer=Answered(200, IdentitySchema, CHANGE_HEADERS, IDENTITY_EXAMPLE),
    more_answers={201: "The id belongs to the customer from now on."},
    problems=(CONFLICT,),
)
def put_identity(customer_id: str, identity_id: str) -> Response:
    """Let an id belong to a customer: send it at the login, before the customer's own id is first served.

    The customer keeps the variants that the id met, unless their own id met any before. An erasure of the
    customer erases the id with all that it holds. An id belongs to one customer for good; twice is the same.
    """
    linked = services().identities.link(customer_id, identity_id)
    status = 201 if linked.created else 200
    return Response(msgspec.json.encode(linked.link), status, mimetype=JSON, headers=_UNCACHED)
