"""Domain values as JSON documents. In: a value, or a document. Out: the other, or a StoreError."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from recsvc.errors import StoreError

T = TypeVar("T")

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
        return msgspec.json.decode(document, type=kind)
    except msgspec.MsgspecError as error:
        raise StoreError(f"{name} in the store cannot be read ({error}): put it again") from error
