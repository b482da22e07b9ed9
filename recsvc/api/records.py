"""Between bodies and records. In: a parsed body. Out: a domain value, or each place that breaks a rule.

A schema says what a body may look like, the domain what a record may mean; both speak in pointers here.
Also: versions of records, which travel as ETag, If-Match and If-None-Match.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

import msgspec
from flask import Response, request
from marshmallow import Schema, ValidationError, fields

from recsvc.api.bodies import JSON
from recsvc.api.fields import in_our_words
from recsvc.api.problems import MAX_ERRORS
from recsvc.api.record_fields import TextsByLocale
from recsvc.api.values import made, terms_of
from recsvc.domain.conditions import FieldType
from recsvc.domain.customers import Consents, Customer, Suitability
from recsvc.domain.items import Item
from recsvc.domain.merchandising import MerchandisingRule
from recsvc.domain.offer_checks import offer_faults
from recsvc.domain.records import Versioned, Written
from recsvc.domain.training_runs import TrainingRequest
from recsvc.errors import FieldError, InvalidRequestError, NotFoundError, PreconditionFailedError

T = TypeVar("T")
Field = fields.Field[Any]

MAX_TOKEN_CHARS = 64
ONLY_ANSWERED = frozenset({"is_on", "matches"})  # How a rule stands now: whoever sends it back means no harm.
_STRONG_ETAG = re.compile(r'(?<!/)"([^"]*)"(?:\s*,|\s*$)')


def load_body(schema: Schema, body: Any) -> dict[str, Any]:
    """The values of a body, in its schema's shape.

    Raises:
        InvalidRequestError: naming each place that breaks a rule.
    """
    if not isinstance(body, dict):
        raise InvalidRequestError([FieldError("", "must be an object")])
    try:
        loaded: dict[str, Any] = schema.load(body)
    except ValidationError as error:
        found = islice(_errors(error.messages_dict, schema, ""), MAX_ERRORS)
        raise InvalidRequestError(list(found)) from error
    return loaded


def item_of(given: Mapping[str, Any], item_id: str, fields: Mapping[str, FieldType], place: str = "") -> Item:
    """The item of a loaded body. `fields` are what rules may ask. Raises InvalidRequestError."""
    _check_same(given, "item_id", item_id, place)
    terms = given.get("terms")
    if terms is not None:
        terms = terms_of(terms, f"{place}/terms")
    item = made(Item, place, {**given, "item_id": item_id, "terms": terms})
    if faults := offer_faults(item, fields):
        raise InvalidRequestError([FieldError(f"{place}{one.pointer}", one.detail) for one in faults])
    return item


def check_each_once(items: Sequence[Item]) -> None:
    """Refuse a batch that says two things of one item. Raises InvalidRequestError."""
    first: dict[str, int] = {}
    twice = [
        FieldError(f"/items/{place}/item_id", f"the item stands at /items/{first[item.item_id]} already")
        for place, item in enumerate(items)
        if first.setdefault(item.item_id, place) != place
    ]
    if twice:
        raise InvalidRequestError(twice[:MAX_ERRORS])


def customer_of(given: Mapping[str, Any], customer_id: str) -> Customer:
    """The customer of a loaded body. Raises InvalidRequestError."""
    _check_same(given, "customer_id", customer_id, "")
    consents, suitability = given.get("consents"), given.get("suitability")
    whole = {
        **given,
        "customer_id": customer_id,
        "consents": None if consents is None else made(Consents, "/consents", consents),
        "suitability": None if suitability is None else made(Suitability, "/suitability", suitability),
    }
    return made(Customer, "", whole)


def rule_of(given: Mapping[str, Any], rule_id: str) -> MerchandisingRule:
    """The merchandising rule of a loaded body. Raises InvalidRequestError."""
    _check_same(given, "rule_id", rule_id, "")
    said = {name: value for name, value in given.items() if name not in ONLY_ANSWERED}
    return made(MerchandisingRule, "", {**said, "rule_id": rule_id})


def training_request_of(given: Mapping[str, Any]) -> TrainingRequest:
    """The training request of a loaded body; null is left out. Raises InvalidRequestError."""
    return made(TrainingRequest, "", {name: value for name, value in given.items() if value is not None})


def expected_version(find: Callable[[str], Versioned[Any] | None], record_id: str) -> str | None:
    """The version that the request's If-Match names: an etag, "*" for any, None where there is no If-Match.

    Of several etags it is the one that the record has now; a weak one never counts. Where none can match it
    is the empty text, which no record has.

    Raises:
        PreconditionFailedError: the record has a version that If-None-Match rules out.
    """
    ruled_out = request.headers.get("If-None-Match")
    if ruled_out is not None and (found := find(record_id)) and is_known(f'"{found.etag}"', ruled_out):
        raise PreconditionFailedError
    given = request.headers.get("If-Match")
    if given is None or given.strip() == "*":
        return given and "*"
    named = _STRONG_ETAG.findall(given) if '"' in given else [given.strip()]
    if len(named) > 1:
        found = find(record_id)
        return found.etag if found and found.etag in named else ""
    return named[0] if named and named[0] != "*" else ""


def is_known(etag: str, if_none_match: str) -> bool:
    """Whether the caller names the version, quotes included, or any."""
    # werkzeug's own parser takes seconds for a header of 30,000 spaces.
    return any(tag.strip().removeprefix("W/") in (etag, "*") for tag in if_none_match.split(","))


def show_stored(found: Versioned[T] | None, name: str) -> Response:
    """As `show_record`, of what changes with its ETag alone: 304 where the caller has it already."""
    if found is not None and is_known(f'"{found.etag}"', request.headers.get("If-None-Match", "")):
        return Response(status=304, headers=_version_headers(found.etag))
    return show_record(found, name)


def show_record(found: Versioned[T] | None, name: str) -> Response:
    """The record with its ETag. Raises NotFoundError when there is none."""
    if found is None:
        raise NotFoundError(f"there is no such {name}")
    return _record_response(found.value, found.etag, 200, {})


def show_written(record: Any, written: Written) -> Response:
    """The record as it is stored now: 201 with its place when it is new, else 200."""
    if written.created:
        return _record_response(record, written.etag, 201, {"Location": request.path})
    return _record_response(record, written.etag, 200, {})


def show_draft(item: Item, version: int) -> Response:
    """The version of an offer that waits for approval, while what is stored of it is as it was."""
    place = f"/v1/offers/{item.item_id}/versions/{version}"
    headers = {"Location": place, "Cache-Control": "private, no-cache"}
    return Response(msgspec.json.encode(item), 202, mimetype=JSON, headers=headers)


def show_gone() -> Response:
    """That the record is gone: an answer without a body, and so of no media type."""
    response = Response(status=204, headers={"Cache-Control": "no-store"})
    del response.headers["Content-Type"]
    return response


def _record_response(record: Any, etag: str, status: int, headers: dict[str, str]) -> Response:
    headers = {**_version_headers(etag), **headers}
    return Response(msgspec.json.encode(record), status, mimetype=JSON, headers=headers)


def _version_headers(etag: str) -> dict[str, str]:
    return {"ETag": f'"{etag}"', "Cache-Control": "private, no-cache"}


def _check_same(given: Mapping[str, Any], name: str, expected: str, place: str) -> None:
    if given.get(name, expected) != expected:
        raise InvalidRequestError([FieldError(f"{place}/{name}", "must be the id in the path")])


def _errors(messages: Any, shape: Schema | Field | None, place: str) -> Iterator[FieldError]:
    """marshmallow's nested messages as places with one sentence each."""
    if not isinstance(messages, Mapping):
        yield from (FieldError(place, in_our_words(text)) for text in dict.fromkeys(messages))
        return
    for name, inner in messages.items():
        if name == "_schema":
            yield from _errors(inner, None, place)
        elif isinstance(shape, Schema) and name not in shape.fields:
            yield FieldError(f"{place}/{pointer_token(name)}", _unknown(str(name), shape))
        elif type(shape) in (fields.Dict, TextsByLocale):  # Its messages tell a wrong key from a wrong value.
            for found in inner.values():
                yield from _errors(found, None, f"{place}/{pointer_token(name)}")
        else:
            yield from _errors(inner, _shape_within(shape, name), f"{place}/{pointer_token(name)}")


def _shape_within(shape: Schema | Field | None, name: str) -> Schema | Field | None:
    inner = shape.fields[name] if isinstance(shape, Schema) else shape
    if isinstance(inner, fields.List) and not isinstance(shape, Schema):
        inner = inner.inner
    return inner.schema if isinstance(inner, fields.Nested) else inner


def _unknown(name: str, schema: Schema) -> str:
    near, known = (
        difflib.get_close_matches(name[:MAX_TOKEN_CHARS], schema.fields, n=1),
        ", ".join(schema.fields),
    )
    return f"is not a field; did you mean {near[0]}?" if near else f"is not a field; it takes {known}"


def pointer_token(name: Any) -> str:
    """A name as it stands in a pointer."""
    return str(name)[:MAX_TOKEN_CHARS].replace("~", "~0").replace("/", "~1")
