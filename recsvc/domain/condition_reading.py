"""Read a rule on customers. In: parsed JSON, the known fields. Out: a `Condition`, or what is wrong.

Every mistake is named by its place, so that whoever wrote the rule mends all of them at once.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import NoReturn, TypeVar, cast

from recsvc.domain.conditions import (
    All,
    AnyOf,
    Comparison,
    Condition,
    FieldKind,
    FieldType,
    Node,
    Not,
    Op,
    Plain,
    is_of_kind,
)
from recsvc.errors import FieldError

MAX_DEPTH = 8
MAX_COMPARISONS = 100
MAX_LISTED = 100
MAX_TEXT_CHARS = 1_000

_WORDS = ("all", "any", "not")
_PARTS = ("field", "op", "value")
_OF_NUMBERS = (Op.AT_LEAST, Op.ABOVE, Op.AT_MOST, Op.BELOW, Op.BETWEEN)
_OF_LISTS = (Op.IN, Op.NOT_IN)
_NOUNS = {FieldKind.TEXT: "text", FieldKind.NUMBER: "a number", FieldKind.BOOLEAN: "true or false"}
_SHOWN_NAMES = 20

T = TypeVar("T")


class ConditionError(ValueError):
    """The document is no rule. `faults` name each place, as JSON pointers from the rule's root."""

    def __init__(self, faults: tuple[FieldError, ...]) -> None:
        self.faults = faults
        super().__init__("; ".join(f"{fault.pointer or '/'}: {fault.detail}" for fault in faults[:5]))


def parse_condition(document: object, fields: Mapping[str, FieldType]) -> Condition:
    """The rule that the document says. `fields` are all there are.

    Raises:
        ConditionError: naming each mistake by its place.
    """
    return Condition(_Reader(fields).read(document, "", 1))


class _Reader:
    """Reads one document. Each method raises ConditionError with every mistake at its place or within it."""

    def __init__(self, fields: Mapping[str, FieldType]) -> None:
        self._fields = fields
        self._n_comparisons = 0

    def read(self, document: object, place: str, depth: int) -> Node:
        """The part at the place."""
        if not isinstance(document, dict) or not document:
            _fail(place, "must be an object: all, any, not, or a field with op and value")
        if depth > MAX_DEPTH:
            _fail(place, f"must be at most {MAX_DEPTH} deep")
        word = next((word for word in _WORDS if word in document), None)
        if word is None:
            return self._comparison(document, place)
        if len(document) > 1:
            _fail(place, f"must hold {word} and nothing beside it")
        if word == "not":
            return Not(self.read(document[word], f"{place}/not", depth + 1))
        return self._joined(word, document[word], f"{place}/{word}", depth)

    def _joined(self, word: str, parts: object, place: str, depth: int) -> Node:
        if not isinstance(parts, list) or not 1 <= len(parts) <= MAX_COMPARISONS:
            _fail(place, f"must be a list of 1 to {MAX_COMPARISONS} rules")
        read = _each(parts, place, lambda part, inner: self.read(part, inner, depth + 1))
        return All(read) if word == "all" else AnyOf(read)

    def _comparison(self, document: dict[str, object], place: str) -> Node:
        self._n_comparisons += 1
        if self._n_comparisons > MAX_COMPARISONS:
            _fail(place, f"is one too many: a rule may hold {MAX_COMPARISONS} comparisons")
        _check_names(document, place)
        kind, op = self._kind_and_op(document, place)
        value = _value_of(document["value"], kind, op, f"{place}/value")
        return Comparison(str(document["field"]), kind.kind, op, value, place)

    def _kind_and_op(self, document: dict[str, object], place: str) -> tuple[FieldType, Op]:
        name, word = document["field"], document["op"]
        kind = self._fields.get(name) if isinstance(name, str) else None
        faults = []
        if kind is None:
            faults.append(
                FieldError(f"{place}/field", f"is not a known field; {_meant(name, tuple(self._fields))}")
            )
        if not isinstance(word, str) or word not in tuple(Op):
            faults.append(FieldError(f"{place}/op", f"must be one of {', '.join(Op)}"))
        elif kind and word in _OF_NUMBERS and kind.kind is not FieldKind.NUMBER:
            faults.append(FieldError(f"{place}/op", f"is for numbers, and this holds {_NOUNS[kind.kind]}"))
        if kind is None or faults:
            raise ConditionError(tuple(faults))
        return kind, Op(str(word))


def _check_names(document: dict[str, object], place: str) -> None:
    odd = [
        FieldError(f"{place}/{_token(name)}", f"is not known; {_meant(name, (*_PARTS, *_WORDS))}")
        for name in document
        if name not in _PARTS
    ]
    missing = [FieldError(f"{place}/{name}", "is missing") for name in _PARTS if name not in document]
    if odd or missing:
        raise ConditionError((*odd, *missing))


def _value_of(value: object, kind: FieldType, op: Op, place: str) -> Plain | tuple[Plain, ...]:
    if op is Op.BETWEEN:
        if not isinstance(value, list) or len(value) != 2:
            _fail(place, "must be two numbers, the lower first")
        low, high = _each(value, place, lambda one, inner: _one(one, kind, inner))
        return (low, high) if float(low) <= float(high) else _fail(place, "must have the lower number first")
    if op not in _OF_LISTS:
        return _one(value, kind, place)
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_LISTED:
        _fail(place, f"must be a list of 1 to {MAX_LISTED} values")
    return _each(value, place, lambda one, inner: _one(one, kind, inner))


def _one(value: object, kind: FieldType, place: str) -> Plain:
    if not is_of_kind(value, kind.kind):
        _fail(place, f"must be {_NOUNS[kind.kind]}")
    if isinstance(value, str) and not 1 <= len(value) <= MAX_TEXT_CHARS:
        _fail(place, f"must be 1 to {MAX_TEXT_CHARS} characters")
    if kind.words and value not in kind.words:
        _fail(place, f"is none of its values; {_meant(value, kind.words)}")
    return cast(Plain, value)


def _each(parts: list[object], place: str, read: Callable[[object, str], T]) -> tuple[T, ...]:
    """Every part as it is read; the mistakes of all of them together."""
    found: list[T] = []
    faults: list[FieldError] = []
    for number, part in enumerate(parts):
        try:
            found.append(read(part, f"{place}/{number}"))
        except ConditionError as error:
            faults.extend(error.faults)
    if faults:
        raise ConditionError(tuple(faults))
    return tuple(found)


def _fail(place: str, detail: str) -> NoReturn:
    raise ConditionError((FieldError(place, detail),))


def _meant(name: object, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(str(name)[:100], known, n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known[:_SHOWN_NAMES])}"


def _token(name: object) -> str:
    return str(name)[:64].replace("~", "~0").replace("/", "~1")
