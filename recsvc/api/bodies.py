"""Read the body of a request. In: the WSGI environment and the media types that are taken. Out: a value.

In this order: is it all there and not too much, is it of a media type that is taken, is it JSON.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from wsgiref.types import WSGIEnvironment

from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from recsvc.api.limits import MAX_BODY_BYTES
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
        RequestEntityTooLarge: it came in chunks, and too many of them.
        UnsupportedMediaType: it is of no media type that is taken, or not in UTF-8.
    """
    body = _read(environ)
    return JsonBody(_media_type_of(environ, media_types), parse_json(body))


def _read(environ: WSGIEnvironment) -> bytes:
    # A length that is no number, or too large a one, was refused before anything was read.
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if not length and environ.get("HTTP_TRANSFER_ENCODING"):
        body: bytes = environ["wsgi.input"].read(MAX_BODY_BYTES + 1)
        if len(body) > MAX_BODY_BYTES:
            raise RequestEntityTooLarge(f"a body may hold {MAX_BODY_BYTES} bytes")
    else:
        body = environ["wsgi.input"].read(length) if length else b""
        if len(body) != length:
            raise UnparsableRequestError("the body is shorter than Content-Length says")
    if not body:
        raise UnparsableRequestError("the body is empty")
    return body


def _media_type_of(environ: WSGIEnvironment, media_types: Collection[str]) -> str:
    found = _MEDIA_TYPE.fullmatch(str(environ.get("CONTENT_TYPE", "")).strip())
    if environ.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
        raise UnsupportedMediaType("send the body without Content-Encoding")
    if found is None or found[1].lower() not in media_types:
        raise UnsupportedMediaType(f"send Content-Type: {' or '.join(media_types)}")
    if (found[2] or "utf-8").lower() != "utf-8":
        raise UnsupportedMediaType("send the body in UTF-8")
    return found[1].lower()
