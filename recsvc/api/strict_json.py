"""Read a body as JSON that means one thing only. In: bytes. Out: the value, or why it cannot be parsed.

`msgspec` refuses what is not UTF-8, byte order marks, half surrogate pairs, NaN, comments and trailing
commas, but it keeps the last of two equal keys, and it recurses. Both are seen in the outline of the
body: what is left of it without its strings, numbers and spaces. The outline is made by a handful of
passes that run in C, so a body of 100,000 nested arrays costs about a millisecond and no stack.
"""

from __future__ import annotations

from typing import Any

import msgspec

from recsvc.errors import UnparsableRequestError

MAX_DEPTH = 32

_NOT_IN_OUTLINE = bytes(set(range(256)) - set(b'"[]{}:'))


def parse_json(body: bytes) -> Any:
    """The value that the body means.

    Raises:
        UnparsableRequestError: it is not JSON, says a key twice, or is nested too deeply.
    """
    outline = _outline(body)
    _check_depth(outline)
    try:
        value = msgspec.json.decode(body)
    except UnicodeDecodeError as error:
        raise UnparsableRequestError("the body is not UTF-8") from error
    except msgspec.ValidationError as error:
        raise UnparsableRequestError("the body holds a number that is out of range") from error
    except msgspec.DecodeError as error:
        raise UnparsableRequestError(_said_by(error)) from error
    if isinstance(value, dict | list) and outline.count(b":") != _n_names(value):
        raise UnparsableRequestError("the body has an object that gives one name twice")
    return value


def _outline(body: bytes) -> bytes:
    """The brackets and colons of the body that do not stand in strings."""
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(body.translate(None, _NOT_IN_OUTLINE).split(b'"')[::2])


def _check_depth(outline: bytes) -> None:
    """Raise UnparsableRequestError at the first bracket that is nested too deeply."""
    depth = 0
    for bracket in outline.translate(None, b":"):
        if bracket in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise UnparsableRequestError(f"the body is nested more than {MAX_DEPTH} levels deep")
        else:
            depth -= 1


def _n_names(value: Any) -> int:
    """How many names all objects in the value have. Its depth is bounded by now, so this may recurse."""
    n_names = 0
    if isinstance(value, dict):
        n_names = len(value)
        value = value.values()
    for inner in value:
        if isinstance(inner, dict | list):
            n_names += _n_names(inner)
    return n_names


def _said_by(error: msgspec.DecodeError) -> str:
    # Only where it is, never what: msgspec's sentence does not quote the body.
    return f"the body is not JSON: {str(error).removeprefix('JSON is malformed: ')}"
