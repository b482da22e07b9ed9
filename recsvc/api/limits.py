"""The size limits of a request. In: the WSGI environment. Out: nothing, or the error that refuses it.

They hold before any byte of the body is read and before routing, so that an oversized request costs
next to nothing.
"""

from __future__ import annotations

import re
from urllib.parse import quote
from wsgiref.types import WSGIEnvironment

from werkzeug.exceptions import (
    BadRequest,
    HTTPException,
    RequestEntityTooLarge,
    RequestHeaderFieldsTooLarge,
    RequestURITooLarge,
)

MAX_URI_BYTES = 8 * 1024
MAX_HEADER_FIELDS = 64  # The server itself refuses a hundred, without a problem document.
MAX_HEADER_BYTES = 32 * 1024
MAX_BODY_BYTES = 1024 * 1024

_CONTENT_LENGTH = re.compile(r"[0-9]{1,18}")


def check_limits(environ: WSGIEnvironment) -> None:
    """Raise the HTTPException that refuses an oversized or unmeasurable request."""
    for refusal in (_uri_refusal(environ), _header_refusal(environ), _body_refusal(environ)):
        if refusal is not None:
            raise refusal


def _uri_refusal(environ: WSGIEnvironment) -> HTTPException | None:
    path = str(environ.get("PATH_INFO", "")).encode("latin-1", "replace")
    n_bytes = len(quote(path, safe="/:@!$&'()*+,;=~")) + 1 + len(str(environ.get("QUERY_STRING", "")))
    if n_bytes <= MAX_URI_BYTES:
        return None
    return RequestURITooLarge(f"the path and query together may hold {MAX_URI_BYTES} bytes")


def _header_refusal(environ: WSGIEnvironment) -> HTTPException | None:
    names = [name for name in environ if name.startswith("HTTP_")]
    n_bytes = sum(len(name) + len(str(environ[name])) for name in names)
    if len(names) <= MAX_HEADER_FIELDS and n_bytes <= MAX_HEADER_BYTES:
        return None
    return RequestHeaderFieldsTooLarge(
        f"a request may carry {MAX_HEADER_FIELDS} header fields of {MAX_HEADER_BYTES} bytes together"
    )


def _body_refusal(environ: WSGIEnvironment) -> HTTPException | None:
    text = str(environ.get("CONTENT_LENGTH") or "0")
    if _CONTENT_LENGTH.fullmatch(text) is None:
        return BadRequest("Content-Length must be a whole number of bytes")
    if environ.get("CONTENT_LENGTH") and environ.get("HTTP_TRANSFER_ENCODING"):
        return BadRequest("send Content-Length or Transfer-Encoding, not both")
    if int(text) > MAX_BODY_BYTES:
        return RequestEntityTooLarge(f"a body may hold {MAX_BODY_BYTES} bytes")
    return None
