"""For those who keep customers. In: a customer. Out: the record, the portrait, the export, the receipt."""

from __future__ import annotations

from itertools import chain

import msgspec
from flask import Response

from recsvc.api.bodies import JSON, JsonBody
from recsvc.api.documents import (
    CHANGE_HEADERS,
    CUSTOMER_EXAMPLE,
    EXPORT_HEADERS,
    NOT_CHANGED,
    RECEIPT_EXAMPLE,
    RECORD_HEADERS,
)
from recsvc.api.endpoints import Answered, BodyForm, Endpoints, services
from recsvc.api.portrait_schemas import PORTRAIT_EXAMPLE, PortraitSchema
from recsvc.api.problems import NOT_FOUND, PRECONDITION_FAILED, PRECONDITION_REQUIRED
from recsvc.api.rates import Rate
from recsvc.api.record_schemas import CustomerSchema, ReceiptSchema
from recsvc.api.records import customer_of, expected_version, load_body, show_stored, show_written
from recsvc.domain.access import Scope
from recsvc.errors import NotFoundError

customers = Endpoints("customers", "What is recorded and known about one customer.")

_RULE = "/v1/customers/<customer_id>"
_UNCACHED = {"Cache-Control": "no-store"}


@customers.get(
    _RULE,
    requires=Scope.CUSTOMERS_READ,
    answers=CustomerSchema,
    headers=RECORD_HEADERS,
    example=CUSTOMER_EXAMPLE,
    more_answers=NOT_CHANGED,
    problems=(NOT_FOUND,),
)
def get_customer(customer_id: str) -> Response:
    """The customer as recorded: attributes, consents, suitability."""
    return show_stored(services().customers.get(customer_id), "customer")


@customers.change(
    "PUT",
    _RULE,
    requires=Scope.CUSTOMERS_WRITE,
    takes=(BodyForm(JSON, CustomerSchema, CUSTOMER_EXAMPLE),),
    answer=Answered(200, CustomerSchema, RECORD_HEADERS, CUSTOMER_EXAMPLE),
    more_answers={201: "There was no such record; Location says where it is now."},
    problems=(PRECONDITION_FAILED, PRECONDITION_REQUIRED),
)
def put_customer(customer_id: str, body: JsonBody) -> Response:
    """Record the customer, or replace the record whole. The next list obeys it.

    To replace one, send its ETag as If-Match.
    """
    customer = customer_of(load_body(CustomerSchema(), body.value), customer_id)
    desk = services().customers
    expected = expected_version(desk.get, customer_id)
    return show_written(customer, desk.put(customer, expected=expected))


@customers.get(
    f"{_RULE}/profile",
    requires=Scope.CUSTOMERS_READ,
    answers=PortraitSchema,
    rate=Rate.PROFILES,
    headers=CHANGE_HEADERS,
    example=PORTRAIT_EXAMPLE,
    problems=(NOT_FOUND,),
)
def profile(customer_id: str) -> Response:
    """The portrait of the customer, from what they did on every channel.

    A customer of whom nothing is known and one who was erased look the same.
    """
    portrait = services().portraits.portrait(customer_id)
    if portrait is None:
        raise NotFoundError("nothing is known of this customer")
    return Response(msgspec.json.encode(portrait), mimetype=JSON, headers=_UNCACHED)


@customers.change(
    "DELETE",
    _RULE,
    requires=Scope.PRIVACY_ERASE,
    answer=Answered(202, ReceiptSchema, CHANGE_HEADERS, RECEIPT_EXAMPLE),
)
def erase_customer(customer_id: str) -> Response:
    """Forget the customer for good. The receipt says what was removed where.

    Erasing twice is the same answer, and so is erasing somebody whom nobody knows.
    """
    receipt = services().privacy.erase(customer_id)
    return Response(msgspec.json.encode(receipt), 202, mimetype=JSON, headers=_UNCACHED)


@customers.get(
    f"{_RULE}/export",
    requires=Scope.PRIVACY_ERASE,
    answers={"type": "object"},
    headers=EXPORT_HEADERS,
)
def export_customer(customer_id: str) -> Response:
    """Everything that is held about the customer, as one JSON document to keep."""
    pieces = services().privacy.export(customer_id)
    first = next(pieces, b"")  # What cannot be read at all is told before the answer has begun.
    headers = {**_UNCACHED, "Content-Disposition": 'attachment; filename="customer.json"'}
    return Response(chain((first,), pieces), mimetype=JSON, headers=headers)
