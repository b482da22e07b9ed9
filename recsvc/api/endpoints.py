"""The one door to flask-smorest. In: a rule, who may call it, its shapes. Out: a route that keeps them.

flask-smorest carries no types, so its decorators are applied here and nowhere else. A route cannot be
made without saying which scope it requires, and every route takes the same way: access, rate, path,
query, body, view.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any

import flask_smorest
from flask import Flask, Response, current_app, request
from marshmallow import Schema

from recsvc.api.access import authorise, presented_in, security_of
from recsvc.api.bodies import JSON, read_json
from recsvc.api.problems import (
    CONTENT_TOO_LARGE,
    FORBIDDEN,
    MALFORMED,
    RATE_LIMITED,
    UNAUTHENTICATED,
    UNAVAILABLE,
    UNSUPPORTED_MEDIA_TYPE,
    VALIDATION_ERROR,
    ProblemType,
)
from recsvc.api.query import check_path, load_query
from recsvc.api.rates import Rate, RateKeeper
from recsvc.api.schemas import QuerySchema
from recsvc.domain.access import Scope
from recsvc.domain.identifiers import ID_PATTERN, ID_RULE
from recsvc.domain.offer_versions import NOBODY
from recsvc.observability import RECORD_KEY, RequestRecord
from recsvc.services import Services

View = Callable[..., Response]
Shape = type[Schema] | dict[str, Any]

_EXTENSION = "recsvc"
_RATES = "recsvc.rates"

_COUNTED = {
    "description": "Which one, counted from 1.",
    "schema": {"type": "string", "pattern": "^[1-9][0-9]{0,8}$"},
    "example": "1",
}


def attach_services(app: Flask, services: Services) -> None:
    """Let the views of the app reach the services."""
    app.extensions[_EXTENSION] = services
    app.extensions[_RATES] = RateKeeper(services.policy.limits)


def services() -> Services:
    """What answers the requests of this app."""
    found: Services = current_app.extensions[_EXTENSION]
    return found


def request_record() -> RequestRecord:
    """What will be told of the present request."""
    record: RequestRecord = request.environ[RECORD_KEY]
    return record


def acting_key() -> str:
    """The id of the key that the request came with, which says who acts; a name of its own without keys."""
    return request_record().key_id or NOBODY


@dataclass(frozen=True, slots=True)
class BodyForm:
    """One form in which a call takes its body: what it is called, and what it looks like."""

    media_type: str
    schema: Shape
    example: Any


@dataclass(frozen=True, slots=True)
class Answered:
    """What a call answers when all goes well. Documentation, the status included."""

    status: int
    shape: Shape | None = None
    headers: Mapping[str, Any] | None = None
    example: Any = None
    media_type: str = JSON


@dataclass(frozen=True, slots=True)
class Needs:
    """What a request has to bring before the view sees it."""

    scope: Scope | None
    query: type[QuerySchema] | None = None
    takes: tuple[BodyForm, ...] = ()
    rate: Rate | None = None


class Endpoints:
    """The endpoints of one audience."""

    def __init__(self, name: str, description: str) -> None:
        self._blueprint: Any = flask_smorest.Blueprint(name, __name__, description=description)

    def register(self, app: Flask) -> None:
        """Make the endpoints part of the app."""
        app.register_blueprint(self._blueprint)

    def document(self, api: Any) -> None:
        """Have flask-smorest describe the endpoints."""
        api.register_blueprint(self._blueprint)

    def get(
        self,
        rule: str,
        *,
        requires: Scope | None,
        answers: Shape,
        query: type[QuerySchema] | None = None,
        rate: Rate | None = None,
        headers: Mapping[str, Any] | None = None,
        example: Any = None,
        media_type: str = JSON,
        problems: tuple[ProblemType, ...] = (),
        more_answers: Mapping[int, str] | None = None,
    ) -> Callable[[View], View]:
        """Serve GET and HEAD of the rule with the view. `requires` None means that anybody may call it.

        A view with a `query` gets its values as the keyword argument of that name, beside the path's
        parameters. `headers`, `example`, `problems` and `more_answers` are documentation.
        """
        answer = Answered(200, answers, headers, example, media_type)
        needs = Needs(requires, query=query, rate=rate)
        return self._serve("GET", rule, needs, answer, problems, more_answers or {})

    def change(
        self,
        method: str,
        rule: str,
        *,
        requires: Scope,
        answer: Answered,
        takes: tuple[BodyForm, ...] = (),
        rate: Rate | None = None,
        problems: tuple[ProblemType, ...] = (),
        more_answers: Mapping[int, str] | None = None,
    ) -> Callable[[View], View]:
        """Serve POST, PUT or DELETE of the rule with the view.

        A view that takes a body gets it, parsed and no more, as the keyword argument `body`.
        """
        return self._serve(
            method, rule, Needs(requires, takes=takes, rate=rate), answer, problems, more_answers or {}
        )

    def _serve(
        self,
        method: str,
        rule: str,
        needs: Needs,
        answer: Answered,
        problems: tuple[ProblemType, ...],
        more_answers: Mapping[int, str],
    ) -> Callable[[View], View]:
        def decorate(view: View) -> View:
            blueprint = self._blueprint
            route = blueprint.response(
                answer.status,
                answer.shape,
                headers=answer.headers,
                example=answer.example,
                content_type=answer.media_type,
            )(_guarded(view, rule, needs))
            for status, description in more_answers.items():
                route = blueprint.alt_response(status, description=description, success=True)(route)
            for kind in _problems_of(needs, problems):
                route = blueprint.alt_response(kind.status, kind.slug)(route)
            documented = {"requestBody": _request_body(needs.takes)} if needs.takes else {}
            route = blueprint.doc(
                operationId=view.__name__,
                security=security_of(needs.scope),
                parameters=[{"in": "query", "schema": needs.query}] if needs.query else [],
                **documented,
            )(route)
            blueprint.route(rule, methods=[method], parameters=_path_parameters(rule))(route)
            return view

        return decorate


def _guarded(view: View, rule: str, needs: Needs) -> View:
    """The view behind everything that a request has to pass before it."""
    schema = (needs.query or QuerySchema)()
    media_types = tuple(form.media_type for form in needs.takes)

    @wraps(view)
    def answer(**arguments: Any) -> Response:
        request_record().route = rule
        if needs.scope is not None:
            _admit(needs.scope, needs.rate)
        check_path(arguments)
        values = load_query(schema, str(request.environ.get("QUERY_STRING", "")))
        if needs.query:
            arguments["query"] = values
        if media_types:
            arguments["body"] = read_json(request.environ, media_types)
        response = view(**arguments)
        if needs.scope is not None:
            response.vary.update(("Authorization", "X-API-Key"))
        return response

    return answer


def _admit(scope: Scope, rate: Rate | None) -> None:
    key = authorise(services(), presented_in(request.environ), scope)
    request_record().key_id = key.key_id if key else None
    if rate is not None:
        keeper: RateKeeper = current_app.extensions[_RATES]
        keeper.count(rate, key.key_id if key else "anybody")


def _request_body(forms: tuple[BodyForm, ...]) -> dict[str, Any]:
    content = {form.media_type: {"schema": form.schema, "example": form.example} for form in forms}
    return {"required": True, "content": content}


def _path_parameters(rule: str) -> list[dict[str, Any]]:
    return [
        {"in": "path", "name": name, "required": True, **(_COUNTED if name == "number" else _id_of(name))}
        for name in re.findall(r"<(\w+)>", rule)
    ]


def _id_of(name: str) -> dict[str, Any]:
    return {
        "description": f"{name.removesuffix('_id').capitalize()} id: {ID_RULE}.",
        "schema": {"type": "string", "pattern": f"^{ID_PATTERN}$"},
        "example": f"{name[0]}1",
    }


def _problems_of(needs: Needs, more: tuple[ProblemType, ...]) -> tuple[ProblemType, ...]:
    guarded = (UNAUTHENTICATED, FORBIDDEN, UNAVAILABLE) if needs.scope else ()
    bodied = (MALFORMED, CONTENT_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE) if needs.takes else ()
    limited = (RATE_LIMITED,) if needs.rate else ()
    return tuple(dict.fromkeys((*guarded, *bodied, *limited, VALIDATION_ERROR, *more)))
