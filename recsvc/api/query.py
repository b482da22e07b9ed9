"""Read a query strictly. In: the raw query string and a schema. Out: loaded values, or every error in it.

werkzeug's own reading replaces bytes that are not UTF-8 and keeps the first of repeated parameters;
both would answer another question than the one that was asked.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from marshmallow import Schema, ValidationError, fields

from recsvc.api.fields import Repeatable, in_our_words
from recsvc.domain.identifiers import ID_RULE, is_identifier
from recsvc.errors import FieldError, InvalidRequestError, UnparsableRequestError

Parameters = Mapping[str, fields.Field[Any]]

_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_MAX_NAME_CHARS = 64


def load_query(schema: Schema, query_string: str) -> dict[str, Any]:
    """The values of the schema's parameters.

    Raises:
        UnparsableRequestError: the query is not percent-encoded UTF-8.
        InvalidRequestError: parameters are unknown, repeated or break a rule.
    """
    given = _parse(query_string)
    known = {field.data_key or name: field for name, field in schema.fields.items()}
    errors = [*_unknown(given, known), *_repeated(given, known)]
    accepted = {
        name: values if _takes_many(known[name]) else values[0]
        for name, values in given.items()
        if name in known
    }
    try:
        loaded: dict[str, Any] = schema.load(accepted)
    except ValidationError as error:
        errors += [
            FieldError(f"query/{name}", text)
            for name, found in dict(error.messages_dict).items()
            for text in dict.fromkeys(_texts(found))
        ]
    if errors:
        raise InvalidRequestError(errors)
    return loaded


def check_path(parameters: Mapping[str, str]) -> None:
    """Raise InvalidRequestError unless every path parameter may be an id."""
    errors = [
        FieldError(f"path/{name}", f"must be {ID_RULE}")
        for name, text in parameters.items()
        if not is_identifier(text)
    ]
    if errors:
        raise InvalidRequestError(errors)


def _parse(query_string: str) -> dict[str, list[str]]:
    given: dict[str, list[str]] = {}
    for pair in query_string.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            given.setdefault(_decode(name), []).append(_decode(value))
    return given


def _decode(text: str) -> str:
    if _BROKEN_ESCAPE.search(text):
        raise UnparsableRequestError("the query holds a % that two hexadecimal digits do not follow")
    try:
        # A WSGI server hands over raw bytes as latin-1.
        return unquote_to_bytes(text.replace("+", " ").encode("latin-1")).decode("utf-8")
    except UnicodeError as error:
        raise UnparsableRequestError("the query is not UTF-8") from error


def _unknown(given: Mapping[str, list[str]], known: Parameters) -> Iterator[FieldError]:
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name[:_MAX_NAME_CHARS], known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it takes {', '.join(known) or 'none'}"
            yield FieldError(f"query/{_pointer_token(name)}", f"is not a parameter of this call; {hint}")


def _repeated(given: Mapping[str, list[str]], known: Parameters) -> Iterator[FieldError]:
    for name, values in given.items():
        if len(values) > 1 and name in known and not _takes_many(known[name]):
            yield FieldError(f"query/{name}", f"is given {len(values)} times; give it once")


def _takes_many(field: fields.Field[Any]) -> bool:
    return isinstance(field, Repeatable)


def _pointer_token(name: str) -> str:
    return quote(name[:_MAX_NAME_CHARS], safe="")[:_MAX_NAME_CHARS]


def _texts(found: Any) -> Iterator[str]:
    """Every sentence in marshmallow's nested messages."""
    if isinstance(found, dict):
        for inner in found.values():
            yield from _texts(inner)
    elif isinstance(found, list):
        for inner in found:
            yield from _texts(inner)
    else:
        yield in_our_words(found)
