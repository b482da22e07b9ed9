"""Read JSON and MessagePack into values of a type. In: bytes and a type. Out: the value.

msgspec finds out what a type is made of when it first reads one, and lets other threads see its notes before
they are whole: two threads that read the first value of a type at the same time crash the process. So one
thread at a time makes a decoder, and whoever reads has a whole one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")
D = TypeVar("D")

_json: dict[Any, msgspec.json.Decoder[Any]] = {}
_msgpack: dict[Any, msgspec.msgpack.Decoder[Any]] = {}
_making = threading.Lock()


def decode_json(raw: bytes | memoryview | str | msgspec.Raw, kind: type[T]) -> T:
    """The value that the JSON holds. Raises msgspec.MsgspecError, UnicodeDecodeError."""
    value: T = (_json.get(kind) or _made(_json, msgspec.json.Decoder, kind)).decode(raw)
    return value


def decode_msgpack(raw: bytes, kind: type[T]) -> T:
    """The value that the MessagePack holds. Raises msgspec.MsgspecError, UnicodeDecodeError."""
    value: T = (_msgpack.get(kind) or _made(_msgpack, msgspec.msgpack.Decoder, kind)).decode(raw)
    return value


def _made(made: dict[Any, D], make: Callable[[Any], D], kind: Any) -> D:
    with _making:
        return made.setdefault(kind, make(kind))
