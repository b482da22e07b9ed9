"""For marketers and compliance: the versions of an offer. In: a move. Out: the version as it stands then."""

from __future__ import annotations

import re

import msgspec
from flask import Response

from recsvc.api.bodies import JSON
from recsvc.api.documents import CHANGE_HEADERS, NOT_CHANGED, RECORD_HEADERS
from recsvc.api.endpoints import Answered, Endpoints, acting_key, services
from recsvc.api.offer_version_schemas import VERSION_EXAMPLE, OfferVersionSchema, OfferVersionsSchema
from recsvc.api.problems import (
    CONFLICT,
    NOT_FOUND,
    OWN_APPROVAL,
    PRECONDITION_FAILED,
    PRECONDITION_REQUIRED,
    ProblemType,
)
from recsvc.api.records import expected_version, show_record, show_stored
from recsvc.domain.access import Scope
from recsvc.domain.offer_versions import Move, OfferVersion
from recsvc.domain.records import Versioned
from recsvc.errors import NotFoundError

offer_versions = Endpoints("offers", "The versions of an offer, from draft to retirement.")

_VERSIONS = "/v1/offers/<offer_id>/versions"
_VERSION = f"{_VERSIONS}/<number>"
_ANSWER = Answered(200, OfferVersionSchema, RECORD_HEADERS, VERSION_EXAMPLE)
_PROBLEMS: tuple[ProblemType, ...] = (NOT_FOUND, CONFLICT, PRECONDITION_FAILED, PRECONDITION_REQUIRED)


@offer_versions.get(
    _VERSIONS,
    requires=Scope.OFFERS_READ,
    answers=OfferVersionsSchema,
    headers=CHANGE_HEADERS,
    example={"versions": [VERSION_EXAMPLE]},
    problems=(NOT_FOUND,),
)
def get_offer_versions(offer_id: str) -> Response:
    """Every version of the offer, the retired ones included."""
    versions = services().offers.versions(offer_id)
    if not versions:
        raise NotFoundError("there is no such offer")
    headers = {"Cache-Control": "no-store"}
    return Response(msgspec.json.encode({"versions": versions}), mimetype=JSON, headers=headers)


@offer_versions.get(
    _VERSION,
    requires=Scope.OFFERS_READ,
    answers=OfferVersionSchema,
    headers=RECORD_HEADERS,
    example=VERSION_EXAMPLE,
    more_answers=NOT_CHANGED,
    problems=(NOT_FOUND,),
)
def get_offer_version(offer_id: str, number: str) -> Response:
    """The version as it stands, with the ETag that a change of it needs."""
    return show_stored(services().offers.version(offer_id, _counted(number)), "version")


@offer_versions.change(
    "POST",
    f"{_VERSION}/approve",
    requires=Scope.OFFERS_APPROVE,
    answer=_ANSWER,
    problems=(*_PROBLEMS, OWN_APPROVAL),
)
def approve_offer_version(offer_id: str, number: str) -> Response:
    """Approve a draft. Send its ETag as If-Match: what was read is what is approved. Its writer cannot."""
    return _moved(offer_id, number, Move.APPROVE)


@offer_versions.change(
    "POST", f"{_VERSION}/publish", requires=Scope.CATALOGUE_WRITE, answer=_ANSWER, problems=_PROBLEMS
)
def publish_offer_version(offer_id: str, number: str) -> Response:
    """Let an approved version go live, whole; the one that was served until then is retired."""
    return _moved(offer_id, number, Move.PUBLISH)


@offer_versions.change(
    "POST", f"{_VERSION}/pause", requires=Scope.CATALOGUE_WRITE, answer=_ANSWER, problems=_PROBLEMS
)
def pause_offer_version(offer_id: str, number: str) -> Response:
    """Take a live version off the lists until it is resumed."""
    return _moved(offer_id, number, Move.PAUSE)


@offer_versions.change(
    "POST", f"{_VERSION}/resume", requires=Scope.CATALOGUE_WRITE, answer=_ANSWER, problems=_PROBLEMS
)
def resume_offer_version(offer_id: str, number: str) -> Response:
    """Let a paused version be served again."""
    return _moved(offer_id, number, Move.RESUME)


@offer_versions.change(
    "POST", f"{_VERSION}/retire", requires=Scope.CATALOGUE_WRITE, answer=_ANSWER, problems=_PROBLEMS
)
def retire_offer_version(offer_id: str, number: str) -> Response:
    """End the version for good, wherever it stands."""
    return _moved(offer_id, number, Move.RETIRE)


def _moved(offer_id: str, number: str, move: Move) -> Response:
    counted, desk = _counted(number), services().offers

    def find(offer_id: str) -> Versioned[OfferVersion]:
        return desk.version(offer_id, counted)

    expected = expected_version(find, offer_id)
    return show_record(desk.move(offer_id, counted, move, expected=expected, by=acting_key()), "version")


def _counted(number: str) -> int:
    if re.fullmatch("[1-9][0-9]{0,8}", number) is None:
        raise NotFoundError("there is no such version of an offer: versions are counted from 1")
    return int(number)
