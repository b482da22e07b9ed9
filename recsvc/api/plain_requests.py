"""Which requests are plain. In: what a request says of itself. Out: whether the fast path may answer it."""

from __future__ import annotations

from wsgiref.types import WSGIEnvironment

from werkzeug.exceptions import HTTPException

from recsvc.api.limits import MAX_HEADER_BYTES, MAX_HEADER_FIELDS, check_limits


def is_plain(environ: WSGIEnvironment) -> bool:
    """Whether it is a GET without a body, within the limits, and was not mounted below another path."""
    if not has_no_body(environ) or environ.get("SCRIPT_NAME"):
        return False
    if environ.get("SERVER_SOFTWARE") == "Granian" and do_last_headers_fit(environ):
        return True
    try:
        check_limits(environ)
    except HTTPException:
        return False
    return True


def has_no_body(environ: WSGIEnvironment) -> bool:
    """Whether it is a GET that brings no body."""
    if "CONTENT_LENGTH" in environ or "HTTP_TRANSFER_ENCODING" in environ:
        return False
    return bool(environ["REQUEST_METHOD"] == "GET")


def do_last_headers_fit(environ: WSGIEnvironment) -> bool:
    """Whether `check_limits` has nothing against the headers, at a tenth of the cost, where they stand last.

    granian puts them after its own entries, of which the body's stream is the last, or after what the headers
    of the body said. False where something else stands there, or where nobody knows here.
    """
    names = [*environ]
    try:
        place = names.index("wsgi.input") + 1
        n_bytes = len("".join(names[place:])) + len("".join([*environ.values()][place:]))
    except (ValueError, TypeError):
        return False
    return n_bytes <= MAX_HEADER_BYTES and len(names) - place <= MAX_HEADER_FIELDS
