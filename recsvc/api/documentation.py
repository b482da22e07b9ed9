"""For whoever builds against the service: the OpenAPI document, and the same as a page to read.

Both are made once for a process, and served as ready bytes. The page needs no script, no other host and no
further request.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import msgspec
from flask import Flask, Response, current_app, render_template

from recsvc.api.endpoints import Endpoints
from recsvc.api.problems import problem_types
from recsvc.api.reference_page import page_of

documentation = Endpoints("documentation", "This description.")

_EXTENSION = "recsvc.documents"


@dataclass(frozen=True, slots=True)
class Published:
    """The documents as bytes, and the policy under which a browser shows the page."""

    openapi: bytes
    page: bytes
    content_security_policy: str


@documentation.get("/openapi.json", requires=None, answers={"type": "object"})
def openapi() -> Response:
    """The OpenAPI document of this service."""
    return Response(_published().openapi, mimetype="application/json", headers={"Cache-Control": "no-cache"})


@documentation.get("/docs", requires=None, answers={"type": "string"}, media_type="text/html")
def docs() -> Response:
    """The OpenAPI document as a page to read."""
    headers = {
        "Cache-Control": "no-cache",
        "Content-Security-Policy": _published().content_security_policy,
        "Referrer-Policy": "no-referrer",
    }
    return Response(_published().page, mimetype="text/html", headers=headers)


def published_of(app: Flask, document: dict[str, Any]) -> Published:
    """The OpenAPI document and its page, ready to be served. The app lends its templates."""
    style = files("recsvc.api").joinpath("templates/docs.css").read_text("utf-8")
    with app.app_context():
        page = render_template("docs.html", page=page_of(document), problems=problem_types(), style=style)
    return Published(
        openapi=msgspec.json.encode(document),
        page=page.encode(),
        content_security_policy=(
            f"default-src 'none'; style-src 'sha256-{_digest(style)}'; base-uri 'none'; "
            "form-action 'none'; frame-ancestors 'none'"
        ),
    )


def publish(app: Flask, published: Published) -> None:
    """Have the app serve these."""
    app.extensions[_EXTENSION] = published


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _published() -> Published:
    published: Published = current_app.extensions[_EXTENSION]
    return published
