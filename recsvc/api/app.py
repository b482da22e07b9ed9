"""Build the web application. In: services. Out: a Flask app, which is a plain WSGI callable."""

from __future__ import annotations

from functools import cache
from typing import Any

import flask_smorest
from flask import Flask
from werkzeug.exceptions import HTTPException

from recsvc import __version__
from recsvc.api.audit import audit
from recsvc.api.boundary import Boundary
from recsvc.api.browsing import browsing
from recsvc.api.catalogue import catalogue
from recsvc.api.customers import customers
from recsvc.api.documentation import Published, documentation, publish, published_of
from recsvc.api.documents import ANY_PROBLEM, describe
from recsvc.api.endpoints import attach_services
from recsvc.api.events import events
from recsvc.api.experiment_results import experiment_results
from recsvc.api.experiments import experiments
from recsvc.api.fast_path import FastPath
from recsvc.api.health import health
from recsvc.api.identities import identities
from recsvc.api.limits import MAX_BODY_BYTES
from recsvc.api.merchandising import merchandising
from recsvc.api.models import models
from recsvc.api.offer_versions import offer_versions
from recsvc.api.posted_recommendations import posted_recommendations
from recsvc.api.problems import answer_error
from recsvc.api.recommendations import recommendations
from recsvc.api.satisfaction import satisfaction
from recsvc.api.schemas import ProblemSchema
from recsvc.api.training_runs import training_runs
from recsvc.services import Services

AUDIENCES = (
    recommendations,
    posted_recommendations,
    browsing,
    events,
    customers,
    identities,
    catalogue,
    offer_versions,
    audit,
    merchandising,
    experiments,
    models,
    satisfaction,
    experiment_results,
    training_runs,
    health,
    documentation,
)


def create_app(services: Services) -> Flask:
    """The whole application, its outermost layer included."""
    app = _bare()
    attach_services(app, services)
    for audience in AUDIENCES:
        audience.register(app)
    publish(app, description())
    for error in (HTTPException, Exception):
        app.register_error_handler(error, answer_error)
    boundary = Boundary(app.wsgi_app, services.new_id, services.telemetry.note)
    app.wsgi_app = FastPath(boundary, services)  # type: ignore[method-assign]
    return app


@cache
def description() -> Published:
    """What tells of the API. It says the same whatever the services are, so a process makes it once."""
    app = _bare()
    app.config.update(API_TITLE="recsvc", API_VERSION=__version__, OPENAPI_VERSION="3.1.0")
    api: Any = flask_smorest.Api()
    api.ERROR_SCHEMA = ProblemSchema
    api.init_app(app)
    api.DEFAULT_ERROR_RESPONSE_NAME = ANY_PROBLEM
    describe(api.spec)
    for audience in AUDIENCES:
        audience.document(api)
    return published_of(app, api.spec.to_dict())


def _bare() -> Flask:
    app = Flask("recsvc.api", static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=MAX_BODY_BYTES, PROVIDE_AUTOMATIC_OPTIONS=False)
    app.url_map.merge_slashes = False  # Else a doubled slash is answered by a redirect in HTML.
    return app
