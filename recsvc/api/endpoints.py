"""The one door to flask-smorest. In: a rule, who may call it, its shapes. Out: a route that keeps them.

flask-smorest carries no types, so its decorators are applied here and nowhere else. A route cannot be
made without saying which scope it requires, and every route takes the same way: access, path, query,
view.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import flask_smorest
from flask import Flask, Response, current_app, request
from marshmallow import Schema

from recsvc.api.access import authorise, security_of
from recsvc.api.problems import FORBIDDEN, UNAUTHENTICATED, UNAVAILABLE, VALIDATION_ERROR, ProblemType
from recsvc.api.query import check_path, load_query
from recsvc.api.schemas import QuerySchema
from recsvc.bootstrap import Services
from recsvc.domain.access import Scope
from recsvc.domain.identifiers import ID_PATTERN, ID_RULE
from recsvc.observability import RECORD_KEY, RequestRecord

View = Callable[..., Response]

_EXTENSION = "recsvc"


def attach_services(app: Flask, services: Services) -> None:
    """Let the views of the app reach the services."""
    app.extensions[_EXTENSION] = services


def services() -> Services:
    """What answers the requests of this app."""
    found: Services = current_app.extensions[_EXTENSION]
    return found


def request_record() -> RequestRecord:
    """What will be told of the present request."""
    record: RequestRecord = request.environ[RECORD_KEY]
    return record


class Endpoints:
    """The endpoints of one audience."""

    def __init__(self, name: str, description: str) -> None:
        self._blueprint: Any = flask_smorest.Blueprint(name, __name__, description=description)

    def register(self, api: Any) -> None:
        """Make the endpoints part of the app behind the API."""
        api.register_blueprint(self._blueprint)

    def get(
        self,
        rule: str,
        *,
        requires: Scope | None,
        answers: type[Schema] | dict[str, Any],
        query: type[QuerySchema] | None = None,
        headers: Mapping[str, Any] | None = None,
        example: Any = None,
        media_type: str = "application/json",
        problems: tuple[ProblemType, ...] = (),
        more_answers: Mapping[int, str] | None = None,
    ) -> Callable[[View], View]:
        """Serve GET and HEAD of the rule with the view. `requires` None means that anybody may call it.

        A view with a `query` gets its values as the keyword argument of that name, beside the path's
        parameters. `headers`, `example`, `problems` and `more_answers` are documentation.
        """

        def decorate(view: View) -> View:
            blueprint = self._blueprint
            route = blueprint.response(
                200, answers, headers=headers, example=example, content_type=media_type
            )(_guarded(view, rule, requires, query))
            for status, description in (more_answers or {}).items():
                route = blueprint.alt_response(status, description=description, success=True)(route)
            for kind in _problems_of(requires, problems):
                route = blueprint.alt_response(kind.status, kind.slug)(route)
            route = blueprint.doc(
                operationId=view.__name__,
                security=security_of(requires),
                parameters=[{"in": "query", "schema": query}] if query else [],
            )(route)
            blueprint.route(rule, methods=["GET"], parameters=_path_parameters(rule))(route)
            return view

        return decorate


def _guarded(view: View, rule: str, requires: Scope | None, query: type[QuerySchema] | None) -> View:
    """The view behind everything that a request has to pass before it."""
    schema = (query or QuerySchema)()

    @wraps(view)
    def answer(**path: str) -> Response:
        request_record().route = rule
        if requires is not None:
            authorise(services(), request.headers, requires)
        check_path(path)
        values = load_query(schema, str(request.environ.get("QUERY_STRING", "")))
        response = view(**path, query=values) if query else view(**path)
        if requires is not None:
            response.vary.update(("Authorization", "X-API-Key"))
        return response

    return answer


def _path_parameters(rule: str) -> list[dict[str, Any]]:
    return [
        {
            "in": "path",
            "name": name,
            "required": True,
            "description": f"{name.removesuffix('_id').capitalize()} id: {ID_RULE}.",
            "schema": {"type": "string", "pattern": f"^{ID_PATTERN}$"},
            "example": f"{name[0]}1",
        }
        for name in re.findall(r"<(\w+)>", rule)
    ]


def _problems_of(requires: Scope | None, more: tuple[ProblemType, ...]) -> tuple[ProblemType, ...]:
    guarded = (UNAUTHENTICATED, FORBIDDEN, UNAVAILABLE) if requires else ()
    return tuple(dict.fromkeys((*guarded, VALIDATION_ERROR, *more)))
