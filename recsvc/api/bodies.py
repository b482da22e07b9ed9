"""Read the body of a request. In: the WSGI environment and the media types that are taken. Out: a value.

In this order: is its length known, is it of a media type that is taken, is it all there, is it JSON.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from wsgiref.types import WSGIEnvironment

from werkzeug.exceptions import LengthRequired, UnsupportedMediaType

from recsvc.api.strict_json import parse_json
from recsvc.errors import UnparsableRequestError

JSON = "application/json"

_MEDIA_TYPE = re.compile(r'([!-~]+?/[!-~]+?) *(?:; *charset="?([A-Za-z0-9_-]{1,20})"?)?', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class JsonBody:
    """A parsed body, and which of the media types that are taken it came as."""

    media_type: str
    value: Any


def read_json(environ: WSGIEnvironment, media_types: Collection[str]) -> JsonBody:
    """The body of the request.

    Raises:
        UnparsableRequestError: it is not what it says to be.
        LengthRequired: it says no length.
        UnsupportedMediaType: it is of no media type that is taken, or not in UTF-8.
    """
    length = _length_of(environ)
    media_type = _media_type_of(environ, media_types)
    body = environ["wsgi.input"].read(length)
    if len(body) != length:
        raise UnparsableRequestError("the body is shorter than Content-Length says")
    if not body:
        raise UnparsableRequestError("the body is empty")
    return JsonBody(media_type, parse_json(body))


def _length_of(environ: WSGIEnvironment) -> int:
    # What is no number, or too large a one, was refused before anything was read.
    length = environ.get("CONTENT_LENGTH")
    if not length and environ.get("HTTP_TRANSFER_ENCODING"):
        raise LengthRequired("send Content-Length: a body in chunks is not taken")
    return int(length or 0)


def _media_type_of(environ: WSGIEnvironment, media_types: Collection[str]) -> str:
    found = _MEDIA_TYPE.fullmatch(str(environ.get("CONTENT_TYPE", "")).strip())
    if environ.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
        raise UnsupportedMediaType("send the body without Content-Encoding")
    if found is None or found[1].lower() not in media_types:
        raise UnsupportedMediaType(f"send Content-Type: {' or '.join(media_types)}")
    if (found[2] or "utf-8").lower() != "utf-8":
        raise UnsupportedMediaType("send the body in UTF-8")
    return found[1].lower()
