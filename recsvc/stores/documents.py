"""Domain values as JSON documents. In: a value, or a document. Out: the other, or a StoreError.

A document has an etag, by which a careful writer says which version of a record is to be replaced.
"""

from __future__ import annotations

import hashlib
from typing import Any, TypeVar

import msgspec

from recsvc.errors import PreconditionFailedError, PreconditionRequiredError, StoreError
from recsvc.typed_decoding import decode_json

T = TypeVar("T")

ANY_VERSION = "*"

_ENCODER = msgspec.json.Encoder(order="deterministic")


def encode_document(value: Any, name: str) -> str:
    """The value as JSON; keys of mappings are in order, so that equal values make equal documents.

    Raises:
        StoreError: it holds what JSON cannot; `name` says which value.
    """
    try:
        return _ENCODER.encode(value).decode()
    except (TypeError, ValueError, OverflowError) as error:  # Half a surrogate pair is a ValueError.
        raise StoreError(f"{name} cannot be stored ({error}): mend its texts and numbers") from error


def decode_document(document: str, kind: type[T], name: str) -> T:
    """The value of the document.

    Raises:
        StoreError: the document is damaged, or was written by a release with other rules.
    """
    try:
        return decode_json(document, kind)
    except msgspec.MsgspecError as error:
        raise StoreError(f"{name} in the store cannot be read ({error}): put it again") from error


def etag_of(document: str) -> str:
    """The document's version: equal documents have equal etags."""
    return hashlib.blake2b(document.encode(), digest_size=12).hexdigest()


def check_expected(stored: str | None, expected: str | None) -> None:
    """Let a write pass only over the version that it expects. `stored` None means that there is no record.

    Raises:
        PreconditionRequiredError: there is a record, and the write expects none.
        PreconditionFailedError: the record has another etag than expected, or is gone.
    """
    if expected is None:
        if stored is not None:
            raise PreconditionRequiredError()
    elif stored is None or expected not in (ANY_VERSION, etag_of(stored)):
        raise PreconditionFailedError()
