"""Fields that read the text of a query strictly. In: one parameter's text. Out: its value, or why not.

marshmallow's own number fields read what Python's `int` and `float` read: other scripts' digits,
underscores, signs, spaces, NaN. None of that is meant when it comes in a query.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields, validate
from webargs.fields import DelimitedList

from recsvc.domain.identifiers import ID_PATTERN, ID_RULE, is_identifier

_WHOLE_NUMBER = re.compile(r"[0-9]{1,9}")
_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")

_PLAIN: Mapping[str, str] = {
    "Missing data for required field.": "is required",
    "Field may not be null.": "must not be null: leave it out, or give a value",
    "Not a valid string.": "must be text",
    "Not a valid list.": "must be a list",
    "Not a valid mapping type.": "must be an object",
    "Invalid input type.": "must be an object",
}


def in_our_words(sentence: object) -> str:
    """What is wrong with a field, where marshmallow says it in words of its own."""
    return _PLAIN.get(str(sentence), str(sentence))


class WholeText(validate.Regexp):
    """A pattern that the whole text has to match; `$` alone lets a line end through."""

    def __call__(self, value: Any) -> Any:
        if self.regex.fullmatch(value) is None:
            raise ValidationError(self.error)
        return value


class WholeNumber(fields.Integer):
    """A whole number in plain ASCII digits, within a range."""

    def __init__(self, *, minimum: int, maximum: int, **options: Any) -> None:
        self._rule = f"must be a whole number from {minimum} to {maximum}, in plain digits"
        super().__init__(validate=validate.Range(minimum, maximum, error=self._rule), **options)

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> int:
        if _WHOLE_NUMBER.fullmatch(value) is None:
            raise ValidationError(self._rule)
        return int(value)


class PlainDecimal(fields.Float):
    """A number such as 0.25, without sign or exponent, within a range."""

    def __init__(self, *, minimum: float, maximum: float, **options: Any) -> None:
        self._rule = f"must be a plain decimal number from {minimum:g} to {maximum:g}, such as 0.25"
        super().__init__(validate=validate.Range(minimum, maximum, error=self._rule), **options)

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> float:
        if _DECIMAL.fullmatch(value) is None:
            raise ValidationError(self._rule)
        return float(value)


class TrueOrFalse(fields.Boolean):
    """`true` or `false`, and nothing else that could be meant."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> bool:
        if value not in {"true", "false"}:
            raise ValidationError("must be true or false")
        return bool(value == "true")


class Identifiers(DelimitedList):
    """Ids with commas between them; each counts once."""

    def __init__(self, *, max_count: int, **options: Any) -> None:
        self._max_count = max_count
        each = fields.String(validate=WholeText(f"^{ID_PATTERN}$"))
        super().__init__(each, validate=validate.Length(1, max_count), **options)

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> Any:
        ids = value.split(",")
        if len(ids) > self._max_count:
            raise ValidationError(f"must hold at most {self._max_count} ids")
        for place, text in enumerate(ids, start=1):
            if not is_identifier(text):
                raise ValidationError(f"id number {place} must be {ID_RULE}")
        return tuple(dict.fromkeys(ids))


class Repeatable(fields.List[Any]):
    """A parameter that may be given several times; each value counts once."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> Any:
        return tuple(dict.fromkeys(super()._deserialize(value, attr, data, **options)))
